"""``tokenroof list``: the catalogue's tables."""

from __future__ import annotations

import math
from argparse import ArgumentParser, Namespace
from typing import Any

from tokenroof.cli.output import emit
from tokenroof.support.formats import si, table
from tokenroof.support.quoting import counted

_COLUMNS = {
    "devices": ("name", "vendor", "family", "kind", "release", "memory_bytes", "memory_bandwidth",
                "peak_bf16", "peak_fp8", "peak_fp4", "tdp_w", "basis"),
    "models": ("name", "family", "attention", "release", "parameters", "active_parameters",
               "layers", "context_max"),
    "miners": ("name", "vendor", "kind", "release", "process", "hashrate", "power", "efficiency",
               "basis"),
    "tiers": ("name", "model", "context", "price_per_mtok", "interactivity", "power_share"),
}  # fmt: skip
_UNITS = {
    "memory_bytes": "B", "memory_bandwidth": "B/s", "peak_bf16": "FLOP/s", "peak_fp8": "FLOP/s",
    "peak_fp4": "FLOP/s", "tdp_w": "W", "parameters": "", "active_parameters": "",
    "hashrate": "H/s", "power": "W", "efficiency": "J/TH",
}  # fmt: skip


def add_arguments(command: ArgumentParser) -> None:
    command.add_argument("what", choices=tuple(_COLUMNS))
    command.add_argument("--match", default="", metavar="TEXT", help="rows that contain this")
    command.add_argument(
        "--sources", action="store_true",
        help="each number of these rows: unit, kind, and the document that states it",
    )  # fmt: skip


def run(arguments: Namespace) -> int:
    from tokenroof.catalogue.tables import rows_of

    found = rows_of(arguments.what)
    wanted = arguments.match.casefold()
    rows = [row for row in found if wanted in _words(row).casefold()]
    if arguments.sources:
        return _sources(arguments, {row["name"] for row in rows})
    if arguments.json:
        emit([{str(k): (None if _missing(v) else v) for k, v in row.items()} for row in rows])
        return 0
    columns = [c for c in _COLUMNS[arguments.what] if c in found[0]]
    shown = [[_cell(c, row[c]) for c in columns] for row in rows]
    table([c.replace("_", " ") for c in columns], shown, title=f"{len(rows)} {arguments.what}")
    return 0


def _sources(arguments: Namespace, names: set[str]) -> int:
    """A line for each number, with where it comes from."""
    from tokenroof.catalogue.numbers import numbers

    found = [n for n in numbers() if n.file == arguments.what and n.item in names]
    if arguments.json:
        emit([number._asdict() for number in found])
        return 0
    columns = ("item", "field", "value", "unit", "kind", "date", "source")
    shown = [
        [n.item, n.field, f"{n.value:.6g}", n.unit or "", n.kind, n.date or "", n.source]
        for n in found
    ]
    table(
        list(columns),
        shown,
        title=f"{counted(len(found), 'number')} of {len(names)} {arguments.what}",
    )
    return 0


def _words(row: dict[Any, Any]) -> str:
    return " ".join(value for value in row.values() if isinstance(value, str))


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _cell(column: str, value: Any) -> str:
    if _missing(value):
        return "-"
    if column == "efficiency":
        return f"{value:.4g}"
    if column in _UNITS:
        return si(float(value), _UNITS[column])
    return f"{value:g}" if isinstance(value, float) else str(value)
