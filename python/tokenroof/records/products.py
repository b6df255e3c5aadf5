"""Measured matrix products between the shapes that were probed: the share of the peak that each reaches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import _core

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["reached"]

_COMPUTE = _core.CALIBRATION_FIELDS.index("gemm_compute")
_MEMORY = _core.CALIBRATION_FIELDS.index("gemm_memory")


def _share(
    products: Sequence[tuple[float, float, float, float]],
    rows: NDArray[np.float64],
    columns: NDArray[np.float64],
    inner: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Share of the peak at a shape.

    The time per weight is a straight line between probed counts of rows; beyond the last, the share
    stays. Between two probed shapes it goes with the logarithm of what the libraries' loops depend on:
    one row is a product with a vector, row by row of the inner size; more are packed by columns.
    """
    shape_list = sorted({(n, k) for _, n, k, _ in products})
    times = []
    for n, k in shape_list:
        m, share = np.array([(p[0], p[3]) for p in products if p[1:3] == (n, k)]).T
        time = np.interp(rows, m, m / share)
        times.append(np.where(rows > m[-1], rows / share[-1], time))
    if len(times) == 1:
        return np.asarray(rows / times[0])
    (n0, k0), (n1, k1) = shape_list[0], shape_list[-1]
    by_inner = np.log(np.maximum(inner, 1.0) / k0) / np.log(k1 / k0)
    by_columns = np.log(np.maximum(columns, 1.0) / n0) / np.log(n1 / n0)
    lean = np.clip(np.where(rows < 2.0, by_inner, by_columns), -0.5, 1.5)
    return np.asarray(rows / (times[0] * (1.0 - lean) + times[-1] * lean))


def reached(
    every: Sequence[tuple[float, float, float, float]],
    packed: NDArray[np.float64],
    rows: NDArray[np.float64],
    shapes: Sequence[tuple[Any, Any, Any]],
) -> NDArray[np.float64]:
    """A packed record for each count of rows, with the share of the peak that these products reach.

    Parameters
    ----------
    every : sequence
        Rows, columns, inner size and share of the peak of each measured product.
    packed : ndarray
        A calibration record.
    rows : ndarray
        Rows of the products [1].
    shapes : sequence
        How much of the weights are in products of how many columns and what inner size; by default the
        measured ones, alike.
    """
    least, shape_list = min(p[0] for p in every), list(shapes) or [(1.0, *p[1:3]) for p in every]
    m = np.maximum(rows, least)
    weights: Any = 0.0
    time: Any = 0.0
    for amount, n, k in shape_list:
        weights = weights + amount
        time = time + amount / _share(every, m, np.asarray(n, float), np.asarray(k, float))
    share = weights / time
    out = np.broadcast_to(packed, (*np.shape(share), packed.size)).copy()
    # a vector is bound by the weights that it reads, four bytes for two FLOPs
    vector = m < 2.0
    best = max(p[3] for p in every if p[0] == least)
    out[..., _COMPUTE] = np.where(vector, 1.0, share)
    out[..., _MEMORY] = np.where(vector, packed[_MEMORY] * (share / (m * best)), packed[_MEMORY])
    return out
