"""Rows of a trace, a chunk at a time: raw values by field, with the numbers of their lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tokenroof.serving.requests.traces.layouts import LAYOUTS, Layout
from tokenroof.serving.requests.traces.lines import TraceError, numbered
from tokenroof.support.arguments import shown
from tokenroof.support.quoting import counted

__all__ = ["SKIPPED", "Rows", "rows_of"]


@dataclass(slots=True)
class Rows:
    """Values by field, one a row; `missing` where a row lacks what it may."""

    lines: list[int] = field(default_factory=list)
    values: dict[str, list[Any]] = field(default_factory=dict)


_AT_ONCE = 256  # lines whose cells are lists at a time: of more the collector makes work
_MARKS = {",": "commas", ";": "semicolons", "\t": "tabulators"}
#: What a request that failed has none of.
_SIZES = ("input_tokens", "output_tokens")
#: What leaves such requests out.
SKIPPED = 'failed="skip" (--skip-failed), which leaves rows without tokens out'


def rows_of(path: Path, layout: Layout, chunk: int, skip: bool = False) -> Iterator[Rows]:
    """Chunks of so many rows; with `skip`, lengths that are not there are 0."""
    read = _csv if layout.form == "csv" else _jsonl
    return read(path, layout, chunk, skip)


def _fresh(layout: Layout) -> Rows:
    return Rows(values={name: [] for name in layout.columns})


def _csv(path: Path, layout: Layout, chunk: int, skip: bool) -> Iterator[Rows]:
    lines = numbered(path)
    wanted = list(layout.columns.values())
    number, text = next(lines, (1, ""))
    between = next((mark for mark in ",;\t" if mark in text), ",")
    header = [name.strip() for name in _cells(path, number, text, between)]
    layout = _as_written_here(layout, header)
    lacks = {name for name in layout.optional if layout.columns[name] not in header}
    layout = replace(layout, columns={n: c for n, c in layout.columns.items() if n not in lacks})
    wanted = list(layout.columns.values())
    for column in wanted:
        if column not in header:
            found = f"no column {shown(column)} among {header if any(header) else 'none'}"
            raise TraceError(
                path, number, found, f"a header with {', '.join(wanted)}{_like(header)}"
            )
    for column in wanted:
        if header.count(column) > 1:
            found = f"{counted(header.count(column), 'column')} called {shown(column)}"
            raise TraceError(path, number, found, "one, as nothing says which is meant")
    places = {name: header.index(column) for name, column in layout.columns.items()}
    rows = _fresh(layout)
    table: list[list[str]] = []
    for number, text in lines:
        cells = text.split(between) if '"' not in text else _cells(path, number, text, between)
        if len(cells) != len(header):
            found = f"{counted(len(cells), 'value')} in {shown(text)}"
            raise TraceError(path, number, found, f"{len(header)}: {', '.join(header)}")
        rows.lines.append(number)
        table.append(cells)
        full = len(rows.lines) == chunk
        if full or len(table) == _AT_ONCE:
            _into(rows, table, places, skip)
            table.clear()
        if full:
            yield rows
            rows = _fresh(layout)
    _into(rows, table, places, skip)
    yield rows


def _into(rows: Rows, table: list[list[str]], places: Mapping[str, int], skip: bool) -> None:
    """Add the cells of lines, column by column."""
    columns = list(zip(*table, strict=True))
    for name, place in places.items() if table else ():
        column: Iterable[str] = columns[place]
        if skip and name in _SIZES:
            column = (cell if cell.strip() else "0" for cell in column)
        rows.values[name].extend(column)


def _as_written_here(layout: Layout, header: list[str]) -> Layout:
    """Rows that a simulation wrote have their arrival in seconds by another name."""
    plain = layout.name == "csv" and layout.columns["arrival"] == "arrival"
    if plain and "arrival" not in header and "arrival_s" in header:
        return replace(layout, columns={**layout.columns, "arrival": "arrival_s"})
    return layout


def _like(header: list[str]) -> str:
    """The layout of tables that has this header."""
    for one in LAYOUTS.values():
        needed = {column for name, column in one.columns.items() if name not in one.optional}
        if one.form == "csv" and needed <= set(header):
            return f", or layout {one.name}, whose header this is"
    return ""


def _cells(path: Path, number: int, text: str, between: str) -> list[str]:
    if '"' not in text:
        return text.split(between)
    try:
        return next(csv.reader([text], strict=True, delimiter=between))
    except csv.Error as error:
        expected = f"values between {_MARKS[between]}"
        raise TraceError(path, number, f"{shown(text)} ({error})", expected) from None


def _jsonl(path: Path, layout: Layout, chunk: int, skip: bool) -> Iterator[Rows]:
    columns, optional, refused = layout.columns, set(layout.optional), set(layout.refused)
    needed = [column for name, column in columns.items() if name not in optional]
    expected = "a JSON object with " + ", ".join(needed)
    rows = _fresh(layout)
    for number, text in numbered(path):
        row = _object(path, number, text, expected)
        if not refused.isdisjoint(row):
            names = ", ".join(name for name in layout.refused if name in row)
            raise TraceError(path, number, f"{names}, which is not read", expected)
        rows.lines.append(number)
        for name, column in columns.items():
            value = row.get(column)
            if value is None and skip and name in _SIZES:
                value = 0
            if value is None and name not in optional and not _follows(row, layout, name):
                found = f"no {column}" if column not in row else f"{column} is null"
                raise TraceError(path, number, found, expected + _skipping(row, column, name))
            rows.values[name].append(value)
        if len(rows.lines) == chunk:
            yield rows
            rows = _fresh(layout)
    yield rows


def _skipping(row: dict[str, Any], column: str, name: str) -> str:
    """How a row without tokens is left out, where one has none."""
    return f", or {SKIPPED}" if name in _SIZES and column in row else ""


def _follows(row: dict[str, Any], layout: Layout, name: str) -> bool:
    """Whether it may lack its time, as one that comes so long after another, or after those it waits for."""
    waits = (row.get(layout.columns.get(field, "")) for field in ("delay", "wait_for"))
    return name == "arrival" and any(value is not None for value in waits)


def _object(path: Path, number: int, text: str, expected: str) -> dict[str, Any]:
    try:
        row = json.loads(text)
    except json.JSONDecodeError as error:
        found = f"cut, or no JSON: {error.msg} at character {error.pos + 1} of {shown(text)}"
        table = number == 1 and any(mark in text for mark in _MARKS) and "{" not in text
        also = ", or for a table layout csv" if table else ""
        raise TraceError(path, number, found, expected + also) from None
    except (
        RecursionError,
        ValueError,
    ) as error:  # nested too deep; an integer of thousands of digits
        found = f"{shown(text)} ({type(error).__name__})"
        raise TraceError(path, number, found, expected) from None
    if not isinstance(row, dict):
        raise TraceError(path, number, f"{shown(text)}", expected)
    return row
