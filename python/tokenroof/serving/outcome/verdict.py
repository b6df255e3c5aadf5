"""Whether a replica kept up with its load."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.serving.outcome.cut import came, settled
from tokenroof.serving.outcome.times import begun, having, picked
from tokenroof.support.arguments import count
from tokenroof.support.equality import by_value
from tokenroof.support.quoting import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Verdict", "lines", "verdict"]

# Standard deviations of a queue's walk that growth has to exceed to be one.
_SURE = 3.0
# Share of the time that requests wait, and of those served one after another while others wait, over which
# there is a backlog.
_OFTEN = 0.5
# Standard deviations of such a walk by which more have to come than were served while others waited: over the
# whole run, where a backlog is as likely as none, and over its second half, where it shows that it grew.
_NEAR, _GROWN = -1.0 / 3.0, 1.0


@by_value
@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a replica kept up, and if not, what was short.

    Attributes
    ----------
    state : str
        "stable": the queue empties again and again, of several replicas that of each by itself.
        "backlogged": requests wait most of the time, the queue did not empty for longer than half of what was
        looked at, and no fewer came than were served while others waited, of several replicas where most wait
        of those that wait, but it does not grow for sure: the load is about what can be borne, or more.
        "overloaded": it grows as long as requests arrive. "stuck": nobody can be served. "unknown": the run
        was cut before half of those that came were answered, or while ever more were in service, and no queue
        grew until then.
    growth_per_s : float
        Requests by which the queue grows in a second, over the second half of the arrivals [1/s]; about 0
        in a stable run.
    short : str
        What requests wait for: "memory" (blocks of the cache), "sequences" (places in the batch), "time"
        (steps that carry no more tokens); empty where few wait, or where no steps were recorded.
    waiting : float
        Requests that wait, mean over the second half of the arrivals [1].
    lost_per_s : float
        Of the growth, requests that are shed or time out [1/s].
    refused : int
        Requests that can never be served, being longer than the cache or than the model takes [1].
    unfinished : int
        Requests that came and were neither answered nor lost when the run was cut, as by a horizon [1].

    Examples
    --------
    >>> str(Verdict("overloaded", 2.5, "memory", 40.0))
    'overloaded: the queue grows by 2.5 requests/s; short of memory'
    """

    state: str
    growth_per_s: float
    short: str = ""
    waiting: float = 0.0
    lost_per_s: float = 0.0
    refused: int = 0
    unfinished: int = 0

    def __str__(self) -> str:
        said = self.state
        if self.state == "overloaded":
            said += f": the queue grows by {self.growth_per_s:.3g} requests/s"
            if self.lost_per_s > 0.5 * self.growth_per_s:
                said = f"overloaded: {self.lost_per_s:.3g} requests/s are shed or time out"
        if self.state == "backlogged":
            said += f": {counted(self.waiting, 'request', '.3g')} waiting in the mean"
        if self.state == "unknown":
            said += ": the run was cut before it could tell"
        said += f"; short of {self.short}" if self.short else ""
        said += f"; {self.refused} too long to be served" if self.refused else ""
        return said + (f"; {self.unfinished} unfinished" if self.unfinished else "")


