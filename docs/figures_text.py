"""Numbers and tables of results as pages show them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
import results
from table_pages import row


@cache
def data(name: str = "accuracy") -> dict[str, Any]:
    """The results of a name, read once."""
    return results.load(name)


def percent(value: float | None, signed: bool = False, digits: int = 1) -> str:
    if value is None or not np.isfinite(value):
        return "-"
    return f"{100 * value:{'+' if signed else ''}.{digits}f} %"


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    head = list(head)
    body = [row(*cells) for cells in rows]
    return "\n".join([row(*head), row(*["---"] * len(head)), *body]) + "\n"


def joined(names: Iterable[object]) -> str:
    return ", ".join(str(name) for name in names) or "none"
