"""The course of time: how many wait and run, what they get done, memory and watts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.serving.outcome.times import done
from tokenroof.support.arguments import count, finite_number, is_integer, reals, shown
from tokenroof.support.pieces import pieces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["SERIES", "series"]

#: The fields of a series, with their units and what they are.
SERIES = {
    "time_s": ("s", "middle of the interval, from the first arrival"),
    "arrivals": ("1/s", "requests that arrive"),
    "waiting": ("1", "requests that have not been scheduled, mean"),
    "running": ("1", "requests that are scheduled and not done, mean"),
    "first_tokens": ("1/s", "requests that get their first token"),
    "answered": ("1/s", "requests that get their last token"),
    "output_tokens": ("token/s", "output tokens, a request's spread evenly over its time"),
    "kv_share": ("1", "share of the cache's blocks in use, mean; NaN where it is not known"),
    "watts": ("W", "mean power; NaN where it is not known"),
}


def series(
    requests: NDArray[Any],
    interval_s: float | None = None,
    steps: NDArray[Any] | None = None,
    blocks: int | None = None,
    joules: ArrayLike | None = None,
    idle_watts: float = 0.0,
    replicas: int = 1,
) -> NDArray[Any]:
    """Time series of a run, exact means over intervals.

    Parameters
    ----------
    requests : structured ndarray
        As in `summary`.
    interval_s : float, optional
        Length of an interval [s]; a 200th of the run by default.
    steps : structured ndarray, optional
        ``start_ns``, ``end_ns`` and ``free_blocks`` of each step, as `simulate` records them; ``replica``,
        where there are several.
    blocks : int, optional
        Blocks of a replica's cache, for ``kv_share``, the mean over replicas [1].
    joules : array_like, optional
        Energy of each step, for ``watts``, the sum over replicas [J].
    idle_watts : float
        What a replica draws between its steps [W].
    replicas : int
        How many there are [1].

    Returns
    -------
    structured ndarray
        The fields of `SERIES`.

    Raises
    ------
    TypeError, ValueError
        For an argument that is not allowed, by name.

    Examples
    --------
    >>> names = "arrival_ns scheduled_ns first_token_ns last_token_ns input_tokens output_tokens".split()
    >>> run = np.array([(0, 10**9, 2 * 10**9, 4 * 10**9, 100, 5)], [(name, "i8") for name in names])
    >>> series(run, 2.0)["waiting"].tolist(), series(run, 2.0)["running"].tolist()
    ([0.5, 0.0], [0.5, 1.0])
    """
    served = done(requests)
    if not served.size:
        return np.zeros(0, [(name, np.float64) for name in SERIES])
    zero = int(served["arrival_ns"].min())
    end = (int(served["last_token_ns"].max()) - zero) * 1e-9
    length = max(end, 1e-9) / 200.0
    if interval_s is not None:
        length = finite_number("interval_s", interval_s, above=True)
    many = int(np.ceil(end / length * (1.0 - 1e-12)))
    if many > 10**7:
        raise ValueError(f"interval_s is {length:g}; allowed: at most 10**7 intervals of {end:g} s")
    edges = np.arange(max(many, 1) + 1, dtype=np.float64) * length
    edges[-1] = max(edges[-1], end)  # which rounding may have left out
    out = np.zeros(len(edges) - 1, [(name, np.float64) for name in SERIES])
    out["time_s"] = 0.5 * (edges[1:] + edges[:-1])
    arrived, scheduled, first, last, begun, over = (_Sum(edges, length) for _ in range(6))
    for part in pieces(len(served)):
        _add_requests(served[part], zero, (arrived, scheduled, first, last, begun, over))
    for name, events in (("arrivals", arrived), ("first_tokens", first), ("answered", last)):
        out[name] = events.total / length
    out["waiting"] = (arrived.since - scheduled.since) / length
    out["running"] = (scheduled.since - last.since) / length
    out["output_tokens"] = (begun.at_once + begun.since - over.since) / length
    if steps is not None and len(steps):
        _add_steps(out, steps, blocks, joules, zero, edges, idle_watts, count("replicas", replicas))
    else:
        out["kv_share"] = out["watts"] = np.nan
    return out


class _Sum:
    """Events, or their weights, by interval; and how much time since them falls in each.

    Nothing is sorted: of its own interval an event has what is left of it, of all later ones the whole.
    """

    def __init__(self, edges: NDArray[np.float64], length: float) -> None:
        self._edges, self._length = edges, length
        self.total, self._own, self.at_once = (np.zeros(len(edges) - 1) for _ in range(3))

    def add(
        self,
        events: NDArray[np.float64],
        weights: NDArray[np.float64] | float = 1.0,
        at_once: NDArray[np.float64] | None = None,
    ) -> None:
        """So many more, each with its weight, and what comes with it at once."""
        at = np.minimum((events / self._length).astype(np.intp), len(self.total) - 1)
        at -= events < self._edges[at]  # by a rounding
        at = np.minimum(at + (events >= self._edges[at + 1]), len(self.total) - 1)
        weights = np.broadcast_to(weights, events.shape)
        self._add(self.total, at, weights)
        self._add(self._own, at, weights * (self._edges[at + 1] - events))
        if at_once is not None:
            self._add(self.at_once, at, at_once)

    @property
    def since(self) -> NDArray[np.float64]:
        """Of each interval the time since earlier events, summed with their weights."""
        before = np.cumsum(self.total) - self.total
        found: NDArray[np.float64] = self._own + before * np.diff(self._edges)
        return found

    def _add(
        self, to: NDArray[np.float64], at: NDArray[np.intp], weights: NDArray[np.float64]
    ) -> None:
        low = int(at.min())
        more = np.bincount(at - low, weights)
        to[low : low + len(more)] += more


def _add_requests(served: NDArray[Any], zero: int, sums: Sequence[_Sum]) -> None:
    """Some requests; their output tokens: the first when it came, the others evenly up to the last."""
    moments = ("arrival_ns", "scheduled_ns", "first_token_ns", "last_token_ns")
    times = [(served[name] - zero) * 1e-9 for name in moments]
    for one, events in zip(sums, times, strict=False):
        one.add(events)
    first, last = times[2:]
    more = served["output_tokens"] - 1.0
    spread = last > first
    rate = np.zeros(len(served))
    np.divide(more, last - first, out=rate, where=spread)
    begun, over = sums[4:]
    begun.add(first, rate, 1.0 + np.where(spread, 0.0, more))
    over.add(last, rate)


def _add_steps(
    out: NDArray[Any],
    steps: NDArray[Any],
    blocks: int | None,
    joules: ArrayLike | None,
    zero: int,
    edges: NDArray[Any],
    idle_watts: float,
    replicas: int,
) -> None:
    """Memory and watts of the steps of each replica."""
    if blocks is not None and (not is_integer(blocks) or blocks < 1):
        raise ValueError(f"blocks is {shown(blocks)}; allowed: whole numbers from 1")
    energy = None if joules is None else reals("joules", joules)
    if energy is not None and energy.shape != steps.shape:
        raise ValueError(f"joules have shape {energy.shape}; allowed: {steps.shape}, one a step")
    rest = finite_number("idle_watts", idle_watts)
    length = np.diff(edges)
    out["kv_share"] = np.nan if blocks is None else 0.0
    out["watts"] = np.nan if energy is None else rest * replicas
    whose = steps["replica"] if "replica" in (steps.dtype.names or ()) else np.zeros(len(steps))
    for k in np.unique(whose):
        own = whose == k
        start, end = ((steps[name][own] - zero) * 1e-9 for name in ("start_ns", "end_ns"))
        if blocks is not None:
            held = 1.0 - steps["free_blocks"][own] / blocks
            lasting = np.append(start[1:], end[-1]) - start  # until the next step
            share = _mean_over(start, lasting, held * lasting, edges) / length
            out["kv_share"] += share / replicas
        if energy is not None:
            busy = _mean_over(start, end - start, end - start, edges) / length
            watts = _mean_over(start, end - start, energy[own], edges) / length
            out["watts"] += watts - rest * busy


def _mean_over(
    start: NDArray[Any],
    lasting: NDArray[Any],
    amount: NDArray[Any],
    edges: NDArray[Any],
) -> NDArray[Any]:
    """Of amounts that are spread over intervals behind one another, what falls between edges."""
    whole = np.concatenate([[0.0], np.cumsum(amount)])
    ends = np.empty(2 * len(start))
    ends[0::2], ends[1::2] = start, start + lasting
    sums = np.empty_like(ends)
    sums[0::2], sums[1::2] = whole[:-1], whole[1:]
    return np.diff(np.interp(edges, ends, sums))
