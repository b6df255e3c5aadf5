"""The one table of families, from the names of architectures to the functions that read their shapes."""

from __future__ import annotations

from collections.abc import Callable

from tokenroof.records.huggingface.reader import Reader, Values

Family = Callable[[Reader], Values]
#: By ``model_type`` in lower case, with underscores, without ``_text``.
FAMILIES: dict[str, Family] = {}


def family(*model_types: str) -> Callable[[Family], Family]:
    """Enter a function into the table: all that a new family needs, in the file of its kind.

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
                raise ValueError(f"model_type {name!r} has a family already")
            FAMILIES[name] = function
        return function

    return enter
