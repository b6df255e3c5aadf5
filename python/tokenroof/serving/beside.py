"""GPUs with dataflow chips beside them: experts there, or drafts, as offers on the same chart, in ranges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np

from tokenroof import _core, kernels
from tokenroof.inference.dataflow import check_kind
from tokenroof.inference.decouple import attention_experts, drafts
from tokenroof.inference.door import as_device, as_model, check_plan, resolved
from tokenroof.inference.speculative.drafting import eagle_model
from tokenroof.serving.loads import ONE_TOKEN, as_load, check_length
from tokenroof.serving.plans import default_plans
from tokenroof.serving.system import draft_apart, split_experts
from tokenroof.support.arguments import amounts, check_options, finite_number, shown
from tokenroof.support.kinds import takes_records
from tokenroof.support.lazy import require
from tokenroof.support.names import among

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import ArrayLike, NDArray

    from tokenroof.inference.decouple import Layout
    from tokenroof.records.calibration import Calibration
    from tokenroof.records.deployment import Deployment
    from tokenroof.records.device import Device
    from tokenroof.records.model import Model
    from tokenroof.records.plan import Plan

    Array = NDArray[np.float64]

__all__ = ["CHANCE", "WAYS", "beside_lpx"]

#: That a draft is kept, where nobody says it [1].
CHANCE = 0.8

#: What the chips do for the GPUs: hold MLPs and experts, or draft for what the GPUs verify.
WAYS = ("experts", "drafts")
_STEP = {name: i for i, name in enumerate(_core.STEP_FIELDS)}
_RANGED = ("interactivity", "output_throughput", "watts", "provisioned_watts")


class Options(TypedDict, total=False):
    """What `beside_lpx` takes beside its first arguments; documented there."""

    batch: ArrayLike
    ways: Sequence[str]
    length: ArrayLike
    acceptance: Any
    draft: str | Model | None
    hop_s: Any
    link_bandwidth: Any
    limit_w: Any
    tpot_max: float | None
    fidelity: str | Calibration


@takes_records
def beside_lpx(
    model: str | Model,
    device: str | Device = "Vera Rubin NVL72",
    chips: str | Device = "LPX",
    plans: Sequence[Plan] | None = None,
    input_tokens: float = 1024,
    output_tokens: float = 1024,
    devices_max: int | None = None,
    **options: Unpack[Options],
) -> xr.Dataset:
    """The Pareto set of GPUs with dataflow chips beside them, each point a range.

    Prompts are computed on replicas of the same plan, as many of them as keep up. Answers: attention stays on
    the GPUs and MLPs with experts are on the chips ("experts"), or the chips draft and the GPUs verify
    ("drafts"). What nobody publishes of chips and links (watts, efficiency, latency of a hop) is a range, and
    so are the results: ``_low`` and ``_high`` beside each.

    Parameters
    ----------
    model : str or Model
    device, chips : str or Device
        GPUs, and the dataflow device beside them.
    plans : sequence of Plan, optional
        Of one replica of the GPUs; `default_plans` by default.
    input_tokens, output_tokens : float
        Mean tokens of prompt and answer [1].
    devices_max : int, optional
        Of the default plans.
    batch : array_like
        Sequences that decode on a replica [1]; powers of two to 1,024 by default.
    ways : sequence of {"experts", "drafts"}
        Both by default.
    draft : str or Model, optional
        What the chips run to draft; a head over the target's states (`tokenroof.speculative.eagle_model`) by
        default.
    length, acceptance
        Drafts of a round to try, 2, 4 and 6 by default, and the chance of each, as
        `tokenroof.speculative.decode` takes it.
    hop_s, link_bandwidth, limit_w : float, (low, mid, high) or Range, optional
        In place of the catalogue's ranges: latency of a hop [s], bandwidth of the link per device [B/s],
        watts of a chip [W].
    tpot_max : float, optional
        Longest mean time per output token [s].
    fidelity : {"calibrated", "datasheet"} or Calibration

    Returns
    -------
    xarray.Dataset
        Over ``point``, by growing interactivity, with ``way``, ``plan``, ``chips``, ``system`` and what
        `tokenroof.plot.chart` draws. Empty where nothing fits or keeps to the limit: ``attrs["reason"]``.

    Raises
    ------
    KeyError, ValueError, TypeError
        As `tokenroof.decouple.attention_experts` and `drafts`; for a way that is unknown.

    Examples
    --------
    >>> from tokenroof.records.plan import Plan
    >>> plan = Plan(tp=8, weights="nvfp4", kv_cache="fp8")
    >>> front = beside_lpx("Qwen3-235B-A22B", plans=[plan], batch=[1, 16, 256])
    >>> bool((front.interactivity_low < front.interactivity_high).all()), front.attrs["label"]
    (True, 'Rubin with LPX')
    """
    xarray = require("xarray", extra="analysis")
    check_options("beside_lpx", options, Options)
    d, far, m = as_device(device), check_kind("chips", as_device(chips)), as_model(model)
    load = as_load(input_tokens, output_tokens)
    check_length(m, load.input_tokens, load.output_tokens)
    asked = options.get("ways", WAYS)
    ways = tuple(asked) if isinstance(asked, Sequence) else ()
    if not ways or not all(among(way, WAYS) for way in ways):
        raise ValueError(f"ways is {shown(asked)}; allowed: {' and '.join(WAYS)}")
    limit = options.get("tpot_max")
    most = np.inf if limit is None else finite_number("tpot_max", limit, above=True)
    batch = np.atleast_1d(
        amounts("batch", options.get("batch", 2.0 ** np.arange(11)), positive=True)
    )
    tried = default_plans(d, m, devices_max) if plans is None else list(plans)
    for plan in tried:
        check_plan(d, m, plan)
    on = resolved(d, m, tried, options.get("fidelity", "calibrated")) if tried else []
    rows: list[dict[str, Any]] = []
    why = "no layout divides the model"
    for one in on:
        for way in ways:
            try:
                rows += _points(one, far, way, load.context, batch, options, _prompts(one, load))
            except ValueError as error:  # weights or caches that no batch leaves room for
                why = str(error)
    if not load.gaps:
        rows, why = [], ONE_TOKEN
    rows = [row for row in rows if row["tpot_s"] <= most]
    return _table(xarray, rows, d, far, m, load, why)


def _prompts(on: Deployment, load: Any) -> tuple[float, float, float]:
    """Replicas of the plan that a token a second needs for its prompts, their watts each, and its seconds."""
    found = kernels.prompts_step(*on.records, 1.0, load.input_tokens, 0.0)
    seconds, watts = float(found[_STEP["time"]]), float(found[_STEP["watts"]])
    return seconds / load.output_tokens, watts, seconds


def _layout(
    on: Deployment, far: Device, way: str, context: float, batch: Array, options: Options
) -> Layout:
    """The layout of decoding, for as many of the batches as fit."""
    names = ("hop_s", "link_bandwidth", "limit_w", "fidelity")
    how: dict[str, Any] = {k: v for k, v in options.items() if k in names}
    site = (on.device, on.plan)
    if way == "experts":
        return attention_experts(on.model, site, far, batch=batch, context=context, **how)
    lengths = np.atleast_1d(amounts("length", options.get("length", (2, 4, 6))))
    small = options.get("draft") or eagle_model(on.model)
    chance = options.get("acceptance", CHANCE)
    return drafts(
        on.model, site, small, far, length=lengths[:, None], acceptance=chance, batch=batch,
        context=context, **how,
    )  # fmt: skip


def _points(
    on: Deployment, far: Device, way: str, context: float, batch: Array, options: Options,
    prompts: tuple[float, float, float],
) -> list[dict[str, Any]]:  # fmt: skip
    """Points of one plan and way: the largest batches that fit."""
    sizes = np.sort(batch)
    while True:
        try:
            found = _layout(on, far, way, context, sizes, options)
            break
        except ValueError:
            if sizes.size == 1:
                raise
            sizes = sizes[:-1]
    share, prompt_w, prompt_s = prompts
    if way == "experts":
        whole = split_experts((on.device, on.plan), far)
    else:
        whole = draft_apart((on.device, on.plan), options.get("draft") or "Llama-3.2-1B", far)
    limit = found.ranges["limit_w"]
    wanted = (found.tpot_s, found.tokens_per_s, found.watts, found.parts["chips"])
    shape = found.tpot_s.mid.shape
    ranged = [np.stack([np.broadcast_to(y, shape) for y in (x.low, x.mid, x.high)]) for x in wanted]
    rows = []
    for at in np.ndindex(shape):
        t, r, w, c = (x[(slice(None), *at)] for x in ranged)
        row: dict[str, Any] = {
            "way": way, "plan": on.plan.label(on.model), "concurrency": sizes[at[-1]], "tpot_s": t[1],
            "chips": c[1], "ttft_s": prompt_s + t[1], "system": whole.label(on.model),
        }  # fmt: skip
        # a fast end has short steps and many tokens; the watts of each end are its own
        for end, i, speed in (("_low", 0, t[2]), ("", 1, t[1]), ("_high", 2, t[0])):
            replicas = r[i] * share  # of prompts, beside one that decodes
            devices = on.plan.devices * (1.0 + replicas)
            row |= {
                f"interactivity{end}": 1.0 / speed, f"output_throughput{end}": r[i],
                f"watts{end}": w[i] + replicas * prompt_w,
                f"provisioned_watts{end}": devices * on.power.provisioned_w + c[i] * limit.values[i],
            }  # fmt: skip
            if not end:
                row["devices"] = devices
        rows.append(row)
    return rows


def _table(
    xarray: Any,
    rows: list[dict[str, Any]],
    device: Device,
    far: Device,
    model: Model,
    load: Any,
    why: str,
) -> xr.Dataset:
    speed = np.array([row["interactivity"] for row in rows])
    worth = np.array([row["output_throughput"] / row["provisioned_watts"] for row in rows])
    best, chosen = 0.0, list[dict[str, Any]]()
    for i in np.lexsort(
        (-worth, -speed)
    ):  # from the fastest on: those that yield more than all faster ones
        if worth[i] > best:
            best = float(worth[i])
            chosen.insert(0, rows[i])
    names = [*(f"{n}{end}" for n in _RANGED for end in ("", "_low", "_high")), "way", "plan", "concurrency",
             "tpot_s", "ttft_s", "chips", "devices", "system"]  # fmt: skip
    table: xr.Dataset = xarray.Dataset(
        {name: ("point", np.array([row[name] for row in chosen])) for name in names},
        attrs={
            "device": device.name, "beside": far.name, "label": f"{device.family} with LPX",
            "vendor": far.vendor, "family": far.family, "model": model.name,
            "input_tokens": load.input_tokens, "output_tokens": load.output_tokens, "power": "provisioned",
            "reason": "" if chosen else why if not rows else "no point keeps to what was asked",
        },
    )  # fmt: skip
    per_mw = table["output_throughput"] / table["provisioned_watts"] * 1e6
    per_device = table["output_throughput"] / table["devices"]
    return table.assign(output_tokens_per_s_per_mw=per_mw, per_device=per_device)
