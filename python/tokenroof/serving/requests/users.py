"""Closed loads: so many users, each of whom waits for an answer before asking again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tokenroof.serving.requests.arrivals import Sizes, sizes_of
from tokenroof.serving.requests.given import whole_ns
from tokenroof.serving.requests.random import MOST_REQUESTS, stream
from tokenroof.serving.requests.record import Requests
from tokenroof.support.arguments import check_options, count, finite_number, shown, whole_number
from tokenroof.support.names import among

if TYPE_CHECKING:
    from typing import Unpack

    from numpy.typing import NDArray

__all__ = ["THINKING", "thinking", "users"]

#: How times to think are distributed.
THINKING = ("fixed", "exponential")


def thinking(seed: int, mean_s: float, kind: str, n: int) -> NDArray[np.int64]:
    """Times to think [ns]."""
    mean = finite_number("think_s", mean_s)
    if not among(kind, THINKING):
        raise ValueError(f"think is {shown(kind)}; allowed: {', '.join(THINKING)}")
    if kind == "fixed":
        return whole_ns("think_s", np.full(n, mean * 1e9))
    drawn = stream(seed, "thinking").standard_exponential(n)
    return whole_ns("think_s", drawn * (mean * 1e9))


def users(
    concurrency: int,
    requests: int = 1000,
    think_s: float = 0.0,
    think: str = "fixed",
    ramp_s: float = 0.0,
    **options: Unpack[Sizes],
) -> Requests:
    """Users in closed loop: as many requests in flight, less those whose users think.

    Parameters
    ----------
    concurrency : int
        Users [1].
    requests : int
        In all [1]; users take turns.
    think_s : float
        Mean time from an answer's end to the same user's next request [s].
    think : {"fixed", "exponential"}
        How it is distributed.
    ramp_s : float
        The first requests are spread evenly over this time [s].
    input_tokens, output_tokens, lengths, declared_tokens, seed
        As in `poisson`.

    Returns
    -------
    Requests

    Raises
    ------
    ValueError, TypeError
        For an argument that is not allowed, by name and value.

    Examples
    --------
    >>> load = users(2, requests=5, think_s=0.5)
    >>> load.after.tolist(), load.think_ns.tolist()
    ([-1, -1, 0, 1, 2], [0, 0, 500000000, 500000000, 500000000])
    """
    check_options("users", options, Sizes)
    many, n = (
        count("concurrency", concurrency),
        whole_number("requests", requests, 1, MOST_REQUESTS),
    )
    begin = finite_number("ramp_s", ramp_s) * 1e9 / many
    index = np.arange(n)
    first = index < many
    pause = thinking(options.get("seed", 0), think_s, think, n)
    inputs, outputs, declared = sizes_of("users", n, options)
    return Requests(
        arrival_ns=whole_ns("ramp_s", np.where(first, index * begin, 0.0)),
        input_tokens=inputs,
        output_tokens=outputs,
        declared_tokens=declared,
        priority=np.zeros(n, np.int64),
        after=np.where(first, -1, index - many),
        think_ns=np.where(first, 0, pause),
    )
