"""Arithmetic that Python refuses and IEEE 754 defines."""

from __future__ import annotations

import math

from tokenroof.reference.core.roundings import either


def divide(a: float, b: float) -> float:
    """a / b, with infinities and NaN where Python raises.

    Examples
    --------
    >>> divide(1.0, -0.0), divide(0.0, 0.0)
    (-inf, nan)
    """
    if b == 0.0:
        if a == 0.0 or math.isnan(a):
            return math.nan
        return math.copysign(math.inf, a) * math.copysign(1.0, b)
    return a / b


def minimum(a: float, b: float) -> float:
    """The smaller value; NaN if either is NaN."""
    if math.isnan(a) or math.isnan(b):
        return math.nan
    return either(a if a < b else b, a, b)


def maximum(a: float, b: float) -> float:
    """The larger value; NaN if either is NaN."""
    if math.isnan(a) or math.isnan(b):
        return math.nan
    return either(a if a > b else b, a, b)
