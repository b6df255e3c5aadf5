"""Market data newer than the package: a CSV or TOML file of dated rows, checked cell by cell."""

from __future__ import annotations

import datetime
import hashlib
import math
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tokenroof import kernels
from tokenroof.catalogue.architectures import model as find_model
from tokenroof.catalogue.files import date_key
from tokenroof.catalogue.lookup import device as find_device
from tokenroof.catalogue.market_columns import COLUMNS, ITEMS, READ, unused
from tokenroof.catalogue.market_rows import Cell, Place, Row, csv_rows, toml_rows
from tokenroof.catalogue.market_sense import Told, judge
from tokenroof.catalogue.quote import IN_FORCE, MarketData, MarketLike, Quote
from tokenroof.catalogue.subsidy import halving_expected, subsidy_on
from tokenroof.records.provenance import KINDS, Provenance
from tokenroof.support.names import near_matches
from tokenroof.support.quoting import file_of, shown
from tokenroof.support.units import caller, check_unit

__all__ = ["market_data", "market_in_force"]

_LARGEST_FILE = 2**20
_HIGHEST = 1e21
# by what quantity the unit of a column is judged
_JUDGED = {
    "power": "price_per_kwh", "rent": "price_per_gpu_hour",
    "input": "price_per_mtok", "output": "price_per_mtok",
}  # fmt: skip
_WORDS = ("date", "source", "kind")
_DATE = re.compile(r"(\d{4})-(\d{2})(?:-(\d{2}))?", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)


def market_data(path: MarketLike) -> MarketData:
    """Read prices that are newer than the package, or correct it, from a file.

    A row has a date and any of: ``price`` of a bitcoin [$], ``difficulty`` [1], ``hashprice``
    [$/(PH/s day)], ``fees`` of a block [BTC], ``power`` of industry in the US [$/kWh], ``rent.DEVICE``
    [$/h], and ``input.MODEL`` and ``output.MODEL`` tokens [$/Mtok]; besides, ``source`` and ``kind``. Where
    a row has price and difficulty and no hashprice, that follows from them, the chain's subsidy and the fees.

    Parameters
    ----------
    path : path or MarketData
        CSV with a header, or TOML whose rows are ``[[row]]``; what was read is returned as it is.

    Returns
    -------
    MarketData
        For ``market=`` of any function that takes it, or for `market_in_force`.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        For the first thing in it that is not allowed: file, line, column, what stands there, what is allowed.

    Examples
    --------
    >>> import tempfile
    >>> text = "date,price,difficulty,fees\\n2026-10,100000,1.5e14,0.025\\n"
    >>> with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
    ...     _ = file.write(text)
    ...     file.flush()
    ...     newer = market_data(file.name)
    >>> [(q.quantity, round(q.value, 2)) for q in newer.quotes if q.quantity == "btc_hashprice"]
    [('btc_hashprice', 42.24)]
    """
    if isinstance(path, MarketData):
        return path
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"market is {shown(path)}; allowed: a path, or what market_data returned")
    file = file_of("market", path)
    with file.open("rb") as stream:
        raw = stream.read(_LARGEST_FILE + 1)
    start = Place(str(file), 1, 1)
    if len(raw) > _LARGEST_FILE:
        start.refuse("the file is larger than 1 MiB; allowed: dated rows of prices")
    text = _decoded(raw, start)
    shared: dict[str, Cell] = {}
    if file.suffix.lower() == ".toml":
        rows, shared = toml_rows(text, start)
    else:
        rows, header = csv_rows(text, start)
        for column, place in header.items():
            if column not in _WORDS:
                _meaning(column, place)
    quotes = _quotes(rows, shared, file.name)
    if not quotes:
        start.refuse("the file has no row; allowed: at least one, with a date and a number")
    return MarketData(str(file), hashlib.sha256(raw).hexdigest(), len(rows), quotes)


