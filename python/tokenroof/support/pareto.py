"""The points that no other beats in both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tokenroof.support.order import order_by

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["pareto"]


def pareto(speed: NDArray[np.float64], worth: NDArray[np.float64]) -> NDArray[np.intp]:
    """Flat indexes of the points that no other beats in both, by growing speed."""
    # from the fastest user on, a point counts if no faster one yields as much
    order = order_by(-speed.ravel(), -worth.ravel())
    order = order[np.isfinite(speed.ravel()[order]) & np.isfinite(worth.ravel()[order])]
    best = np.maximum.accumulate(np.concatenate([[-np.inf], worth.ravel()[order]]))
    return np.asarray(order[worth.ravel()[order] > best[:-1]][::-1])
