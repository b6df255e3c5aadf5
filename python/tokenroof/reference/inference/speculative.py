"""Speculative decoding: Leviathan, Kalman and Matias, arXiv:2211.17192, section 3."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tokenroof.reference.core.ieee import divide
from tokenroof.reference.core.roundings import expm1, log

__all__ = [
    "best_draft_length",
    "expected_tokens",
    "expected_tokens_by_position",
    "speculative_operations",
    "speculative_speedup",
]


def expected_tokens(acceptance: float, length: float) -> float:
    """Equation 1: a geometric sum, of one token that is the target's own and `length` that may survive."""
    if not (0.0 <= acceptance <= 1.0 and length >= 0.0):
        return math.nan
    if acceptance == 1.0:
        return length + 1.0
    exponent = (length + 1.0) * (log(acceptance) if acceptance > 0.0 else -math.inf)
    return (0.0 - expm1(exponent)) / (1.0 - acceptance)


def speculative_speedup(acceptance: float, length: float, cost_ratio: float) -> float:
    """Theorem 3.8: tokens of a round over its time in steps of the target."""
    return divide(expected_tokens(acceptance, length), length * cost_ratio + 1.0)


def speculative_operations(acceptance: float, length: float, work_ratio: float) -> float:
    """Theorem 3.11: work of a round over that of its tokens one by one."""
    return divide(length * work_ratio + length + 1.0, expected_tokens(acceptance, length))


def best_draft_length(acceptance: float, cost_ratio: float, most: float) -> float:
    """The first length after which another token does not raise theorem 3.8's speed-up."""
    if not (0.0 <= acceptance <= 1.0 and cost_ratio >= 0.0 and most >= 0.0):
        return math.nan
    last = most if most < 4096.0 else 4096.0
    length, power, expected = 0.0, acceptance, 1.0
    while length + 1.0 <= last:
        if not power * (length * cost_ratio + 1.0) > cost_ratio * expected:
            break
        expected += power
        power *= acceptance
        length += 1.0
    return length


def expected_tokens_by_position(acceptances: Sequence[float]) -> float:
    """Each position counts if it and all before it were accepted."""
    expected = survived = 1.0
    for acceptance in acceptances:
        survived *= acceptance if 0.0 <= acceptance <= 1.0 else math.nan
        expected += survived
    return expected
