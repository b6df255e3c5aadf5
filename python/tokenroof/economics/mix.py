"""Several generations on one site: which serves which tier, under every limit there is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from tokenroof.economics.site import Site
from tokenroof.economics.tier_uses import MTOK_PER_TOKEN_S_YEAR, check_curves, column, prices
from tokenroof.economics.tiers import check_tiers
from tokenroof.support.arguments import check_options, real_numbers, refuse, shown
from tokenroof.support.equality import by_value
from tokenroof.support.labels import refuse_labelled
from tokenroof.support.lazy import require
from tokenroof.support.quoting import counted

if TYPE_CHECKING:
    from typing import Unpack

    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

    from tokenroof.economics.demand_curves import DemandCurve
    from tokenroof.economics.tiers import Tier

    Array = NDArray[np.float64]

__all__ = ["Mix", "MixLimits", "best_mix"]

_PIECES = 256  # of a price that falls along a line


class MixLimits(TypedDict, total=False):
    """Limits of `best_mix`, as its docstring has them."""

    demand: ArrayLike | None
    floors: ArrayLike | None
    curves: Sequence[DemandCurve | None] | None
    devices_per_mw: ArrayLike | None
    devices_max: ArrayLike | None
    memory_per_mw: ArrayLike | None
    memory_max: float | None


@by_value
@dataclass(frozen=True)
class Mix:
    """The power of each generation at each tier, and what every limit is worth.

    Attributes
    ----------
    tiers : tuple of str
    power_mw : ndarray
        By generation and tier [MW].
    revenue : ndarray
        Of each tier [$/year].
    power_value : float
        What one more MW of IT power would earn [$/(MW year)].
    demand_value : ndarray
        What a demand of one more token/s would earn at each tier [$ s/(token year)].
    floor_cost : ndarray
        What the next MW that a floor holds at each tier costs [$/(MW year)].
    device_value : ndarray
        What one more device of each generation would earn [$/year].
    memory_value : float
        What one more byte of memory would earn [$/(B year)].
    """

    tiers: tuple[str, ...]
    power_mw: Array
    revenue: Array
    power_value: float
    demand_value: Array
    floor_cost: Array
    device_value: Array
    memory_value: float

    @property
    def revenue_per_year(self) -> float:
        """What all tiers earn [$/year]."""
        return float(np.sum(self.revenue))

    def to_frame(self) -> pd.DataFrame:
        """One row a generation and tier; a tier's revenue and values stand beside each."""
        k, n = self.power_mw.shape
        rows = [
            {"generation": g, "tier": self.tiers[i], "power_mw": float(self.power_mw[g, i]),
             "tier_revenue_per_year": float(self.revenue[i]), "demand_value": float(self.demand_value[i]),
             "floor_cost_per_mw_year": float(self.floor_cost[i])}
            for g in range(k) for i in range(n)
        ]  # fmt: skip
        frame: pd.DataFrame = require("pandas", extra="analysis").DataFrame(rows)
        return frame


