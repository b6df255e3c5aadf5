"""A load played over several seeds, and whether what was promised was kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import numpy as np

from tokenroof.serving.loads import refuse_gaps
from tokenroof.serving.simulation.simulate import simulate
from tokenroof.serving.tuning.closed_form import furthest, highest_rate, hopeless
from tokenroof.serving.tuning.kept import Kept, key_of
from tokenroof.serving.tuning.objectives import Objective, reached
from tokenroof.serving.tuning.subject import Subject
from tokenroof.support.equality import by_value
from tokenroof.support.quoting import counted

if TYPE_CHECKING:
    from tokenroof.records.calibration import Calibration
    from tokenroof.serving.simulation.result import Simulation
    from tokenroof.serving.tuning.asked import Asked

__all__ = ["Candidate", "Trial"]

# A run is not watched for more requests than fill a replica of so many places.
_MOST_IN_FLIGHT = 4096.0
# Share of the rate that has to arrive where arrivals wait for answers.
_KEPT_UP = 0.8


@by_value
@dataclass(frozen=True, slots=True)
class Trial:
    """One load, played over all seeds.

    Attributes
    ----------
    plan : str
        Its label.
    devices : int
        Of the replica [1].
    knobs : dict
        The scheduler's, as far as they were tried.
    amount : float
        Requests that arrive per second [1/s], or users in closed loop [1].
    meets : bool
        Whether every run kept to every bound and was stable: of a backlog a longer run may break it.
    times : dict
        By objective, as ``ttft_p99_s``: the mean of the runs, ``_low`` and ``_high`` the least and the
        most [s]; infinite where requests were never answered.
    state : str
        The worst verdict of the runs.
    seeds : int
        Runs [1].
    short : str
        What requests waited for in the worst of them, of pools which one: as `Verdict` says it.
    brief : str
        Where fewer requests count than a promise needs: how long runs are, and have to be.

    Examples
    --------
    >>> from tokenroof import serving
    >>> slo = serving.SLO(tpot_s=0.02, percentile=99)
    >>> best = serving.tune("H200-SXM", "Llama-3.1-8B", None, slo, output_tokens=100,
    ...                     knobs={"max_num_seqs": [64]}, requests=200, seeds=2)
    >>> best.proof.meets, best.proof.seeds, best.proof.times["tpot_p99_s"] <= 0.02
    (True, 2, True)
    """

    plan: str
    devices: int
    knobs: dict[str, Any]
    amount: float
    meets: bool
    times: dict[str, float]
    state: str
    seeds: int
    short: str = ""
    brief: str = ""

    def row(self) -> dict[str, Any]:
        """As a row of a table."""
        head = {"plan": self.plan, "devices": self.devices, **self.knobs, "amount": self.amount}
        return {**head, "meets": self.meets, "state": self.state, "seeds": self.seeds, **self.times}


def _pace(run: Simulation, first: int, last: int) -> float:
    """Arrivals per second of those that count [1/s]."""
    at = np.sort(run.requests["arrival_ns"])[first:last]
    lasting = 1e-9 * float(at[-1] - at[0])
    return (len(at) - 1) / lasting if lasting > 0.0 else 0.0


_STATES = ("stable", "unknown", "backlogged", "overloaded", "stuck")


Of = TypeVar("Of", bound=Subject)


@dataclass
class Candidate(Generic[Of]):
    """A replica or a system with its schedulers, whose loads can be played."""

    on: Of
    knobs: dict[str, Any]
    asked: Asked
    objectives: Sequence[Objective]
    kept: Kept
    trials: list[Trial]
    fidelity: str | Calibration
    beside: dict[str, Any] = field(default_factory=dict)  # what else `simulate` is told

    def __post_init__(self) -> None:
        bounds = {one.time: one.bound for one in self.objectives}
        refuse_gaps(bounds, self.asked.shape.output_tokens)

    @property
    def devices(self) -> int:
        return self.on.devices

    @property
    def hopeless(self) -> bool:
        """Whether the closed form alone tells that no rate is kept: of loads and steps that it knows."""
        known = not (self.asked.own or self.beside or self.asked.closed)
        return known and hopeless(self.on.twin, self.objectives)

    @property
    def furthest(self) -> float:
        """By how much requests that come seldom miss a bound, by the closed form [1]."""
        return furthest(self.on.twin, self.objectives)

    def in_flight(self, amount: float) -> float:
        """Requests in flight that a run is to start from [1]."""
        if self.asked.closed:
            return amount
        found = self.on.twin.at(np.array([amount]))
        places = self.on.places
        running = float(found["running"][0] + found["waiting"][0])
        return min(running if np.isfinite(running) else places, places, _MOST_IN_FLIGHT)

    def guess(self) -> float:
        """The amount that the closed form says meets the objectives: where a search begins."""
        if self.asked.closed:
            return 1.0
        return highest_rate(self.on.twin, self.objectives) or self.on.twin.saturation / 1024.0

    def play(self, amount: float) -> Trial:
        """Play one load over all seeds."""
        inside, longest = self.in_flight(amount), max(one.bound for one in self.objectives)
        first, last, many = self.asked.window(amount, inside, self.on.replicas, longest)
        wanted = [(one.time, one.percentile) for one in self.objectives]
        about: tuple[Any, ...] = (*self.on.about, wanted, first, last)
        if self.beside:
            about = (*about, sorted(self.beside.items()))
        loads = self.asked.loads(amount, many)
        keys = [key_of(about, load) for load in loads]
        absent = [i for i, key in enumerate(keys) if self.kept.get(key) is None]
        steps = any(one.time == "itl_s" for one in self.objectives)
        runs = cast("list[Simulation]", simulate(
            *self.on.where, [loads[i] for i in absent], self.on.scheduler,
            fidelity=self.fidelity, record_steps=steps, **cast("Any", self.beside),
        )) if absent else []  # fmt: skip
        for i, run in zip(absent, runs, strict=True):
            found = {
                "times": reached(run, first, last, self.objectives),
                "state": run.verdict.state,
                "short": run.verdict.short,
                "pace": _pace(run, first, last),
            }
            said = {"plan": self.on.label, **self.knobs, "amount": amount}
            self.kept.put(keys[i], found, {**said, "seed": self.asked.seeds[i]})
        brief = ""
        if not self.asked.closed and last - first < (
            least := self.asked.enough(amount, inside, longest)
        ):
            brief = (
                f"runs count {counted(last - first, 'request')}, {(last - first) / amount:.3g} s of them: "
                f"too few to hold a promise of {longest:g} s with {inside:.3g} in flight; {least} and more do"
            )
        trial = replace(self._trial(amount, [self.kept.rows[key] for key in keys]), brief=brief)
        self.trials.append(trial)
        return trial

    def _trial(self, amount: float, found: Sequence[dict[str, Any]]) -> Trial:
        times: dict[str, float] = {}
        meets = True
        for one in self.objectives:
            values = [float(row["times"][one.name]) for row in found]
            times[one.name] = float(np.mean(values))
            times[one.name + "_low"], times[one.name + "_high"] = min(values), max(values)
            meets &= max(values) <= one.bound
        states = [row["state"] for row in found]
        worst = max(states, key=_STATES.index)
        short = str(found[states.index(worst)].get("short", ""))  # of files that did not say so
        if self.asked.own and min(row["pace"] for row in found) < _KEPT_UP * amount:
            worst = "overloaded"  # turns come later than they were asked for
        if not self.asked.closed:
            meets &= worst == "stable"  # a queue that does not empty keeps no promise for long
        return Trial(
            self.on.label, self.devices, self.knobs, amount, bool(meets), times, worst,
            len(found), short,
        )  # fmt: skip
