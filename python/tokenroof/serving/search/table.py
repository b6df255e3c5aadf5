"""The Pareto set over systems."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.serving.closed_loop import UNITS
from tokenroof.serving.loads import ONE_TOKEN
from tokenroof.serving.room import unknown
from tokenroof.serving.search.axes import drafts_assumed
from tokenroof.serving.search.constraints import CAP_ATTRS, binding, kept, nearest_miss
from tokenroof.serving.search.hunt import search
from tokenroof.serving.search.question import links_of, worth_of
from tokenroof.serving.system.closed import SYSTEM_UNITS, quantities
from tokenroof.support.lazy import require
from tokenroof.support.pareto import pareto
from tokenroof.support.quoting import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from tokenroof.records.deployment import Deployment
    from tokenroof.serving.search.question import Pile, Question

__all__ = ["frontier_of_systems"]

_SHORT = ("decode replicas", "prefill replicas", "the link")


def frontier_of_systems(question: Question, full: bool = False) -> xr.Dataset:
    """The table of `frontier` over systems; `full` works out those too that a bound rules out."""
    xarray = require("xarray", extra="analysis")
    q = question
    piles = search(q, full)
    speed = np.concatenate([np.empty(0), *(p.found.speed for p in piles)])
    worth = np.concatenate([np.empty(0), *(worth_of(p, q) for p in piles)])
    good = np.concatenate([np.empty(0, dtype=bool), *(kept(p.found, q.asked) for p in piles)])
    chosen = pareto(speed, np.where(good & q.load.gaps, worth, np.nan))
    owner = np.concatenate(
        [np.empty(0, int), *(np.full(len(p.found), i) for i, p in enumerate(piles))]
    )
    starts = np.cumsum([0, *(len(p.found) for p in piles)])
    rows = [_row(q, piles[owner[c]], int(c - starts[owner[c]])) for c in chosen]
    binds = binding(piles_values(piles), q.asked, speed, worth, chosen)
    names = [*UNITS, *SYSTEM_UNITS, *_OWN]
    data: dict[str, Any] = {
        name: ("point", np.array([row[name] for row in rows] if rows else [])) for name in names
    }
    if any("power_cap_w" in row for row in rows):
        for name in ("power_cap_w", "prefill_power_cap_w"):
            data[name] = ("point", np.array([row[name] for row in rows]), CAP_ATTRS)
    if q.others and rows:
        data |= {
            n: ("point", np.array([row[n] for row in rows])) for n in ("device", "prefill_device")
        }
        rates = np.array([row["link_bandwidth"] for row in rows])
        data["link_bandwidth"] = (
            "point",
            rates,
            {"units": "B/s", "long_name": "between pools, a device"},
        )
    data["binds"] = ("point", np.array(binds if rows else [], dtype=str))
    reason = unknown(q.power, q.device, *q.others)
    if not rows:
        reason = (
            nearest_miss(piles_values(piles), q.asked) if piles else "no layout runs on the device"
        )
        reason = reason if q.load.gaps else ONE_TOKEN
    table: xr.Dataset = xarray.Dataset(
        data, attrs=_attributes(q, rows, sum(p.tried for p in piles), reason)
    )
    for name, (units, said) in (UNITS | SYSTEM_UNITS).items():
        table[name].attrs.update(units=units, long_name=said.replace("replica", "system"))
    return table


_OWN = (
    "system",
    "plan",
    "prefill_plan",
    "replicas",
    "prefill_replicas",
    "drafts",
    "concurrency",
    "engine",
    "reason",
)


def piles_values(piles: Sequence[Pile]) -> dict[str, NDArray[np.float64]]:
    """What the kernel gave of all systems."""
    names = piles[0].found.values if piles else ()
    return {n: np.concatenate([p.found.values[n] for p in piles]) for n in names}


def _row(q: Question, pile: Pile, at: int) -> dict[str, Any]:
    """A point: the variables of `curve`, and what the system is."""
    found, of, first = pile.found, pile.of, pile.first
    state = found.state[at]
    last = of.on[of.plan[state]]
    values = {name: np.asarray(column[at]) for name, column in found.values.items()}
    on = {"both": last}
    if first is not None:
        on = {"prefill": first.on[found.prefill[at]], "decode": last}
    batch = np.asarray(of.terms["batch"][state])
    # of all the whole systems that fit the devices
    ahead_devices = (
        0.0 if first is None else on["prefill"].plan.devices * values["prefill_replicas"]
    )
    used = values["devices"] - values["idle_devices"] - ahead_devices
    n = float(np.round(used / last.plan.devices))
    row = quantities(values, on, q.load, q.power, q.pue, batch * n, np.asarray(0.0), batch)
    out = {name: float(np.ravel(value)[0]) for name, value in row.items()}
    spec = of.drafts[of.draft[state]]
    decode, ahead = (f"{n:.0f}x {_named(q, last)}", "")
    parts = [decode]
    if first is not None:
        ahead = _named(q, on["prefill"])
        parts = [f"prefill {values['prefill_replicas']:.0f}x {ahead}", f"decode {decode}"]
    if spec is not None:
        parts.append(spec.label())
    if q.others:
        near = None if first is None else on["prefill"].device.name
        rate = links_of(q).bandwidth[[*links_of(q).names].index(near or last.device.name)]
        out["link_bandwidth"] = rate[links_of(q).names.index(last.device.name)] if near else np.nan
        names = {"device": last.device.name, "prefill_device": near or ""}
    else:
        names = {}
    if any(one.plan.power_cap_w is not None for one in (*of.on, *(first.on if first else ()))):
        out["power_cap_w"] = last.power.limit_w
        out["prefill_power_cap_w"] = np.nan if first is None else on["prefill"].power.limit_w
    short = _SHORT[int(values["short_of"])]
    idle = (
        f"; {counted(values['idle_devices'], 'device', '.0f')} idle"
        if values["idle_devices"]
        else ""
    )
    load = f"; prefill busy {values['prefill_load']:.0%}" if first is not None else ""
    return out | names | {
        "system": ", ".join(parts), "plan": last.plan.label(last.model),
        "prefill_plan": "" if first is None else on["prefill"].plan.label(last.model),
        "replicas": float(n), "prefill_replicas": float(values["prefill_replicas"]),
        "drafts": 0 if spec is None else spec.length, "concurrency": float(values["concurrency"]),
        "engine": last.plan.engine, "fits": True,
        "reason": f"{counted(batch, 'sequence', '.0f')} a replica; rate set by {short}{load}{idle}",
        "calibrated_on": [p for one in on.values() for p in one.calibration.calibrated_on.split("; ")],
    }  # fmt: skip


def _named(q: Question, one: Deployment) -> str:
    return (
        f"{one.device.name} {one.plan.label(one.model)}" if q.others else one.plan.label(one.model)
    )


def _attributes(q: Question, rows: list[dict[str, Any]], tried: int, reason: str) -> dict[str, Any]:
    return {
        "device": " and ".join(one.name for one in (q.device, *q.others)),
        "vendor": q.device.vendor, "family": q.device.family,
        "model": q.model.name, "input_tokens": q.load.input_tokens,
        "output_tokens": q.load.output_tokens, "power": q.power, "engine": q.engine,
        "fidelity": q.fidelity if isinstance(q.fidelity, str) else q.fidelity.name,
        "systems_tried": tried, "reason": reason, **q.asked.said(),
        "load": "closed loop: requests in flight are constant; times are means",
        "calibrated_on": "; ".join(dict.fromkeys(part for row in rows for part in row["calibrated_on"])),
        "drafts_assumed": drafts_assumed(q.model, q.asked.speculation, q.asked.exclude),
    }  # fmt: skip
