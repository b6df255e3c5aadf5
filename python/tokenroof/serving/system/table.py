"""`curve` of a system: pools in closed loop, or a layout over dataflow chips with its ranges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.inference import decouple
from tokenroof.serving.beyond import said
from tokenroof.serving.closed_loop import UNITS
from tokenroof.serving.loads import ONE_TOKEN, check_length
from tokenroof.serving.room import unknown
from tokenroof.serving.system.closed import SYSTEM_UNITS, evaluate_system
from tokenroof.support.lazy import require

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr
    from numpy.typing import NDArray

    from tokenroof.inference.decouple.layout import Layout
    from tokenroof.records.calibration import Calibration
    from tokenroof.records.deployment import Deployment
    from tokenroof.records.model import Model
    from tokenroof.serving.loads import Load
    from tokenroof.serving.system.record import System

__all__ = ["about", "left_open", "on_chips", "system_table", "why_nothing"]

_PER_TOKEN = {f"{name}{end}" for name in ("tpot", "interactivity")
              for end in ("", "_s", "_low", "_high", "_low_s", "_high_s")}  # fmt: skip


def system_table(
    system: System,
    model: str | Model | None,
    load: Load,
    users: NDArray[np.float64],
    fidelity: str | Calibration,
    power: str,
    pue: float,
) -> xr.Dataset:
    """The table of `curve` for a system."""
    xarray = require("xarray", extra="analysis")
    what = system.serves(model)
    check_length(what, load.input_tokens, load.output_tokens)
    if on_chips(system):
        values, attrs = _laid_out(system, what, load, users, fidelity)
    else:
        on = system.deployments(what, fidelity)
        values = evaluate_system(system, on, load, users, fidelity, power, pue)
        attrs = about(system, on, load, users, fidelity, power)
        fine = left_open(system, power) if load.gaps else ""
        attrs["reason"] = fine if values["fits"].any() else why_nothing(system, what)
    if not load.gaps:
        for name in _PER_TOKEN & values.keys():
            values[name] = np.full(users.shape, np.nan)
        attrs["reason"] = attrs["reason"] or ONE_TOKEN
    table: xr.Dataset = xarray.Dataset(
        {
            name: ("concurrency", np.broadcast_to(array, users.shape))
            for name, array in values.items()
        },
        coords={"concurrency": ("concurrency", users, {"units": "1"})},
        attrs=attrs,
    )
    for name, (units, long_name) in (UNITS | SYSTEM_UNITS).items():
        if name in table:
            table[name].attrs.update(units=units, long_name=long_name.replace("replica", "system"))
    return table


def on_chips(system: System) -> bool:
    """Whether any pool is of dataflow chips, which a load lays out."""
    return any(pool.dataflow for pool in system.pools.values())


def left_open(system: System, power: str) -> str:
    """What the cards of a system's devices do not state, "" where they state all."""
    return unknown(power, *(pool.where for pool in system.pools.values()))


def why_nothing(system: System, model: Model) -> str:
    """Why a system serves nothing."""
    return f"weights and one request's cache do not fit a pool of {system.label(model)}"


def about(
    system: System,
    on: Mapping[str, Deployment],
    load: Load,
    users: NDArray[np.float64],
    fidelity: str | Calibration,
    power: str,
) -> dict[str, Any]:
    """What a table over a system says of itself."""
    every = list(on.values())
    where = [part for one in every for part in one.calibration.calibrated_on.split("; ")]
    return {
        "device": " and ".join(dict.fromkeys(one.device.name for one in every)),
        "model": every[0].model.name,
        "system": system.label(every[0].model),
        "engine": system.engine,
        "version": system.version or "",
        "input_tokens": load.input_tokens,
        "output_tokens": load.output_tokens,
        "fidelity": fidelity if isinstance(fidelity, str) else fidelity.name,
        "calibrated_on": "; ".join(dict.fromkeys(where)),
        "beyond": said(every, load, users / system.devices * every[-1].plan.devices),
        "power": power,
        "watts_band": max(one.power.band for one in every),
        "load": "closed loop: requests in flight are constant; times are means",
    }


def _layout(
    system: System, what: Model, load: Load, users: NDArray[np.float64], fidelity: Any
) -> Layout:
    """The layout of `tokenroof.decouple` that a system with dataflow chips is."""
    link: dict[str, Any] = {
        "link_bandwidth": system.link_bandwidth, "hop_s": system.hop_s, "fidelity": fidelity,
    }  # fmt: skip
    if system.attention is not None:
        site = (system.attention.where, system.attention.plan_for(what))
        return decouple.attention_experts(
            what, site, system.experts.where, batch=users, context=load.context, **link
        )
    if system.prefill is not None:
        first, second = (
            (pool.where, pool.plan_for(what), pool.count)
            for pool in (system.prefill, system.decode)
        )
        return decouple.prefill_decode(
            what, first, second,
            input_tokens=load.input_tokens, output_tokens=load.output_tokens, concurrency=users, **link,
        )  # fmt: skip
    spec = system.speculation
    chance = 0.0 if not spec.length else float(np.mean(spec.acceptance))
    return decouple.drafts(
        what, (system.both.where, system.both.plan_for(what)), spec.method, system.draft.where,
        length=spec.length, acceptance=chance, batch=users / system.both.count,
        context=load.context, **link,
    )  # fmt: skip


def _laid_out(
    system: System, what: Model, load: Load, users: NDArray[np.float64], fidelity: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Variables of a layout with the ends of their ranges, and what the table says of itself."""
    found = _layout(system, what, load, users, fidelity)
    copies = system.both.count if system.both is not None else 1
    tpot, rate, watts = found.tpot_s, found.tokens_per_s, found.watts
    speed, each = found.interactivity, found.tokens_per_joule
    values: dict[str, Any] = {
        "tpot_s": tpot.mid, "tpot_low_s": tpot.low, "tpot_high_s": tpot.high,
        "interactivity": speed.mid, "interactivity_low": speed.low, "interactivity_high": speed.high,
        "output_throughput": copies * rate.mid, "watts": copies * watts.mid,
        "watts_low": copies * watts.low, "watts_high": copies * watts.high,
        "output_tokens_per_joule": each.mid, "output_tokens_per_s_per_mw": 1e6 * each.mid,
        "output_tokens_per_s_per_mw_low": 1e6 * each.low,
        "output_tokens_per_s_per_mw_high": 1e6 * each.high,
    }  # fmt: skip
    for name, part in found.parts.items():
        values.setdefault(name, part.mid)
    attrs = {
        "device": " and ".join(dict.fromkeys(p.where.name for p in system.pools.values())),
        "model": what.name,
        "system": system.label(what),
        "input_tokens": load.input_tokens,
        "output_tokens": load.output_tokens,
        "fidelity": fidelity if isinstance(fidelity, str) else fidelity.name,
        "power": "board",
        "reason": "",
        "ranges": "; ".join(f"{name}: {r.source}" for name, r in found.ranges.items() if r.source),
        "load": "answers alone, sequences that decode"
        if "ttft_s" not in values
        else "closed loop: requests in flight are constant; times are means",
    }
    return values, attrs
