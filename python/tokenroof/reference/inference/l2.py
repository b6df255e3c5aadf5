"""Data that an operator reads again and again and finds in the L2, as benchmarks of kernels do."""

from __future__ import annotations

from tokenroof.reference.core.ieee import divide, minimum


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
