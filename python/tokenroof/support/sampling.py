"""Sampling: each probe in turn, again and again, until the interval of its median is narrow."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["NARROW", "ProbeError", "Progress", "Reading", "Task", "sample"]


#: An interval of the median is narrow if it is no wider than this share of the median.
NARROW = 0.02
_LEAST_REPEATS, _MOST_REPEATS = 9, 400


Progress = Callable[[str, float], None]


class ProbeError(RuntimeError):
    """A probe whose loop did not do its work, so that its figure means nothing.

    Examples
    --------
    >>> issubclass(ProbeError, RuntimeError)
    True
    """


@dataclass(frozen=True, slots=True)
class Reading:
    """One measured quantity: what its repeats gave.

    Attributes
    ----------
    value : float
        Median of the repeats, in `unit`.
    best : float
        The fastest repeat: the largest rate, or the least time. What other work on the machine
        disturbs least.
    low, high : float
        Interval of the median that holds with 95 % confidence, from the order of the repeats.
    spread : float
        Interquartile range over the median.
    repeats : int
        Timed windows or calls.
    unit : str
        SI unit.
    date : str
        Day of the measurement.

    Examples
    --------
    >>> found = Reading.of([9.0, 10.0, 10.0, 10.0, 11.0], "B/s", "2026-11-29")
    >>> found.value, found.best, found.repeats
    (10.0, 11.0, 5)
    """

    value: float
    best: float
    low: float
    high: float
    spread: float
    repeats: int
    unit: str
    date: str

    @classmethod
    def of(cls, values: Sequence[float], unit: str, day: str) -> Reading:
        """The reading of repeats; a unit of seconds is better when less.

        Raises
        ------
        ProbeError
            If a repeat is no finite number above 0.

        Examples
        --------
        >>> Reading.of([3.0, 1.0, 2.0], "B/s", "2026-11-25").value
        2.0
        """
        x = sorted(values)
        if not x or not all(math.isfinite(v) and v > 0 for v in x):
            raise ProbeError(f"a repeat is not a finite number above 0 {unit}: {x[:3]}")
        n, middle = len(x), statistics.median(x)
        # ranks between which the median lies: binomial, as a normal (Conover, Practical Nonparametric
        # Statistics, 3.2)
        half = 0.98 * math.sqrt(n)
        low, high = max(0, math.floor(n / 2 - half)), min(n - 1, math.ceil(n / 2 + half) - 1)
        quarter = max(0, round(0.25 * (n - 1))), min(n - 1, round(0.75 * (n - 1)))
        best = x[0] if unit.startswith("s") else x[-1]
        spread = (x[quarter[1]] - x[quarter[0]]) / middle
        return cls(middle, best, x[low], x[max(high, low)], spread, n, unit, day)

    @property
    def narrow(self) -> bool:
        """Whether the interval of the median is narrow enough to stop."""
        return self.repeats >= _LEAST_REPEATS and self.high - self.low <= NARROW * self.value

    def as_dict(self) -> dict[str, Any]:
        """The fields, for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Task:
    """Something to sample: ``run(repeats)`` gives values by name, all in one unit."""

    names: tuple[str, ...]
    unit: str
    run: Callable[[int], Mapping[str, Sequence[float]]]


def sample(
    tasks: Sequence[Task], seconds: float, day: str, progress: Progress | None = None
) -> dict[str, Reading]:
    """Readings of all tasks, which take turns, so that a busy moment falls on all alike.

    Each has one turn at least; turns go on until every interval is narrow or the time is over.

    Parameters
    ----------
    tasks : sequence of Task
    seconds : float
        Limit of the time [s], beyond which no turn begins but each task's first.
    day : str
        Date that readings carry.
    progress : callable, optional
        Called with what is measured and the share of the time that is over, at most every 0.1 s.
    """
    began, told = time.perf_counter(), -math.inf
    values: dict[str, list[float]] = {name: [] for task in tasks for name in task.names}
    left = list(tasks)
    first = True
    while left:
        for task in list(left):
            now = time.perf_counter()
            if not first and now - began > seconds:
                left = []
                break
            if progress is not None and now - told >= 0.1:
                told = now
                progress(task.names[0], min(1.0, (now - began) / seconds))
            found = task.run(3)
            for name, more in found.items():
                values[name] += more
            done = [Reading.of(values[n], task.unit, day) for n in task.names if values[n]]
            over = all(r.narrow or r.repeats >= _MOST_REPEATS for r in done)
            if over and not first:
                left.remove(task)
        first = False
    return {
        name: Reading.of(values[name], task.unit, day)
        for task in tasks
        for name in task.names
        if values[name]
    }
