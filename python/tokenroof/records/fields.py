"""Numbers and lists of a record, each checked and named by its owner."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from tokenroof.support.arguments import real_numbers, shown
from tokenroof.support.units import likely, quantity_of

__all__ = ["dated", "names", "number", "powers_agree", "several", "whole"]

_DATED = re.compile(r"(19|20)\d{2}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?|-Q[1-4]|-H[12])?")

# What is printed where the SI unit is wanted.
_LARGER = {
    "B/s": "GB/s or TB/s",
    "FLOP/s": "TFLOP/s",
    "B": "GB",
    "Hz": "GHz",
    "hash/s": "TH/s",
    "W": "kW",
}


def number(owner: str, name: str, value: object, *, zero: bool = False, kind: str = "") -> float:
    """Return `value` as a float, or say what is wrong with the field.

    A value beyond what its quantity can be, on a device of a kind, is one in another unit: the message names
    the one that is wanted, and what was probably meant.
    """
    allowed = "a finite number >= 0" if zero else "a finite number > 0"
    message = f"{owner}: {name} must be {allowed}, not {shown(value)}"
    given = real_numbers(value)
    if given is None or given.ndim:
        raise TypeError(message)
    number = float(given)
    if not math.isfinite(number) or number < 0 or (number == 0 and not zero):
        raise ValueError(message)
    of = quantity_of(name, kind)
    if of is not None and 0.0 < number < of.low:
        raise ValueError(
            f"{owner}: {name} must be in {of.unit}, at least {of.low:g}, not {shown(value)}: "
            f"is it in another unit, such as {_LARGER[of.unit]}{likely(of, number) or '?'}"
        )
    if of is not None and number > of.high:
        raise ValueError(
            f"{owner}: {name} must be in {of.unit}, at most {of.high:g}, not "
            f"{shown(value)}{likely(of, number)}"
        )
    return number


def whole(owner: str, name: str, value: object) -> int:
    given = number(owner, name, value)
    if given != int(given):
        raise ValueError(f"{owner}: {name} must be a whole number > 0, not {shown(value)}")
    return int(given)


def powers_agree(owner: str, powers: Mapping[str, float | None]) -> None:
    """Refuse powers of a device of which one is above another that has it in it, from the least to the whole.

    A board that does nothing draws at most its limit, its share of the chassis has the board in it, and what
    a site sets aside has that in it.
    """
    known = [(name, watts) for name, watts in powers.items() if watts is not None]
    for i, (name, watts) in enumerate(known):
        for inner, least in known[:i]:
            if watts >= least:
                continue
            if inner == "idle_w":
                raise ValueError(
                    f"{owner}: idle_w is {least:g} with {name} {watts:g}; allowed: at most {name}"
                )
            raise ValueError(
                f"{owner}: {name} is {watts:g} with {inner} {least:g}; allowed: at least {inner}, which it "
                "has in it beside the rest of the system or site"
            )


def dated(owner: str, name: str, value: object) -> None:
    """Refuse a date that says no year: by the month, the quarter, the half or the year is enough."""
    if not isinstance(value, str) or (value and not _DATED.fullmatch(value)):
        error = ValueError if isinstance(value, str) else TypeError
        raise error(
            f"{owner}: {name} is {shown(value)}; allowed: a date such as 2026, 2026-03, 2026-03-16, 2026-Q3 "
            "or 2026-H2, or an empty text where it is not known"
        )


def several(field: str, value: object, of: str) -> tuple[Any, ...]:
    """The entries of a field that is a list; a text, a number or a table is none."""
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        raise TypeError(f"{field} is {shown(value)}; allowed: a list of {of}")
    return tuple(value)


def names(field: str, value: object) -> tuple[str, ...]:
    """Names of a field that is a list of them."""
    found = several(field, value, "names")
    if not all(isinstance(name, str) for name in found):
        raise TypeError(f"{field} is {shown(value)}; allowed: a list of names")
    return found
