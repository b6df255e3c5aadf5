"""Requests through an engine's scheduler, step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, cast

import numpy as np

from tokenroof import _core
from tokenroof.serving.requests.given import as_requests, is_one_load
from tokenroof.serving.requests.record import Requests
from tokenroof.serving.simulation.parts import NEWEST, ROUTERS, packed, run_part
from tokenroof.serving.simulation.pooled import PooledSimulation
from tokenroof.serving.simulation.pools import link_part, pools_of, run_of
from tokenroof.serving.simulation.result import Simulation
from tokenroof.support.arguments import as_seed, check_options, count, shown
from tokenroof.support.processors import usable_processors

if TYPE_CHECKING:
    from tokenroof.records.calibration import Calibration
    from tokenroof.records.device import Device
    from tokenroof.records.model import Model
    from tokenroof.records.plan import Plan
    from tokenroof.serving.simulation.autoscale import Autoscale
    from tokenroof.serving.simulation.host_tier import HostTier
    from tokenroof.serving.simulation.pools import Played
    from tokenroof.serving.simulation.scheduler import Scheduler
    from tokenroof.serving.simulation.step_time import StepTime
    from tokenroof.serving.system.parts import Speculation
    from tokenroof.serving.system.record import System

__all__ = ["NEWEST", "ROUTERS", "Options", "packed", "simulate"]


class Options(TypedDict, total=False):
    """What `simulate` takes beside its first arguments; documented there."""

    step_time: StepTime | Mapping[str, StepTime] | None
    record_steps: bool
    replicas: int
    router: str | Mapping[str, str]
    signal_age_s: float
    horizon_s: float | None
    timeout_s: float | None
    queue_timeout_s: float | None
    progress: Callable[[int, int], Any] | None
    fidelity: str | Calibration
    path: str
    speculation: Speculation | Mapping[str, Any] | None
    autoscale: Autoscale | Mapping[str, Any] | None
    link_sharing: str
    host_tier: HostTier | None


def simulate(
    device: str | Device | System | None,
    model: str | Model | None,
    plan: Plan | None,
    requests: Mapping[str, Any] | Requests | Sequence[Mapping[str, Any] | Requests],
    scheduler: Scheduler | Mapping[str, Scheduler] | None = None,
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
        As in `tokenroof.decode`; None for each with a `step_time` and a scheduler with its memory. In place
        of the device a `System` of one pool or of prompts and answers apart, with plan None: each pool is as
        many replicas as it counts, and a prompt's cache crosses the link, `PooledSimulation`. With
        dp above 1, for a mixture on vLLM, a replica is dp ranks that schedule by themselves and step
        together; its knobs are those of a rank, and ``replica`` of the records counts ranks. With pp above
        1, on vLLM with ``loop="sync"``, as many batches are in flight, each in another stage.
    requests : mapping, DataFrame, Requests, or a list of them
        As in `as_requests`; a list is played side by side, each by itself.
    scheduler : Scheduler or mapping, optional
        The newest preset of the plan's engine by default; of another engine's, steps take the time that they
        do with the plan's. This, `step_time`, `router` and `autoscale` may be
        a mapping from "prefill" and "decode", of a system that has them.
    seed : int
        Of what is drawn while it runs: how many drafts are kept. Loads are drawn when they are made.
    threads : int, optional
        For a list; as many as there are processors by default. The outcome is the same with any number.
    step_time : StepTime or mapping, optional
        A line in place of the step kernels.
    record_steps : bool
        Keep what was decided in each step.
    replicas : int
        Engines behind the router.
    router : {"round_robin", "least_loaded", "prefix_aware"} or mapping
        In turn; the least of 4 for each that waits and 1 for each that runs, as vLLM's data-parallel
        router has it; the same less the prompt's cached tokens.
    signal_age_s : float
        How long what the router knows of the replicas stays the same [s]; 0: it sees them as they are.
        What it sent itself it knows at once.
    timeout_s, queue_timeout_s : float, optional
        How long a client waits for its answer, and to be scheduled, from its arrival on; then it gives up,
        and its blocks are free [s]; of pools that are apart those of both, at vLLM and TensorRT-LLM once a
        cache that is on its way is there.
    horizon_s : float, optional
        Where the run ends, whoever is left [s].
    progress : callable, optional
        Called with requests served and their number, every 100 ms.
    fidelity : {"calibrated", "datasheet"} or Calibration
    path : {"counters", "sequences"}
        Whether steps in which all get what they ask for are played by counters; the outcome is the same.
    speculation : Speculation or mapping, optional
        Who drafts, how many tokens a step and how many of them are kept, by position; without pp. How many
        are kept in a step is a function of the seed, the request and its outputs so far. A system has its
        own.
    autoscale : Autoscale or mapping, optional
        How many replicas there are, by what they report; `replicas` is what a run begins with.
    link_sharing : {"fair", "fifo"}
        How transfers in flight share what a replica can send, and what one can take: alike, what one cannot
        use going to the others, as network cards do; or in the order in which they were asked for.
    host_tier : HostTier, optional
        Memory of the host, where blocks go that were computed and come back from: of vLLM first come first
        served and without pp; of SGLang its HiCache, which knobs turn on as well. Of pools that are apart
        that of prompts has it.

    Returns
    -------
    Simulation, PooledSimulation, or a list of them

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
    >>> from tokenroof import serving
    >>> run = simulate(
    ...     None, None, None, {"arrival": [0.0, 0.0], "input_tokens": 100, "output_tokens": [2, 1]},
    ...     serving.Scheduler.preset("vllm-0.33", num_blocks=100, loop="sync"),
    ...     step_time=serving.StepTime(1_000_000),
    ... )
    >>> run.requests["last_token_ns"].tolist(), str(run.verdict)
    ([2000000, 1000000], 'stable')
    """
    check_options("simulate", options, Options)
    seed = as_seed(seed)
    progress = options.get("progress")
    if progress is not None and not callable(progress):
        raise TypeError(f"progress is {shown(progress)}; allowed: a function or None")
    # what cannot be a list is no load either, which is said of it
    many = not is_one_load(requests) and isinstance(requests, Iterable)
    given: Sequence[Any] = cast("Sequence[Any]", requests) if many else [requests]
    loads = [as_requests(one) for one in given]
    workers = usable_processors() if threads is None else count("threads", threads)
    pools = pools_of(device, model, plan, loads, scheduler, seed, options)
    shared = run_part(options)
    runs = [{**run_of(pools, load), **shared} for load in loads]
    if len(pools) > 1:
        for run, load in zip(runs, loads, strict=True):
            run["link"] = link_part(cast("System", device), pools, load, options)
    outcomes = _core.simulate_requests(runs, workers, progress)
    found = [_found(device, pools, *each) for each in zip(runs, outcomes, strict=True)]
    return found if many else found[0]


def _found(
    device: Any,
    pools: Sequence[Played],
    run: Mapping[str, Any],
    outcome: Mapping[str, Any],
) -> Simulation:
    """The record of a run that was played."""
    each = {
        one.role: Simulation(
            part["records"],
            {**did, "ending": outcome["ending"]},
            one.engine,
            one.config,
            one.limits,
            one.idle_watts if did["metered"] else np.nan,
            part["replicas"],
            one.ranks,
        )
        for one, part, did in zip(pools, run["pools"], outcome["pools"], strict=True)
    }
    return each["both"] if len(pools) == 1 else PooledSimulation(device, each, run["link"])
