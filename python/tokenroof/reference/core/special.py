"""Normal and Poisson variates from uniform ones."""

from __future__ import annotations

import math
from collections.abc import Callable

from tokenroof.reference.core.roundings import exponential


def normal_below(z: float) -> float:
    """The standard normal distribution, within 7.5e-8: Abramowitz and Stegun, 26.2.17."""
    t = 1.0 / (1.0 + 0.2316419 * abs(z))
    powers = (0.319381530, -0.356563782, 1.781477937, -1.821255978, 1.330274429)
    series = 0.0
    for b in reversed(powers):
        series = t * (b + series)
    above = 0.3989422804014327 * exponential(abs(z) * abs(z) * -0.5) * series
    return above if z < 0.0 else 1.0 - above


def normals(u: float, v: float) -> tuple[float, float]:
    """Box and Muller."""
    radius = math.sqrt(-2.0 * math.log(u))
    return radius * math.cos(2.0 * math.pi * v), radius * math.sin(2.0 * math.pi * v)


def normals_of_words(radius: int, angle: int) -> tuple[float, float]:
    """Box and Muller of 32 random bits each: bits 1 to 30 of the angle are within a quarter of the circle
    about the first axis, bit 0 swaps the axes, bit 31 turns to the other side."""
    length = math.sqrt(-2.0 * math.log((radius + 0.5) / 2**32))
    quarter = ((angle >> 1) % 2**30 + 0.5) / 2**30 - 0.5
    x = length * math.cos(0.5 * math.pi * quarter)
    y = length * math.sin(0.5 * math.pi * quarter)
    if angle % 2:
        x, y = y, x
    return (-x, -y) if angle >> 31 else (x, y)


def poisson_count(w: float, mean: float, uniform: Callable[[], float]) -> int:
    """Below 32 the first count that a uniform number does not exceed; above by Giles' Q_N2."""
    if mean < 32.0:
        u, k = uniform(), 0
        probability = total = math.exp(-mean)
        while u > total:
            probability *= mean / (k + 1)
            if total + probability == total:
                break  # all there is, to a rounding
            total, k = total + probability, k + 1
        return k
    x = mean + math.sqrt(mean) * w + (1.0 / 3.0 + w**2 / 6.0)
    x += (-w / 36.0 - w**3 / 72.0) / math.sqrt(mean)
    x += (-8.0 / 405.0 + 7.0 * w**2 / 810.0 + w**4 / 270.0) / mean
    return math.floor(max(x, 0.0))
