"""What tokens and hashes cost and earn, at the same meter.

Money is in dollars of the year it is quoted in; energy at the meter is what a site pays for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import kernels
from tokenroof.economics.meter import Comparison, Market, compare_per_mwh
from tokenroof.support.arguments import finite_number

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray


__all__ = [
    "SECONDS_PER_YEAR", "Allocation", "Comparison", "Market", "Site", "Tier", "allocate",
    "compare_per_mwh", "cost_per_mtok", "crf", "gtc2026_tiers", "irr", "levelized_cost", "npv", "payback",
    "revenue_per_mwh",
]  # fmt: skip

SECONDS_PER_YEAR = 365 * 86400
_MTOK_PER_TOKEN_S_YEAR = SECONDS_PER_YEAR / 1e6


@dataclass(frozen=True)
class Site:
    """A place with a meter.

    Parameters
    ----------
    power_w : float
        Power at the meter [W].
    pue : float
        Facility power over IT power [1].
    price_per_kwh : float
        Price of electricity [$/kWh].
    capex : float
        Cost of the building and what it holds [$].
    life_years : float
        Years over which it is written off.
    discount_rate : float
        Yearly cost of capital [1].
    om_per_year : float
        Operation and maintenance [$/year].
    utilization : float
        Share of the time that it works [1].

    Examples
    --------
    >>> site = Site(power_w=1e9, price_per_kwh=0.06, capex=40e9, life_years=15, discount_rate=0.08)
    >>> round(site.capital_per_mwh, 6)
    533.468242
    """

    power_w: float
    pue: float = 1.0
    price_per_kwh: float = 0.0
    capex: float = 0.0
    life_years: float = 15.0
    discount_rate: float = 0.0
    om_per_year: float = 0.0
    utilization: float = 1.0

    def __post_init__(self) -> None:
        finite_number("power_w", self.power_w, above=True)
        finite_number("pue", self.pue, 1.0)
        finite_number("price_per_kwh", self.price_per_kwh)
        finite_number("capex", self.capex)
        finite_number("life_years", self.life_years, above=True)
        finite_number("discount_rate", self.discount_rate)
        finite_number("om_per_year", self.om_per_year)
        if finite_number("utilization", self.utilization, above=True) > 1.0:
            raise ValueError(f"utilization is {self.utilization!r}; allowed: above 0, at most 1")

    @property
    def mwh_per_year(self) -> float:
        """Energy that the meter counts in a year [MWh]."""
        return self.power_w / 1e6 * 8760.0 * self.utilization

    @property
    def capital_per_mwh(self) -> float:
        """Annuity of the capital over the year's energy [$/MWh]."""
        return self.capex * crf(self.discount_rate, self.life_years) / self.mwh_per_year

    @property
    def cost_per_mwh(self) -> float:
        """Capital, operation and electricity [$/MWh]."""
        running = self.om_per_year / self.mwh_per_year
        return self.capital_per_mwh + running + 1000.0 * self.price_per_kwh


@dataclass(frozen=True)
class Tier:
    """A class of service: what a token costs at which speed.

    Parameters
    ----------
    name : str
    price_per_mtok : float
        Price of a million output tokens [$].
    interactivity : float, optional
        Tokens per second of one user [token/s]; None where nobody states it.
    model : str, optional
    context : float, optional
        Tokens [1].
    provenance : mapping
        Origin of each field that has one.
    """

    name: str
    price_per_mtok: float
    interactivity: float | None = None
    model: str | None = None
    context: float | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"name is {self.name!r}; allowed: text")
        finite_number("price_per_mtok", self.price_per_mtok)
        for name in ("interactivity", "context"):
            if getattr(self, name) is not None:
                finite_number(name, getattr(self, name), above=True)


def gtc2026_tiers() -> tuple[Tier, ...]:
    """The five tiers of the GTC 2026 keynote; what nobody printed is None.

    Examples
    --------
    >>> [tier.price_per_mtok for tier in gtc2026_tiers()]
    [0.0, 3.0, 6.0, 45.0, 150.0]
    """
    from tokenroof.catalogue import tier_rows

    names = ("name", "price_per_mtok", "interactivity", "model", "context", "provenance")
    return tuple(Tier(**{name: row[name] for name in names}) for row in tier_rows())


# --- the time value of money ---------------------------------------------------------------------------


def crf(rate: float, years: float) -> float:
    """Capital recovery factor: the yearly payment that repays one dollar.

    References
    ----------
    Short, Packey, Holt, NREL/TP-462-5173, 1995: r / (1 - (1 + r)**-n); 1/n without interest.

    Examples
    --------
    >>> round(crf(0.08, 15), 12)
    0.116829544936
    """
    r, n = finite_number("rate", rate), finite_number("years", years, above=True)
    # expm1 and log1p keep it exact for small rates
    return 1.0 / n if r == 0.0 else float(r / -np.expm1(-n * np.log1p(r)))


