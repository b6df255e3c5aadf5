"""What a mining machine must earn: prices at which it stops, payback, curtailment, generations."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof._inputs import finite_number
from tokenroof.miner import MINER_KINDS, Miner
from tokenroof.miner import miner as find_miner

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_DAY = 86400.0
_DAYS_PER_YEAR = 365.0
_RETARGET_DAYS = 14.0
# Blocks that a PH/s over a day finds at difficulty 1.
_BLOCKS = _DAY * 1e15 / 2.0**32


# --- arguments -----------------------------------------------------------------------------------------


def _reals(
    name: str,
    value: ArrayLike,
    low: float | None = 0.0,
    *,
    above: bool = False,
    below: float | None = None,
) -> NDArray[np.float64]:
    """Finite numbers in a range; an error names the first that is not, and its place."""
    allowed = "finite numbers"
    if low is not None:
        allowed += f" {'>' if above else '>='} {low:g}"
    if below is not None:
        allowed += f" and < {below:g}"
    try:
        # an integer may be longer than numpy's
        given = np.asarray(float(value) if type(value) is int else value)
    except (ValueError, OverflowError):  # also rows of unlike length
        given = np.asarray(None)
    if given.dtype.kind not in "iuf":
        raise TypeError(f"{name} is {value!r}; allowed: {allowed}")
    array = given.astype(np.float64)
    bad = ~np.isfinite(array)
    if low is not None:
        bad |= (array <= low) if above else (array < low)
    if below is not None:
        bad |= array >= below
    if bad.any():
        first = np.argwhere(bad)[0].tolist()
        raise ValueError(
            f"{name}{first or ''} is {float(array[tuple(first)])!r}; allowed: {allowed}"
        )
    return array


def _together(**arrays: NDArray[np.float64]) -> None:
    """Reject arrays that do not broadcast, by name."""
    try:
        np.broadcast_shapes(*(array.shape for array in arrays.values()))
    except ValueError:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items() if array.ndim)
        raise ValueError(f"shapes are {shapes}; allowed: shapes that broadcast") from None


def _powered(machine: str | Miner) -> tuple[Miner, float]:
    """The record, and its power [W]."""
    found = find_miner(machine)
    if found.power is None:
        raise ValueError(f"power of {found.name} is unknown; allowed: a number > 0 [W]")
    return found, found.power


def _over(a: Any, b: Any) -> Any:
    """a / b, infinite where b is zero; a float for scalars."""
    with np.errstate(divide="ignore", over="ignore"):
        value = np.divide(a, b)
    return float(value) if np.ndim(value) == 0 else value


def _fee(fee: ArrayLike) -> NDArray[np.float64]:
    return _reals("fee", fee, below=1.0)


def _pue(pue: ArrayLike) -> NDArray[np.float64]:
    return _reals("pue", pue, 1.0)


def _reward(subsidy_btc: ArrayLike, fees_btc: ArrayLike) -> NDArray[np.float64]:
    subsidy, fees = _reals("subsidy_btc", subsidy_btc), _reals("fees_btc", fees_btc)
    _together(subsidy_btc=subsidy, fees_btc=fees)
    reward = np.asarray(subsidy + fees)
    if (reward == 0.0).any():
        raise ValueError("subsidy_btc + fees_btc is 0; allowed: a sum > 0")
    return reward


# --- where a machine stops -----------------------------------------------------------------------------


def margin_per_day(
    miner: str | Miner,
    hashprice: ArrayLike,
    power_price_per_kwh: ArrayLike,
    *,
    fee: ArrayLike = 0.0,
    pue: ArrayLike = 1.0,
) -> Any:
    """Revenue of a machine less its power [$/day]; below zero where it does not earn its power.

    Parameters
    ----------
    miner : str or Miner
        A name of the catalogue, or a record.
    hashprice : array_like
        Revenue, as `tokenroof.mining.hashprice` gives it [$/(PH/s day)].
    power_price_per_kwh : array_like
        Price of electricity at the meter [$/kWh].
    fee : array_like
        Part that the pool keeps [1].
    pue : array_like
        Facility power over the machine's [1].

    Returns
    -------
    float or ndarray

    Raises
    ------
    KeyError
        For an unknown name, with near matches.
    ValueError, TypeError
        Naming the argument, its value and what is allowed; naming `power` if that of the machine is
        not known.

    Examples
    --------
    >>> round(margin_per_day("Antminer S21", 50.0, 0.06), 9)
    4.96
    """
    machine, watts = _powered(miner)
    earned, price = (
        _reals("hashprice", hashprice),
        _reals("power_price_per_kwh", power_price_per_kwh),
    )
    kept, overhead = _fee(fee), _pue(pue)
    _together(hashprice=earned, power_price_per_kwh=price, fee=kept, pue=overhead)
    revenue = earned * (machine.hashrate / 1e15) * (1.0 - kept)
    margin = revenue - watts * overhead * 0.024 * price
    return float(margin) if np.ndim(margin) == 0 else margin


def break_even_power_price(
    miner: str | Miner, hashprice: ArrayLike, fee: ArrayLike = 0.0, pue: ArrayLike = 1.0
) -> Any:
    """Price of electricity above which a machine does not earn its power [$/kWh].

    Parameters
    ----------
    miner, hashprice, fee, pue
        As in `margin_per_day`.

    Returns
    -------
    float or ndarray
        At the meter.

    Raises
    ------
    KeyError, ValueError, TypeError
        As `margin_per_day`.

    Examples
    --------
    >>> round(break_even_power_price("Antminer S21", 50.0), 9)
    0.119047619
    """
    machine, watts = _powered(miner)
    earned, kept, overhead = _reals("hashprice", hashprice), _fee(fee), _pue(pue)
    _together(hashprice=earned, fee=kept, pue=overhead)
    revenue = earned * (machine.hashrate / 1e15) * (1.0 - kept)
    return _over(revenue, watts * overhead * 0.024)


def shutdown_hashprice(
    miner: str | Miner,
    power_price_per_kwh: ArrayLike,
    fee: ArrayLike = 0.0,
    pue: ArrayLike = 1.0,
) -> Any:
    """Hashprice below which a machine does not earn its power [$/(PH/s day)].

    Parameters
    ----------
    miner, power_price_per_kwh, fee, pue
        As in `margin_per_day`.

    Returns
    -------
    float or ndarray

    Raises
    ------
    KeyError, ValueError, TypeError
        As `margin_per_day`.

    Examples
    --------
    >>> round(shutdown_hashprice("Antminer S21", 0.06), 9)
    25.2
    """
    machine, watts = _powered(miner)
    price = _reals("power_price_per_kwh", power_price_per_kwh)
    kept, overhead = _fee(fee), _pue(pue)
    _together(power_price_per_kwh=price, fee=kept, pue=overhead)
    cost = watts * overhead * 0.024 * price
    return _over(cost, machine.hashrate / 1e15 * (1.0 - kept))


def shutdown_price(
    miner: str | Miner,
    power_price_per_kwh: ArrayLike,
    difficulty: ArrayLike,
    subsidy_btc: ArrayLike = 3.125,
    fees_btc: ArrayLike = 0.0,
    fee: ArrayLike = 0.0,
    pue: ArrayLike = 1.0,
) -> Any:
    """Price of a bitcoin below which a machine does not earn its power [$].

    Parameters
    ----------
    miner, power_price_per_kwh, fee, pue
        As in `margin_per_day`.
    difficulty : array_like
        [1].
    subsidy_btc, fees_btc : array_like
        New coins, and mean fees, of a block [BTC].

    Returns
    -------
    float or ndarray

    Raises
    ------
    KeyError, ValueError, TypeError
        As `margin_per_day`; naming both if a block brings neither subsidy nor fees.

    Examples
    --------
    >>> round(shutdown_price("Antminer S21", 0.06, 1e14, fees_btc=0.05), 3)
    39455.08
    """
    least = np.asarray(shutdown_hashprice(miner, power_price_per_kwh, fee, pue))
    hard = _reals("difficulty", difficulty, above=True)
    reward = _reward(subsidy_btc, fees_btc)
    _together(power_price_per_kwh=least, difficulty=hard, subsidy_btc=reward)
    return _over(least * hard, reward * _BLOCKS)


def break_even_difficulty(
    miner: str | Miner,
    power_price_per_kwh: ArrayLike,
    price: ArrayLike,
    subsidy_btc: ArrayLike = 3.125,
    fees_btc: ArrayLike = 0.0,
    fee: ArrayLike = 0.0,
    pue: ArrayLike = 1.0,
) -> Any:
    """Difficulty above which a machine does not earn its power; infinite where power is free.

    Parameters
    ----------
    miner, power_price_per_kwh, fee, pue
        As in `margin_per_day`.
    price : array_like
        Price of a bitcoin [$].
    subsidy_btc, fees_btc : array_like
        New coins, and mean fees, of a block [BTC].

    Returns
    -------
    float or ndarray

    Raises
    ------
    KeyError, ValueError, TypeError
        As `shutdown_price`.

    Examples
    --------
    >>> round(break_even_difficulty("Antminer S21", 0.06, 1e5) / 1e12, 6)
    249.461404
    """
    least = np.asarray(shutdown_hashprice(miner, power_price_per_kwh, fee, pue))
    coin = _reals("price", price, above=True)
    reward = _reward(subsidy_btc, fees_btc)
    _together(power_price_per_kwh=least, price=coin, subsidy_btc=reward)
    return _over(_BLOCKS * reward * coin, least)


# --- payback -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Payback:
    """Whether, and when, a machine has earned what it cost.

    Attributes
    ----------
    days : float
        Until the summed margin covers the capital; infinite where it never does [day].
    pays : bool
        Whether it ever does.
    total_margin_usd : float
        Summed over the machine's life [$].
    off_after_days : float
        Time after which it never runs again, infinite where it runs to the end of its life [day].
    reason : str
        In words.
    """

    days: float
    pays: bool
    total_margin_usd: float
    off_after_days: float
    reason: str

    def __str__(self) -> str:
        answer = f"pays back after {self.days:.1f} days" if self.pays else "does not pay back"
        return f"{answer}: {self.reason}"


@dataclass(frozen=True)
class _Piece:
    """A time over which it runs, earning revenue * exp(-rate t) - cost a day."""

    start: float
    stop: float
    revenue: float
    rate: float
    cost: float

    def earned(self, until: float) -> float:
        """Integral of the margin from `start` on [$]."""
        length = until - self.start
        first = self.revenue * _exp(-self.rate * self.start)
        if length == math.inf:
            if self.rate <= 0.0:
                return math.inf
            return first / self.rate - (self.cost * length if self.cost else 0.0)
        x = self.rate * length
        # (1 - exp(-x)) / x, which needs no division where nothing decays
        mean = 1.0 if x == 0.0 else (math.inf if x < -700.0 else -math.expm1(-x) / x)
        return max(0.0, (first * mean - self.cost) * length)

    def when(self, money: float) -> float:
        """Time at which the integral reaches an amount that it does reach: bisection, it only grows."""
        low, high = self.start, self.stop
        if high == math.inf:
            step = 1.0
            while step < 1e300 and self.earned(self.start + step) < money:
                step *= 2.0
            high = self.start + step
        for _ in range(2200):
            middle = low + 0.5 * (high - low)
            if not low < middle < high:
                break
            if self.earned(middle) < money:
                low = middle
            else:
                high = middle
        return high


def _exp(x: float) -> float:
    return math.inf if x > 700.0 else math.exp(x)


def _running(
    revenue: float, rate: float, cost: float, start: float, stop: float
) -> tuple[float, float] | None:
    """The part of a time in which revenue * exp(-rate t) is above the cost; one piece, or none."""
    if revenue <= 0.0:
        return None
    if rate == 0.0:
        return (start, stop) if revenue > cost else None
    if cost > 0.0:
        crossing = (math.log(revenue) - math.log(cost)) / rate
        start, stop = (start, min(stop, crossing)) if rate > 0.0 else (max(start, crossing), stop)
    return (start, stop) if start < stop else None


def _trend(**given: float | None) -> float:
    """Continuous rate at which the hashprice falls, from the one growth that is given [1/day]."""
    named = {name: value for name, value in given.items() if value is not None}
    if len(named) > 1:
        raise ValueError(f"{' and '.join(named)} are given; allowed: at most one of them")
    for name, value in named.items():
        growth = math.log1p(finite_number(name, value, -1.0, above=True))
        if name == "hashprice_growth_per_year":
            return -growth / _DAYS_PER_YEAR
        return growth / (_RETARGET_DAYS if name.endswith("per_retarget") else _DAYS_PER_YEAR)
    return 0.0


def payback(
    miner: str | Miner,
    capex_usd: float,
    hashprice: float,
    power_price_per_kwh: float,
    *,
    hashprice_growth_per_year: float | None = None,
    difficulty_growth_per_year: float | None = None,
    difficulty_growth_per_retarget: float | None = None,
    halving_days: Sequence[float] = (),
    fees_share: float = 0.0,
    opex_usd_per_year: float = 0.0,
    life_years: float = 5.0,
    fee: float = 0.0,
    pue: float = 1.0,
) -> Payback:
    """Days until a machine has earned what it cost, at a trend of the difficulty; or that it never does.

    The hashprice follows A exp(-g t), and the running cost B (power, and operation besides) stays. The
    machine runs while it earns more than B, so its margin is never below zero. From a to b it makes
    ``A / g * (exp(-g a) - exp(-g b)) - B * (b - a)``; where the sum over the pieces between halvings
    reaches the capital is found by bisection.

    Parameters
    ----------
    miner : str or Miner
        A name of the catalogue, or a record.
    capex_usd : float
        What the machine costs, set up [$].
    hashprice : float
        Today's, as `tokenroof.mining.hashprice` gives it [$/(PH/s day)].
    power_price_per_kwh : float
        Price of electricity at the meter [$/kWh].
    hashprice_growth_per_year : float, optional
        Such as -0.3: it is 0.7 of today's after 365 days [1].
    difficulty_growth_per_year, difficulty_growth_per_retarget : float, optional
        Growth of the difficulty in 365 or 14 days, at a constant price, such as 0.4 or 0.02 [1]. At
        most one of the three growths; none of them is a constant hashprice.
    halving_days : sequence of float
        Days from now at which the subsidy halves.
    fees_share : float
        Part of today's revenue that is fees of transactions, which no halving touches [1].
    opex_usd_per_year : float
        Cost of running besides power; it ends when the machine is switched off [$/year].
    life_years : float
        After which the machine is worth nothing; may be infinite [year].
    fee, pue : float
        Part that the pool keeps; facility power over the machine's [1].

    Returns
    -------
    Payback

    Raises
    ------
    KeyError
        For an unknown name, with near matches.
    ValueError, TypeError
        Naming the argument, its value and what is allowed; naming `power` if that of the machine is
        not known.

    Examples
    --------
    >>> print(payback("Antminer S21", 3000, 50.0, 0.06))
    pays back after 604.8 days: within its life of 1825.0 days
    >>> print(payback("Antminer S21", 3000, 50.0, 0.06, difficulty_growth_per_year=0.4))
    does not pay back: it earns $1634.44 of $3000.00, then no longer its running cost after 743.3 days
    """
    machine, watts = _powered(miner)
    capital = finite_number("capex_usd", capex_usd)
    earned = finite_number("hashprice", hashprice)
    power_price = finite_number("power_price_per_kwh", power_price_per_kwh)
    rate = _trend(
        hashprice_growth_per_year=hashprice_growth_per_year,
        difficulty_growth_per_year=difficulty_growth_per_year,
        difficulty_growth_per_retarget=difficulty_growth_per_retarget,
    )
    halvings = _reals("halving_days", halving_days)
    if halvings.ndim != 1:
        raise ValueError(f"halving_days has {halvings.ndim} dimensions; allowed: 1")
    fees = finite_number("fees_share", fees_share)
    if fees > 1.0:
        raise ValueError(f"fees_share is {fees_share!r}; allowed: 0 to 1")
    operation = finite_number("opex_usd_per_year", opex_usd_per_year)
    endless = isinstance(life_years, float) and life_years == math.inf
    life = (
        math.inf
        if endless
        else _DAYS_PER_YEAR * finite_number("life_years", life_years, above=True)
    )
    kept = finite_number("fee", fee)
    if kept >= 1.0:
        raise ValueError(f"fee is {fee!r}; allowed: at least 0, below 1")
    overhead = finite_number("pue", pue, 1.0)

    revenue = earned * (machine.hashrate / 1e15) * (1.0 - kept)
    cost = watts * overhead * 0.024 * power_price + operation / _DAYS_PER_YEAR
    edges = [0.0, *sorted(float(day) for day in halvings if day < life), life]
    pieces = []
    for k, (start, stop) in enumerate(pairwise(edges)):
        part = revenue * ((1.0 - fees) * 0.5**k + fees)
        span = _running(part, rate, cost, start, stop)
        if span is not None:
            pieces.append(_Piece(*span, part, rate, cost))

    total, days = 0.0, 0.0 if capital == 0.0 else math.inf
    for piece in pieces:
        more = piece.earned(piece.stop)
        if days == math.inf and total + more >= capital:
            days = piece.when(capital - total)
        total += more
    off = pieces[-1].stop if pieces else 0.0
    off = math.inf if off == life else off
    pays = days < math.inf
    if pays:
        reason = "within its life" + (f" of {life:.1f} days" if life < math.inf else "")
    elif not pieces:
        reason = "it never earns its running cost"
    else:
        reason = f"it earns ${total:.2f} of ${capital:.2f}, then "
        if off < math.inf:
            reason += f"no longer its running cost after {off:.1f} days"
        else:
            reason += f"its life ends after {life:.1f} days"
    return Payback(days, pays, total, off, reason)


# --- curtailment ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Curtailment:
    """What running only in the hours that pay makes of a series of power prices.

    Attributes
    ----------
    uptime : float
        Part of the time that it runs [1].
    energy_kwh : float
        Energy used, at the meter [kWh].
    revenue_usd, power_cost_usd, margin_usd : float
        From mining; paid for power, less what power sold on brings; the difference [$].
    margin_always_on_usd, saved_usd : float
        Margin without ever switching off, and by how much it is the smaller [$].
    break_even_per_kwh : float or ndarray
        Price up to which it runs [$/kWh].
    running : ndarray of bool
        By interval.
    """

    uptime: float
    energy_kwh: float
    revenue_usd: float
    power_cost_usd: float
    margin_usd: float
    margin_always_on_usd: float
    saved_usd: float
    break_even_per_kwh: Any = field(repr=False)
    running: NDArray[np.bool_] = field(repr=False)


def curtailment(
    miner: str | Miner,
    hashprice: ArrayLike,
    spot_prices_per_kwh: ArrayLike,
    *,
    interval_s: float = 3600.0,
    fixed_price_per_kwh: float | None = None,
    fee: float = 0.0,
    pue: float = 1.0,
) -> Curtailment:
    """Run while the spot price is at most the break-even price, and be off otherwise.

    Parameters
    ----------
    miner : str or Miner
        A name of the catalogue, or a record.
    hashprice : array_like
        As `tokenroof.mining.hashprice` gives it, one number or one per interval [$/(PH/s day)].
    spot_prices_per_kwh : array_like, 1-d
        Price of electricity at the meter by interval; may be below zero [$/kWh].
    interval_s : float
        Length of an interval [s].
    fixed_price_per_kwh : float, optional
        Price at which the power of all intervals was bought ahead; what is not used is sold at spot,
        so that the spot price still decides [$/kWh].
    fee, pue : float
        Part that the pool keeps; facility power over the machine's [1].

    Returns
    -------
    Curtailment

    Raises
    ------
    KeyError
        For an unknown name, with near matches.
    ValueError, TypeError
        Naming the argument, the index, the value and what is allowed; naming `power` if that of the
        machine is not known.

    Examples
    --------
    >>> day = curtailment("Antminer S21", 50.0, [0.03] * 20 + [0.40] * 4)
    >>> round(day.uptime, 6), round(day.margin_usd, 6), round(day.margin_always_on_usd, 6)
    (0.833333, 6.233333, 2.3)
    """
    _, watts = _powered(miner)
    spot = _reals("spot_prices_per_kwh", spot_prices_per_kwh, None)
    if spot.ndim != 1 or spot.size == 0:
        raise ValueError(
            f"spot_prices_per_kwh has shape {spot.shape}; allowed: one dimension, not empty"
        )
    earned = _reals("hashprice", hashprice)
    if earned.shape not in ((), spot.shape):
        raise ValueError(f"hashprice has shape {earned.shape}; allowed: () or {spot.shape}")
    seconds = finite_number("interval_s", interval_s, above=True)
    kept, overhead = finite_number("fee", fee), finite_number("pue", pue, 1.0)
    limit = np.asarray(break_even_power_price(miner, earned, kept, overhead))
    energy = watts * overhead * seconds / 3.6e6  # of one interval
    running = spot <= limit
    gain = (limit - spot) * energy  # of running, by interval: below zero exactly where it is off
    margin = float(gain[running].sum())
    saved = float(-gain[~running].sum())
    revenue = float((np.broadcast_to(limit, spot.shape)[running] * energy).sum())
    paid = float((spot[running] * energy).sum())
    if fixed_price_per_kwh is not None:
        fixed = finite_number("fixed_price_per_kwh", fixed_price_per_kwh)
        paid = fixed * energy * spot.size - float((spot[~running] * energy).sum())
        margin = revenue - paid
    return Curtailment(
        uptime=float(running.mean()),
        energy_kwh=energy * int(running.sum()),
        revenue_usd=revenue,
        power_cost_usd=paid,
        margin_usd=margin,
        margin_always_on_usd=margin - saved,
        saved_usd=saved + 0.0,  # no -0.0
        break_even_per_kwh=limit[()],
        running=running,
    )


# --- generations ---------------------------------------------------------------------------------------

_MONTH = re.compile(r"(\d{4}-(?:0[1-9]|1[0-2]))(?:-\d\d)?")


@dataclass(frozen=True, eq=False)
class Race:
    """Which machines earn their power, month by month.

    Attributes
    ----------
    months : tuple of str
        "2013-01" ...
    names, kinds : tuple of str
        Of the machines; kinds as in `tokenroof.miner.MINER_KINDS`.
    efficiency : ndarray
        Of each machine, NaN where its power is not known [J/TH].
    margin : ndarray, machines x months
        Revenue less power of one machine, NaN before its release [$/day].
    earning : ndarray of bool, machines x months
        Whether it is out and its margin is not below zero.
    undated, unpowered : tuple of str
        Machines whose month of release, or whose power, is not known; they are never counted.
    """

    months: tuple[str, ...]
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    efficiency: NDArray[np.float64] = field(repr=False)
    margin: NDArray[np.float64] = field(repr=False)
    earning: NDArray[np.bool_] = field(repr=False)
    undated: tuple[str, ...] = ()
    unpowered: tuple[str, ...] = ()

    def _of(self, kind: str | None) -> NDArray[np.bool_]:
        if kind is not None and kind not in MINER_KINDS:
            raise ValueError(f"kind is {kind!r}; allowed: {', '.join(MINER_KINDS)}, or None")
        return np.array([kind is None or k == kind for k in self.kinds], dtype=bool)

    @property
    def last_month(self) -> dict[str, str | None]:
        """The last month in which a machine earns its power, by name; None if it never does."""
        found: dict[str, str | None] = {}
        for name, row in zip(self.names, self.earning, strict=True):
            at = np.flatnonzero(row)
            found[name] = self.months[at[-1]] if at.size else None
        return found

    def last(self, kind: str | None = None) -> str | None:
        """The last month in which any machine of a kind earns its power; None if there is none.

        Raises
        ------
        ValueError
            For an unknown kind.
        """
        at = np.flatnonzero(self.earning[self._of(kind)].any(axis=0))
        return self.months[at[-1]] if at.size else None

    def share(self, kind: str | None = None) -> NDArray[np.float64]:
        """Part of the machines of a kind that are out which earn their power, by month [1].

        NaN before the first is out.

        Raises
        ------
        ValueError
            For an unknown kind.
        """
        rows = self._of(kind)
        out = (~np.isnan(self.margin[rows])).sum(axis=0).astype(float)
        out[out == 0.0] = np.nan
        return np.asarray(self.earning[rows].sum(axis=0) / out)

    def best(self, kind: str | None = None) -> NDArray[np.float64]:
        """Energy per terahash of the best machine of a kind that is out, by month [J/TH].

        NaN before the first is out.

        Raises
        ------
        ValueError
            For an unknown kind.
        """
        rows = self._of(kind)
        known = np.where(np.isnan(self.margin[rows]), np.inf, self.efficiency[rows][:, None])
        least = known.min(axis=0, initial=np.inf)
        return np.where(np.isinf(least), np.nan, least)


def _months(months: Iterable[str]) -> tuple[str, ...]:
    allowed = "allowed: months as '2013-01', each after the one before"
    if isinstance(months, str):
        raise TypeError(f"months is {months!r}; {allowed}")
    given = tuple(months)
    if not given:
        raise ValueError(f"months is empty; {allowed}")
    for i, month in enumerate(given):
        if not isinstance(month, str):
            raise TypeError(f"months[{i}] is {month!r}; {allowed}")
        match = _MONTH.fullmatch(month)
        if match is None or match[1] != month or (i and month <= given[i - 1]):
            raise ValueError(f"months[{i}] is {month!r}; {allowed}")
    return given


def _by_month(name: str, value: ArrayLike, count: int, *, above: bool = False) -> Any:
    array = _reals(name, value, above=above)
    if array.shape not in ((), (count,)):
        raise ValueError(
            f"{name} has shape {array.shape}; allowed: () or ({count},), one per month"
        )
    return np.broadcast_to(array, (count,))


def generations_race(
    miners: Iterable[str | Miner],
    months: Iterable[str],
    power_price_per_kwh: ArrayLike,
    hashprice: ArrayLike | None = None,
    *,
    difficulty: ArrayLike | None = None,
    price: ArrayLike | None = None,
    subsidy_btc: ArrayLike | None = None,
    fees_btc: ArrayLike = 0.0,
    fee: float = 0.0,
    pue: float = 1.0,
) -> Race:
    """Which machines, from the month of their release on, still earn their power.

    Parameters
    ----------
    miners : iterable of str or Miner
        Names of the catalogue, or records; each once.
    months : iterable of str
        "2013-01" ..., ascending.
    power_price_per_kwh : array_like
        Price of electricity at the meter, one number or one per month [$/kWh].
    hashprice : array_like, optional
        By month, or one number [$/(PH/s day)]; else it comes from the next four.
    difficulty, price, subsidy_btc, fees_btc : array_like, optional
        By month, or one number: difficulty [1], price of a bitcoin [$], new coins and mean fees of a
        block [BTC].
    fee, pue : float
        Part that the pool keeps; facility power over the machine's [1].

    Returns
    -------
    Race

    Raises
    ------
    KeyError
        For an unknown name, with near matches.
    ValueError, TypeError
        Naming the argument, the index, the value and what is allowed.

    Examples
    --------
    >>> race = generations_race(["Core i7 920", "Antminer S1"], ["2011-06", "2014-01"], 0.1, [5e7, 1e5])
    >>> race.last_month
    {'Core i7 920': '2011-06', 'Antminer S1': '2014-01'}
    """
    if isinstance(miners, (str, Miner)):
        raise TypeError(f"miners is {miners!r}; allowed: several names or records")
    machines = [find_miner(machine) for machine in miners]
    names = tuple(machine.name for machine in machines)
    for i, name in enumerate(names):
        if name in names[:i]:
            raise ValueError(f"miners[{i}] is {name!r} again; allowed: each once")
    when = _months(months)
    power_price = _by_month("power_price_per_kwh", power_price_per_kwh, len(when))
    parts = {"difficulty": difficulty, "price": price, "subsidy_btc": subsidy_btc}
    if hashprice is not None:
        for name, value in parts.items():
            if value is not None:
                raise ValueError(f"{name} is given beside hashprice; allowed: one of the two")
        earned = _by_month("hashprice", hashprice, len(when))
    else:
        got = {}
        for name, value in parts.items():
            if value is None:
                raise ValueError(f"{name} is None; allowed without hashprice: numbers")
            got[name] = _by_month(name, value, len(when), above=name != "subsidy_btc")
        reward = got["subsidy_btc"] + _by_month("fees_btc", fees_btc, len(when))
        earned = _BLOCKS * reward * got["price"] / got["difficulty"]
    kept = finite_number("fee", fee)
    if kept >= 1.0:
        raise ValueError(f"fee is {fee!r}; allowed: at least 0, below 1")
    overhead = finite_number("pue", pue, 1.0)

    margin = np.full((len(machines), len(when)), np.nan)
    efficiency = np.full(len(machines), np.nan)
    undated, unpowered = [], []
    for i, machine in enumerate(machines):
        release = _MONTH.fullmatch(machine.release or "")
        if release is None:
            undated.append(machine.name)
        if machine.efficiency is None:
            unpowered.append(machine.name)
            continue
        efficiency[i] = machine.efficiency
        if release is not None:
            out = np.array([month >= release[1] for month in when])
            all_months = margin_per_day(machine, earned, power_price, fee=kept, pue=overhead)
            margin[i, out] = all_months[out]
    return Race(
        months=when,
        names=names,
        kinds=tuple(machine.kind for machine in machines),
        efficiency=efficiency,
        margin=margin,
        earning=margin >= 0.0,  # false for NaN
        undated=tuple(undated),
        unpowered=tuple(unpowered),
    )
