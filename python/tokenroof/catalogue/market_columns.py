"""Columns of a file of newer prices, and which of them a question did not use."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextvars import ContextVar

from tokenroof.catalogue.quote import MarketData, Quote

__all__ = ["COLUMNS", "ITEMS", "READ", "column_of", "note", "unread", "unused"]

#: Columns of one number: quantity of the catalogue, region, unit.
COLUMNS = {
    "price": ("btc_price", "Bitcoin", "USD/BTC"),
    "difficulty": ("btc_difficulty", "Bitcoin", "1"),
    "hashprice": ("btc_hashprice", "Bitcoin", "USD/PH/day"),
    "fees": ("btc_fees_per_block", "Bitcoin", "BTC/block"),
    "power": ("electricity_industrial", "US average", "USD/kWh"),
}
#: Columns of an item, as ``rent.H200-SXM``: quantity of the catalogue, unit.
ITEMS = {
    "rent": ("gpu_hour", "USD/GPU-h"),
    "input": ("api_price_input", "USD/Mtok"),
    "output": ("api_price_output", "USD/Mtok"),
}
#: Quotes that were read since a file counts; None where none does.
READ: ContextVar[set[Quote] | None] = ContextVar("market_read", default=None)
_PARTS = ("btc_price", "btc_difficulty", "btc_fees_per_block")


def note(quotes: Iterable[Quote]) -> None:
    """Remember that these were used."""
    read = READ.get()
    if read is not None:
        read.update(quotes)


def column_of(quote: Quote) -> str:
    """What a file calls the column of a quote.

    Examples
    --------
    >>> from tokenroof.catalogue.markets import latest
    >>> column_of(latest("btc_hashprice"))
    'hashprice'
    """
    for column, (quantity, _, _) in COLUMNS.items():
        if quantity == quote.quantity:
            return column
    group = next(name for name, (quantity, _) in ITEMS.items() if quantity == quote.quantity)
    return f"{group}.{quote.region}"


def unused(data: MarketData, used: Collection[Quote]) -> tuple[str, ...]:
    """The newest number of each column of which nothing was used, in words.

    A hashprice that was computed has used the price, the difficulty and the fees of its date.
    """
    known = set(used)
    days = {q.date for q in known if q.quantity == "btc_hashprice"}
    held = {q.date for q in data.quotes if q.quantity == "btc_hashprice"}
    newest: dict[str, Quote] = {}
    took: set[str] = set()
    for quote in data.quotes:
        column = column_of(quote)
        if quote in known or (quote.quantity in _PARTS and quote.date in days):
            took.add(column)
        if not (quote.quantity == "btc_hashprice" and quote.source.startswith("computed from")):
            newest[column] = quote
    lines = []
    for column, quote in newest.items():
        if column in took:
            continue
        hint = ""
        if quote.quantity in _PARTS and quote.date not in held:
            hint = ": a hashprice follows from price and difficulty of one row"
        lines.append(f"{column} {quote.value:g} of {quote.date}{hint}")
    return tuple(lines)


def unread(data: MarketData, but: Collection[Quote] = ()) -> tuple[str, ...]:
    """`unused` of what was read since the file counts, but for some that something else replaced."""
    return unused(data, [quote for quote in READ.get() or () if quote not in but])
