"""Reading the catalogue's TOML files: on first use, once."""

from __future__ import annotations

import os
import re
from functools import cache
from typing import Any

from tokenroof.records.provenance import Provenance
from tokenroof.support.arguments import shown
from tokenroof.support.names import UnknownNameError

__all__ = ["FILES", "FOLDER", "NOT_PUBLISHED", "clear_cache", "date_key", "provenance_of", "table"]

#: Where the files are.
FOLDER = os.path.dirname(__file__)
FILES = ("devices", "miners", "links", "markets", "tiers", "models", "cores", "runs", "gpu_hours",
         "deals", "acceptance",
         "published", "holders", "products", "decodes", "routing")  # fmt: skip


@cache
def table(name: str) -> dict[str, Any]:
    """Return the parsed file ``catalogue/<name>.toml``; treat it as read-only.

    Raises
    ------
    KeyError
        If the catalogue has no such file.
    """
    import tomllib  # here: `import tokenroof` must not pay for it

    if name not in FILES:
        raise UnknownNameError(f"no catalogue file {shown(name)}; there are {', '.join(FILES)}")
    with open(os.path.join(FOLDER, f"{name}.toml"), "rb") as file:
        return tomllib.load(file)


def clear_cache() -> None:
    """Forget what was parsed (for tests and measurements of the first use)."""
    table.cache_clear()


#: Source of a number whose kind is an exception of its row, an estimate, and that names no source.
NOT_PUBLISHED = "not published in a document known here: an estimate"


def provenance_of(file: dict[str, Any], row: dict[str, Any]) -> dict[str, Provenance]:
    """Return the provenance of each number of one `row` of a parsed `file`, by field.

    The fields are those of the file's ``[units]``; a peak counts as a field by type. A row's
    numbers have its ``basis`` as their kind and its sources, but for the exceptions it lists:
    ``kinds``, ``own_sources``, and ``documents`` of the file that state a number, with their date.
    An estimate among published numbers has none of its row's sources.
    """
    texts = file["sources"]
    basis = row["basis"]
    kinds = {name: kind for kind, names in row.get("kinds", {}).items() for name in names}
    shared = "; ".join(texts[key] for key in row["sources"])
    own = {n: "; ".join(texts[k] for k in keys) for n, keys in row.get("own_sources", {}).items()}
    stated = {
        n: file["documents"][k] for k, names in row.get("documents", {}).items() for n in names
    }
    found: dict[str, Provenance] = {}
    for name, unit in file["units"].items():
        if name not in row:
            continue
        value = row[name]
        for item in (f"{name}_{key}" for key in value) if isinstance(value, dict) else (name,):
            kind, source, date = kinds.get(item, basis), own.get(item, shared), file["date"]
            if item in stated:
                source, date = _cited(stated[item]), stated[item]["date"]
            elif kind == "estimate" != basis and item not in own:
                source = NOT_PUBLISHED
            found[item] = Provenance(kind, source, date, unit)
    return found


def _cited(document: dict[str, str]) -> str:
    """A document by title, publisher and date, and how its statement was found."""
    text = f"{document['title']} ({document['publisher']}, {document['date']})"
    return text if document["seen"] == "read" else f"{text}, {document['seen']}"


_DATE = re.compile(r"(\d{4})(?:-(\d{4})|-(H[12])|-(Q[1-4])|-(\d{2})(?:-(\d{2}))?)?")


def date_key(date: str | None) -> tuple[int, int, int]:
    """Return a sort key for a date of any precision; a range or a half year counts by its end.

    A year alone sorts before its months: "2026" must not beat "2026-06".

    Examples
    --------
    >>> date_key("2025-Q2"), date_key("2026"), date_key("2026-03-16")
    ((2025, 6, 0), (2026, 0, 0), (2026, 3, 16))
    """
    match = _DATE.match(date or "")
    if match is None:
        return (0, 0, 0)
    year, last, half, quarter, month, day = match.groups()
    if last:
        return (int(last), 0, 0)
    if half:
        return (int(year), 6 * int(half[1]), 0)
    if quarter:
        return (int(year), 3 * int(quarter[1]), 0)
    return (int(year), int(month or 0), int(day or 0))
