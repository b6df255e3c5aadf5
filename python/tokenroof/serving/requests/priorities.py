"""Classes of priority among the requests of a load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.serving.requests.given import as_requests
from tokenroof.serving.requests.random import stream
from tokenroof.support.arguments import finite_number, is_integer, shown

if TYPE_CHECKING:
    from tokenroof.serving.requests.record import Requests

__all__ = ["prioritised"]

_MOST = 2**31


def prioritised(
    requests: Mapping[str, Any] | Requests, shares: Mapping[int, float], seed: int = 0
) -> Requests:
    """The same requests with priorities drawn at random.

    Parameters
    ----------
    requests : mapping or Requests
        As in `as_requests`.
    shares : mapping of int to float
        Of each priority, lower first served, its share; shares are taken relative to their sum.
    seed : int
        Of the draw, which has a stream of its own.

    Returns
    -------
    Requests

    Raises
    ------
    ValueError, TypeError
        For a priority that is no whole number, a share that is negative, or none above zero.

    Examples
    --------
    >>> load = prioritised({"arrival": [0.0] * 4, "input_tokens": 1, "output_tokens": 1}, {0: 1, 5: 1})
    >>> sorted(set(load.priority.tolist()))
    [0, 5]
    """
    given = as_requests(requests)
    if not isinstance(shares, Mapping):
        raise TypeError(f"shares are {shown(shares)}; allowed: a mapping of priority to share")
    if not shares:
        raise ValueError("shares are {}; allowed: at least one priority")
    for priority in shares:
        if not is_integer(priority) or not -_MOST <= priority < _MOST:
            allowed = f"whole numbers from {-_MOST} to {_MOST - 1}"
            raise ValueError(f"priority is {shown(priority)}; allowed: {allowed}")
    classes = sorted(int(p) for p in shares)
    parts = [finite_number(f"shares of priority {p}", shares[p]) for p in classes]
    if not sum(parts) > 0.0:
        raise ValueError(f"shares are {dict(shares)}; allowed: at least one above 0")
    edges = np.cumsum(parts) / sum(parts)
    drawn = stream(seed, "priorities").random(len(given))
    at = np.minimum(np.searchsorted(edges, drawn, side="right"), len(classes) - 1)
    return replace(given, priority=np.array(classes, np.int64)[at])
