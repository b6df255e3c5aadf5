"""Latency against the rate of arrivals, with percentiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.serving.beyond import beyond, said, widened
from tokenroof.serving.closed_loop import UNITS, banded, powers_of
from tokenroof.serving.loads import ONE_TOKEN, Load, timed
from tokenroof.serving.open_power import watts_at
from tokenroof.serving.room import unknown
from tokenroof.serving.twin import twin_of
from tokenroof.support.arguments import amounts, not_empty
from tokenroof.support.lazy import require
from tokenroof.support.quoting import counted

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import ArrayLike, NDArray

    from tokenroof.records.deployment import Deployment
    from tokenroof.serving.simulation.scheduler import Scheduler
    from tokenroof.serving.twin import OpenLoop, Shape

__all__ = ["OPEN_UNITS", "as_rates", "open_table", "values_at"]

_TIMES = {
    "ttft": "time to the first token",
    "tpot": "time per output token after the first",
    "e2e": "time to the last token",
}
OPEN_UNITS = {
    **{f"{name}_s": ("s", f"mean {said}") for name, said in _TIMES.items()},
    **{
        f"{name}_{p}_s": ("s", f"{p[1:]}th percentile of the {said}")
        for name, said in _TIMES.items()
        for p in ("p50", "p90", "p99")
    },
    "ttft_s": ("s", "mean time to the first token, under the scheduler alone"),
    "queue_s": ("s", "part of the mean time to the first token that waits for a place"),
    "interactivity": ("token/s", "output tokens per second of one user, 1 / TPOT"),
    "output_throughput": ("token/s", "output tokens of the replica per second"),
    "input_throughput": ("token/s", "prompt tokens of the replica per second"),
    "total_throughput": ("token/s", "input and output tokens of the replica per second"),
    "per_device": ("token/s", "output tokens per second and device"),
    "load": ("1", "arrivals over those that all places answer"),
    "running": ("1", "mean requests in service, by Little's law"),
    "waits": ("1", "share of requests that wait for a place"),
    "stable": ("1", "whether the queue does not grow"),
    "growth_per_s": ("1/s", "requests by which the queue grows in a second"),
    "means_hold": ("1", "whether the load is one at which means were within 10 % of simulations"),
    "percentiles_hold": ("1", "whether the load is one at which percentiles were within 20 %"),
}


# Of the closed loop's quantities, which the open loop has as it has them.
_ALIKE = (
    "watts", "chassis_watts", "provisioned_watts", "facility_watts", "output_tokens_per_joule",
    "output_tokens_per_s_per_mw", "tpot_low_s", "tpot_high_s", "ttft_low_s", "ttft_high_s", "error_band",
    "ttft_error_band", "beyond",
)  # fmt: skip


def as_rates(rate: ArrayLike | None, shape: Shape) -> NDArray[np.float64]:
    """The rates that are asked for, or the load's own [1/s]."""
    if rate is None:
        return np.array([shape.rate])
    array = np.atleast_1d(amounts("rate", rate, positive=True))
    if array.ndim > 1:
        raise ValueError(f"rate has {counted(array.ndim, 'dimension')}; allowed: one")
    return np.asarray(not_empty("rate", array))


def values_at(twin: OpenLoop, rates: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    """Quantities by the names of `OPEN_UNITS`, but for those of devices."""
    found = twin.at(rates)
    out: dict[str, NDArray[Any]] = {}
    for name in OPEN_UNITS:
        plain = name.removesuffix("_s")
        if plain in found:
            out[name] = found[plain]
        if plain.startswith("tpot"):
            out[name] = timed(twin.inputs["output"], out[name])
    out["interactivity"] = 1.0 / out["tpot_s"]
    out["stable"] = found["load"] < 1.0
    served = np.minimum(rates, twin.saturation)
    out["growth_per_s"] = rates - served
    out["output_throughput"] = served * twin.inputs["output"]
    out["input_throughput"] = served * twin.inputs["input"]
    out["total_throughput"] = out["output_throughput"] + out["input_throughput"]
    return out


def open_table(
    on: Deployment,
    known: Shape,
    rate: ArrayLike | None,
    scheduler: Scheduler | None,
    fidelity: str,
    power: str = "provisioned",
    pue: float = 1.2,
) -> xr.Dataset:
    """The table of `curve` over rates."""
    xarray = require("xarray", extra="analysis")
    rates = as_rates(rate, known)
    twin = twin_of(on, known, scheduler)
    values = values_at(twin, rates)
    values["per_device"] = values["output_throughput"] / on.plan.devices
    load = Load(known.input_tokens, known.output_tokens)
    running = np.where(np.isnan(values["running"]), len(twin.steps) - 1.0, values["running"])
    values |= _powered(on, watts_at(on, twin, rates), values["output_throughput"], power, pue)
    values["beyond"] = out_of_range = beyond([on], load, running)[0]
    bands = (
        np.full(rates.size, on.calibration.ttft_band),
        np.full(rates.size, on.calibration.error_band),
    )
    values |= banded(values["ttft_s"], values["tpot_s"], widened(bands[0], out_of_range), bands[1])
    table: xr.Dataset = xarray.Dataset(
        {name: ("rate", values[name]) for name in (*OPEN_UNITS, *_ALIKE)},
        coords={"rate": ("rate", rates, {"units": "1/s"})},
        attrs={
            "device": on.device.name,
            "model": on.model.name,
            "plan": on.plan.label(on.model),
            "input_tokens": known.input_tokens,
            "output_tokens": known.output_tokens,
            "fidelity": fidelity,
            "calibrated_on": on.calibration.calibrated_on,
            "beyond": said([on], load, running),
            "power": power,
            "watts_band": on.power.band,
            "devices": on.plan.devices,
            "provisioned_w_per_device": on.power.provisioned_w,
            "provisioned_kind": on.power.provisioned_kind,
            "saturation_per_s": twin.saturation,
            "places": len(twin.steps) - 1,
            "reason": unknown(power, on.device) if known.output_tokens > 1.0 else ONE_TOKEN,
            "load": "open loop: requests arrive at random; percentiles by three moments",
        },
    )
    for name, (units, long_name) in (UNITS | OPEN_UNITS).items():
        if name in table:
            table[name].attrs.update(units=units, long_name=long_name)
    return table


def _powered(
    on: Deployment,
    board: NDArray[np.float64],
    rate: NDArray[np.float64],
    power: str,
    pue: float,
) -> dict[str, NDArray[np.float64]]:
    """Watts of a replica, and what they yield, by the names of the closed loop."""
    devices = np.array([[float(on.plan.devices)]])
    shown = {name: x[0] for name, x in powers_of([on.power], devices, board[None], pue).items()}
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "watts": board,
            "chassis_watts": shown["chassis"],
            "provisioned_watts": shown["provisioned"],
            "facility_watts": shown["facility"],
            "output_tokens_per_joule": rate / board,
            "output_tokens_per_s_per_mw": rate / shown[power] * 1e6,
        }
