"""Constants of the operators for a device: its own fits, or those of the nearest that was measured.

A device that nobody measured gets the constants that carry over from its generation, with the band that
leaving known devices out in turn gave.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from tokenroof.catalogue.fits import files_of, fits, read_from, remembered
from tokenroof.catalogue.lookup import device as device_of
from tokenroof.inference.carried import carried, generation, geometric_mean
from tokenroof.inference.likeness import OPERATORS, between, likeness
from tokenroof.inference.published_products import as_published, best_square, in_step, reported
from tokenroof.inference.reported_memory import both_reported
from tokenroof.records.device import Device, unit_peak

#: Those that a device's links do, not its multiprocessors.
COLLECTIVES = OPERATORS[-4:]  # fmt: skip

_PROMPTS = ("attention_prefill", "mla_prefill")  # which tensor cores bind as they do products

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
    "mxfp4_mxfp4": ("nvfp4", "mxfp4_mxfp8", "fp8", "fp8_block", "bf16"),
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
    instead : str
        Why nearer fits were passed over: ``slower_than``, as a wider type of their table is faster, or
        ``beaten_by``, as another engine's products are; else empty.
    """

    constants: dict[str, float]
    band: float
    origin: str
    near: str
    file: str = ""
    instead: str = ""

    @property
    def faster(self) -> str:
        """What a nearer fit was passed over for."""
        return {"slower_than": "a wider type's", "beaten_by": "another engine's of this type"}[
            self.instead
        ]


def generations(names: str) -> set[str]:
    """Generations of devices, named with commas between."""
    return {_generation_of(name) for name in names.split(", ") if name}


@cache
def _generation_of(name: str) -> str:
    return generation(device_of(name))


def _place(row: dict[str, Any], device: Device) -> int:
    """How near the device of a fit is: itself, of its generation, with its kind of memory, another."""
    own, other = generation(device), _generation_of(row["device"])
    if row["device"] == device.name:
        return 0
    return 1 if own == other else 2 + (own.rsplit(" ", 1)[1] != other.rsplit(" ", 1)[1])


@remembered(8192)
def find(
    operator: str, device: Device, engine: str, dtype: str, but: tuple[str, ...] = (),
    not_of: str = "",
) -> Fit | None:  # fmt: skip
    """The constants for an operator on a device, or those of the nearest that was measured.

    The type counts most, then the generation, then the engine: kernels of one generation are alike.
    `but`: fits that are marked so only where there are no others: ``slower_than``, which a wider type beats;
    ``beaten_by``, which another engine's kernels of the same type beat. `not_of`: a generation whose fits
    of the catalogue count only so.

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

    def rank(row: dict[str, Any]) -> tuple[bool, int, int, int] | None:
        types = (dtype, *_STAND_INS.get(dtype, ()))
        kind = row.get("dtype", dtype)
        if kind not in types or row["engine"] not in engines:
            return None
        other = "file" not in row and _generation_of(row["device"]) == not_of
        slow = any(mark in row for mark in but) or other
        return slow, types.index(kind), _place(row, device), engines.index(row["engine"])

    ranked = [(r, row) for row in rows if (r := rank(row)) is not None]
    if not ranked:
        return None
    best = min(r for r, _ in ranked)
    chosen = [row for r, row in ranked if r == best]
    nearest = min(ranked, key=lambda pair: pair[0][1:])
    passed = [m for m in but if m in nearest[1]] if nearest[0][1:] != best[1:] else []
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
    constants, boards = carried(operator, chosen, device, dtype), ""
    if place:
        constants, boards = _with_boards(operator, chosen, device, engine, dtype, constants)
    return Fit(
        constants,
        band,
        f"{rows_in} measured rows of {names} ({what}){read_from(*chosen)}{boards}",
        near,
        files_of(*chosen),
        passed[0] if passed else "",
    )


def _with_boards(
    operator: str,
    chosen: list[dict[str, Any]],
    device: Device,
    engine: str,
    dtype: str,
    constants: dict[str, float],
) -> tuple[dict[str, float], str]:
    """Constants carried over, with tensor cores as fast as boards were reported to be; what is of reports."""
    read = any(both_reported(device, device_of(row["device"])) for row in chosen)
    said = ", memory as of reported decodes" if read and "memory" in constants else ""
    boards = ""
    if operator == "gemm":
        constants, boards = as_published(device, dtype, constants)
    elif operator in _PROMPTS and reported(device, dtype) is not None:
        shares = [_square_share(row["device"], engine, dtype) for row in chosen]
        constants, boards = in_step(device, dtype, constants, shares)
    return constants, said + (boards and f", {boards}")


def _square_share(name: str, engine: str, dtype: str) -> float:
    """Share of the peak that a measured device's best square product reaches [1]."""
    device, kind = device_of(name), dtype.partition("/")[0]
    fit = find("gemm", device, engine, kind)
    assert fit is not None  # it has a table of prompts
    return best_square(device, kind, fit.constants) / unit_peak(device, kind)


@remembered(1024)
def power_fit(device: Device) -> Fit:
    """As `own_power_fit`; of a device whose datasheet is a measured one's, as that one's (likeness.py)."""
    like = likeness(device)
    if like is None:
        return own_power_fit(device)
    near, far = own_power_fit(like.twin), own_power_fit(device)
    return replace(
        near,
        constants=between(near.constants, far.constants, like.weight),
        band=like.band(near.band, far.band),
        origin=near.origin + like.said,
    )


@remembered(1024)
def own_power_fit(device: Device) -> Fit:
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
