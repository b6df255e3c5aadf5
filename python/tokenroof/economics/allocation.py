"""A site's power over tiers: the split that earns most, and what a fixed one earns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tokenroof.economics.flows import SECONDS_PER_YEAR
from tokenroof.economics.site import Site
from tokenroof.economics.tiers import Tier
from tokenroof.support.arguments import real_numbers, shown
from tokenroof.support.labels import refuse_labelled
from tokenroof.support.lazy import require

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

_MTOK_PER_TOKEN_S_YEAR = SECONDS_PER_YEAR / 1e6
_ROUNDING = 1e-9  # by which sums of shares may miss what they were meant to be


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
        What a MW of each tier earns while the tier sells it [$/(MW year)].
    """

    tiers: tuple[str, ...]
    power_mw: NDArray[np.float64]
    revenue: NDArray[np.float64]
    marginal_value: float
    value: NDArray[np.float64]

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
            }
        )
        return frame


def _column(name: str, value: ArrayLike | None, default: float, n: int) -> NDArray[np.float64]:
    """One number per tier."""
    if value is None:
        return np.full(n, default)
    refuse_labelled(name, value)
    array = real_numbers(value)
    if array is None:
        raise TypeError(f"{name} is {shown(value)}; allowed: numbers >= 0, one for each tier")
    if array.shape != (n,):
        raise ValueError(f"{name} has shape {array.shape}; allowed: one number for {n} tiers")
    # an infinite default may be given too: demand without limit
    if not (array >= 0).all() or (np.isinf(array).any() and np.isfinite(default)):
        raise ValueError(f"{name} is {shown(value)}; allowed: finite numbers >= 0")
    return array


def allocate(
    site: Site,
    tiers: Sequence[Tier],
    supply: ArrayLike,
    demand: ArrayLike | None = None,
    floors: ArrayLike | None = None,
    split: ArrayLike | None = None,
) -> Allocation:
    """The split of a site's power over tiers that earns most, or what a fixed split earns.

    Floors are given first, then power goes to the tiers in order of what a MW of them earns, up to
    their demand: the fractional knapsack, which solves this linear programme exactly.

    Parameters
    ----------
    site : Site
        Its `it_power_w` is shared out, and earns in the part `utilization` of the year.
    tiers : sequence of Tier
    supply : array_like
        Throughput of each tier per MW of IT power [token/(s MW)].
    demand : array_like, optional
        Most tokens that each tier can sell while the site works [token/s]; unlimited by default.
    floors : array_like, optional
        Least IT power of each tier [MW]; a fixed split must keep them too.
    split : array_like, optional
        Shares of a fixed split such as ``[0.25, 0.25, 0.25, 0.25, 0]``: with it nothing is
        optimised, and power beyond a tier's demand earns nothing.

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
    """
    if not isinstance(site, Site):
        raise TypeError(f"site is {site!r}; allowed: a Site")
    if not isinstance(tiers, Sequence) or not all(isinstance(tier, Tier) for tier in tiers):
        raise TypeError(f"tiers is {tiers!r}; allowed: a sequence of Tier")
    if supply is None:
        raise TypeError("supply is None; allowed: numbers >= 0, one for each tier")
    n, names = len(tiers), tuple(tier.name for tier in tiers)
    rate = _column("supply", supply, 0.0, n)
    sold, low = _column("demand", demand, np.inf, n), _column("floors", floors, 0.0, n)
    price = np.array([tier.price_per_mtok for tier in tiers])
    value = price * rate * _MTOK_PER_TOKEN_S_YEAR * site.utilization
    with np.errstate(divide="ignore", invalid="ignore"):
        most = np.where(rate > 0, sold / rate, 0.0)
    power = site.it_power_w / 1e6
    if low.sum() > power * (1.0 + _ROUNDING) or (low > most).any():
        raise ValueError(f"floors is {floors!r}; allowed: within demand, {power:g} MW in all")
    if split is None:
        x, marginal = _best(value, most, low, power)
    else:
        shares = _column("split", split, 0.0, n)
        if shares.sum() > 1.0 + _ROUNDING:
            raise ValueError(f"split sums to {shares.sum():g}; allowed: at most 1")
        x = shares * power
        marginal = float(np.sum(np.where(x < most, shares * value, 0.0)))
        for tier, given, least in zip(names, x, low, strict=True):
            if given < least * (1.0 - _ROUNDING):
                raise ValueError(
                    f"split gives {tier} {given:g} MW; allowed: at least its floor of {least:g} MW"
                )
    return Allocation(names, x, np.minimum(x, most) * value, marginal, value)


def _best(
    value: NDArray[np.float64], most: NDArray[np.float64], low: NDArray[np.float64], power: float
) -> tuple[NDArray[np.float64], float]:
    """Power of each tier in the split that earns most, and what one more MW would earn."""
    x = low.copy()
    left = max(power - x.sum(), 0.0)
    for i in np.argsort(-value, kind="stable"):
        if value[i] <= 0:
            break
        room = most[i] - x[i]
        take = min(room, left)
        x[i] += take
        left -= take
        if take < room:  # this tier would take more
            return x, float(value[i])
    return x, 0.0
