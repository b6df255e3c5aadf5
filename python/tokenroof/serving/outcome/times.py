"""Times of served requests, from the records that a simulation or a log gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Times", "done", "times_of"]

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
    answered: NDArray[Any] = requests[requests["status"].astype("U8") == "done"]
    return answered


def times_of(served: NDArray[Any]) -> Times:
    """Times of records that `done` gave."""
    arrival = served["arrival_ns"].astype(np.int64)
    first, last = (
        served["first_token_ns"].astype(np.int64),
        served["last_token_ns"].astype(np.int64),
    )
    after = served["output_tokens"].astype(np.float64) - 1.0
    with np.errstate(invalid="ignore", divide="ignore"):
        tpot = np.where(after > 0, (last - first) * 1e-9 / after, np.nan)
    return Times(
        (served["scheduled_ns"].astype(np.int64) - arrival) * 1e-9,
        (first - arrival) * 1e-9,
        tpot,
        (last - arrival) * 1e-9,
    )
