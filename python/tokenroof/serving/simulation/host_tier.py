"""KV memory of the host: what it holds, and the link to it that a host's replicas share."""

from __future__ import annotations

from dataclasses import dataclass
from math import isinf
from typing import TYPE_CHECKING, Any

from tokenroof.records.device import pcie_bandwidth
from tokenroof.support.arguments import count, finite_number, is_number, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokenroof.records.deployment import Deployment
    from tokenroof.serving.simulation.scheduler import Scheduler

__all__ = ["NO_TIER", "HostTier", "as_tier", "host_blocks", "link_rules", "tier_rules"]

#: What the compiled rules take where nothing is held.
NO_TIER = {
    "host_blocks": 0, "host_block_bytes": 0, "host_layers": 1, "write_policy": 0,
    "link_bytes_per_s": 0, "link_replicas": 1,
}  # fmt: skip

_MOST_BLOCKS = 2**31 - 2
_CONTEXT = 4096  # tokens at which a cache is counted


@dataclass(frozen=True, slots=True)
class HostTier:
    """Memory of the host beside that of the devices, for blocks of KV memory.

    Parameters
    ----------
    capacity_bytes : float, optional
        Of each replica, of which each data-parallel rank has its part [B]; 0: there is none, infinity: all
        that there ever is. None for SGLang, where knobs say it (``hicache_ratio``, ``hicache_size``).
    bytes_per_s : float, optional
        Each way of the link that a host's replicas share [B/s]; infinity: transfers take no time. By default
        that of the PCIe slots of a replica's devices.
    replicas : int
        That share the link [1].
    bytes_per_token : float, optional
        Of all layers, on all devices of a replica [B]; by default that of the model and the plan.
    layers : int, optional
        Of the model [1], one after the other of which SGLang loads while those before are computed; by
        default the model's, and 1 without one.

    Raises
    ------
    ValueError, TypeError
        For what is no number of 0 and more, a link of no bandwidth, fewer replicas or layers than one.

    Examples
    --------
    >>> HostTier(64 * 2**30, 50e9, replicas=8).replicas
    8
    """

    capacity_bytes: float | None = None
    bytes_per_s: float | None = None
    replicas: int = 1
    bytes_per_token: float | None = None
    layers: int | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        if self.capacity_bytes is not None:
            put(self, "capacity_bytes", _amount("capacity_bytes", self.capacity_bytes))
        if self.bytes_per_s is not None:
            put(self, "bytes_per_s", _amount("bytes_per_s", self.bytes_per_s, above=True))
        put(self, "replicas", count("replicas", self.replicas))
        if self.bytes_per_token is not None:
            given = finite_number("bytes_per_token", self.bytes_per_token, above=True)
            put(self, "bytes_per_token", given)
        if self.layers is not None:
            put(self, "layers", count("layers", self.layers))


def _amount(name: str, value: object, above: bool = False) -> float:
    """A number that may be infinite."""
    if is_number(value) and isinf(float(value)) and float(value) > 0.0:  # type: ignore[arg-type]
        return float("inf")
    return finite_number(name, value, above=above)


def as_tier(given: Any, engine: Scheduler, role: str = "both") -> HostTier | None:
    """The record, None where nothing is held; refused by name where it is not played."""
    if given is not None and not isinstance(given, HostTier):
        raise TypeError(f"host_tier is {shown(given)}; allowed: a HostTier, or None")
    if given is None or given.capacity_bytes == 0.0:
        return None
    config = engine.config
    if not engine.name.startswith("vllm"):
        raise ValueError(f"host_tier is {given}, which {engine.name} does not play; allowed: None")
    if given.capacity_bytes is None:
        raise ValueError(f"capacity_bytes is None with {engine.name}; allowed: a number")
    if given.layers is not None:
        raise ValueError(
            f"layers is {given.layers} with {engine.name}, which loads all layers of a block at once; "
            "allowed: None"
        )
    if config["policy"] != "fcfs" or not config["enable_prefix_caching"]:
        name = "policy" if config["policy"] != "fcfs" else "enable_prefix_caching"
        raise ValueError(f"{name} is {shown(config[name])} with a host_tier; allowed: the default")
    if role == "decode":
        raise ValueError(f"host_tier is {given} with a pool of {role}; allowed: None")
    return given


def tier_rules(
    tier: HostTier | None, config: Mapping[str, Any], on: Deployment | None
) -> dict[str, int]:
    """As the compiled rules take it: blocks of a replica, or of each of its ranks; bytes of one; the link."""
    if tier is None:
        return NO_TIER
    if on is not None and on.plan.pp > 1:
        raise ValueError(
            f"host_tier is {tier} with the plan {on.plan.label(on.model)}; allowed with pp above 1: None"
        )
    each = tier.bytes_per_token
    if each is None and on is not None:
        each = float(on.model.kv_bytes(_CONTEXT, on.plan.kv_cache)) / _CONTEXT
    ranks = 1 if on is None else on.plan.dp
    rules = link_rules(tier, each, config["block_size"], on)
    return {**rules, "host_blocks": host_blocks(tier, rules["host_block_bytes"], ranks)}


def link_rules(
    tier: HostTier, each: float | None, block_size: int, on: Deployment | None
) -> dict[str, int]:
    """Bytes of a block, at `each` a token, and the link that carries them."""
    if each is None:
        raise ValueError("bytes_per_token is None; allowed without a device: a number above 0")
    speed = tier.bytes_per_s
    if speed is None:
        slot = None if on is None else pcie_bandwidth(on.device.pcie_generation)
        if on is None or slot is None:
            raise ValueError(
                "bytes_per_s is None; allowed where PCIe slots are not known: a number"
            )
        speed = slot * on.plan.devices
    return {
        **NO_TIER,
        "host_block_bytes": min(max(round(each * block_size), 1), 2**62),
        "link_bytes_per_s": 0 if speed >= 2.0**62 else max(round(speed), 1),
        "link_replicas": tier.replicas,
    }


def host_blocks(tier: HostTier, block: int, ranks: int = 1) -> int:
    """Blocks of so many bytes that fit a rank's part of the memory."""
    assert tier.capacity_bytes is not None
    blocks = tier.capacity_bytes / ranks / block
    if blocks < 1.0:
        raise ValueError(
            f"capacity_bytes is {tier.capacity_bytes:g}; allowed: 0, or at least a block ({block * ranks} B)"
        )
    return int(min(blocks, _MOST_BLOCKS))
