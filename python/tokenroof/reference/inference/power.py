"""Board power under load (docs/inference/power.md), from Choi et al. with utilisation for rates."""

from __future__ import annotations

import math

from tokenroof.reference.core.ieee import divide, maximum, minimum
from tokenroof.reference.core.roundings import rounded_up
from tokenroof.reference.records.records import Record, takes_records

__all__ = ["board_power", "capped_power", "wave_fill"]

CLASSES = ("gemm", "attention_decode", "attention_prefill", "experts")
# what the 12-norm takes off where both of its arguments are equal: 1 - 2**(-1/12)
CORNER = 0.05612568731830647


def capped_power(watts_wanted: float, ceiling: float) -> float:
    """The lesser of the two, and less by a twentieth where they meet."""
    least, most = minimum(watts_wanted, ceiling), maximum(watts_wanted, ceiling)
    ratio = most if most == 0.0 else divide(least, most)
    cube = ratio * ratio * ratio
    sixth = cube * cube
    return least * (1.0 - CORNER * (sixth * sixth))


def wave_fill(tiles: float, sm_count: float) -> float:
    """Tiles over the places that their waves have."""
    waves = divide(tiles, sm_count)
    whole = waves
    if math.isfinite(waves) and abs(waves) < 2.0**51:
        whole = rounded_up(waves)
    return waves if whole == 0.0 else divide(waves, whole)


def active_share(calibration: Record, active: dict[str, float]) -> float:
    """Share of the limit that busy multiprocessors draw, beside work and traffic."""
    share = {name: calibration[f"power.{name}"] * active[name] for name in CLASSES}
    return (share["gemm"] + share["attention_decode"]) + (
        share["attention_prefill"] + share["experts"]
    )


def power_share(
    calibration: Record, compute_use: float, memory_use: float, active: dict[str, float],
    cap: float = 1.0,
) -> float:  # fmt: skip
    """Share of the limit that a load draws, by fitted constants; of a board with a cap."""
    busy = active_share(calibration, active)
    load = calibration["power.idle"] + calibration["power.compute"] * compute_use
    load = (load + calibration["power.memory"] * memory_use) + busy
    return capped_power(load, calibration["power.ceiling"] * cap)


def idle_watts(device: Record, calibration: Record) -> float:
    """What a board draws when it does nothing."""
    idle = device["idle_w"]
    return device["tdp_w"] * calibration["idle_fraction"] if math.isnan(idle) else idle


def linear_watts(
    device: Record, calibration: Record, compute_use: float, memory_use: float, cap: float = 1.0
) -> float:
    """Idle, and shares of the rest by use, up to the limit."""
    limit, idle = device["tdp_w"], idle_watts(device, calibration)
    use = calibration["compute_watts"] * compute_use + calibration["memory_watts"] * memory_use
    return minimum(limit * cap, idle + (limit - idle) * use)


@takes_records("device", "calibration")
def board_power(
    device: Record, calibration: Record, compute_use: float, memory_use: float, gemm_use: float,
    attention_decode_use: float, attention_prefill_use: float, experts_use: float,
) -> float:  # fmt: skip
    """Idle, plus what is in use, up to the limit."""
    uses = (gemm_use, attention_decode_use, attention_prefill_use, experts_use)
    if not all(use >= 0.0 for use in (compute_use, memory_use, *uses)):
        return math.nan
    if math.isnan(calibration["power.idle"]):
        return linear_watts(device, calibration, compute_use, memory_use)
    active = dict(zip(CLASSES, uses, strict=True))
    return device["tdp_w"] * power_share(calibration, compute_use, memory_use, active)
