"""What a factory is worth where prices wander: percentiles and ruin."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import _core
from tokenroof.economics.cash_chunks import BLOCK, CashWork, spread_in_memory, spread_of
from tokenroof.economics.scenarios.cash_flow import CashFlow
from tokenroof.economics.scenarios.result import factory
from tokenroof.economics.scenarios.scenario import Scenario
from tokenroof.scale.datasets import stored
from tokenroof.scale.grid import Grid
from tokenroof.support.arguments import finite_number, flag, shown, whole_number
from tokenroof.support.equality import by_value
from tokenroof.support.processors import thread_count
from tokenroof.support.quoting import counted

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

#: Paths of a chunk where nobody says how many.
_CHUNK = 2**20

__all__ = ["Risk", "Uncertainty", "price_paths", "risk"]


@dataclass(frozen=True)
class Uncertainty:
    """How the price of what is sold, and that of electricity, wander about their courses.

    Logarithms follow Ornstein and Uhlenbeck's process; those of the price have jumps of exponential size to
    both sides. The scenario's prices are the means of each year. Those of year 0 are known, as it is now; a
    year's cash comes at its end, as in `factory`, at the prices of that day: in year y they have wandered for
    y years, so that without reversion the logarithm's standard deviation is volatility sqrt(y), and the first
    income of a factory that stands a year from now has one year's. (The mean of the prices over a year would
    wander less: over the first, by a third of its variance.)

    Parameters
    ----------
    price_volatility, power_volatility : float
        Standard deviation of a year's change of the logarithm, without what pulls it back [1/sqrt(year)].
    price_reversion, power_reversion : float
        Rate at which a deviation fades; 0: it stays [1/year].
    correlation : float
        Of the two, from -1 to 1 [1].
    jumps_per_year : float
        Chance of a jump in a year, from 0 to 1 [1/year].
    jump_up_share : float
        Part of the jumps that go upwards [1].
    jump_up, jump_down : float
        Mean size of their logarithms; `jump_up` below 1, or the mean price would be infinite [1].
    supply_response : float
        Rate at which supply follows the price, a year later, and takes income away: a network's hashrate
        (difficulty follows profit), rivals' GPUs; 0: none [1/year].
    output_error, capital_error : float
        Standard deviation of the logarithms of what a MW makes and of what it costs, both drawn once a path
        about the scenario's [1].
    capital_correlation : float
        Of the latter with the price of year 1, from -1 to 1 [1].
    can_stop : bool
        Whether a year that would earn less than its electricity is not run.

    Raises
    ------
    ValueError, TypeError
        Naming the field, its value and what is allowed.

    References
    ----------
    Kou, A Jump-Diffusion Model for Option Pricing, Management Science 48(8), 2002.

    Examples
    --------
    >>> Uncertainty(price_volatility=0.5, price_reversion=0.3).price_noise < 0.5
    True
    """

    price_volatility: float = 0.0
    price_reversion: float = 0.0
    power_volatility: float = 0.0
    power_reversion: float = 0.0
    correlation: float = 0.0
    jumps_per_year: float = 0.0
    jump_up_share: float = 0.5
    jump_up: float = 0.0
    jump_down: float = 0.0
    supply_response: float = 0.0
    output_error: float = 0.0
    capital_error: float = 0.0
    capital_correlation: float = 0.0
    can_stop: bool = False

    def __post_init__(self) -> None:
        put = object.__setattr__
        for name in ("price_volatility", "price_reversion", "power_volatility", "power_reversion",
                     "jumps_per_year", "jump_up_share", "jump_up", "jump_down", "supply_response",
                     "output_error", "capital_error"):  # fmt: skip
            put(self, name, finite_number(name, getattr(self, name)))
        for name in ("correlation", "capital_correlation"):
            put(self, name, finite_number(name, getattr(self, name), -1.0))
        for name in ("correlation", "capital_correlation", "jumps_per_year", "jump_up_share"):
            if getattr(self, name) > 1.0:
                raise ValueError(f"{name} is {shown(getattr(self, name))}; allowed: at most 1")
        if self.jump_up >= 1.0:
            raise ValueError(f"jump_up is {shown(self.jump_up)}; allowed: from 0, below 1")
        least = float(self.shocks(100).min())  # supply may overshoot: what falls then raises income
        if self.jump_down * -least >= 1.0:
            raise ValueError(
                f"jump_down is {shown(self.jump_down)}; "
                f"allowed with this supply_response: below {-1.0 / least:.4g}"
            )
        put(self, "can_stop", bool(flag("can_stop", self.can_stop)))

    @property
    def price_noise(self) -> float:
        """Standard deviation that a year adds to the price's logarithm [1]."""
        return _noise(self.price_volatility, self.price_reversion)

    @property
    def power_noise(self) -> float:
        """Standard deviation that a year adds to the logarithm of the price of power [1]."""
        return _noise(self.power_volatility, self.power_reversion)

    def model(self, tax_rate: float) -> dict[str, float]:
        """Fields of the kernel."""
        return {
            "price_start": 0.0, "price_keep": math.exp(-self.price_reversion),
            "power_start": 0.0, "power_keep": math.exp(-self.power_reversion),
            "price_noise": self.price_noise, "power_noise": self.power_noise,
            "correlation": self.correlation, "jump_chance": self.jumps_per_year,
            "jump_up_share": self.jump_up_share, "jump_up": self.jump_up, "jump_down": self.jump_down,
            "supply_follow": -math.expm1(-self.supply_response), "output_noise": self.output_error,
            "capital_noise": self.capital_error, "capital_correlation": self.capital_correlation,
            "can_stop": float(self.can_stop), "tax_rate": tax_rate,
        }  # fmt: skip

    def shocks(self, years: int) -> Array:
        """What is left, after so many years, of a shock of the price in the logarithm of income [1]."""
        keep, follow = math.exp(-self.price_reversion), -math.expm1(-self.supply_response)
        left, price, supply = np.empty(years), 1.0, 0.0
        for age in range(years):
            left[age] = price - supply
            supply += follow * (price - supply)
            price *= keep
        return left

    def price_means(self, years: int) -> Array:
        """Mean of the exponential of the logarithm of income's price 1, 2, ... years from now [1]."""
        return self.mean_of(self.shocks(years))

    def mean_of(self, left: Array) -> Array:
        """Mean of the exponential of a sum of so many years' shocks, `left` of each: by their number [1]."""
        with np.errstate(over="ignore"):
            means = np.exp(0.5 * self.price_noise**2 * np.cumsum(left * left))
        jumps = np.array([self._jump_mean(part) for part in left])
        return _known("price_volatility", self.price_volatility, means * np.cumprod(jumps))

    def power_means(self, years: int) -> Array:
        """The same of the price of power [1]."""
        means = _means(self.power_noise, self.power_reversion, years)
        return _known("power_volatility", self.power_volatility, means)

    def _jump_mean(self, left: float) -> float:
        """Mean of exp(left * jump) of one year (Kou 2002, equation 3)."""
        up = self.jump_up_share / (1.0 - self.jump_up * left)
        down = (1.0 - self.jump_up_share) / (1.0 + self.jump_down * left)
        return 1.0 - self.jumps_per_year + self.jumps_per_year * (up + down)


