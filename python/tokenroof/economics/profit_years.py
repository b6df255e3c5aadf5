"""Services over years and under uncertainty: capital, prices that move, what a MW makes that grows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.economics.flows import borrows, present_value, rates_of_return
from tokenroof.economics.hourly_profit import HourlyOptions, check_services, hourly, settings
from tokenroof.economics.services import Service, hours_of_use
from tokenroof.support.arguments import (
    as_seed,
    check_options,
    count,
    finite_number,
    reals,
    share,
    shown,
)
from tokenroof.support.equality import by_value

if TYPE_CHECKING:
    from typing import Unpack

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = [
    "ProfitRange",
    "RangeOptions",
    "YearsOptions",
    "YearsProfit",
    "profit_over_years",
    "profit_range",
]

_HOURS = 8760.0
_CHUNK = 2**21  # numbers in one array of draws


class YearsOptions(HourlyOptions, total=False):
    """Options of `profit_over_years`, as its docstring has them."""

    years: int
    discount_rate: float
    token_price_growth: float
    power_price_growth: float
    throughput_growth: float
    residual_share: float


@by_value
@dataclass(frozen=True)
class YearsProfit:
    """Cash of services that are bought now.

    Attributes
    ----------
    flows : ndarray
        The first is what is paid now, then the end of each year [$].
    npv : float
        [$].
    running_share : ndarray
        Part of the hours that services run in, of each year [1].
    """

    flows: Array
    npv: float
    running_share: Array

    @property
    def irr(self) -> float | None:
        """The rate at which nothing is left; None where there is none, or more than one.

        There is none where nothing is invested before something is earned.
        """
        found = rates_of_return(self.flows)
        return found[0] if len(found) == 1 else None

    @property
    def payback_years(self) -> float:
        """Years until the sum of the flows is no longer negative [year].

        Infinite if never; NaN where nothing is invested first and years lose later.
        """
        if borrows(self.flows):
            return math.nan
        total = np.cumsum(self.flows)
        at = np.flatnonzero(total >= 0.0)
        if not at.size:
            return math.inf
        k = int(at[0])
        return float(k - total[k] / self.flows[k]) if k else 0.0


def profit_over_years(
    services: Sequence[Service],
    price_per_mwh: float | Sequence[float],
    **options: Unpack[YearsOptions],
) -> YearsProfit:
    """What services leave that are bought now, year by year; each year is dispatched at its own prices.

    Parameters
    ----------
    services, price_per_mwh, pue, curtail, curtailment_income
        As in `hourly_profit`, of the first year.
    years : int, optional
        Of operation; 5 by default.
    discount_rate : float, optional
        Yearly cost of capital [1/year]; 0.083 by default.
    token_price_growth, power_price_growth, throughput_growth : float, optional
        Yearly rise of the prices of tokens and of electricity, and of what the same devices make by better
        software [1/year]; 0 by default.
    residual_share : float, optional
        What the devices are worth after the last year, over their cost [1]; 0 by default.

    Returns
    -------
    YearsProfit
        Flows [$] and present value [$].

    Raises
    ------
    ValueError, TypeError
        As `hourly_profit`; for a rate of -1 or below.

    Examples
    --------
    >>> chat = Service(name="chat", devices=100.0, output_tokens_per_s=1000.0, price_per_mtok=1.0,
    ...                watts=1500.0, use=0.6, capex=30e3, cost_per_hour=0.2)
    >>> bought = profit_over_years([chat], 60.0, token_price_growth=-0.2)
    >>> bought.flows.size, bought.npv > 0.0, round(bought.payback_years, 1)
    (6, True, 2.0)
    """
    check_options("profit_over_years", options, YearsOptions)
    asked = check_services(services)
    years = count("years", options.get("years", 5))
    rate, token, power, made = (
        _growth(name, options.get(name, default))
        for name, default in (("discount_rate", 0.083), ("token_price_growth", 0.0),
                              ("power_price_growth", 0.0), ("throughput_growth", 0.0))
    )  # fmt: skip
    left = share("residual_share", options.get("residual_share", 0.0), zero=True)
    k = np.arange(years)
    factors = tuple(
        np.asarray((1.0 + growth) ** k, dtype=np.float64) for growth in (token, power, made)
    )
    profit, running = _draws(asked, price_per_mwh, settings(options), factors)
    capital = sum(service.devices * service.capex for service in asked)
    flows = np.concatenate([[-capital], profit])
    flows[-1] += left * capital
    return YearsProfit(flows, float(present_value(rate, flows)), running)


@by_value
@dataclass(frozen=True)
class ProfitRange:
    """Profit of a year under uncertainty.

    Attributes
    ----------
    profits : ndarray
        Of each draw [$/year].
    """

    profits: Array

    @property
    def mean(self) -> float:
        """[$/year]."""
        return float(self.profits.mean())

    @property
    def loss(self) -> float:
        """Chance that nothing is left [1]."""
        return float(np.mean(self.profits < 0.0))

    def percentile(self, part: float) -> float:
        """Profit that so large a part of the draws stays below: 10, 50, 90.

        Parameters
        ----------
        part : float
            [percent].

        Returns
        -------
        float
            [$/year].
        """
        at = finite_number("part", part)
        if at > 100.0:
            raise ValueError(f"part is {shown(part)}; allowed: from 0 to 100")
        return float(np.percentile(self.profits, at))


class RangeOptions(HourlyOptions, total=False):
    """Options of `profit_range`, as its docstring has them."""

    token_price_sigma: float
    power_price_sigma: float
    throughput_sigma: float
    draws: int
    seed: int


def profit_range(
    services: Sequence[Service],
    price_per_mwh: float | Sequence[float],
    **options: Unpack[RangeOptions],
) -> ProfitRange:
    """The profit of a year where prices and throughput are not sure: each draw is dispatched for itself.

    Parameters
    ----------
    services, price_per_mwh, pue, curtail, curtailment_income
        As in `hourly_profit`: the means.
    token_price_sigma, power_price_sigma, throughput_sigma : float, optional
        Standard deviation of the logarithm of a factor of mean 1, the same for all services and hours, of
        token prices, prices of electricity and throughput [1]; 0 by default.
    draws : int, optional
        4,096 by default.
    seed : int, optional
        0 by default.

    Returns
    -------
    ProfitRange
        [$/year].

    Raises
    ------
    ValueError, TypeError
        As `hourly_profit`.

    Examples
    --------
    >>> chat = Service(name="chat", devices=1.0, output_tokens_per_s=1000.0, price_per_mtok=1.0, watts=1500.0,
    ...                use=0.6, cost_per_hour=1.5)
    >>> found = profit_range([chat], 60.0, token_price_sigma=0.3)
    >>> found.percentile(10) < found.percentile(50) < found.percentile(90), 0.0 < found.loss < 1.0
    (True, True)
    """
    check_options("profit_range", options, RangeOptions)
    asked = check_services(services)
    n = count("draws", options.get("draws", 4096))
    seed = as_seed(options.get("seed", 0))
    normal = np.random.default_rng(seed).standard_normal((3, n))
    factors = []
    for row, name in zip(
        normal, ("token_price_sigma", "power_price_sigma", "throughput_sigma"), strict=True
    ):
        sigma = finite_number(name, options.get(name, 0.0))
        factors.append(np.exp(sigma * row - 0.5 * sigma * sigma))
    return ProfitRange(_draws(asked, price_per_mwh, settings(options), tuple(factors))[0])


def _growth(name: str, value: object) -> float:
    return finite_number(name, value, -1.0, above=True)


def _draws(
    services: Sequence[Service],
    price_per_mwh: float | Sequence[float],
    how: dict[str, Any],
    factors: tuple[Array, ...],
) -> tuple[Array, Array]:
    """Profit of a year [$], and part of the hours that run, for each set of factors."""
    prices = reals("price_per_mwh", price_per_mwh, None)
    if prices.ndim > 1 or not prices.size:
        raise ValueError(
            f"price_per_mwh has shape {prices.shape}; allowed: a number, or one for each hour"
        )
    use, each = hours_of_use(services, np.atleast_1d(prices))
    step = max(1, _CHUNK // use.size)
    profits, running = [], []
    for start in range(0, factors[0].size, step):
        token, power, made = (f[start : start + step] for f in factors)
        parts = hourly(services, use, each, how, (token, power, made))
        kept = parts["revenue"] - parts["licence"] - parts["power"]
        kept = kept + parts["curtailment"] - parts["cost"]
        profits.append(kept.mean(axis=2).sum(axis=1) * _HOURS)
        running.append(parts["running"].mean(axis=(1, 2)))
    return np.concatenate(profits), np.concatenate(running)
