"""Prices as they were: what a dated series did, year by year from its start."""

from __future__ import annotations

import datetime
import math
import re
from itertools import pairwise

import numpy as np

from tokenroof.catalogue.market_file import market_in_force
from tokenroof.catalogue.markets import quotes
from tokenroof.catalogue.quote import MarketLike
from tokenroof.catalogue.subsidy import halvings_after
from tokenroof.support.arguments import share, shown, whole_number
from tokenroof.support.days import as_day
from tokenroof.support.names import unknown

__all__ = ["halving_course", "price_course", "year_of"]

#: Years, halves, quarters, months and days.
_DATE = re.compile(r"\d{4}(-(H[12]|Q[1-4]|(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?))?")
#: A price is carried on for so long after its last quote [year].
_CARRIED = 0.5
_DAYS_PER_YEAR = 365.0


def year_of(date: str) -> float:
    """Year and fraction of a date: the middle of a month, quarter, half or year.

    Examples
    --------
    >>> year_of("2024"), year_of("2024-Q1"), round(year_of("2024-10"), 3)
    (2024.5, 2024.125, 2024.792)
    """
    year, _, rest = date.partition("-")
    if not rest:
        return int(year) + 0.5
    if rest[0] in "HQ":
        parts = {"H": 2, "Q": 4}[rest[0]]
        return int(year) + (int(rest[1:]) - 0.5) / parts
    month, _, day = rest.partition("-")
    within = (int(day) - 0.5) / 31.0 if day else 0.5
    return int(year) + (int(month) - 1.0 + within) / 12.0


def price_course(
    quantity: str = "gpu_hour_index",
    item: str = "H100",
    since: str | None = None,
    *,
    market: MarketLike | None = None,
) -> tuple[tuple[int, float], ...]:
    """What a price was at each anniversary of its first quote, over that, as `income.price_course` takes it.

    Parameters
    ----------
    quantity : str
        Of the catalogue's markets, as "gpu_hour_index" or "btc_hashprice".
    item : str
        Region or item whose quotes count.
    since : str, optional
        Date from which they count.
    market : path or MarketData, optional
        A file of newer prices, as `tokenroof.catalogue.market_data` takes it: its quotes count too.

    Returns
    -------
    tuple of (int, float)
        Year of operation, from 1, and the factor. Between quotes logarithms run in straight lines; the last
        quote counts for half a year more.

    Raises
    ------
    KeyError
        For an unknown quantity or item.
    ValueError, TypeError
        If there are fewer than two dates, for a `since` that is no date, and for names that are no text.

    Examples
    --------
    Rents of the H100 from October 2024 on fell, and rose again:

    >>> [(year, round(factor, 2)) for year, factor in price_course()]
    [(1, 1.0), (2, 0.57), (3, 0.87)]
    """
    for name, text in (("quantity", quantity), ("item", item), ("since", since)):
        if not isinstance(text, str) and not (name == "since" and text is None):
            raise TypeError(f"{name} is {shown(text)}; allowed: text")
    if since is not None and not _DATE.fullmatch(since):
        raise ValueError(f"since is {shown(since)}; allowed: YYYY, YYYY-MM, YYYY-MM-DD, or YYYY-Q1")
    with market_in_force(market):
        every = quotes(quantity, item)
        if not every:
            raise unknown(f"item of {quantity}", item, [q.region for q in quotes(quantity)])
    rows = [q for q in every if since is None or q.date >= since]
    points = sorted((year_of(q.date), math.log(q.value)) for q in rows if q.value > 0.0)
    if len({at for at, _ in points}) < 2:
        raise ValueError(
            f"since is {shown(since)}, which leaves {len(points)} quotes; allowed: at least 2 dates"
        )
    at, logs = np.array([p[0] for p in points]), np.array([p[1] for p in points])
    years = np.arange(int(at[-1] + _CARRIED - at[0] + 1e-9) + 1)
    factors = np.exp(np.interp(at[0] + years, at, logs) - logs[0])
    return tuple(
        (int(year) + 1, float(factor)) for year, factor in zip(years, factors, strict=True)
    )


def halving_course(
    start: str | datetime.date, years: int = 30, *, fees_share: float = 0.0
) -> tuple[tuple[int, float], ...]:
    """What the chain's halvings leave of a hashprice, year by year, as `income.price_course` takes it.

    The subsidy alone: price of a bitcoin and difficulty stay, or move by `income.price_growth` besides.

    Parameters
    ----------
    start : str or date
        Day on which the first year of mining begins, as 2026-11-28 or 2026-11; the hashprice is that of this
        day. Halvings come 210,000 blocks of ten minutes after the last.
    years : int
        How many of operation are looked at; the last factor counts from then on.
    fees_share : float
        Part of the hashprice that is fees of transactions, which no halving touches [1].

    Returns
    -------
    tuple of (int, float)
        Year of operation, and the mean over it of the hashprice over that of the start: a row for each year
        in which that changes.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, its value and what is allowed.

    Examples
    --------
    Halvings are expected on 2028-04-17 and 2032-04-14: 141 days of the second year are before the first.

    >>> [(year, round(factor, 3)) for year, factor in halving_course("2026-11-28", 7)]
    [(2, 0.693), (3, 0.5), (6, 0.345), (7, 0.25)]
    """
    days = [float(day) for day in halvings_after(as_day("start", start))]
    kept = share("fees_share", fees_share, zero=True)
    rows, last = [], 1.0
    for year in range(whole_number("years", years, 1, 100)):
        first, end = year * _DAYS_PER_YEAR, (year + 1) * _DAYS_PER_YEAR
        gone = sum(day <= first for day in days)
        edges = [first, *(day for day in days if first < day < end), end]
        mean = sum((b - a) * 0.5 ** (gone + k) for k, (a, b) in enumerate(pairwise(edges)))
        factor = (1.0 - kept) * mean / _DAYS_PER_YEAR + kept
        if factor != last:
            rows.append((year + 1, factor))
        last = factor
    return tuple(rows)
