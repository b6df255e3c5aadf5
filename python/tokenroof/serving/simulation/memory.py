"""What a deployment leaves to a scheduler's KV memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tokenroof import kernels
from tokenroof.inference.memory import cache_room

if TYPE_CHECKING:
    from tokenroof.records.deployment import Deployment

__all__ = ["GIB", "NoRoomError", "device_memory", "memory_blocks", "room_blocks", "token_bytes"]

GIB = 2.0**30
_CACHE_CONTEXT = 4096  # tokens at which a sequence's cache is counted, for models with windows
_MOST_BLOCKS = 2**31 - 2


class NoRoomError(ValueError):
    """Weights leave no memory for a cache: another plan would."""


def device_memory(on: Deployment | None) -> float:
    """Bytes of a device's memory; 80 GiB where there is none, or it is not known."""
    return float(on.device.memory_bytes if on and on.device.memory_bytes else 80 * GIB)


def memory_blocks(on: Deployment, block_size: int) -> int:
    """Blocks of KV memory that weights and engine leave, as the engine's own constants have it."""
    return room_blocks(on, float(cache_room(on.records)), block_size)


def token_bytes(on: Deployment) -> float:
    """Bytes of KV memory that a token takes of the fullest device."""
    model, plan = on.records[2:]
    both = float(kernels.memory_required(model, plan, 1.0, float(_CACHE_CONTEXT)))
    return (both - float(kernels.memory_required(model, plan, 0.0, 0.0))) / _CACHE_CONTEXT


def room_blocks(on: Deployment, room: float, block_size: int, beside: float = 0.0) -> int:
    """Blocks of KV memory in so many bytes of the fullest device, `beside` bytes a token for drafts; an error
    where there are not two."""
    per_token = token_bytes(on) + beside
    if not np.isfinite(room):
        raise ValueError(
            f"num_blocks is None; allowed on {on.device.name}, whose memory is unknown: a whole number"
        )
    blocks = int(max(room, 0.0) // (per_token * block_size)) if per_token > 0.0 else _MOST_BLOCKS
    if blocks < 2:
        raise NoRoomError(
            f"{on.model.name} with the plan {on.plan.label(on.model)} leaves no memory for KV blocks on "
            f"{on.device.name}; allowed: a plan whose weights fit (plan_that_fits names one)"
        )
    return min(blocks, _MOST_BLOCKS)