def verdict(
    requests: NDArray[Any],
    steps: NDArray[Any] | None = None,
    max_sequences: int | None = None,
    blocks: int | None = None,
) -> Verdict:
    """Whether the queue grew while requests arrived, and what they waited for.

    A queue in balance walks at random: after n arrivals it has moved by some sqrt(n (1 + c^2)), c^2 being the
    squared coefficient of variation of the gaps. Growth over the second half of the arrivals is called one
    where it exceeds three times that. Below capacity a queue empties again and again, however long it is in
    the mean and however long one looks; where more than half of the requests that are served in the second
    half are served in one row with others still waiting, it did not. Near capacity such a row may be longer
    than the run, and what tells is the traffic's intensity [1]: the rate at which requests come over that at
    which they are served while others are left waiting. The queue kept up where it is below one, by a third
    of such a deviation over the whole run, and does not show that it grew by one in the second half. Of M/M/1
    at 0.9 a thousand requests are then called backlogged in one run of thirty, and five thousand at 1.05 in
    all. Where requests name their ``replica``
    each has a queue of its own: of many there is always one at which somebody waits for the next step.

    Where some are "unfinished" the run was cut: those that came until then count, and without a queue that
    grows the load can be borne if half of them are answered and those in service do not grow so either.

    Parameters
    ----------
    requests : structured ndarray
        As in `summary`; those that were never scheduled count as waiting, and so do those that were
        shed or timed out, for good.
    steps : structured ndarray, optional
        ``waiting``, ``running`` and ``free_blocks`` of each step, as `simulate` records them.
    max_sequences, blocks : int, optional
        The most requests that run at once, and the cache's blocks [1].

    Returns
    -------
    Verdict

    Raises
    ------
    TypeError, ValueError
        As `summary`.

    References
    ----------
    [1] Clarke, Maximum likelihood estimates in a simple queue, Annals of Mathematical Statistics 28, 1957.

    Examples
    --------
    >>> names = "arrival_ns scheduled_ns first_token_ns last_token_ns input_tokens output_tokens".split()
    >>> run = np.zeros(1000, [(name, "i8") for name in names])
    >>> run["arrival_ns"] = np.arange(1000) * 10**8
    >>> run["scheduled_ns"] = run["arrival_ns"] * 2
    >>> run["last_token_ns"] = run["scheduled_ns"] + 1
    >>> str(verdict(run))
    'overloaded: the queue grows by 5 requests/s'
    """
    most = None if max_sequences is None else count("max_sequences", max_sequences)
    room = None if blocks is None else count("blocks", blocks)
    requests, unfinished, cut = came(requests)
    served = begun(requests)
    counted, lost, refused = requests, np.empty(0), 0
    if "status" in (requests.dtype.names or ()):
        counted = picked(requests, ~having(requests, "rejected"))
        refused = len(requests) - len(counted)
        gone = having(requests, "shed", "timed_out")
        lost = np.sort(requests["arrival_ns"][gone].astype(np.float64)) * 1e-9
    if len(served) < 4:
        few = "overloaded" if len(lost) > len(served) else "stable"
        state = "stuck" if refused and not len(counted) else few
        lasting = float(lost[-1] - lost[0]) if len(lost) else 0.0
        pace = (len(lost) - 1) / lasting if lasting > 0.0 else 0.0
        found = Verdict(state, 0.0, "", 0.0, pace, refused, unfinished)
        return _told(found, counted) if cut else found
    arrival = np.sort(counted["arrival_ns"].astype(np.float64)) * 1e-9
    scheduled = np.sort(served["scheduled_ns"].astype(np.float64)) * 1e-9
    start, end = arrival[len(arrival) // 2], arrival[-1]
    if not end > start:
        found = Verdict("stable", 0.0, refused=refused, unfinished=unfinished)
        return _told(found, counted) if cut else found
    at = np.linspace(start, end, 401)
    waiting = np.searchsorted(arrival, at, side="right") - np.searchsorted(
        scheduled, at, side="right"
    )
    slope = float(np.polyfit(at - start, waiting, 1)[0])
    grown = slope * (end - start)
    lost_per_s = float((lost >= start).sum() / (end - start))
    waiting = waiting - np.searchsorted(lost, at, side="right")  # they wait no more
    walk = _walk(arrival[len(arrival) // 2 :])
    state = "stable"
    if grown > _SURE * walk:
        state = "overloaded"
    elif lines(counted, (float(start), float(end)))[0]:
        state = "backlogged"
    short = "" if state == "stable" else _short(steps, most, room)
    mean = float(waiting.mean())
    found = Verdict(state, slope, short, mean, lost_per_s, refused, unfinished)
    return _told(found, counted, (float(start), float(end)), _SURE * walk) if cut else found


def _told(
    found: Verdict,
    requests: NDArray[Any],
    window: tuple[float, float] | None = None,
    most: float = 0.0,
) -> Verdict:
    """What a run that was cut tells: no queue that grew is no proof where too little was played."""
    if found.state == "stable" and not settled(requests, window, most):
        return replace(found, state="unknown")
    return found


def lines(requests: NDArray[Any], window: tuple[float, float]) -> tuple[bool, float]:
    """Whether most of those wait in a window [s] where the queue does not empty, and how many wait in all.

    Each replica's queue by itself, where requests name theirs.
    """
    names = requests.dtype.names or ()
    where = requests["replica"] if "replica" in names else np.zeros(len(requests), np.int32)
    order = np.argsort(where, kind="stable")
    ends = np.flatnonzero(np.diff(where[order])) + 1
    found = [_line(requests[rows], window) for rows in np.split(order, ends)]
    late = sum(waiting for full, waiting in found if full)
    waiting = sum(waiting for _, waiting in found)
    return bool(late > _OFTEN * waiting), float(waiting)


def _line(requests: NDArray[Any], window: tuple[float, float]) -> tuple[bool, float]:
    """Whether one queue does not empty, and how many wait in it."""
    arrival = np.sort(requests["arrival_ns"].astype(np.float64)) * 1e-9
    scheduled = np.sort(begun(requests)["scheduled_ns"].astype(np.float64)) * 1e-9
    lost = np.empty(0)
    if "status" in (requests.dtype.names or ()):
        gone = having(requests, "shed", "timed_out")
        lost = np.sort(requests["arrival_ns"][gone].astype(np.float64)) * 1e-9
    at = np.linspace(*window, 401)
    here, taken, left = (np.searchsorted(x, at, side="right") for x in (arrival, scheduled, lost))
    waiting = here - taken - left  # those who left wait no more
    mean = float(waiting.mean())
    full = float(np.mean(waiting > 0)) > _OFTEN and mean > 1.0
    late = full and _never_empty(arrival, scheduled, lost, window)
    return late and not _kept_up(arrival, scheduled, lost, window), mean


def _walk(arrival: NDArray[Any]) -> float:
    """Standard deviation of the walk of a queue in balance while these arrive [1]."""
    gaps = np.diff(arrival)
    return float(np.sqrt(len(arrival) * (1.0 + gaps.var() / gaps.mean() ** 2)))


def _kept_up(
    arrival: NDArray[Any],
    scheduled: NDArray[Any],
    lost: NDArray[Any],
    window: tuple[float, float],
) -> bool:
    """Whether fewer came than are served while others wait, over the whole run and in a window."""
    at, many = np.unique(scheduled[scheduled <= window[1]], return_counts=True)
    left = np.searchsorted(arrival, at) - np.cumsum(many) - np.searchsorted(lost, at)
    for begin, most in ((-np.inf, _NEAR), (window[0], _GROWN)):
        behind = (left[:-1] > 0) & (at[:-1] >= begin)
        lasting = float(np.diff(at)[behind].sum())
        came = arrival[(arrival >= begin) & (arrival <= window[1])]
        if not lasting > 0.0 or len(came) < 3 or not came[-1] > came[0]:
            return False
        served = float(many[1:][behind].sum()) / lasting * float(came[-1] - came[0])
        if len(came) - 1 - served > most * _walk(came):
            return False
    return True


def _never_empty(
    arrival: NDArray[Any],
    scheduled: NDArray[Any],
    lost: NDArray[Any],
    window: tuple[float, float],
) -> bool:
    """Whether most of those served in a window left others waiting, in one row."""
    at = np.unique(scheduled)
    at = at[(at >= window[0]) & (at <= window[1])]
    served = np.searchsorted(scheduled, at, side="right")
    # who comes in the moment in which others are scheduled may be one of them, or comes after
    left = np.searchsorted(arrival, at) - served - np.searchsorted(lost, at)
    if not len(at):
        return True
    ends = np.concatenate(([0], served[left <= 0] - served[0], [served[-1] - served[0]]))
    return bool(np.diff(ends).max() > _OFTEN * max(ends[-1], 1))


def _short(steps: NDArray[Any] | None, max_sequences: int | None, blocks: int | None) -> str:
    """What binds in most of the steps that leave requests waiting."""
    if steps is None or not len(steps):
        return ""
    late = steps[steps["waiting"] > 0]
    if not len(late):
        return ""
    if max_sequences is not None and np.mean(late["running"] >= max_sequences) > 0.5:
        return "sequences"
    if blocks is not None:
        # a request in the mean holds so many blocks; fewer than that are free
        held = (blocks - late["free_blocks"]) / np.maximum(late["running"], 1)
        if np.mean(late["free_blocks"] < np.maximum(held, 1.0)) > 0.5:
            return "memory"
    return "time"
