"""Header scans: every backend of this processor, measured once, and the threads over them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from types import ModuleType
from typing import Any

from tokenroof import _core
from tokenroof.mining.bitcoin import checked_target, target_from_bits
from tokenroof.mining.fastest import best_rates
from tokenroof.mining.hash_roofline import core_cycles, local_core
from tokenroof.mining.scan_range import (
    BIP320_MASK,
    checked_mask,
    checked_range,
    header_bytes,
    narrow,
    rectangles,
)
from tokenroof.support.arguments import shown
from tokenroof.support.processors import thread_count

__all__ = ["ScanError", "ScanResult", "backends", "header_bytes", "scan"]

# Hits, headers hashed, wall and processor time, why a device failed, and whether for want of memory.
_Found = tuple[list[tuple[int, int]], int, float, float, str, bool]


@dataclass(frozen=True)
class ScanResult:
    """What a scan found.

    Attributes
    ----------
    hits : list of (nonce, version)
        In order of version, then nonce.
    hashes : int
        Headers hashed.
    seconds, cpu_seconds : float
        Wall time, and processor time of all threads [s].
    backend, mode : str
        The scanner that ran, and what its lanes were: "nonce" or "roll" (versions).
    """

    hits: list[tuple[int, int]]
    hashes: int
    seconds: float
    cpu_seconds: float
    backend: str
    mode: str = "nonce"

    @property
    def hashrate(self) -> float:
        """Hashes per second of wall time [hash/s]."""
        return self.hashes / self.seconds if self.seconds > 0 else 0.0


class ScanError(RuntimeError):
    """A device failed in the middle of a scan. What was found by then is not lost.

    Attributes
    ----------
    hits : list of (nonce, version)
        Found before, in order of version, then nonce.
    hashes : int
        Headers of which these are all the hits.

    Examples
    --------
    >>> failed = ScanError("device 0: lost", [(7, 1)], 2**20)
    >>> str(failed), failed.hits, failed.hashes
    ('device 0: lost', [(7, 1)], 1048576)
    """

    def __init__(self, message: str, hits: list[tuple[int, int]], hashes: int) -> None:
        super().__init__(message)
        self.hits, self.hashes = hits, hashes

    def __reduce__(self) -> tuple[type[ScanError], tuple[str, list[tuple[int, int]], int]]:
        return type(self), (str(self), self.hits, self.hashes)


def scan(
    header: bytes | str,
    start: int = 0,
    count: int = 2**24,
    target: int | None = None,
    versions: int = 1,
    threads: int | None = None,
    backend: str | None = None,
    progress: Callable[[int, int], Any] | None = None,
    version_mask: int | str = BIP320_MASK,
) -> ScanResult:
    """Hash a header with `count` nonces and return those that meet the target.

    Runs without the GIL; Ctrl-C stops it within 50 ms.

    Parameters
    ----------
    header : bytes or str
        80 bytes, or their hexadecimal digits. The nonce in it is ignored.
    start, count : int
        Nonces to try: ``start <= nonce < start + count <= 2**32``, each with every version. A count
        that leads beyond ``2**32`` rolls on: the last nonce of a version is followed by nonce 0 of
        the next, `count` headers in all, in at most `versions` versions.
    target : int, optional
        Hashes at or below it are hits; by default what the header's nBits say.
    versions : int
        Versions to try with each nonce, rolled in the bits of `version_mask` from the header's on: at
        most two to the power of their number, and 2**24. As many as a backend has lanes are hashed at
        once, with one schedule: faster.
    threads : int, optional
        By default one for each processor that this process may use; CUDA devices have one each.
    backend : str, optional
        A name of `backends`; by default this processor's fastest for the mode, or
        ``TOKENROOF_HASH_BACKEND``. "cuda" scans on all CUDA devices, "cuda:1" on that one.
    progress : callable, optional
        Called with hashes done and in all, some ten times a second.
    version_mask : int or str
        Bits of the version that may change, as a number or eight hexadecimal digits, as a pool gives
        them (BIP 310). By default those of BIP 320; ``0x1fffffe0`` are those of BIP 323. Read as one
        number, they count on from the header's, and begin again after the last; no other bit changes.

    Returns
    -------
    ScanResult
        Hits, headers hashed and the time that took [s].

    Raises
    ------
    ValueError, TypeError
        Naming the argument, its value and what is allowed.
    ScanError
        If a CUDA device fails in the middle; what was found by then is in its ``hits`` and ``hashes``.
    MemoryError
        If the hits, or a device's buffers, find no room.

    References
    ----------
    FIPS 180-4; BIP 310, 320 and 323.

    Examples
    --------
    >>> genesis = ("01000000" + "00" * 32 + "3ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa"
    ...            "4b1e5e4a29ab5f49ffff001d00000000")
    >>> scan(genesis, start=2083236893 - 1000, count=2000).hits
    [(2083236893, 1)]
    """
    raw = header_bytes(header)
    mask = checked_mask(version_mask)
    parts = list(rectangles(*checked_range(start, count, versions, mask)))
    if target is None:
        target = target_from_bits(int.from_bytes(raw[72:76], "little"))
    aim = checked_target(target).to_bytes(32, "little")
    workers = thread_count(threads)
    if progress is not None and not callable(progress):
        raise TypeError(f"progress is {shown(progress)}; allowed: a callable")
    widest = max((part[3] for part in parts), default=1)
    name = _backend(backend) or _fastest(widest)
    devices = _devices(name)
    if devices:
        parts = list(narrow(parts))
        given = {} if mask == BIP320_MASK else {"mask": mask}
        hasher, wide = partial(_cuda_scan().part, devices, **given), _cuda_scan().least_rolled()
    else:
        hasher, wide = partial(_on_processor, name, workers, mask), _core.HASH_BACKENDS[name][1]
    mode = "roll" if widest > 1 and widest >= wide else "nonce"
    return ScanResult(*_hash(hasher, raw, aim, parts, progress), name, mode)


def _on_processor(
    name: str, workers: int, mask: int, raw: bytes, begin: int, nonces: int, aim: bytes, step: int, many: int,
    progress: Callable[[int, int], None] | None,
) -> _Found:  # fmt: skip
    """A rectangle of nonces and versions, hashed by a backend of this processor."""
    found = _core.scan(raw, begin, nonces, aim, step, many, workers, name, progress, mask)
    return *found, "", False


def _hash(
    hasher: Callable[..., _Found],
    raw: bytes,
    aim: bytes,
    parts: list[tuple[int, int, int, int]],
    progress: Callable[[int, int], Any] | None,
) -> tuple[list[tuple[int, int]], int, float, float]:
    """All parts in turn: hits, headers hashed, wall and processor time."""
    total = sum(part[1] * part[3] for part in parts)
    hits: list[tuple[int, int]] = []
    hashes, seconds, cpu = 0, 0.0, 0.0
    for begin, nonces, step, many in parts:

        def tell(done: int, _total: int, before: int = hashes) -> None:
            assert progress is not None
            progress(before + done, total)

        shown = tell if progress else None
        found, n, wall, used, failure, memory = hasher(raw, begin, nonces, aim, step, many, shown)
        hits += found
        hashes, seconds, cpu = hashes + n, seconds + wall, cpu + used
        if memory and not hashes:
            raise MemoryError(f"scan: {failure}")
        if failure:
            raise ScanError(
                f"scan: {failure}; {hashes} of {total} headers were hashed", hits, hashes
            )
    return hits, hashes, seconds, cpu


def _cuda_scan() -> ModuleType:
    from tokenroof.cuda import scan as module  # where it is asked for

    return module


def _backend(given: str | None) -> str:
    """What was asked for, by the argument or else by the environment; empty where nothing was."""
    if given is None:
        return os.environ.get("TOKENROOF_HASH_BACKEND", "")
    if not isinstance(given, str) or not given:
        raise TypeError(f"backend is {shown(given)}; allowed: a name of mining.backends, or None")
    return given


def _devices(name: str) -> list[int]:
    """Numbers of the CUDA devices that a backend stands for; none for a processor's."""
    if name in _core.HASH_BACKENDS:
        return []
    if name == "cuda" or name.startswith("cuda:"):
        found: list[int] = _cuda_scan().devices_of(name)
        return found
    raise ValueError(
        f"backend is {shown(name)}; allowed here: {', '.join(_core.HASH_BACKENDS)}, or a CUDA device"
    )


