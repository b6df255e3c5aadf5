"""SGLang's memory of the host, HiCache: how much of it its knobs ask for, and what is refused by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokenroof.serving.simulation.drafting import drafts_token_bytes
from tokenroof.serving.simulation.host_tier import (
    NO_TIER,
    HostTier,
    as_tier,
    host_blocks,
    link_rules,
    tier_rules,
)
from tokenroof.serving.simulation.memory import token_bytes
from tokenroof.support.arguments import shown

if TYPE_CHECKING:
    from tokenroof.records.calibration import Calibration
    from tokenroof.records.deployment import Deployment
    from tokenroof.serving.simulation.scheduler import Scheduler
    from tokenroof.serving.system.parts import Speculation

__all__ = ["POLICIES", "host_rules"]

#: When the host gets a copy, by the number that the compiled rules know it by.
POLICIES = ("write_through", "write_through_selective", "write_back")
_SIZES = ("hicache_ratio", "hicache_size")
_RATIO = 2.0  # [sglang/srt/arg_groups/hicache_hook.py: handle_hicache_ratio_default]
_MOST_BLOCKS = 2**31 - 2


def host_rules(
    given: Any,
    engine: Scheduler,
    config: dict[str, Any],
    on: Deployment | None,
    role: str = "both",
    spec: Speculation | None = None,
    fidelity: str | Calibration = "calibrated",
) -> dict[str, int]:
    """What the compiled rules take of the host's memory, whichever engine it is of.

    Parameters
    ----------
    given : HostTier or None
    engine : Scheduler
    config : dict
        Its knobs, resolved; those of HiCache become what is played.
    on : Deployment, optional
    role : {"both", "prefill", "decode"}
    spec : Speculation, optional
        Whose drafts' cache is copied with the model's, slot by slot.
    fidelity : str or Calibration

    Raises
    ------
    ValueError, TypeError
        For a tier that is not played, or of which it is said twice how large it is.
    """
    if not engine.name.startswith("sglang-"):
        return tier_rules(as_tier(given, engine, role), config, on)
    tier = _tier(given, engine, config)
    if tier is None:
        return NO_TIER
    for name, value, allowed in (
        ("pool", role == "decode" and role, "prefill, or one for both"),
        ("disable_radix_cache", config["disable_radix_cache"], "False"),
    ):
        if value:
            raise ValueError(
                f"{name} is {value} with a host tier of {engine.name}; allowed: {allowed}"
            )
    page = config["page_size"]
    devices = 1 if on is None else on.plan.devices
    each = tier.bytes_per_token
    if each is None and on is not None:
        each = (token_bytes(on) + drafts_token_bytes(on, spec, fidelity)) * devices
    rules = link_rules(tier, each, page, on)
    layers = tier.layers or (1 if on is None else on.model.layers)
    blocks = _blocks(tier, config, rules["host_block_bytes"], on)
    config["enable_hierarchical_cache"] = True
    return {
        **rules,
        "host_blocks": blocks,
        "host_layers": layers,
        "write_policy": POLICIES.index(config["hicache_write_policy"]),
    }


def _tier(given: Any, engine: Scheduler, config: dict[str, Any]) -> HostTier | None:
    """The record, with or without a size; None where nothing is held."""
    if given is not None and not isinstance(given, HostTier):
        raise TypeError(f"host_tier is {shown(given)}; allowed: a HostTier, or None")
    knobs, held = engine.given, None if given is None else given.capacity_bytes
    told = knobs.get("enable_hierarchical_cache")
    name = next((n for n in (*_SIZES, "hicache_write_policy") if n in knobs), None)
    size = next((n for n in _SIZES if n in knobs), None)
    if not told and (told is False or held is None) and given is not None and held != 0.0:
        raise ValueError(
            f"enable_hierarchical_cache is False with a host_tier of {engine.name}; allowed: True"
        )
    if not told and not held:
        if name is not None:
            raise ValueError(
                f"{name} is {shown(knobs[name])} without enable_hierarchical_cache, where it does nothing; "
                "allowed: with it"
            )
        return None
    if held == 0.0:
        raise ValueError(
            "capacity_bytes is 0 with enable_hierarchical_cache; allowed: None, or at least a page"
        )
    if held is not None and size is not None:
        raise ValueError(
            f"capacity_bytes is {held:g} and {size} is {shown(knobs[size])}; allowed: one of them"
        )
    if config["hicache_ratio"] is not None and config["hicache_size"] > 0:
        raise ValueError(
            f"hicache_ratio is {config['hicache_ratio']:g} and hicache_size is {config['hicache_size']}; "
            "allowed: one of them"
        )
    return given or HostTier()


def _blocks(tier: HostTier, config: dict[str, Any], block: int, on: Deployment | None) -> int:
    """Pages of the host [sglang/srt/mem_cache/pool_host/base.py]: of the knobs one more than they ask for."""
    if tier.capacity_bytes is not None:
        return host_blocks(tier, block)
    page = config["page_size"]
    if config["hicache_size"] > 0:  # of each device, for the model's cache
        if on is None or tier.bytes_per_token is not None:
            each = block / page / (1 if on is None else on.plan.devices)
        else:
            each = token_bytes(on)
        tokens = int(config["hicache_size"] * 1e9 // each)
    else:
        config["hicache_ratio"] = ratio = config["hicache_ratio"] or _RATIO
        tokens = int(config["max_total_tokens"] * ratio)
    return min(int(tokens // page) + 1, _MOST_BLOCKS)
