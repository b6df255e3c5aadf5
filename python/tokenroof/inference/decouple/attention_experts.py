"""Attention and its cache on one site, MLPs and experts on another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from tokenroof import _core, kernels
from tokenroof.inference.dataflow import (
    ChipUnknowns,
    Parameter,
    check_kind,
    chips_of,
    chips_watts,
    one_chip,
)
from tokenroof.inference.decouple.layout import Layout, chip_ranges, layout, link_ranges
from tokenroof.inference.decouple.sites import Gpu, Site, one_replica
from tokenroof.inference.door import as_device, as_model, checked
from tokenroof.inference.estimates import over_corners
from tokenroof.records import dtypes
from tokenroof.records.calibration import Calibration
from tokenroof.support.arguments import amounts, count, together

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from tokenroof.records.device import Device
    from tokenroof.records.model import Model

_STEP = {name: i for i, name in enumerate(_core.STEP_FIELDS)}


def attention_experts(
    model: str | Model,
    attention: Site | str | Device,
    experts: str | Device,
    *,
    batch: ArrayLike = 1.0,
    context: ArrayLike = 1024.0,
    microbatches: int = 2,
    chips: int | None = None,
    expert_weights: str | None = None,
    link_bandwidth: Parameter = None,
    hop_s: Parameter = None,
    fidelity: str | Calibration = "calibrated",
    **unknown: Unpack[ChipUnknowns],
) -> Layout:
    """Attention and its cache on one site, MLPs and experts on dataflow chips: two hops a layer.

    Each layer's hidden states cross the link, pass the layer's experts, and come back. `microbatches`
    take turns, so that one computes on one site while another is away:

        TPOT = max(microbatches * attention, attention + experts + 2 layers * link)

    all three of one microbatch.

    Parameters
    ----------
    model : str or Model
    attention : device or (device, plan)
        Site of attention, norms, router and head.
    experts : str or Device
        Device that holds the MLPs and experts, on as many chips as hold them.
    batch, context : array_like
        Sequences over the replica, cached tokens of each [1].
    microbatches : int
        Parts of the batch that take turns.
    chips : int, optional
        Chips of the experts' site; by default as many as hold them, and not fewer.
    expert_weights : str, optional
        Type of their weights; by default the narrowest that the device multiplies.
    link_bandwidth, hop_s, fidelity, **unknown
        As in `prefill_decode`, of the experts' chips. Half of ``layer_s`` counts: a layer's other half stays
        with attention.

    Returns
    -------
    Layout
        With parts ``attention_s``, ``experts_s``, ``link_s`` (of one microbatch), ``chips``,
        ``microbatch``.

    Raises
    ------
    KeyError, ValueError, TypeError
        As `tokenroof.decode`; for an `experts` device that is no dataflow device, fewer chips than hold
        the experts, or a load that does not fit the memory of the attention's site.

    References
    ----------
    Wang et al., Step-3, arXiv:2507.19427; Zhu et al., MegaScale-Infer, arXiv:2504.02263.

    Examples
    --------
    >>> import tokenroof as tr
    >>> plan = tr.Plan(tp=8, weights="fp8", kv_cache="fp8")
    >>> found = attention_experts("Qwen3-235B-A22B", ("B200-SXM", plan), "LPX", batch=[1, 64], context=8192)
    >>> bool(found.tpot_s.low[0] < found.tpot_s.high[0])
    True
    """
    m = as_model(model)
    device, plan = one_replica("attention", attention)
    site = Gpu("attention", checked(as_device(device), m, [plan], fidelity)[0])
    far = check_kind("experts", as_device(experts))
    microbatches = count("microbatches", microbatches)
    b, x = together(
        batch=amounts("batch", batch, positive=True), context=amounts("context", context)
    )
    ranges = link_ranges(link_bandwidth, hop_s) | chip_ranges(far, unknown) | site.error
    kind = _weights(far, m, expert_weights)
    moved, routed = _moved_parameters(m)
    held = moved * dtypes.BYTES[kind]
    what = f"MLPs and experts of {m.name}"
    given, _ = chips_of(chips, np.array([held]), far, ranges["sram_share"], what)
    site.check_memory(b, x, {"parameters": moved, "routed_parameters": routed})
    part = np.maximum(b / microbatches, np.minimum(b, 1.0))
    turns = np.minimum(float(microbatches), np.maximum(b, 1.0))
    near = site.step(part, x)
    attention_s = near[..., _STEP["time"]] - _moved_s(near)
    away_s = _away_s(far, m, kind, part, x)
    layers = float(m.layers)
    payload = m.hidden * (dtypes.ACTIVATION_BYTES[kind] + 2.0)  # there, and back in 16 bits

    def evaluate(**v: Any) -> dict[str, Any]:
        needed = kernels.dataflow_chips(held, float(far.memory_bytes or np.nan), v["sram_share"])
        size = needed if given is None else given
        depth = layers if far.kind == "wafer" else np.minimum(layers, size)
        here_s = attention_s * v["attention_error"]
        passed = kernels.dataflow_trip(
            away_s / v["efficiency"], size, depth, layers, 0.5 * v["layer_s"], 0.0
        )
        crossing = part * payload / (v["link_bandwidth"] * site.plan.devices)
        link = layers * (2.0 * v["link_s"] + crossing)
        tpot = np.maximum(turns * here_s, here_s + passed + link)
        busy = np.minimum(turns * here_s / tpot, 1.0)
        # the chips of each layer work while a microbatch is with them
        occupied = np.minimum(turns * away_s / v["efficiency"] / size / tpot, 1.0)
        watts = site.watts(busy, near[..., _STEP["watts"]]) + chips_watts(size, occupied, v)
        return {
            "tpot_s": tpot, "tokens_per_s": b / tpot, "watts": watts, "attention_s": here_s,
            "experts_s": passed, "link_s": link, "chips": size, "microbatch": part,
        }  # fmt: skip

    return layout("attention and experts", over_corners(evaluate, ranges, b.ndim), ranges)


def _weights(device: Device, model: Model, given: str | None) -> str:
    """Type of the experts: what a caller gave, checked, or the narrowest that the device multiplies."""
    kind = one_chip(device, model, None, None).weights if given is None else given
    dtypes.code(kind, "expert_weights")
    return kind


def _moved_parameters(model: Model) -> tuple[float, float]:
    """Parameters of MLPs and experts, and of those the routed ones."""
    groups = model.parameter_groups()
    every = groups["experts"], groups["mlp"], groups["shared_experts"]
    return float(sum(every)), float(groups["experts"])


def _moved_s(step: NDArray[np.float64]) -> NDArray[np.float64]:
    """Seconds of a step that MLPs and experts take."""
    return np.asarray(step[..., _STEP["mlp_s"]] + step[..., _STEP["experts_s"]])


def _away_s(device: Device, model: Model, weights: str, batch: Any, context: Any) -> Any:
    """Seconds of MLPs and experts on one chip at its datasheet's rates."""
    plan = one_chip(device, model, weights, None)
    ideal = (device.pack(), Calibration.ideal().pack(), model.pack(), plan.pack())
    return _moved_s(kernels.decode_step(*ideal, batch, context))
