"""Numbers of a record, each checked and named by its owner."""

from __future__ import annotations

import math

from tokenroof.support.arguments import real_numbers, shown

__all__ = ["number", "whole"]

# What is printed where the SI unit is wanted.
_LARGER = {
    "B/s": "GB/s or TB/s",
    "FLOP/s": "TFLOP/s",
    "B": "GB",
    "Hz": "GHz",
    "hash/s": "TH/s",
    "W": "kW",
}


def number(
    owner: str, name: str, value: object, *, zero: bool = False, least: float = 0.0, unit: str = ""
) -> float:
    """Return `value` as a float, or say what is wrong with the field.

    A value below `least` is one in another unit: the message names the one that is wanted.
    """
    allowed = "a finite number >= 0" if zero else "a finite number > 0"
    message = f"{owner}: {name} must be {allowed}, not {shown(value)}"
    given = real_numbers(value)
    if given is None or given.ndim:
        raise TypeError(message)
    number = float(given)
    if not math.isfinite(number) or number < 0 or (number == 0 and not zero):
        raise ValueError(message)
    if 0.0 < number < least:
        raise ValueError(
            f"{owner}: {name} must be in {unit}, at least {least:g}, not {value!r}: "
            f"is it in another unit, such as {_LARGER[unit]}?"
        )
    return number


def whole(owner: str, name: str, value: object) -> int:
    given = number(owner, name, value)
    if given != int(given):
        raise ValueError(f"{owner}: {name} must be a whole number > 0, not {value!r}")
    return int(given)
