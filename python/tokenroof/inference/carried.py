"""Constants of an operator for a device, from the fits of others.

Within a generation constants are those of a multiprocessor: bytes and clocks, joules of an operation. Between
generations multiprocessors differ, and designers keep them in step with their tensor cores and their memory:
what carries over is the share of the peak that a limit leaves, and clocks as multiples of what the tensor
cores or the memory do in one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from tokenroof.catalogue.lookup import device as device_of
from tokenroof.inference.reported_memory import memory_ratio
from tokenroof.records.device import Device, unit_peak

__all__ = ["carried", "generation", "geometric_mean"]

# As gemm.hpp has it, of a device that does not say [Hz].
_CLOCK = 1.9e9
# Clocks of the tensor cores' work, and of the memory's.
_OF_TENSORS, _OF_MEMORY = ("fill", "issue"), ("latency",)


def generation(device: Device) -> str:
    """What devices must share for constants to carry over: maker, family, kind of memory.

    Examples
    --------
    >>> import tokenroof as tr
    >>> generation(tr.device("B300-SXM")), generation(tr.device("RTX 5090"))
    ('nvidia blackwell hbm', 'nvidia blackwell gddr')
    """
    family = device.family.lower()
    for word in ("hopper", "blackwell", "rubin", "ampere", "ada", "volta", "turing"):
        if word in family:
            family = word
            break
    memory = (device.memory_type or "").lower()
    kind = next((k for k in ("hbm", "gddr", "lpddr", "sram", "ddr") if k in memory), memory)
    return f"{device.vendor.lower()} {family} {kind}"


def geometric_mean(rows: Iterable[dict[str, float]]) -> dict[str, float]:
    """Constants between several sets of them: each the geometric mean; zero if one is zero."""
    rows = list(rows)
    return {
        name: rows[0][name]  # as it is: a tile of 64 is not one of 63.99
        if len({row[name] for row in rows}) == 1
        else math.exp(math.fsum(math.log(row[name]) for row in rows) / len(rows))
        if all(row[name] > 0.0 for row in rows)
        else 0.0
        for name in rows[0]
    }


def _rates(device: Device, dtype: str) -> tuple[float, float]:
    """Operations and bytes of a multiprocessor's clock."""
    clocks = (device.sm_count or 1) * (device.boost_clock_hz or _CLOCK)
    return unit_peak(device, dtype) / clocks, device.memory_bandwidth / clocks


def _as_share(constants: dict[str, float], device: Device, dtype: str) -> dict[str, float]:
    """The joules of a fit as the share of the peak that they leave on its device."""
    over = constants["joule"] * unit_peak(device, dtype) / (device.tdp_w or math.inf)
    reached = (constants["compute"] ** -4 + over**2) ** -0.25
    return constants | {"compute": reached, "joule": 0.0}


def _scaled(
    constants: dict[str, float], device: Device, dtype: str, power: float
) -> dict[str, float]:
    """Clocks as multiples of what the tensor cores and the memory do in one (power 1), or back (-1)."""
    operations, moved = _rates(device, dtype)
    scale = dict.fromkeys(_OF_TENSORS, operations) | dict.fromkeys(_OF_MEMORY, moved)
    return {name: value * scale.get(name, 1.0) ** power for name, value in constants.items()}


def _experts(
    constants: dict[str, float], source: Device, device: Device, dtype: str
) -> dict[str, float]:
    """Constants of experts, which are shares of a device, on another of its generation.

    A multiprocessor draws as many bytes a second as there, and what keeps tensor cores from their peak is the
    limit in watts, as with products.
    """
    drawn = (source.memory_bandwidth / (source.sm_count or 1)) / (
        device.memory_bandwidth / (device.sm_count or 1)
    )
    moved = constants | {"stream": constants["stream"] * drawn}
    if not source.tdp_w or not device.tdp_w:
        return moved
    watts = unit_peak(device, dtype) / device.tdp_w / (unit_peak(source, dtype) / source.tdp_w)
    if watts == 1.0:
        return moved
    over = math.sqrt(max(constants["compute"] ** -4 - 1.0, 0.0)) * watts
    return moved | {"compute": (1.0 + over**2) ** -0.25}


def _with_memory_of(
    device: Device, constants: dict[str, float], source: Device
) -> dict[str, float]:
    """The share of the memory's bandwidth: of unlike boards what was reported, or what codes leave."""
    ratio = memory_ratio(device, source)
    if ratio == 1.0 or "memory" not in constants:
        return constants
    return constants | {"memory": min(constants["memory"] * ratio, 1.0)}


def carried(
    operator: str, rows: Iterable[dict[str, Any]], device: Device, dtype: str
) -> dict[str, float]:
    """Constants of an operator for a device and a type, from fits that all have one type.

    Parameters
    ----------
    operator : str
    rows : iterable of dict
        Fits, as the catalogue's files hold them: all of this device, of its generation, or of others.
    device : Device
    dtype : str
        Of the weights; the fits' own may be another that stands in for it.

    Returns
    -------
    dict
        The constants, or the geometric mean of several fits'.

    Examples
    --------
    The H20 has the multiprocessors and the clock of an H100, a quarter of its tensor cores' rate and more
    than half of its watts: the limit leaves it more of its peak.

    >>> import tokenroof as tr
    >>> from tokenroof.catalogue.fits import fits
    >>> rows = [r for r in fits("gemm") if r["device"] == "H100-SXM" and r["dtype"] == "bf16"]
    >>> constants = carried("gemm", rows, tr.device("H20"), "bf16")
    >>> constants == geometric_mean(row["constants"] for row in rows)
    True
    """
    rows = list(rows)
    of = [device_of(row["device"]) for row in rows]
    sets = [_with_memory_of(device, row["constants"], d) for row, d in zip(rows, of, strict=True)]
    kind = rows[0].get("dtype", dtype)
    needed = {"gemm": "joule", "experts": "compute"}.get(operator)
    if needed is None or any(needed not in c for c in sets):
        return geometric_mean(sets)
    near = all(generation(d) == generation(device) for d in of)
    if operator == "experts":
        if near:
            sets = [_experts(c, d, device, kind) for c, d in zip(sets, of, strict=True)]
        return geometric_mean(sets)
    if near and device.tdp_w:
        mean = geometric_mean(sets)
        # at its own peak a type takes the watts that another takes at its
        mean["joule"] *= unit_peak(device, kind) / unit_peak(device, dtype)
        return mean
    sets = [_as_share(c, d, kind) for c, d in zip(sets, of, strict=True)]
    if near:
        return geometric_mean(sets)
    sets = [_scaled(c, d, kind, 1.0) for c, d in zip(sets, of, strict=True)]
    return _scaled(geometric_mean(sets), device, kind, -1.0)
