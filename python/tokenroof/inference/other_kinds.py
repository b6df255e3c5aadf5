"""Estimates for devices that are no GPUs: nothing of their kinds was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenroof.catalogue.fits import fits
from tokenroof.inference.estimates import parameter
from tokenroof.inference.memory import engine_memory
from tokenroof.records.calibration import Calibration
from tokenroof.support.arguments import shown

if TYPE_CHECKING:
    from tokenroof.records.device import Device

__all__ = ["OTHER_KINDS", "memory_of", "of_kind"]

#: Devices that are no GPUs: shares of peak and bandwidth in products, of peak in prefill attention, of
#: bandwidth in decode attention, of both in experts; seconds per kernel; band. None of it was measured.
OTHER_KINDS: dict[str, tuple[float, ...]] = {
    "cpu": (0.5, 0.7, 0.3, 0.5, 0.35, 5e-6, 0.8),
    "tpu": (0.6, 0.75, 0.4, 0.6, 0.45, 1.5e-6, 0.8),
    "npu": (0.5, 0.7, 0.3, 0.5, 0.4, 3e-6, 0.8),
    "rdu": (0.5, 0.7, 0.3, 0.5, 0.4, 1.5e-6, 0.8),
    "lpu": (), "wafer": (),
}  # fmt: skip
_DATAFLOW = ("lpu", "wafer")


def memory_of(engine: str, device: Device) -> dict[str, dict[str, float]]:
    """The block of constants of an engine of which nothing but its memory is known.

    Layouts of dataflow chips say themselves what of the memory is used: no engine keeps any of it.
    """
    found = {} if device.kind in _DATAFLOW else engine_memory(engine, device)
    return {"engine": found} if found else {}


def of_kind(device: Device, engine: str) -> Calibration:
    """Estimates for a device that is no GPU: nothing of its kind was measured."""
    if device.kind in _DATAFLOW:
        # nothing is launched; a layer's dependent operations, ten of them, take their time
        share = parameter("efficiency", device).mid
        launch = parameter("layer_s", device).mid / 10.0
        compute = memory = prefill = attention = experts = share
        band, sequence = 1.5, 0.0
        own: dict[str, dict[str, float]] = memory_of(engine, device)
    else:
        compute, memory, prefill, attention, experts, launch, band = OTHER_KINDS[device.kind]
        row = next((r for r in fits("engine") if r["engine"] == engine), None)
        # nobody measured an engine on it: it does not wait less than the measured devices do
        own = {"engine": row["constants"] | engine_memory(engine, device)} if row else {}
        sequence = 0.0
        if row:
            own["engine"]["kernel_gap"] = max(own["engine"]["kernel_gap"], launch)
            launch = 0.0
    return Calibration(
        name=f"estimate for {device.name}",
        compute={"gemm": compute, "attention_prefill": prefill, "attention_decode": compute,
                 "experts": experts},
        memory={"gemm": memory, "attention_prefill": memory, "attention_decode": attention,
                "experts": experts, "elementwise": attention, "collective": 0.6},
        launch_s=0.0 if engine == "ideal" else launch,
        sequence_s=sequence,
        compute_watts=1.2,
        memory_watts=0.45,
        constants=own,
        calibrated_on=f"nothing: estimates for a device of kind {shown(device.kind)}",
        error_band=band,
        ttft_band=band,
    )  # fmt: skip
