"""What sessions leave in a cache: Che, Tung and Wang's one time of stay, for exponential gaps."""

from __future__ import annotations

import math

from tokenroof.reference.core.ieee import divide
from tokenroof.reference.core.roundings import expm1

__all__ = ["cache_held", "cache_reached"]


def cache_reached(gap_s: float, reach_s: float) -> float:
    """P(gap < reach) of an exponential gap."""
    if not (gap_s >= 0.0 and reach_s >= 0.0):
        return math.nan
    if gap_s == 0.0:
        return 1.0
    return 0.0 - expm1(-divide(reach_s, gap_s))


def cache_held(
    rate: float, kept_tokens: float, left_tokens: float, gap_s: float, reach_s: float
) -> float:
    """Little: tokens left per second, times the mean of the lesser of gap and reach, or the reach alone."""
    if not (rate >= 0.0 and kept_tokens >= 0.0 and left_tokens >= 0.0):
        return math.nan
    stays = gap_s * cache_reached(gap_s, reach_s)
    return rate * (kept_tokens * stays + left_tokens * reach_s)
