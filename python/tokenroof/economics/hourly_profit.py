"""What services together leave of an hour: watts by load, prices of power by hour, curtailment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from tokenroof import kernels
from tokenroof.economics.services import Service, hours_of_use
from tokenroof.support.arguments import (
    check_options,
    finite_number,
    is_number,
    number,
    reals,
    shown,
)
from tokenroof.support.equality import by_value

if TYPE_CHECKING:
    from typing import Unpack

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["HourlyOptions", "HourlyProfit", "check_services", "hourly", "hourly_profit", "settings"]

_HOURS = 8760.0


class HourlyOptions(TypedDict, total=False):
    """Options of `hourly_profit`, as its docstring has them."""

    pue: float
    curtail: str | float
    curtailment_income: float


@by_value
@dataclass(frozen=True)
class HourlyProfit:
    """Amounts by service (rows) and hour.

    Attributes
    ----------
    services : tuple of str
    revenue, licence, power, curtailment, cost : ndarray
        ``power`` is the bill of electricity, negative where its price is; ``curtailment`` what the grid pays;
        ``cost`` rent and operation, whether it runs or not [$/h].
    meter_w : ndarray
        Power at the meter [W].
    running : ndarray of bool
    """

    services: tuple[str, ...]
    revenue: Array
    licence: Array
    power: Array
    curtailment: Array
    cost: Array
    meter_w: Array
    running: NDArray[np.bool_]

    @property
    def profit(self) -> Array:
        """What is left, by service and hour [$/h]."""
        return self.revenue - self.licence - self.power + self.curtailment - self.cost

    @property
    def profit_per_year(self) -> float:
        """Of all services, the hours being a year's in turn [$/year]."""
        return float(self.profit.mean(axis=1).sum()) * _HOURS

    @property
    def by_service(self) -> dict[str, float]:
        """Profit of a year of each [$/year]."""
        each = self.profit.mean(axis=1) * _HOURS
        return dict(zip(self.services, each.tolist(), strict=True))

    @property
    def energy_mwh_per_year(self) -> float:
        """At the meter [MWh/year]."""
        return float(self.meter_w.mean(axis=1).sum()) / 1e6 * _HOURS

    @property
    def profit_per_mwh(self) -> float:
        """Of a MWh that the meter counts; NaN where it counts none [$/MWh]."""
        energy = self.energy_mwh_per_year
        return self.profit_per_year / energy if energy else np.nan


def hourly_profit(
    services: Sequence[Service],
    price_per_mwh: float | Sequence[float],
    **options: Unpack[HourlyOptions],
) -> HourlyProfit:
    """What services that share a site leave of each hour.

    Watts follow the load: idle ones, and the rest in proportion to use. A service that is curtailed sells
    nothing and draws nothing; its rent and its capital run on.

    Parameters
    ----------
    services : sequence of Service
        Of different names.
    price_per_mwh : float or sequence of float
        Of electricity: one number, or one for each hour of the period; negative ones are allowed [$/MWh].
    pue : float, optional
        Power at the meter over that of the servers [1]; 1 by default.
    curtail : {"never", "at_loss"} or float, optional
        When a service is switched off: never, in hours in which it earns less by running than by not running,
        or above a price of electricity [$/MWh]; never by default.
    curtailment_income : float, optional
        What the grid pays for a MWh that would have been taken [$/MWh]; 0 by default.

    Returns
    -------
    HourlyProfit
        [$/h]; `profit_per_year` repeats the period over the year.

    Raises
    ------
    ValueError, TypeError
        For a number out of its range, hours that do not fit each other, or services of one name.

    Examples
    --------
    >>> chat = Service(name="chat", devices=1.0, output_tokens_per_s=1000.0, price_per_mtok=4.0,
    ...                watts=1500.0, idle_watts=500.0, use=[0.0, 1.0], cost_per_hour=1.0)
    >>> got = hourly_profit([chat], [40.0, 80.0])
    >>> got.power.tolist(), got.profit.round(2).tolist()
    ([[0.02, 0.12]], [[-1.02, 13.28]])
    """
    check_options("hourly_profit", options, HourlyOptions)
    asked = check_services(services)
    prices = reals("price_per_mwh", price_per_mwh, None)
    if prices.ndim > 1 or not prices.size:
        raise ValueError(
            f"price_per_mwh has shape {prices.shape}; allowed: a number, or one for each hour"
        )
    use, each = hours_of_use(asked, np.atleast_1d(prices))
    one = np.ones(1)
    parts = hourly(asked, use, each, settings(options), (one, one, one))
    return HourlyProfit(tuple(s.name for s in asked), *(parts[name][0] for name in _PARTS))


