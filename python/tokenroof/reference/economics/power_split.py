"""Power over uses whose next MW earns less the more they have.

The fractional knapsack (Dantzig 1957) where what a MW earns does not fall; else the conditions of Karush,
Kuhn and Tucker: of every use that is neither at its least nor at its most, the next MW earns the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["power_split"]


def power_split(
    value: Sequence[float],
    slope: Sequence[float],
    low: Sequence[float],
    high: Sequence[float],
    power: float,
) -> tuple[list[float], float]:
    """Power of each use, and what one more MW would earn: of a use the next earns value - slope * x."""
    uses = list(zip(value, slope, low, high, strict=True))

    def wanted(price: float, flat: bool) -> list[float]:
        """At this price of a MW; of uses that are worth just that, their most if `flat`."""
        return [
            (b if v > price or (flat and v == price) else a) if not s
            else min(max((v - price) / s, a), b)
            for v, s, a, b in uses
        ]  # fmt: skip

    starts = {v - s * a for v, s, a, _ in uses}
    ends = {v - s * b if s else v for v, s, _, b in uses}
    prices = sorted({p for p in starts | ends if 0.0 < p < math.inf} | {0.0}, reverse=True)
    above = math.inf
    for price in prices:
        if _sum(wanted(price, True)) > power or price == 0.0:
            break
        above = price
    given, per = wanted(price, False), 0.0
    if _sum(given) > power and above < math.inf:
        middle = wanted(price + 0.5 * (above - price), False)
        rest, per = _between(uses, middle)
        if per:  # it stays between the two: a flat worth that ends there takes by equality
            price = max(price, min(above, (rest - power) / per))
        given = wanted(price, False)
    left = power - _sum(given)
    for i, (v, s, a, b) in enumerate(uses):
        if per and s and a < given[i] < b:  # what the price's roundings leave open
            given[i] = min(max(given[i] + left / per / s, a), b)
        if price > 0.0 and not s and v == price:
            take = min(b - given[i], max(left, 0.0))
            given[i] += take
            left -= take
    return given, price


def _between(
    uses: list[tuple[float, float, float, float]], given: list[float]
) -> tuple[float, float]:
    """What all take at the price 0 if lines (v - p) / s went on, and by how much less at a price of 1."""
    rest = per = 0.0
    for (v, s, a, b), x in zip(uses, given, strict=True):
        if s and a < x < b:
            rest += v / s
            per += 1.0 / s
        else:
            rest += x
    return rest, per


def _sum(numbers: list[float]) -> float:
    total = 0.0
    for x in numbers:
        total += x
    return total
