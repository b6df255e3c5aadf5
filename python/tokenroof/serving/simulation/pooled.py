"""What a run of prompts and answers apart found: a record per request, both pools, the link between them."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.serving.outcome.series import series
from tokenroof.serving.outcome.summary import spread_of
from tokenroof.serving.outcome.times import begun
from tokenroof.serving.outcome.verdict import lines, verdict
from tokenroof.serving.simulation.energy import Energy
from tokenroof.serving.simulation.result import RECORD, Simulation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from tokenroof.serving.outcome.verdict import Verdict
    from tokenroof.serving.slo import SLO
    from tokenroof.serving.system.record import System

__all__ = ["POOLED_RECORD", "PooledSimulation"]

_MILESTONES = ("prefilled", "reserved", "received", "joined")
#: A record per request: `RECORD`, and its way from pool to pool.
POOLED_RECORD = np.dtype(
    RECORD.descr
    + [(f"{name}_ns", np.int64) for name in _MILESTONES]
    + [("transfer_s", np.float64), ("sent_tokens", np.int32), ("prefill_replica", np.int32)]
    + [("sent_bytes", np.float64)]
)  # fmt: skip
_STAGES = ("prefill", "link", "decode")
# Requests that began, with fewer of which nothing is said of queues.
_FEW = 4
# Share of the time that a pool or a link works, above which it is what is short.
_FULL = 0.9


class PooledSimulation(Simulation):
    """One run of a system whose prompts and answers have pools of their own.

    Attributes
    ----------
    requests : ndarray
        A record per request as of `Simulation`, over both pools: ``scheduled_s`` and ``cached_tokens`` of
        the pool of prompts, ``first_token_s`` and what follows of that of answers. Beside them
        ``prefilled_ns`` (the prompt is computed), ``reserved_ns`` (blocks are set aside in the other pool; at
        SGLang before the prompt is computed), ``received_ns`` (the cache is there, and free where it was),
        ``joined_ns`` (the first step there) [ns], ``transfer_s`` (from where the transfer begins to
        received; at SGLang with the time that later pieces of the prompt took) [s],
        ``sent_tokens`` and ``sent_bytes`` (of the prompt's cache, less what was found there),
        ``prefill_replica``.
    pools : dict of Simulation
        By what they do, "prefill" and "decode": each with its steps, totals, energy, scheduler, and records
        of its own, in which a request arrives when it is handed on.
    system : System
    link : dict
        ``bytes`` that crossed it, ``load``: the share of what it could have carried meanwhile; ``alone_s``:
        what each transfer takes by itself [s]; ``together``: whether requests go to both pools at once;
        ``narrow``: the record's field of the replicas that bound it.
    steps, entries, preempted, given, scaling
        Of the pool of answers.
    totals, energy
        Of both pools together.

    Examples
    --------
    >>> from tokenroof import serving
    >>> pools = serving.disaggregate(("H200-SXM", None, 1), ("H200-SXM", None, 1), model="Llama-3.1-8B")
    >>> load = {"arrival": [0.0, 0.1], "input_tokens": 1000, "output_tokens": 10}
    >>> run = serving.simulate(pools, None, None, load)
    >>> sorted(run.pools), run.link["bytes"] > 0.0, len(run.requests)
    (['decode', 'prefill'], True, 2)
    """

    def __init__(
        self,
        system: System,
        pools: Mapping[str, Simulation],
        link: Mapping[str, Any],
    ) -> None:
        first, second = pools["prefill"], pools["decode"]
        self.system, self.pools = system, dict(pools)
        self.requests = _joined(first.requests, second.requests, link)
        self.scheduler, self.config, self._limits = second.scheduler, second.config, second._limits
        self.replicas = first.replicas + second.replicas
        self.steps, self.entries, self.preempted = second.steps, second.entries, second.preempted
        self.given, self.scaling = second.given, second.scaling
        self.totals = _summed(first.totals, second.totals)
        self.energy = _both(first.energy, second.energy)
        self.link = _carried(self.requests, link)

    @cached_property
    def verdict(self) -> Verdict:
        """Whether the load can be borne, and what is short where it cannot: prefill, link or decode.

        What waits is whoever waits for a step of prompts, for blocks or a step in the pool of answers, or
        for others on the link; a backlog is one of a pool's replicas, or of the link's ends, by themselves.
        A link that works nine tenths of its time, and more than the pool of prompts, is short. Else, where
        that pool does not work so much, the pool of answers whose queue does not empty is, as its full
        memory holds up the others; else the pool where more wait.
        """
        came = self.requests["arrival_ns"] >= 0
        found = verdict(_waits(self.requests, self.link["alone_s"]))
        if found.state == "stuck":  # nobody came into the queue
            return found
        late, waits = self._queues(came)
        if self.totals["ending"] == "blocked":
            found = replace(found, state="stuck")
        elif found.state != "overloaded":
            calm = "unknown" if found.state == "unknown" else "stable"
            found = replace(found, state="backlogged" if any(late.values()) else calm)
        return (
            found
            if found.state in ("stable", "unknown")
            else replace(found, short=self._scarce(late, waits))
        )

    def _queues(self, came: NDArray[np.bool_]) -> tuple[dict[str, bool], dict[str, float]]:
        """Over the second half of the arrivals, where queues do not empty, and how many wait in each."""
        requests, alone_s = self.requests[came], self.link["alone_s"][came]
        arrival = np.sort(requests["arrival_ns"]) * 1e-9
        window = float(arrival[len(arrival) // 2]), float(arrival[-1])
        late, waits = dict.fromkeys(_STAGES, False), dict.fromkeys(_STAGES, 0.0)
        if window[1] > window[0] and len(begun(requests)) >= _FEW:
            for name, queue in _stages(requests, alone_s, self.link).items():
                if len(queue):
                    late[name], waits[name] = lines(queue, window)
        return late, waits

    def summary(
        self, slo: SLO | None = None, percentiles: Sequence[float] = (50.0, 90.0, 99.0)
    ) -> dict[str, Any]:
        """As of `Simulation`, and of the way between the pools.

        ``prefill_s`` (from the first step to the whole prompt), ``reserve_s`` (from there, or at SGLang from
        its arrival, until blocks are set aside),
        ``transfer_s`` with a dict as ``ttft_s``; ``link_load``; ``prefill_watts`` and ``decode_watts`` [W].
        """
        requests = self.requests
        found = super().summary(slo, percentiles)
        wanted = np.atleast_1d(np.asarray(percentiles, np.float64))
        there = requests[requests["joined_ns"] >= 0]
        together = self.link["together"]
        for name, start, end in (
            ("prefill_s", "scheduled_ns", "prefilled_ns"),
            ("reserve_s", "arrival_ns" if together else "prefilled_ns", "reserved_ns"),
        ):
            found[name] = spread_of((there[end] - there[start]) * 1e-9, wanted)
        found["transfer_s"] = spread_of(there["transfer_s"], wanted)
        found["link_load"] = self.link["load"]
        if np.isfinite(self.energy.joules):
            found |= {f"{role}_watts": pool.energy.watts for role, pool in self.pools.items()}
        return found

    def series(self, interval_s: float | None = None) -> NDArray[Any]:
        """Course of time of whole requests; memory and watts are of `pools`, each by itself."""
        return series(self.requests, interval_s)

    def _scarce(self, late: Mapping[str, bool], waits: Mapping[str, float]) -> str:
        prompts = self.pools["prefill"]
        totals, came = prompts.totals, self.requests["arrival_ns"]
        worked = float(totals["end_ns"]) - float(came[came >= 0].min())
        stood = prompts.ranks * totals["on_ns"] * (worked / totals["span_ns"])
        busy = totals["busy_ns"] / max(stood, 1.0)
        if self.link["load"] >= _FULL and self.link["load"] > busy:
            return "link"
        if busy < _FULL and late["decode"]:
            return "decode"
        return max(("decode", "prefill"), key=lambda name: waits[name])


def _joined(first: NDArray[Any], second: NDArray[Any], link: Mapping[str, Any]) -> NDArray[Any]:
    """The record of both pools: who arrives and is scheduled at the first, answered by the second."""
    record = np.empty(len(first), POOLED_RECORD)
    for name in RECORD.names or ():
        record[name] = second[name]
    for name in ("arrival", "scheduled"):
        for unit in ("ns", "s"):
            record[f"{name}_{unit}"] = first[f"{name}_{unit}"]
    for name in ("cached_tokens", "loaded_tokens"):
        record[name] = first[name]
    for name in ("cached_total", "preemptions", "joules"):
        record[name] = first[name] + second[name]
    record["prefill_replica"] = first["replica"]
    record["prefilled_ns"], record["joined_ns"] = second["arrival_ns"], second["scheduled_ns"]
    if link["together"]:
        computed = first["status"] == "done"
        record["prefilled_ns"] = np.where(computed, first["last_token_ns"], -1)
    for name in ("reserved_ns", "received_ns", "sent_tokens", "sent_bytes"):
        record[name] = link[name]
    crossed = record["received_ns"] >= 0
    took = (record["received_ns"] - link["sending_ns"]) * 1e-9
    record["transfer_s"] = np.where(crossed, took, np.nan)
    return record


def _summed(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Totals of both pools; peaks are the larger one's, what was least free the smaller one's."""
    out: dict[str, Any] = {"ending": second["ending"]}
    for name, value in second.items():
        if name == "ending":
            continue
        if name == "end_ns" or name.startswith("peak_"):
            out[name] = max(first[name], value)
        elif name == "least_free":
            out[name] = min(first[name], value)
        else:
            out[name] = first[name] + value
    return out


def _both(first: Energy, second: Energy) -> Energy:
    return Energy(
        first.busy_j + second.busy_j,
        first.idle_j + second.idle_j,
        first.idle_watts + second.idle_watts,
        first.seconds,
    )


def _carried(requests: NDArray[Any], link: Mapping[str, Any]) -> dict[str, Any]:
    """What crossed the link, and its share of what the pool with fewer devices can send or take."""
    carried = float(requests["sent_bytes"].sum())
    most = min(link["near"] * link["senders"], link["far"] * link["receivers"])
    crossed = requests["received_ns"] >= 0
    span = 0.0
    if crossed.any():
        span = float(requests["received_ns"].max() - link["sending_ns"][crossed].min())
    alone_ns = link["hop_ns"] + requests["sent_bytes"] / min(link["near"], link["far"])
    load = carried / (most * span) if span > 0.0 else 0.0
    together = link["together"]
    sending = link["near"] * link["senders"] <= link["far"] * link["receivers"]
    narrow = "prefill_replica" if sending else "replica"
    return {
        "bytes": carried, "load": load, "alone_s": alone_ns * 1e-9, "together": together, "narrow": narrow,
    }  # fmt: skip


def _waits(requests: NDArray[Any], alone_s: NDArray[np.float64]) -> NDArray[Any]:
    """Records as of one queue: scheduled after all that a request waits for on its way."""
    out = requests[list(RECORD.names or ())].astype(RECORD)
    took = np.round(1e9 * alone_s).astype(np.int64)
    served = requests["joined_ns"] >= 0
    waited = requests["scheduled_ns"] - requests["arrival_ns"]
    waited = waited + np.maximum(requests["joined_ns"] - requests["prefilled_ns"] - took, 0)
    out["scheduled_ns"] = np.where(served, requests["arrival_ns"] + waited, -1)
    return out


def _stages(
    requests: NDArray[Any], alone_s: NDArray[np.float64], link: Mapping[str, Any]
) -> dict[str, NDArray[Any]]:
    """Records as of queues of their own: of prompts, of the link, of blocks and a step of answers."""
    took = np.round(1e9 * alone_s).astype(np.int64)
    asked = requests["arrival_ns" if link["together"] else "prefilled_ns"]
    room = np.maximum(requests["reserved_ns"] - asked, 0)
    held = room if link["together"] else 0  # prompts begin when there is room for their caches
    sent = np.where(np.isfinite(requests["transfer_s"]), 1e9 * requests["transfer_s"], 0.0)
    others = np.maximum(np.round(sent).astype(np.int64) - took, 0)
    ready, prompts = requests["received_ns"], requests["prefill_replica"]
    crossed, computed = ready >= 0, requests["prefilled_ns"] >= 0
    start = np.where(crossed, ready - room, asked)
    return {
        "prefill": _queue(requests, requests["arrival_ns"] + held, requests["scheduled_ns"], prompts),
        "link": _queue(requests, ready - others, ready, requests[link["narrow"]])[crossed],
        "decode": _queue(requests, start, requests["joined_ns"], requests["replica"])[computed],
    }  # fmt: skip


def _queue(
    requests: NDArray[Any],
    since_ns: NDArray[np.int64],
    until_ns: NDArray[np.int64],
    replica: NDArray[np.int32],
) -> NDArray[Any]:
    """Records of requests that wait for so long at these replicas."""
    out = requests[list(RECORD.names or ())].astype(RECORD)
    out["arrival_ns"], out["scheduled_ns"], out["replica"] = since_ns, until_ns, replica
    return out
