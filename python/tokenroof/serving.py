"""Serving under load, in closed form: throughput against speed per user.

Steady decode at a concurrency, with each request's prefill shared in: while a request decodes its
output, the engine also prefills the prompts of the ``batch - 1`` others, so

    TPOT = step(batch) + (batch - 1) / output_tokens * extra / (pp dp)

where ``extra`` is what prefills add to a step that carries one on each of the dp attention ranks.
TTFT is the prefill inside the batch, plus half a step of waiting for the step that runs. Both are
means without a queue.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import _core, kernels
from tokenroof._inputs import (
    amounts,
    as_device,
    as_model,
    as_plan,
    check_links,
    check_units,
    link_domain,
)
from tokenroof._lazy import require
from tokenroof.calibration import Calibration, resolve
from tokenroof.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import ArrayLike, NDArray

    from tokenroof.device import Device
    from tokenroof.model import Model

_STEP = {name: i for i, name in enumerate(_core.STEP_FIELDS)}
#: Share of the memory that weights and caches may take; the rest is the engine's.
MEMORY_SHARE = 0.9
# Provisioned power over chassis or rack power, and over board power, for devices without a figure of
# their own: the public all-in constants are 1.36 times the system's power for H100, the keynote's 300 K
# Rubin in a GW 1.26; over the board's limit they are 2.1 (GB200) to 2.5 (H100).
_PROVISIONED_OVER_SYSTEM = 1.3
_PROVISIONED_OVER_TDP = 2.2

_UNITS = {
    "ttft_s": ("s", "mean time to the first token"),
    "tpot_s": ("s", "mean time per output token after the first"),
    "interactivity": ("token/s", "output tokens per second of one user, 1 / TPOT"),
    "output_throughput": ("token/s", "output tokens of the replica per second"),
    "input_throughput": ("token/s", "prompt tokens of the replica per second"),
    "total_throughput": ("token/s", "input and output tokens of the replica per second"),
    "per_device": ("token/s", "output tokens per second and device"),
    "watts": ("W", "mean board power of the replica"),
    "provisioned_watts": ("W", "power that the site sets aside for the replica, all in"),
    "output_tokens_per_joule": ("token/J", "output tokens per joule of board energy"),
    "output_tokens_per_s_per_mw": ("token/(s MW)", "output tokens per second and provisioned MW"),
    "fits": ("1", "whether weights and caches fit into nine tenths of the memory"),
    "tpot_low_s": ("s", "TPOT at the lower end of the error band"),
    "tpot_high_s": ("s", "TPOT at the upper end of the error band"),
    "error_band": ("1", "relative band around predicted times; NaN where unknown"),
}


def provisioned_power(device: Device) -> tuple[float, str]:
    """Power that a site sets aside per device [W], and what kind of figure it is.

    Examples
    --------
    >>> import tokenroof as tr
    >>> provisioned_power(tr.device("H100-SXM"))[0]
    1730.0
    """
    if device.provisioned_power_w:
        return float(device.provisioned_power_w), "catalogue"
    if device.system_power_w:
        factor = _PROVISIONED_OVER_SYSTEM
        return factor * float(device.system_power_w), f"estimate: {factor} x system power"
    if device.tdp_w:
        return _PROVISIONED_OVER_TDP * float(
            device.tdp_w
        ), f"estimate: {_PROVISIONED_OVER_TDP} x TDP"
    return float("nan"), "unknown"


@dataclass(frozen=True)
class _Load:
    input_tokens: float
    output_tokens: float

    @property
    def context(self) -> float:
        """Mean cached tokens while decoding."""
        return self.input_tokens + 0.5 * self.output_tokens


def _load(input_tokens: float, output_tokens: float) -> _Load:
    sizes = []
    for name, value in (("input_tokens", input_tokens), ("output_tokens", output_tokens)):
        array = amounts(name, value, positive=True)
        if array.ndim:
            raise ValueError(f"{name} has {array.ndim} dimensions; allowed: one number, a mean")
        sizes.append(float(array))
    return _Load(*sizes)


def _evaluate(
    device: Device,
    model: Model,
    plans: Sequence[Plan],
    load: _Load,
    concurrency: NDArray[np.float64],
    fidelity: str | Calibration,
) -> dict[str, NDArray[Any]]:
    """All quantities over (plan, concurrency)."""
    d, m = device.pack(), model.pack()
    p = np.stack([plan.pack() for plan in plans])[:, None, :]
    calibrations = [resolve(fidelity, device, plan.engine) for plan in plans]
    c = np.stack([cal.pack() for cal in calibrations])[:, None, :]
    band = np.array([cal.error_band for cal in calibrations])[:, None]
    devices = np.array([plan.devices for plan in plans], dtype=float)[:, None]
    ranks = np.array([plan.dp for plan in plans], dtype=float)[:, None]
    lanes = np.array([plan.pp * plan.dp for plan in plans], dtype=float)[:, None]

    needed = kernels.memory_required(m, p, concurrency, load.input_tokens + load.output_tokens)  # type: ignore[attr-defined]
    fits = needed <= MEMORY_SHARE * (device.memory_bytes or np.inf)
    decode = kernels.decode_step(d, c, m, p, concurrency, load.context)  # type: ignore[attr-defined]
    both = kernels.mixed_prompts_step(  # type: ignore[attr-defined]
        d, c, m, p, concurrency, load.context, ranks, load.input_tokens, 0.0
    )
    step, carrying = decode[..., _STEP["time"]], both[..., _STEP["time"]]
    with np.errstate(invalid="ignore", divide="ignore"):
        extra = carrying - step
        others = np.maximum(concurrency - 1.0, 0.0)
        tpot = step + others / load.output_tokens * extra / lanes
        ttft = carrying + np.where(concurrency > 1.0, 0.5 * step, 0.0)
        request = ttft + np.maximum(load.output_tokens - 1.0, 0.0) * tpot
        rate = concurrency * load.output_tokens / request
        prefilling = np.clip(1.0 - step / tpot, 0.0, 1.0)
        watts = (1.0 - prefilling) * decode[..., _STEP["watts"]] + prefilling * both[
            ..., _STEP["watts"]
        ]
        provisioned = devices * provisioned_power(device)[0] + 0.0 * rate
        out = {
            "ttft_s": ttft,
            "tpot_s": tpot,
            "interactivity": 1.0 / tpot,
            "output_throughput": rate,
            "input_throughput": rate * load.input_tokens / load.output_tokens,
            "total_throughput": rate * (1.0 + load.input_tokens / load.output_tokens),
            "per_device": rate / devices,
            "watts": watts,
            "provisioned_watts": provisioned,
            "output_tokens_per_joule": rate / watts,
            "output_tokens_per_s_per_mw": rate / provisioned * 1e6,
            "tpot_low_s": tpot / (1.0 + band),
            "tpot_high_s": tpot * (1.0 + band),
        }
    full = np.broadcast_to(fits, rate.shape)
    for name, values in out.items():
        out[name] = np.where(full, values, np.nan)
    out["fits"] = full.copy()
    out["error_band"] = np.broadcast_to(band, rate.shape).copy()
    return out


def _concurrency(value: ArrayLike) -> NDArray[np.float64]:
    array = np.atleast_1d(amounts("concurrency", value, positive=True))
    if array.ndim > 1:
        raise ValueError(f"concurrency has {array.ndim} dimensions; allowed: one")
    return array


def _attributes(
    device: Device, model: Model, load: _Load, fidelity: str | Calibration, engine: str
) -> dict[str, Any]:
    power, kind = provisioned_power(device)
    calibration = resolve(fidelity, device, engine)
    return {
        "device": device.name,
        "model": model.name,
        "input_tokens": load.input_tokens,
        "output_tokens": load.output_tokens,
        "fidelity": fidelity if isinstance(fidelity, str) else fidelity.name,
        "calibrated_on": calibration.calibrated_on,
        "provisioned_w_per_device": power,
        "provisioned_kind": kind,
        "memory_share": MEMORY_SHARE,
        "queue": "none: closed form of a steady load",
    }


def _describe(table: xr.Dataset) -> xr.Dataset:
    for name, (units, long_name) in _UNITS.items():
        if name in table:
            table[name].attrs.update(units=units, long_name=long_name)
    return table


def curve(
    device: str | Device,
    model: str | Model,
    plan: Plan | None = None,
    input_tokens: float = 1024,
    output_tokens: float = 1024,
    concurrency: ArrayLike = (1, 2, 4, 8, 16, 32, 64, 128, 256),
    fidelity: str | Calibration = "calibrated",
) -> xr.Dataset:
    """Latency and throughput of one replica against concurrency.

    Parameters
    ----------
    device, model : str or record
        Catalogue name, or your own `Device` and `Model`.
    plan : Plan, optional
        Layout and types; one device in bf16 by default.
    input_tokens, output_tokens : float
        Mean tokens of prompt and answer [1].
    concurrency : array_like, 1-d
        Requests in flight over the replica [1].
    fidelity : {"calibrated", "datasheet"} or Calibration
        Constants of the device's generation, or an upper bound on speed, or your own.

    Returns
    -------
    xarray.Dataset
        Over ``concurrency``, with units in ``attrs``. Where the requests do not fit the memory,
        ``fits`` is false and times and rates are NaN.

    Raises
    ------
    KeyError, ValueError, TypeError
        As in `tokenroof.decode`.
    ImportError
        Without xarray: the extra ``analysis``.

    Notes
    -----
    Closed form, without a queue: see the module. ``watts`` is board power by load;
    ``output_tokens_per_s_per_mw`` counts the power that a site provisions.

    Examples
    --------
    >>> table = curve("H200-SXM", "Llama-3.1-8B", concurrency=[1, 64])
    >>> bool(table.output_throughput[1] > 10 * table.output_throughput[0])
    True
    """
    xarray = require("xarray", extra="analysis")
    d, m, p = as_device(device), as_model(model), as_plan(plan)
    p.check(m)
    check_links(d, p)
    check_units(d, p)
    load, users = _load(input_tokens, output_tokens), _concurrency(concurrency)
    values = _evaluate(d, m, [p], load, users, fidelity)
    table = xarray.Dataset(
        {name: ("concurrency", array[0]) for name, array in values.items()},
        coords={"concurrency": ("concurrency", users, {"units": "1"})},
        attrs={**_attributes(d, m, load, fidelity, p.engine), "plan": p.label()},
    )
    return _describe(table)


def native_types(device: Device) -> tuple[str, str]:
    """Narrowest types of weights and cache that this device has units for.

    Examples
    --------
    >>> import tokenroof as tr
    >>> native_types(tr.device("H100-SXM"))
    ('fp8', 'fp8')
    """
    for kind, weights in (("fp4", "nvfp4"), ("fp8", "fp8")):
        if kind in device.peak:
            return weights, "fp8"
    return "bf16", "bf16"


def default_plans(
    device: Device, model: Model, devices_max: int | None = None, engine: str = "vllm"
) -> list[Plan]:
    """Plans worth trying: powers of two of tensor and attention-data parallelism, experts spread.

    Types are the device's narrowest (`native_types`); layouts that do not divide the model are left
    out.

    Examples
    --------
    >>> import tokenroof as tr
    >>> plans = default_plans(tr.device("H200-SXM"), tr.model("Llama-3.1-8B"), devices_max=8)
    >>> [plan.tp for plan in plans]
    [1, 2, 4, 8]
    """
    if devices_max is None:
        devices_max = max(device.link_domain_size or 1, 8)
    if (
        isinstance(devices_max, bool)
        or not isinstance(devices_max, (int, np.integer))
        or devices_max < 1
    ):
        raise ValueError(f"devices_max is {devices_max!r}; allowed: a positive integer")
    domain = link_domain(device)
    most = int(devices_max) if device.node_link_bandwidth else min(int(devices_max), domain)
    powers = [2**i for i in range(most.bit_length()) if 2**i <= most]
    weights, cache = native_types(device)
    plans = []
    for tp, dp in product(powers, powers if model.experts else [1]):
        if tp * dp > most:
            continue
        for ep in {tp * dp, dp} if model.experts else {dp}:
            plan = Plan(tp=tp, dp=dp, moe_ep=ep, weights=weights, kv_cache=cache, engine=engine)
            try:
                plan.check(model)
            except ValueError:
                continue
            plans.append(plan)
    return plans


def frontier(
    device: str | Device,
    model: str | Model,
    plans: Sequence[Plan] | None = None,
    input_tokens: float = 1024,
    output_tokens: float = 1024,
    devices_max: int | None = None,
    concurrency: ArrayLike | None = None,
    fidelity: str | Calibration = "calibrated",
    engine: str = "vllm",
) -> xr.Dataset:
    """The Pareto set over plans and batches: most tokens per MW at each speed per user.

    Parameters
    ----------
    device, model : str or record
        Catalogue name, or your own `Device` and `Model`.
    plans : sequence of Plan, optional
        `default_plans` by default.
    input_tokens, output_tokens : float
        Mean tokens of prompt and answer [1].
    devices_max : int, optional
        Devices of the largest replica; by default those that one link domain joins.
    concurrency : array_like, optional
        Requests in flight to try; by default 64 steps from 1 to 16,384.
    fidelity : {"calibrated", "datasheet"} or Calibration
        As in `curve`.
    engine : str
        Engine of the default plans.

    Returns
    -------
    xarray.Dataset
        Over ``point``, by growing interactivity, with the variables of `curve` and ``plan``,
        ``concurrency``, ``devices``. Empty where no plan fits the memory.

    Raises
    ------
    KeyError, ValueError, TypeError
        As in `tokenroof.decode`.

    Examples
    --------
    >>> front = frontier("H200-SXM", "Llama-3.1-8B", devices_max=8)
    >>> bool((np.diff(front.output_tokens_per_s_per_mw) < 0).all())
    True
    """
    xarray = require("xarray", extra="analysis")
    d, m = as_device(device), as_model(model)
    load = _load(input_tokens, output_tokens)
    if plans is None:
        tried = default_plans(d, m, devices_max, engine)
    else:
        tried = [as_plan(p) for p in plans]
        for p in tried:
            p.check(m)
            check_links(d, p)
    users = (
        np.unique(np.round(np.geomspace(1, 16384, 64)))
        if concurrency is None
        else _concurrency(concurrency)
    )
    names = [*_UNITS]
    if tried:
        values = _evaluate(d, m, tried, load, users, fidelity)
        speed, yield_ = values["interactivity"], values["output_tokens_per_s_per_mw"]
        # from the fastest user on, a point counts if no faster one yields as much
        order = np.lexsort((-yield_.ravel(), -speed.ravel()))
        usable = np.isfinite(speed.ravel()[order]) & np.isfinite(yield_.ravel()[order])
        order = order[usable]
        best = np.maximum.accumulate(np.concatenate([[-np.inf], yield_.ravel()[order]]))
        chosen = order[yield_.ravel()[order] > best[:-1]][::-1]
    else:
        values = {name: np.empty((0, users.size)) for name in names}
        chosen = np.empty(0, dtype=int)
    row, column = np.unravel_index(chosen, (max(len(tried), 1), users.size))
    data: dict[str, Any] = {name: ("point", values[name].ravel()[chosen]) for name in names}
    labels = np.array([p.label() for p in tried] or [""])
    data["plan"] = ("point", labels[row])
    data["concurrency"] = ("point", users[column])
    data["devices"] = ("point", np.array([p.devices for p in tried] or [0])[row])
    table = xarray.Dataset(data, attrs=_attributes(d, m, load, fidelity, engine))
    table.attrs["plans_tried"] = len(tried)
    return _describe(table)
