"""New coins of a block of Bitcoin on a day: of the halvings that were, and of those that are expected."""

from __future__ import annotations

import calendar
import datetime
from functools import cache

from tokenroof.catalogue.files import table

__all__ = ["halving_expected", "halvings_after", "next_halving", "subsidy_on"]

# Bitcoin Core, GetBlockSubsidy and chainparams: a halving every 210,000 blocks, a block every 600 s, integers
_BLOCKS, _BLOCK_S, _COIN = 210_000, 600, 10**8
_ERAS = 33  # of new coins: 50 BTC, halved as integers, are nothing from the 33rd halving on
_DAY_S = 86_400


@cache
def _eras() -> tuple[tuple[str, float], ...]:
    """Dates from which a block has so many new coins."""
    series = next(s for s in table("markets")["series"] if s["kind"] == "btc_subsidy")
    return tuple(sorted((str(date), float(value)) for _, date, value, _, _ in series["quotes"]))


def _halvings(day: str) -> int:
    """How many are expected after the last known one, up to a day."""
    since = (datetime.date.fromisoformat(day) - datetime.date.fromisoformat(_eras()[-1][0])).days
    # the n-th comes n * 210,000 * 600 s later: on this day, or before it
    return max(0, ((since + 1) * _DAY_S - 1) // (_BLOCKS * _BLOCK_S))


def halving_expected(date: str) -> tuple[int, str] | None:
    """The last halving up to a date that is only expected: its block, and its day; None where none is.

    Blocks are counted from the last known halving, 600 s each; of a month its last day counts.

    Examples
    --------
    >>> halving_expected("2024-05"), halving_expected("2028-04-16"), halving_expected("2028-11")
    (None, None, (1050000, '2028-04-17'))
    """
    month = len(date) == 7
    day = f"{date}-{calendar.monthrange(int(date[:4]), int(date[5:]))[1]}" if month else date
    n = _halvings(day) if day >= _eras()[-1][0] else 0
    if not n:
        return None
    return (len(_eras()) - 1 + n) * _BLOCKS, _expected(n).isoformat()


def _expected(n: int) -> datetime.date:
    """Day of the n-th halving after the last known one."""
    after = datetime.timedelta(days=n * _BLOCKS * _BLOCK_S // _DAY_S)
    return datetime.date.fromisoformat(_eras()[-1][0]) + after


def halvings_after(day: datetime.date) -> tuple[int, ...]:
    """Days from a day to each halving after it: those that were, then those that are expected.

    Examples
    --------
    >>> halvings_after(datetime.date(2024, 4, 10))[:2], halvings_after(datetime.date(2028, 4, 17))[0]
    ((10, 1468), 1458)
    """
    eras = _eras()
    known = [datetime.date.fromisoformat(start) for start, _ in eras[1:]]
    days = [*known, *map(_expected, range(1, _ERAS - len(known) + 1))]
    return tuple((one - day).days for one in days if one > day)


def next_halving() -> str:
    """Month of the first halving that is only expected.

    Examples
    --------
    >>> next_halving()
    '2028-04'
    """
    return _expected(1).isoformat()[:7]


def subsidy_on(date: str) -> float:
    """New coins of a block on a day, or on the mean day of a month [BTC]; 0 before the first block.

    After the last known halving those that are expected count: `halving_expected`.

    Examples
    --------
    >>> subsidy_on("2024-04-19"), subsidy_on("2024-04"), subsidy_on("2024-04-20"), subsidy_on("2028-11")
    (6.25, 5.104166666666667, 3.125, 1.5625)
    """
    if len(date) == 10:
        known = next((coins for start, coins in reversed(_eras()) if start <= date), 0.0)
        if date < _eras()[-1][0]:
            return known
        return (round(known * _COIN) >> _halvings(date)) / _COIN
    days = calendar.monthrange(int(date[:4]), int(date[5:]))[1]
    return sum(subsidy_on(f"{date}-{day:02}") for day in range(1, days + 1)) / days
