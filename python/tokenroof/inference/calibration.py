"""Calibrations for a device, an engine and types: looked up, borrowed from the nearest, or estimated."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.catalogue.fits import files_of, fits, read_from, remembered
from tokenroof.inference.carried import generation
from tokenroof.inference.constants import FAR_BAND, NODE_BAND, find, generations, own_power_fit
from tokenroof.inference.engine_kernels import engine_kernels
from tokenroof.inference.expert_choice import passed_over
from tokenroof.inference.likeness import OPERATORS, like_measured
from tokenroof.inference.local_products import calibration as local_calibration
from tokenroof.inference.memory import engine_memory
from tokenroof.inference.other_kinds import OTHER_KINDS, memory_of, of_kind
from tokenroof.inference.reported_memory import elementwise_share
from tokenroof.records import dtypes
from tokenroof.records.calibration import CLASSES, FIDELITIES, NOTHING, Calibration
from tokenroof.records.device import link_domain
from tokenroof.support.arguments import shown
from tokenroof.support.kinds import takes_records
from tokenroof.support.names import among

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokenroof.records.device import Device
    from tokenroof.records.plan import Plan

__all__ = [
    "CLASSES", "FIDELITIES", "Calibration", "estimate", "host_speed", "resolve", "resolve_operator",
    "resolve_step", "step_kind",
]  # fmt: skip

#: Of an engine's constants, those of the host (`host_speed`), and gaps of a replayed graph (`gap_speed`).
HOST_CONSTANTS = ("sequence", "prefill_kernel", "prompt_kernel")
GAP_CONSTANTS = ("kernel_gap", "collective_gap")


@takes_records
def host_speed(device: Device) -> float:
    """Time that the host of a device takes for its share of a step, over that of Hopper's hosts.

    Examples
    --------
    >>> import tokenroof as tr
    >>> host_speed(tr.device("H100-SXM")), host_speed(tr.device("B200-SXM"))
    (1.0, 0.8)
    """
    return 0.8 if is_recent(device) else 1.0


def gap_speed(device: Device, row: Mapping[str, Any]) -> float:
    """A device's gaps between the kernels of a replayed graph, over Hopper's, by a row of engines' constants.

    A row that was fitted without them has the host's (`host_speed`).
    """
    fitted = row.get("gaps", {}).get("blackwell", host_speed(device))
    return float(fitted) if is_recent(device) else 1.0


def is_recent(device: Device) -> bool:
    """Whether it is a Blackwell or a Rubin, of whose hosts and graphs there are shares of Hopper's."""
    family = device.family.lower()
    return "blackwell" in family or "rubin" in family


def estimate(device: Device, engine: str = "vllm") -> Calibration:
    """Shares of a roofline for a device's generation, and what the engine adds to a step.

    Prefill attention reaches 0.45 of the peak on Hopper and 0.34 on Blackwell, GEMM 0.7, experts
    0.5, elementwise kernels `elementwise_share` of the bandwidth. The engine's gaps and overheads, and
    the shares of the bandwidth inside a step, were fitted on serving points
    (``catalogue/constants/engine.toml`` says on which, and how far off they were on combinations left
    out); the host of a Blackwell takes 0.8 times as long, and gaps between the kernels of its graphs
    are fitted (`gap_speed`). Devices that were not fitted borrow these constants: hence a wider band.
    Of another generation than any fitted one, their prompts take no longer beside others.

    Parameters
    ----------
    device : Device
    engine : {"vllm", "sglang", "trtllm", "ideal"}
        Whose overheads; ``"ideal"`` has none.
    """
    if not isinstance(engine, str):
        raise TypeError(f"engine is {shown(engine)}; allowed: a name, as vllm")
    return _estimated(device, engine)


