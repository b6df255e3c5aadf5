"""Serving in closed loop: throughput against speed per user, and the load that an objective allows.

So many requests are in flight, each answered one followed by the next. `tokenroof.kernels.serving` holds
the formulas: the batch that the memory allows, prompts that pass through the steps of the others, bursts,
and the queue for a slot. Times are means.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import _core, dtypes, kernels
from tokenroof._inputs import (
    amounts,
    as_device,
    as_model,
    as_plan,
    check_links,
    check_units,
    link_domain,
    number,
)
from tokenroof._lazy import require
from tokenroof.calibration import Calibration, resolve
from tokenroof.plan import Plan
from tokenroof.power import band as power_band
from tokenroof.power import host_power, provisioned_power

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import ArrayLike, NDArray

    from tokenroof.device import Device
    from tokenroof.model import Model

_FIELD = {name: i for i, name in enumerate(_core.SERVING_FIELDS)}

#: Which power counts in ``output_tokens_per_s_per_mw``.
POWERS = ("provisioned", "board", "chassis", "facility", "dashboard")

_UNITS = {
    "ttft_s": ("s", "mean time to the first token"),
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
}


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


def _powers(
    device: Device, devices: NDArray[np.float64], board: NDArray[np.float64], pue: float
) -> dict[str, NDArray[np.float64]]:
    """Watts of a replica by name, from its boards' by load."""
    provisioned, kind = provisioned_power(device)
    chassis = board + devices * host_power(device)
    return {
        "board": board,
        "chassis": chassis,
        "provisioned": devices * provisioned + 0.0 * board,
        "facility": pue * chassis,
        # what the public dashboard divides by: only the devices that it shows have one
        "dashboard": devices * (provisioned if kind == "catalogue" else np.nan) + 0.0 * board,
    }


def _evaluate(
    device: Device,
    model: Model,
    plans: Sequence[Plan],
    load: _Load,
    concurrency: NDArray[np.float64],
    fidelity: str | Calibration,
    power: str = "provisioned",
    pue: float = 1.2,
) -> dict[str, NDArray[Any]]:
    """All quantities over (plan, concurrency)."""
    d, m = device.pack(), model.pack()
    p = np.stack([plan.on(device).pack() for plan in plans])[:, None, :]
    calibrations = [resolve(fidelity, device, plan) for plan in plans]
    c = np.stack([cal.pack() for cal in calibrations])[:, None, :]
    band = np.array([cal.error_band for cal in calibrations])[:, None]
    ttft_band = np.array([cal.ttft_band for cal in calibrations])[:, None]
    devices = np.array([plan.devices for plan in plans], dtype=float)[:, None]

    served = kernels.serving(  # type: ignore[attr-defined]
        d, c, m, p, concurrency, load.input_tokens, load.output_tokens
    )
    ttft, tpot, rate, watts = (
        served[..., _FIELD[name]] for name in ("ttft", "tpot", "output_rate", "watts")
    )
    shown = _powers(device, devices, watts, pue)
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
            "tpot_low_s": tpot / (1.0 + band),
            "tpot_high_s": tpot * (1.0 + band),
            "ttft_low_s": ttft / (1.0 + ttft_band),
            "ttft_high_s": ttft * (1.0 + ttft_band),
        }
    out["fits"] = np.broadcast_to(served[..., _FIELD["slots"]] >= 1.0, rate.shape).copy()
    out["error_band"] = np.broadcast_to(band, rate.shape).copy()
    out["ttft_error_band"] = np.broadcast_to(ttft_band, rate.shape).copy()
    return out


def _power(name: str, pue: float) -> tuple[str, float]:
    if name not in POWERS:
        raise ValueError(f"power is {name!r}; allowed: {', '.join(POWERS)}")
    if not 1.0 <= number(pue) < np.inf:
        raise ValueError(f"pue is {pue!r}; allowed: finite numbers >= 1")
    return name, float(pue)


def _concurrency(value: ArrayLike) -> NDArray[np.float64]:
    array = np.atleast_1d(amounts("concurrency", value, positive=True))
    if array.ndim > 1:
        raise ValueError(f"concurrency has {array.ndim} dimensions; allowed: one")
    return array


