"""The mean time between blocks where each period's luck sets the next period's difficulty."""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from tokenroof.support.arguments import shown

_OFFSETS = 64  # of the lattice of fours: the sum over them converges as a periodic function's does
_STEPS = 30  # of the lattice, to each side
_LEAST, _MOST = (
    1.0 / 700.0,
    1e9,
)  # of the lattice that count: 1 / x waits, and x of a period's length
_MANY = 200  # intervals from which on the clamp of a factor of four counts for less than rounding


def _tail(intervals: int, y: float) -> tuple[float, float]:
    """Probability that the sum of so many unit waits is at least `y`, and its complement."""
    log_term, below = -y, 0.0  # of the Poisson sum
    for k in range(1, intervals + 1):
        below += math.exp(log_term)
        log_term += math.log(y / k)
    if y > intervals:
        return below, 1.0 - below
    above = 0.0
    for k in range(intervals + 1, intervals + 400):  # terms fall from the first on
        above += math.exp(log_term)
        log_term += math.log(y / k)
    return below, above


@cache
def mean_over_aim(intervals: int) -> float:
    """Mean wait for a block, at a constant hashrate, over the period that is aimed at.

    A period of mean wait m lasts m G for a sum G of unit waits, and the next has the mean wait
    min(4 m, max(m / 4, 1 / G)) in units of the period that is aimed at. Its stationary distribution F has
    F(x) = F(x / 4) (1 - R(x)) + F(4 x) R(x) with R(x) = P(1 / G <= x): on x, 4 x, 16 x ... the steps of F
    stand to each other as (1 - R) / R. Without the clamp the mean is that of 1 / G, 1 / (intervals - 1).

    Parameters
    ----------
    intervals : int
        Waits that a period's time stamps span [1].

    Returns
    -------
    float
        [1].

    Raises
    ------
    ValueError
        If `intervals` is below 1.

    References
    ----------
    Mean of an inverse gamma: Johnson, Kotz, Balakrishnan, Continuous univariate distributions, vol. 1, 17.

    Examples
    --------
    >>> mean_over_aim(2015) == 1 / 2014
    True
    >>> round(1800 * mean_over_aim(2))
    1477
    """
    if intervals < 1:
        raise ValueError(f"intervals is {shown(intervals)}; allowed: an integer >= 1")
    if intervals >= _MANY:
        return 1.0 / (intervals - 1)
    mean = 0.0
    for offset in range(_OFFSETS):
        x = 4.0 ** (np.arange(-_STEPS, _STEPS) + offset / _OFFSETS) / intervals
        mean += float(x[x < _LEAST].sum())  # there F is 0
        x = x[(x >= _LEAST) & (x * intervals < _MOST)]  # and beyond these, 1
        least, most = np.array([_tail(intervals, 1.0 / at) for at in x.tolist()]).T
        with np.errstate(divide="ignore"):  # where it underflows nothing is left
            logs = np.concatenate([[0.0], np.cumsum(np.log(most) - np.log(least))])
        steps = np.exp(logs - logs.max())
        mean += float(x @ (np.cumsum(steps[::-1])[::-1][1:] / steps.sum()))
    return mean * math.log(4.0) / _OFFSETS
