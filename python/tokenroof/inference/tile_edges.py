"""Steps just beyond a tile of their matrix products, in which most of the last tile is padding.

Kernels multiply whole tiles: 65 rows take two tiles of 64. Where tensor cores are what a step waits for, as
on devices with few operations a byte, one sequence more then costs as much as dozens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tokenroof import kernels
from tokenroof.support.quoting import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tokenroof.records.deployment import Deployment

__all__ = ["EDGE", "edges_said"]

#: How much longer a step that one more row starts a tile in has to be to be named.
EDGE = 0.05
# Tiles of 8, 16, 32 and 64 rows; further ones are of 64 more (gemm.hpp).
_TILE = 64.0
_FEW = np.array([8.0, 16.0, 32.0, 64.0])


def _before(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """The last whole tiles below so many rows; 0 where there are none."""
    small = np.concatenate(([0.0], _FEW))[np.searchsorted(_FEW, rows)]
    return np.where(rows > _TILE, _TILE * (np.ceil(rows / _TILE) - 1.0), small)


def edges_said(
    one: Deployment, batch: NDArray[np.float64], context: NDArray[np.float64] | float
) -> str:
    """Batches just beyond a tile which yield less than the full tile before, in words; "" where none does.

    Parameters
    ----------
    one : Deployment
    batch, context : ndarray
        Sequences of decode steps over the whole replica, and cached tokens of each [1].

    Returns
    -------
    str
        A clause for each edge, of the batch (and the context, where these differ) beyond it that loses most:
        how much longer a step is with one row more than the tile, where that is more than `EDGE`, and tokens
        a second beside those of the full tile.

    Examples
    --------
    >>> import numpy as np
    >>> from tokenroof.inference.door import deployment
    >>> on = deployment("H20", "Llama-3.1-8B")
    >>> edges_said(on, np.array([64.0, 65.0]), np.array(2048.0))
    '65 sequences start a tile of the matrix products beyond 64: a step is 40 % longer, tokens/s 28 % fewer'
    """
    ranks = float(one.plan.dp * one.plan.pp)
    b, x = (np.ravel(a) for a in np.broadcast_arrays(batch, context))
    known = np.isfinite(b) & np.isfinite(x) & (b > 0.0)
    b, x = b[known], x[known]
    full = ranks * _before(b / ranks)
    b, x, full = b[full > 0.0], x[full > 0.0], full[full > 0.0]
    if (
        not b.size or one.calibration.products
    ):  # products that were timed one by one have no such tiles
        return ""
    seconds = [kernels.decode_time(*one.records, n, x) for n in (full, full + ranks, b)]
    jump, rate = seconds[1] / seconds[0] - 1.0, (b / seconds[2]) / (full / seconds[0]) - 1.0
    several = x.min() < x.max()
    found: dict[float, str] = {}
    for i in np.lexsort((rate, full)):  # of each edge what loses most comes first
        if jump[i] > EDGE and rate[i] < 0.0 and full[i] not in found:
            of = f" of {counted(x[i], 'token', '.0f')}" if several else ""
            found[float(full[i])] = (
                f"{b[i]:.4g} sequences{of} start a tile of the matrix products beyond {full[i]:.4g}: a step "
                f"is {jump[i]:.0%} longer, tokens/s {-rate[i]:.0%} fewer".replace("%", " %")
            )
    return "; ".join(found.values())
