"""Worths of flows and rates at which they are worth nothing, from their definitions.

A sum of n flows, each times x^year, divided by its first power and derived, is one of n - 1; between two
zeros of the sum that one has a zero (Rolle; so goes the proof of Descartes' rule of signs).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

__all__ = ["all_rates", "irr_each", "npv_each", "xirr_each", "xnpv_each"]

_FAR = 60.0  # of t = -log(1 + rate), either way


def npv_each(rate: float, flows: Sequence[float]) -> float:
    """Sum of flow / (1 + rate)**year over years 0, 1, 2 ..."""
    return xnpv_each(rate, flows, range(len(flows)))


def xnpv_each(rate: float, flows: Sequence[float], years: Sequence[float]) -> float:
    """Sum of flow / (1 + rate)**year; NaN at rates of -1 and below."""
    if not rate > -1.0:
        return math.nan
    return math.fsum(c * (1.0 + rate) ** -y for c, y in zip(flows, years, strict=True) if c)


def irr_each(flows: Sequence[float]) -> float:
    """Of `all_rates` of years 0, 1, 2 ... the one nearest to 0; NaN without one."""
    return xirr_each(flows, range(len(flows)))


def xirr_each(flows: Sequence[float], years: Sequence[float]) -> float:
    """Of `all_rates` the one nearest to 0; NaN without one."""
    return min(all_rates(flows, years), key=abs, default=math.nan)


def all_rates(flows: Sequence[float], years: Sequence[float]) -> list[float]:
    """Rates at which the worth changes its sign, ascending, where -log(1 + rate) is from -60 to 60."""
    merged: dict[float, float] = {}
    for c, y in zip(flows, years, strict=True):
        merged[float(y)] = merged.get(float(y), 0.0) + c
    terms = sorted((y, c) for y, c in merged.items() if c)
    if any(not math.isfinite(part) for term in terms for part in term):
        return []
    return [math.expm1(-t) for t in reversed(_zeros(terms))]


def _worth(terms: list[tuple[float, float]], t: float) -> float:
    """Over its largest term, so that it neither overflows nor fades."""
    logs = [math.log(abs(c)) + y * t for y, c in terms]
    top = max(logs)
    return math.fsum(
        math.copysign(math.exp(power - top), c) for power, (_, c) in zip(logs, terms, strict=True)
    )


def _zeros(terms: list[tuple[float, float]]) -> list[float]:
    """Values of t at which a sum of terms changes its sign, ascending."""
    if all(c > 0.0 for _, c in terms) or all(c < 0.0 for _, c in terms):
        return []
    first = terms[0][0]
    derived = [(y - first, c * (y - first)) for y, c in terms[1:]]
    ends = [-_FAR, *_zeros(derived), _FAR]
    found = []
    for low, high in pairwise(ends):
        below = _worth(terms, low) > 0.0
        if below == (_worth(terms, high) > 0.0):
            continue
        for _ in range(70):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if (_worth(terms, middle) > 0.0) == below else (low, middle)
        found.append(0.5 * (low + high))
    return found