def _noise(volatility: float, reversion: float) -> float:
    """Standard deviation of a year of Ornstein and Uhlenbeck's process [1]."""
    pulled = -math.expm1(-2.0 * reversion) / (2.0 * reversion) if reversion else 1.0
    return volatility * math.sqrt(pulled)


def _known(name: str, value: float, means: Array) -> Array:
    """Means over years, where floats hold them."""
    if not np.isfinite(means).all():
        raise ValueError(
            f"{name} is {shown(value)} over {counted(len(means), 'year')}; allowed: a spread whose "
            "mean is finite"
        )
    return means


def _means(noise: float, reversion: float, years: int) -> Array:
    keep = math.exp(-2.0 * reversion)
    variance, found = 0.0, np.empty(years)
    for year in range(years):
        variance = variance * keep + noise * noise
        found[year] = 0.5 * variance
    with np.errstate(over="ignore"):
        return np.exp(found)


@by_value
@dataclass(frozen=True)
class Risk:
    """Present values of many paths.

    Attributes
    ----------
    paths, seed : int
    mean, mean_error : float
        Mean present value and its standard error [$].
    certain : float
        Present value without uncertainty [$].
    p10, p50, p90 : float
        Present value that is exceeded with 90, 50 and 10 % probability: percentiles 10, 50 and 90. Energy
        planners call the first "P90" [$].
    loss : float
        Part of the paths that are worth less than nothing [1].
    ruin : float
        Part in which the cash so far falls below what there is to lose; NaN without a reserve [1].
    worth, lowest : ndarray
        Of each path: present value, and the least sum of its cash so far [$]. Of paths that were played in
        chunks: Dask arrays that read the store, and without a store none.
    """

    paths: int
    seed: int
    mean: float
    mean_error: float
    certain: float
    p10: float
    p50: float
    p90: float
    loss: float
    ruin: float
    worth: Array = field(repr=False)
    lowest: Array = field(repr=False)


