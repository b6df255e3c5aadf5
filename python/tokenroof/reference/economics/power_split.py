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

    # what the first MW of each earns, and the last
    worths = [(v - s * a, v - s * b if s else v) for v, s, a, b in uses]

    def one(at: int, price: float, flat: bool) -> float:
        (v, s, a, b), (first, last) = uses[at], worths[at]
        if first == last:  # also where it falls by less than rounding shows
            return b if first > price or (flat and first == price) else a
        if price >= first:
            return a
        return b if price <= last else min(max((v - price) / s, a), b)

    def wanted(price: float, flat: bool) -> list[float]:
        """At this price of a MW; of uses that are worth just that, their most if `flat`."""
        return [one(at, price, flat) for at in range(len(uses))]

    ends = {p for pair in worths for p in pair if 0.0 < p < math.inf}
    prices = sorted(ends | {0.0}, reverse=True)
    above = math.inf
    for price in prices:
        if _sum(wanted(price, True)) > power or price == 0.0:
            break
        above = price
    given = wanted(price, False)
    if _sum(given) > power and above < math.inf:
        # between two prices that follow each other: of these the price falls alike until all is taken
        falling = [first >= above and last <= price for first, last in worths]
        given = wanted(above, True)
        fall = (power - _sum(given)) / _sum(
            [1.0 / u[1] for u, on in zip(uses, falling, strict=True) if on]
        )
        for i, (_, s, _, b) in enumerate(uses):
            if falling[i]:
                given[i] = min(b, given[i] + fall / s)
        return given, max(price, above - fall)
    left = power - _sum(given)
    for i, use in enumerate(uses):
        if price > 0.0 and worths[i] == (price, price):
            take = min(use[3] - given[i], max(left, 0.0))
            given[i] += take
            left -= take
    return given, price


def _sum(numbers: list[float]) -> float:
    total = 0.0
    for x in numbers:
        total += x
    return total