_PARTS = ("revenue", "licence", "power", "curtailment", "cost", "meter_w", "running")


def check_services(services: object) -> tuple[Service, ...]:
    """Services of different names, or an error that names what is wrong."""
    if isinstance(services, str) or not isinstance(services, Sequence) or not services:
        raise TypeError(f"services is {shown(services)}; allowed: a sequence of Service")
    for service in services:
        if not isinstance(service, Service):
            raise TypeError(f"services has {shown(service)}; allowed: a Service")
    names = [service.name for service in services]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(
                f"services has {name} {names.count(name)} times; allowed: each name once"
            )
    return tuple(services)


def settings(options: Any) -> dict[str, Any]:
    """Options with their defaults, checked; `at_loss` is True, False, or a price."""
    curtail = options.get("curtail", "never")
    if is_number(curtail):
        if not np.isfinite(number(curtail)):
            raise ValueError(
                f"curtail is {shown(curtail)}; allowed: 'never', 'at_loss', or a price"
            )
        limit, at_loss = number(curtail), False
    elif curtail in ("never", "at_loss"):
        limit, at_loss = np.inf, curtail == "at_loss"
    else:
        raise ValueError(
            f"curtail is {shown(curtail)}; allowed: 'never', 'at_loss', or a price [$/MWh]"
        )
    return {
        "pue": finite_number("pue", options.get("pue", 1.0), 1.0), "limit": limit, "at_loss": at_loss,
        "income": finite_number("curtailment_income", options.get("curtailment_income", 0.0)),
    }  # fmt: skip


def hourly(
    services: Sequence[Service],
    use: Array,
    prices: Array,
    how: dict[str, Any],
    factors: tuple[Array, Array, Array],
) -> dict[str, Any]:
    """Amounts by draw, service and hour, where token prices, power prices and throughput are multiplied."""
    token, power, made = (f[:, None, None] for f in factors)

    def column(values: list[float]) -> Array:
        return np.array(values)[None, :, None]

    full = column([s.revenue_per_hour for s in services])
    busy = column([s.devices * s.watts for s in services]) * how["pue"]
    idle = column([s.devices * s.idle_watts for s in services]) * how["pue"]
    fee = column([s.licence_fee for s in services])
    price = prices[None, None, :] * power
    revenue = full * use[None] * token * made
    watts = (idle + (busy - idle) * use[None]) + 0.0 * power
    bill = watts / 1e6 * price
    paid = watts / 1e6 * how["income"]
    off = np.broadcast_to(price > how["limit"], revenue.shape)
    if how["at_loss"]:
        with np.errstate(divide="ignore", invalid="ignore"):  # what draws nothing runs on
            off = price > kernels.curtailment_price(revenue, fee, watts, how["income"])
    rent = column([s.devices * s.cost_per_hour for s in services])
    return {
        "revenue": np.where(off, 0.0, revenue), "licence": np.where(off, 0.0, revenue * fee),
        "power": np.where(off, 0.0, bill), "curtailment": np.where(off, paid, 0.0),
        "cost": np.broadcast_to(rent, revenue.shape), "meter_w": np.where(off, 0.0, watts), "running": ~off,
    }  # fmt: skip