def _attributes(
    device: Device,
    model: Model,
    load: _Load,
    fidelity: str | Calibration,
    plan: Plan | str,
    power: str,
) -> dict[str, Any]:
    provisioned, kind = provisioned_power(device)
    calibration = resolve(fidelity, device, plan)
    return {
        "device": device.name,
        "model": model.name,
        "input_tokens": load.input_tokens,
        "output_tokens": load.output_tokens,
        "fidelity": fidelity if isinstance(fidelity, str) else fidelity.name,
        "calibrated_on": calibration.calibrated_on,
        "power": power,
        "watts_band": power_band(device),
        "provisioned_w_per_device": provisioned,
        "provisioned_kind": kind,
        "load": "closed loop: requests in flight are constant; times are means",
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
    power: str = "provisioned",
    pue: float = 1.2,
) -> xr.Dataset:
    """Latency and throughput of one replica against concurrency, in closed loop.

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
    power : {"provisioned", "board", "chassis", "facility", "dashboard"}
        Which power ``output_tokens_per_s_per_mw`` counts: what the site sets aside per device, all in;
        the boards' by load; their servers' at the wall; that times `pue`; or the InferenceX dashboard's
        constant per device, whatever the load.
    pue : float
        Facility power over IT power [1].

    Returns
    -------
    xarray.Dataset
        Over ``concurrency``, with units in ``attrs``. Requests beyond the cache's memory queue, and
        their wait is part of ``ttft_s``. Where weights and one request's cache do not fit, ``fits`` is
        false and times and rates are NaN.

    Raises
    ------
    KeyError, ValueError, TypeError
        As in `tokenroof.decode`.
    ImportError
        Without xarray: the extra ``analysis``.

    Notes
    -----
    ``watts`` is board power by load. The bands of TPOT and TTFT hold four in five of the serving points
    of combinations of model, device and engine that their constants had not seen.

    References
    ----------
    docs/step-model.md, section 8.

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
    values = _evaluate(d, m, [p], load, users, fidelity, *_power(power, pue))
    table = xarray.Dataset(
        {name: ("concurrency", array[0]) for name, array in values.items()},
        coords={"concurrency": ("concurrency", users, {"units": "1"})},
        attrs={**_attributes(d, m, load, fidelity, p, power), "plan": p.label()},
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


def released_types(model: Model) -> tuple[str, str] | None:
    """Types of a released checkpoint, of its experts and of the rest, where these are narrow.

    Examples
    --------
    >>> import tokenroof as tr
    >>> released_types(tr.model("gpt-oss-120b")), released_types(tr.model("Llama-3.1-8B"))
    (('bf16', 'mxfp4'), None)
    """
    experts, _, rest = model.native_dtype.partition(" experts")
    if rest.endswith(" rest") and experts in dtypes.NAMES:
        return rest.rpartition(", ")[2].removesuffix(" rest"), experts
    return ("fp8_block", "fp8_block") if "fp8" in experts and "block" in experts else None


def default_plans(
    device: Device, model: Model, devices_max: int | None = None, engine: str = "vllm"
) -> list[Plan]:
    """Plans worth trying: powers of two of tensor and attention-data parallelism, experts spread.

    Types are the device's narrowest (`native_types`), and those that the model was released in
    (`released_types`); layouts that do not divide the model are left out.

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
    types, released = [(weights, weights)], released_types(model)
    if released == ("fp8_block", "fp8_block") and weights == "fp8":
        types = [released]
    elif released and released != types[0]:
        types.append(released)
    plans = []
    for tp, dp, (weights, experts) in product(powers, powers if model.experts else [1], types):
        if tp * dp > most:
            continue
        for ep in {tp * dp, dp} if model.experts else {dp}:
            plan = Plan(tp=tp, dp=dp, moe_ep=ep, weights=weights, experts=experts, kv_cache=cache,
                        engine=engine)  # fmt: skip
            try:
                plan.check(model)
                check_units(device, plan)
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
    power: str = "provisioned",
    pue: float = 1.2,
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
    power, pue
        As in `curve`: which megawatts count.

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
    power, pue = _power(power, pue)
    if plans is None:
        tried = default_plans(d, m, devices_max, engine)
    else:
        if isinstance(plans, (Plan, str)) or not isinstance(plans, Iterable):
            raise TypeError(f"plans is {plans!r}; allowed: a sequence of Plan, or None")
        tried = [as_plan(p) for p in plans]
        for p in tried:
            p.check(m)
            check_links(d, p)
            check_units(d, p)
    users = (
        np.unique(np.round(np.geomspace(1, 16384, 64)))
        if concurrency is None
        else _concurrency(concurrency)
    )
    names = [*_UNITS]
    if tried:
        values = _evaluate(d, m, tried, load, users, fidelity, power, pue)
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
    table = xarray.Dataset(data, attrs=_attributes(d, m, load, fidelity, engine, power))
    table.attrs["plans_tried"] = len(tried)
    return _describe(table)


