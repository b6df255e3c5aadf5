"""What commands print: one JSON document, or numbers as people read them."""

from __future__ import annotations

import json
import math
from typing import Any

from tokenroof.support.formats import ascii_of, plain

__all__ = ["emit", "percent", "say", "short"]


def emit(document: Any) -> None:
    """Print one JSON document, in ASCII."""
    print(json.dumps(plain(document), indent=1, allow_nan=False))


def say(text: object) -> None:
    """Print a line in ASCII."""
    print(ascii_of(str(text)))


def percent(share: float) -> str:
    """A share in percent.

    Examples
    --------
    >>> percent(0.1234), percent(float("nan"))
    ('12.3 %', '-')
    """
    return "-" if math.isnan(share) else f"{100.0 * share:.3g} %"


def short(value: float) -> str:
    """A number of a table without a unit.

    Examples
    --------
    >>> short(12345.6), short(1.2345), short(float("nan"))
    ('12,346', '1.23', '-')
    """
    return "-" if math.isnan(value) else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
