"""A cash flow as a file: where it comes from, what it assumes, then a row for each year."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tokenroof.support.arguments import shown
from tokenroof.support.lazy import require
from tokenroof.support.whole import into, whole_file

__all__ = ["CSV", "EXCEL", "MANIFEST", "checked_path", "rows_of", "write_csv", "write_excel"]

#: What a file may be called that is written so; "" where a name without a suffix is one too.
CSV, EXCEL, MANIFEST = (".csv", ".txt", ""), (".xlsx",), (".json", "")


def checked_path(name: str, path: object, suffixes: Sequence[str]) -> Path:
    """The path of a file to be written; an error names it where it is none, or is called as another format.

    Examples
    --------
    >>> checked_path("excel", "flow.csv", EXCEL)
    Traceback (most recent call last):
    ValueError: excel is 'flow.csv', whose suffix is '.csv'; allowed: .xlsx
    """
    if not isinstance(path, (str, os.PathLike)) or isinstance(os.fspath(path), bytes):
        raise TypeError(f"{name} is {shown(path)}; allowed: the path of a file")
    if not os.fspath(path):
        raise ValueError(f"{name} is {shown(path)}; allowed: the path of a file")
    file = Path(path)
    if file.suffix.lower() not in suffixes:
        allowed = ", ".join(suffix or "no suffix" for suffix in suffixes)
        said = f", whose suffix is {shown(file.suffix)}" if file.suffix else " without a suffix"
        raise ValueError(f"{name} is {shown(os.fspath(path))}{said}; allowed: {allowed}")
    return file


def rows_of(
    assumptions: Iterable[tuple[str, Any, str]], manifest: Iterable[tuple[str, Any]],
    names: Sequence[str], columns: Sequence[Sequence[float]], about: Iterable[tuple[str, str, str]] = (),
) -> list[list[Any]]:  # fmt: skip
    """Rows of a file: assumptions with units, where they come from, units of columns, empty, heads, years."""
    found = [[name, _plain(value), unit] for name, value, unit in assumptions]
    found += [[f"manifest.{name}", _plain(value), ""] for name, value in manifest]
    found += [list(row) for row in about]
    return [*found, [], list(names), *(list(row) for row in zip(*columns, strict=True))]


def write_csv(path: str | os.PathLike[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write rows as a CSV file."""
    import csv

    with (
        whole_file(checked_path("path", path, CSV)) as beside,
        beside.open("w", newline="", encoding="utf-8") as file,
    ):
        csv.writer(file).writerows(rows)


def write_excel(path: str | os.PathLike[str], rows: Iterable[Sequence[Any]], heads: int) -> None:
    """Write rows as one sheet of Excel; those above `heads` stay in sight."""
    file = checked_path("path", path, EXCEL)
    openpyxl = require("openpyxl", extra="excel")
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "cash flow"
    for row in rows:
        sheet.append([_cell(value) for value in row])
    sheet.column_dimensions["A"].width = 34
    sheet.freeze_panes = f"B{heads + 1}" if heads < 12 else "B1"
    # a book that cannot be written would complain once more when it is forgotten
    made = io.BytesIO()
    with into(file):  # its sheets go through files of their own
        book.save(made)
    with whole_file(file) as beside:
        beside.write_bytes(made.getvalue())


def _plain(value: Any) -> Any:
    """One cell: a tuple as text."""
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return value


def _cell(value: Any) -> Any:
    """What a sheet can hold: infinity is text there."""
    return (
        str(value) if isinstance(value, float) and value in (float("inf"), float("-inf")) else value
    )
