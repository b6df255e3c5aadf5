"""Sampling: each probe in turn, again and again, until the interval of its median is narrow."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tokenroof import _core

__all__ = ["ProbeError", "Reading", "Task", "sample"]

#: An interval of the median is narrow if it is no wider than this share of the median.
NARROW = 0.02
_LEAST_REPEATS, _MOST_REPEATS = 9, 400
# No processor starts more instructions in a cycle: whoever claims more did not run its loop.
_MOST_INSTRUCTIONS = 16.0

Progress = Callable[[str, float], None]


class ProbeError(RuntimeError):
    """A probe whose loop did not do its work, so that its figure means nothing."""


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


def checked(
    name: str, found: tuple[Sequence[float], Sequence[float], bool]
) -> tuple[list[float], list[float]]:
    """Rates by the clock and by processor time, of a probe whose results were right.

    Raises
    ------
    ProbeError
        If they were not.
    """
    wall, cpu, right = found
    if not right:
        raise ProbeError(
            f"{name}: its results are not those of its work; was its loop optimised away?"
        )
    return list(wall), list(cpu)


def undisturbed(wall: Sequence[float], cpu: Sequence[float]) -> list[float]:
    """Rates by the clock of the windows in which all threads ran at once; of the nearest to it if none did.

    Where another program held a processor, a thread's own time is shorter than the clock's.

    Examples
    --------
    >>> undisturbed([10.0, 6.0, 9.9], [10.1, 12.0, 10.0])
    [10.0, 9.9]
    """
    lost = [c / w for w, c in zip(wall, cpu, strict=True)]
    limit = max(1.1, min(lost))
    return [w for w, x in zip(wall, lost, strict=True) if x <= limit]


def compute_task(name: str, unit: str, isa: str, kind: str, threads: int, window: float) -> Task:
    """Operations in registers of all threads: the sum of what each does in its own processor time."""
    operations, _, instructions = _core.probe_kinds()[isa][kind]

    def run(repeats: int) -> dict[str, list[float]]:
        clock = _core.measured_clock_hz()
        _, cpu = checked(name, _core.probe_compute(isa, kind, window, threads, repeats))
        per_cycle = max(cpu) / operations * instructions / threads / clock if clock else 0.0
        if per_cycle > _MOST_INSTRUCTIONS:
            raise ProbeError(f"{name}: {per_cycle:.0f} instructions a cycle; allowed: at most 16")
        return {name: cpu}

    return Task((name,), unit, run)


def memory_task(
    level: str, isa: str, nbytes: int, kinds: Sequence[str], threads: int, window: float, times: int
) -> Task:
    """Passes over `nbytes` by all threads: bytes of all by the clock, of one by its processor time.

    Filling a large buffer takes longer than a window: `times` as many windows in each turn.
    """
    names = {kind: f"bandwidth.{level}.{kind}.{threads}" for kind in kinds}

    def run(repeats: int) -> dict[str, list[float]]:
        found = _core.probe_memory(isa, nbytes, window, threads, times * repeats, list(kinds))
        out = {}
        for kind, row in found.items():
            wall, cpu = checked(names[kind], row)
            out[names[kind]] = cpu if threads == 1 else undisturbed(wall, cpu)
        return out

    return Task(tuple(names.values()), "B/s", run)


def latency_task(level: str, nbytes: int, window: float) -> Task:
    """Loads that each wait for the one before, over a random cycle of cache lines."""
    name = f"latency.{level}"

    def run(repeats: int) -> dict[str, list[float]]:
        _, cpu = checked(name, _core.probe_latency(nbytes, window, repeats))
        return {name: [1.0 / rate for rate in cpu]}

    return Task((name,), "s", run)


def timed_task(name: str, call: Callable[[], float], unit: str = "s") -> Task:
    """Whatever `call` returns, in `unit`."""
    return Task((name,), unit, lambda repeats: {name: [call() for _ in range(repeats)]})
