"""Times of served requests, from the records that a simulation or a log gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tokenroof.support.pieces import pieces

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Times", "begun", "done", "having", "picked", "times_of"]

#: What a record of a request needs.
NEEDED = (
    "arrival_ns",
    "scheduled_ns",
    "first_token_ns",
    "last_token_ns",
    "input_tokens",
    "output_tokens",
)


class Times(NamedTuple):
    """Of each request that was answered [s]; TPOT is NaN where there is one output token."""

    queue_s: NDArray[Any]
    ttft_s: NDArray[Any]
    tpot_s: NDArray[Any]
    e2e_s: NDArray[Any]


def done(requests: NDArray[Any]) -> NDArray[Any]:
    """The records of requests that were answered.

    Raises
    ------
    TypeError, ValueError
        For anything but a structured array with the fields of `simulate`.
    """
    if not isinstance(requests, np.ndarray) or requests.dtype.names is None:
        raise TypeError(f"requests is {type(requests).__name__}; allowed: a structured array")
    for name in NEEDED:
        if name not in requests.dtype.names:
            raise ValueError(
                f"requests have no field {name}; allowed: {', '.join(NEEDED)} and others"
            )
    if "status" not in requests.dtype.names:
        return requests
    return picked(requests, having(requests, "done"))


def begun(requests: NDArray[Any]) -> NDArray[Any]:
    """The records of `done`, and of those that were scheduled and not answered when their run was cut."""
    if "status" not in (requests.dtype.names or ()):
        return done(requests)
    inside = having(requests, "unfinished") & (requests["scheduled_ns"] >= 0)
    return picked(requests, having(requests, "done") | inside)


def having(requests: NDArray[Any], *statuses: str) -> NDArray[np.bool_]:
    """Which records have one of these for their status."""
    found = np.zeros(len(requests), bool)
    for part in pieces(len(requests)):
        status = requests["status"][part].astype("U10")
        for one in statuses:
            found[part] |= status == one
    return found


def picked(requests: NDArray[Any], which: NDArray[np.bool_]) -> NDArray[Any]:
    """The records that a mask names; themselves where it names all."""
    many = int(which.sum())
    if many == len(requests):
        return requests
    kept, at = np.empty(many, requests.dtype), 0
    for part in pieces(len(requests)):
        own = requests[part][which[part]]
        kept[at : at + len(own)] = own
        at += len(own)
    return kept


def times_of(served: NDArray[Any]) -> Times:
    """Times of records that `done` gave."""
    times = Times(*(np.empty(len(served)) for _ in Times._fields))
    for part in pieces(len(served)):
        rows = served[part]
        arrival, scheduled, first, last = (
            rows[f"{name}_ns"].astype(np.int64)
            for name in ("arrival", "scheduled", "first_token", "last_token")
        )
        after = rows["output_tokens"].astype(np.float64) - 1.0
        times.queue_s[part] = (scheduled - arrival) * 1e-9
        times.ttft_s[part] = (first - arrival) * 1e-9
        times.tpot_s[part] = np.where(
            after > 0, (last - first) * 1e-9 / np.maximum(after, 1.0), np.nan
        )
        times.e2e_s[part] = (last - arrival) * 1e-9
    return times
