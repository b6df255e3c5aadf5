"""Rows of a market file, CSV or TOML, each cell with the place where it stands."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, NoReturn

from tokenroof.support.arguments import shown
from tokenroof.support.names import near_matches

__all__ = ["Cell", "Place", "Row", "csv_rows", "toml_rows"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands: file, line, column, both from 1."""

    file: str
    line: int
    column: int

    def refuse(self, what: str) -> NoReturn:
        """Raise what is wrong here."""
        raise ValueError(f"{self.file}:{self.line}:{self.column}: {what}")


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands somewhere; of a CSV file text alone, whatever it means."""

    value: Any
    place: Place
    is_text: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """Cells by column."""

    place: Place
    cells: dict[str, Cell] = field(default_factory=dict)


def csv_rows(text: str, start: Place) -> tuple[list[Row], dict[str, Place]]:
    """Rows below the header, and its names, without what is empty and lines that begin with #."""
    records = _records(text, start)
    if not records:
        start.refuse("the file is empty; allowed: a header, as date,price,difficulty, and rows")
    header: dict[str, Place] = {}
    for cell in records[0]:
        name = cell.value
        if not name:
            cell.place.refuse("a column has no name; allowed: a name for each")
        if name in header:
            cell.place.refuse(f"column {shown(name)} is there twice; allowed: each once")
        header[name] = cell.place
    if "date" not in header:
        records[0][0].place.refuse(f"no column date among {_few([*header])}; allowed: one")
    rows = []
    for record in records[1:]:
        if len(record) != len(header):
            record[min(len(record), len(header) + 1) - 1].place.refuse(
                f"the row has {len(record)} cells; allowed: {len(header)}, as the header"
            )
        cells = {name: cell for name, cell in zip(header, record, strict=True) if cell.value}
        rows.append(Row(record[0].place, cells))
    return rows, header


def _few(names: list[str]) -> str:
    return ", ".join(name[:40] for name in names[:8]) + (", ..." if len(names) > 8 else "")


def _records(text: str, start: Place) -> list[list[Cell]]:
    """Lines as cells (RFC 4180), each with its place."""
    records: list[list[Cell]] = []
    at, line, begin, length = 0, 1, 0, len(text)
    while at < length:
        if text[at] == "#" or text[at] in "\r\n":  # a comment, or nothing
            end = text.find("\n", at)
            at = length if end < 0 else end + 1
            line, begin = line + 1, at
            continue
        record: list[Cell] = []
        while True:
            place = Place(start.file, line, at - begin + 1)
            if at < length and text[at] == '"':
                value, at, more, begin = _quoted(text, at, place, begin)
                line += more
            else:
                end = at
                while end < length and text[end] not in ",\r\n":
                    end += 1
                value, at = text[at:end], end
            record.append(Cell(value.strip(), place, is_text=True))
            if at < length and text[at] == ",":
                at += 1
                continue
            break
        while at < length and text[at] in "\r\n":
            at += 1
            if text[at - 1] == "\n":
                line, begin = line + 1, at
                break
        records.append(record)
    return records


def _quoted(text: str, at: int, place: Place, begin: int) -> tuple[str, int, int, int]:
    """A cell in quotes: what it says, what follows, lines in it, where the last of them begins."""
    parts, more, at = [], 0, at + 1
    while True:
        end = text.find('"', at)
        if end < 0:
            place.refuse("the quote is not closed; allowed: a cell in two quotes")
        part = text[at:end]
        if "\n" in part:
            more, begin = more + part.count("\n"), at + part.rfind("\n") + 1
        parts.append(part)
        at = end + 1
        if text[at : at + 1] != '"':
            break
        parts.append('"')
        at += 1
    if text[at : at + 1] not in ("", ",", "\r", "\n"):
        place.refuse(
            "something stands behind the closing quote; allowed: a comma or the line's end"
        )
    return "".join(parts), at, more, begin


_AT = re.compile(r"\(at line (\d+), column (\d+)\)")
_TOP = ("row", "source", "kind")


def toml_rows(text: str, start: Place) -> tuple[list[Row], dict[str, Cell]]:
    """Rows, and source and kind of them all."""
    import tomllib

    try:
        found = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        said = " ".join(str(error).split())[:200]
        where = _AT.search(said)
        at = start if where is None else Place(start.file, int(where[1]), int(where[2]))
        at.refuse(f"the file is not TOML ({said}); allowed: rows, as [[row]]")
    places = _places(text, start)
    for name in found:
        if name not in _TOP:
            near = near_matches(name, _TOP)
            hint = f"did you mean {shown(near[0])}? " if near else ""
            places.get((0, name), start).refuse(
                f"unknown key {shown(name)}; {hint}allowed: {', '.join(_TOP)}"
            )
    given = found.get("row", [])
    if not isinstance(given, list) or not all(isinstance(row, dict) for row in given):
        places.get((0, "row"), start).refuse("row is no list of tables; allowed: [[row]]")
    shared = {name: Cell(found[name], places.get((0, name), start))
              for name in _TOP[1:] if name in found}  # fmt: skip
    return [_toml_row(row, i, places, start) for i, row in enumerate(given, 1)], shared


def _toml_row(row: dict[str, Any], i: int, places: dict[Any, Place], start: Place) -> Row:
    here = places.get((i, ""), places.get((0, "row"), start))
    cells = {}
    for name, value in row.items():
        at = places.get((i, name), here)
        if not isinstance(value, dict):
            cells[name] = Cell(value, at)
            continue
        for inner, each in value.items():
            column = f"{name}.{inner}"
            cells[column] = Cell(each, places.get((i, column), at))
    return Row(here, cells)


_HEAD = re.compile(r"\s*\[\[?\s*([^\]]*?)\s*\]")
_KEY = re.compile(
    r"""\s*((?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+))*)\s*="""
)
_PART = re.compile(r""""([^"]*)"|'([^']*)'|([A-Za-z0-9_-]+)""")


def _places(text: str, start: Place) -> dict[Any, Place]:
    """Where keys stand, by number of the row (0: before the first) and name; a row by ``""``."""
    found: dict[Any, Place] = {}
    row, prefix = 0, ""
    for line, words in enumerate(text.split("\n"), 1):
        head = _HEAD.match(words)
        if head is not None:
            name = _dotted(head[1])
            if name == "row":
                row, prefix = row + 1, ""
                found[row, ""] = Place(start.file, line, len(words) - len(words.lstrip()) + 1)
            else:
                prefix = name.removeprefix("row.") + "." if name.startswith("row.") else name + "."
            continue
        key = _KEY.match(words)
        if key is None:
            continue
        name = prefix + _dotted(key[1])
        found.setdefault((row, name), Place(start.file, line, key.start(1) + 1))
        if "{" in words[key.end() :]:  # an inline table: its own keys
            for inner in re.finditer(r"""[{,]\s*("[^"]*"|'[^']*'|[A-Za-z0-9_-]+)\s*=""", words):
                found.setdefault(
                    (row, f"{name}.{_dotted(inner[1])}"),
                    Place(start.file, line, inner.start(1) + 1),
                )
    return found


def _dotted(key: str) -> str:
    return ".".join(a or b or c for a, b, c in _PART.findall(key))
