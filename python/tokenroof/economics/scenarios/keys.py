"""What a key of a scenario may be: one entry checks the file, documents itself and makes the JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from itertools import pairwise
from typing import Any

import numpy as np

from tokenroof.support.arguments import is_integer, is_number, number, shown
from tokenroof.support.units import check_unit, judged, likely, quantity_of

__all__ = ["HIGHEST", "TABLE", "ScenarioKey", "check_section", "key", "keys_of", "schema_of"]

_KEY = "tokenroof.key"
#: Of any number; beyond it sums of many years would leave float64.
HIGHEST = 1e15


@dataclass(frozen=True, slots=True)
class ScenarioKey:
    """One key of a scenario.

    Attributes
    ----------
    name : str
        As in ``--set site.power_mw=20``.
    text : str
        What it is.
    unit : str
    default : object
    low, high : float
        Range of numbers; both belong to it unless `above`.
    above : bool
        Whether `low` itself is out of range.
    kind : {"number", "integer", "flag", "choice", "hours", "steps"}
        `hours` are no numbers or 24 of them; `steps` are rows of a year and a factor.
    choices : tuple of str
    of : str
        Kind of income that it counts for; empty: for all.
    source, date : str
        Of the default; a neutral number such as 0 is a convention of this table.
    """

    name: str
    text: str
    unit: str
    default: Any
    low: float = 0.0
    high: float = HIGHEST
    above: bool = False
    kind: str = "number"
    choices: tuple[str, ...] = ()
    of: str = ""
    source: str = ""
    date: str = ""

    @property
    def allowed(self) -> str:
        """The range in words."""
        if self.kind == "choice":
            return ", ".join(self.choices)
        if self.kind == "flag":
            return "true or false"
        low = "" if self.low == -HIGHEST else f" {'>' if self.above else '>='} {self.low:g}"
        high = "" if self.high == HIGHEST else f"{' and' if low else ''} <= {self.high:g}"
        each = {"number": "a finite number", "integer": "an integer",
                "hours": "24 numbers, one for each hour of the day,",
                "steps": "rows of [year, factor], years ascending, factors"}[self.kind]  # fmt: skip
        return f"{each}{low}{high}" if low or high else each.rstrip(",")


def key(
    text: str, unit: str, default: Any, low: float = 0.0, high: float = HIGHEST, **more: Any
) -> Any:
    """A field of a section; `ScenarioKey` has the arguments."""
    about = ScenarioKey("", text, unit, default, low, high, **{**_neutral(default), **more})
    return field(default=default, metadata={_KEY: about})


#: Of conventions and round numbers: when they were last gone through.
TABLE = "2026-11"


def _neutral(default: Any) -> dict[str, str]:
    """Source of a default that says nothing: nothing of a thing, or all of it."""
    neutral = {0.0: "none", np.inf: "no limit", 1.0: "all"}
    said = neutral.get(default) if is_number(default) else None if default else "none"
    return {} if said is None else {"source": f"convention: {said} unless said", "date": TABLE}


_FOUND: dict[tuple[str, type], tuple[ScenarioKey, ...]] = {}


def keys_of(section: str, record: type) -> tuple[ScenarioKey, ...]:
    """The keys of a section, by their full names; found once."""
    if (section, record) in _FOUND:
        return _FOUND[section, record]
    found = []
    for item in fields(record):
        about: ScenarioKey = item.metadata[_KEY]
        values = {name: getattr(about, name) for name in ScenarioKey.__slots__}
        of = quantity_of(item.name)
        if of is not None:
            values |= {"low": max(about.low, -of.high), "high": min(about.high, of.high)}
        found.append(ScenarioKey(**values | {"name": f"{section}.{item.name}"}))
    return _FOUND.setdefault((section, record), tuple(found))


def check_section(section: str, record: Any) -> None:
    """Set each field of a frozen record to its checked value; an error names key, value and range."""
    for about in keys_of(section, type(record)):
        name = about.name.partition(".")[2]
        object.__setattr__(record, name, _checked(about, getattr(record, name)))


def _checked(about: ScenarioKey, value: Any) -> Any:
    said = f"{about.name} is {shown(value)}; allowed: {about.allowed}"
    if isinstance(value, str) and about.kind in (
        "number",
        "integer",
    ):  # maybe with a unit, or a currency
        said += f" [{about.unit}]"
    if about.kind == "choice":
        if value not in about.choices or not isinstance(value, str):
            raise ValueError(said)
        return value
    if about.kind == "flag":
        if not isinstance(value, (bool, np.bool_)):
            raise TypeError(said)
        return bool(value)
    if about.kind in ("hours", "steps"):
        return _rows(about, value, said)
    if about.kind == "integer" and not is_integer(value):
        raise TypeError(said)
    return (int if about.kind == "integer" else float)(_number(about, value, said))


def _number(about: ScenarioKey, value: Any, said: str) -> float:
    if not is_number(value):
        raise TypeError(said)
    x = number(value)
    inside = (x > about.low if about.above else x >= about.low) and x <= about.high
    inside = inside or (not judged() and abs(x) <= HIGHEST)
    if not inside and x != about.default:  # which may be infinite: no limit
        of = quantity_of(about.name)
        slip = (
            of is not None and np.isfinite(x) and not x < 0.0 <= about.low
        )  # no unit turns a sign
        raise ValueError(said + (likely(of, x) if of is not None and slip else ""))
    if x != about.default:
        check_unit(about.name, x)
    return x


def _rows(about: ScenarioKey, value: Any, said: str) -> tuple[Any, ...]:
    if isinstance(value, (str, bytes, Mapping)):
        raise TypeError(said)
    try:
        rows = tuple(value)
        pairs = [tuple(row) for row in rows] if about.kind == "steps" else []
    except TypeError:
        raise TypeError(said) from None
    if about.kind == "hours":
        if len(rows) not in (0, 24):
            raise ValueError(said)
        return tuple(_number(about, x, said) for x in rows)
    if any(len(pair) != 2 or not is_integer(pair[0]) or pair[0] < 1 for pair in pairs):
        raise ValueError(said)
    if any(after[0] <= before[0] for before, after in pairwise(pairs)):
        raise ValueError(said)
    return tuple((int(year), _number(about, factor, said)) for year, factor in pairs)


def schema_of(keys: tuple[ScenarioKey, ...]) -> dict[str, Any]:
    """Properties of a section in JSON Schema (2020-12)."""
    return {about.name.partition(".")[2]: _property(about) for about in keys}


def _property(about: ScenarioKey) -> dict[str, Any]:
    words = {"description": f"{about.text} [{about.unit}]"}
    if about.kind == "choice":
        return words | {"type": "string", "enum": list(about.choices), "default": about.default}
    if about.kind == "flag":
        return words | {"type": "boolean", "default": about.default}
    limits: dict[str, Any] = {"type": "integer" if about.kind == "integer" else "number"}
    if about.low != -HIGHEST:
        limits["exclusiveMinimum" if about.above else "minimum"] = about.low
    if about.high != HIGHEST:
        limits["maximum"] = about.high
    if about.kind == "hours":
        return words | {
            "type": "array",
            "items": limits,
            "oneOf": [{"maxItems": 0}, {"minItems": 24, "maxItems": 24}],
        }
    if about.kind == "steps":
        row = {
            "type": "array",
            "prefixItems": [{"type": "integer", "minimum": 1}, limits],
            "minItems": 2,
            "maxItems": 2,
        }
        return words | {"type": "array", "items": row}
    default = {"default": about.default} if np.isfinite(about.default) else {}
    return words | limits | default
