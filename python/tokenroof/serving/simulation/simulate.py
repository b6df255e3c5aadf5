"""Requests through an engine's scheduler, step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, cast

import numpy as np

from tokenroof import _core
from tokenroof.inference.door import deployment
from tokenroof.serving.requests.given import LATEST_NS, as_requests
from tokenroof.serving.requests.record import Requests
from tokenroof.serving.simulation.drafting import (
    drafted_config,
    drafted_limits,
    drafting,
    drafting_planes,
    speculation_of,
)
from tokenroof.serving.simulation.ranks import ranks_of, stages_of
from tokenroof.serving.simulation.result import Simulation, collect, outputs_for
from tokenroof.serving.simulation.scheduler import Scheduler
from tokenroof.serving.simulation.step_time import StepTime, step_table
from tokenroof.support.arguments import check_options, count, finite_number, is_integer
from tokenroof.support.processors import usable_processors

if TYPE_CHECKING:
    from tokenroof.records.calibration import Calibration
    from tokenroof.records.deployment import Deployment
    from tokenroof.records.device import Device
    from tokenroof.records.model import Model
    from tokenroof.records.plan import Plan
    from tokenroof.serving.simulation.limits import Limits
    from tokenroof.serving.system.parts import Speculation

__all__ = ["NEWEST", "ROUTERS", "Options", "packed", "simulate"]

ROUTERS = ("round_robin", "least_loaded", "prefix_aware")
#: The newest preset of each engine.
NEWEST = {
    "vllm": "vllm-0.33",
    "ideal": "vllm-0.33",
    "sglang": "sglang-0.5.23",
    "trtllm": "trtllm-1.4",
}
_NEVER_NS = 2**62
_PATHS = {"counters": 0, "sequences": 1}


class Options(TypedDict, total=False):
    """What `simulate` takes beside its first arguments; documented there."""

    step_time: StepTime | None
    record_steps: bool
    replicas: int
    router: str
    signal_age_s: float
    horizon_s: float | None
    timeout_s: float | None
    queue_timeout_s: float | None
    progress: Callable[[int, int], Any] | None
    fidelity: str | Calibration
    path: str
    speculation: Speculation | Mapping[str, Any] | None


def simulate(
    device: str | Device | None,
    model: str | Model | None,
    plan: Plan | None,
    requests: Mapping[str, Any] | Requests | Sequence[Mapping[str, Any] | Requests],
    scheduler: Scheduler | None = None,
    seed: int = 0,
    threads: int | None = None,
    **options: Unpack[Options],
) -> Simulation | list[Simulation]:
    """Play an engine's scheduler over requests, one step after the other.

    Each call of the scheduler decides as the engine's own code does, for the version of the preset: who
    runs, who waits, who is preempted, which blocks of KV memory are taken and which hold a prefix. The
    clock counts whole nanoseconds, so that a run has the same bits everywhere.

    Parameters
    ----------
    device, model, plan : str or record
        As in `tokenroof.decode`; None for each with a `step_time` and a scheduler with its memory. With
        dp above 1, for a mixture on vLLM, a replica is dp ranks that schedule by themselves and step
        together; its knobs are those of a rank, and ``replica`` of the records counts ranks. With pp above
        1, on vLLM with ``loop="sync"``, as many batches are in flight, each in another stage.
    requests : mapping, Requests, or a list of them
        As in `as_requests`; a list is played side by side, each by itself.
    scheduler : Scheduler, optional
        The newest preset of the plan's engine by default.
    seed : int
        Of what is drawn while it runs: how many drafts are kept. Loads are drawn when they are made.
    threads : int, optional
        For a list; as many as there are processors by default. The outcome is the same with any number.
    step_time : StepTime, optional
        A line in place of the step kernels.
    record_steps : bool
        Keep what was decided in each step.
    replicas : int
        Engines behind the router.
    router : {"round_robin", "least_loaded", "prefix_aware"}
        In turn; the least of 4 for each that waits and 1 for each that runs, as vLLM's data-parallel
        router has it; the same less the prompt's cached tokens.
    signal_age_s : float
        How long what the router knows of the replicas stays the same [s]; 0: it sees them as they are.
        What it sent itself it knows at once.
    timeout_s, queue_timeout_s : float, optional
        How long a client waits for its answer, and to be scheduled, from its arrival on; then it gives up,
        and its blocks are free [s]. Not with a plan whose dp is above 1.
    horizon_s : float, optional
        Where the run ends, whoever is left [s].
    progress : callable, optional
        Called with requests served and their number, every 100 ms.
    fidelity : {"calibrated", "datasheet"} or Calibration
    path : {"counters", "sequences"}
        Whether steps in which all get what they ask for are played by counters; the outcome is the same.
    speculation : Speculation or mapping, optional
        Who drafts, how many tokens a step and how many of them are kept, by position; vLLM alone plays it,
        without dp or pp. How many are kept in a step is a function of the seed, the request and its outputs
        so far.

    Returns
    -------
    Simulation, or a list of them

    Raises
    ------
    KeyError, ValueError, TypeError
        For a name, a request, or a knob that is not allowed or not played.
    KeyboardInterrupt
        Within 50 ms of Ctrl-C.

    References
    ----------
    docs/serving/simulation.md

    Examples
    --------
    >>> run = simulate(
    ...     None, None, None, {"arrival": [0.0, 0.0], "input_tokens": 100, "output_tokens": [2, 1]},
    ...     Scheduler.preset("vllm-0.33", num_blocks=100, loop="sync"), step_time=StepTime(1_000_000),
    ... )
    >>> run.requests["last_token_ns"].tolist(), str(run.verdict)
    ([2000000, 1000000], 'stable')
    """
    check_options("simulate", options, Options)
    if not is_integer(seed):
        raise ValueError(f"seed is {seed!r}; allowed: a whole number")
    fidelity = options.get("fidelity", "calibrated")
    progress = options.get("progress")
    if progress is not None and not callable(progress):
        raise TypeError(f"progress is {progress!r}; allowed: a function or None")
    many = not isinstance(requests, (Mapping, Requests))
    given: Sequence[Any] = cast("Sequence[Any]", requests) if many else [requests]
    loads = [as_requests(one) for one in given]
    workers = usable_processors() if threads is None else count("threads", threads)
    step_time = options.get("step_time")
    on = None
    if step_time is None or device is not None:
        on = deployment(device, model, plan, fidelity)  # type: ignore[arg-type]
    engine = scheduler or Scheduler.preset(NEWEST[on.plan.engine if on else "vllm"])
    spec = speculation_of(options.get("speculation"), engine, on)
    config = drafted_config(engine.resolved(on), engine.config, on, spec, fidelity)
    limits = drafted_limits(engine.limits(config), config, spec)
    for load in loads:
        _check_blocks(load, limits)
    shared = _shared(on, engine, config, loads, options)
    shared["clock"] = _clock(on, limits, loads, step_time, spec, fidelity)
    shared["config"].update(drafting(spec, seed))
    shared["tracking"] |= spec is not None
    outputs = [outputs_for(len(load)) for load in loads]
    idle = float(shared["clock"]["idle_watts"])
    runs = [
        {**shared, "requests": packed(load), "results": out}
        for load, out in zip(loads, outputs, strict=True)
    ]
    outcomes = _core.simulate_requests(runs, workers, progress)
    with ThreadPoolExecutor(
        min(workers, max(len(loads), 1))
    ) as pool:  # NumPy's copies hold no lock
        records = list(pool.map(collect, loads, outputs, [bool(o["metered"]) for o in outcomes]))
    found = [
        Simulation(
            record,
            outcome,
            engine,
            config,
            limits,
            idle if outcome["metered"] else np.nan,
            shared["replicas"] * shared["config"]["ranks"],
        )
        for record, outcome in zip(records, outcomes, strict=True)
    ]
    return found if many else found[0]


def _shared(
    on: Deployment | None,
    engine: Scheduler,
    config: Mapping[str, Any],
    loads: Sequence[Requests],
    options: Options,
) -> dict[str, Any]:
    """What all runs have in common, as the compiled simulator takes it."""
    router = options.get("router", "round_robin")
    if router not in ROUTERS:
        raise ValueError(f"router is {router!r}; allowed: {', '.join(ROUTERS)}")
    path = options.get("path", "counters")
    if path not in _PATHS:
        raise ValueError(f"path is {path!r}; allowed: {', '.join(_PATHS)}")
    horizon = options.get("horizon_s")
    if router == "prefix_aware" and options.get("signal_age_s"):
        raise ValueError(
            f"signal_age_s is {options['signal_age_s']!r}: what caches hold is read as it is; allowed "
            "with router='prefix_aware': 0"
        )
    age = finite_number("signal_age_s", options.get("signal_age_s", 0.0))
    record = bool(options.get("record_steps", False))
    return {
        "config": {
            **engine.compiled(config),
            "path": _PATHS[path],
            "ranks": ranks_of(on, engine),
            "stages": stages_of(on, engine),
        },
        "replicas": count("replicas", options.get("replicas", 1)),
        "route": ROUTERS.index(router),
        "signal_age_ns": round(1e9 * age),
        "horizon_ns": _NEVER_NS
        if horizon is None
        else min(_NEVER_NS, round(1e9 * finite_number("horizon_s", horizon, above=True))),
        "timeout_ns": _patience("timeout_s", options.get("timeout_s"), engine),
        "queue_timeout_ns": _patience("queue_timeout_s", options.get("queue_timeout_s"), engine),
        "rows": record,
        "entries": record,
        "tracking": router == "prefix_aware",
    }


def _patience(name: str, seconds: float | None, engine: Scheduler) -> int:
    """Nanoseconds that a client waits."""
    if seconds is None:
        return 2**63 - 1
    if not engine.name.startswith("vllm"):
        raise ValueError(f"{name} is {seconds!r}, which {engine.name} does not play; allowed: None")
    return min(LATEST_NS, round(1e9 * finite_number(name, seconds, above=True)))


def _clock(
    on: Deployment | None,
    limits: Limits,
    loads: Sequence[Requests],
    step_time: StepTime | None,
    spec: Speculation | None,
    fidelity: str | Calibration,
) -> dict[str, Any]:
    if step_time is not None:
        if not isinstance(step_time, StepTime):
            raise TypeError(f"step_time is {step_time!r}; allowed: a StepTime, or None")
        return step_time.clock()
    assert on is not None
    longest = max(
        (int((r.input_tokens + r.output_tokens).max(initial=1)) for r in loads), default=1
    )
    table = step_table(on, limits, float(longest))
    if spec is None:
        return table.clock(limits)
    planes = drafting_planes(on, spec, table.axes[5], table.axes[1], fidelity)
    return {**table.clock(limits), **planes}


def _check_blocks(load: Requests, limits: Limits) -> None:
    size = limits.block_tokens
    if load.hash_block % size:
        raise ValueError(
            f"hash_block is {load.hash_block}; allowed: a multiple of the scheduler's block_size ({size})"
        )


def packed(load: Requests) -> dict[str, Any]:
    """Requests as the compiled simulator takes them; what no request has is left out."""

    def some(array: Any, absent: int) -> Any:
        return array if bool((array != absent).any()) else None

    after = some(load.after, -1)
    packed: dict[str, Any] = {
        "arrival_ns": load.arrival_ns,
        "input_tokens": load.input_tokens,
        "output_tokens": load.output_tokens,
        "declared_tokens": None
        if np.array_equal(load.declared_tokens, load.output_tokens)
        else load.declared_tokens,
        "priority": some(load.priority, 0),
        "after": after,
        "think_ns": None if after is None else load.think_ns,
    }
    if len(load.also_after):
        packed.update(also_after=load.also_after, also_offset=load.also_after_offsets)
    if len(load.prompt_offsets):
        packed.update(
            content_offset=load.prompt_offsets,
            runs=load.prompt.reshape(-1),
            output_id=load.output_id,
        )
    elif load.hash_block:
        packed.update(
            content_offset=load.hash_offsets,
            block_hashes=load.block_hashes,
            hash_block=load.hash_block,
        )
    return packed
