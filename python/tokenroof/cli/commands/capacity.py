"""``tokenroof capacity``: the most load under a promise, and the devices that a demand needs."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from tokenroof.cli.arguments import (
    add_device,
    add_model,
    add_plan,
    plan_of,
    refuse_given,
    written_table,
)
from tokenroof.cli.basis import basis_of_system, mixed_engines, say_basis, say_beyond
from tokenroof.cli.fitting import say_what_fits, told_what_fits
from tokenroof.cli.lengths import amount, settle_lengths, sizes_of, whole
from tokenroof.cli.local import measure_if_local
from tokenroof.cli.output import emit, say, short
from tokenroof.cli.promises import (
    FLAGS,
    add_load,
    add_promise,
    add_proof,
    promised,
    said,
    scheduler_of,
    ticker,
    write_rows,
)
from tokenroof.cli.systems import (
    AUTO,
    add_drafts,
    add_host_tier,
    add_pools,
    by_flag,
    drafts_of,
    host_tier_of,
    system_of,
)
from tokenroof.support.formats import si, table
from tokenroof.support.quoting import counted

_RECORDS = ("proof", "pools", "system")
# one name, two meanings: docs/serving/load.md
_TTFT = {
    "concurrency": "steps, and what engines were measured to take beside them (users in closed loop)",
    "rate": "steps alone, without what engines were measured to take beside them (arrivals in open loop)",
}  # fmt: skip

if TYPE_CHECKING:
    from tokenroof.records.device import Device
    from tokenroof.records.model import Model
    from tokenroof.records.plan import Plan
    from tokenroof.serving.slo import SLO
    from tokenroof.serving.system.record import System
    from tokenroof.serving.tuning.fleet import Fleet


def add_arguments(command: ArgumentParser) -> None:
    add_device(command)
    add_model(command)
    add_load(command)
    add_promise(command)
    command.add_argument("--prove", action="store_true", help="play it; else the closed form")
    add_proof(command)
    command.add_argument("--scheduler", help="preset, with --prove; the engine's newest")
    demand = command.add_argument_group("demand")
    demand.add_argument("--demand", type=amount, help="requests per minute: how many devices?")
    demand.add_argument("--availability", type=amount, help="share of the time that a device is up")
    demand.add_argument("--target", type=amount, help="share of the time that enough are up; 0.999")
    demand.add_argument("--spare", type=whole, help="replicas to spare, in place of --target")
    add_pools(command, more="; auto, with --demand: as many of each as it needs")
    add_drafts(command)
    add_host_tier(command)
    command.add_argument("--csv", type=written_table, help="write the row to this file")
    add_plan(command)


def run(arguments: Namespace) -> int:
    settle_lengths(arguments)
    measure_if_local(arguments)
    with by_flag(**FLAGS):
        return _run(arguments)


def _run(arguments: Namespace) -> int:
    from tokenroof.inference.door import as_device, as_model

    device, model = as_device(arguments.device), as_model(arguments.model)
    plan, slos = plan_of(arguments, model), promised(arguments)
    about = {
        "device": device.name,
        "model": model.name,
        "plan": plan.label(model),
        "promise": said(slos),
    }
    mixed = mixed_engines(arguments.scheduler or plan.engine, plan.engine)
    about |= mixed
    proof: dict[str, Any] = {}
    if arguments.prove:
        proof = {
            "prove": True, "seeds": arguments.seeds, "requests": arguments.requests,
            "results": arguments.results, "scheduler": scheduler_of(arguments), "progress": ticker(),
            "host_tier": host_tier_of(arguments),
        }  # fmt: skip
        if arguments.pools is None:
            proof["speculation"] = drafts_of(arguments)
    else:
        names = ("scheduler", "results", "seeds", "requests", "host_tier")
        refuse_given(arguments, names, "without --prove", "with it")
        host_tier_of(arguments)
    load = {"input_tokens": arguments.input_tokens, "output_tokens": arguments.output_tokens}
    with told_what_fits(device, model, plan, arguments.fidelity, **load):
        if arguments.demand is not None:
            _refuse_beside_demand(arguments)
            status = _fleet(arguments, device, model, plan, slos, about, proof)
        else:
            _refuse_without_demand(arguments)
            status = _capacity(arguments, device, model, plan, slos, about, proof)
    if mixed and not arguments.json:
        say(mixed["mixed_engines"])
    return status


def _refuse_without_demand(arguments: Namespace) -> None:
    """What is said of a demand alone."""
    if arguments.pools == AUTO:
        raise ValueError("--pools is 'auto' without --demand; allowed: P:D, or with it")
    for name in ("availability", "target", "spare"):
        if getattr(arguments, name) is not None:
            raise ValueError(f"--{name} given without --demand; allowed: with it")


def _capacity(
    arguments: Namespace,
    device: Device,
    model: Model,
    plan: Plan,
    slos: list[SLO],
    about: dict[str, str],
    proof: dict[str, Any],
) -> int:
    from tokenroof import serving

    if len(slos) > 1:
        raise ValueError(
            f"{about['promise']}; allowed: bounds at one percentile, or --demand, or tokenroof tune"
        )
    if arguments.spread and slos[0].percentile is None and not arguments.prove:
        raise ValueError(
            f"--spread is {arguments.spread:g} with means of the closed form; allowed: a percentile, or "
            "--prove"
        )
    system = _system(arguments, device, model, plan)
    if system is not None:
        about = {**about, "device": system.label(model), "plan": "a system"}
    found = serving.capacity(
        system or device, model, None if system else plan, slos[0], **sizes_of(arguments),
        fidelity=arguments.fidelity, **proof,
    )  # fmt: skip
    if "fits" in found and not found["fits"]:
        load = {"input_tokens": arguments.input_tokens, "output_tokens": arguments.output_tokens}
        say_what_fits(device, model, plan, found.attrs["reason"], arguments.fidelity, **load)
    row = {str(name): found[name].item() for name in (*found.coords, *found.data_vars)}
    basis = basis_of_system(system, device, model, plan, arguments.fidelity)
    row = basis | row  # bands of a table are wider where its load is beyond what was measured
    most = "rate" if "rate" in found.coords else "concurrency"
    if arguments.csv is not None:
        write_rows(arguments.csv, [{**about, **row}])
    if arguments.json:
        emit({
            **about, "ttft_is": _TTFT[most], "beyond_is": found.attrs.get("beyond", ""),
            "proved": found.attrs.get("proved", ""),
            "reason": found.attrs.get("reason", ""), "caveat": found.attrs.get("caveat", ""), **row,
        })  # fmt: skip
    else:
        unit = "requests/s" if most == "rate" else "requests in flight"
        _print(about, f"{short(row[most])} {unit} at most", row, found.attrs.get("proved", ""))
        say(f"TTFT is of {_TTFT[most]}" + ("; of what was played, of steps" if proof else ""))
        _say_basis(row if row[most] else basis)
        say_beyond(found.attrs.get("beyond", ""))
        for why in ("caveat", "reason") if row[most] else ("caveat",):
            if found.attrs.get(why):
                say(found.attrs[why])
    if not row[most] and found.attrs.get("reason") and not arguments.json:
        say(f"nothing: {found.attrs['reason']}")
    return 0 if row[most] else 1


def _system(arguments: Namespace, device: Device, model: Model, plan: Plan) -> System | None:
    """Pools, or drafts over one; None where a device and a plan say all."""
    from tokenroof.serving.system.record import System

    spec = drafts_of(arguments)
    system = system_of(arguments, device, model, plan, spec, free=True)
    if system is not None or spec is None or arguments.prove or arguments.demand is not None:
        return system
    return System(both=(device, plan), speculation=spec, model=model)


def _refuse_beside_demand(arguments: Namespace) -> None:
    """What a demand is not answered for."""
    if arguments.availability is None:
        refuse_given(arguments, ("target",), "without --availability", "with it")
    if arguments.draft is not None and arguments.pools is None and not arguments.prove:
        raise ValueError("--draft is given with --demand and without --prove; allowed: with it")


def _print(about: dict[str, str], most: str, row: dict[str, Any], proved: str) -> None:
    rows = []
    for name in ("ttft", "tpot", "e2e"):
        values = [row.get(f"{name}{p}_s") for p in ("", "_p50", "_p90", "_p99")]
        if any(value is not None for value in values):
            rows.append([name.upper(), *("-" if v is None else si(v, "s") for v in values)])
    table(
        ["", "mean", "p50", "p90", "p99"], rows,
        title=f"{about['model']} on {about['device']}, {about['plan']}: {about['promise']}"
        + ("; the closed form at that rate, what was played is below" if proved else ""),
    )  # fmt: skip
    say(
        f"{most}; {short(row['output_throughput'])} output tok/s"
        + (f"; {proved}" if proved else "")
    )
    if row.get("percentiles_hold") is False:
        say(
            "percentiles here are outside what the closed form was held to: "
            + ("those simulated count" if proved else "--prove plays the scheduler")
        )
    for name, value in row.items():
        if name.startswith("simulated_") and not name.endswith(("_low", "_high")):
            low, high = si(row[name + "_low"], "s"), si(row[name + "_high"], "s")
            say(f"{name.replace('_', ' ')}: {si(value, 's')} ({low} .. {high} by seed)")


def _fleet(
    arguments: Namespace,
    device: Device,
    model: Model,
    plan: Plan,
    slos: list[SLO],
    about: dict[str, str],
    proof: dict[str, Any],
) -> int:
    from tokenroof import serving

    given = {
        name: getattr(arguments, name)
        for name in ("availability", "target", "spare")
        if getattr(arguments, name) is not None
    }
    system = _system(arguments, device, model, plan)
    if arguments.pools == AUTO:
        given["counts"] = "free"
    found = serving.fleet(
        system or device, model, None if system else plan, slos, arguments.demand, **sizes_of(arguments),
        **given, fidelity=arguments.fidelity, **proof,
    )  # fmt: skip
    row = {name: getattr(found, name) for name in found.__slots__ if name not in _RECORDS}
    if found.system is not None:
        about = {**about, "device": found.system.label(model), "plan": "a system"}
        row |= _of_pools(found)
    times = found.proof.times if found.proof else {}
    basis = basis_of_system(system, device, model, plan, arguments.fidelity)
    basis |= {name: row.pop(name) for name in ("error_band", "ttft_error_band")}
    if arguments.csv is not None:
        write_rows(
            arguments.csv,
            [{**about, "requests_per_minute": arguments.demand, **row, **times, **basis}],
        )
    if arguments.json:
        emit({**about, "requests_per_minute": arguments.demand, **row, "times": times, **basis})
        return 0
    one = "replica" if found.system is None else "system"
    say(f"{about['model']} on {about['device']}, {about['plan']}: {about['promise']}")
    say(
        f"{counted(found.devices, 'device')} for {short(arguments.demand)} requests/min: "
        f"{counted(found.replicas, one)}, {found.spare} to spare"
    )
    for role, pool in (found.pools or {}).items():
        say(
            f"{role}: {counted(pool.replicas, 'replica')}, {pool.spare} to spare, "
            f"{counted(pool.devices, 'device')}"
        )
    say(
        f"a {one} takes {short(found.rate)} requests/s, {100 * found.utilisation:.3g} % of it used; "
        + (
            "devices that never fail: --availability 0.99 counts spare ones"
            if arguments.availability is None
            else f"enough are up {100 * found.reached:.6g} % of the time"
        )
    )
    _say_held(found, slos)
    _say_basis(basis)
    return 0


def _of_pools(found: Fleet) -> dict[str, Any]:
    """What each pool needs, as columns of a row."""
    return {
        f"{role}_{name}": getattr(pool, name)
        for role, pool in (found.pools or {}).items()
        for name in pool.__slots__
    }


def _say_held(found: Fleet, slos: list[SLO]) -> None:
    """Where the closed form was not held, and how far it was; where runs were too short."""
    if found.proof and found.proof.brief:
        say(found.proof.brief)
    what = "percentiles" if any(slo.percentile is not None for slo in slos) else "means"
    if getattr(found, f"{what}_hold") is False:
        say(
            f"{what} here are outside what the closed form was held to: --prove plays the scheduler"
        )
    elif found.rate_unheld > found.rate:
        say(
            f"{what} of the closed form are held up to there; beyond, it names {short(found.rate_unheld)} "
            "requests/s, which may overload: --prove plays the scheduler"
        )


def _say_basis(found: dict[str, Any]) -> None:
    """Of the steps: what is promised on them has no band of its own."""
    bands = {"steps": found["error_band"], "first tokens": found["ttft_error_band"]}
    say_basis(bands, found["calibrated_on"])
