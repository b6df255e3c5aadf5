"""A machine's margin, hour by hour and step by step."""

from __future__ import annotations

from collections.abc import Sequence


def margin_per_day(
    hashrate: float, watts: float, hashprice: float, per_kwh: float, fee: float, pue: float
) -> float:
    """A PH/s is 1e15 hashes a second; a day has 24 hours, a kilowatt 1,000 watts."""
    revenue = hashprice * hashrate / 1e15 * (1.0 - fee)
    kilowatts = watts * pue / 1000.0
    return revenue - 24.0 * kilowatts * per_kwh


def earned_until(
    days: float,
    step: float,
    revenue: float,
    cost: float,
    factor_per_day: float,
    halvings: Sequence[float] = (),
    fees_share: float = 0.0,
) -> float:
    """Sum of the margins above zero at the middle of each step, until a day.

    Revenue and cost are a day's; the revenue is multiplied by a factor each day.
    """
    total, start = 0.0, 0.0
    while start < days:
        length = min(step, days - start)
        middle = start + length / 2.0
        subsidy = 1.0 - fees_share
        for day in halvings:
            if day <= middle:
                subsidy /= 2.0
        margin = revenue * factor_per_day**middle * (subsidy + fees_share) - cost
        if margin > 0.0:
            total += margin * length
        start += step
    return total


def curtailment(
    kilowatts: float,
    revenue_per_hour: float,
    spot: Sequence[float],
    hours: float,
    fixed: float | None,
) -> tuple[float, float, float]:
    """Margin of the better choice in each interval, margin of always running, hours that it runs.

    With a fixed price all energy is bought at it, and what is not used is sold at spot.
    """
    chosen, always, running = 0.0, 0.0, 0.0
    energy = kilowatts * hours
    for price in spot:
        bought = price if fixed is None else fixed
        on = revenue_per_hour * hours - bought * energy
        off = 0.0 if fixed is None else (price - fixed) * energy
        always += on
        chosen += max(on, off)
        running += hours if on >= off else 0.0
    return chosen, always, running