@remembered(2048)
@takes_records
def _estimated(device: Device, engine: str) -> Calibration:
    if "cost.product" in device.measured:
        return local_calibration(device, engine).replace(constants=memory_of(engine, device))
    if device.kind in OTHER_KINDS:
        return of_kind(device, engine)
    blackwell = is_recent(device)
    row: dict[str, Any] = next((r for r in fits("engine") if r["engine"] == engine), {})
    near = generation(device) in generations(row.get("devices", ""))
    memory = {"gemm": 0.8, "attention_decode": 0.8, "experts": 0.7, "collective": 0.6}
    memory |= {key.removesuffix("_memory"): value for key, value in row.get("lines", {}).items()}
    own_constants: dict[str, dict[str, float]] = {}
    bands = (float("nan"), float("nan"))
    where = "no serving point: rooflines with shares"
    if row:
        scale = dict.fromkeys(HOST_CONSTANTS, host_speed(device))
        scale |= dict.fromkeys(GAP_CONSTANTS, gap_speed(device, row))
        # recorded runs on cards of other generations show nothing of the fitted company of prompts
        borrowed = {} if near else {"beside": 1.0}
        own_constants["engine"] = {
            **{name: value * scale.get(name, 1.0) for name, value in row["constants"].items()},
            **borrowed, **engine_memory(engine, device), **engine_kernels(engine, device),
        }  # fmt: skip
        own = device.name in row["devices"].split(", ")
        end = "" if own else "_device"
        bands = math.expm1(row[f"band_tpot{end}"]), math.expm1(row[f"band_ttft{end}"])
        if not near:
            far = FAR_BAND
            bands = max(bands[0], far), max(bands[1], far)
        where = f"{row['rows']} serving points of {row['devices']} ({engine}){read_from(row)}"
        if not near:
            where += ", borrowed: no serving point is of this device's generation"
        elif not own:
            where += ", borrowed from its generation"
    return Calibration(
        name=f"estimate for {device.name}",
        compute={
            "gemm": 0.7,
            "attention_prefill": 0.34 if blackwell else 0.45,
            "attention_decode": 0.5,
            "experts": 0.5,
        },
        memory={"attention_prefill": 0.8, "elementwise": elementwise_share(device), **memory},
        compute_watts=1.2,
        memory_watts=0.45,
        constants=own_constants,
        fitted={name: (low, high) for name, (low, high) in row.get("fitted", {}).items()},
        calibrated_on=where,
        error_band=bands[0] if row else 0.6,
        ttft_band=bands[1],
        whole=True,
    )


def resolve(fidelity: str | Calibration, device: Device, plan: Plan | str) -> Calibration:
    """The calibration that a `fidelity` argument names, for the types of a plan (or an engine alone).

    Raises
    ------
    ValueError
        If it is neither a `Calibration` nor one of `FIDELITIES`.
    """
    if isinstance(fidelity, Calibration) and fidelity.stands_alone:
        return fidelity
    if isinstance(fidelity, Calibration):
        return _with_bf16(fidelity, plan).over(resolve("calibrated", device, plan))
    if among(fidelity, ("datasheet",)):
        return _datasheet(device, plan if isinstance(plan, str) else plan.engine)
    if among(fidelity, ("calibrated",)):
        if isinstance(plan, str):
            return _of_engine(device, plan)
        return _of_types(device, plan.engine, *_types(device, plan))
    raise ValueError(
        f"fidelity is {shown(fidelity)}; allowed: {', '.join(map(repr, FIDELITIES))} or a Calibration"
    )


def resolve_step(
    fidelity: str | Calibration, device: Device, plan: Plan, mixture: bool
) -> Calibration:
    """As `resolve`, with bands of the step's kind where the constants are the device's own."""
    if isinstance(fidelity, Calibration) and not fidelity.stands_alone:
        return _with_bf16(fidelity, plan).over(resolve_step("calibrated", device, plan, mixture))
    if not among(fidelity, ("calibrated",)):
        return resolve(fidelity, device, plan)
    named = (plan.weights, str(plan.experts))
    return _of_step_kind(device, plan.engine, *_types(device, plan), named, mixture)


def _with_bf16(own: Calibration, plan: Plan | str) -> Calibration:
    """Products that are bf16 at any rate, the head's and the router's, are as a step's others in bf16."""
    bf16 = not isinstance(plan, str) and plan.weights == "bf16"
    if not bf16 or "gemm" not in own.constants:
        return own
    return own.replace(constants={"gemm16": own.constants["gemm"], **own.constants})


