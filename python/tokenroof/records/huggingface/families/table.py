"""The one table of families, from the names of architectures to the functions that read their shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from tokenroof.records.huggingface.defaults import class_defaults
from tokenroof.records.huggingface.reader import Reader, Values
from tokenroof.support.arguments import shown

Family = Callable[[Reader], Values]
#: By ``model_type`` in lower case, with underscores, without ``_text``.
FAMILIES: dict[str, Family] = {}


@dataclass(frozen=True)
class Like:
    """A family that is shaped like another one.

    Parameters
    ----------
    family : str
        The other one's ``model_type``, whose rules and defaults hold.
    renamed : mapping
        Fields that go by another name here, to the name that those rules read.
    defaults : mapping
        What stands for fields that a config leaves out, where it is not what the other family says.
    **changes
        Arguments of `tokenroof.Model` that differ whatever the config says.
    """

    family: str
    renamed: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    defaults: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    changes: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def __call__(self, r: Reader) -> Values:
        config = dict(r.config)
        for own, other in self.renamed.items():
            if own in config:
                config.setdefault(other, config[own])
                r.reading.read[r.path + own] = config[own]
        return {**FAMILIES[self.family](r.over(config)), **self.changes}


def like(family: str, *, renamed: Mapping[str, str] | None = None, defaults: Mapping[str, Any] | None = None,
         **changes: Any) -> Like:  # fmt: skip
    """An entry of the table of families that are shaped like others; see `Like`.

    Parameters
    ----------
    family : str
        The `model_type` whose reader it takes.
    renamed : mapping, optional
        Keys of this config by the name that the reader looks for.
    defaults : mapping, optional
        Values of keys that the config leaves out.
    **changes
        Fields of the `Model` that differ.

    Returns
    -------
    Like

    Examples
    --------
    >>> like("llama", defaults={"hidden_act": "silu"}).family
    'llama'
    """
    return Like(family, renamed or {}, defaults or {}, changes)


def family(*model_types: str) -> Callable[[Family], Family]:
    """Enter a function into the table: all that a new family needs, in the file of its kind.

    Parameters
    ----------
    *model_types : str
        Of ``config.json``.

    Returns
    -------
    callable
        A decorator of the function that reads such a config.

    Examples
    --------
    >>> enter = family("llama")
    >>> enter(lambda r: {})
    Traceback (most recent call last):
    ValueError: model_type 'llama' has a family already
    """

    def enter(function: Family) -> Family:
        for name in model_types:
            if name in FAMILIES:
                raise ValueError(f"model_type {shown(name)} has a family already")
            FAMILIES[name] = function
        return function

    return enter


def defaults_of(kind: str) -> Mapping[str, Any]:
    """What stands for fields that a config of this family leaves out: the defaults of its public class.

    Examples
    --------
    >>> defaults_of("qwen3")["head_dim"], defaults_of("mistral")["num_key_value_heads"]
    (128, 8)
    """
    entry = FAMILIES.get(kind)
    if isinstance(entry, Like):
        return {**(class_defaults(kind) or defaults_of(entry.family)), **entry.defaults}
    own = class_defaults(kind)
    if own or entry is None:
        return own
    # names of one architecture share its class
    same = (name for name, function in FAMILIES.items() if function is entry)
    return next((found for name in same if (found := class_defaults(name))), own)
