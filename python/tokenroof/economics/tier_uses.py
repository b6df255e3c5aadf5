"""What each MW of a tier earns: parts of falling worth, from its price, its demand and its throughput."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tokenroof.economics.demand_curves import DemandCurve
from tokenroof.economics.flows import SECONDS_PER_YEAR
from tokenroof.support.arguments import no_numbers, real_numbers, refuse, shown
from tokenroof.support.labels import refuse_labelled
from tokenroof.support.quoting import counted

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from tokenroof.economics.tiers import Tier

__all__ = ["MTOK_PER_TOKEN_S_YEAR", "TierUse", "check_curves", "column", "prices", "tier_uses"]

#: Millions of tokens in a year of one token/s.
MTOK_PER_TOKEN_S_YEAR = SECONDS_PER_YEAR / 1e6


@dataclass(frozen=True)
class TierUse:
    """Parts of a tier: what the first MW earns, its fall with each further one, and width.

    Attributes
    ----------
    parts : tuple of (float, float, float)
        [$/(MW year)], [$/(MW^2 year)], [MW].
    """

    parts: tuple[tuple[float, float, float], ...]

    @property
    def most(self) -> float:
        """Power beyond which nothing is earned [MW]."""
        return sum(width for _, _, width in self.parts)

    @property
    def last(self) -> float:
        """What the last MW that sells earns [$/(MW year)]."""
        widths = [part for part in self.parts if part[2] > 0.0] or [self.parts[-1]]
        worth, fall, width = widths[-1]
        return worth - fall * width if fall else worth

    def earned(self, power: float) -> float:
        """What so much power earns [$/year]."""
        total, left = 0.0, power
        for worth, fall, width in self.parts:
            x = min(width, left)
            total += x * worth - (0.5 * fall * x * x if fall else 0.0)
            left -= x
        return total

    def next(self, power: float) -> float:
        """What the next MW earns [$/(MW year)]."""
        left = power
        for worth, fall, width in self.parts:
            if left < width:
                return worth - fall * left
            left -= width
        return 0.0


def prices(tier: Tier, curve: DemandCurve | None, most: float) -> list[tuple[float, float, float]]:
    """Parts of a tier's tokens, as `DemandCurve.uses` has them; without a curve its price stays."""
    if curve is None:
        return [(tier.price_per_mtok, 0.0, most)]
    return curve.uses(tier.price_per_mtok, most)


def tier_uses(
    tiers: Sequence[Tier],
    rate: NDArray[np.float64],
    sold: NDArray[np.float64],
    curves: Sequence[DemandCurve | None],
    utilization: float,
) -> list[TierUse]:
    """The parts of each tier by the power that they take."""
    year = MTOK_PER_TOKEN_S_YEAR * utilization
    found = []
    for tier, per_mw, most, curve in zip(tiers, rate, sold, curves, strict=True):
        parts = [
            (
                price * per_mw * year,
                fall * per_mw * per_mw * year,
                width / per_mw if per_mw > 0.0 else 0.0,
            )
            for price, fall, width in prices(tier, curve, float(most))
        ]
        found.append(TierUse(tuple(parts)))
    return found


def check_curves(curves: object, n: int) -> Sequence[DemandCurve | None]:
    """One curve, or None, for each tier."""
    if curves is None:
        return [None] * n
    if isinstance(curves, str) or not isinstance(curves, Sequence):
        raise TypeError(f"curves is {shown(curves)}; allowed: a DemandCurve or None for each tier")
    if len(curves) != n:
        raise ValueError(
            f"curves has {counted(len(curves), 'entry')}; allowed: one for each of {counted(n, 'tier')}"
        )
    for i, curve in enumerate(curves):
        if curve is not None and not isinstance(curve, DemandCurve):
            raise TypeError(f"curves[{i}] is {shown(curve)}; allowed: a DemandCurve or None")
    return curves


def column(name: str, value: ArrayLike | None, default: float, n: int) -> NDArray[np.float64]:
    """One number per tier."""
    if value is None:
        return np.full(n, default)
    refuse_labelled(name, value)
    array = real_numbers(value)
    if array is None:
        raise no_numbers(name, value, "numbers >= 0, one for each tier")
    if array.shape != (n,):
        raise ValueError(
            f"{name} has shape {array.shape}; allowed: one number for {counted(n, 'tier')}"
        )
    # an infinite default may be given too: demand without limit
    bad = ~(array >= 0) | (np.isinf(array) & np.isfinite(default))
    refuse(name, array, bad, "finite numbers >= 0")
    return array
