"""Fields of an operator on its own, from a line, from attention's amounts or from a measured form."""

from __future__ import annotations

import math

from tokenroof.reference.core.ieee import divide, maximum
from tokenroof.reference.inference.cost import Cost
from tokenroof.reference.inference.operators import Attention, Line


def left_to_memory(nbytes: float, resident: float) -> float:
    """Share of the bytes that memory has to give when so many come from the L2."""
    if not resident > 0.0:
        return 1.0
    return 1.0 - divide(resident, nbytes) if nbytes > resident else nbytes * 0.0


def _fields(
    fixed: float, seconds: float, by_compute: bool, flops: float, moved: float
) -> dict[str, float]:
    """What binds is charged with the seconds; a bad time leaves no field with a number."""
    bad = seconds if math.isnan(seconds) else 0.0
    return {
        "time": fixed + seconds,
        "flops": flops + bad,
        "bytes": moved + bad,
        "memory_s": (0.0 if by_compute else seconds) + bad,
        "compute_s": (seconds if by_compute else 0.0) + bad,
        "launch_s": fixed + bad,
        "communication_s": bad,
    }


def of_cost(x: Cost) -> dict[str, float]:
    """Of a measured form."""
    return _fields(x.fixed, x.seconds, x.compute >= x.memory, x.flops, x.bytes)


def of_roof(
    launch: float, compute: float, memory: float, flops: float, moved: float
) -> dict[str, float]:
    """Of a roofline: the longer of computing and moving names the bound."""
    return _fields(launch, maximum(compute, memory), compute >= memory, flops, moved)


def amount(x: float) -> float:
    """x, or NaN below zero."""
    return x if x >= 0.0 else math.nan


def after_one_another(*fields: dict[str, float]) -> dict[str, float]:
    """Kernels that do not overlap: every field is the sum."""
    total = dict(fields[0])
    for more in fields[1:]:
        for name, value in more.items():
            total[name] = total[name] + value
    return total


def of_line(line: Line, x: float, weights: float, resident: float = 0.0) -> dict[str, float]:
    """Fields of a line at x; `weights`: how many of its weights are read; `resident`: bytes from the L2."""
    n = amount(x)
    nbytes = weights * line.weights + n * line.bytes
    memory = (weights * line.weights_s + n * line.traffic) * left_to_memory(nbytes, resident)
    return of_roof(line.launch, n * line.compute, memory, n * line.flops, nbytes)


def of_attention(
    a: Attention, batch: float, pairs: float, keys: float, queries: float, resident: float = 0.0
) -> dict[str, float]:
    """A roofline; `resident` bytes come from the L2, for nothing."""
    b = amount(batch)
    p, k, q = b * pairs, b * keys, b * queries
    nbytes = k * a.key_bytes + q * a.query_bytes
    memory = (k * a.key_s + q * a.query_s) * left_to_memory(nbytes, resident)
    return of_roof(a.launch, p * a.pair_s, memory, p * a.pair_flops, nbytes)
