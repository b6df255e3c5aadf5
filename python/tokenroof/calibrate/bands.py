"""Bands of engines' predictions, and what share of points they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def pooled_band(
    error: NDArray[np.float64], engines: NDArray[Any], engine: str, level: float = 0.8
) -> float:
    """Band of an engine's points: between what holds `level` of its own and of all engines'.

    An engine has few combinations, of which a band of its own would say too much; all engines' hides that
    some are harder. The geometric mean of both covers best on combinations left out.
    """
    own = error[engines == engine]
    every = float(np.quantile(error, level))
    return float(np.sqrt(every * np.quantile(own, level))) if len(own) else every


def covered(
    predicted: NDArray[np.float64],
    measured: NDArray[np.float64],
    groups: NDArray[Any],
    engines: NDArray[Any] | None = None,
    level: float = 0.8,
) -> NDArray[np.bool_]:
    """Points within a band that is set on the other groups: of an honest one, `level` are."""
    error = np.abs(np.log(predicted / measured))
    kind = np.full(len(error), "any") if engines is None else engines
    inside = np.zeros(len(error), dtype=bool)
    for name in np.unique(groups):
        out = groups == name
        for engine in np.unique(kind[out]):
            own = out & (kind == engine)
            inside[own] = error[own] <= pooled_band(error[~out], kind[~out], str(engine), level)
    return inside
