"""A site's power over tiers: the split that earns most, and what a fixed one earns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tokenroof.economics.demand_curves import DemandCurve
from tokenroof.economics.power_split import split_power
from tokenroof.economics.site import Site
from tokenroof.economics.tier_uses import (
    MTOK_PER_TOKEN_S_YEAR,
    TierUse,
    check_curves,
    column,
    tier_uses,
)
from tokenroof.economics.tiers import Tier, check_tiers
from tokenroof.support.arguments import shown
from tokenroof.support.equality import by_value
from tokenroof.support.lazy import require

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Allocation", "allocate"]

_ROUNDING = 1e-9  # by which sums of shares may miss what they were meant to be


@by_value
@dataclass(frozen=True)
class Allocation:
    """A split of a site's power over tiers.

    Attributes
    ----------
    tiers : tuple of str
    power_mw : ndarray
        IT power of each tier [MW].
    revenue : ndarray
        What each tier earns: of power beyond a tier's demand, nothing [$/year].
    marginal_value : float
        What one more MW of IT power would earn; 0 if power is not short. A fixed split deals it out
        by its shares [$/(MW year)].
    value : ndarray
        What the first MW of each tier earns [$/(MW year)].
    cap_value : ndarray
        What one more MW of each tier would earn if its demand took more; 0 where demand is no limit
        [$/(MW year)].
    floor_cost : ndarray
        What the next MW that a floor holds at a tier costs, against the best use [$/(MW year)].
    """

    tiers: tuple[str, ...]
    power_mw: NDArray[np.float64]
    revenue: NDArray[np.float64]
    marginal_value: float
    value: NDArray[np.float64]
    cap_value: NDArray[np.float64]
    floor_cost: NDArray[np.float64]

    @property
    def revenue_per_year(self) -> float:
        """What all tiers earn [$/year]."""
        return float(np.sum(self.revenue))

    def to_frame(self) -> pd.DataFrame:
        """One row per tier; its `revenue_per_year` sums to that of the site."""
        frame: pd.DataFrame = require("pandas", extra="analysis").DataFrame(
            {
                "tier": self.tiers,
                "power_mw": self.power_mw,
                "value_per_mw_year": self.value,
                "revenue_per_year": self.revenue,
                "cap_value_per_mw_year": self.cap_value,
                "floor_cost_per_mw_year": self.floor_cost,
            }
        )
        return frame


def allocate(
    site: Site,
    tiers: Sequence[Tier],
    supply: ArrayLike,
    demand: ArrayLike | None = None,
    floors: ArrayLike | None = None,
    split: ArrayLike | None = None,
    curves: Sequence[DemandCurve | None] | None = None,
) -> Allocation:
    """The split of a site's power over tiers that earns most, or what a fixed split earns.

    Floors are given first, then power goes to the tiers in order of what a MW of them earns, up to
    their demand: the fractional knapsack, which solves this linear programme exactly. Where a price
    falls with what is sold, power flows until the next MW earns the same everywhere.

    Parameters
    ----------
    site : Site
        Its `it_power_w` is shared out, and earns in the part `utilization` of the year.
    tiers : sequence of Tier
    supply : array_like
        Throughput of each tier per MW of IT power [token/(s MW)]: `Delivery.supply`.
    demand : array_like, optional
        Most tokens that each tier can sell while the site works [token/s]; unlimited by default.
    floors : array_like, optional
        Least IT power of each tier [MW]; a fixed split must keep them too.
    split : array_like, optional
        Shares of a fixed split such as ``[0.25, 0.25, 0.25, 0.25, 0]``: with it nothing is
        optimised, and power beyond a tier's demand earns nothing.
    curves : sequence of DemandCurve or None, optional
        How the price of each tier falls with what is sold of it; None: it stays. Demand is a limit all
        the same.

    Returns
    -------
    Allocation
        Power of each tier [MW] and what the site earns [$/year].

    Raises
    ------
    ValueError, TypeError
        For lengths that differ, numbers below zero, floors that do not fit, or a split that gives a
        tier less than its floor.

    Examples
    --------
    >>> site = Site(power_w=500e6)
    >>> tiers = [Tier("a", 3.0), Tier("b", 45.0)]
    >>> allocate(site, tiers, supply=[1.2e6, 1.2e5], demand=[3e8, 3.6e7]).power_mw
    array([200., 300.])
    >>> soft = [Tier("a", 6.0), Tier("b", 60.0)]
    >>> falls = [DemandCurve(slope=7.5e-9), DemandCurve(slope=7.5e-7)]
    >>> allocate(Site(power_w=1e9), soft, [5e5, 1e5], curves=falls).power_mw
    array([640., 360.])
    """
    if not isinstance(site, Site):
        raise TypeError(f"site is {shown(site)}; allowed: a Site")
    asked = check_tiers(tiers)
    if supply is None:
        raise TypeError("supply is None; allowed: numbers >= 0, one for each tier")
    n, names = len(asked), tuple(tier.name for tier in asked)
    rate = column("supply", supply, 0.0, n)
    sold, low = column("demand", demand, np.inf, n), column("floors", floors, 0.0, n)
    uses = tier_uses(asked, rate, sold, check_curves(curves, n), site.utilization)
    most = np.array([use.most for use in uses])
    with np.errstate(divide="ignore", invalid="ignore"):
        most_sold = np.where(rate > 0, sold / rate, 0.0)
    power = site.it_power_w / 1e6
    if low.sum() > power * (1.0 + _ROUNDING) or (low > most_sold).any():
        raise ValueError(f"floors is {shown(floors)}; allowed: within demand, {power:g} MW in all")
    if split is None:
        x, marginal = _best(uses, low, power)
        bound, price = x >= most, marginal
    else:
        x = _dealt(names, column("split", split, 0.0, n), low, power)
        marginal = float(
            np.sum(x / power * [use.next(mw) for use, mw in zip(uses, x, strict=True)])
        )
        bound, price = x > most, 0.0
    last = np.array([use.last for use in uses])
    cap = np.where(bound & np.isfinite(sold), np.maximum(last - price, 0.0), 0.0)
    held = np.array([use.next(mw) for use, mw in zip(uses, x, strict=True)])
    cost = np.where((x <= low) & (split is None), np.maximum(marginal - held, 0.0), 0.0)
    earned = np.array([use.earned(mw) for use, mw in zip(uses, x, strict=True)])
    value = np.array([tier.price_per_mtok for tier in asked]) * rate
    value = value * MTOK_PER_TOKEN_S_YEAR * site.utilization
    return Allocation(names, x, earned, marginal, value, cap, cost)


def _dealt(
    names: Sequence[str], shares: NDArray[np.float64], low: NDArray[np.float64], power: float
) -> NDArray[np.float64]:
    """Power of each tier in a fixed split, which keeps the floors."""
    if shares.sum() > 1.0 + _ROUNDING:
        raise ValueError(f"split sums to {shares.sum():g}; allowed: at most 1")
    x = shares * power
    for tier, given, least in zip(names, x, low, strict=True):
        if given < least * (1.0 - _ROUNDING):
            raise ValueError(
                f"split gives {tier} {given:g} MW; allowed: at least its floor of {least:g} MW"
            )
    return x


def _best(
    uses: Sequence[TierUse], low: NDArray[np.float64], power: float
) -> tuple[NDArray[np.float64], float]:
    """Power of each tier in the split that earns most, and what one more MW would earn."""
    rows = np.array([part for use in uses for part in use.parts]).reshape(-1, 3)
    owner = np.array([i for i, use in enumerate(uses) for _ in use.parts], dtype=int)
    least, over = np.zeros(owner.size), low.copy()
    for k, i in enumerate(owner):  # a floor holds a tier's first parts
        least[k] = min(over[i], rows[k, 2])
        over[i] -= least[k]
    x, marginal = split_power(rows[:, 0], rows[:, 1], least, rows[:, 2], power - over.sum())
    # what a floor holds beyond all that sells earns nothing
    return np.bincount(owner, weights=x, minlength=len(uses)) + over, marginal
