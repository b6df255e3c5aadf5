"""Decode away from prefill, experts away from attention, drafts away from their verification.

The three published ways of putting one model on two kinds of device, in closed form. Links between them
and what is not known of dataflow chips are parameters with ranges (`tokenroof.estimates`): every result is
a `Banded`, its middle with the extremes over the corners of those ranges. The step times of a GPU's site have
an error band too: they are divided and multiplied by 1 + band at the ends of the range, a parameter of
its own for each site (``..._error`` in `Layout.ranges`). No band is known, and none counts, with
``fidelity="datasheet"``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import _core, kernels
from tokenroof.inference.dataflow import (
    KINDS,
    Parameter,
    check_kind,
    chips_of,
    gather,
    one_chip,
    pipeline,
)
from tokenroof.inference.door import as_device, as_model
from tokenroof.inference.estimates import Banded, Range, over_corners
from tokenroof.inference.sites import Gpu, Site, site_of
from tokenroof.records import dtypes
from tokenroof.records.calibration import Calibration
from tokenroof.support.arguments import amounts, count, together

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from tokenroof.records.device import Device
    from tokenroof.records.model import Model

__all__ = ["Layout", "attention_experts", "drafts", "prefill_decode"]

_STEP = {name: i for i, name in enumerate(_core.STEP_FIELDS)}


@dataclass(frozen=True)
class Layout:
    """A model on two sites, over arrays of loads.

    Attributes
    ----------
    name : str
    tpot_s, tokens_per_s : Banded
        Time per token of a sequence [s]; tokens of all sequences per second [token/s].
    watts : Banded
        Board power of both sites [W].
    parts : dict of Banded
        What the name of the layout promises: times of the sites and of the link, devices of each.
    ranges : dict of Range
        The parameters that the ranges come from.
    """

    name: str
    tpot_s: Banded
    tokens_per_s: Banded
    watts: Banded
    parts: dict[str, Banded] = field(default_factory=dict)
    ranges: dict[str, Range] = field(default_factory=dict)

    @property
    def interactivity(self) -> Banded:
        """Tokens per second of one user [token/s]."""
        t = self.tpot_s
        return Banded(1.0 / t.high, 1.0 / t.mid, 1.0 / t.low)

    @property
    def tokens_per_joule(self) -> Banded:
        """Tokens per joule of board energy [token/J]: extremes of both, not of corners."""
        r, w = self.tokens_per_s, self.watts
        return Banded(r.low / w.high, r.mid / w.mid, r.high / w.low)


def _layout(name: str, found: dict[str, Banded], ranges: dict[str, Range]) -> Layout:
    own = {k: found.pop(k) for k in ("tpot_s", "tokens_per_s", "watts")}
    return Layout(name, parts=found, ranges=ranges, **own)


def _link(link_bandwidth: Parameter, hop_s: Parameter) -> dict[str, Range]:
    ranges = {
        "link_bandwidth": Range.of("link_bandwidth", link_bandwidth, "decouple_link_bandwidth"),
        "link_s": Range.of("hop_s", hop_s, "decouple_hop_s"),
    }
    if ranges["link_bandwidth"].low <= 0.0:
        raise ValueError(
            f"link_bandwidth is {ranges['link_bandwidth'].low:g}; allowed: numbers > 0"
        )
    if ranges["link_s"].low < 0.0:
        raise ValueError(f"hop_s is {ranges['link_s'].low:g}; allowed: numbers >= 0")
    return ranges


def _unknowns(device: Device, given: dict[str, Parameter]) -> dict[str, Range]:
    names = ("efficiency", "layer_s", "hop_s", "sram_share", "limit_w", "idle_share")
    wrong = sorted(set(given) - set(names))
    if wrong:
        raise TypeError(f"unknown parameter {wrong[0]!r}; allowed: {', '.join(names)}")
    return gather(device, *(given.get(name) for name in names))


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
    **unknown: Parameter,
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
    load = []
    for name, value in (("input_tokens", input_tokens), ("output_tokens", output_tokens)):
        number = amounts(name, value, positive=True)
        if number.ndim:
            raise ValueError(f"{name} has {number.ndim} dimensions; allowed: one number, a mean")
        load.append(float(number))
    tokens, out = load
    users = amounts("concurrency", concurrency, positive=True)
    device, plan, n_prefill = site_of("prefill", prefill)
    device = as_device(device)
    if device.kind in KINDS:
        raise ValueError(
            f"prefill is {device.name}, a {device.kind}; allowed: a device of another kind than "
            f"{' or '.join(KINDS)}"
        )
    first = Gpu("prefill", device, plan, m, fidelity)
    first.slots(tokens, 1.0)
    device, plan, n_decode = site_of("decode", decode)
    second = as_device(device)
    ranges = _link(link_bandwidth, hop_s) | first.error
    flowing = second.kind in KINDS
    limit = np.inf
    if flowing:
        check_kind("decode", second)
        layout = one_chip(
            second, m, plan.weights if plan else None, plan.kv_cache if plan else None
        )
        ranges |= _unknowns(second, unknown)
    else:
        _unknowns(second, unknown)  # names are checked
        given = [name for name, value in unknown.items() if value is not None]
        if given:
            raise ValueError(
                f"{given[0]} is {unknown[given[0]]!r} with decode on {second.name}, a {second.kind}; "
                f"allowed: None, but for a device of kind {' or '.join(KINDS)}"
            )
        gpu = Gpu("decode", second, plan, m, fidelity)
        layout = gpu.plan
        ranges |= gpu.error
        limit = gpu.slots(tokens, out) * n_decode
    context = tokens + 0.5 * out
    filled = kernels.prompts_step(*first.records, 1.0, tokens, 0.0)  # type: ignore[attr-defined]
    first_s, prefill_w = float(filled[_STEP["time"]]), float(filled[_STEP["watts"]])
    cache_bytes = float(m.kv_bytes(tokens, layout.kv_cache))

    def decoding(batch: Any, v: dict[str, Any]) -> tuple[Any, Any, Any]:
        """Time per token, watts and devices of the decode pool with this many sequences."""
        if flowing:
            share = np.maximum(batch / n_decode, 1e-9)
            flow = pipeline(second, m, layout, share, context, None, None, v)
            return flow["time_s"], flow["watts"] * n_decode, flow["chips"] * n_decode
        f = gpu.step(batch / n_decode, context)
        seconds = f[..., _STEP["time"]] * v["decode_error"]
        return seconds, f[..., _STEP["watts"]] * n_decode, float(layout.devices * n_decode)

    def evaluate(**v: Any) -> dict[str, Any]:
        sides = (first.plan.devices, layout.devices if not flowing else first.plan.devices)
        transfer = kernels.send(cache_bytes, v["link_s"], v["link_bandwidth"] * min(sides))  # type: ignore[attr-defined]
        prefill_s = first_s * v["prefill_error"]
        most = n_prefill / prefill_s  # requests per second
        after = max(out - 1.0, 1.0)
        shape = np.broadcast_shapes(transfer.shape, users.shape)
        low, high = np.zeros(shape), np.minimum(np.broadcast_to(users, shape), limit)
        for _ in range(48):  # requests that decode: what loop, prefill pool and caches leave
            batch = 0.5 * (low + high)
            rate = batch / (after * decoding(batch, v)[0])
            fits = (batch + rate * (prefill_s + transfer) <= users) & (rate <= most)
            low, high = np.where(fits, batch, low), np.where(fits, high, batch)
        batch = low
        tpot, watts, devices = decoding(batch, v)
        rate = batch / (after * tpot)
        busy = np.minimum(rate / most, 1.0)
        prefill_watts = n_prefill * (first.idle_w + busy * (prefill_w - first.idle_w))
        return {
            "tpot_s": tpot + 0.0 * rate, "tokens_per_s": rate * out, "watts": watts + prefill_watts,
            "ttft_s": users / rate - after * tpot, "prefill_s": prefill_s + 0.0 * rate,
            "transfer_s": transfer + 0.0 * rate, "batch": batch,
            "devices": first.plan.devices * n_prefill + devices + 0.0 * rate,
        }  # fmt: skip

    return _layout("prefill and decode", over_corners(evaluate, ranges, users.ndim), ranges)


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
    **unknown: Parameter,
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
    device, plan, n = site_of("attention", attention)
    if n != 1:
        raise ValueError(f"attention has n = {n}; allowed: 1, one replica")
    site = Gpu("attention", device, plan, m, fidelity)
    far = check_kind("experts", as_device(experts))
    microbatches = count("microbatches", microbatches)
    b, x = together(
        batch=amounts("batch", batch, positive=True), context=amounts("context", context)
    )
    ranges = _link(link_bandwidth, hop_s) | _unknowns(far, unknown) | site.error
    kind = one_chip(far, m, None, None).weights if expert_weights is None else expert_weights
    dtypes.code(kind, "expert_weights")
    away = one_chip(far, m, kind, None)
    ideal = (far.pack(), Calibration.ideal().pack(), m.pack(), away.pack())
    groups = m.parameter_groups()
    moved = float(sum(groups[name] for name in ("experts", "mlp", "shared_experts")))
    held = moved * dtypes.BYTES[kind]
    share = ranges["sram_share"]
    given, _ = chips_of(chips, np.array([held]), far, share, f"MLPs and experts of {m.name}")
    site.check_memory(b, x, {"parameters": moved, "routed_parameters": float(groups["experts"])})
    part = np.maximum(b / microbatches, np.minimum(b, 1.0))
    turns = np.minimum(float(microbatches), np.maximum(b, 1.0))
    near = site.step(part, x)
    moved_away = near[..., _STEP["mlp_s"]] + near[..., _STEP["experts_s"]]
    attention_s = near[..., _STEP["time"]] - moved_away
    work_away = kernels.decode_step(*ideal, part, x)  # type: ignore[attr-defined]
    away_s = work_away[..., _STEP["mlp_s"]] + work_away[..., _STEP["experts_s"]]
    layers = float(m.layers)
    payload = m.hidden * (dtypes.ACTIVATION_BYTES[kind] + 2.0)  # there, and back in 16 bits

    def evaluate(**v: Any) -> dict[str, Any]:
        needed = kernels.dataflow_chips(held, float(far.memory_bytes or np.nan), v["sram_share"])  # type: ignore[attr-defined]
        size = needed if given is None else given
        depth = layers if far.kind == "wafer" else np.minimum(layers, size)
        here_s = attention_s * v["attention_error"]
        passed = kernels.dataflow_trip(  # type: ignore[attr-defined]
            away_s / v["efficiency"], size, depth, layers, 0.5 * v["layer_s"], 0.0
        )
        crossing = part * payload / (v["link_bandwidth"] * site.plan.devices)
        link = layers * (2.0 * v["link_s"] + crossing)
        tpot = np.maximum(turns * here_s, here_s + passed + link)
        busy = np.minimum(turns * here_s / tpot, 1.0)
        # the chips of each layer work while a microbatch is with them
        occupied = np.minimum(turns * away_s / v["efficiency"] / size / tpot, 1.0)
        watts = site.idle_w + busy * (near[..., _STEP["watts"]] - site.idle_w)
        watts = watts + size * v["limit_w"] * (v["idle_share"] + (1.0 - v["idle_share"]) * occupied)
        return {
            "tpot_s": tpot, "tokens_per_s": b / tpot, "watts": watts, "attention_s": here_s,
            "experts_s": passed, "link_s": link, "chips": size, "microbatch": part,
        }  # fmt: skip

    return _layout("attention and experts", over_corners(evaluate, ranges, b.ndim), ranges)


def drafts(
    model: str | Model,
    verify: Site | str | Device,
    draft: str | Model,
    drafter: str | Device,
    *,
    length: ArrayLike = 4,
    acceptance: ArrayLike = 0.8,
    batch: ArrayLike = 1.0,
    context: ArrayLike = 1024.0,
    chips: int | None = None,
    link_bandwidth: Parameter = None,
    hop_s: Parameter = None,
    fidelity: str | Calibration = "calibrated",
    **unknown: Parameter,
) -> Layout:
    """Drafts on dataflow chips, verified by another site: two hops a round.

    Parameters
    ----------
    model : str or Model
        The target.
    verify : device or (device, plan)
        Where the target runs.
    draft, drafter
        The draft model, and the dataflow device that runs it.
    length, acceptance, batch, context
        As in `tokenroof.speculative.decode`.
    chips : int, optional
        Chips of the drafter; by default as many as hold the draft model and its caches, and not fewer.
    link_bandwidth, hop_s, fidelity, **unknown
        As in `prefill_decode`, of the drafter's chips.

    Returns
    -------
    Layout
        With parts ``draft_s``, ``verify_s``, ``link_s``, ``round_s``, ``expected_tokens``, ``chips``.

    Raises
    ------
    KeyError, ValueError, TypeError
        As `tokenroof.speculative.decode`; for a `drafter` that is no dataflow device, fewer chips than hold
        the draft model, or a load that does not fit the memory of the verifying site.

    References
    ----------
    Leviathan, Kalman, Matias, ICML 2023, arXiv:2211.17192.

    Examples
    --------
    >>> import tokenroof as tr
    >>> plan = tr.Plan(tp=8, weights="fp8", kv_cache="fp8")
    >>> found = drafts("Llama-3.1-70B", ("B200-SXM", plan), "Llama-3.2-1B", "LPX", length=[0, 4, 8])
    >>> bool(found.tpot_s.high[1] < found.tpot_s.low[0])
    True
    """
    from tokenroof.inference.speculative import verify_fields

    m, small = as_model(model), as_model(draft)
    device, plan, n = site_of("verify", verify)
    if n != 1:
        raise ValueError(f"verify has n = {n}; allowed: 1, one replica")
    site = Gpu("verify", device, plan, m, fidelity)
    chip = check_kind("drafter", as_device(drafter))
    k, a = amounts("length", length), amounts("acceptance", acceptance)
    if (a > 1.0).any():
        raise ValueError(f"acceptance is {a.max():g}; allowed: numbers from 0 to 1")
    b, x, k, a = together(
        batch=amounts("batch", batch, positive=True), context=amounts("context", context),
        length=k, acceptance=a,
    )  # fmt: skip
    ranges = _link(link_bandwidth, hop_s) | _unknowns(chip, unknown) | site.error
    layout = one_chip(chip, small, None, None)
    held = kernels.memory_required(small.pack(), layout.pack(), b, x)  # type: ignore[attr-defined]
    what = f"{small.name} and its caches"
    given, _ = chips_of(chips, np.ravel(held), chip, ranges["sram_share"], what)
    site.check_memory(b, x + k)
    checked = verify_fields(site.records, b, x, k + 1.0)
    step_s, verify_w = checked[..., _STEP["time"]], checked[..., _STEP["watts"]]
    tokens = np.asarray(kernels.expected_tokens(a, k))  # type: ignore[attr-defined]

    def evaluate(**v: Any) -> dict[str, Any]:
        found = pipeline(chip, small, layout, b, x, given, None, v)
        verify_s = step_s * v["verify_error"]
        draft_s = k * found["time_s"]
        # token ids of 4 bytes, each way; nothing is sent where nothing is drafted
        link = np.where(k > 0, 2.0 * v["link_s"] + 8.0 * b * (k + 1.0) / v["link_bandwidth"], 0.0)
        seconds = draft_s + verify_s + link
        idle = found["chips"] * v["limit_w"] * v["idle_share"]
        site_j = verify_w * verify_s + site.idle_w * (draft_s + link)
        chips_j = found["watts"] * draft_s + idle * (verify_s + link)
        return {
            "tpot_s": seconds / tokens, "tokens_per_s": b * tokens / seconds,
            "watts": (site_j + chips_j) / seconds, "draft_s": draft_s, "verify_s": verify_s,
            "link_s": link, "round_s": seconds, "expected_tokens": tokens, "chips": found["chips"],
        }  # fmt: skip

    return _layout("drafts and verification", over_corners(evaluate, ranges, b.ndim), ranges)
