"""How fast amounts fall or rise over years."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenroof import _core

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["log_line"]

_ACTIVE: dict[str, np.ufunc] = _core.flow_ufuncs_by_isa()[_core.ISA]


def log_line(years: NDArray[np.float64], amounts: NDArray[np.float64]) -> tuple[float, float]:
    """Slope of the logarithm of amounts over years, and its standard error [1/year]; three points or more."""
    found = (_ACTIVE[name](years, amounts) for name in ("log_slope_each", "log_slope_error_each"))
    slope, error = map(float, found)
    return slope, error
