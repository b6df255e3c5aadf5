"""The most load of a deployment or a system that a simulation shows to keep a promise, for `capacity`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

from tokenroof.serving.requests.lengths import Lengths
from tokenroof.serving.simulation.parts import NEWEST
from tokenroof.serving.simulation.scheduler import Scheduler
from tokenroof.serving.system.record import System
from tokenroof.serving.tuning.asked import LoadOptions, asked_of
from tokenroof.serving.tuning.kept import Kept
from tokenroof.serving.tuning.missed import missed
from tokenroof.serving.tuning.objectives import objectives_of
from tokenroof.serving.tuning.proof import Candidate
from tokenroof.serving.tuning.search import largest
from tokenroof.serving.tuning.subject import OfPools, OneReplica
from tokenroof.serving.tuning.tune import beside, check_progress
from tokenroof.support.arguments import check_options, share, shown
from tokenroof.support.quoting import counted

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    import xarray as xr

    from tokenroof.records.calibration import Calibration
    from tokenroof.records.deployment import Deployment
    from tokenroof.serving.simulation.host_tier import HostTier
    from tokenroof.serving.slo import SLO
    from tokenroof.serving.system.parts import Speculation
    from tokenroof.serving.tuning.asked import Asked
    from tokenroof.serving.tuning.objectives import Objective
    from tokenroof.serving.tuning.proof import Trial
    from tokenroof.serving.tuning.subject import Subject

__all__ = ["ProofOptions", "Sizes", "candidate", "highest", "proved", "with_proof"]

#: Tokens of prompts and of answers: numbers, or how they are distributed.
Sizes = tuple["float | Lengths", "float | Lengths"]

# Users in closed loop that are played at most.
_MOST_USERS = 2.0**14


class ProofOptions(TypedDict, total=False):
    """How a capacity is proved by simulation, as `tune` takes it."""

    requests: int | None
    seeds: int | Sequence[int]
    scheduler: Scheduler | Mapping[str, Scheduler] | None
    tolerance: float
    progress: Callable[[int, int], Any] | None
    results: str | os.PathLike[str] | None
    speculation: Speculation | Mapping[str, Any] | None
    host_tier: HostTier | None


def proved(
    on: Deployment | System,
    sizes: Sizes,
    slo: SLO,
    guess: float,
    fidelity: str | Calibration,
    options: ProofOptions,
) -> tuple[float, Trial | None, str]:
    """The largest rate, or of a mean in closed loop the most users, at which every run meets every bound.

    With the runs that show it, and where there is none why.
    """
    check_options("capacity", options, ProofOptions)
    closed = slo.percentile is None
    given: LoadOptions = {
        "input_tokens": _whole("input_tokens", sizes[0]),
        "output_tokens": _whole("output_tokens", sizes[1]),
    }
    for name in ("requests", "seeds"):
        if name in options:
            given[name] = options[name]
    asked = asked_of("capacity", given, closed)
    return highest(on, asked, objectives_of(slo), guess, fidelity, options)


def highest(
    on: Deployment | System,
    asked: Asked,
    objectives: Sequence[Objective],
    guess: float,
    fidelity: str | Calibration,
    options: ProofOptions,
) -> tuple[float, Trial | None, str]:
    """The largest amount asked for at which every run meets every objective, those runs, or why none does."""
    closed = asked.closed
    tolerance = share("tolerance", options.get("tolerance", 0.02))
    progress = check_progress(options.get("progress"))
    one = candidate(on, asked, objectives, fidelity, options, Kept(options.get("results")))

    def meets(amount: float) -> bool:
        found = one.play(amount).meets
        if progress is not None:
            progress(0, 1)
        return found

    begin = (min(guess, _MOST_USERS) or 1.0) if closed else one.guess()
    most = _MOST_USERS if closed else float("inf")
    low, _ = largest(meets, begin, tolerance, whole=closed, most=most)
    proof = next((t for t in reversed(one.trials) if t.meets and t.amount == low), None)
    return (
        low,
        proof,
        "" if low else missed(one.trials, objectives, "users" if closed else "requests/s"),
    )


def candidate(
    on: Deployment | System,
    asked: Asked,
    objectives: Sequence[Objective],
    fidelity: str | Calibration,
    options: ProofOptions,
    kept: Kept,
) -> Candidate[Subject]:
    """What is played: a replica, or a system of pools, each under its scheduler."""
    scheduler, more = options.get("scheduler"), beside(options)
    subject: Subject
    if isinstance(on, System):
        if "speculation" in more:
            raise ValueError(
                f"speculation is {shown(options.get('speculation'))} with a System; allowed: None, as it "
                "says itself"
            )
        subject = OfPools(on, scheduler, asked.shape, fidelity, more)
    else:
        chosen = Scheduler.preset(NEWEST[on.plan.engine]) if scheduler is None else scheduler
        if not isinstance(chosen, Scheduler):
            raise TypeError(f"scheduler is {shown(scheduler)}; allowed: a Scheduler, or None")
        subject = OneReplica(on, chosen, asked.shape)
    return Candidate(subject, {}, asked, objectives, kept, [], fidelity, more)


def _whole(name: str, tokens: float | Lengths) -> int | Lengths:
    if isinstance(tokens, Lengths):
        return tokens
    if not float(tokens).is_integer():
        raise ValueError(
            f"{name} is {float(tokens):g}; allowed with prove=True: a whole number, or Lengths"
        )
    return int(tokens)


def with_proof(table: xr.Dataset, trial: Trial | None, reason: str = "") -> xr.Dataset:
    """A table with what the runs gave: ``simulated_ttft_p99_s``, the least and most of the seeds.

    Where none met, `reason` says why.
    """
    if trial is None:
        table.attrs["reason"] = reason or table.attrs.get("reason", "")
        return table
    out = table.assign({f"simulated_{name}": value for name, value in trial.times.items()})
    for name in trial.times:
        out[f"simulated_{name}"].attrs.update(units="s", long_name="of the runs that prove it")
    out.attrs.update(proved=f"by simulation, {counted(trial.seeds, 'seed')}", verdict=trial.state)
    if trial.brief:
        out.attrs["caveat"] = trial.brief
    most = table.attrs.get("saturation_per_s", float("inf"))
    if "rate" in table.coords and float(table.rate) >= most:
        out.attrs["reason"] = (
            f"the closed form bears {most:.4g} requests/s at most, fewer than the runs: it has no times there"
        )
    return out
