"""What a run is made of, as the compiled simulator takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.inference.captured import captured_for
from tokenroof.serving.requests.given import LATEST_NS
from tokenroof.serving.simulation.autoscale import scaling_of
from tokenroof.serving.simulation.drafting import drafting, drafting_planes
from tokenroof.serving.simulation.ranks import ranks_of, stages_of
from tokenroof.serving.simulation.step_time import StepTime, step_table
from tokenroof.support.arguments import finite_number, shown
from tokenroof.support.names import among

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tokenroof.records.deployment import Deployment
    from tokenroof.serving.requests.record import Requests
    from tokenroof.serving.simulation.limits import Limits
    from tokenroof.serving.simulation.scheduler import Scheduler
    from tokenroof.serving.system.parts import Speculation

__all__ = ["NEWEST", "ROLES", "ROUTERS", "check_blocks", "packed", "pool_part", "run_part"]

#: The newest preset of each engine.
NEWEST = {
    "vllm": "vllm-0.33",
    "ideal": "vllm-0.33",
    "sglang": "sglang-0.5.23",
    "trtllm": "trtllm-1.4",
}
ROUTERS = ("round_robin", "least_loaded", "prefix_aware")
#: What a pool does for a request, by the number that the compiled simulator knows it by.
ROLES = ("both", "prefill", "decode")
_NEVER_NS = 2**62
_PATHS = {"counters": 0, "sequences": 1}


def pool_part(
    on: Deployment | None,
    engine: Scheduler,
    config: Mapping[str, Any],
    limits: Limits,
    loads: Sequence[Requests],
    replicas: int,
    options: Mapping[str, Any],
    role: str,
    spec: Speculation | None,
    seed: int,
) -> dict[str, Any]:
    """What all runs have in common of a pool."""
    router, path = options.get("router", "round_robin"), options.get("path", "counters")
    if not among(router, ROUTERS):
        raise ValueError(f"router is {shown(router)}; allowed: {', '.join(ROUTERS)}")
    if not among(path, _PATHS):
        raise ValueError(f"path is {shown(path)}; allowed: {', '.join(_PATHS)}")
    if router == "prefix_aware" and options.get("signal_age_s"):
        raise ValueError(
            f"signal_age_s is {shown(options['signal_age_s'])}: what caches hold is read as it is; allowed "
            "with router='prefix_aware': 0"
        )
    record = bool(options.get("record_steps", False))
    if on is not None and "max_model_len" in config:
        on = captured_for(on, config)
    return {
        "config": {
            **engine.compiled(config),
            "path": _PATHS[path],
            "ranks": ranks_of(on, engine),
            "stages": stages_of(on, engine),
            **drafting(spec, seed, engine),
        },
        "clock": _clock(on, limits, loads, options, spec),
        "replicas": replicas,
        "route": ROUTERS.index(router),
        "role": ROLES.index(role),
        "scaling": scaling_of(options.get("autoscale"), replicas),
        "rows": record,
        "entries": record,
        "tracking": router == "prefix_aware" or spec is not None,
    }


def run_part(options: Mapping[str, Any]) -> dict[str, Any]:
    """What all runs have in common beside their pools."""
    horizon = options.get("horizon_s")
    age = finite_number("signal_age_s", options.get("signal_age_s", 0.0))
    return {
        "signal_age_ns": round(1e9 * age),
        "horizon_ns": _NEVER_NS
        if horizon is None
        else min(_NEVER_NS, round(1e9 * finite_number("horizon_s", horizon, above=True))),
        **{f"{name}_ns": _patience(f"{name}_s", options) for name in ("timeout", "queue_timeout")},
    }


def _patience(name: str, options: Mapping[str, Any]) -> int:
    """Nanoseconds that a client waits."""
    seconds = options.get(name)
    if seconds is None:
        return 2**63 - 1
    return min(LATEST_NS, round(1e9 * finite_number(name, seconds, above=True)))


def _clock(
    on: Deployment | None,
    limits: Limits,
    loads: Sequence[Requests],
    options: Mapping[str, Any],
    spec: Speculation | None,
) -> dict[str, Any]:
    step_time = options.get("step_time")
    if step_time is not None:
        if not isinstance(step_time, StepTime):
            raise TypeError(f"step_time is {shown(step_time)}; allowed: a StepTime, or None")
        return step_time.clock()
    assert on is not None
    longest = max(
        (int((r.input_tokens + r.output_tokens).max(initial=1)) for r in loads), default=1
    )
    table = step_table(on, limits, float(longest))
    if spec is None:
        return table.clock(limits)
    fidelity = options.get("fidelity", "calibrated")
    planes = drafting_planes(on, spec, table.axes[5], table.axes[1], fidelity)
    return {**table.clock(limits), **planes}


def check_blocks(load: Requests, limits: Limits) -> None:
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
