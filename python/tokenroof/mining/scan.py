"""Header scans: every backend of this processor, measured once, and the threads over them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from types import ModuleType
from typing import Any

from tokenroof import _core
from tokenroof.mining.bitcoin import checked_target, target_from_bits, whole_number
from tokenroof.mining.hash_roofline import core_cycles, local_core
from tokenroof.mining.inputs import usable_processors

__all__ = ["ScanError", "ScanResult", "backends", "header_bytes", "scan"]

_NONCES, _VERSIONS = 2**32, 2**16  # of a header; the 16 bits of BIP 320
_MOST_THREADS = 1024
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
    """

    def __init__(self, message: str, hits: list[tuple[int, int]], hashes: int) -> None:
        super().__init__(message)
        self.hits, self.hashes = hits, hashes

    def __reduce__(self) -> tuple[type[ScanError], tuple[str, list[tuple[int, int]], int]]:
        return type(self), (str(self), self.hits, self.hashes)


def header_bytes(header: bytes | bytearray | memoryview | str) -> bytes:
    """The 80 bytes of a block header, from bytes or hexadecimal digits.

    Parameters
    ----------
    header : bytes, bytearray, memoryview or str

    Returns
    -------
    bytes

    Raises
    ------
    ValueError, TypeError
        If there are not 80 bytes, or a digit is not hexadecimal.

    Examples
    --------
    >>> len(header_bytes("00" * 80))
    80
    """
    if isinstance(header, str):
        try:
            raw = bytes.fromhex(header.strip())
        except ValueError:
            raise ValueError(
                f"header is {header[:20]!r}...; allowed: 160 hexadecimal digits"
            ) from None
    elif isinstance(header, (bytes, bytearray, memoryview)):
        raw = bytes(header)
    else:
        raise TypeError(f"header is {type(header).__name__}; allowed: bytes or hexadecimal text")
    if len(raw) != 80:
        raise ValueError(f"header has {len(raw)} bytes; allowed: 80")
    return raw


def scan(
    header: bytes | str,
    start: int = 0,
    count: int = 2**24,
    target: int | None = None,
    versions: int = 1,
    threads: int | None = None,
    backend: str | None = None,
    progress: Callable[[int, int], Any] | None = None,
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
        Versions to try with each nonce, rolled in the bits of BIP 320 from the header's on (1 to
        65536). As many as a backend has lanes are hashed at once, with one schedule: faster.
    threads : int, optional
        By default one for each processor that this process may use; CUDA devices have one each.
    backend : str, optional
        A name of `backends`; by default this processor's fastest for the mode, or
        ``TOKENROOF_HASH_BACKEND``. "cuda" scans on all CUDA devices, "cuda:1" on that one.
    progress : callable, optional
        Called with hashes done and in all, some ten times a second.

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
    FIPS 180-4; BIP 320.

    Examples
    --------
    >>> genesis = ("01000000" + "00" * 32 + "3ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa"
    ...            "4b1e5e4a29ab5f49ffff001d00000000")
    >>> scan(genesis, start=2083236893 - 1000, count=2000).hits
    [(2083236893, 1)]
    """
    raw = header_bytes(header)
    parts = list(_parts(*_headers(start, count, versions)))
    if target is None:
        target = target_from_bits(int.from_bytes(raw[72:76], "little"))
    aim = checked_target(target).to_bytes(32, "little")
    workers = usable_processors() if threads is None else whole_number("threads", threads, 1)
    if workers > _MOST_THREADS:
        raise ValueError(f"threads is {workers}; allowed: 1 to {_MOST_THREADS}")
    if progress is not None and not callable(progress):
        raise TypeError(f"progress is {progress!r}; allowed: a callable")
    widest = max((part[3] for part in parts), default=1)
    name = backend or os.environ.get("TOKENROOF_HASH_BACKEND") or _fastest(widest)
    devices = _devices(name)
    if devices:
        hasher, wide = partial(_cuda_scan().part, devices), _cuda_scan().least_rolled()
    else:
        hasher, wide = partial(_on_processor, name, workers), _core.HASH_BACKENDS[name][1]
    mode = "roll" if widest > 1 and widest >= wide else "nonce"
    return ScanResult(*_hash(hasher, raw, aim, parts, progress), name, mode)


def _headers(start: int, count: int, versions: int) -> tuple[int, int, int]:
    """First nonce, headers and versions of a scan, checked."""
    first, number = whole_number("start", start, 0), whole_number("count", count, 0)
    rolled = whole_number("versions", versions, 1)
    if rolled > _VERSIONS:
        raise ValueError(f"versions is {rolled}; allowed: 1 to {_VERSIONS}, the bits of BIP 320")
    if first >= _NONCES or (first + number > _NONCES and rolled == 1):
        raise ValueError(
            f"start + count is {first} + {number}; allowed: start below 2**32, and at most 2**32 in "
            "all, or versions above 1 to roll on to"
        )
    if first + number > rolled * _NONCES:
        raise ValueError(f"start + count is {first} + {number}; allowed: versions * 2**32 at most")
    return first, number, rolled


def _on_processor(
    name: str, workers: int, raw: bytes, begin: int, nonces: int, aim: bytes, step: int, many: int,
    progress: Callable[[int, int], None] | None,
) -> _Found:  # fmt: skip
    """A rectangle of nonces and versions, hashed by a backend of this processor."""
    found = _core.scan(raw, begin, nonces, aim, step, many, workers, name, progress)
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


def _devices(name: str) -> list[int]:
    """Numbers of the CUDA devices that a backend stands for; none for a processor's."""
    if name in _core.HASH_BACKENDS:
        return []
    if name == "cuda" or name.startswith("cuda:"):
        found: list[int] = _cuda_scan().devices_of(name)
        return found
    raise ValueError(
        f"backend is {name!r}; allowed here: {', '.join(_core.HASH_BACKENDS)}, or a CUDA device"
    )


def _parts(start: int, count: int, versions: int) -> Iterator[tuple[int, int, int, int]]:
    """Rectangles (start, count, first version, versions) that make up a scan, in order."""
    if start + count <= _NONCES:
        yield start, count, 0, versions
        return
    yield start, _NONCES - start, 0, 1
    whole, rest = divmod(start + count - _NONCES, _NONCES)
    if whole:
        yield 0, _NONCES, 1, whole
    if rest:
        yield 0, rest, 1 + whole, 1


_measuring = threading.Lock()


@cache
def _measured() -> dict[str, dict[str, float]]:
    """Hashes per second of one thread by backend and mode: the best of short runs in turns, 0.1 s in all."""
    rates = {name: {"nonce": 0.0, "roll": 0.0} for name in _core.HASH_BACKENDS}
    aim = (1).to_bytes(32, "little")
    for _ in range(4):  # in turns, so that a busy moment does not hit one backend alone
        for name, (lanes, wide) in _core.HASH_BACKENDS.items():
            hashes = 2**15 if lanes > 1 else 2**12
            many = 96 if wide > 1 else 8
            for mode, count, versions in (("nonce", hashes, 1), ("roll", 2 * hashes // many, many)):
                _, done, _, cpu = _core.scan(bytes(80), 0, count, aim, 0, versions, 1, name, None)
                rates[name][mode] = max(rates[name][mode], done / cpu if cpu > 0 else 0.0)
    return rates


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
    rates, core = _rates(), local_core()
    clock = _core.measured_clock_hz()
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
