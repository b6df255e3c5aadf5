"""A front as the report's page draws it between its points."""

from __future__ import annotations

import math


def line_at(points: list[tuple[float, float]], speed: float) -> tuple[float, float]:
    """The line between logarithms of two points, of the best of each and those beyond, and its slope; NaN beyond all."""
    points = sorted(points)
    best = [max(y for _, y in points[i:]) for i in range(len(points))]
    if speed <= points[0][0]:
        return best[0], 0.0
    for i in range(1, len(points)):
        (low, _), (high, _) = points[i - 1 : i + 1]
        if speed <= high * (1 + 1e-9):
            along, rise = math.log(high / low), math.log(best[i] / best[i - 1])
            part = min(max(math.log(speed / low) / along, 0.0), 1.0)
            return math.exp(math.log(best[i - 1]) + part * rise), rise / along
    return math.nan, math.nan
