"""Statically scheduled dataflow (docs/inference/other-devices.md): chips in SRAM, no queues."""

from __future__ import annotations

import math

from tokenroof.reference.core.ieee import divide, maximum, minimum
from tokenroof.reference.core.roundings import rounded_up

__all__ = ["dataflow_chips", "dataflow_microbatch", "dataflow_trip"]


def dataflow_chips(held_bytes: float, sram_bytes: float, share: float) -> float:
    """Bytes over what a chip has free, whole chips."""
    ratio = divide(held_bytes, sram_bytes * share)
    if math.isfinite(ratio) and abs(ratio) < 2.0**51:
        ratio = rounded_up(ratio)
    return maximum(ratio, 1.0)


def dataflow_trip(
    chip_s: float, chips: float, stages: float, layers: float, layer_s: float, hop_s: float
) -> float:
    """A stage's chips share its work; each layer and each hop adds its own latency."""
    work = divide(chip_s * stages, chips)
    return work + layers * layer_s + (stages - 1.0) * hop_s


def dataflow_microbatch(batch: float, stages: float) -> float:
    """An even share of the batch, but whole sequences where there are fewer than stages."""
    return maximum(divide(batch, stages), minimum(batch, 1.0))
