"""What pools may stand together, and what drafts need: refused by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokenroof.inference.dataflow import check_kind
from tokenroof.inference.door import as_model, check_links, check_plan, check_units
from tokenroof.inference.estimates import Range, parameter
from tokenroof.inference.power_cap import check_power_cap
from tokenroof.records.device import link_domain
from tokenroof.support.arguments import shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tokenroof.records.model import Model
    from tokenroof.records.plan import Plan
    from tokenroof.serving.system.parts import Pool, Speculation

__all__ = ["check_method", "check_model", "check_pools", "default_bandwidth"]

_WHOLES = ({"both"}, {"prefill", "decode"}, {"attention", "experts"})
_OWN = ("mtp", "eagle", "ngram")


def check_pools(pools: Mapping[str, Pool], speculation: Speculation | None) -> None:
    """Reject pools that make no whole, that cannot run their types, or cannot read each other's cache."""
    if set(pools) - {"draft"} not in _WHOLES:
        said = " and ".join(pools) or "none"
        raise ValueError(
            f"pools are {said}; allowed: both, or prefill and decode, or attention and experts, and with any "
            "of them draft"
        )
    for role, pool in pools.items():
        _check_pool(role, pool)
    first, second = pools.get("prefill"), pools.get("decode")
    if first and second:
        a, b = first.layout, second.layout
        if None not in (first.plan, second.plan):
            _check_caches(a, b)
        if not second.dataflow and a.engine != b.engine:
            raise ValueError(
                f"engine is {a.engine} of prefill and {b.engine} of decode; allowed: one engine, whose cache "
                "has one layout"
            )
    apart = "draft" in pools
    if apart and (speculation is None or speculation.method in _OWN):
        said = "None" if speculation is None else f"by {shown(speculation.method)}"
        raise ValueError(
            f"speculation is {said} with a pool draft; allowed: a Speculation whose method is the model that "
            "it runs"
        )


def _check_caches(first: Plan, second: Plan) -> None:
    if first.kv_cache != second.kv_cache:
        raise ValueError(
            f"kv_cache is {first.kv_cache} of prefill and {second.kv_cache} of decode; allowed: one type, as "
            "the cache is sent as it is"
        )


def _check_pool(role: str, pool: Pool) -> None:
    for name, roles in (("sequences", ("both", "decode")), ("step_tokens", ("prefill",))):
        value = getattr(pool, name)
        if value is not None and (role not in roles or pool.dataflow):
            raise ValueError(
                f"{name} is {value} of the pool {role}; allowed: None, but for {' and '.join(roles)} of "
                "devices that are no dataflow chips"
            )
    if pool.dataflow:
        check_kind(role, pool.where)
        if role in ("prefill", "attention", "both"):
            raise ValueError(
                f"{role} is {pool.where.name}, a {pool.where.kind}; allowed: a device of another kind"
            )
        return
    if role in ("experts", "draft"):
        check_kind(role, pool.where)
    try:
        check_links(pool.where, pool.layout)
        check_units(pool.where, pool.layout)
        check_power_cap(pool.where, pool.layout.power_cap_w)
    except ValueError as error:
        raise ValueError(f"{role}: {error}") from None


def check_model(model: Model, pools: Mapping[str, Pool], speculation: Speculation | None) -> None:
    """Reject a model that a plan does not divide, that pools split unlike, or that cannot be drafted for."""
    for role, pool in pools.items():
        if pool.dataflow:
            continue
        try:
            check_plan(pool.where, model, pool.plan_for(model))
        except ValueError as error:
            raise ValueError(f"{role}: {error}") from None
    first, second = pools.get("prefill"), pools.get("decode")
    if first and second:
        _check_caches(first.plan_for(model), second.plan_for(model))
    heads = model.kv_heads
    if first and second and not second.dataflow and heads and not model.kv_lora_rank:
        a, b = first.layout.tp, second.layout.tp
        parts = [min(tp, heads) for tp in (a, b)]
        if max(parts) % min(parts):
            raise ValueError(
                f"tp is {a} of prefill and {b} of decode, which split {heads} kv_heads in {parts[0]} and "
                f"{parts[1]}; allowed: one a multiple of the other, so that caches can be sent"
            )
    if speculation is not None:
        check_method(model, speculation.method)


def check_method(model: Model, method: Any) -> None:
    """Reject drafts by a module that the model lacks, by an unknown model, or in other tokens."""
    if method == "mtp":
        if not model.mtp_modules:
            raise ValueError(
                f"method is 'mtp', but {model.name} has no module that predicts further tokens; allowed: a "
                "model with mtp_modules, or 'eagle', 'ngram', or a draft model"
            )
    elif method not in _OWN:
        small = as_model(method)
        if model.vocab and small.vocab and abs(small.vocab - model.vocab) > 0.05 * model.vocab:
            raise ValueError(
                f"method is {small.name} with {small.vocab} tokens in its vocabulary, {model.name} has "
                f"{model.vocab}; allowed: a draft that speaks the same tokens"
            )


def default_bandwidth(pools: Sequence[Pool]) -> Range:
    """What devices of pools have between them, one way and a device [B/s].

    Within one domain of links these; beyond it, or between unlike devices, the lesser of their networks.
    """
    devices = [pool.where for pool in pools]
    first = devices[0]
    joined = sum(pool.devices for pool in pools) <= link_domain(first)
    if joined and first.link_bandwidth and all(d == first for d in devices):
        return Range.exactly(float(first.link_bandwidth), "B/s", f"links of {first.name}")
    networks = [d.node_link_bandwidth for d in devices]
    if all(networks):
        least = min(float(x) for x in networks if x)
        return Range.exactly(least, "B/s", "network of the devices")
    return parameter("decouple_link_bandwidth")