_measuring = threading.Lock()


@cache
def _measured() -> dict[str, dict[str, float]]:
    """Hashes per second of one thread by backend and mode."""
    runs: dict[tuple[str, str], Callable[[], tuple[int, float]]] = {}
    for name, (lanes, wide) in _core.HASH_BACKENDS.items():
        hashes = 2**13 if lanes > 1 else 2**10  # half a millisecond: most are disturbed by nothing
        many = 96 if wide > 1 else 8
        runs[name, "nonce"] = partial(_run, name, hashes, 1)
        runs[name, "roll"] = partial(_run, name, max(hashes // many, 1), many)
    rates = best_rates(runs)
    return {
        name: {mode: rates[name, mode] for mode in ("nonce", "roll")}
        for name in _core.HASH_BACKENDS
    }


def _run(name: str, nonces: int, versions: int) -> tuple[int, float]:
    """Hashes of a short run, and its processor time [s]."""
    aim = (1).to_bytes(32, "little")
    _, done, _, cpu = _core.scan(bytes(80), 0, nonces, aim, 0, versions, 1, name, None)
    return done, cpu


def _rates() -> dict[str, dict[str, float]]:
    with _measuring:
        return _measured()


def _fastest(versions: int) -> str:
    """The fastest backend for so many versions of a nonce: those that fill its lanes roll."""
    rates = _rates()

    def rate(name: str) -> float:
        rolled = versions - versions % _core.HASH_BACKENDS[name][1] if versions > 1 else 0
        seconds = rolled / rates[name]["roll"] + (versions - rolled) / rates[name]["nonce"]
        return versions / seconds

    return max(rates, key=rate)


def backends() -> dict[str, dict[str, Any]]:
    """The header scanners, and what they do on this machine.

    Returns
    -------
    dict
        Name to ``available`` and, where it is, ``lanes`` and ``roll_lanes`` (nonces or versions
        hashed at once), ``hashrate`` and ``roll_hashrate`` (measured, one thread, once per process)
        [hash/s], ``bound`` and ``roll_bound`` (integer roofline of this core at the measured clock;
        NaN if the catalogue lacks the core) [hash/s], and ``binds`` and ``roll_binds``, the pipes
        that set them. "cuda" stands for all CUDA devices together, at their peak clock, and has ``why``
        where there is none.

    Examples
    --------
    >>> backends()["scalar"]["available"]
    True
    """
    before = _core.measured_clock_hz()
    rates, core = _rates(), local_core()
    clock = max(before, _core.measured_clock_hz())  # a bound is at the highest clock that was seen
    out: dict[str, dict[str, Any]] = {}
    for name in _core.HASH_BACKENDS_KNOWN:
        if name not in rates:
            out[name] = {"available": False}
            continue
        lanes, wide = _core.HASH_BACKENDS[name]
        row: dict[str, Any] = {"available": True, "lanes": lanes, "roll_lanes": wide}
        for mode, prefix in (("nonce", ""), ("roll", "roll_")):
            row[f"{prefix}hashrate"] = rates[name][mode]
            bound, binds = bound_of(core, name, mode, clock)
            row[f"{prefix}bound"], row[f"{prefix}binds"] = bound, binds
        out[name] = row
    from tokenroof.mining.cuda_backend import row as cuda_row  # where it is asked for

    out["cuda"] = cuda_row()
    return out


def bound_of(core: dict[str, Any] | None, name: str, mode: str, clock: float) -> tuple[float, str]:
    """Hashes per second of one core at a clock [Hz], and what binds; NaN if the core is unknown."""
    if core is None or not clock or name.startswith("cuda"):  # no processor's
        return float("nan"), ""
    used = core_cycles(core, name, mode)
    binds = max(used, key=used.__getitem__)
    return clock / used[binds], binds
