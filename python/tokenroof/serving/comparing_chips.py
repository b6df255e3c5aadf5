"""What devices with dataflow chips beside them offer at a speed, as `compare` tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.inference.dataflow import check_kind
from tokenroof.inference.decouple import attention_experts, drafts
from tokenroof.inference.door import as_device
from tokenroof.inference.speculative.drafting import eagle_model
from tokenroof.inference.step import CAUSES, GROUPS, decode, prefill
from tokenroof.serving.beside import beside_lpx
from tokenroof.serving.loads import as_load
from tokenroof.serving.plans import default_plans
from tokenroof.support.arguments import shown
from tokenroof.support.names import among

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokenroof.records.device import Device
    from tokenroof.records.model import Model
    from tokenroof.records.plan import Plan
    from tokenroof.serving.system.record import System

__all__ = ["ADDED", "beside", "chips_of_offers", "of_layout"]

#: What a token's seconds have beside those of a step: prompts of others, drafts, chips, the way to them and
#: back, and what a microbatch waits for the others.
ADDED = ("prompts", "drafts", "chips", "link", "turns")
_BATCHES = np.unique(np.round(np.geomspace(1, 4096, 32)))
_LENGTHS = (2, 4, 6)


def chips_of_offers(given: Any, power: str) -> tuple[Device | None, Device | None]:
    """Chips that may stand beside the devices of each of two offers: one for both, or a pair."""
    if given is not None:
        _check_power(power)
    pair = given if isinstance(given, tuple) else (given, given)
    if len(pair) != 2:
        raise ValueError(f"chips is {shown(given)}; allowed: a device, a pair of them, or None")
    one, other = (None if x is None else check_kind("chips", as_device(x)) for x in pair)
    return one, other


def _check_power(power: str) -> None:
    """Reject a power that a layout with chips does not know."""
    if not among(power, ("provisioned", "board")):
        raise ValueError(f"power is {shown(power)} with chips; allowed: 'provisioned', 'board'")


def of_layout(system: System, model: Model) -> tuple[Device, Plan, Device, dict[str, Any]] | None:
    """Site, plan, chips and how they help, of a system whose chips hold experts, or draft."""
    if system.attention is not None:
        site = system.attention
        return site.where, site.plan_for(model), system.experts.where, {"ways": ("experts",)}
    if system.both is not None and system.draft is not None and system.both.count == 1:
        spec, site = system.speculation, system.both
        how = {"ways": ("drafts",), "draft": spec.method, "length": (spec.length,)}
        chance = float(np.mean(spec.acceptance)) if spec.length else 0.0
        return site.where, site.plan_for(model), system.draft.where, how | {"acceptance": chance}
    return None


def beside(
    device: Device,
    plan: Plan | None,
    far: Device,
    model: Model,
    speed: float,
    options: Mapping[str, Any],
    how: Mapping[str, Any],
) -> dict[str, Any]:
    """Fields of the best offer, by the middles of its ranges.

    Raises
    ------
    ValueError
        Where nothing is as fast, or as quick to the first token, with what comes nearest.
    """
    power = options.get("power", "provisioned")
    _check_power(power)
    load = as_load(options.get("input_tokens", 1024), options.get("output_tokens", 1024))
    plans = default_plans(device, model, options.get("devices_max")) if plan is None else [plan]
    fidelity = options.get("fidelity", "calibrated")
    found = beside_lpx(
        model, device, far, plans, load.input_tokens, load.output_tokens, batch=_BATCHES, fidelity=fidelity,
        **{"length": _LENGTHS, **how},
    )  # fmt: skip
    if not found.sizes["point"]:
        raise ValueError(str(found.attrs["reason"]))
    v = {str(name): found[name].values for name in found.data_vars}
    watts = "provisioned_watts" if power == "provisioned" else "watts"
    fast, wait = v["interactivity"] >= speed, options.get("ttft_max")
    if not fast.any():
        fastest = float(v["interactivity"].max())
        raise ValueError(
            f"speed is {speed:g} token/s a user; allowed: at most {fastest:.3g}, its fastest point"
        )
    kept = fast if wait is None else fast & (v["ttft_s"] <= wait)
    if not kept.any():
        least = float(v["ttft_s"][fast].min())
        raise ValueError(
            f"ttft_max is {shown(wait)} at {speed:g} token/s a user; allowed: at least {least:.3g} s"
        )
    worth = {
        end: v[f"output_throughput{end}"] / v[f"{watts}{other}"] * 1e6
        for end, other in (("", ""), ("_low", "_high"), ("_high", "_low"))
    }
    at = int(np.argmax(np.where(kept, worth[""], -np.inf)))
    chosen = next(p for p in plans if p.label(model) == str(v["plan"][at]))
    row = {name: column[at] for name, column in v.items()}
    operators, causes = _seconds(device, chosen, far, model, row, load.context, fidelity, how)
    alone = prefill(device, model, chosen, tokens=load.input_tokens, fidelity=fidelity)
    devices = float(row["devices"])
    wide = max(
        row["interactivity_high"] / row["interactivity"],
        row["interactivity"] / row["interactivity_low"],
    )
    return {
        "label": str(row["system"]), "devices": devices, "concurrency": float(row["concurrency"]),
        "batch": float(row["concurrency"]), "interactivity": float(row["interactivity"]),
        "ttft_s": float(row["ttft_s"]), "per_device": float(row["output_throughput"]) / devices,
        "per_mw": float(worth[""][at]), "watts_per_device": float(row[watts]) / devices,
        "error_band": float(wide) - 1.0, "operators": operators, "causes": causes,
        "prompt_operators": {name: float(alone.breakdown()["operator"][name]) for name in GROUPS},
        "per_mw_low": float(worth["_low"][at]), "per_mw_high": float(worth["_high"][at]),
        "chips": float(row["chips"]), "calibrated_on": alone.calibrated_on,
    }  # fmt: skip


def _seconds(
    device: Device, plan: Plan, far: Device, model: Model, row: Mapping[str, Any], context: float,
    fidelity: Any, how: Mapping[str, Any],
) -> tuple[dict[str, float], dict[str, float]]:  # fmt: skip
    """Seconds of a token by operator and by cause, of the middles; what is added is in both."""
    batch, tpot = float(row["concurrency"]), float(row["tpot_s"])
    site, added = (device, plan), dict.fromkeys(ADDED, 0.0)
    gone: tuple[str, ...] = ()
    if row["way"] == "experts":
        found = attention_experts(model, site, far, batch=batch, context=context, fidelity=fidelity)
        parts = {name: float(part.mid) for name, part in found.parts.items()}
        step = decode(
            device, model, plan, batch=parts["microbatch"], context=context, fidelity=fidelity
        )
        gone, own = ("mlp", "experts"), parts["attention_s"]
        added |= {"chips": parts["experts_s"], "link": parts["link_s"]}
        added["turns"] = tpot - own - added["chips"] - added["link"]
    else:
        lengths = np.array(how.get("length", _LENGTHS))
        small = how.get("draft") or eagle_model(model)
        chance = how.get("acceptance", 0.8)
        tried = drafts(
            model, site, small, far, length=lengths, acceptance=chance, batch=batch, context=context,
            fidelity=fidelity,
        )  # fmt: skip
        at = int(np.argmin(np.abs(np.broadcast_to(tried.tpot_s.mid, lengths.shape) - tpot)))
        parts = {
            name: float(np.broadcast_to(part.mid, lengths.shape)[at])
            for name, part in tried.parts.items()
        }
        step = decode(device, model, plan, batch=batch, context=context, fidelity=fidelity)
        own, kept = float(step.time_s), parts["expected_tokens"]
        added |= {"chips": parts["draft_s"] / kept, "link": parts["link_s"] / kept}
        added["drafts"] = tpot - own - added["chips"] - added["link"]
    by = step.breakdown()
    groups = {name: 0.0 if name in gone else float(by["operator"][name]) for name in GROUPS}
    causes = {name: float(by["cause"][name]) for name in CAUSES}
    return (
        {name: seconds * own / sum(groups.values()) for name, seconds in groups.items()} | added,
        {name: seconds * own / sum(causes.values()) for name, seconds in causes.items()} | added,
    )
