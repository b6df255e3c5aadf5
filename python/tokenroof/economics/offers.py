"""Where a frontier meets a user's speed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["cheapest_point"]


def cheapest_point(front: xr.Dataset, interactivity: float) -> int | None:
    """Index of the slowest point that is fast enough, which yields most; None where none is.

    Points stand by growing interactivity, so that tokens per MW fall.
    """
    usable = np.flatnonzero(front.interactivity.values >= interactivity)
    return int(usable[0]) if usable.size else None
