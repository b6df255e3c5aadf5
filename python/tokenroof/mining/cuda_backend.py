"""What `backends` says of CUDA devices: measured rates beside the integer model's bound."""

from __future__ import annotations

import functools
from typing import Any

from tokenroof.cuda.module import devices, why_not
from tokenroof.cuda.scan import devices_of, least_rolled, part
from tokenroof.mining.hash_roofline import cuda_cycles

__all__ = ["row"]


@functools.lru_cache(maxsize=4)
def _measured(numbers: tuple[int, ...]) -> dict[str, float]:
    """Hashes per second by mode: the best of three runs that double until they take 20 ms."""
    aim, rates = (1).to_bytes(32, "little"), {}

    def run(nonces: int, versions: int) -> float:
        _, _, seconds, _, failure, _ = part(
            [*numbers], bytes(80), 0, nonces, aim, 0, versions, None
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
    if reason := why_not():
        return {"available": False, "why": reason}
    numbers = tuple(devices_of("cuda"))
    try:
        rates = _measured(numbers)
    except (RuntimeError, MemoryError) as error:
        return {"available": False, "why": str(error)}
    used_devices = [d for d in devices() if d.index in numbers]
    lanes = sum(d.sm_count for d in used_devices) * 128  # in whose turn instructions start
    out: dict[str, Any] = {"available": True, "lanes": lanes, "roll_lanes": least_rolled()}
    for mode, prefix in (("nonce", ""), ("roll", "roll_")):
        bound, binds = 0.0, ""
        for d in used_devices:
            used = cuda_cycles(d.compute_capability, mode)
            binds = max(used, key=used.__getitem__)
            bound += d.sm_count * d.clock_hz / used[binds]
        out[f"{prefix}hashrate"] = rates[mode]
        out[f"{prefix}bound"], out[f"{prefix}binds"] = bound or float("nan"), binds
    return out