def _flows(flows: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(flows, dtype=np.float64)
    if array.ndim != 1 or array.size == 0 or not np.isfinite(array).all():
        raise ValueError(f"flows is {flows!r}; allowed: finite numbers in one dimension")
    return array


def npv(rate: float, flows: ArrayLike) -> float:
    """Net present value of yearly flows, the first of them now [$].

    Examples
    --------
    >>> round(npv(0.1, [-1000, 300, 420, 680]), 9)
    130.728775357
    """
    if not np.isfinite(rate) or rate <= -1.0:
        raise ValueError(f"rate is {rate!r}; allowed: a finite number above -1")
    array = _flows(flows)
    return float(np.sum(array * (1.0 + rate) ** -np.arange(array.size)))


def irr(flows: ArrayLike) -> tuple[float, ...]:
    """All rates at which the net present value is zero, ascending.

    More than one, or none, is possible where flows change sign more than once.

    Examples
    --------
    >>> [round(rate, 9) for rate in irr([-1600, 10000, -10000])]
    [0.25, 4.0]
    """
    array = _flows(flows)
    try:
        with np.errstate(all="ignore"):
            roots = np.roots(array[::-1])  # in x = 1 / (1 + rate)
    except np.linalg.LinAlgError:
        raise ValueError(f"flows is {flows!r}; allowed: numbers of like size") from None
    nearly_real = np.abs(roots.imag) <= 1e-7 * np.maximum(1.0, np.abs(roots))
    real = roots[nearly_real & (roots.real > 1e-300)].real
    rates: list[float] = []
    years = np.arange(array.size)
    for x in sorted(map(float, real), reverse=True):
        rate = 1.0 / x - 1.0
        with np.errstate(all="ignore"):
            present = array * x**years
        # coefficients of very different size give roots that are none
        genuine = abs(present.sum()) <= 1e-9 * np.abs(present).sum()
        if genuine and (not rates or rate - rates[-1] > 1e-6 * (1.0 + rate)):
            rates.append(rate)
    return tuple(rates)


def payback(capex: float, net_per_year: float) -> float:
    """Years until yearly net income has repaid the capital; infinite where it never does.

    Examples
    --------
    >>> round(payback(30000, 12330), 6)
    2.43309
    """
    cost = finite_number("capex", capex)
    if not np.isfinite(net_per_year):
        raise ValueError(f"net_per_year is {net_per_year!r}; allowed: a finite number")
    return cost / net_per_year if net_per_year > 0 else float("inf")


def levelized_cost(costs: ArrayLike, output: ArrayLike, rate: float) -> float:
    """Present value of yearly costs over that of yearly output [$ per unit].

    Parameters
    ----------
    costs, output : array_like, 1-d
        Per year, the first of them now.
    rate : float
        Yearly discount rate [1].

    Examples
    --------
    >>> round(levelized_cost([100, 10, 10], [0, 50, 50], 0.0), 6)
    1.2
    """
    made = npv(rate, output)
    if made <= 0:
        raise ValueError(f"output is {output!r}; allowed: a present value above 0")
    if _flows(costs).size != _flows(output).size:
        raise ValueError("costs and output differ in length; allowed: one number per year each")
    return npv(rate, costs) / made


# --- tokens --------------------------------------------------------------------------------------------


def cost_per_mtok(
    tokens_per_s: ArrayLike,
    watts: ArrayLike,
    price_per_kwh: ArrayLike,
    cost_per_hour: ArrayLike = 0.0,
    pue: ArrayLike = 1.0,
) -> Any:
    """Cost of a million tokens: the machine's hours and its electricity [$/Mtok].

    Parameters
    ----------
    tokens_per_s : array_like
        Throughput that is sold [token/s].
    watts : array_like
        Power of the machine [W].
    price_per_kwh, cost_per_hour : array_like
        Electricity [$/kWh], capital and operation [$/h].
    pue : array_like
        Facility power over IT power [1].

    Examples
    --------
    >>> round(float(cost_per_mtok(1000.0, 3600.0, 0.1, cost_per_hour=3.6)), 9)
    1.1
    """
    k: Any = kernels
    power = np.asarray(watts, dtype=float) * np.asarray(pue, dtype=float)
    hours = k.cost_per_mtok(np.asarray(cost_per_hour, dtype=float), tokens_per_s)
    return hours + k.energy_cost_per_mtok(power, tokens_per_s, price_per_kwh)


def revenue_per_mwh(tokens_per_s_per_mw: ArrayLike, price_per_mtok: ArrayLike) -> Any:
    """Revenue of tokens per MWh at the meter [$/MWh].

    Examples
    --------
    >>> float(revenue_per_mwh(1e6, 2.0))
    7200.0
    """
    k: Any = kernels
    return k.token_revenue_per_mwh(tokens_per_s_per_mw, price_per_mtok)


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
        from tokenroof.support.lazy import require

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
