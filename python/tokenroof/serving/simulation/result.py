"""What a simulation found: a record per request, the steps, and whether the load can be borne."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.serving.gaps import token_gaps
from tokenroof.serving.outcome.series import series
from tokenroof.serving.outcome.summary import summary
from tokenroof.serving.outcome.times import picked
from tokenroof.serving.outcome.verdict import verdict
from tokenroof.serving.simulation.energy import energy_of
from tokenroof.support.equality import by_value
from tokenroof.support.quoting import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from tokenroof.serving.outcome.verdict import Verdict
    from tokenroof.serving.simulation.limits import Limits
    from tokenroof.serving.simulation.scheduler import Scheduler
    from tokenroof.serving.slo import SLO

__all__ = [
    "ENTRY_FIELDS",
    "RECORD",
    "STEP_FIELDS",
    "Simulation",
    "Verdict",
    "rows_for",
]

#: What a status is called, by the number that the compiled simulator knows it by.
_STATUS = np.array(
    ["unfinished", "done", "rejected", "stuck", "unfinished", "timed_out", "shed"], "U10"
)
#: A record per request. Times are -1 [ns] and NaN [s] where a thing never happened; the last token of a
#: request that was rejected or shed is when it was told, of one that timed out when its client gave up.
RECORD = np.dtype(
    [(name, np.int64) for name in ("arrival_ns", "scheduled_ns", "first_token_ns", "last_token_ns")]
    + [(name, np.float64) for name in ("arrival_s", "scheduled_s", "first_token_s", "last_token_s")]
    + [(name, np.int32) for name in ("input_tokens", "output_tokens", "cached_tokens", "cached_total")]
    + [("preemptions", np.int32), ("replica", np.int32), ("status", "U10")]
    + [("joules", np.float64), ("priority", np.int32), ("loaded_tokens", np.int32)]
)  # fmt: skip
STEP_FIELDS = (
    "scheduled_ns", "start_ns", "end_ns", "replica", "free_blocks", "running", "waiting",
    "cached_hashes", "tokens",
)  # fmt: skip
ENTRY_FIELDS = ("step", "request", "tokens", "before")
_PLAIN_STEP = np.dtype([(name, np.int64) for name in STEP_FIELDS])
_STEP = np.dtype([*((name, np.int64) for name in STEP_FIELDS), ("joules", np.float64)])
_ENTRY = np.dtype([(name, np.int64) for name in ENTRY_FIELDS])
_SCALED = np.dtype([
    ("time_s", np.float64), ("up", np.int64), ("starting", np.int64), ("draining", np.int64),
    ("signal", np.float64),
])  # fmt: skip
_VICTIM = np.dtype([(name, np.int64) for name in ("step", "request")])
_GIVEN = np.dtype([(name, np.int64) for name in ("end_ns", "request", "tokens")])

# Verdicts of runs in which nobody waits for anything.
_NO_QUEUE = ("stable", "unknown")
_ENDINGS = ("served", "blocked", "horizon", "interrupted")


@by_value(
    "requests", "steps", "entries", "preempted", "given", "scaling", "totals", "energy", "scheduler",
    "config", "replicas", "ranks", "_limits",
)  # fmt: skip
class Simulation:
    """One run.

    Attributes
    ----------
    requests : ndarray
        A record per request, `RECORD`: ``arrival_s``, ``scheduled_s`` (first), ``first_token_s``,
        ``last_token_s``, the same in whole nanoseconds, ``input_tokens``, ``output_tokens`` (delivered),
        ``cached_tokens`` (of the prompt, at first admission), ``cached_total`` (over all admissions),
        ``loaded_tokens`` (of these from the host's memory), ``preemptions``, ``replica``, ``status``
        ("done"; "rejected": can never be served; "shed": the queue was full; "timed_out"; "stuck";
        "unfinished"), ``priority``, ``joules`` (its part of the energy of its steps; NaN where the power is
        not known).
    steps, entries, preempted : ndarray
        With ``record_steps``: a row per call of the scheduler that scheduled tokens or preempted
        somebody, with its ``joules``; who got how many tokens, with so many before, in the order decided;
        who was preempted.
    given : ndarray
        With ``record_steps`` and a scheduler that is played sequence by sequence: what each step gave a
        request, ``end_ns``, ``request``, ``tokens``: with speculation several.
    totals : dict
        Steps, tokens, busy and end [ns], preemptions, tokens drafted and kept, and how the run ended.
    energy : Energy
        What the boards of all replicas drew; NaN where the power is not known.
    replicas : int
    scaling : ndarray
        With an `Autoscale`, a row per change: ``time_s``, replicas that are ``up``, ``starting``,
        ``draining``, and the sum of the ``signal`` over those that served, where it was looked at.
    scheduler : Scheduler
    config : dict
        The scheduler's knobs as they were played.
    """

    def __init__(
        self,
        requests: NDArray[Any],
        outcome: Mapping[str, Any],
        scheduler: Scheduler,
        config: Mapping[str, Any],
        limits: Limits,
        idle_watts: float = np.nan,
        replicas: int = 1,
        ranks: int = 1,
    ) -> None:
        self.requests, self.scheduler, self.config = requests, scheduler, dict(config)
        self._limits, self.replicas, self.ranks = limits, replicas * ranks, ranks
        self.steps = _steps(outcome["rows"], outcome["row_joules"], idle_watts)
        self.entries = _rows(outcome["entries"], _ENTRY)
        self.preempted = _rows(outcome["preempted"], _VICTIM)
        self.given = _rows(outcome["given"], _GIVEN)
        self.scaling = np.array([(row[0] * 1e-9, *row[1:]) for row in outcome["scaled"]], _SCALED)
        plain = (
            "rows", "entries", "preempted", "given", "ending", "row_joules", "metered", "scaled",
        )  # fmt: skip
        self.totals = {name: value for name, value in outcome.items() if name not in plain}
        self.totals["ending"] = _ENDINGS[outcome["ending"]]
        self.energy = energy_of(outcome, idle_watts, ranks)

    def __len__(self) -> int:
        return len(self.requests)

    def __repr__(self) -> str:
        return f"<Simulation of {counted(len(self), 'request')} by {self.scheduler.name}: {self.verdict}>"

    @property
    def refused(self) -> NDArray[np.intp]:
        """Requests that can never fit, or are longer than the model takes: by index."""
        return np.flatnonzero(self.requests["status"] == "rejected")

    @cached_property
    def verdict(self) -> Verdict:
        """Whether the load can be borne, and what is short where it cannot.

        Its state is "stuck" where the head of the queue can never be admitted, or nobody can; "backlogged"
        too where all came at once and most had to wait.
        """
        found = verdict(self.requests)
        if found.state == "stuck":  # nobody came into the queue
            return found
        if self.totals["ending"] == "blocked":
            found = replace(found, state="stuck")
        elif found.state in _NO_QUEUE and _at_once(self.requests["arrival_ns"]):
            queue = self._mean_queue()
            if queue >= 1.0:
                found = replace(found, state="backlogged", waiting=queue)
        return found if found.state in _NO_QUEUE else replace(found, short=self._short())

    def summary(
        self, slo: SLO | None = None, percentiles: Sequence[float] = (50.0, 90.0, 99.0)
    ) -> dict[str, Any]:
        """Percentiles of what users saw, rates and joules: `tokenroof.serving.summary` of the requests.

        Beside it ``watts``: the mean power of all boards [W]. Percentiles of ``itl_pooled_s`` are of all
        gaps where steps were recorded (``record_steps=True``); else its mean alone is known.
        """
        joules = self.energy.joules
        known = joules if np.isfinite(joules) else None
        return {
            **summary(self.requests, slo, percentiles, self._gaps(), known),
            **({} if known is None else {"watts": self.energy.watts}),
        }

    def _gaps(self) -> NDArray[np.float64] | None:
        """All gaps of requests that were answered, where the steps tell every one of them."""
        if not len(self.entries):
            return None
        q = self.requests
        done = np.flatnonzero(q["status"] == "done")
        gaps = token_gaps(self, done)
        whole = 1e-9 * float((q["last_token_ns"] - q["first_token_ns"])[done].sum(dtype=np.float64))
        return gaps if abs(float(gaps.sum()) - whole) <= 1e-9 * whole else None

    def by_priority(self, slo: SLO | None = None) -> dict[int, dict[str, Any]]:
        """A summary of each class of priority, the most urgent first; energy is of all together."""
        requests = self.requests
        return {
            int(p): summary(picked(requests, requests["priority"] == p), slo)
            for p in np.unique(requests["priority"])
        }

    def series(self, interval_s: float | None = None) -> NDArray[Any]:
        """Course of time: `tokenroof.serving.series`, with memory and watts where steps were recorded.

        ``kv_share`` is the mean over replicas, ``watts`` the sum over them, idle ones counted.
        """
        if not len(self.steps):
            return series(self.requests, interval_s)
        known = np.isfinite(self.energy.idle_watts)
        return series(
            self.requests, interval_s, self.steps, self._limits.blocks - self._limits.unused_blocks,
            self.steps["joules"] if known else None, self.energy.idle_watts if known else 0.0, self.replicas,
        )  # fmt: skip

    def _mean_queue(self) -> float:
        began = self.requests["scheduled_ns"] >= 0
        waited = self.requests["scheduled_ns"] - self.requests["arrival_ns"]
        total = float(waited.sum(dtype=np.float64, where=began))  # beyond int64 for a million
        return total / max(float(self.totals["end_ns"]), 1.0)

    def _short(self) -> str:
        totals, limits = self.totals, self._limits
        if totals["preemptions"] or totals["least_free"] < 0.02 * limits.blocks:
            return "memory"
        if totals["peak_running"] >= limits.sequences:
            return "sequences"
        return "time"


def _at_once(arrival_ns: NDArray[np.int64]) -> bool:
    """Whether half of those that came did in one moment, the last: no time in which a queue could grow."""
    arrival_ns = arrival_ns[arrival_ns >= 0]
    if not len(arrival_ns):
        return False
    return bool(np.count_nonzero(arrival_ns == arrival_ns.max()) > len(arrival_ns) // 2)


def _rows(table: NDArray[np.int64], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Rows of whole numbers as records."""
    return np.ascontiguousarray(table).view(dtype)[:, 0] if len(table) else np.empty(0, dtype)


def _steps(
    table: NDArray[np.int64], joules: NDArray[np.float64], idle_watts: float
) -> NDArray[Any]:
    """Steps as records, with their energy where it is known."""
    plain = _rows(table, _PLAIN_STEP)
    steps = np.empty(len(plain), _STEP)
    for name in STEP_FIELDS:
        steps[name] = plain[name]
    steps["joules"] = joules if np.isfinite(idle_watts) else np.nan
    return steps


def rows_for(n: int) -> dict[str, NDArray[Any]]:
    """A record per request for what a run tells of it, which the compiled simulator fills, and its words."""
    return {"records": np.empty(n, RECORD), "status": _STATUS}
