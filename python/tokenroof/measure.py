"""Measured ceilings of this machine: FLOP/s, bytes/s, hash/s and, where it tells, watts."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenroof import _core

if TYPE_CHECKING:
    from tokenroof.device import Device, Provenance

__all__ = ["Machine", "machine"]

# A header to hash: the first block's, whose nonce is known.
_GENESIS = bytes.fromhex(
    "01000000" + "00" * 32 + "3ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a"
    "29ab5f49ffff001d1dac2b7c"
)
_RAPL = Path("/sys/class/powercap")
_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_LEAST_BUFFER, _MOST_BUFFER = 128 << 20, 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What one machine reached; every rate is the best of several short runs.

    Attributes
    ----------
    name : str
        Processor, as the operating system names it.
    cores : int
        Logical processors that this process may use; all of them were used.
    isa : str
        Instruction set that reached the FLOP/s.
    peak : dict of str to float
        Multiply-adds in registers, by type "fp64" and "fp32" [FLOP/s].
    bandwidth : dict of str to float
        Memory traffic of "read" (a sum), "copy" and "triad", counted without the cache lines that
        a write fetches first [B/s].
    memory_bytes, cache_bytes : float or None
        Main memory, and the last-level cache that the bandwidth was measured beyond [B].
    hashrate : float
        Double SHA-256 of block headers [hash/s].
    hash_backend : str
        Scanner that reached it.
    watts : float or None
        Mean power of the processor package while it computed; None if it cannot be read [W].
    watts_note : str
        Where that comes from, or why there is none.
    date : str
        Day of the measurement.
    seconds : float
        Time that it all took [s].
    """

    name: str
    cores: int
    isa: str
    peak: dict[str, float]
    bandwidth: dict[str, float]
    hashrate: float
    hash_backend: str
    memory_bytes: float | None = None
    cache_bytes: float | None = None
    watts: float | None = None
    watts_note: str = ""
    date: str = ""
    seconds: float = 0.0
    kind: str = field(default="measured", init=False)

    @property
    def memory_bandwidth(self) -> float:
        """The most that any of the loops moved: a roof is what nothing exceeds [B/s]."""
        return max(self.bandwidth.values())

    @property
    def joules_per_terahash(self) -> float | None:
        """Energy per 10^12 hashes; None if the power is unknown [J/TH]."""
        return None if self.watts is None else self.watts / self.hashrate * 1e12

    def device(self) -> Device:
        """Return the machine as a `Device`, usable wherever a catalogue name is.

        Examples
        --------
        >>> import tokenroof as tr
        >>> here = tr.measure.machine(seconds=0.1).device()
        >>> bool(tr.roofline.ridge(here, "fp32") > 0)
        True
        """
        from tokenroof.device import Device

        return Device(
            name=f"this machine ({self.name}, {self.cores} cores)",
            kind="cpu",
            release=self.date,
            memory_bandwidth=self.memory_bandwidth,
            memory_bytes=self.memory_bytes,
            peak=dict(self.peak),
            sm_count=self.cores,
            tdp_w=self.watts,
            notes=f"measured on {self.date} with {self.isa}",
            provenance=self._provenance(),
        )

    def _provenance(self) -> dict[str, Provenance]:
        from tokenroof.device import Provenance

        units = {"memory_bandwidth": "B/s", "peak_fp64": "FLOP/s", "peak_fp32": "FLOP/s"}
        return {
            name: Provenance("measured", "tokenroof.measure on this machine", self.date, unit)
            for name, unit in units.items()
        }

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers as a dict that JSON can hold, ``joules_per_terahash`` included."""
        names = (name for name in self.__dataclass_fields__)
        return {
            **{name: getattr(self, name) for name in names},
            "memory_bandwidth": self.memory_bandwidth,
            "joules_per_terahash": self.joules_per_terahash,
        }


def machine(seconds: float = 1.0, threads: int | None = None) -> Machine:
    """Measure the ceilings of this machine.

    Parameters
    ----------
    seconds : float
        Rough time for each of the three measurements: FLOP/s, bandwidth, hashes; the whole takes
        about three times that [s].
    threads : int, optional
        Threads of each loop; by default the logical processors that this process may use.

    Returns
    -------
    Machine

    Raises
    ------
    ValueError, TypeError
        If `seconds` is no positive number or `threads` no positive integer.

    Notes
    -----
    FLOP/s: independent chains of multiply-adds in registers, on each instruction set that this
    processor has; the best counts. Bandwidth: passes over a buffer of eight times the last-level
    cache. Hashes: headers scanned for a nonce, by `tokenroof.mining.scan`.

    References
    ----------
    McCalpin, STREAM: Sustainable Memory Bandwidth in High Performance Computers, 1995.

    Examples
    --------
    >>> found = machine(seconds=0.1)
    >>> found.peak["fp32"] > found.peak["fp64"] / 2 > 0
    True
    """
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TypeError(f"seconds is {seconds!r}; allowed: a number > 0")
    if not 0 < seconds < 3600:
        raise ValueError(f"seconds is {seconds!r}; allowed: a number > 0, below 3600")
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int)):
        raise TypeError(f"threads is {threads!r}; allowed: a positive integer")
    cores = _cores() if threads is None else threads
    if not 1 <= cores <= 4096:
        raise ValueError(f"threads is {threads!r}; allowed: 1 to 4096")

    start, joules = time.perf_counter(), _package_joules()
    isa, peak = _flops(seconds, cores)
    hashrate, backend = _hashes(seconds, cores)
    busy = time.perf_counter() - start
    after = _package_joules()
    watts, note = _watts(joules, after, busy)
    cache, memory = _last_cache(), _memory()
    bandwidth = _bandwidth(seconds, cores, isa, cache, memory)
    return Machine(
        name=_name(),
        cores=cores,
        isa=isa,
        peak=peak,
        bandwidth=bandwidth,
        hashrate=hashrate,
        hash_backend=backend,
        memory_bytes=memory,
        cache_bytes=cache,
        watts=watts,
        watts_note=note,
        date=date.today().isoformat(),
        seconds=time.perf_counter() - start,
    )


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _flops(seconds: float, cores: int) -> tuple[str, dict[str, float]]:
    """The best instruction set for float64, and the best FLOP/s of all by type."""
    isas = list(_core.build_config()["isas_usable"])
    runs = 3
    window = seconds / (2 * len(isas) * runs)
    found = {
        (isa, dtype): max(_core.probe_flops(isa, window, cores, dtype) for _ in range(runs))
        for isa in isas
        for dtype in ("float64", "float32")
    }
    best = max(isas, key=lambda isa: found[isa, "float64"])
    peak = {
        name: max(found[isa, dtype] for isa in isas)
        for name, dtype in (("fp64", "float64"), ("fp32", "float32"))
    }
    return best, peak


def _bandwidth(
    seconds: float, cores: int, isa: str, cache: float | None, memory: float | None
) -> dict[str, float]:
    size = max(_LEAST_BUFFER, 8 * int(cache or 0))
    most = _MOST_BUFFER if memory is None else min(_MOST_BUFFER, int(memory / 8))
    runs = 2
    window = seconds / (4 * runs)
    found = [_core.probe_bandwidth(isa, min(size, most), window, cores) for _ in range(runs)]
    return {name: max(run[name] for run in found) for name in ("read", "copy", "triad")}


def _hashes(seconds: float, cores: int) -> tuple[float, str]:
    from tokenroof import mining

    # a target of 1 that no hash meets: nothing but scanning is timed
    trial = mining.scan(_GENESIS, start=0, count=1 << 18, target=1, threads=cores)
    rate = trial.hashes / trial.seconds
    count = int(min(max(rate * seconds / 3, 1 << 18), 1 << 32))
    for _ in range(2):
        run = mining.scan(_GENESIS, start=0, count=count, target=1, threads=cores)
        rate = max(rate, run.hashes / run.seconds)
    return rate, str(trial.backend)


def _name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model") and value.strip():
                return " ".join(value.split())
    except OSError:
        pass
    return platform.processor() or platform.machine() or "unknown processor"


def _last_cache() -> float | None:
    """Size of the largest cache of the first processor [B]."""
    sizes = []
    for path in _CACHES.glob("index*/size"):
        try:
            text = path.read_text().strip()
            sizes.append(float(text.rstrip("KMG")) * {"K": 2**10, "M": 2**20, "G": 2**30}[text[-1]])
        except (OSError, ValueError, KeyError, IndexError):
            continue
    return max(sizes, default=None)


def _memory() -> float | None:
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return None


def _package_joules() -> float | None:
    """Energy counters of all processor packages together [J]; None if they cannot be read."""
    total, any_read = 0.0, False
    for path in _RAPL.glob("*-rapl:[0-9]*"):
        if path.name.count(":") != 1:  # cores and memory inside a package
            continue
        try:
            total += int((path / "energy_uj").read_text()) * 1e-6
            any_read = True
        except (OSError, ValueError):
            continue
    return total if any_read else None


def _watts(before: float | None, after: float | None, seconds: float) -> tuple[float | None, str]:
    if before is None or after is None:
        return None, "unknown: this machine has no energy counter that may be read (RAPL)"
    if after <= before:  # the counter wrapped around
        return None, "unknown: the energy counter wrapped around while measuring"
    return (after - before) / seconds, "measured: RAPL energy counters of the processor packages"
