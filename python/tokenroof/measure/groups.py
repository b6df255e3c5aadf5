"""Measuring this machine: which probes, how long, and what they gave, as one record."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from datetime import date

import numpy as np

from tokenroof import _core, kernels, mining
from tokenroof.measure import system
from tokenroof.measure.numpy_probes import call_task
from tokenroof.measure.numpy_probes import tasks as numpy_tasks
from tokenroof.measure.probes import compute_task, latency_task, memory_task, timed_task
from tokenroof.measure.record import Machine
from tokenroof.support.arguments import shown
from tokenroof.support.processors import usable_processors
from tokenroof.support.sampling import Progress, Reading, Task, sample

__all__ = ["GROUPS", "QUICK", "machine"]

#: Groups of probes, in the order in which they run.
GROUPS = ("flops", "integer", "memory", "caches", "latency", "costs", "numpy", "hash")
#: What a report needs.
QUICK = ("flops", "memory", "hash")

# A header to hash: the first block's, whose nonce is known.
GENESIS = bytes.fromhex(
    "01000000" + "00" * 32 + "3ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a"
    "29ab5f49ffff001d1dac2b7c"
)
_LEAST_BUFFER, _MOST_BUFFER = 128 << 20, 1 << 30
_PASSES = ("read", "write", "copy", "triad")


def check_limits(seconds: float, threads: int | None) -> int:
    """Reject a time or a number of threads that cannot be measured with; return the threads."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TypeError(f"seconds is {shown(seconds)}; allowed: a number > 0")
    if not 0 < seconds < 3600:
        raise ValueError(f"seconds is {shown(seconds)}; allowed: a number > 0, below 3600")
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int)):
        raise TypeError(f"threads is {shown(threads)}; allowed: a positive integer")
    cores = usable_processors() if threads is None else threads
    if not 1 <= cores <= 4096:
        raise ValueError(f"threads is {shown(threads)}; allowed: 1 to 4096")
    return cores


def machine(
    seconds: float = 1.0,
    threads: int | None = None,
    groups: Sequence[str] = QUICK,
    progress: Progress | None = None,
) -> Machine:
    """Measure ceilings of this machine.

    Parameters
    ----------
    seconds : float
        Limit of the time for each group [s]; a group ends before it when the intervals of all its
        medians are narrow, and after it only for the first turn of each probe.
    threads : int, optional
        Threads of the loops; by default the logical processors that this process may use. NumPy's
        products use as many as its BLAS is set to.
    groups : sequence of str
        Of `GROUPS`. "flops", "integer": operations in registers by instruction set; "memory",
        "caches": bandwidth of reads, writes, copies and triads; "latency"; "costs": calls, threads,
        fresh pages; "numpy": products by rows, attention and activations; "hash": double SHA-256.
    progress : callable, optional
        Called with a probe's name and the share of the whole that is done, some ten times a second.

    Returns
    -------
    Machine

    Raises
    ------
    ValueError, TypeError
        If `seconds` is no positive number, `threads` no positive integer, or a group is unknown.
    ProbeError
        If a probe's results are not those of the work that it claims.

    Notes
    -----
    Probes of a group take turns. Rates in registers count each thread's processor time, which other
    programs do not stretch; bandwidth of several threads counts the clock.

    References
    ----------
    McCalpin, STREAM: Sustainable Memory Bandwidth in High Performance Computers, 1995.

    Examples
    --------
    >>> found = machine(seconds=0.1)
    >>> found.peak["fp32"] > found.peak["fp64"] / 2 > 0
    True
    """
    cores = check_limits(seconds, threads)
    if isinstance(groups, str) or not all(isinstance(group, str) for group in groups):
        raise TypeError(f"groups is {shown(groups)}; allowed: a sequence of {', '.join(GROUPS)}")
    for group in groups:
        if group not in GROUPS:
            raise ValueError(f"groups has {shown(group)}; allowed: {', '.join(GROUPS)}")
    wanted = [group for group in GROUPS if group in groups]
    if not {"flops", "memory"} <= set(wanted):
        missing = ", ".join(g for g in ("flops", "memory") if g not in wanted)
        raise ValueError(f"groups lacks {missing}; allowed: 'flops' and 'memory' are always needed")

    began, day = time.perf_counter(), date.today().isoformat()
    readings: dict[str, Reading] = {}
    watts: tuple[float | None, str] = (None, "unknown: nothing was computed")
    backend = ""
    for i, group in enumerate(wanted):
        tell = _part(progress, i, len(wanted))
        energy, start = system.Energy(), time.perf_counter()
        if group == "hash":
            backend = _fastest_scanner()
        tasks = _TASKS[group](seconds, cores, set(wanted) <= set(QUICK))
        # products are as slow as they are; the other groups leave time
        readings |= sample(tasks, 2.0 * seconds if group == "numpy" else seconds, day, tell)
        if group == "flops":
            watts = energy.watts(time.perf_counter() - start)
    if progress is not None:
        progress("done", 1.0)
    return Machine(
        name=system.processor_name(),
        cores=cores,
        readings=readings,
        hash_backend=backend,
        memory_bytes=system.memory_bytes(),
        cache_bytes=max(system.cache_sizes().values(), default=None),
        watts=watts[0],
        watts_note=watts[1],
        date=day,
        seconds=time.perf_counter() - began,
    )


def _part(progress: Progress | None, i: int, n: int) -> Progress | None:
    """Progress of one of `n` groups as that of the whole."""
    if progress is None:
        return None
    tell: Progress = progress
    return lambda what, share: tell(what, (i + share) / n)


def _window(seconds: float, most: float) -> float:
    return max(min(seconds / 100, most), 5e-4)


