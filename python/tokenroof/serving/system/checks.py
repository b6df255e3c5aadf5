"""What pools may stand together, and what drafts need: refused by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokenroof.inference.dataflow import check_kind
from tokenroof.inference.door import as_model, check_plan
from tokenroof.inference.estimates import Range, parameter
from tokenroof.inference.speculative import mtp_model
from tokenroof.records.device import link_domain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenroof.records.model import Model
    from tokenroof.serving.system.parts import Drafts, Pool

__all__ = ["check_drafts", "check_pools", "default_bandwidth"]

_WHOLES = ({"both"}, {"prefill", "decode"}, {"attention", "experts"})


def check_pools(model: Model, pools: Sequence[Pool]) -> None:
    """Reject pools that make no whole, that cannot run the model, or cannot read each other's cache."""
    roles = [pool.role for pool in pools]
    if len(set(roles)) < len(roles) or set(roles) - {"draft"} not in _WHOLES:
        said = " and ".join(roles) or "none"
        raise ValueError(
            f"pools are {said}; allowed: both, prefill and decode, or attention and experts, one "
            "of each, and with any of them draft"
        )
    for pool in pools:
        _check_pool(model, pool)
    for pool in pools[1:]:
        if not pool.dataflow and not pools[0].dataflow and pool.role != "draft":
            _check_caches(model, pools[0], pool)
    if {"prefill", "decode"} <= set(roles):
        kinds = {pool.layout.kv_cache: pool.role for pool in pools if pool.role != "draft"}
        if len(kinds) > 1:
            said = " and ".join(f"{kind} of {role}" for kind, role in kinds.items())
            raise ValueError(
                f"kv_cache is {said}; allowed: one type, as the cache is sent as it is"
            )


def _check_pool(model: Model, pool: Pool) -> None:
    if pool.dataflow:
        check_kind(pool.role, pool.where)
        if pool.role in ("prefill", "attention", "both"):
            raise ValueError(
                f"{pool.role} is {pool.where.name}, a {pool.where.kind}; allowed: a device of another kind"
            )
        return
    if pool.role in ("experts", "draft"):
        check_kind(pool.role, pool.where)
    try:
        check_plan(pool.where, model, pool.layout)
    except ValueError as error:
        raise ValueError(f"pool {pool.role}: {error}") from None


def _check_caches(model: Model, one: Pool, other: Pool) -> None:
    """Reject two pools of which one cannot read what the other wrote."""
    a, b = one.layout, other.layout
    if a.engine != b.engine:
        raise ValueError(
            f"engine is {a.engine} of {one.role} and {b.engine} of {other.role}; allowed: one engine, whose "
            "cache has one layout"
        )
    heads = model.kv_heads
    if heads and not model.kv_lora_rank:
        parts = [min(plan.tp, heads) for plan in (a, b)]
        if max(parts) % min(parts):
            raise ValueError(
                f"tp is {a.tp} of {one.role} and {b.tp} of {other.role}, which split {heads} kv_heads in "
                f"{parts[0]} and {parts[1]}; allowed: one a multiple of the other, so that caches can be sent"
            )


def check_drafts(model: Model, pools: Sequence[Pool], drafts: Drafts | None) -> None:
    """Reject drafts by a module that the model lacks, by an unknown model, or a pool without drafts."""
    apart = any(pool.role == "draft" for pool in pools)
    if drafts is None:
        if apart:
            raise ValueError(
                "pools has draft with speculation None; allowed: Drafts, whose method it runs"
            )
        return
    method: Any = drafts.method
    own = isinstance(method, str) and method in ("mtp", "ngram")
    if apart and own:
        raise ValueError(
            f"method is {method!r} with a pool of drafts; allowed: the model that it runs"
        )
    if method == "mtp":
        try:
            mtp_model(model)
        except ValueError:
            raise ValueError(
                f"method is 'mtp', but {model.name} has no module that predicts further tokens; allowed: a "
                "model with mtp_modules, or 'ngram', or a draft model"
            ) from None
    elif not own:
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
