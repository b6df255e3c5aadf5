"""What the network draws: the Cambridge Bitcoin Electricity Consumption Index's bounds and best guess."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from tokenroof import kernels
from tokenroof.catalogue.lookup import miner as find_miner
from tokenroof.catalogue.quote import MarketLike
from tokenroof.mining.bitcoin import BLOCK_SECONDS
from tokenroof.mining.generations import machines_of, out_in
from tokenroof.mining.inputs import reals
from tokenroof.mining.margins import break_even_efficiency
from tokenroof.mining.market import CBECI_POWER_PRICE, MonthlyMarket, by_month, earnings_of
from tokenroof.mining.network import network_hashrate
from tokenroof.records.miner import Miner
from tokenroof.support.arguments import check_options, finite_number, shown
from tokenroof.support.equality import by_value
from tokenroof.support.names import UnknownNameError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

#: Facility power over the machines', in the lower bound, the best guess and the upper bound of CBECI.
CBECI_PUE = (1.01, 1.10, 1.20)
#: Years after its release in which CBECI counts a machine.
CBECI_AGE_YEARS = 5.0
_HOURS_PER_YEAR = 365.25 * 24.0


@by_value
@dataclass(frozen=True, eq=False)
class NetworkPower:
    """Power of the whole network by month, under three assumptions on what it is made of.

    Attributes
    ----------
    months : tuple of str
        "2013-01" ...
    hashrate : ndarray
        Of the network [hash/s].
    threshold : ndarray
        Energy per terahash at which a machine just earns its power [J/TH].
    lower_w, best_guess_w, upper_w : ndarray
        If all use the most efficient machine that is out; a basket of those that earn their power; the
        least efficient one that does [W]. The last two are NaN where none does.
    names : tuple of str
        Of the machines whose power and month of release are known.
    shares : ndarray, machines x months
        Part of the hashrate in the basket [1].
    left_out : tuple of str
        Machines whose power or month of release is not known.
    """

    months: tuple[str, ...]
    hashrate: NDArray[np.float64] = field(repr=False)
    threshold: NDArray[np.float64] = field(repr=False)
    lower_w: NDArray[np.float64]
    best_guess_w: NDArray[np.float64]
    upper_w: NDArray[np.float64]
    names: tuple[str, ...] = field(repr=False)
    shares: NDArray[np.float64] = field(repr=False)
    left_out: tuple[str, ...] = field(repr=False)

    @property
    def annual_twh(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """The three as energy over 365.25 days at that power: lower bound, best guess, upper bound [TWh]."""
        watts = (self.lower_w, self.best_guess_w, self.upper_w)
        low, best, high = (power * _HOURS_PER_YEAR / 1e12 for power in watts)
        return low, best, high

    def basket(self, month: str) -> dict[str, float]:
        """Part of the hashrate by machine in a month, those in the basket alone [1].

        Raises
        ------
        KeyError
            If that month is not among `months`.
        """
        if month not in self.months:
            raise UnknownNameError(f"month is {shown(month)}; allowed: {', '.join(self.months)}")
        shares = self.shares[:, self.months.index(month)]
        return {
            name: float(part) for name, part in zip(self.names, shares, strict=True) if part > 0.0
        }


def network_power(
    months: Iterable[str] | None = None,
    *,
    hashrate: ArrayLike | None = None,
    power_price_per_kwh: ArrayLike = CBECI_POWER_PRICE,
    pue: tuple[float, float, float] = CBECI_PUE,
    fee: float = 0.0,
    miners: Iterable[str | Miner] | None = None,
    weights: Mapping[str, float] | None = None,
    max_age_years: float | None = CBECI_AGE_YEARS,
    threshold_pue: float = 1.0,
    block_seconds: float = BLOCK_SECONDS,
    market: MarketLike | None = None,
    **earnings: Unpack[MonthlyMarket],
) -> NetworkPower:
    """Bounds and a best guess of the network's power, as the Cambridge index makes them.

    Whoever mines runs what earns its power. The network's hashrate is taken as given; if all of it came
    from the most efficient machine that is out, its power would be the lower bound, and from the least
    efficient one that still earns its power, the upper bound. The best guess takes a basket of all that
    earn their power. One basket serves the three.

    Parameters
    ----------
    months : iterable of str, optional
        "2013-01" ..., ascending; by default all of `market_history`. Without prices of their own, those that
        the catalogue quotes for them.
    difficulty, price, subsidy_btc, fees_btc : array_like
        By month, or one number: difficulty [1], price of a bitcoin [$], new coins and mean fees of a
        block [BTC].
    hashprice : array_like, optional
        Instead of the four, beside a `hashrate` [$/(PH/s day)].
    hashrate : array_like, optional
        Of the network; by default what the difficulty says [hash/s].
    power_price_per_kwh : array_like
        Price of electricity at the meter [$/kWh].
    pue : (float, float, float)
        Facility power over the machines' in the lower bound, the best guess and the upper bound, each
        at least the one before [1].
    fee : float
        Part that the pools keep; CBECI counts none [1].
    miners : iterable of str or Miner, optional
        By default the whole catalogue.
    weights : mapping of str to float, optional
        Relative part of the hashrate by machine, over those in the basket; machines that are not named
        have none. By default all are equal, as in CBECI until 2023; since then it weights by shipments
        and age, which this catalogue has no numbers of.
    max_age_years : float, optional
        Years from its release after which a machine is gone; by default CBECI's five. None: never.
    threshold_pue : float
        Facility power over the machine's for which it must earn to be in the basket; CBECI asks that it earns
        its own alone [1].
    block_seconds : float
        Time between blocks at which the difficulty is read as a hashrate [s].
    market : path or MarketData, optional
        A file of newer prices, as `tokenroof.catalogue.market_data` takes it, where no prices are given.

    Returns
    -------
    NetworkPower
        Lower bound, best guess and upper bound by month [W].

    Raises
    ------
    KeyError
        For an unknown name, with near matches.
    ValueError, TypeError
        Naming the argument, the index, the value and what is allowed.

    References
    ----------
    Cambridge Centre for Alternative Finance, Cambridge Bitcoin Electricity Consumption Index:
    Methodology, ccaf.io/cbnsi/cbeci/methodology; after Bevand, Electricity consumption of Bitcoin: a
    market-based and technical analysis, 2017.

    Examples
    --------
    >>> power = network_power(["2021-10"], difficulty=2.008e13, price=60028, subsidy_btc=6.25)
    >>> [round(float(twh[0]), 1) for twh in power.annual_twh]
    [37.5, 108.0, 388.6]
    """
    check_options("network_power", earnings, MonthlyMarket)
    if earnings.get("hashprice") is not None and hashrate is None:
        raise ValueError("hashrate is None; allowed beside hashprice: numbers > 0")
    when, earned, hard = earnings_of(months, market=market, **earnings)
    if hashrate is not None:
        total = by_month("hashrate", hashrate, len(when), above=True)
    else:
        total = np.asarray(network_hashrate(hard, block_seconds))  # type: ignore[arg-type]
    power_price = by_month("power_price_per_kwh", power_price_per_kwh, len(when))
    overhead = _overheads(pue)
    kept = float(reals("fee", finite_number("fee", fee), below=1.0))
    machines = machines_of(miners)
    parts = _weights(weights, machines)
    fleet, left_out = _known(machines, when, max_age_years)
    names = tuple(machine.name for machine in fleet.machines)
    needed = finite_number("threshold_pue", threshold_pue, 1.0)
    earning = fleet.earning(earned, power_price, kept, needed)
    shares = _shares(earning, np.array([parts(n) for n in names]))
    least, best, worst = _efficiencies(fleet, shares)
    watts_per = total / 1e12
    return NetworkPower(
        months=when,
        hashrate=np.array(total),
        threshold=np.asarray(break_even_efficiency(earned, power_price, kept, needed)),
        lower_w=least * watts_per * overhead[0],
        best_guess_w=best * watts_per * overhead[1],
        upper_w=worst * watts_per * overhead[2],
        names=names,
        shares=shares,
        left_out=left_out,
    )


@dataclass(frozen=True, eq=False)
class _Fleet:
    """Machines whose power and month of release are known, and the months in which each is out."""

    machines: list[Miner]
    out: NDArray[np.bool_]

    def column(self, field: str) -> NDArray[np.float64]:
        """A number of each machine, one row each."""
        numbers = [getattr(machine, field) for machine in self.machines]
        return np.array(numbers, dtype=float).reshape(-1, 1)

    def earning(
        self, hashprice: Any, power_price_per_kwh: Any, fee: float, pue: float
    ) -> NDArray[np.bool_]:
        """Which are out and earn their power, by month."""
        kernel: Any = kernels.shutdown_hashprice
        needed = kernel(
            self.column("hashrate"), self.column("power"), power_price_per_kwh, fee, pue
        )
        return np.asarray(self.out & (needed <= hashprice))


def _known(
    machines: list[Miner], months: tuple[str, ...], max_age_years: float | None
) -> tuple[_Fleet, tuple[str, ...]]:
    """The machines that are known well enough, and the names of the others."""
    age = (
        None if max_age_years is None else finite_number("max_age_years", max_age_years, above=True)
    )
    known, rows, left_out = [], [], []
    for machine in machines:
        out = out_in(machine, months)
        if out is None or machine.power is None:
            left_out.append(machine.name)
            continue
        if age is not None:
            out &= np.array([_years(machine.release, month) <= age for month in months])
        known.append(machine)
        rows.append(out)
    table = np.array(rows, dtype=bool).reshape(len(rows), len(months))
    return _Fleet(known, table), tuple(left_out)


def _shares(earning: NDArray[np.bool_], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Part of the hashrate by machine and month; zero in months in which none has any."""
    shares = np.where(earning, weights.reshape(-1, 1), 0.0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        shares = shares / shares.sum(axis=0)
    return np.where(shares.sum(axis=0) > 0.0, shares, 0.0)  # false for NaN


def _efficiencies(
    fleet: _Fleet, shares: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Of the best machine that is out, of the basket, and of the worst in it; NaN where none is [J/TH]."""
    efficiency = fleet.column("efficiency")
    some = shares.sum(axis=0) > 0.0
    least = np.where(fleet.out, efficiency, np.inf).min(axis=0, initial=np.inf)
    worst = np.where(shares > 0.0, efficiency, -np.inf).max(axis=0, initial=-np.inf)
    return (
        np.where(np.isinf(least), np.nan, least),
        np.where(some, (shares * efficiency).sum(axis=0), np.nan),
        np.where(some, worst, np.nan),
    )


def _overheads(pue: tuple[float, float, float]) -> tuple[float, float, float]:
    allowed = "allowed: three numbers >= 1, each at least the one before"
    given = reals("pue", pue, 1.0)
    if given.shape != (3,) or (np.diff(given) < 0.0).any():
        raise ValueError(f"pue is {shown(pue)}; {allowed}")
    low, best, high = map(float, given)
    return low, best, high


def _weights(weights: Mapping[str, float] | None, machines: list[Miner]) -> Any:
    """The weight of a machine by its name."""
    if weights is None:
        return lambda _: 1.0
    if not isinstance(weights, Mapping):
        raise TypeError(f"weights is {shown(weights)}; allowed: a mapping of names to numbers >= 0")
    known = {machine.name for machine in machines}
    found: dict[str, float] = {}
    for name, value in weights.items():
        full = name if name in known else find_miner(name).name
        if full not in known:
            raise ValueError(
                f"weights has {shown(full)}; allowed: names of the miners that are given"
            )
        if full in found:
            raise ValueError(
                f"weights has {shown(full)} again, as {shown(name)}; allowed: each once"
            )
        found[full] = finite_number(f"weights[{shown(name)}]", value)
    return lambda name: found.get(name, 0.0)


def _years(release: str, month: str) -> float:
    months = 12 * (int(month[:4]) - int(release[:4])) + int(month[5:7]) - int(release[5:7])
    return months / 12.0