@remembered(512)
def _datasheet(device: Device, engine: str) -> Calibration:
    """Datasheet values, and the routing that serving has: it touches fewer experts than even routing."""
    rows = (row for row in fits("engine") if row["engine"] == engine)
    skew = next((row["constants"].get("skew", 0.0) for row in rows), 0.0)
    return Calibration.ideal().replace(
        constants={"engine": {"skew": skew, **memory_of(engine, device).get("engine", {})}},
        whole=True,
        calibrated_on=f"{NOTHING}, experts routed as in serving",
    )


def _own_engine(device: Device, engine: str) -> Calibration:
    """What no type decides, with every file outside the catalogue that has something of the device."""
    of = {op: files_of(*(r for r in fits(op) if r["device"] == device.name)) for op in OPERATORS}
    found = estimate(device, engine)
    return found.replace(calibrated_on=found.calibrated_on + _files(of))


_of_engine = like_measured(_own_engine)


@takes_records
def step_kind(device: Device, plan: Plan, mixture: bool) -> str:
    """Device, types of weights and experts, and whether a mixture: what of whole steps was measured or not.

    Examples
    --------
    >>> import tokenroof as tr
    >>> step_kind(tr.device("H200-SXM"), tr.Plan(weights="fp8"), True)
    'H200-SXM fp8/fp8 mixture'
    """
    return _kind(device.name, plan.weights, str(plan.experts), mixture)


def _kind(device: str, weights: str, experts: str, mixture: bool) -> str:
    return f"{device} {weights}/{experts} mixture" if mixture else f"{device} {weights} dense"


def _types(device: Device, plan: Plan) -> tuple[str, str, str, bool, str]:
    """Types of weights, experts and cache as the device runs them; whether it spans nodes; `passed_over`."""
    types = plan.on(device)
    spans = plan.devices > link_domain(device)
    experts = str(types.experts)
    other = passed_over(device, plan.engine, experts, plan.dp > 1)
    return types.narrow_type(), experts, types.kv_cache, spans, other


@remembered(4096)
def _own_types(
    device: Device,
    engine: str,
    weights: str,
    experts: str,
    kv_cache: str,
    spans_nodes: bool,
    not_of: str,
) -> Calibration:
    """Constants of every operator of a step, where there are any; shares of a roofline elsewhere."""
    base = estimate(device, engine)
    kinds = {
        "gemm": ("gemm", weights), "gemm16": ("gemm", "bf16"),
        "attention_decode": ("attention_decode", kv_cache),
        "attention_prefill": ("attention_prefill", dtypes.attention("bf16", kv_cache)),
        "mla_decode": ("mla_decode", kv_cache), "mla_prefill": ("mla_prefill", kv_cache),
        "experts": ("experts", experts), "all_reduce": ("all_reduce", "all_reduce"),
        "all_gather": ("all_gather", "all_gather"), "all_to_all": ("all_to_all", "all_to_all"),
    }  # fmt: skip
    blocks, elsewhere = dict(base.constants), {}
    bands: dict[str, float] = {}
    notes: dict[str, str] = {}
    row = next((r for r in fits("engine") if r["engine"] == engine), {})
    whole = _kind(device.name, weights, experts, True) in row.get("kinds", ())
    for block, (operator, dtype) in kinds.items():
        # a table of a slow fallback kernel says nothing of steps, unless whole steps were measured so; and of
        # kernels that all engines can call, each tunes for the fastest
        but = ("beaten_by",) if whole else ("slower_than", "beaten_by")
        other = not_of if block == "experts" else ""
        found = find(operator, device, engine, dtype, but, other)
        if found is not None and other:
            notes[block] = (
                f"experts by {found.origin}, whose kernels the engine runs with several ranks"
            )
        elif found is not None and found.instead:
            notes[block] = (
                f"{dtype} {operator} by {found.origin}, as the engine's own table has them slower than "
                f"{found.faster}"
            )
        if found is not None:
            blocks[block] = found.constants
            elsewhere[operator] = found.file
            if block in ("gemm", "experts"):
                far = found.instead == "slower_than"
                bands[block] = max(found.band, FAR_BAND) if far else found.band
    power = own_power_fit(device)
    blocks["power"], elsewhere["power"] = power.constants, power.file
    base = base.replace(calibrated_on=base.calibrated_on + _files(elsewhere))
    base = base.replace(operator_bands=bands, operator_notes=notes)
    if spans_nodes:
        base = base.replace(
            error_band=max(base.error_band, NODE_BAND), ttft_band=max(base.ttft_band, NODE_BAND),
            calibrated_on=f"{base.calibrated_on}; between nodes nothing was measured",
        )  # fmt: skip
    return _banded(base.replace(constants=blocks), device, weights)


