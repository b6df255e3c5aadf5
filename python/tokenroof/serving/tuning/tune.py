"""The highest rate that keeps a promise, and the scheduler's knobs and the plan that reach it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from tokenroof.inference.door import deployments
from tokenroof.records.plan import Plan
from tokenroof.serving.simulation.knobs import knobs_of
from tokenroof.serving.simulation.parts import NEWEST
from tokenroof.serving.simulation.scheduler import Scheduler
from tokenroof.serving.system.parts import as_speculation
from tokenroof.serving.tuning.asked import LoadOptions, asked_of
from tokenroof.serving.tuning.kept import Kept
from tokenroof.serving.tuning.missed import missed
from tokenroof.serving.tuning.objectives import objectives_of
from tokenroof.serving.tuning.proof import Candidate
from tokenroof.serving.tuning.search import largest
from tokenroof.serving.tuning.subject import OneReplica
from tokenroof.support.arguments import check_options, share, shown
from tokenroof.support.equality import by_value

if TYPE_CHECKING:
    import os

    from tokenroof.records.calibration import Calibration
    from tokenroof.records.deployment import Deployment
    from tokenroof.records.device import Device
    from tokenroof.records.model import Model
    from tokenroof.serving.simulation.host_tier import HostTier
    from tokenroof.serving.slo import SLO
    from tokenroof.serving.system.parts import Speculation
    from tokenroof.serving.tuning.proof import Trial

    _Candidate = Candidate[OneReplica]

__all__ = ["GRID", "Tuning", "TuningOptions", "beside", "check_progress", "tune"]

#: Values of knobs that are tried where none are given, by engine, as far as a preset has them. SGLang:
#: tokens of a chunk, requests that run, whether answers go on beside prompts, outputs that are counted on
#: at admission. TensorRT-LLM: tokens of a step, requests that run, whether prompts are cut, whether whole
#: answers are set aside.
GRID: Mapping[str, Mapping[str, tuple[Any, ...]]] = {
    "vllm": {
        "max_num_batched_tokens": (2048, 8192, 16384),
        "max_num_seqs": (64, 256, 1024),
        "long_prefill_token_threshold": (0, 1024),
    },
    "sglang": {
        "chunked_prefill_size": (2048, 8192, 16384),
        "max_running_requests": (64, 256, 1024),
        "enable_mixed_chunk": (False, True),
        "schedule_conservativeness": (0.3, 1.0),
    },
    "trtllm": {
        "max_num_tokens": (2048, 8192, 16384),
        "max_batch_size": (64, 256, 1024),
        "enable_chunked_prefill": (False, True),
        "capacity_scheduler_policy": ("GUARANTEED_NO_EVICT", "MAX_UTILIZATION"),
    },
}
_MOST_CANDIDATES = 10_000


class TuningOptions(LoadOptions, total=False):
    """What `tune` takes beside its first arguments; documented there."""

    knobs: Mapping[str, Sequence[Any]] | None
    scheduler: Scheduler | None
    fidelity: str | Calibration
    tolerance: float
    progress: Callable[[int, int], Any] | None
    results: str | os.PathLike[str] | None
    speculation: Speculation | Mapping[str, Any] | None
    host_tier: HostTier | None


@by_value
@dataclass(frozen=True)
class Tuning:
    """What a search found.

    Attributes
    ----------
    rate : float
        Highest rate at which every run met every bound [1/s]; 0 where none did.
    refused : float
        The least rate above it at which the same plan and knobs did not [1/s].
    expected : float
        The rate that the closed form gives for them [1/s].
    plan : Plan
        Whose replica it is; the first where nothing meets.
    scheduler : Scheduler
        With the knobs that reach it.
    knobs : dict
        Those that were tried.
    proof : Trial or None
        The runs at `rate`.
    trials : list of Trial
        All loads that were played, in order.
    played : int
        Runs that were simulated now; others were in the file of `results` [1].
    reason : str
        Where no rate met: which bounds were missed, the nearest that was reached, and with which plan and
        knobs; else empty. Where the closed form tells that none can, that of them is played which it says
        comes nearest.
    """

    rate: float
    refused: float
    expected: float
    plan: Plan
    scheduler: Scheduler
    knobs: dict[str, Any]
    proof: Trial | None
    trials: list[Trial]
    played: int
    reason: str = ""

    @property
    def per_device(self) -> float:
        """Requests per second and device [1/s]."""
        return self.rate / self.plan.devices

    def rows(self) -> list[dict[str, Any]]:
        """All trials as rows of a table."""
        return [trial.row() for trial in self.trials]

    def __repr__(self) -> str:
        knobs = "".join(f", {name}={value}" for name, value in self.knobs.items())
        return f"<Tuning: {self.rate:.4g} requests/s with {self.plan.label()}{knobs}>"


def tune(
    device: str | Device,
    model: str | Model,
    plan: Plan | Sequence[Plan] | None,
    slo: SLO | Sequence[SLO],
    **options: Unpack[TuningOptions],
) -> Tuning:
    """The highest rate of arrivals that meets an objective, and the plan and knobs that reach it.

    Each plan with each combination of knobs is a candidate. The closed form puts them in order and says where
    to begin; what counts is simulated, over several seeds, all of which have to meet every bound while the
    queue empties again and again. A candidate is searched only if it meets more than the best so far; loads
    of a seed are the same at every rate but for the pace, so that candidates see the same requests.

    Parameters
    ----------
    device, model : str or record
        As in `curve`.
    plan : Plan, or a list of them, or None
        Those to choose from, by requests per second and device.
    slo : SLO, or a list of them
        Bounds on TTFT, TPOT, ITL and E2E, each list entry at a percentile of its own; a mean without.
    input_tokens, output_tokens : int or Lengths
        Of each request [1]; 1,024 by default.
    lengths : Requests
        Instead of both: a trace whose pairs of input and output are drawn.
    burstiness : float
        Of the gaps between arrivals, as in `gamma`; 1: Poisson.
    load : callable
        Instead of all these: ``load(rate, requests, seed)`` gives `Requests` of that rate [1/s], as many and
        more; where turns wait for others, four in five have to come as fast.
    requests : int
        How many count in each run [1]; by default 2,000, and at least those of four times the longest bound,
        and four times those in flight. As many more come before them as it takes to fill the replica, and
        others after them keep it full.
    seeds : int or sequence of int
        How many runs, of the seeds 0, 1, ..., or which; 3 by default.
    knobs : mapping of str to sequence
        Values to try, by the engine's own names; those of the scheduler's engine by default;
        an empty one tries the scheduler as it is.
    scheduler : Scheduler
        Which the knobs change; the newest preset of each plan's engine by default.
    fidelity : {"calibrated", "datasheet"} or Calibration
    tolerance : float
        Relative width of what is left between a rate that meets and one that does not, at most 1; 0.02 by
        default.
    progress : callable
        Called with candidates done and their number after each load that was played.
    results : path
        A file where each run is kept as it ends, so that a search that was stopped goes on where it was, by
        Ctrl-C too. Runs are found by all that they depend on: the file may serve other searches as well.
    speculation, host_tier
        Drafts, and memory of the host, as in `simulate`; the closed form that says where to begin knows of
        neither.

    Returns
    -------
    Tuning

    Raises
    ------
    KeyError, ValueError, TypeError
        For a name, an argument, a knob or an objective that is not allowed.
    KeyboardInterrupt
        Within 50 ms of Ctrl-C.

    Examples
    --------
    >>> from tokenroof.serving.slo import SLO
    >>> best = tune(
    ...     "H200-SXM", "Llama-3.1-8B", None, SLO(tpot_s=0.02, percentile=99), output_tokens=100,
    ...     knobs={"max_num_batched_tokens": [1024, 8192]}, requests=200, seeds=2,
    ... )
    >>> best.rate < best.refused, best.proof.meets, best.knobs["max_num_batched_tokens"]
    (True, True, 1024)
    """
    check_options("tune", options, TuningOptions)
    objectives = objectives_of(slo)
    given = {name: options[name] for name in LoadOptions.__annotations__ if name in options}  # type: ignore[literal-required]
    asked = asked_of("tune", given)  # type: ignore[arg-type]
    tolerance = share("tolerance", options.get("tolerance", 0.02))
    progress = check_progress(options.get("progress"))
    fidelity = options.get("fidelity", "calibrated")
    on = deployments(device, model, _plans(plan), fidelity)
    kept, trials = Kept(options.get("results")), list["Trial"]()
    candidates = [
        Candidate(
            OneReplica(one, scheduler, asked.shape),
            knobs,
            asked,
            objectives,
            kept,
            trials,
            fidelity,
            beside(options),
        )
        for one in on
        for scheduler, knobs in _schedulers(options.get("scheduler"), options.get("knobs"), one)
    ]
    best, low, high = _best(candidates, tolerance, progress)
    proof = next((t for t in reversed(trials) if t.meets and _is(t, best, low)), None)
    return Tuning(
        low, high, best.guess(), best.on.on.plan, best.on.scheduler,
        best.knobs, proof, trials, kept.played, "" if low else missed(trials, objectives),
    )  # fmt: skip


def _is(trial: Trial, of: _Candidate, amount: float) -> bool:
    same = trial.plan == of.on.label and trial.knobs == of.knobs
    return same and trial.amount == amount


def _best(
    candidates: list[_Candidate], tolerance: float, progress: Callable[[int, int], Any] | None
) -> tuple[_Candidate, float, float]:
    """The candidate of the highest rate a device, its rate, and the least that it does not meet."""
    order = sorted(candidates, key=lambda one: -one.guess() / one.devices)
    best, low, high = order[0], 0.0, np.inf
    if all(one.hopeless for one in candidates):
        best = min(order, key=lambda one: one.furthest)
        amount = best.guess()
        if not best.play(amount).meets:  # one run by seed shows it
            return best, 0.0, amount
    for done, one in enumerate(order):

        def meets(rate: float, one: _Candidate = one, done: int = done) -> bool:
            found = one.play(rate).meets
            if progress is not None:
                progress(done, len(order))
            return found

        if not low:
            found = largest(meets, one.guess(), tolerance)
            best, low, high = one, *found
            continue
        least = low / best.devices * one.devices * (1.0 + tolerance)
        if meets(least):
            low, high = largest(meets, one.guess(), tolerance, known=least)
            best = one
    if progress is not None:
        progress(len(order), len(order))
    return best, low, high


def _plans(plan: Plan | Sequence[Plan] | None) -> list[Plan | None]:
    if plan is None or isinstance(plan, Plan):
        return [plan]
    if not isinstance(plan, Sequence) or not plan or not all(isinstance(p, Plan) for p in plan):
        raise TypeError(f"plan is {shown(plan)}; allowed: a Plan, a list of them, or None")
    return list(plan)


def _schedulers(
    base: Scheduler | None, knobs: Mapping[str, Sequence[Any]] | None, on: Deployment
) -> list[tuple[Scheduler, dict[str, Any]]]:
    """Every combination of the knobs, on top of a scheduler."""
    base = Scheduler.preset(NEWEST[on.plan.engine]) if base is None else base
    if not isinstance(base, Scheduler):
        raise TypeError(f"scheduler is {shown(base)}; allowed: a Scheduler, or None")
    known = knobs_of(base.name)
    own = {name: value for name, value in base.config.items() if value != known[name].default}
    if knobs is None:
        grid = GRID[base.name.partition("-")[0]]
        knobs = {name: values for name, values in grid.items() if name in known and name not in own}
    if not isinstance(knobs, Mapping):
        raise TypeError(f"knobs is {shown(knobs)}; allowed: a mapping of a knob's name to values")
    for name, values in knobs.items():
        if isinstance(values, str) or not isinstance(values, Sequence) or not len(values):
            raise TypeError(f"knobs[{shown(name)}] is {shown(values)}; allowed: a list of values")
    count = int(np.prod([len(values) for values in knobs.values()], dtype=float))
    if count > _MOST_CANDIDATES:
        raise ValueError(f"knobs have {count} combinations; allowed: at most {_MOST_CANDIDATES}")
    found = []
    for values in product(*knobs.values()):
        chosen = dict(zip(knobs, values, strict=True))
        found.append((Scheduler.preset(base.name, **{**own, **chosen}), chosen))
    return found


def beside(options: Mapping[str, Any]) -> dict[str, Any]:
    """What runs are played with beside a plan and a scheduler, of what was given."""
    given = {
        "speculation": as_speculation(options.get("speculation")),
        "host_tier": options.get("host_tier"),
    }
    return {name: value for name, value in given.items() if value is not None}


def check_progress(progress: object) -> Callable[[int, int], Any] | None:
    if progress is not None and not callable(progress):
        raise TypeError(f"progress is {shown(progress)}; allowed: a function or None")
    return progress
