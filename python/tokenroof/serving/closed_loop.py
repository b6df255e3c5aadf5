"""All quantities of deployments under a closed loop, from one call of the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import _core, kernels
from tokenroof.serving.beyond import beyond, said, widened
from tokenroof.serving.finite import served_run
from tokenroof.serving.loads import timed
from tokenroof.support.quoting import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from tokenroof.records.calibration import Calibration
    from tokenroof.records.deployment import Deployment, DevicePower
    from tokenroof.serving.loads import Load

__all__ = ["UNITS", "attributes", "banded", "describe", "described", "evaluate", "powers_of"]

_FIELD = {name: i for i, name in enumerate(_core.SERVING_FIELDS)}


UNITS = {
    "ttft_s": ("s", "mean time to the first token, with what the engine takes beside"),
    "tpot_s": ("s", "mean time per output token after the first"),
    "interactivity": ("token/s", "output tokens per second of one user, 1 / TPOT"),
    "latency_s": ("s", "mean time from a request to its last token"),
    "output_throughput": ("token/s", "output tokens of the replica per second"),
    "input_throughput": ("token/s", "prompt tokens of the replica per second"),
    "total_throughput": ("token/s", "input and output tokens of the replica per second"),
    "per_device": ("token/s", "output tokens per second and device"),
    "batch": ("1", "sequences in the engine's batch, at most what the memory holds"),
    "queue_s": ("s", "part of the time to the first token that waits for a slot"),
    "watts": ("W", "mean board power of the replica, by load"),
    "chassis_watts": ("W", "power of the replica's servers at the wall, by load"),
    "provisioned_watts": ("W", "power that the site sets aside for the replica, all in"),
    "facility_watts": ("W", "power of the servers times PUE"),
    "output_tokens_per_joule": ("token/J", "output tokens per joule of board energy"),
    "output_tokens_per_s_per_mw": ("token/(s MW)", "output tokens per second and MW"),
    "fits": ("1", "whether weights, and one request's cache, fit the memory"),
    "tpot_low_s": ("s", "TPOT at the lower end of its error band"),
    "tpot_high_s": ("s", "TPOT at the upper end of its error band"),
    "ttft_low_s": ("s", "TTFT at the lower end of its error band"),
    "ttft_high_s": ("s", "TTFT at the upper end of its error band"),
    "error_band": ("1", "relative band that holds four in five measured TPOT; NaN where unknown"),
    "ttft_error_band": (
        "1",
        "relative band that holds four in five measured TTFT; NaN where unknown",
    ),
    "beyond": (
        "1",
        "whether load, model or replica lie beyond what the engine's constants were fitted on",
    ),
}


def powers_of(
    powers: Sequence[DevicePower],
    devices: NDArray[np.float64],
    board: NDArray[np.float64],
    pue: float,
) -> dict[str, NDArray[np.float64]]:
    """Watts of replicas by name, from their boards' by load, over (deployment, load)."""
    provisioned = np.array([power.provisioned_w for power in powers])[:, None]
    known = np.array([power.provisioned_kind == "catalogue" for power in powers])[:, None]
    chassis = board + devices * powers[0].host_w
    return {
        "board": board,
        "chassis": chassis,
        "provisioned": np.broadcast_to(devices * provisioned, board.shape).copy(),
        "facility": pue * chassis,
        # what the public dashboard divides by: only the devices that it shows have one
        "dashboard": np.broadcast_to(devices * np.where(known, provisioned, np.nan), board.shape),
    }


_BLOCK = 2**13  # points of a call, after which Ctrl-C is heard


