"""Ruin of a balance that falls steadily and rises by jumps: in closed form."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

# Payments beyond which the sum over them is not made.
MOST_PAYMENTS = 20_000_000


def ruin_ever(
    reserve: float, drift: float, rate: float, gain: float, fee_gain: float, fees: float, std: float
) -> float:
    """Probability that a balance which starts at `reserve` [BTC] ever falls below zero.

    It falls by `drift` [BTC/s], and jumps by ``gain + fee_gain * fees`` [BTC] `rate` times a second, fees
    lognormal of this mean and standard deviation. It falls without jumps, so that Lundberg's bound is
    exact: exp(-x reserve), where x > 0 solves rate (E exp(-x jump) - 1) + x drift = 0 (Asmussen,
    Albrecher, Ruin Probabilities, 2010, dual model).
    """
    jump = gain + fee_gain * fees
    if drift <= 0.0:
        return 0.0
    if rate * jump <= drift:
        return 1.0
    spent = drift / (rate * jump)
    parts, weights = _lognormal(gain / jump, fee_gain * fees / jump, std / fees if fees else 0.0)
    low, high = (
        1e-300,
        1.0 / spent,
    )  # in mean jumps; the difference is above zero at first, then below
    for _ in range(1100):
        middle = 0.5 * (low + high)
        if -float(weights @ np.expm1(-middle * parts)) - spent * middle > 0.0:
            low = middle
        else:
            high = middle
        if high - low <= 1e-16 * high:
            break
    return math.exp(-high * reserve / jump)


def _lognormal(fixed: float, mean: float, relative_std: float) -> tuple[Any, Any]:
    """Jumps and their weights: fixed + mean * lognormal, by Gauss and Hermite."""
    if mean == 0.0 or relative_std == 0.0:
        return np.array([fixed + mean]), np.array([1.0])
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    sigma = math.sqrt(math.log1p(relative_std**2))
    factors = np.exp(sigma * nodes - 0.5 * sigma * sigma)
    return fixed + mean * factors, weights / weights.sum()


def ruin_within(reserve: float, drift: float, rate: float, jump: float, seconds: float) -> float:
    """The same within a time, for jumps of one size; NaN beyond `MOST_PAYMENTS` of them.

    Ruin comes at t_k = (reserve + k jump) / drift for a k of jumps, with the probability
    reserve / (reserve + k jump) * Poisson(k; rate t_k): the hitting-time theorem (Kendall 1957; Takacs,
    Combinatorial Methods in the Theory of Stochastic Processes, 1967).
    """
    if drift <= 0.0 or drift * seconds < reserve:
        return 0.0
    if reserve == 0.0:
        return 1.0
    if rate == 0.0 or jump == 0.0:
        return 1.0
    last = math.floor((drift * seconds - reserve) / jump)
    if last > MOST_PAYMENTS:
        return math.nan
    total, step = 0.0, 1 << 16
    for first in range(0, last + 1, step):
        k = np.arange(first, min(first + step, last + 1), dtype=np.float64)
        until = reserve + k * jump
        terms = reserve / until * _poisson(k, rate * until / drift)
        part = float(terms.sum())
        total += part
        if part < 1e-18 * total and rate * jump != drift:
            break
    return min(total, 1.0)


def _poisson(k: Any, mean: Any) -> Any:
    """Poisson probabilities by their deviance (Loader, 2000), which does not cancel for large counts."""
    below = np.minimum(k, 15.0)
    small = np.array([math.lgamma(n + 1.0) for n in range(16)])[below.astype(int)]
    direct = np.exp(below * np.log(mean) - mean - small)
    n = np.maximum(k, 16.0)
    m = 1.0 / (n * n)
    delta = (1 / 12 - m * (1 / 360 - m * (1 / 1260 - m * (1 / 1680 - m / 1188)))) / n
    x = (mean - n) / n
    saddle = np.exp(n * (np.log1p(x) - x) - delta) / np.sqrt(2.0 * np.pi * n)
    return np.where(k < 16.0, direct, saddle)