def best_mix(
    site: Site, tiers: Sequence[Tier], supply: ArrayLike, **limits: Unpack[MixLimits]
) -> Mix:
    """The mix of generations over tiers that earns most: a linear programme, by HiGHS (scipy).

    Parameters
    ----------
    site : Site
        Its `it_power_w` is shared out, and earns in the part `utilization` of the year.
    tiers : sequence of Tier
    supply : array_like, 2-d
        Throughput of each generation (rows) at each tier per MW of IT power [token/(s MW)].
    demand, floors, curves : optional
        As in `allocate`; a floor is kept by all generations together. The worth of a price that falls along a
        line is cut into 256 steps.
    devices_per_mw : array_like, 2-d, optional
        Devices of each generation that a MW of each tier needs [1/MW]; with `devices_max`.
    devices_max : array_like, optional
        Devices that there are of each generation [1].
    memory_per_mw : array_like, 2-d, optional
        Memory that a MW of each generation needs at each tier [B/MW]; with `memory_max`.
    memory_max : float, optional
        Memory that there is in all [B].

    Returns
    -------
    Mix
        Power [MW], revenue [$/year], and the shadow price of every limit.

    Raises
    ------
    ValueError, TypeError
        For shapes that differ, numbers below zero, a limit without its use, or limits that nothing keeps.
    ImportError
        Without scipy.

    Examples
    --------
    >>> from tokenroof.economics import Tier
    >>> old, new = [1e5, 2e4], [3e5, 1e5]
    >>> found = best_mix(Site(power_w=1e8), [Tier("a", 3.0), Tier("b", 45.0)], [old, new],
    ...                  demand=[1e9, 4e6], devices_per_mw=[[500, 500], [300, 300]], devices_max=[1e9, 24e3])
    >>> found.power_mw.round(6).tolist()
    [[20.0, 0.0], [40.0, 40.0]]
    """
    check_options("best_mix", limits, MixLimits)
    if not isinstance(site, Site):
        raise TypeError(f"site is {shown(site)}; allowed: a Site")
    asked = check_tiers(tiers)
    n = len(asked)
    rate = _table("supply", supply, None, n)
    sold = column("demand", limits.get("demand"), np.inf, n)
    floors = column("floors", limits.get("floors"), 0.0, n)
    curves = check_curves(limits.get("curves"), n)
    parts = [
        (i, price, width)
        for i, (tier, curve) in enumerate(zip(asked, curves, strict=True))
        for price, width in _steps(prices(tier, curve, float(sold[i])))
    ]
    programme = _Programme(rate, parts)
    power = programme.limit(np.ones_like(rate), site.it_power_w / 1e6)
    caps = {i: programme.limit(_only(rate, i), sold[i]) for i in range(n) if np.isfinite(sold[i])}
    held = {
        i: programme.limit(-_only(np.ones_like(rate), i), -floors[i]) for i in range(n) if floors[i]
    }
    programme.widths()
    devices, memory = _hardware(programme, limits, rate.shape)
    year = MTOK_PER_TOKEN_S_YEAR * site.utilization
    try:
        x, duals = programme.solve(year)
    except ValueError as error:  # at zero power every other limit is kept: a floor is too high
        raise ValueError(
            f"{_too_high(floors, site, limits)}: limits leave nothing ({error})"
        ) from None
    revenue = np.zeros(n)
    for k, (i, price, _) in enumerate(parts):
        revenue[i] += price * float(rate[:, i] @ x[:, k]) * year
    owner = np.array([i for i, _, _ in parts])
    mw = np.stack([x[:, owner == i].sum(axis=1) for i in range(n)], axis=1)
    return Mix(
        tuple(tier.name for tier in asked), mw, revenue, duals[power],
        np.array([duals[caps[i]] if i in caps else 0.0 for i in range(n)]),
        np.array([duals[held[i]] if i in held else 0.0 for i in range(n)]),
        np.array([0.0 if row is None else duals[row] for row in devices]),
        0.0 if memory is None else duals[memory],
    )  # fmt: skip


def _too_high(floors: Array, site: Site, limits: MixLimits) -> str:
    """Which floors nothing keeps, and what is in their way."""
    most, held = site.it_power_w / 1e6, float(floors.sum())
    said = f"floors is {shown(floors.tolist())}, {held:g} MW in all; allowed: "
    if held > most:
        return f"{said}at most {most:g} MW, the site's"
    others = [
        name for name in ("demand", "devices_max", "memory_max") if limits.get(name) is not None
    ]
    return said + " and ".join(f"what {name} {shown(limits.get(name))} leaves" for name in others)


def _steps(parts: list[tuple[float, float, float]]) -> list[tuple[float, float]]:
    """Price and width of steps; along a line the worth of a step is that of its middle."""
    found = []
    for price, fall, width in parts:
        pieces = _PIECES if fall else 1
        found += [
            (price - fall * width * (k + 0.5) / pieces if fall else price, width / pieces)
            for k in range(pieces)
        ]
    return found


def _only(table: Array, i: int) -> Array:
    """The same in one column, nothing in the others."""
    one = np.zeros_like(table)
    one[:, i] = table[:, i]
    return one


