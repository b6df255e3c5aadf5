"""Whether, and when, a machine has earned what it cost."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypedDict, Unpack

from tokenroof.catalogue.subsidy import halvings_after
from tokenroof.mining.inputs import fee_of, powered, reals
from tokenroof.mining.margins import margin_per_day
from tokenroof.records.miner import Miner
from tokenroof.support.arguments import check_options, finite_number, shown
from tokenroof.support.days import as_day
from tokenroof.support.equality import by_value

_DAYS_PER_YEAR = 365.0
_RETARGET_DAYS = 14.0


@by_value
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
    halvings : tuple of float
        Days from now at which the subsidy halves within the machine's life: those that count [day].
    """

    days: float
    pays: bool
    total_margin_usd: float
    off_after_days: float
    reason: str
    halvings: tuple[float, ...]

    def __str__(self) -> str:
        answer = f"pays back after {self.days:.1f} days" if self.pays else "does not pay back"
        days = ", ".join(f"{day:g}" for day in self.halvings[:3])
        more = f" and {len(self.halvings) - 3} more" if len(self.halvings) > 3 else ""
        said = "halving" if len(self.halvings) == 1 else "halvings"
        said = f"{said} after {days} days{more}" if days else "no halving counted"
        return f"{answer}: {self.reason}; {said}"


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


class HashpriceTrend(TypedDict, total=False):
    """Growths that `payback` takes: of the hashprice, or of what it comes from."""

    hashprice_growth_per_year: float | None
    price_growth_per_year: float | None
    difficulty_growth_per_year: float | None
    difficulty_growth_per_retarget: float | None


def _decline(trend: HashpriceTrend) -> float:
    """Continuous rate at which the hashprice falls [1/day]."""
    given: dict[str, object] = {
        name: trend[name]  # type: ignore[literal-required]
        for name in HashpriceTrend.__annotations__  # in this order, which the message keeps
        if trend.get(name) is not None
    }
    several = sum(name.startswith("difficulty") for name in given) > 1
    if several or ("hashprice_growth_per_year" in given and len(given) > 1):
        raise ValueError(
            f"{' and '.join(given)} are given; allowed: that of the hashprice alone, or that of the "
            "price, one of the difficulty, or both"
        )
    rate = 0.0
    for name, value in given.items():
        growth = math.log1p(finite_number(name, value, -1.0, above=True))
        days = _RETARGET_DAYS if name.endswith("per_retarget") else _DAYS_PER_YEAR
        rate += growth / days if name.startswith("difficulty") else -growth / days
    return rate


def _days_of_life(years: float) -> float:
    if isinstance(years, float) and years == math.inf:
        return math.inf
    return _DAYS_PER_YEAR * finite_number("life_years", years, above=True)


def _pieces(
    revenue: float, fees: float, rate: float, cost: float, halvings: Iterable[float], life: float
) -> list[_Piece]:
    """Between halvings, the times in which it runs; the part `fees` of the revenue is never halved."""
    edges = [0.0, *sorted(float(day) for day in halvings if day < life), life]
    pieces = []
    for k, (start, stop) in enumerate(pairwise(edges)):
        part = revenue * ((1.0 - fees) * 0.5**k + fees)
        span = _running(part, rate, cost, start, stop)
        if span is not None:
            pieces.append(_Piece(*span, part, rate, cost))
    return pieces


def _repaid(
    pieces: list[_Piece], capital: float, life: float, halvings: tuple[float, ...]
) -> Payback:
    """What the pieces come to, and when that reaches the capital."""
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
    return Payback(days, pays, total, off, reason, halvings)


def _days_of_halvings(given: Sequence[float], start: str | datetime.date | None) -> list[float]:
    """Those that are given, or those of the chain's schedule from a day on [day]."""
    days = reals("halving_days", given)
    if days.ndim != 1:
        raise ValueError(f"halving_days has {days.ndim} dimensions; allowed: 1")
    if start is None:
        return sorted(map(float, days))
    day = as_day("start", start)
    if days.size:
        raise ValueError(
            f"start is {shown(start)} with halving_days; allowed: one of them, as start gives the days"
        )
    return [float(one) for one in halvings_after(day)]


def payback(
    miner: str | Miner,
    capex_usd: float,
    hashprice: float,
    power_price_per_kwh: float,
    *,
    start: str | datetime.date | None = None,
    halving_days: Sequence[float] = (),
    fees_share: float = 0.0,
    opex_usd_per_year: float = 0.0,
    life_years: float = 5.0,
    fee: float = 0.0,
    pue: float = 1.0,
    **trend: Unpack[HashpriceTrend],
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
    price_growth_per_year : float, optional
        Of a bitcoin's price, in 365 days [1].
    difficulty_growth_per_year, difficulty_growth_per_retarget : float, optional
        Growth of the difficulty in 365 or 14 days, such as 0.4 or 0.02 [1]; one of them, beside that of
        the price or alone. Without any growth the hashprice is constant.
    start : str or date, optional
        Today, as 2026-11-28 or 2026-11: halvings of the subsidy come when the chain's schedule has them,
        210,000 blocks of ten minutes after the last. Without it and without `halving_days` no halving is
        counted, and the answer says so: a life of five years has one or two.
    halving_days : sequence of float
        Days from now at which the subsidy halves, in place of `start`.
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
        Days until the capital is repaid, and what the machine earns over its life [$].

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
    pays back after 604.8 days: within its life of 1825.0 days; no halving counted
    >>> answer = payback("Antminer S21", 3000, 50.0, 0.06, start="2026-11-28")
    >>> answer.pays, answer.halvings
    (False, (506.0,))
    >>> print(payback("Antminer S21", 3000, 50.0, 0.06, difficulty_growth_per_year=0.4).reason)
    it earns $1634.44 of $3000.00, then no longer its running cost after 743.3 days
    """
    check_options("payback", trend, HashpriceTrend)
    machine, _ = powered(miner)
    capital = finite_number("capex_usd", capex_usd)
    earned = finite_number("hashprice", hashprice)
    power_price = finite_number("power_price_per_kwh", power_price_per_kwh)
    rate = _decline(trend)
    halvings = _days_of_halvings(halving_days, start)
    fees = finite_number("fees_share", fees_share)
    if fees > 1.0:
        raise ValueError(f"fees_share is {shown(fees_share)}; allowed: 0 to 1")
    operation = finite_number("opex_usd_per_year", opex_usd_per_year)
    life = _days_of_life(life_years)
    kept = fee_of(fee)
    overhead = finite_number("pue", pue, 1.0)

    revenue = float(margin_per_day(machine, earned, 0.0, fee=kept))
    power = -float(margin_per_day(machine, 0.0, power_price, pue=overhead))
    cost = power + operation / _DAYS_PER_YEAR
    pieces = _pieces(revenue, fees, rate, cost, halvings, life)
    return _repaid(pieces, capital, life, tuple(day for day in halvings if day < life))
