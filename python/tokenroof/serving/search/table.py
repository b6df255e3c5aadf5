"""The Pareto set over systems."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.inference.device_power import device_power
from tokenroof.inference.door import resolved
from tokenroof.inference.estimates import parameter
from tokenroof.serving.closed_loop import UNITS
from tokenroof.serving.loads import ONE_TOKEN
from tokenroof.serving.search.axes import (
    draft_lengths,
    drafts_assumed,
    prefills,
    runs,
    system_plans,
)
from tokenroof.serving.search.choose import Found, Links, combined, upper_bound, worth_trying
from tokenroof.serving.search.constraints import CAP_ATTRS, Asked, binding, kept, nearest_miss
from tokenroof.serving.search.states import States, states
from tokenroof.serving.system.closed import SYSTEM_UNITS, quantities
from tokenroof.support.lazy import require
from tokenroof.support.pareto import pareto
from tokenroof.support.quoting import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from tokenroof.records.calibration import Calibration
    from tokenroof.records.deployment import Deployment
    from tokenroof.records.device import Device
    from tokenroof.records.model import Model
    from tokenroof.records.plan import Plan
    from tokenroof.serving.loads import Load
    from tokenroof.serving.search.axes import Prefill

__all__ = ["Question", "frontier_of_systems", "search"]

_SHORT = ("decode replicas", "prefill replicas", "the link")
_WORTH = {"provisioned": "provisioned_w", "dashboard": "provisioned_w", "board": "watts"}


@dataclass(frozen=True)
class Question:
    """What a search is asked: records, a load, which power counts, constraints."""

    device: Device
    model: Model
    plans: Sequence[Plan] | None
    load: Load
    devices_max: int | None
    batches: NDArray[np.float64]
    fidelity: str | Calibration
    engine: str
    power: str
    pue: float
    asked: Asked
    others: tuple[Device, ...] = ()  # that pools may be of too
    fullest: bool = False  # plans with as many sequences as their memory holds too


@dataclass(frozen=True)
class Pile:
    """Systems of one kind that were worked out, with what they were made of."""

    of: States
    first: Prefill | None
    found: Found


def _links(question: Question) -> Links:
    """What replicas of pools have between them: the network, as pools may stand in two domains.

    Between unlike devices the lesser of their networks, the catalogue's middle where one is unknown.
    """
    every, usual = (question.device, *question.others), parameter("decouple_link_bandwidth").mid
    rates = np.empty((len(every), len(every)))
    for i, a in enumerate(every):
        for j, b in enumerate(every):
            networks = [float(x.node_link_bandwidth or 0.0) for x in (a, b)]
            alone = a.link.bandwidth if i == j and a.link else 0.0
            known = min(networks) or alone or usual
            rates[i, j] = known if a.link and b.link else 0.0
    return Links(tuple(x.name for x in every), rates, parameter("decouple_hop_s").mid)


def _worth(pile: Pile, question: Question) -> NDArray[np.float64]:
    """Tokens a second and watt, of the power that counts."""
    found = pile.found
    watts = found.values[_WORTH.get(question.power, "watts")]
    if question.power in ("chassis", "facility"):
        watts = watts + _host_w(pile, question)
    scale = question.pue if question.power == "facility" else 1.0
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(found.values["output_rate"] / (scale * watts))


def _host_w(pile: Pile, question: Question) -> Any:
    """Watts of hosts, of each system."""
    found, all_devices = pile.found, pile.found.values["devices"]
    if not question.others:
        return all_devices * float(device_power(question.device).host_w)
    last = np.array([one.power.host_w for one in pile.of.on])[pile.of.plan[found.state]]
    if pile.first is None:
        return all_devices * last
    near = np.array([one.power.host_w for one in pile.first.on])[found.prefill]
    ahead = found.values["prefill_replicas"] * pile.first.terms["prefill_devices"][found.prefill]
    return ahead * near + (all_devices - ahead) * last


def _candidates(question: Question) -> list[Deployment]:
    """Replicas of all devices that pools may be of."""
    q, found = question, list[Any]()
    for device in (q.device, *q.others):
        plans = q.plans
        if plans is None:
            plans = system_plans(
                device, q.model, q.devices_max, q.engine, q.asked.types, q.asked.exclude
            )
        elif device is not q.device:
            plans = [plan for plan in plans if runs(device, q.model, plan)]
        found += resolved(device, q.model, q.asked.capped(device, plans), q.fidelity)
    return found


def search(question: Question, full: bool = False) -> list[Pile]:
    """Systems worked out: all of them, or but for those that a bound rules out.

    First those without drafts. A round takes at least the step that carries one token a sequence, and yields
    at most the tokens of the longest: plans of which even that would be no better than what was found are
    left out, and of the rest systems whose own bound is no better.
    """
    q, asked = question, question.asked
    on = _candidates(q)
    drafts = draft_lengths(q.model, asked.speculation, asked.exclude)
    piles: list[Pile] = []
    if not on:
        return piles
    first = None if "disaggregated" in asked.exclude else prefills(on, q.load)
    bounded = not full and q.power in ("provisioned", "dashboard")
    plain = states(on, q.load, drafts[:1], q.batches, q.fidelity, None, q.fullest)
    _work_out(piles, plain, first, q, bounded)
    rest = drafts[1:]
    if not rest:
        return piles
    most = max(spec.tokens for spec in rest if spec is not None)
    everyone = np.arange(len(on))
    left = everyone
    if bounded:
        # the plans that are best without drafts show what the others have to pass
        seeds = _best_plans(piles)
        _work_out(
            piles, states(on, q.load, rest, q.batches, q.fidelity, seeds, q.fullest), first, q, True
        )
        left = np.setdiff1d(_hopeful(plain, first, most, piles, q), seeds)
    _work_out(
        piles, states(on, q.load, rest, q.batches, q.fidelity, left, q.fullest), first, q, bounded
    )
    return piles


def _best_plans(piles: Sequence[Pile]) -> NDArray[np.intp]:
    """Plans of the systems that are not beaten yet."""
    found: list[NDArray[np.intp]] = [np.empty(0, dtype=np.intp)]
    for pile in piles:
        with np.errstate(invalid="ignore"):
            worth = pile.found.values["output_rate"] / pile.found.values["provisioned_w"]
        found.append(pile.of.plan[pile.found.state[pareto(pile.found.speed, worth)]])
    return np.unique(np.concatenate(found))


def _hopeful(
    plain: tuple[States, States],
    first: Prefill | None,
    most: float,
    piles: Sequence[Pile],
    q: Question,
) -> NDArray[np.intp]:
    """Plans of which a state would pass what was found, if a round of `most` tokens took a step."""
    have, output = _offers(piles, q), q.load.output_tokens
    found: list[NDArray[np.intp]] = []
    for of, ahead in zip(plain, (first, None), strict=True):
        if not len(of) or (ahead is None and of is plain[0]):
            continue
        ideal = States(
            of.on, of.drafts, of.plan, of.draft, of.terms | {"tokens": np.full(len(of), most)}
        )
        speed = 1.0 / (of.terms["round_s"] / most + of.terms.get("interference_s", 0.0))
        bound = upper_bound(ideal, ahead, output)
        hopeful = worth_trying(bound, speed, have) if len(have[0]) else np.ones(len(of), dtype=bool)
        found.append(of.plan[hopeful])
    return np.unique(np.concatenate([np.empty(0, dtype=np.intp), *found]))


def _work_out(
    piles: list[Pile],
    kinds: tuple[States, States],
    first: Prefill | None,
    q: Question,
    bounded: bool,
) -> None:
    """Add the systems of some states."""
    alone, shared = kinds
    link, output, devices = _links(q), q.load.output_tokens, q.asked.devices
    if "both" not in q.asked.exclude and len(shared):
        found = combined(shared, None, np.arange(len(shared)), link, output, devices)
        piles.append(Pile(shared, None, found))
    if first is None or not len(first) or not len(alone) or not link.bandwidth.any():
        return
    rows = np.arange(len(alone))
    if bounded:
        bound = upper_bound(alone, first, output)
        speed = alone.terms["tokens"] / alone.terms["round_s"]
        seeds = pareto(speed, bound)
        piles.append(Pile(alone, first, combined(alone, first, seeds, link, output, devices)))
        have = _offers(piles, q)
        rest = worth_trying(bound, speed, have) if len(have[0]) else np.ones(len(alone), dtype=bool)
        rest[seeds] = False
        rows = np.flatnonzero(rest)
    piles.append(Pile(alone, first, combined(alone, first, rows, link, output, devices)))


def _offers(piles: Sequence[Pile], q: Question) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Speed and worth of what keeps to the constraints."""
    speeds, worths = [np.empty(0)], [np.empty(0)]
    for pile in piles:
        good = kept(pile.found, q.asked)
        speeds.append(pile.found.speed[good])
        worths.append(_worth(pile, q)[good])
    return np.concatenate(speeds), np.concatenate(worths)


def frontier_of_systems(question: Question, full: bool = False) -> xr.Dataset:
    """The table of `frontier` over systems; `full` works out those too that a bound rules out."""
    xarray = require("xarray", extra="analysis")
    q = question
    piles = search(q, full)
    speed = np.concatenate([np.empty(0), *(p.found.speed for p in piles)])
    worth = np.concatenate([np.empty(0), *(_worth(p, q) for p in piles)])
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
    reason = ""
    if not rows:
        reason = (
            nearest_miss(piles_values(piles), q.asked) if piles else "no layout runs on the device"
        )
        reason = reason if q.load.gaps else ONE_TOKEN
    table: xr.Dataset = xarray.Dataset(data, attrs=_attributes(q, rows, len(speed), reason))
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
        rate = _links(q).bandwidth[[*_links(q).names].index(near or last.device.name)]
        out["link_bandwidth"] = rate[_links(q).names.index(last.device.name)] if near else np.nan
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
