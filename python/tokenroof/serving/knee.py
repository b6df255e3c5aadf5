"""Where a curve of latency over load turns upwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tokenroof.support.arguments import reals

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["knee"]


def knee(load: ArrayLike, latency: ArrayLike) -> int:
    """Index of the knee: the point of the curve furthest below the line between its ends.

    Both axes are taken linearly, each from its first value to its last, up to the last known latency.

    Parameters
    ----------
    load : array_like, (n,)
        Rates, or users, that rise [any unit].
    latency : array_like, (n,)
        Times; NaN where the load cannot be borne [s].

    Returns
    -------
    int

    Raises
    ------
    ValueError, TypeError
        For fewer than three known points, for loads that do not rise.

    References
    ----------
    Satopaa, Albrecht, Irwin, Raghavan, Finding a "kneedle" in a haystack, ICDCS Workshops 2011.

    Examples
    --------
    >>> knee([1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 1.0, 1.0, 2.0, 5.0])
    2
    """
    x = np.atleast_1d(reals("load", load))
    y = np.atleast_1d(np.asarray(latency, np.float64))
    if x.ndim != 1 or x.shape != y.shape or not (np.diff(x) > 0.0).all():
        raise ValueError(
            f"load and latency have shapes {x.shape} and {y.shape}; allowed: one latency for each load, "
            "rising"
        )
    known = np.flatnonzero(np.isfinite(y))
    if len(known) < 3:
        raise ValueError(f"latency is known at {len(known)} loads; allowed: at least three")
    a, b = known[0], known[-1]
    height = y[b] - y[a]
    if not height > 0.0:
        return int(b)
    below = (x[known] - x[a]) / (x[b] - x[a]) - (y[known] - y[a]) / height
    return int(known[np.argmax(below)])
