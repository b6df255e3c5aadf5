"""Header scans on CUDA devices."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from tokenroof import cuda
from tokenroof._hash_roofline import cuda_cycles

__all__ = ["devices_of", "least_rolled", "part", "row"]

_OLDEST = (7, 5)  # compute capability


def devices_of(name: str, argument: str = "backend") -> list[int]:
    """Numbers of the devices that a name asks for: all by "cuda", one by "cuda:1".

    Raises
    ------
    ValueError
        If there are none, or not that one, with the reason.
    """
    if reason := cuda.why_not():
        raise ValueError(f"{argument} is {name!r}; not allowed here: {reason}")
    usable = [d.index for d in cuda.devices() if d.compute_capability >= _OLDEST]
    if name == "cuda":
        return usable
    number = name.removeprefix("cuda:")
    if not number.isdecimal() or int(number) not in usable:
        allowed = ", ".join(f"'cuda:{i}'" for i in usable)
        raise ValueError(f"{argument} is {name!r}; allowed here: 'cuda', {allowed}")
    return [int(number)]


def part(
    devices: list[int], raw: bytes, start: int, count: int, aim: bytes, step: int, versions: int,
    tell: Callable[[int, int], Any] | None,
) -> tuple[list[tuple[int, int]], int, float, float, str, bool]:  # fmt: skip
    """Hits, hashes, seconds, processor seconds, what failed, and whether that was a lack of memory."""
    found: tuple[list[tuple[int, int]], int, float, float, str, bool] = cuda._module().scan(
        raw, start, count, aim, step, versions, devices, tell
    )
    return found


def least_rolled() -> int:
    """From so many versions on, lanes are versions."""
    return int(cuda._module().SCAN_LEAST_ROLLED)


@functools.lru_cache(maxsize=4)
def _measured(devices: tuple[int, ...]) -> dict[str, float]:
    """Hashes per second by mode: the best of three runs that double until they take 20 ms."""
    aim, rates = (1).to_bytes(32, "little"), {}

    def run(nonces: int, versions: int) -> float:
        _, _, seconds, _, failure, _ = part(
            [*devices], bytes(80), 0, nonces, aim, 0, versions, None
        )
        if failure:
            raise RuntimeError(failure)
        return seconds

    for mode, versions in (("nonce", 1), ("roll", 4096)):
        nonces = max(4, 2**14 // versions)
        while nonces < 2**31 and run(nonces, versions) < 0.02:
            nonces *= 2
        rates[mode] = nonces * versions / min(run(nonces, versions) for _ in range(3))
    return rates


def row() -> dict[str, Any]:
    """What `backends` says of "cuda": all devices together, measured once per process."""
    if reason := cuda.why_not():
        return {"available": False, "why": reason}
    numbers = tuple(devices_of("cuda"))
    try:
        rates = _measured(numbers)
    except (RuntimeError, MemoryError) as error:
        return {"available": False, "why": str(error)}
    devices = [d for d in cuda.devices() if d.index in numbers]
    lanes = sum(d.sm_count for d in devices) * 128  # in whose turn instructions start
    out: dict[str, Any] = {"available": True, "lanes": lanes, "roll_lanes": least_rolled()}
    for mode, prefix in (("nonce", ""), ("roll", "roll_")):
        bound, binds = 0.0, ""
        for d in devices:
            used = cuda_cycles(d.compute_capability, mode)
            binds = max(used, key=used.__getitem__)
            bound += d.sm_count * d.clock_hz / used[binds]
        out[f"{prefix}hashrate"] = rates[mode]
        out[f"{prefix}bound"], out[f"{prefix}binds"] = bound or float("nan"), binds
    return out
