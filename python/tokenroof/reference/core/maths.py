"""Rounding up, and maxima that leave a part of the smaller one."""

from __future__ import annotations

import math

from tokenroof.reference.core.ieee import divide, maximum, minimum
from tokenroof.reference.core.roundings import rounded_up


def ceiling(x: float) -> float:
    """The least whole number that is not below x; infinities and NaN as they are."""
    return rounded_up(x) if math.isfinite(x) else x


def smooth_max(x: float, y: float, overlap: float) -> float:
    """The larger, and what of the smaller is not hidden: overlap * smaller * (smaller / larger)**3."""
    most, least = maximum(x, y), minimum(x, y)
    r = divide(least, most) if most > 0.0 or math.isnan(most) else divide(least, 1.0)
    return most + overlap * (least * (r * r * r))


def partial_max(x: float, y: float, overlap: float) -> float:
    """The larger, and overlap * smaller * (smaller / larger) of the other."""
    most, least = maximum(x, y), minimum(x, y)
    part = divide(least, most) if most > 0.0 or math.isnan(most) else divide(least, 1.0)
    return most + overlap * (least * part)