@dataclass(frozen=True)
class SLO:
    """What users are promised: upper bounds on the mean times of a request; None: no bound.

    Parameters
    ----------
    ttft_s : float, optional
        Time to the first token [s].
    tpot_s : float, optional
        Time per output token after the first [s].
    percentile : float, optional
        Of the requests that must be as fast, over 0 and below 100; None: the mean request. `capacity`
        knows means alone.
    sure : bool
        Hold the upper ends of the error bands to the bounds, not the estimates.

    Raises
    ------
    ValueError
        For a bound that is not a positive number, or a percentile out of range.

    Examples
    --------
    >>> SLO(ttft_s=1.0, tpot_s=0.02).tpot_s
    0.02
    """

    ttft_s: float | None = None
    tpot_s: float | None = None
    percentile: float | None = None
    sure: bool = False

    def __post_init__(self) -> None:
        for name in ("ttft_s", "tpot_s"):
            value = getattr(self, name)
            if value is None:
                continue
            if not 0.0 < number(value) < np.inf:
                raise ValueError(f"{name} is {value!r}; allowed: a positive number, or None")
        share = self.percentile
        if share is not None and not 0.0 < number(share) < 100.0:
            raise ValueError(
                f"percentile is {share!r}; allowed: numbers over 0 and below 100, or None"
            )
        if not isinstance(self.sure, (bool, np.bool_)):
            raise ValueError(f"sure is {self.sure!r}; allowed: True or False")


# Replicas are not asked to hold more requests in flight than this.
_MOST_REQUESTS = 2.0**24


def capacity(
    device: str | Device,
    model: str | Model,
    plan: Plan | None,
    slo: SLO,
    input_tokens: float = 1024,
    output_tokens: float = 1024,
    fidelity: str | Calibration = "calibrated",
    power: str = "provisioned",
    pue: float = 1.2,
) -> xr.Dataset:
    """The most load of one replica that meets an objective on mean times.

    Both times grow with the requests in flight, so the most is found by halving an interval of whole
    numbers. No more than 2**24 = 16,777,216 requests are looked at: an objective that these meet has that
    answer.

    Parameters
    ----------
    device, model, plan, input_tokens, output_tokens, fidelity, power, pue
        As in `curve`.
    slo : SLO
        Bounds on TTFT and TPOT.

    Returns
    -------
    xarray.Dataset
        `curve` at the largest ``concurrency`` that meets the objective, without a dimension. Where not
        even one request does, or none fits, ``concurrency`` is 0 and all else NaN.

    Raises
    ------
    KeyError, ValueError, TypeError
        As in `curve`; TypeError if `slo` is not an `SLO`; ValueError if it has no bound, asks for a
        percentile, or is to be sure of times whose error band is unknown (``fidelity="datasheet"``).

    Examples
    --------
    >>> most = capacity("H200-SXM", "Llama-3.1-8B", None, SLO(tpot_s=0.02))
    >>> bool(most.tpot_s <= 0.02), int(most.concurrency) > 64
    (True, True)
    """
    if not isinstance(slo, SLO):
        raise TypeError(f"slo is {slo!r}; allowed: an SLO")
    if slo.ttft_s is None and slo.tpot_s is None:
        raise ValueError("slo has neither ttft_s nor tpot_s; allowed: at least one bound")
    if slo.percentile is not None:
        raise ValueError(
            f"percentile is {slo.percentile!r}; allowed: None, as the closed form gives means"
        )

    if slo.sure:
        known = resolve(fidelity, as_device(device), as_plan(plan))
        for name, band in (("ttft_s", known.ttft_band), ("tpot_s", known.error_band)):
            if getattr(slo, name) is not None and not np.isfinite(band):
                raise ValueError(
                    f"sure is True with {name} and fidelity {known.name!r}, whose error band is unknown; "
                    "allowed: sure=False, or a fidelity with a band, as 'calibrated' has"
                )

    def at(users: float) -> xr.Dataset:
        return curve(
            device, model, plan, input_tokens, output_tokens, [users], fidelity, power, pue
        ).isel(concurrency=0)

    end = "_high_s" if slo.sure else "_s"

    def meets(table: xr.Dataset) -> bool:
        return all(
            bound is None or bool(table[name + end] <= bound)
            for name, bound in (("ttft", slo.ttft_s), ("tpot", slo.tpot_s))
        )

    best = at(1.0)
    if not meets(best):
        nothing = best.where(False)
        nothing["fits"] = best["fits"]
        return nothing.assign_coords(concurrency=0.0)
    low, high = 1.0, 2.0
    while meets(table := at(high)):
        low, best = high, table
        if low >= _MOST_REQUESTS:
            return best
        high = 2.0 * low
    while high - low > 1.0:
        middle = float(np.floor(0.5 * (low + high)))
        if meets(table := at(middle)):
            low, best = middle, table
        else:
            high = middle
    return best
