"""Whether a market file can be right: dates that have not come, prices far from all that was ever quoted."""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Callable, Iterable
from functools import cache

import numpy as np

from tokenroof.catalogue.files import date_key, table
from tokenroof.catalogue.market_rows import Place
from tokenroof.catalogue.quote import Quote
from tokenroof.support.arguments import shown
from tokenroof.support.units import QUANTITIES, Quantity, caller, likely

__all__ = ["Told", "judge"]

#: A column, its quote, and where date and number stand.
Told = tuple[str, Quote, Place, Place]
# times beyond what was quoted: there a number is odd, or none of this unit
_ODD, _OTHER = 10.0, 1000.0
_YEARS = 2  # how far ahead a forecast may be
# quantities that moved by orders of magnitude over the years: what was quoted nearest in time counts
_MOVED = {
    "btc_price": Quantity("$/BTC", slips=(("k$/BTC", 1e3), ("cent/BTC", 1e-2), ("$/satoshi", 1e8))),
    "btc_difficulty": Quantity("1", slips=(("T", 1e12), ("G", 1e9), ("P", 1e15))),
}
_RANGED = {
    "btc_fees_per_block": Quantity(
        "BTC/block", slips=(("satoshi/block", 1e-8), ("mBTC/block", 1e-3))
    ),
    "electricity_industrial": QUANTITIES["price_per_kwh"],
    "gpu_hour": QUANTITIES["price_per_gpu_hour"],
    "api_price_input": QUANTITIES["price_per_mtok"],
    "api_price_output": QUANTITIES["price_per_mtok"],
}


_ITEMS = ("gpu_hour", "api_price_input", "api_price_output")


def judge(told: Iterable[Told], hashprice: Callable[[str, float, float], float]) -> None:
    """Refuse what cannot be, warn of what is odd, each with its place.

    Parameters
    ----------
    told : iterable
        Every number of the file.
    hashprice : callable
        That of a date, a difficulty and a price [$/(PH/s day)].
    """
    odd: set[str] = set()
    for column, quote, when, where in told:
        _date(quote, when, odd)
        of, low, high = _span(quote, hashprice)
        value = quote.value
        far = max(value / high, low / value if value else 1.0)
        if far <= _ODD:
            continue
        unit = "" if of.unit == "1" else f" {of.unit}"
        known = f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
        said = f"{column} is {value:.12g}{unit}, {far:.0f} times beyond {known}, which is usual"
        meant = _meant(of, value, low, high)
        if far > _OTHER:
            where.refuse(f"{said}; allowed: within {_OTHER:g} times of it{meant}")
        if column not in odd:
            odd.add(column)
            place = f"{where.file}:{where.line}:{where.column}"
            warnings.warn(f"{place}: {said}: legal and odd{meant}", stacklevel=caller())


def _meant(of: Quantity, value: float, low: float, high: float) -> str:
    """In which unit the number would be a usual one."""
    slips = Quantity(of.unit, slips=of.slips, usual=(low / 3.0, 3.0 * high))
    return likely(slips, value)


def _span(
    quote: Quote, hashprice: Callable[[str, float, float], float]
) -> tuple[Quantity, float, float]:
    """Unit of a quantity, and between what it was quoted."""
    name = quote.quantity
    if name.startswith("btc_") and _month(quote.date) < min(_known("btc_price"))[0]:
        return QUANTITIES["hashprice"], 0.0, np.inf  # nobody had quoted anything yet
    if name == "btc_hashprice":
        near = hashprice(
            quote.date, *(_nearest(item, quote.date) for item in ("btc_difficulty", "btc_price"))
        )
        return QUANTITIES["hashprice"], near, near
    if name in _MOVED:
        near = _nearest(name, quote.date)
        return _MOVED[name], near, near
    of, (low, high) = _RANGED[name], _ends(name)
    if name in _ITEMS:  # of devices and models that nobody quoted there are cheaper and dearer
        low, high = min(low, of.usual[0]), max(high, of.usual[1])
    return of, low, high


@cache
def _known(quantity: str) -> tuple[tuple[int, float], ...]:
    """Months since year 0 and values of what the catalogue quotes."""
    rows = [
        row
        for one in table("markets")["series"]
        if one["kind"] == quantity
        for row in one["quotes"]
    ]
    return tuple(
        (_month(str(date)), float(value)) for _, date, value, _, _ in rows if float(value) > 0.0
    )


def _month(date: str) -> int:
    year, month, _ = date_key(date)
    return 12 * year + month


def _nearest(quantity: str, date: str) -> float:
    at = _month(date)
    return min(_known(quantity), key=lambda row: abs(row[0] - at))[1]


def _ends(quantity: str) -> tuple[float, float]:
    values = [value for _, value in _known(quantity)]
    return min(values), max(values)


@cache
def _newest() -> str:
    """Of the catalogue's own quotes: a clock that is behind it is wrong."""
    dates = [str(row[1]) for one in table("markets")["series"] for row in one["quotes"]]
    return max((date for date in dates if date_key(date)[2]), key=date_key)


def _date(quote: Quote, when: Place, odd: set[str]) -> None:
    """A date that has not come is a forecast: of soon, and warned of where it does not say that it is one."""
    now = max(datetime.date.today(), datetime.date.fromisoformat(_newest()))
    tomorrow = now + datetime.timedelta(days=1)  # where it is tomorrow already
    if quote.date <= tomorrow.isoformat()[: len(quote.date)]:
        return
    year, month, _ = date_key(quote.date)
    said = f"date is {shown(quote.date)}, after today ({now.isoformat()})"
    if 12 * (year - now.year) + month - now.month > 12 * _YEARS:
        when.refuse(f"{said}; allowed: at most {_YEARS} years ahead, as an estimate")
    if quote.kind != "estimate" and "date" not in odd:
        odd.add("date")
        place = f"{when.file}:{when.line}:{when.column}"
        warnings.warn(
            f"{place}: {said}; allowed without this warning: kind 'estimate'", stacklevel=caller()
        )
