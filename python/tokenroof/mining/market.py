"""The market month by month: what is given, or what the catalogue has quotes of."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from tokenroof.catalogue.market_columns import note
from tokenroof.catalogue.market_file import market_in_force
from tokenroof.catalogue.markets import Quote, rows_of
from tokenroof.catalogue.quote import MarketData, MarketLike
from tokenroof.catalogue.subsidy import subsidy_on
from tokenroof.mining.inputs import reals
from tokenroof.mining.network import hashprice as hashprice_of
from tokenroof.support.arguments import flag, shown
from tokenroof.support.equality import by_value
from tokenroof.support.quoting import counted
from tokenroof.support.units import caller

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

#: What the Cambridge Bitcoin Electricity Consumption Index assumes that miners pay [$/kWh].
CBECI_POWER_PRICE = 0.05

MONTH = re.compile(r"(\d{4}-(?:0[1-9]|1[0-2]))(?:-\d\d)?", re.ASCII)


@by_value
@dataclass(frozen=True, eq=False, repr=False)
class MarketHistory:
    """Difficulty, price and reward of each month for which the catalogue quotes them: of a day, or means.

    Attributes
    ----------
    months, dates : tuple of str
        "2010-11" ..., and the days of the prices; a month where it is their mean.
    difficulty, price, subsidy_btc, fees_btc : ndarray
        [1], [$], new coins and mean fees of a block [BTC]. The fees are 0 where no quote has them.
    """

    months: tuple[str, ...]
    dates: tuple[str, ...]
    difficulty: NDArray[np.float64]
    price: NDArray[np.float64]
    subsidy_btc: NDArray[np.float64]
    fees_btc: NDArray[np.float64]

    def __repr__(self) -> str:
        several = counted(len(self.months), "month")
        return f"<MarketHistory of {several}, {self.months[0]} to {self.months[-1]}>"

    @property
    def hashprice(self) -> NDArray[np.float64]:
        """Revenue of one PH/s over a day [$/(PH/s day)]."""
        return np.asarray(
            hashprice_of(self.difficulty, self.price, self.subsidy_btc, self.fees_btc)
        )


def market_history(*, estimates: bool = False, market: MarketLike | None = None) -> MarketHistory:
    """The months for which the catalogue quotes both a price of bitcoin and a difficulty.

    Parameters
    ----------
    estimates : bool
        Whether quotes count that are estimates or name no source; a day's then come before the means.
    market : path or MarketData, optional
        A file of newer prices, as `tokenroof.catalogue.market_data` takes it: its months
        come in place of the catalogue's. A row without fees has those that its hashprice stands for.

    Returns
    -------
    MarketHistory
        The means of each month where they are measured; else its last price, with the difficulty quoted
        nearest to it. Without gaps from 2021-10 on. Before, there are some of up to two years and more:
        what is between them is not interpolated.

    Examples
    --------
    >>> history = market_history()
    >>> history.months[0], history.dates[0], round(float(history.hashprice[0]))
    ('2010-11', '2010-11-14', 61870473)
    """
    flag("estimates", estimates)
    with market_in_force(market) as newer:
        return _history(estimates, newer)


def _history(estimates: bool, newer: MarketData | None) -> MarketHistory:
    """That of the quotes that count."""

    def series(kind: str) -> list[Quote]:
        rows = [q for q in rows_of(kind, None, newer) if estimates or q.kind != "estimate"]
        return sorted(rows, key=lambda q: q.date)

    hard: dict[str, list[Quote]] = {}
    for quote in series("btc_difficulty"):
        if len(quote.date) >= 7:
            hard.setdefault(quote.date[:7], []).append(quote)
    prices = {q.date[:7]: q for q in series("btc_price") if len(q.date) == 10}
    for mean in series("btc_price"):  # of a month, where it is measured or no day has both
        own = hard.get(mean.date, [])
        sure = [q for q in own if _is_mean(q) and q.kind == "measured"]
        known = mean.kind == "measured" and bool(sure) and not estimates
        days = any(not _is_mean(q) for q in own) and mean.date in prices
        if _is_mean(mean) and (known or not days):
            prices[mean.date] = mean
    fee_series = ("btc_fees_per_day", "btc_blocks_per_day", "btc_fee_share", "btc_fees_per_block")
    by_day = {kind: {q.date: q.value for q in series(kind)} for kind in fee_series}
    said = () if newer is None else newer.quotes
    earned = {q.date: q for q in said if q.quantity == "btc_hashprice"}
    rows = []
    for month in sorted(prices.keys() & hard.keys()):
        price = prices[month]
        day = int(price.date[8:] or 0)  # a mean comes first, with the difficulty's mean
        near = min(
            hard[month], key=lambda q: (abs(int(q.date[8:] or 0) - day), q.kind != "measured")
        )
        note([price, near])
        subsidy = subsidy_on(price.date)
        fees = 0.0
        if price.date in by_day["btc_fees_per_block"]:
            fees = by_day["btc_fees_per_block"][price.date]
        elif price.date in by_day["btc_fees_per_day"]:
            fees = by_day["btc_fees_per_day"][price.date] / by_day["btc_blocks_per_day"][price.date]
        elif price.date in by_day["btc_fee_share"]:
            share = by_day["btc_fee_share"][price.date]
            fees = subsidy * share / (1.0 - share)
        elif price in said and near in said and price.date == near.date in earned:
            fees = _implied(earned[price.date], near.value, price.value, subsidy)
        rows.append((month, price.date, near.value, price.value, subsidy, fees))
    months, dates, *columns = zip(*rows, strict=True)
    return MarketHistory(months, dates, *(np.array(column) for column in columns))


def _implied(earned: Quote, difficulty: float, price: float, subsidy: float) -> float:
    """Fees of a block [BTC] for which a hashprice stands: it grows as reward does."""
    bare = float(hashprice_of(difficulty, price, subsidy))
    note([earned])
    if earned.value < bare * (1.0 - 1e-9):
        warnings.warn(
            f"hashprice of {earned.date} is {earned.value:g} $/(PH/s day); its price and difficulty make "
            f"{bare:.4g} without any fee, which is what counts here",
            stacklevel=caller(),
        )
    return subsidy * max(0.0, earned.value / bare - 1.0)


def _is_mean(quote: Quote) -> bool:
    """Whether a quote is of a month."""
    return len(quote.date) == 7


def month_list(months: Iterable[str]) -> tuple[str, ...]:
    """Months in their order."""
    allowed = "allowed: months as '2013-01', each after the one before"
    if isinstance(months, str) or not isinstance(months, Iterable):
        raise TypeError(f"months is {shown(months)}; {allowed}")
    given = tuple(months)
    if not given:
        raise ValueError(f"months is empty; {allowed}")
    for i, month in enumerate(given):
        if not isinstance(month, str):
            raise TypeError(f"months[{i}] is {shown(month)}; {allowed}")
        match = MONTH.fullmatch(month)
        if match is None or match[1] != month or (i and month <= given[i - 1]):
            raise ValueError(f"months[{i}] is {shown(month)}; {allowed}")
    return given


def by_month(name: str, value: ArrayLike, count: int, *, above: bool = False) -> Any:
    """One number per month."""
    array = reals(name, value, above=above)
    if array.shape not in ((), (count,)):
        raise ValueError(
            f"{name} has shape {array.shape}; allowed: () or ({count},), one per month"
        )
    return np.broadcast_to(array, (count,))


def _quoted(
    when: tuple[str, ...], market: MarketLike | None
) -> tuple[tuple[str, ...], NDArray[np.float64], NDArray[np.float64]]:
    """Months, hashprice and difficulty of months of the catalogue."""
    known = market_history(market=market)
    at = {month: i for i, month in enumerate(known.months)}
    for i, month in enumerate(when):
        if month not in at:
            raise ValueError(
                f"months[{i}] is {shown(month)}, of which no price and difficulty are quoted; allowed "
                f"without numbers: months of market_history, {known.months[0]} to {known.months[-1]}"
            )
    rows = [at[month] for month in when]
    return when, known.hashprice[rows], known.difficulty[rows]


class MonthlyMarket(TypedDict, total=False):
    """What mining earns by month, or as one number: the hashprice, or the four that it comes from."""

    difficulty: ArrayLike | None
    price: ArrayLike | None
    subsidy_btc: ArrayLike | None
    fees_btc: ArrayLike
    hashprice: ArrayLike | None


def earnings_of(
    months: Iterable[str] | None,
    *,
    market: MarketLike | None = None,
    hashprice: ArrayLike | None = None,
    difficulty: ArrayLike | None = None,
    price: ArrayLike | None = None,
    subsidy_btc: ArrayLike | None = None,
    fees_btc: ArrayLike = 0.0,
) -> tuple[tuple[str, ...], NDArray[np.float64], NDArray[np.float64] | None]:
    """Months, hashprice and, where it is known, difficulty; the catalogue's if no price is given."""
    parts = {"difficulty": difficulty, "price": price, "subsidy_btc": subsidy_btc}
    given = {name for name, value in parts.items() if value is not None}
    given |= {"fees_btc"} if np.any(reals("fees_btc", fees_btc)) else set()
    if months is None:
        given |= {"hashprice"} if hashprice is not None else set()
        for name in sorted(given):
            raise ValueError(f"months is None; allowed beside {name}: months as '2013-01'")
        known = market_history(market=market)
        return known.months, known.hashprice, known.difficulty
    when = month_list(months)
    if not given and hashprice is None:
        return _quoted(when, market)
    if market is not None:
        raise ValueError(
            f"market is {shown(market)}; allowed without months, or beside months without prices of theirs"
        )
    if hashprice is not None:
        for name in sorted(given):
            raise ValueError(f"{name} is given beside hashprice; allowed: one of the two")
        return when, by_month("hashprice", hashprice, len(when)), None
    got = {}
    for name, value in parts.items():
        if value is None:
            raise ValueError(
                f"{name} is None; allowed beside {' and '.join(sorted(given))}: numbers for each of the "
                f"months ({', '.join(when[:3])}{', ...' if len(when) > 3 else ''}), or months alone, whose "
                "prices are then those that the catalogue quotes"
            )
        got[name] = by_month(name, value, len(when), above=name != "subsidy_btc")
    fees = by_month("fees_btc", fees_btc, len(when))
    earned = hashprice_of(got["difficulty"], got["price"], got["subsidy_btc"], fees)
    return when, np.asarray(earned), got["difficulty"]
