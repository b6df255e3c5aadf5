"""How many processors there are for this process."""

from __future__ import annotations

import os

from tokenroof.support.arguments import whole_number

__all__ = ["thread_count", "usable_processors"]

_MOST_THREADS = 4096


def usable_processors() -> int:
    """Logical processors that this process may use: its threads, where nobody says how many.

    Examples
    --------
    >>> usable_processors() >= 1
    True
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def thread_count(threads: int | None) -> int:
    """As many threads as a caller asks for, 1 to 4,096; all that the process may use for None.

    Examples
    --------
    >>> thread_count(3), thread_count(None) >= 1
    (3, True)
    """
    if threads is None:
        return usable_processors()
    return whole_number("threads", threads, 1, _MOST_THREADS)
