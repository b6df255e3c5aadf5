"""Where the fleet's supply of hashes meets what the blocks pay."""

from __future__ import annotations

from collections.abc import Sequence


def equilibrium(tranches: Sequence[tuple[float, float]], money: float) -> tuple[float, float]:
    """Hashprice and hashrate at which the fleet's supply meets what the blocks pay, by bisection.

    Tranches are (cost [$/(PH/s day)], hashrate [PH/s]); the money is a day's of all blocks. Supply at a
    hashprice is what costs less; blocks buy money / hashprice.
    """
    low, high = 0.0, 1e-300
    while sum(rate for cost, rate in tranches if cost < high) * high < money:
        low, high = high, high * 2.0
    for _ in range(200):
        middle = (low + high) / 2.0
        if sum(rate for cost, rate in tranches if cost < middle) * middle < money:
            low = middle
        else:
            high = middle
    return high, money / high
