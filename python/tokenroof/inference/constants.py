"""Constants of the operators for a device: its own fits, or those of the nearest that was measured.

A device that nobody measured gets the geometric mean of the constants of its generation, with the band
that leaving known devices out in turn gave.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from tokenroof.catalogue.fits import files_of, fits, read_from, remembered
from tokenroof.catalogue.lookup import device as device_of
from tokenroof.records.device import Device

#: Operators with measured forms: names of files, and of the blocks of a calibration record that they fill.
OPERATORS = (
    "gemm",
    "attention_decode",
    "attention_prefill",
    "mla_decode",
    "mla_prefill",
    "experts",
    "all_reduce",
    "all_gather",
    "reduce_scatter",
    "all_to_all",
)
#: Those that a device's links do, not its multiprocessors.
COLLECTIVES = OPERATORS[-4:]  # fmt: skip

# Where a type was not measured, others stand in, the nearest first.
_STAND_INS: dict[str, tuple[str, ...]] = {
    "bf16": ("fp16", "fp8"), "fp16": ("bf16",), "tf32": ("bf16",), "fp32": ("bf16",),
    "fp8": ("fp8_block", "bf16"), "int8": ("fp8", "fp8_block", "bf16"), "fp8_block": ("fp8", "bf16"),
    "nvfp4": ("mxfp4_mxfp8", "fp8", "fp8_block", "bf16"),
    "fp4": ("nvfp4", "mxfp4_mxfp8", "fp8", "fp8_block", "bf16"),
    "mxfp4": ("int4", "bf16", "mxfp4_mxfp8"), "int4": ("mxfp4", "bf16"),
    "int4_32": ("int4", "mxfp4", "bf16"), "int4_64": ("int4", "mxfp4", "bf16"),
    "nvfp4_bf16": ("mxfp4", "int4", "bf16"), "fp8_bf16": ("bf16",), "int8_bf16": ("bf16",),
    "mxfp8": ("fp8_block", "fp8", "bf16"),
    "bf16/fp8": ("bf16", "fp8"),  # maths, then cache, of attention
    "mxfp4_mxfp8": ("nvfp4", "fp8", "fp8_block", "mxfp4", "bf16"),
}  # fmt: skip
# Engines whose kernels stand in for another's.
_NEAR_ENGINES: dict[str, tuple[str, ...]] = {
    "vllm": ("vllm", "trtllm", "nccl"), "trtllm": ("trtllm", "vllm", "nccl"),
    "sglang": ("vllm", "trtllm", "nccl"), "ideal": ("trtllm", "vllm", "nccl"),
    "nccl": ("nccl", "trtllm", "vllm"),
}  # fmt: skip
#: Relative band where nothing was left out to measure it: other makers' devices.
FAR_BAND = 0.6
#: Of a step whose devices span nodes: the network's latency (2 to 10 us per doubling of the nodes) and share
#: (0.6 to 0.95) are estimates, and collectives take up to two fifths of such steps.
NODE_BAND = 0.4


@dataclass(frozen=True, slots=True)
class Fit:
    """Constants of one operator, and how good they are.

    Attributes
    ----------
    constants : dict
        By name, as in ``_core.CALIBRATION_BLOCKS``.
    band : float
        Relative half-width that holds four of five measurements; NaN where unknown.
    origin : str
        What they were fitted on.
    near : {"device", "engine", "type", "generation", "other"}
        How near to what was asked: fitted on it, or the first thing that differs.
    file : str
        The file outside the catalogue that they come from; empty for the catalogue's.
    instead : bool
        Whether nearer fits were passed over, as a wider type of their table is faster.
    """

    constants: dict[str, float]
    band: float
    origin: str
    near: str
    file: str = ""
    instead: bool = False


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


def generations(names: str) -> set[str]:
    """Generations of devices, named with commas between."""
    return {_generation_of(name) for name in names.split(", ") if name}


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


@cache
def _generation_of(name: str) -> str:
    return generation(device_of(name))


@remembered(8192)
def find(
    operator: str, device: Device, engine: str, dtype: str, but_slow: bool = False
) -> Fit | None:
    """The constants for an operator on a device, or those of the nearest that was measured.

    The type counts most, then the generation, then the engine: kernels of one generation are alike.
    `but_slow`: fits whose type a wider one beats (``slower_than``) only where there are no others.

    Returns
    -------
    Fit or None
        None where the operator has no fits, or the device has no known count of multiprocessors.
    """
    rows = fits(operator)
    if not rows or (operator not in COLLECTIVES and not device.sm_count):
        return None
    if device.kind not in ("gpu", "apu"):  # these forms are of multiprocessors
        return None
    engines = _NEAR_ENGINES.get(engine, (engine,))
    own = generation(device)

    def rank(row: dict[str, Any]) -> tuple[bool, int, int, int] | None:
        types = (dtype, *_STAND_INS.get(dtype, ()))
        kind = row.get("dtype", dtype)
        if kind not in types or row["engine"] not in engines:
            return None
        if row["device"] == device.name:
            place = 0
        elif _generation_of(row["device"]) == own:
            place = 1
        else:
            place = 2 + (own.rsplit(" ", 1)[1] != _generation_of(row["device"]).rsplit(" ", 1)[1])
        slow = but_slow and "slower_than" in row
        return slow, types.index(kind), place, engines.index(row["engine"])

    ranked = [(r, row) for row in rows if (r := rank(row)) is not None]
    if not ranked:
        return None
    best = min(r for r, _ in ranked)
    chosen = [row for r, row in ranked if r == best]
    _, kind, place, other_engine = best
    near = "type" if kind else ("device", "generation", "other", "other")[place]
    if near == "device" and other_engine:
        near = "engine"
    names = ", ".join(sorted({row["device"] for row in chosen}))
    what = f"{chosen[0]['engine']} {chosen[0].get('dtype', '')}".strip()
    rows_in = sum(row["rows"] for row in chosen)
    first = "band_generation" if kind or other_engine else "band"
    key = (first, "band_generation", "band_other", "band_other")[place]
    bands = [row[key] for row in chosen if key in row]
    own_bands = [
        row["band"] for row in chosen
    ]  # carried over, constants are never surer than at home
    band = max([*bands, *own_bands]) if bands else max([FAR_BAND, *own_bands])
    if device.vendor.lower() != "nvidia":
        band = max(band, FAR_BAND)
    return Fit(
        geometric_mean([row["constants"] for row in chosen]),
        band,
        f"{rows_in} measured rows of {names} ({what}){read_from(*chosen)}",
        near,
        files_of(*chosen),
        min(r[1:] for r, _ in ranked) != best[1:],
    )


@remembered(1024)
def power_fit(device: Device) -> Fit:
    """Constants of a board's power, of it or of its generation, as shares of its limit.

    Boards of other makers get those of all measured ones, with the widest band.
    """
    found = find("power", device, "vllm", "bf16") if device.kind == "gpu" else None
    if found is not None and found.near != "other":
        return found
    rows = fits("power")
    names = ", ".join(row["device"] for row in rows)
    return Fit(
        geometric_mean([row["constants"] for row in rows]), FAR_BAND,
        f"{sum(row['rows'] for row in rows)} measured rows of {names}{read_from(*rows)}", "other",
        files_of(*rows),
    )  # fmt: skip
