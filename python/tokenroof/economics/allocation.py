"""A site's power over tiers: the split that earns most, and what a fixed one earns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tokenroof.economics.flows import SECONDS_PER_YEAR
from tokenroof.economics.site import Site
from tokenroof.economics.tiers import Tier
from tokenroof.support.lazy import require

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

_MTOK_PER_TOKEN_S_YEAR = SECONDS_PER_YEAR / 1e6


@dataclass(frozen=True)
class Allocation:
    """A split of a site's power over tiers.

    Attributes
    ----------
    tiers : tuple of str
    power_mw : ndarray
        Power of each tier [MW].
    revenue_per_year : float
        [$/year].
    marginal_value : float
        What one more MW would earn; 0 if power is not short [$/(MW year)].
    value : ndarray
        What a MW of each tier earns [$/(MW year)].
    """

    tiers: tuple[str, ...]
    power_mw: NDArray[np.float64]
    revenue_per_year: float
    marginal_value: float
    value: NDArray[np.float64]

    def to_frame(self) -> pd.DataFrame:
        """One row per tier."""
        frame: pd.DataFrame = require("pandas", extra="analysis").DataFrame(
            {
                "tier": self.tiers,
                "power_mw": self.power_mw,
                "value_per_mw_year": self.value,
                "revenue_per_year": self.power_mw * self.value,
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
) -> Allocation:
    """The split of a site's power over tiers that earns most, or what a fixed split earns.

    Floors are given first, then power goes to the tiers in order of what a MW of them earns, up to
    their demand: the fractional knapsack, which solves this linear programme exactly.

    Parameters
    ----------
    site : Site
        Its `power_w` is shared out.
    tiers : sequence of Tier
    supply : array_like
        Throughput of each tier per MW [token/(s MW)].
    demand : array_like, optional
        Most tokens that each tier can sell [token/s]; unlimited by default.
    floors : array_like, optional
        Least power of each tier [MW].
    split : array_like, optional
        Shares of a fixed split such as ``[0.25, 0.25, 0.25, 0.25, 0]``: with it nothing is
        optimised, and power beyond a tier's demand earns nothing.

    Returns
    -------
    Allocation
        Power of each tier [MW] and what the site earns [$/year].

    Raises
    ------
    ValueError
        For lengths that differ, numbers below zero, or floors that do not fit.

    Examples
    --------
    >>> site = Site(power_w=500e6)
    >>> tiers = [Tier("a", 3.0), Tier("b", 45.0)]
    >>> allocate(site, tiers, supply=[1.2e6, 1.2e5], demand=[3e8, 3.6e7]).power_mw
    array([200., 300.])
    """
    n = len(tiers)

    def column(name: str, value: ArrayLike | None, default: float) -> NDArray[np.float64]:
        array = np.full(n, default) if value is None else np.asarray(value, dtype=np.float64)
        if array.shape != (n,):
            raise ValueError(f"{name} has shape {array.shape}; allowed: one number for {n} tiers")
        if not (array >= 0).all():
            raise ValueError(f"{name} is {value!r}; allowed: numbers >= 0")
        return array

    rate = column("supply", supply, 0.0)
    if not np.isfinite(rate).all():
        raise ValueError(f"supply is {supply!r}; allowed: finite numbers")
    sold, low = column("demand", demand, np.inf), column("floors", floors, 0.0)
    price = np.array([tier.price_per_mtok for tier in tiers])
    value = price * rate * _MTOK_PER_TOKEN_S_YEAR
    with np.errstate(divide="ignore", invalid="ignore"):
        most = np.where(rate > 0, sold / rate, 0.0)
    power = site.power_w / 1e6
    if split is not None:
        given = column("split", split, 0.0)
        if given.sum() > 1.0 + 1e-9:
            raise ValueError(f"split sums to {given.sum():g}; allowed: at most 1")
        x = given * power
        earned = float(np.sum(np.minimum(x, most) * value))
        return Allocation(tuple(t.name for t in tiers), x, earned, float("nan"), value)
    if low.sum() > power or (low > most).any():
        raise ValueError(f"floors is {floors!r}; allowed: within demand, {power:g} MW in all")
    x = low.copy()
    left = power - x.sum()
    marginal = 0.0
    for i in np.argsort(-value, kind="stable"):
        if value[i] <= 0:
            break
        room = most[i] - x[i]
        take = min(room, left)
        x[i] += take
        left -= take
        if take < room:  # this tier would take more
            marginal = float(value[i])
            break
    return Allocation(tuple(t.name for t in tiers), x, float(np.sum(x * value)), marginal, value)
