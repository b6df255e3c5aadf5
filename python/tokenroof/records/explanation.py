"""How a config was read, as a page: fields read, defaulted, harmless, and parameters by module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tokenroof.records.huggingface.reading import Reading

__all__ = ["Explanation", "explain"]

_WIDTH = 28


@dataclass(frozen=True, repr=False)
class Explanation:
    """What was made of a model's config; its text is a page.

    Attributes
    ----------
    name, model_type : str
    read, defaulted : mapping
        Fields that were read, and that were left out, with their values.
    harmless : mapping
        Fields that change neither shapes nor counts, with the reason.
    parameters : mapping
        Parameters by module [1]; they sum to `Model.parameters`.
    active_parameters : int
        Parameters that one token uses [1].
    stored : str
        How its ``quantization_config`` says that matrices are stored, or why that cannot be read; empty
        without one.
    weight_bytes : mapping
        Bytes by module of what is stored so [B], as `Model.weight_bytes`; empty without one.
    """

    name: str
    model_type: str
    read: Mapping[str, Any]
    defaulted: Mapping[str, Any]
    harmless: Mapping[str, str]
    parameters: Mapping[str, int]
    active_parameters: int
    stored: str = ""
    weight_bytes: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"{self.name}: read as {self.model_type}" if self.model_type else self.name]
        for title, fields in (("read", self.read), ("left out, by default", self.defaulted)):
            lines += ["", f"{title}:"] if fields else []
            lines += [f"  {name:<{_WIDTH}} {_shown(value)}" for name, value in fields.items()]
        lines += ["", "ignored as harmless:"] if self.harmless else []
        lines += [f"  {name:<{_WIDTH}} {why}" for name, why in self.harmless.items()]
        total = sum(self.parameters.values())
        lines += ["", "parameters by module:"]
        for name, count in self.parameters.items():
            if count:
                lines.append(f"  {name:<{_WIDTH}} {count:>20,} {100 * count / total:6.2f} %")
        lines.append(f"  {'all':<{_WIDTH}} {total:>20,}")
        lines.append(f"  {'of one token':<{_WIDTH}} {self.active_parameters:>20,}")
        lines += ["", f"stored by its quantization_config: {self.stored}"] if self.stored else []
        size = sum(self.weight_bytes.values())
        for name, held in (*self.weight_bytes.items(), ("all", size)) if size else ():
            if held:
                lines.append(f"  {name:<{_WIDTH}} {held:>18,.0f} B {100 * held / size:6.2f} %")
        return "\n".join(lines)

    __repr__ = __str__


def _shown(value: object) -> str:
    if isinstance(value, list) and len(value) > 8:
        kinds = {str(x): value.count(x) for x in value}
        if len(kinds) <= 6:
            return f"{len(value)}: " + ", ".join(f"{n} x {kind}" for kind, n in kinds.items())
    text = repr(value)
    return text if len(text) <= 70 else text[:67] + "..."


def explain(
    name: str,
    model_type: str,
    reading: Reading | None,
    parameters: Mapping[str, int],
    active_parameters: int,
    stored: str = "",
    weight_bytes: Mapping[str, float] | None = None,
) -> Explanation:
    """The page of a model; of one that was not read from a config the counts alone.

    Parameters
    ----------
    name, model_type : str
    reading : Reading or None
        What was made of the config's fields.
    parameters : mapping
        Parameters by module [1].
    active_parameters : int
        Parameters that one token uses [1].
    stored : str
        How a ``quantization_config`` says that matrices are stored.
    weight_bytes : mapping, optional
        Bytes by module of what is stored so [B].

    Returns
    -------
    Explanation

    Examples
    --------
    >>> print(explain("tiny", "", None, {"mlp": 300, "head": 100}, 400))
    tiny
    <BLANKLINE>
    parameters by module:
      mlp                                           300  75.00 %
      head                                          100  25.00 %
      all                                           400
      of one token                                  400
    """
    reading = reading or Reading()
    read = {key: value for key, value in reading.read.items() if not isinstance(value, Mapping)}
    unused = {key: "not used by this architecture" for key in reading.unused}
    return Explanation(
        name, model_type, read, dict(reading.defaulted), {**reading.harmless, **unused}, parameters,
        active_parameters, stored, weight_bytes or {},
    )  # fmt: skip
