"""Numbers of a record, each checked and named by its owner."""

from __future__ import annotations

import math

from tokenroof.support.arguments import real_numbers, shown

__all__ = ["number", "whole"]


def number(owner: str, name: str, value: object, *, zero: bool = False) -> float:
    """Return `value` as a float, or say what is wrong with the field."""
    allowed = "a finite number >= 0" if zero else "a finite number > 0"
    message = f"{owner}: {name} must be {allowed}, not {shown(value)}"
    given = real_numbers(value)
    if given is None or given.ndim:
        raise TypeError(message)
    number = float(given)
    if not math.isfinite(number) or number < 0 or (number == 0 and not zero):
        raise ValueError(message)
    return number


def whole(owner: str, name: str, value: object) -> int:
    given = number(owner, name, value)
    if given != int(given):
        raise ValueError(f"{owner}: {name} must be a whole number > 0, not {value!r}")
    return int(given)
