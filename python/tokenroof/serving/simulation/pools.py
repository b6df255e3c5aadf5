"""Pools that a question names, resolved: of a device and a plan one, of a system one or two with a link."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.inference.door import deployment
from tokenroof.serving.simulation.drafting import (
    drafted_config,
    drafted_defaults,
    drafted_limits,
    speculation_of,
)
from tokenroof.serving.simulation.engines import engine_of
from tokenroof.serving.simulation.hicache import host_rules
from tokenroof.serving.simulation.parts import NEWEST, check_blocks, packed, pool_part
from tokenroof.serving.simulation.result import rows_for
from tokenroof.serving.simulation.scheduler import Scheduler
from tokenroof.serving.simulation.sglang import of_role
from tokenroof.serving.system.parts import MOST_REPLICAS
from tokenroof.serving.system.record import System
from tokenroof.support.arguments import shown, whole_number
from tokenroof.support.names import among

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenroof.records.deployment import Deployment
    from tokenroof.serving.requests.record import Requests
    from tokenroof.serving.simulation.limits import Limits
    from tokenroof.serving.system.parts import Pool

__all__ = ["SHARING", "Played", "link_part", "pools_of", "run_of"]

#: How transfers that are in flight share the link.
SHARING = ("fair", "fifo")
_APART = ("prefill", "decode")
_BY_POOL = ("scheduler", "step_time", "router", "autoscale")
#: Engines whose hand-over of prompts' caches is played.
_HANDS_OVER = ("vllm", "sglang", "trtllm")
_CAPS = ("max_num_queued_reqs", "max_num_queued_tokens")


@dataclass(frozen=True)
class Played:
    """A pool as it is played: what it does, where, by which scheduler, and what the compiled code takes."""

    role: str
    on: Deployment | None
    engine: Scheduler
    config: dict[str, Any]
    limits: Limits
    part: dict[str, Any]

    @property
    def idle_watts(self) -> float:
        """Of a replica in which nothing runs [W]."""
        return float(self.part["clock"]["idle_watts"])

    @property
    def ranks(self) -> int:
        """Of each replica."""
        return int(self.part["config"]["ranks"])


def pools_of(
    device: Any,
    model: Any,
    plan: Any,
    loads: Sequence[Requests],
    scheduler: Any,
    seed: int,
    options: Mapping[str, Any],
) -> list[Played]:
    """Pools in the order of a request's way, all names resolved.

    Raises
    ------
    KeyError, ValueError, TypeError
        As `simulate`.
    """
    fidelity = options.get("fidelity", "calibrated")
    if not isinstance(device, System):
        _refuse_of_systems(scheduler, options)
        on = None
        if options.get("step_time") is None or device is not None:
            on = deployment(device, model, plan, fidelity)
        replicas = whole_number("replicas", options.get("replicas", 1), 1, MOST_REPLICAS)
        return [_played("both", on, scheduler, loads, replicas, seed, options)]
    _check_system(device, plan, options)
    where = device.deployments(model, fidelity)
    found = []
    for role, pool in device.pools.items():
        own = {name: _of_role(name, given, role, device) for name, given in options.items()}
        own = {name: given for name, given in own.items() if given is not None}
        if role != "prefill":
            own["speculation"] = device.speculation
        if role == "decode":
            own.pop("host_tier", None)  # it is of those that compute prompts
        engine = _told(role, pool, where[role], _of_role("scheduler", scheduler, role, device))
        found.append(_played(role, where[role], engine, loads, pool.count, seed, own))
    if len(found) > 1:
        _check_apart(found)
    return found


def _told(role: str, pool: Pool, on: Deployment, given: Any) -> Any:
    """A pool's scheduler: what was given, else the newest with the numbers that the pool says."""
    told = {name: getattr(pool, name) for name in ("sequences", "step_tokens")}
    told = {name: value for name, value in told.items() if value is not None}
    if not told:
        return given
    if given is not None:
        name, value = next(iter(told.items()))
        raise ValueError(
            f"{name} is {value} of the pool {role}, and it has a scheduler; allowed: one of them"
        )
    most = told.get("sequences")
    return Scheduler(
        told.get("step_tokens"),
        None if most is None else max(1, most // on.plan.dp),
        engine=NEWEST[on.plan.engine],
    )


def _played(
    role: str,
    on: Deployment | None,
    scheduler: Scheduler | None,
    loads: Sequence[Requests],
    replicas: int,
    seed: int,
    options: Mapping[str, Any],
) -> Played:
    if not isinstance(scheduler, (Scheduler, type(None))):
        raise TypeError(f"scheduler is {shown(scheduler)}; allowed: a Scheduler, or None")
    engine = scheduler or Scheduler.preset(NEWEST[on.plan.engine if on else "vllm"])
    spec = speculation_of(options.get("speculation"), engine, on)
    fidelity = options.get("fidelity", "calibrated")
    config = drafted_config(
        engine.resolved(on, drafted_defaults(engine, spec)), engine.config, on, spec, fidelity
    )
    if engine.name.startswith("sglang-"):
        of_role(config, engine.given, role)
    limits = drafted_limits(engine.limits(config), config, spec, engine)
    for load in loads:
        check_blocks(load, limits)
    part = pool_part(on, engine, config, limits, loads, replicas, options, role, spec, seed)
    tier = options.get("host_tier")
    rules = host_rules(tier, engine, config, on, role, spec, fidelity)
    part["config"].update(rules)
    part.update(rules, tracking=part["tracking"] or rules["host_blocks"] > 0)
    return Played(role, on, engine, config, limits, part)


def _of_role(name: str, given: Any, role: str, system: System) -> Any:
    """What a pool gets: its own of a mapping by pools, else what all get."""
    if name not in _BY_POOL or not isinstance(given, Mapping):
        return given
    if name == "autoscale" and not set(given) & set(_APART):
        return given
    wrong = sorted(set(given) - set(system.pools), key=str)
    if wrong:
        raise ValueError(f"{name} has {shown(wrong[0])}; allowed: {' and '.join(system.pools)}")
    return given.get(role)


# --- what is refused by name ------------------------------------------------------------------------------


def _refuse_of_systems(scheduler: Any, options: Mapping[str, Any]) -> None:
    for name, given in {**options, "scheduler": scheduler}.items():
        by_pools = isinstance(given, Mapping) and set(given) & set(_APART)
        if by_pools or (name == "link_sharing" and not among(given, SHARING[:1])):
            raise ValueError(
                f"{name} is {shown(given)} of a device and a plan; allowed with a System of prefill and "
                "decode"
            )


def _check_system(system: System, plan: Any, options: Mapping[str, Any]) -> None:
    if plan is not None:
        raise ValueError(
            f"plan is {shown(plan)} with a System; allowed: None, as its pools have plans"
        )
    if "replicas" in options:
        raise ValueError(
            f"replicas is {shown(options['replicas'])} with a System; allowed: the counts of its pools"
        )
    wrong = [role for role in system.pools if role not in ("both", *_APART)]
    if wrong:
        raise ValueError(
            f"pools are {' and '.join(system.pools)}, of which {wrong[0]} is not played; allowed: both, or "
            "prefill and decode"
        )
    for role, pool in system.pools.items():
        if pool.dataflow:
            raise ValueError(
                f"{role} is {pool.where.name}, a {pool.where.kind}, whose steps are not played; allowed: a "
                "device with a scheduler"
            )
    if options.get("speculation") is not None:
        raise ValueError(
            f"speculation is {shown(options['speculation'])} with a System; allowed: None, as it says itself"
        )
    sharing = options.get("link_sharing", SHARING[0])
    if sharing not in SHARING:
        raise ValueError(f"link_sharing is {shown(sharing)}; allowed: {', '.join(SHARING)}")
    if not system.disaggregated and sharing != SHARING[0]:
        raise ValueError(
            f"link_sharing is {shown(sharing)} of a pool for both, without a link; allowed: 'fair'"
        )


def _check_apart(pools: Sequence[Played]) -> None:
    """Reject what prompts apart from answers are not played with."""
    engines = [pool.engine.name.partition("-")[0] for pool in pools]
    for pool, engine in zip(pools, engines, strict=True):
        if engine not in _HANDS_OVER:
            raise ValueError(
                f"scheduler of {pool.role} is {pool.engine.name}, whose pools of prefill and decode are not "
                "played; allowed: vllm-0.33, vllm-0.19, sglang-0.5.23, trtllm-1.4"
            )
    first, second = pools
    if len(set(engines)) > 1:
        raise ValueError(
            f"schedulers are {first.engine.name} of prefill and {second.engine.name} of decode; allowed: of "
            "one engine, as a cache is handed on in its own way"
        )
    sizes = [pool.limits.block_tokens for pool in pools]
    if sizes[0] != sizes[1]:
        raise ValueError(
            f"{engine_of(first.engine.name).block} is {sizes[0]} of prefill and {sizes[1]} of decode; "
            "allowed: one size, as blocks are sent as they are"
        )
    for name in _CAPS:
        if name in second.engine.given:
            raise ValueError(
                f"{name} is given of decode, where prompts are computed already; allowed: of prefill"
            )


# --- one run ----------------------------------------------------------------------------------------------


def run_of(pools: Sequence[Played], load: Requests) -> dict[str, Any]:
    """What the compiled simulator takes of pools and a load, with room for what it writes."""
    requests = packed(load)
    parts = []
    for pool in pools:
        own = requests
        if pool.role == "prefill":  # the one token that it samples is not the client's
            own = {
                **requests,
                "output_tokens": np.ones_like(load.output_tokens),
                "declared_tokens": None,
            }
        parts.append({**pool.part, "requests": own, **rows_for(len(load))})
    return {"pools": parts}


def link_part(
    system: System, pools: Sequence[Played], load: Requests, options: Mapping[str, Any]
) -> dict[str, Any]:
    """The link between two pools: what a replica's devices have together, and what prompts' caches hold."""
    first, second = (pool.on for pool in pools)
    assert first is not None
    assert second is not None
    each = system.link_bandwidth.mid * 1e-9
    n = len(load)
    cache = first.model.kv_bytes(load.input_tokens, first.plan.kv_cache)
    return {
        "near": each * first.plan.devices,
        "far": each * second.plan.devices,
        "senders": _most(pools[0].part),
        "receivers": _most(pools[1].part),
        "hop_ns": round(1e9 * system.hop_s.mid),
        "sharing": SHARING.index(options.get("link_sharing", SHARING[0])),
        "together": pools[0].engine.name.startswith("sglang-"),
        "cache_bytes": np.ascontiguousarray(np.broadcast_to(cache, (n,)), np.float64),
        "reserved_ns": np.empty(n, np.int64),
        "sending_ns": np.empty(n, np.int64),
        "received_ns": np.empty(n, np.int64),
        "sent_tokens": np.empty(n, np.int64),
        "sent_bytes": np.empty(n, np.float64),
    }


def _most(part: Mapping[str, Any]) -> int:
    """Replicas that a pool may have."""
    scaling = part["scaling"]
    return int(part["replicas"] if scaling is None else scaling["most"])
