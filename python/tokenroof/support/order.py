"""Orders by several keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["order_by"]


def order_by(*keys: NDArray[Any]) -> NDArray[np.intp]:
    """The order of rows by the first key, of equal ones by the second, and so on; of equal rows as they come.

    As `numpy.lexsort`, whose keys are the other way round and which keeps all threads waiting meanwhile.

    Examples
    --------
    >>> order_by(np.array([2, 1, 1]), np.array([0.0, 3.0, 2.0])).tolist()
    [2, 1, 0]
    """
    *others, last = keys
    order = np.argsort(last, kind="stable")
    for key in reversed(others):
        order = order[np.argsort(key[order], kind="stable")]
    return order
