"""What the measured forms of operators share."""

from __future__ import annotations

import math
from collections.abc import Mapping

from tokenroof.reference._ieee import divide, maximum, minimum


def ceiling(x: float) -> float:
    """The least whole number that is not below x; infinities and NaN as they are."""
    return float(math.ceil(x)) if math.isfinite(x) else x


def smooth_max(x: float, y: float, overlap: float) -> float:
    """The larger, and what of the smaller is not hidden: overlap * smaller * (smaller / larger)**3."""
    most, least = maximum(x, y), minimum(x, y)
    r = divide(least, most) if most > 0.0 or math.isnan(most) else divide(least, 1.0)
    return most + overlap * (least * (r * r * r))


def partial_max(x: float, y: float, overlap: float) -> float:
    """The larger, and overlap * smaller * (smaller / larger) of the other."""
    most, least = maximum(x, y), minimum(x, y)
    part = divide(least, most) if most > 0.0 or math.isnan(most) else divide(least, 1.0)
    return most + overlap * (least * part)


def left_to_memory(nbytes: float, resident: float) -> float:
    """Share of the bytes that memory has to give when so many come from the L2."""
    if not resident > 0.0:
        return 1.0
    return 1.0 - divide(resident, nbytes) if nbytes > resident else nbytes * 0.0


def l2_place(l2_bytes: float, share: float, faster: float) -> tuple[float, float]:
    """1 / bytes that stay in the L2, and the share of the time that this saves."""
    size = share * l2_bytes
    saved = 1.0 - divide(1.0, faster) if l2_bytes > 0.0 else 0.0
    return (divide(1.0, size) if size > 0.0 else 1.0), saved


def less_from_l2(seconds: float, nbytes: float, place: tuple[float, float]) -> float:
    """Time of traffic whose repeated part comes from the L2."""
    x = minimum(nbytes * place[0], 1e6)
    square = x * x
    return seconds - seconds * divide(place[1], 1.0 + square * square * square)


def constants(calibration: Mapping[str, float], block: str) -> dict[str, float] | None:
    """An operator's own constants; None where the record has none, and shares of a roofline count."""
    if calibration["form"] != 1.0:
        return None
    own = {
        name.removeprefix(f"{block}."): value
        for name, value in calibration.items()
        if name.startswith(f"{block}.")
    }
    return None if math.isnan(next(iter(own.values()))) else own


def result(
    fixed: float, seconds: float, compute: float, memory: float, flops: float, nbytes: float
) -> dict[str, float]:
    """Fields of an operator: the longer of computing and moving names what binds."""
    bad = seconds if math.isnan(seconds) else 0.0
    by_compute = compute >= memory
    return {
        "time": fixed + seconds,
        "flops": flops + bad,
        "bytes": nbytes + bad,
        "memory_s": (0.0 if by_compute else seconds) + bad,
        "compute_s": (seconds if by_compute else 0.0) + bad,
        "launch_s": fixed + bad,
        "communication_s": bad,
    }
