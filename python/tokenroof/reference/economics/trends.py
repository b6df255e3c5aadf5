"""A line through logarithms of amounts over years, by least squares.

Draper and Smith, Applied Regression Analysis, third edition, 1998: the normal equations, in exact fractions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

__all__ = ["log_slope_each", "log_slope_error_each"]


def log_slope_each(years: Sequence[float], amounts: Sequence[float]) -> float:
    """n sum(t y) - sum(t) sum(y) over n sum(t^2) - sum(t)^2."""
    n, t, y = len(years), *_exact(years, amounts)
    sums = sum(t), sum(y)
    return float((n * _dot(t, y) - sums[0] * sums[1]) / (n * _dot(t, t) - sums[0] ** 2))


def log_slope_error_each(years: Sequence[float], amounts: Sequence[float]) -> float:
    """The rest's sum of squares by n - 2, over the sum of squares of the years about their mean."""
    n, t, y = len(years), *_exact(years, amounts)
    across = _dot(t, t) - sum(t) ** 2 / n
    along = _dot(y, y) - sum(y) ** 2 / n
    both = _dot(t, y) - sum(t) * sum(y) / n
    rest = along - both**2 / across
    return math.sqrt(rest / (n - 2) / across)


def _exact(
    years: Sequence[float], amounts: Sequence[float]
) -> tuple[list[Fraction], list[Fraction]]:
    return [Fraction(x) for x in years], [Fraction(math.log(x)) for x in amounts]


def _dot(a: list[Fraction], b: list[Fraction]) -> Fraction:
    return sum((x * y for x, y in zip(a, b, strict=True)), Fraction(0))
