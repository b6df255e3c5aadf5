"""The kernel behind every split of a site's power."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tokenroof import _core

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["split_power"]


def split_power(
    value: Array, slope: Array, low: Array, high: Array, power: float
) -> tuple[Array, float]:
    """Power of each use in the split that earns most, and what one more MW would earn.

    Parameters
    ----------
    value, slope : ndarray
        What the first MW of each use earns, and by how much each further one earns less.
    low, high : ndarray
        Least and most power of each; the most may be infinite [MW].
    power : float
        All there is [MW].

    Returns
    -------
    ndarray, float
        [MW], and the worth of one more; 0 where power is left over.

    Examples
    --------
    >>> one = np.ones(2)
    >>> split_power(np.array([6.0, 3.0]), 0 * one, 0 * one, np.array([40.0, np.inf]), 100.0)
    (array([40., 60.]), 3.0)
    """
    x, worth = np.empty(value.size), np.empty(1)
    first, fall, least, most = (
        np.ascontiguousarray(part, dtype=np.float64) for part in (value, slope, low, high)
    )
    _core.split_power(value.size, first, fall, least, most, np.array([power]), x, worth)
    return x, float(worth[0])
