"""Runs that a horizon cut: whether enough of them was played to call the load one that can be borne."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.serving.outcome.times import done, having, picked

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["came", "settled"]

# Share of those that came which has to be answered: then a run went on for as long again as an answer takes,
# in which as many end as begin where the load can be borne.
_ANSWERED = 0.5
# Answers with fewer of which nothing is said.
_FEW = 4


def came(requests: NDArray[Any]) -> tuple[NDArray[Any], int, bool]:
    """The records of those that came, how many of them a cut left unfinished, and whether there was one."""
    if "status" not in (requests.dtype.names or ()):
        return requests, 0, False
    left = having(requests, "unfinished")
    if not left.any():
        return requests, 0, False
    here = ~left | (requests["arrival_ns"] >= 0)
    return picked(requests, here), int((left & here).sum()), True


def settled(requests: NDArray[Any], window: tuple[float, float] | None, most: float) -> bool:
    """Whether a cut run says that a load without a queue that grows can be borne.

    Parameters
    ----------
    requests : structured ndarray
        Records of those that came and were not rejected.
    window : tuple of float, optional
        In which those that came and were not answered may not grow [s].
    most : float
        By so many they may [1].
    """
    answered = done(requests)
    if len(answered) < _FEW or len(answered) < _ANSWERED * len(requests):
        return False
    if window is None:
        return True
    gone = having(requests, "shed", "timed_out", "done")
    arrival = np.sort(requests["arrival_ns"].astype(np.float64)) * 1e-9
    left = np.sort(requests["last_token_ns"][gone].astype(np.float64)) * 1e-9
    at = np.linspace(*window, 401)
    inside = np.searchsorted(arrival, at, side="right") - np.searchsorted(left, at, side="right")
    slope = float(np.polyfit(at - window[0], inside, 1)[0])
    return slope * (window[1] - window[0]) <= most
