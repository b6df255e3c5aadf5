"""Probes of the processor: operations in registers, passes over memory, chains of loads, calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tokenroof import _core
from tokenroof.support.sampling import ProbeError, Task

# No processor starts more instructions in a cycle: whoever claims more did not run its loop.
_MOST_INSTRUCTIONS = 16.0


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