def _served(
    records: tuple[NDArray[np.float64], ...], concurrency: NDArray[np.float64], load: Load
) -> NDArray[np.float64]:
    """The kernel over (deployment, concurrency), so many points at a time."""
    d, c, m, p = records
    columns = max(1, _BLOCK // len(c))
    parts = []
    for at in range(0, max(concurrency.size, 1), columns):
        users = concurrency[at : at + columns]
        if np.isfinite(load.requests):
            parts.append(served_run(records, users, load))
        else:
            with np.errstate(
                over="ignore"
            ):  # the wait of more users than a number holds is infinite
                found = kernels.serving(d, c, m, p, users, load.input_tokens, load.output_tokens)
            parts.append(found)
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def evaluate(
    on: Sequence[Deployment],
    load: Load,
    concurrency: NDArray[np.float64],
    power: str = "provisioned",
    pue: float = 1.2,
) -> dict[str, NDArray[Any]]:
    """All quantities over (deployment, concurrency), of deployments on one device."""
    d, m = on[0].records[0], on[0].records[2]
    c, p = (np.stack([one.records[i] for one in on])[:, None, :] for i in (1, 3))
    band = np.array([one.calibration.error_band for one in on])[:, None]
    out_of_range = beyond(on, load, concurrency)
    ttft_band = np.array([one.calibration.ttft_band for one in on])[:, None]
    ttft_band = widened(ttft_band, out_of_range)
    devices = np.array([one.plan.devices for one in on], dtype=float)[:, None]

    served = _served((d, c, m, p), concurrency, load)
    ttft, tpot, rate, watts = (
        served[..., _FIELD[name]] for name in ("ttft", "tpot", "output_rate", "watts")
    )
    tpot = timed(load.output_tokens, tpot)
    shown = powers_of([one.power for one in on], devices, watts, pue)
    with np.errstate(invalid="ignore", divide="ignore"):
        out = {
            "ttft_s": ttft,
            "tpot_s": tpot,
            "interactivity": 1.0 / tpot,
            "latency_s": served[..., _FIELD["latency"]],
            "output_throughput": rate,
            "input_throughput": rate * load.input_tokens / load.output_tokens,
            "total_throughput": rate * (1.0 + load.input_tokens / load.output_tokens),
            "per_device": rate / devices,
            "batch": served[..., _FIELD["batch"]],
            "queue_s": served[..., _FIELD["queue_s"]],
            "watts": watts,
            "chassis_watts": shown["chassis"],
            "provisioned_watts": shown["provisioned"],
            "facility_watts": shown["facility"],
            "output_tokens_per_joule": rate / watts,
            "output_tokens_per_s_per_mw": rate / shown[power] * 1e6,
            **banded(ttft, tpot, ttft_band, band),
        }
    out["fits"] = np.broadcast_to(served[..., _FIELD["slots"]] >= 1.0, rate.shape).copy()
    out["beyond"] = out_of_range
    return out


def banded(
    ttft: NDArray[np.float64],
    tpot: NDArray[np.float64],
    ttft_band: NDArray[np.float64],
    band: NDArray[np.float64],
) -> dict[str, NDArray[np.float64]]:
    """Ends of the bands of both times, and the bands."""
    return {
        "tpot_low_s": tpot / (1.0 + band),
        "tpot_high_s": tpot * (1.0 + band),
        "ttft_low_s": ttft / (1.0 + ttft_band),
        "ttft_high_s": ttft * (1.0 + ttft_band),
        "error_band": np.broadcast_to(band, tpot.shape).copy(),
        "ttft_error_band": np.broadcast_to(ttft_band, ttft.shape).copy(),
    }


def attributes(
    every: Sequence[Deployment],
    load: Load,
    users: NDArray[np.float64],
    fidelity: str | Calibration,
    calibrated_on: str,
    power: str,
) -> dict[str, Any]:
    """What a table says of itself."""
    on = every[0]
    return {
        "device": on.device.name,
        "vendor": on.device.vendor,
        "family": on.device.family,
        "model": on.model.name,
        "input_tokens": load.input_tokens,
        "output_tokens": load.output_tokens,
        "fidelity": fidelity if isinstance(fidelity, str) else fidelity.name,
        "calibrated_on": calibrated_on,
        "beyond": said(every, load, users),
        "power": power,
        "watts_band": on.power.band,
        "provisioned_w_per_device": on.power.provisioned_w,
        "provisioned_kind": on.power.provisioned_kind,
        "load": "closed loop: requests in flight are constant; times are means"
        + (
            f"; a run of {counted(load.requests, 'request', 'g')}"
            if np.isfinite(load.requests)
            else ""
        ),
    }


def described(name: str) -> dict[str, Any]:
    """Units and long name of a variable, where it has them."""
    if name not in UNITS:
        return {}
    units, long_name = UNITS[name]
    return {"units": units, "long_name": long_name}


def describe(table: xr.Dataset) -> xr.Dataset:
    """Put units and long names on the variables."""
    for name in UNITS:
        if name in table:
            table[name].attrs.update(described(name))
    return table