def _flops(seconds: float, cores: int, quick: bool) -> list[Task]:
    window = _window(seconds, 3e-3)
    tasks = [
        compute_task(f"flops.{kind}.{isa}", "FLOP/s", isa, kind, cores, window)
        for isa, kinds in _core.probe_kinds().items()
        for kind in ("fp64", "fp32", "bf16", "int8")
        if kind in kinds
    ]
    if _core.measured_clock_hz():
        tasks.append(timed_task("clock", _core.measured_clock_hz, "Hz"))
    return tasks


def _integer(seconds: float, cores: int, quick: bool) -> list[Task]:
    return [
        compute_task(f"integer.{kind}.{isa}", "op/s", isa, kind, cores, _window(seconds, 3e-3))
        for isa, kinds in _core.probe_kinds().items()
        for kind in ("add32", "logic32", "shift32")
        if kind in kinds
    ]


def _counts(cores: int) -> list[int]:
    """1, 2, 4 ... and all."""
    return sorted({*(1 << i for i in range(cores.bit_length()) if 1 << i <= cores), cores})


def _beyond_caches() -> int:
    """Bytes of buffers of which no cache holds much."""
    cache, memory = max(system.cache_sizes().values(), default=0.0), system.memory_bytes()
    most = _MOST_BUFFER if memory is None else min(_MOST_BUFFER, int(memory / 8))
    return int(min(max(_LEAST_BUFFER, 8 * cache), most))


def _level_bytes() -> dict[str, int]:
    """Bytes that each cache level holds and the one before does not, for one thread."""
    sizes, out, below = system.cache_sizes(), {}, 0.0
    for level, size in sizes.items():
        out[level] = int(0.75 * size if not below else max(math.sqrt(size * below), 1.5 * below))
        below = size
    return out


def _memory(seconds: float, cores: int, quick: bool) -> list[Task]:
    isa, size = _core.build_config()["isas_usable"][0], _beyond_caches()
    kinds = (*_PASSES, "write_nt", "copy_nt", "triad_nt")
    counts = [cores] if quick else _counts(cores)
    return [memory_task("memory", isa, size, kinds, n, _window(seconds, 3e-3), 4) for n in counts]


def _caches(seconds: float, cores: int, quick: bool) -> list[Task]:
    isa, window = _core.build_config()["isas_usable"][0], _window(seconds, 2e-3)
    last = max(system.cache_sizes(), default="")
    out = []
    for level, size in _level_bytes().items():
        for n in _counts(cores):
            # the last level is shared: all threads' parts together stay within it
            total = (
                min(size * n, int(0.5 * system.cache_sizes()[level])) if level == last else size * n
            )
            out.append(memory_task(level, isa, total, _PASSES, n, window, 1))
    return out


def _latency(seconds: float, cores: int, quick: bool) -> list[Task]:
    levels = {**_level_bytes(), "memory": _beyond_caches() // 2}
    return [latency_task(level, size, _window(seconds, 5e-3)) for level, size in levels.items()]


def _costs(seconds: float, cores: int, quick: bool) -> list[Task]:
    page, huge = 4096, 2 << 20
    calls: dict[str, Callable[[], float]] = {
        "cost.thread_wake": lambda: _core.probe_thread_wake(20),
        "cost.thread_start": lambda: _core.probe_thread_start(5),
    }
    if _core.probe_first_touch(page, False):
        calls["cost.page"] = lambda: page * _core.probe_first_touch(4 << 20, False)
    if _core.probe_first_touch(huge, True):
        calls["cost.huge_page"] = lambda: huge * _core.probe_first_touch(16 << 20, True)
    scalar = np.float64(1.0)
    return [
        *(timed_task(name, call) for name, call in calls.items()),
        call_task("cost.kernel", lambda: kernels.ridge_point(scalar, scalar)),
    ]


def _numpy(seconds: float, cores: int, quick: bool) -> list[Task]:
    cold = max(96 << 20, 3 * max(system.cache_sizes().values(), default=0.0))
    return numpy_tasks(min(cold, (system.memory_bytes() or 8e9) / 16))


def _fastest_scanner() -> str:
    return str(mining.scan(GENESIS, start=0, count=1 << 12, target=1, threads=1).backend)


def _hash(seconds: float, cores: int, quick: bool) -> list[Task]:
    # a target of 1 that no hash meets: nothing but scanning is timed
    def scan(threads: int, count: int, versions: int = 1) -> mining.ScanResult:
        return mining.scan(
            GENESIS, start=0, count=count, target=1, versions=versions, threads=threads
        )

    trial = scan(1, 1 << 14)
    count = int(min(max(trial.hashes / trial.seconds * _window(seconds, 2e-2), 1 << 14), 1 << 28))

    def one() -> float:
        run = scan(1, count)
        return float(run.hashes / run.cpu_seconds)

    def rolled() -> float:
        run = scan(1, max(1, count // 96), 96)
        return float(run.hashes / run.cpu_seconds)

    def every() -> float:
        run = scan(cores, count * cores)
        return float(run.hashes / run.seconds)

    # a core's share of a scan by its processor time, and all of them by the clock
    return [
        timed_task("hash.core", one, "hash/s"), timed_task("hash.roll", rolled, "hash/s"),
        timed_task("hash.all", every, "hash/s"),
    ]  # fmt: skip


_TASKS: dict[str, Callable[[float, int, bool], list[Task]]] = {
    "flops": _flops, "integer": _integer, "memory": _memory, "caches": _caches,
    "latency": _latency, "costs": _costs, "numpy": _numpy, "hash": _hash,
}  # fmt: skip