def risk(
    scenario: Scenario | str | os.PathLike[str] | Mapping[str, Any],
    uncertainty: Uncertainty,
    *,
    paths: int = 100_000,
    seed: int = 0,
    reserve: float | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], Any] | None = None,
    chunks: int | None = None,
    client: Any = None,
    store: str | os.PathLike[str] | None = None,
) -> Risk:
    """Play a factory's years many times, prices wandering about their courses.

    Runs without the GIL; Ctrl-C stops it within 50 ms. A seed gives the same answer on any number of threads
    and any instruction set.

    Parameters
    ----------
    scenario : Scenario, path, name or mapping
        As for `factory`. What is borrowed counts: the cash is the owners'.
    uncertainty : Uncertainty
    paths, seed : int
    reserve : float, optional
        What the owners can lose before they are ruined, capital included [$].
    threads : int, optional
        All that may run by default; of each worker of a client, one.
    progress : callable, optional
        Called with paths done and paths in all, every 100 ms and at the end.
    chunks : int, optional
        Paths of a chunk, up to a whole number of 16,384: they are played chunk by chunk, and none is held
        longer than that [1].
    client, store : optional
        As in `tokenroof.sweep`: who plays the chunks, and where all paths are kept, from where a run that
        was killed goes on.

    Returns
    -------
    Risk

    Raises
    ------
    OSError, KeyError, ValueError, TypeError
        As `factory`, and for a number out of its range, by name.
    KeyboardInterrupt
        On Ctrl-C.

    Notes
    -----
    Income, licence fees and electricity move with their prices, which wander from now on: those of year y
    for y years, those of year 0 not at all (`Uncertainty`). Curtailment by the hour follows the
    scenario's prices. Tax is taken on each path, its losses carried forward. A loan stays as the scenario has
    it: capital that costs more is the owners'.

    Examples
    --------
    >>> from tokenroof.economics import mine
    >>> plan = mine("Antminer S21", hashprice=50.0, usd_per_terahash=16.0)
    >>> wander = Uncertainty(price_volatility=0.5, price_reversion=0.5, can_stop=True)
    >>> found = risk(plan, wander, paths=20_000)
    >>> found.mean > found.certain, found.p10 < found.p50 < found.p90
    (True, True)
    """
    if not isinstance(uncertainty, Uncertainty):
        raise TypeError(f"uncertainty is {shown(uncertainty)}; allowed: an Uncertainty")
    found = factory(scenario)
    count = whole_number("paths", paths, 2, 2**31)
    start = whole_number("seed", seed, 0, 2**64 - 1)
    workers = 1 if threads is None and client is not None else thread_count(threads)
    if progress is not None and not callable(progress):
        raise TypeError(f"progress is {shown(progress)}; allowed: a function or None")
    spare = None if reserve is None else finite_number("reserve", reserve)
    model = uncertainty.model(found.scenario.finance.tax_rate)
    packed = np.array([model[name] for name in _core.CASH_FIELDS])
    columns = _columns(found.flow, uncertainty, found.scenario.finance.discount_rate)
    cut = any(given is not None for given in (chunks, client, store))
    size = -(-whole_number("chunks", _CHUNK if chunks is None else chunks, 1) // BLOCK) * BLOCK
    work = CashWork(packed, columns, start, workers, Grid(("path",), (count,), (min(size, count),)))
    worth = lowest = np.empty(0)
    if cut:
        said, kept = spread_of(work, found.equity_npv, spare, (client, store), progress)
        if kept is not None:
            worth, lowest = (stored(kept)[name] for name in ("worth", "lowest"))
    else:
        worth, lowest = work.play(0, count, progress)
        said = spread_in_memory(worth, lowest, found.equity_npv, spare)
    return Risk(
        count, start, said.mean, said.mean_error, found.equity_npv, said.p10, said.p50, said.p90, said.loss,
        said.ruin, worth, lowest,
    )  # fmt: skip


def price_paths(
    how: Uncertainty, years: int, paths: int, seed: int, threads: int | None = None
) -> tuple[Array, Array, Array]:
    """Logarithms of income's price, of power's and of supply over their courses 1, 2, ... years from now: a
    row for each year [1]."""
    model = how.model(0.0)
    packed = np.array([model[name] for name in _core.CASH_FIELDS])
    columns = np.zeros(len(_core.CASH_COLUMNS) * (years + 1))  # the first is now
    worth, lowest, rows = np.empty(paths), np.empty(paths), np.empty(4 * paths * (years + 1))
    _core.simulate_cash(
        _core.ISA, packed, columns, seed, worth, lowest, rows, thread_count(threads)
    )
    each = rows.reshape(paths, 4, years + 1)
    income, power, supply = (np.ascontiguousarray(each[:, k, 1:].T) for k in range(3))
    return income, power, supply


def _columns(flow: CashFlow, uncertainty: Uncertainty, rate: float) -> Array:
    """Columns of the kernel, one after the other, so that means are the scenario's [$]."""
    years = flow.year.size - 1  # after now, whose prices are known
    sold, bought = (
        np.concatenate([[1.0], means])
        for means in (uncertainty.price_means(years), uncertainty.power_means(years))
    )
    at = {
        "revenue": (flow.revenue - flow.licence) / sold,
        "power": flow.power / bought,
        "costs": flow.operation - flow.curtailment + flow.interest,
        "deductions": flow.depreciation,
        "capital": flow.capex - flow.residual,
        "other": flow.draw - flow.principal,
        "discount": (1.0 + rate) ** -flow.year.astype(float),
    }
    return np.concatenate([at[name] for name in _core.CASH_COLUMNS])