def _table(name: str, value: object, k: int | None, n: int) -> Array:
    """Numbers by generation and tier."""
    refuse_labelled(name, value)
    array = real_numbers(value)
    if array is None:
        raise TypeError(f"{name} is {shown(value)}; allowed: numbers >= 0 by generation and tier")
    if (
        array.ndim != 2
        or not len(array)
        or array.shape[1] != n
        or (k is not None and array.shape[0] != k)
    ):
        rows = "a row for each generation" if k is None else f"{counted(k, 'row')}"
        raise ValueError(
            f"{name} has shape {array.shape}; allowed: {rows}, {counted(n, 'number')} in each"
        )
    refuse(name, array, ~(np.isfinite(array) & (array >= 0.0)), "finite numbers >= 0")
    return array


def _hardware(
    programme: _Programme, limits: MixLimits, shape: tuple[int, ...]
) -> tuple[list[int | None], int | None]:
    """Rows of the limits on devices of each generation and on memory."""
    k, n = shape
    for use, limit in (("devices_per_mw", "devices_max"), ("memory_per_mw", "memory_max")):
        if (limits.get(use) is None) != (limits.get(limit) is None):
            given, lacks = (use, limit) if limits.get(limit) is None else (limit, use)
            raise ValueError(f"{lacks} is None with {given}; allowed: both or neither")
    devices: list[int | None] = [None] * k
    if limits.get("devices_max") is not None:
        each = _table("devices_per_mw", limits.get("devices_per_mw"), k, n)
        most = column("devices_max", limits.get("devices_max"), np.inf, k)
        for g in range(k):
            if np.isfinite(most[g]):
                own = np.zeros_like(each)
                own[g] = each[g]
                devices[g] = programme.limit(own, most[g])
    if limits.get("memory_max") is None:
        return devices, None
    each = _table("memory_per_mw", limits.get("memory_per_mw"), k, n)
    total = real_numbers(limits.get("memory_max"))
    if total is None or total.ndim or not 0.0 <= total < np.inf:
        said = shown(limits.get("memory_max"))
        raise ValueError(f"memory_max is {said}; allowed: a finite number >= 0")
    return devices, programme.limit(each, float(total))


class _Programme:
    """Rows of a linear programme over the power of each generation in each part."""

    def __init__(self, rate: Array, parts: Sequence[tuple[int, float, float]]) -> None:
        self._rate, self._parts = rate, parts
        self._owner = np.array([i for i, _, _ in parts])
        self._rows: list[Array] = []
        self._most: list[float] = []
        self._scale: list[float] = []

    def limit(self, use: Array, most: float) -> int:
        """At most so much of what a MW of each generation uses at each tier; its number."""
        return self._add(use[:, self._owner], most)

    def widths(self) -> None:
        """Each part takes what it takes."""
        for k, (i, _, width) in enumerate(self._parts):
            if np.isfinite(width):
                row = np.zeros((self._rate.shape[0], len(self._parts)))
                row[:, k] = self._rate[:, i]
                self._add(row, width)

    def _add(self, row: Array, most: float) -> int:
        size = (
            float(np.abs(row).max(initial=0.0)) or 1.0
        )  # rows of like size: HiGHS' tolerances are absolute
        self._rows.append(row.ravel() / size)
        self._most.append(most / size)
        self._scale.append(size)
        return len(self._rows) - 1

    def solve(self, year: float) -> tuple[Array, Array]:
        """Power by generation and part, and what one more of each limit earns."""
        scipy: Any = require("scipy.optimize", extra="analysis")
        price = np.array([price for _, price, _ in self._parts])
        worth = (self._rate[:, self._owner] * price * year).ravel()
        unit = float(worth.max(initial=0.0)) or 1.0
        free = self._rate[:, self._owner].ravel() > 0.0  # what makes nothing takes floors alone
        floors = any(most < 0.0 for most in self._most)
        found = scipy.linprog(
            -worth / unit, A_ub=np.array(self._rows), b_ub=np.array(self._most),
            bounds=[(0.0, None if ok or floors else 0.0) for ok in free], method="highs",
        )  # fmt: skip
        if not found.success:
            raise ValueError(" ".join(str(found.message).split()))
        duals = np.maximum(-np.asarray(found.ineqlin.marginals) * unit / np.array(self._scale), 0.0)
        return np.asarray(found.x).reshape(self._rate.shape[0], -1), duals