@contextmanager
def market_in_force(market: MarketLike | None) -> Iterator[MarketData | None]:
    """Let the prices of a file count in all that is called within; None changes nothing.

    Parameters
    ----------
    market : path or MarketData, optional
        As `market_data` takes it.

    Returns
    -------
    context manager
        Gives the `MarketData` that counts, or None. It counts in this thread and its asynchronous tasks, not
        in threads that are started meanwhile, and alone: of a file around it nothing counts until it ends.
        A warning names what the file has if nothing of it was used.

    Raises
    ------
    OSError, ValueError, TypeError
        As `market_data`, when it is entered.

    Examples
    --------
    >>> from tokenroof.catalogue import latest
    >>> with market_in_force(None) as counts:
    ...     counts is None, latest("btc_hashprice").date
    (True, '2026-06-26')
    """
    if market is None:
        yield IN_FORCE.get()
        return
    data = market_data(market)
    before, read = READ.get(), set[Quote]()
    token, reads = IN_FORCE.set(data), READ.set(read)
    try:
        yield data
    finally:
        IN_FORCE.reset(token)
        READ.reset(reads)
    if before is not None:
        before |= read
    elif read.isdisjoint(data.quotes):
        said = f"nothing of {data.name} is used here, which has {'; '.join(unused(data, ()))}"
        warnings.warn(said, stacklevel=caller())


def _decoded(raw: bytes, start: Place) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8-sig", "replace")
        line = before.count("\n") + 1
        column = len(before) - before.rfind("\n")
        Place(start.file, line, column).refuse(
            f"byte {raw[error.start]:#04x} is not UTF-8; allowed: a text file in UTF-8"
        )


def _quotes(rows: list[Row], shared: Mapping[str, Cell], name: str) -> tuple[Quote, ...]:
    """All quotes of all rows, by date."""
    found: list[Quote] = []
    told: list[Told] = []
    before = ""
    for row in rows:
        date = _date(row)
        if before and date_key(date) <= date_key(before):
            row.cells["date"].place.refuse(
                f"date is {shown(date)} after {shown(before)}; allowed: dates that ascend, each once"
            )
        before = date
        given, computed = _of_row(row, date, shared, name)
        found += [*(quote for _, quote, _ in given), *computed]
        told += [(column, quote, row.cells["date"].place, at) for column, quote, at in given]
    judge(told, _hashprice)
    return tuple(found)


def _hashprice(date: str, difficulty: float, price: float, fees: float = 0.0) -> float:
    """Of new coins and fees, in dollars of a PH/s and day."""
    return float(kernels.hashprice_usd(difficulty, subsidy_on(date) + fees, price))


def _of_row(
    row: Row, date: str, shared: Mapping[str, Cell], name: str
) -> tuple[list[tuple[str, Quote, Place]], list[Quote]]:
    """Column, quote and place of each number, and what follows from them."""
    words = dict(shared) | {key: row.cells[key] for key in ("source", "kind") if key in row.cells}
    said = {key: _word(key, cell) for key, cell in words.items()}
    kind = said.get("kind") or "press"
    source = f"{said.get('source') or 'no source named'} ({name}, line {row.place.line})"
    found: list[tuple[str, Quote, Place]] = []
    taken: dict[tuple[str, str], str] = {}
    for column, cell in row.cells.items():
        if column in _WORDS:
            continue
        quantity, item, unit = _meaning(column, cell.place)
        if (quantity, item) in taken:
            cell.place.refuse(
                f"{column} is {item} again, as {taken[quantity, item]}; allowed: each once"
            )
        taken[quantity, item] = column
        value = _number(column, cell)
        quote = Quote(quantity, value, unit, item, date, Provenance(kind, source, date, unit))
        found.append((column, quote, cell.place))
    if not found:
        row.place.refuse("the row has no number; allowed: at least one beside its date")
    return found, _computed([quote for _, quote, _ in found], date, kind, source, row.place)


