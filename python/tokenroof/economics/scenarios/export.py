"""A cash flow as a file: where it comes from, what it assumes, then a row for each year."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

from tokenroof.support.lazy import require

__all__ = ["rows_of", "write_csv", "write_excel"]


def rows_of(
    assumptions: Iterable[tuple[str, Any, str]], manifest: Iterable[tuple[str, Any]],
    names: Sequence[str], columns: Sequence[Sequence[float]],
) -> list[list[Any]]:  # fmt: skip
    """Rows of a file: assumptions with their units, where they come from, an empty row, heads, years."""
    found = [[name, _plain(value), unit] for name, value, unit in assumptions]
    found += [[f"manifest.{name}", _plain(value), ""] for name, value in manifest]
    return [*found, [], list(names), *(list(row) for row in zip(*columns, strict=True))]


def write_csv(path: str | os.PathLike[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write rows as a CSV file."""
    import csv

    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def write_excel(path: str | os.PathLike[str], rows: Iterable[Sequence[Any]], heads: int) -> None:
    """Write rows as one sheet of Excel; those above `heads` stay in sight."""
    openpyxl = require("openpyxl", extra="excel")
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "cash flow"
    for row in rows:
        sheet.append([_cell(value) for value in row])
    sheet.column_dimensions["A"].width = 34
    sheet.freeze_panes = f"B{heads + 1}" if heads < 12 else "B1"
    book.save(path)


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
