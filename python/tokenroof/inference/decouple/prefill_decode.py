"""Prefill on one pool, decode on another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from tokenroof import _core, kernels
from tokenroof.inference.dataflow import (
    KINDS,
    ChipUnknowns,
    Parameter,
    check_kind,
    one_chip,
    pipeline,
)
from tokenroof.inference.decouple.layout import Layout, chip_ranges, layout, link_ranges
from tokenroof.inference.decouple.sites import Gpu, Site, site_of
from tokenroof.inference.door import as_device, as_model, check_context, checked
from tokenroof.inference.estimates import over_corners
from tokenroof.support.arguments import amounts, shown
from tokenroof.support.quoting import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import ArrayLike, NDArray

    from tokenroof.inference.estimates import Range
    from tokenroof.records.calibration import Calibration
    from tokenroof.records.device import Device
    from tokenroof.records.model import Model
    from tokenroof.records.plan import Plan

_STEP = {name: i for i, name in enumerate(_core.STEP_FIELDS)}


@dataclass(frozen=True)
class _GpuPool:
    """Replicas of a plan that decode: as many sequences as their caches hold."""

    site: Gpu
    replicas: int
    most: float

    @property
    def kv_cache(self) -> str:
        return self.site.plan.kv_cache

    @property
    def link_devices(self) -> float:
        return self.site.plan.devices

    @property
    def ranges(self) -> dict[str, Range]:
        return self.site.error

    def step(self, batch: Any, context: float, v: dict[str, Any]) -> tuple[Any, Any, Any]:
        f = self.site.step(batch / self.replicas, context)
        seconds = f[..., _STEP["time"]] * v["decode_error"]
        watts = f[..., _STEP["watts"]] * self.replicas
        return seconds, watts, float(self.site.plan.devices * self.replicas)


@dataclass(frozen=True)
class _DataflowPool:
    """Pipelines that decode, each over as many chips as hold the model and its share of the caches."""

    device: Device
    model: Model
    plan: Plan
    replicas: int
    ranges: dict[str, Range]
    most: float = np.inf
    link_devices: float = np.inf  # whatever the other side has, there are more chips

    @property
    def kv_cache(self) -> str:
        return self.plan.kv_cache

    def step(self, batch: Any, context: float, v: dict[str, Any]) -> tuple[Any, Any, Any]:
        share = np.maximum(batch / self.replicas, 1e-9)
        flow = pipeline(self.device, self.model, self.plan, share, context, None, None, v)
        return flow["time_s"], flow["watts"] * self.replicas, flow["chips"] * self.replicas


def prefill_decode(
    model: str | Model,
    prefill: Site | str | Device,
    decode: Site | str | Device,
    *,
    input_tokens: float = 1024.0,
    output_tokens: float = 1024.0,
    concurrency: ArrayLike = (1.0,),
    link_bandwidth: Parameter = None,
    hop_s: Parameter = None,
    fidelity: str | Calibration = "calibrated",
    **unknown: Unpack[ChipUnknowns],
) -> Layout:
    """Prefill on one pool, decode on another, the cache sent between them.

    Closed loop, in means: `concurrency` requests are always under way. Each is prefilled alone, its cache
    crosses the link, and it decodes among ``batch`` others. Where the prefill pool cannot keep up, or the
    caches of more do not fit the decode pool, requests wait, as part of ``ttft_s``, and the decode batch is
    what is left.

    Parameters
    ----------
    model : str or Model
    prefill, decode : device or (device, plan, replicas)
        The two pools. A dataflow device decodes as one pipeline over as many chips as hold model and
        caches; its plan gives the types alone. It does not prefill.
    input_tokens, output_tokens : float
        Mean tokens of prompt and answer [1].
    concurrency : array_like
        Requests under way [1].
    link_bandwidth, hop_s : float, (low, mid, high) or Range, optional
        One way, per device of the smaller side [B/s], and latency of a transfer [s].
    fidelity
        As in `tokenroof.decode`.
    **unknown
        Parameters of `tokenroof.dataflow.decode`, where the decode pool is such a device.

    Returns
    -------
    Layout
        Where answers have one token, ``tpot_s`` and ``interactivity`` are NaN: there is no time after it.
        With parts ``ttft_s``, ``prefill_s``, ``transfer_s``, ``batch`` (decoding), ``devices``. Its ranges
        include the error bands of both steps, over and times 1 + band.

    Raises
    ------
    KeyError, ValueError, TypeError
        As `tokenroof.decode`; for a dataflow device as the prefill pool, a site on which weights and one
        request's cache do not fit, or a dataflow chip's parameter where there is none.

    References
    ----------
    Zhong et al., DistServe, arXiv:2401.09670; Patel et al., Splitwise, arXiv:2311.18677.

    Examples
    --------
    >>> import tokenroof as tr
    >>> plan = tr.Plan(tp=8, weights="fp8", kv_cache="fp8")
    >>> found = prefill_decode("Llama-3.1-70B", ("H200-SXM", plan, 1), ("H200-SXM", plan, 2), concurrency=64)
    >>> bool(found.parts["ttft_s"].low < found.parts["ttft_s"].high)
    True
    """
    m = as_model(model)
    tokens, out = _mean("input_tokens", input_tokens), _mean("output_tokens", output_tokens)
    users = amounts("concurrency", concurrency, positive=True)
    device, plan, n_prefill = site_of("prefill", prefill)
    first = _prefill_site(as_device(device), m, plan, fidelity)
    _check_prompt(first, m, tokens, out)
    device, plan, n_decode = site_of("decode", decode)
    second = as_device(device)
    link = link_ranges(link_bandwidth, hop_s)
    pool: _DataflowPool | _GpuPool
    if second.kind in KINDS:
        pool = _dataflow_pool(second, m, plan, n_decode, unknown)
    else:
        _refuse_unknowns(second, unknown)
        site = Gpu("decode", checked(second, m, [plan], fidelity)[0])
        pool = _GpuPool(site, n_decode, most=site.slots(tokens, out) * n_decode)
    ranges = link | first.error | pool.ranges
    context = tokens + 0.5 * out
    first_s, prefill_w = _one_prompt(first, tokens)
    cache_bytes = float(m.kv_bytes(tokens, pool.kv_cache))

    def evaluate(**v: Any) -> dict[str, Any]:
        side = min(first.plan.devices, pool.link_devices)
        transfer = kernels.send(cache_bytes, v["link_s"], v["link_bandwidth"] * side)
        prefill_s = first_s * v["prefill_error"]
        most = n_prefill / prefill_s  # requests per second
        after = max(out - 1.0, 1.0)

        def fits(batch: Any) -> Any:
            rate = batch / (after * pool.step(batch, context, v)[0])
            return (batch + rate * (prefill_s + transfer) <= users) & (rate <= most)

        shape = np.broadcast_shapes(transfer.shape, users.shape)
        batch = _largest(np.minimum(np.broadcast_to(users, shape), pool.most), fits)
        tpot, watts, devices = pool.step(batch, context, v)
        rate = batch / (after * tpot)
        prefill_watts = n_prefill * first.watts(np.minimum(rate / most, 1.0), prefill_w)
        return {
            "tpot_s": tpot + (0.0 if out > 1.0 else np.nan) * rate, "tokens_per_s": rate * out,
            "watts": watts + prefill_watts,
            "ttft_s": users / rate - after * tpot, "prefill_s": prefill_s + 0.0 * rate,
            "transfer_s": transfer + 0.0 * rate, "batch": batch,
            "devices": first.plan.devices * n_prefill + devices + 0.0 * rate,
        }  # fmt: skip

    return layout("prefill and decode", over_corners(evaluate, ranges, users.ndim), ranges)


def _mean(name: str, value: float) -> float:
    number = amounts(name, value, positive=True)
    if number.ndim:
        raise ValueError(
            f"{name} has {counted(number.ndim, 'dimension')}; allowed: one number, a mean"
        )
    return float(number)


def _prefill_site(
    device: Device, model: Model, plan: Plan | None, fidelity: str | Calibration
) -> Gpu:
    if device.kind in KINDS:
        raise ValueError(
            f"prefill is {device.name}, a {device.kind}; allowed: a device of another kind than "
            f"{' or '.join(KINDS)}"
        )
    return Gpu("prefill", checked(device, model, [plan], fidelity)[0])


def _check_prompt(site: Gpu, model: Model, tokens: float, out: float) -> None:
    """Reject prompts without room on a site, or with answers longer than a model takes."""
    site.slots(tokens, 1.0)
    check_context(model, "input_tokens + output_tokens", tokens + out)


def _one_prompt(site: Gpu, tokens: float) -> tuple[float, float]:
    """Seconds and watts of a prompt alone."""
    filled = kernels.prompts_step(*site.records, 1.0, tokens, 0.0)
    return float(filled[_STEP["time"]]), float(filled[_STEP["watts"]])


def _dataflow_pool(
    device: Device, model: Model, plan: Plan | None, replicas: int, unknown: Mapping[str, Any]
) -> _DataflowPool:
    check_kind("decode", device)
    weights, kv_cache = (plan.weights, plan.kv_cache) if plan else (None, None)
    one = one_chip(device, model, weights, kv_cache)
    return _DataflowPool(device, model, one, replicas, chip_ranges(device, unknown))


def _refuse_unknowns(device: Device, unknown: Mapping[str, Any]) -> None:
    """Reject parameters of dataflow chips where there are none."""
    chip_ranges(device, unknown)  # names are checked
    given = [name for name, value in unknown.items() if value is not None]
    if given:
        raise ValueError(
            f"{given[0]} is {shown(unknown[given[0]])} with decode on {device.name}, a {device.kind}; "
            f"allowed: None, but for a device of kind {' or '.join(KINDS)}"
        )


def _largest(most: NDArray[np.float64], fits: Callable[[Any], Any]) -> NDArray[np.float64]:
    """The largest numbers up to `most` that fit: requests that loop, prefill pool and caches let decode."""
    low, high = np.zeros(most.shape), most
    for _ in range(48):
        middle = 0.5 * (low + high)
        fit = fits(middle)
        low, high = np.where(fit, middle, low), np.where(fit, high, middle)
    return low