_of_types = like_measured(_own_types)


def _files(of: dict[str, str]) -> str:
    """Which operators' constants come from files that are not the catalogue's."""
    return "".join(f"; {operator} from {file}" for operator, file in of.items() if file)


@like_measured
@remembered(4096)
def _of_step_kind(
    device: Device, engine: str, weights: str, experts: str, kv_cache: str, spans_nodes: bool, not_of: str,
    named: tuple[str, str], mixture: bool,
) -> Calibration:  # fmt: skip
    """Constants of a step with bands of its kind: wider where no whole step of the kind was measured.

    The operator's error adds to the engine's, in quadrature; products', and of a mixture the experts'.
    """
    known = _own_types(device, engine, weights, experts, kv_cache, spans_nodes, not_of)
    blocks = ("gemm", "experts") if mixture else ("gemm",)
    bands = [known.operator_bands[b] for b in blocks if b in known.operator_bands]
    row = next((r for r in fits("engine") if r["engine"] == engine), {})
    kind = _kind(device.name, *named, mixture)
    if not row or not bands or kind in row.get("kinds", ()):
        return known
    # all plans of these types share it, and it goes with what is known
    shared: dict[str, Calibration] = known.__dict__.setdefault("of_kinds", {})
    if kind in shared:
        return shared[kind]
    notes = (note for b, note in known.operator_notes.items() if mixture or b != "experts")
    said = [known.calibrated_on, *notes]
    said.append(
        f"of its kind ({kind.removeprefix(device.name + ' ')}) no step was measured on this device"
    )
    wider = known.replace(
        error_band=math.hypot(known.error_band, max(bands)),
        ttft_band=math.hypot(known.ttft_band, max(bands)),
        calibrated_on="; ".join(said),
    )  # fmt: skip
    wider.__dict__["packed"] = known.packed  # bands are no part of it
    shared[kind] = wider
    return wider


def _banded(found: Calibration, device: Device, dtype: str) -> Calibration:
    """Types that a measured device was not measured in borrow from the one that it was: a wide band."""
    if "cost.product" not in device.measured or dtype == "fp32":
        return found
    return found.replace(
        error_band=OTHER_KINDS["cpu"][-1],
        calibrated_on=f"{found.calibrated_on}, borrowed for {dtype}",
    )


def resolve_operator(
    fidelity: str | Calibration,
    device: Device,
    engine: str,
    operator: str,
    dtype: str,
    also: tuple[str, str] | None = None,
) -> Calibration:
    """The calibration of one operator alone, with its own band; `also`: another one that it may call.

    Raises
    ------
    ValueError
        As `resolve`.
    """
    own = fidelity if isinstance(fidelity, Calibration) and not fidelity.stands_alone else None
    if own is None and not among(fidelity, ("calibrated",)):
        return resolve(fidelity, device, engine)
    base = _of_operator(device, engine, operator, dtype, also)
    if own is None:
        return base
    if operator in own.constants:
        where = f"{own.said_of(operator)}: {own.calibrated_on}"
        band = own.operator_bands.get(operator, own.error_band)
        return own.over(base).replace(error_band=band, calibrated_on=where)
    return own.over(base).replace(
        error_band=base.error_band, calibrated_on=base.calibrated_on, name=base.name
    )


@like_measured
def _of_operator(
    device: Device, engine: str, operator: str, dtype: str, also: tuple[str, str] | None
) -> Calibration:
    base = _own_engine(device, engine)
    found = find(operator, device, engine, dtype)
    if found is None:  # shares of a roofline: bands of serving say nothing of an operator
        far = base.replace(error_band=float(np.fmax(base.error_band, FAR_BAND)))
        return _banded(base if "cost.product" in device.measured else far, device, dtype)
    blocks = {operator: found.constants}
    other = find(also[0], device, engine, also[1]) if also else None
    if also and other is not None:
        blocks[also[0]] = other.constants
    return base.replace(
        name=f"{operator} on {device.name}", constants=blocks,
        error_band=found.band, calibrated_on=found.origin,
    )  # fmt: skip
