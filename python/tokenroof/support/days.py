"""Days of the calendar that a caller gives."""

from __future__ import annotations

import datetime
import re

from tokenroof.support.arguments import shown

__all__ = ["as_day"]

_TEXT = re.compile(r"\d{4}-\d{2}(-\d{2})?", re.ASCII)


def as_day(name: str, value: object) -> datetime.date:
    """A date, or its text; of a month its 15th.

    Examples
    --------
    >>> as_day("start", "2026-11-28"), as_day("start", "2026-11")
    (datetime.date(2026, 11, 28), datetime.date(2026, 11, 15))
    """
    said = f"{name} is {shown(value)}; allowed: a date, YYYY-MM-DD or YYYY-MM, from 2009-01-03 on"
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        day = value
    elif isinstance(value, str):
        if not _TEXT.fullmatch(value):
            raise ValueError(said)
        try:
            day = datetime.date.fromisoformat(value if len(value) == 10 else f"{value}-15")
        except ValueError:
            raise ValueError(said) from None
    else:
        raise TypeError(said)
    if day < datetime.date(2009, 1, 3):  # of the first block
        raise ValueError(said)
    return day
