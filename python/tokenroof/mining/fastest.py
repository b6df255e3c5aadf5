"""Which of several ways is the fastest: short runs in turns, compared by the least time of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

__all__ = ["best_rates"]

_Key = TypeVar("_Key")

_LEAST_ROUNDS, _MOST_ROUNDS = 6, 60
_AGREE = 0.02  # two least times that differ by no more were disturbed by nothing
_SECONDS = 0.2  # of processor time, in all


def best_rates(runs: Mapping[_Key, Callable[[], tuple[int, float]]]) -> dict[_Key, float]:
    """Rate of each candidate in its least disturbed run.

    Whatever else a machine does makes a run longer, never shorter: the least time is what a
    candidate needs. All run once a round, every other round in the opposite order, so that a busy
    stretch meets them all; rounds go on until the two least times of each agree, or time is up.

    Parameters
    ----------
    runs : mapping of callable
        Each does a short piece of work, and returns how much and in what time [s].

    Returns
    -------
    dict
        Work per second by candidate; 0 where no run took measurable time.

    Examples
    --------
    >>> best_rates({"a": lambda: (100, 0.5), "b": lambda: (100, 0.25)})
    {'a': 200.0, 'b': 400.0}
    """
    times: dict[_Key, list[float]] = {key: [] for key in runs}
    order, spent = list(runs), 0.0
    for turn in range(_MOST_ROUNDS):
        for key in order if turn % 2 == 0 else reversed(order):
            work, seconds = runs[key]()
            spent += seconds
            if work > 0 and seconds > 0.0:
                times[key] = sorted([*times[key], seconds / work])[:2]
        known = turn + 1 >= _LEAST_ROUNDS and all(map(_settled, times.values()))
        if known or spent > _SECONDS:
            break
    return {key: 1.0 / found[0] if found else 0.0 for key, found in times.items()}


def _settled(least: list[float]) -> bool:
    """Whether the two least times agree."""
    return len(least) == 2 and least[1] <= least[0] * (1.0 + _AGREE)