def _computed(found: list[Quote], date: str, kind: str, source: str, place: Place) -> list[Quote]:
    """The hashprice of a row that has none, where price and difficulty are known."""
    values = {quote.quantity: quote.value for quote in found}
    if "btc_hashprice" in values or not {"btc_price", "btc_difficulty"} <= values.keys():
        return []
    fees = values.get("btc_fees_per_block", 0.0)
    hashprice = _hashprice(date, values["btc_difficulty"], values["btc_price"], fees)
    if not 0.0 < hashprice <= _HIGHEST:
        place.refuse(
            f"price and difficulty make a hashprice of {hashprice:g} $/(PH/s day); allowed: > 0 and "
            f"<= {_HIGHEST:g}"
        )
    quantity, region, unit = COLUMNS["hashprice"]
    halved = halving_expected(date)
    since = "" if halved is None else f" (halved at block {halved[0]:,}, expected {halved[1]})"
    coins = subsidy_on(date) + fees
    said = f"computed from price, difficulty, {coins:.8g} BTC a block{since}: {source}"
    return [Quote(quantity, hashprice, unit, region, date, Provenance(kind, said, date, unit))]


def _meaning(column: str, place: Place) -> tuple[str, str, str]:
    """Quantity, item and unit of a column."""
    if column in COLUMNS:
        return COLUMNS[column]
    group, dot, item = column.partition(".")
    if group in ITEMS and dot and item:
        find = find_device if group == "rent" else find_model
        try:
            found = _by_name(find, item)
        except (KeyError, ValueError) as error:
            said = error.args[0] if error.args else error
            place.refuse(f"{column[:200]}: {said}; allowed: a name of the catalogue")
        quantity, unit = ITEMS[group]
        return quantity, found, unit
    known = [*_WORDS, *COLUMNS, *(f"{group}.NAME" for group in ITEMS)]
    near = near_matches(group, [*_WORDS, *COLUMNS, *ITEMS])
    hint = f"did you mean {', '.join(map(repr, near))}? " if near else ""
    place.refuse(f"unknown column {shown(column)}; {hint}allowed: {', '.join(known)}")


def _by_name(find: Any, item: str) -> str:
    """Name in the catalogue; a file of one's own, or this machine, is none."""
    if item.lower().endswith((".toml", ".json")) or os.sep in item or item.lower() == "local":
        raise ValueError(f"{shown(item)} is not in the catalogue")
    return str(find(item).name)


def _date(row: Row) -> str:
    cell = row.cells.get("date")
    if cell is None:
        row.place.refuse("the row has no date; allowed: YYYY-MM or YYYY-MM-DD")
    allowed = "allowed: YYYY-MM or YYYY-MM-DD, from 2009-01 on"
    value = cell.value
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        value = value.isoformat()
    match = _DATE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        cell.place.refuse(f"date is {shown(value)}; {allowed}")
    try:
        datetime.date(int(match[1]), int(match[2]), int(match[3] or 1))
    except ValueError:
        cell.place.refuse(f"date is {shown(value)}; {allowed}")
    if int(match[1]) < 2009:
        cell.place.refuse(f"date is {shown(value)}; {allowed}")
    return match[0]


def _word(name: str, cell: Cell) -> str:
    if not isinstance(cell.value, str):
        cell.place.refuse(f"{name} is {shown(cell.value)}; allowed: text")
    word = " ".join(cell.value.split())
    if name == "kind" and word not in KINDS:
        cell.place.refuse(f"kind is {shown(word)}; allowed: {', '.join(KINDS)}")
    return word


def _number(name: str, cell: Cell) -> float:
    least = "0" if name == "fees" else "> 0"
    allowed = f"allowed: a number {'>= 0' if name == 'fees' else least} and <= {_HIGHEST:g}"
    value = cell.value
    if isinstance(value, str) and cell.is_text and _NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        cell.place.refuse(f"{name} is {shown(cell.value)}; {allowed}")
    fits = value <= _HIGHEST and not (isinstance(value, float) and math.isnan(value))
    if not fits or value < 0 or (value == 0 and name != "fees"):
        cell.place.refuse(f"{name} is {shown(cell.value)}; {allowed}")
    known = _JUDGED.get(name.partition(".")[0])
    if known is not None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter(
                    "ignore"
                )  # what is odd was written down with a date: it counts
                check_unit(known, float(value))
        except ValueError as error:
            cell.place.refuse(f"{name}: {error}")
    return float(value)
