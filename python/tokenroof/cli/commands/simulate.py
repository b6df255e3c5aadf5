"""``tokenroof simulate``: an engine's scheduler played over a load or a trace."""

from __future__ import annotations

import csv
import json
import math
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.cli.arguments import (
    add_device,
    add_model,
    add_plan,
    plan_of,
    refuse_given,
    written_page,
    written_table,
)
from tokenroof.cli.basis import basis_of_system, mixed_engines, say_basis
from tokenroof.cli.fitting import told_what_fits
from tokenroof.cli.lengths import amount, whole
from tokenroof.cli.loads import add_loads, loads_of, said_of_trace, settle_loads
from tokenroof.cli.local import measure_if_local
from tokenroof.cli.output import emit, percent, say, short
from tokenroof.cli.promises import bound
from tokenroof.cli.scaled import replicas_of, said_of_replicas
from tokenroof.cli.systems import (
    add_drafts,
    add_host_tier,
    add_pools,
    add_scaling,
    by_flag,
    drafts_of,
    host_tier_of,
    scaling_of,
    system_of,
)
from tokenroof.support.arguments import shown
from tokenroof.support.formats import si, table
from tokenroof.support.quoting import counted
from tokenroof.support.whole import whole_file

if TYPE_CHECKING:
    from tokenroof.serving.simulation.result import Simulation
    from tokenroof.serving.simulation.scheduler import Scheduler
    from tokenroof.serving.system.record import System

_SHOWN = {
    "ttft_s": "TTFT", "tpot_s": "TPOT", "e2e_s": "E2E", "queue_s": "queue",
    "e2e_per_token_s": "E2E per token",
}  # fmt: skip
ROUTERS = ("round_robin", "least_loaded", "prefix_aware")
SHARING = ("fair", "fifo")
# the options that fields are given by, for errors that name a field
_FLAGS = {
    "method": "--draft", "power_cap_w": "--power-cap-w",
    "columns": "--columns", "unit_s": "--unit-s",
    "rate": "--rate", "burstiness": "--burstiness", "requests": "--requests", "limit": "--requests",
    "think_s": "--think", "hash_block": "--hash-block", "layout": "--layout", "preset": "--scheduler",
    "timeout_s": "--timeout", "queue_timeout_s": "--queue-timeout", "horizon_s": "--horizon",
    "replicas": "--replicas", "router": "--router", "signal_age_s": "--signal-age",
    "autoscale": "--autoscale", "link_sharing": "--link-sharing", "speculation": "--draft",
    "host_tier": "--host-tier", "capacity_bytes": "--host-tier", "bytes_per_s": "--host-bandwidth",
    "input_tokens": "--input-tokens", "output_tokens": "--output-tokens",
    "draft": "--draft", "ttft_s": "--slo-ttft", "tpot_s": "--slo-tpot",
}  # fmt: skip


def add_arguments(command: ArgumentParser) -> None:
    add_device(command)
    add_model(command)
    add_loads(command)
    command.add_argument(
        "--scheduler",
        help="preset: vllm-0.33, vllm-0.19, sglang-0.5.23, trtllm-1.4; the engine's newest",
    )
    command.add_argument(
        "--knob", action="append", default=[], metavar="NAME=VALUE",
        help="of the scheduler, by the engine's own name",
    )  # fmt: skip
    command.add_argument(
        "--priorities", metavar="P:SHARE,...", help="classes of priority, as 0:0.2,5:0.8"
    )
    command.add_argument("--timeout", type=amount, help="seconds until a client gives up")
    command.add_argument("--queue-timeout", type=amount, help="the same, until it is scheduled")
    command.add_argument("--horizon", type=amount, help="seconds at which the run ends")
    _add_fleet(command)
    for name in ("ttft", "tpot"):
        command.add_argument(
            f"--slo-{name}", type=bound, metavar="SECONDS[@PERCENTILE]",
            help="for goodput; with a percentile, or mean, whether it is kept",
        )  # fmt: skip
    command.add_argument("--csv", type=written_table, help="write a row a request to this file")
    command.add_argument(
        "--plot",
        type=written_page,
        help="write the course of time, of the first seed, to this HTML file",
    )
    add_plan(command)


def _add_fleet(command: ArgumentParser) -> None:
    command.add_argument("--replicas", type=whole, help="engines behind a router; 1")
    command.add_argument("--router", choices=ROUTERS, help="who gets a request; round_robin")
    command.add_argument(
        "--signal-age", type=amount, help="seconds that what the router knows stays"
    )
    group = add_pools(command, place_of="--replicas")
    group.add_argument("--link-sharing", choices=SHARING, help="of transfers in flight; fair")
    add_scaling(command.add_argument_group("replicas that come and go"))
    add_drafts(command)
    add_host_tier(command)


def _scheduler(arguments: Namespace, engine: str) -> Scheduler | None:
    """The preset with the knobs that were given; None for the engine's newest as it is."""
    from tokenroof.serving.simulation.scheduler import Scheduler
    from tokenroof.serving.simulation.simulate import NEWEST

    if arguments.scheduler is None and not arguments.knob:
        return None
    knobs: dict[str, Any] = {}
    for text in arguments.knob:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"--knob is {shown(text)}; allowed: NAME=VALUE")
        if name in knobs:
            raise ValueError(f"--knob has {shown(name)} twice; allowed: each knob once")
        try:
            knobs[name] = json.loads(value.lower() if value in ("True", "False") else value)
        except ValueError:
            knobs[name] = value
    return Scheduler.preset(arguments.scheduler or NEWEST[engine], **knobs)


def _refuse_priorities_unread(arguments: Namespace, scheduler: Scheduler | None) -> None:
    """Classes of priority of which the scheduler takes no notice."""
    config: dict[str, Any] = {} if scheduler is None else dict(scheduler.config)
    read = (
        config.get("policy") == "priority" or config.get("enable_priority_scheduling")
        or config.get("retraction_policy") == "priority" or config.get("radix_eviction_policy") == "priority"
    )  # fmt: skip
    if arguments.priorities is not None and not read:
        raise ValueError(
            f"--priorities is {shown(arguments.priorities)}, which the scheduler does not read; allowed: "
            "with --knob policy=priority (vLLM) or --knob enable_priority_scheduling=true (SGLang)"
        )


def _refuse_routes_unread(arguments: Namespace, system: System | None) -> None:
    """What says who gets a request where one replica gets them all, and how old what nobody reads is."""
    if system is None:
        most = 1 if arguments.replicas is None else arguments.replicas
    else:
        most = max(pool.count for pool in system.pools.values())
    if most == 1 and arguments.autoscale is None:
        refuse_given(
            arguments, ("router", "signal_age"), "with one replica",
            "with --replicas or --pools of more, or --autoscale",
        )  # fmt: skip
    elif arguments.router in (None, ROUTERS[0]):
        refuse_given(
            arguments, ("signal_age",), f"with --router {ROUTERS[0]}, which reads nothing of replicas",
            "with --router least_loaded",
        )  # fmt: skip


def _fleet(
    arguments: Namespace, device: Any, model: Any, plan: Any
) -> tuple[Any, Any, dict[str, Any]]:
    """What takes the places of device and plan, and the options that go with it."""
    given = {
        "autoscale": scaling_of(arguments), "host_tier": host_tier_of(arguments),
        "router": arguments.router, "signal_age_s": arguments.signal_age,
        "link_sharing": arguments.link_sharing,
    }  # fmt: skip
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    spec = drafts_of(arguments)
    system = system_of(arguments, device, model, plan, spec)
    _refuse_routes_unread(arguments, system)
    if system is None:
        if arguments.link_sharing is not None:
            raise ValueError("--link-sharing is given; allowed with --pools")
        replicas = 1 if arguments.replicas is None else arguments.replicas
        return device, plan, {**options, "replicas": replicas, "speculation": spec}
    if arguments.replicas is not None:
        raise ValueError(f"--replicas is {arguments.replicas} with --pools; allowed: one of them")
    return system, None, options


def run(arguments: Namespace) -> int:
    settle_loads(arguments)
    measure_if_local(arguments)
    with by_flag(**_FLAGS):
        return _run(arguments)


def _run(arguments: Namespace) -> int:
    from tokenroof import serving
    from tokenroof.inference.door import as_device, as_model

    device, model = as_device(arguments.device), as_model(arguments.model)
    plan = plan_of(arguments, model)
    loads = loads_of(arguments)
    scheduler = _scheduler(arguments, plan.engine)
    _refuse_priorities_unread(arguments, scheduler)
    where, layout, options = _fleet(arguments, device, model, plan)
    runs: list[Simulation]
    with told_what_fits(device, model, plan, arguments.fidelity):
        runs = serving.simulate(
            where, model, layout, loads, scheduler, **options, horizon_s=arguments.horizon,
            timeout_s=arguments.timeout, queue_timeout_s=arguments.queue_timeout,
            fidelity=arguments.fidelity, record_steps=arguments.plot is not None,
        )  # type: ignore[assignment]  # fmt: skip
    if not any((one.requests["arrival_ns"] >= 0).any() for one in runs):
        first_s = min(int(load.arrival_ns.min()) for load in loads) / 1e9
        raise ValueError(
            f"--horizon is {arguments.horizon:g}, before which no request came; allowed: more than "
            f"{first_s:g}, when the first one comes"
        )
    slo = None
    given = {n: getattr(arguments, f"slo_{n}") for n in ("ttft", "tpot")}
    ttft, tpot = (None if value is None else value[0] for value in given.values())
    if ttft is not None or tpot is not None:
        slo = serving.SLO(ttft_s=ttft, tpot_s=tpot)
    first = runs[0]
    found = serving.spread([one.summary(slo) for one in runs]) | _beside(first, options)
    promised = _promised(runs, given)
    found |= {"promised": promised} if promised else {}
    found |= mixed_engines(first.scheduler.name, plan.engine)
    found |= {"left_out": loads[0].left_out} if arguments.skip_failed else {}
    if arguments.csv is not None:
        _write_rows(arguments.csv, runs, arguments.seed)
    if arguments.plot is not None:
        from tokenroof import plot

        title = f"{model.name} on {device.name}, {plan.label(model)}: {first.verdict}"
        with whole_file(arguments.plot) as beside:
            plot.timeline(first.series(), title).write_html(beside)
    about = {"device": device.name, "model": model.name, "plan": plan.label(model)}
    system = where if layout is None else None
    if system is not None:
        about |= {"device": where.label(model), "plan": "pools"}
    basis = basis_of_system(system, device, model, plan, arguments.fidelity)
    if arguments.json:
        emit({
            **about, "scheduler": first.scheduler.name, "verdict": first.verdict.state,
            "verdict_text": str(first.verdict), "growth_per_s": first.verdict.growth_per_s,
            "short": first.verdict.short, **found, **basis,
        })  # fmt: skip
    else:
        _print(about, first, found, said_of_trace(arguments, loads[0]))
        if arguments.plot is not None and len(runs) > 1:
            say(f"{arguments.plot} shows the run of seed {arguments.seed}")
        say_basis({"steps": basis["error_band"]}, basis["calibrated_on"])
    return 0 if found["answered"] else 1


def _promised(
    runs: list[Simulation], given: dict[str, tuple[float, float | str] | None]
) -> dict[str, Any]:
    """Of bounds with a percentile what every run makes of them: they are kept where all runs keep them."""
    from tokenroof.serving.slo import SLO
    from tokenroof.serving.tuning.objectives import objectives_of, reached

    found: dict[str, Any] = {}
    for name, value in given.items():
        if value is None or value[1] == "":
            continue
        at = None if value[1] == "mean" else float(value[1])
        bounds: dict[str, Any] = {f"{name}_s": value[0]}
        (one,) = objectives_of(SLO(percentile=at, **bounds))
        absent = [int((run.requests["arrival_ns"] < 0).sum()) for run in runs]
        seen = [
            reached(run, first, len(run.requests), [one])[one.name]
            for run, first in zip(runs, absent, strict=True)
        ]
        said = f"{name.upper()} {'mean' if at is None else f'p{at:g}'}"
        found[said] = {
            "value": sum(seen) / len(seen), "low": min(seen), "high": max(seen),
            "bound": one.bound, "kept": max(seen) <= one.bound,
            "unanswered": sum(int((run.requests["status"] != "done").sum()) for run in runs) - sum(absent),
        }  # fmt: skip
    return found


def _beside(first: Simulation, options: dict[str, Any]) -> dict[str, Any]:
    """Of the first run how many replicas there were, and what drafts and the host's memory did."""
    totals, found = first.totals, replicas_of(first, options)
    if totals["drafted"]:
        found |= {"drafted_tokens": totals["drafted"], "kept_tokens": totals["kept"]}
    if options.get("host_tier") is not None or totals["stored_bytes"]:
        tokens = max(int(first.requests["input_tokens"].sum()), 1)
        found["loaded_share"] = int(first.requests["loaded_tokens"].sum()) / tokens
        found |= {name: totals[name] for name in ("loaded_bytes", "stored_bytes")}
    return found


def _print_times(about: dict[str, str], first: Simulation, found: dict[str, Any]) -> None:
    several = found["seeds"] > 1
    names = ["mean", "p50", "p90", "p99"]
    rows = []
    for name, said in _SHOWN.items():
        row = [said]
        for column in names:
            value = si(found[name][column], "s")
            low, high = found[name][column + "_low"], found[name][column + "_high"]
            if several and math.isfinite(low):
                value += f" ({si(low, 's')} .. {si(high, 's')})"
            row.append(value)
        rows.append(row)
    table(
        ["", *names], rows,
        title=f"{about['model']} on {about['device']}, {about['plan']}, {first.scheduler.name}, "
              f"{counted(found['requests'], 'request', 'g')}"
              + (f", {counted(found['seeds'], 'seed')}" if several else ""),
    )  # fmt: skip


def _print(
    about: dict[str, str], first: Simulation, found: dict[str, Any], of_trace: list[str]
) -> None:
    _print_times(about, first, found)
    for line in (said_of_replicas(found, found["seeds"] > 1), *of_trace):
        if line:
            say(line)
    say(
        f"{short(found['request_throughput'])} requests/s, {short(found['output_throughput'])} output "
        f"tok/s over {si(found['duration_s'], 's')}; {found['preemptions']:g} preemptions, "
        f"{percent(found['cached_share'])} of prompt tokens from the cache"
    )
    if "joules_per_request" in found:
        say(
            f"{short(found['joules_per_request'])} J a request, "
            f"{short(found['joules_per_output_token'])} J an output token; "
            f"{si(found['watts'], 'W')} of boards"
        )
    if "drafted_tokens" in found:
        share = 100 * found["kept_tokens"] / found["drafted_tokens"]
        say(f"{counted(found['drafted_tokens'], 'token', ',')} drafted, {share:.3g} % of them kept")
    if "loaded_share" in found:
        say(
            f"{100 * found['loaded_share']:.3g} % of prompt tokens from the host's memory: "
            f"{si(found['loaded_bytes'], 'B')} loaded, {si(found['stored_bytes'], 'B')} stored"
        )
    if "transfer_s" in found:
        say(
            f"transfer {si(found['transfer_s']['mean'], 's')} in the mean, "
            f"{si(found['transfer_s']['p99'], 's')} at p99; the link works {percent(found['link_load'])} "
            "of the time"
        )
    if "prefill_watts" in found:
        say(
            f"of boards: prefill {si(found['prefill_watts'], 'W')}, "
            f"decode {si(found['decode_watts'], 'W')}"
        )
    if found["unfinished"] or found["not_come"]:
        say(
            f"at the horizon: {found['answered']:g} answered, {found['unfinished']:g} unfinished, "
            f"{found['not_come']:g} not come yet"
        )
    if found["shed"] or found["timed_out"]:
        say(f"{counted(found['shed'], 'request', 'g')} shed, {found['timed_out']:g} timed out")
    if "goodput" in found:
        share = percent(found["goodput_share"])
        say(f"goodput {short(found['goodput'])} requests/s: {share} meet every bound")
    for name, one in found.get("promised", {}).items():
        many = f" ({si(one['low'], 's')} .. {si(one['high'], 's')})" if found["seeds"] > 1 else ""
        kept = "kept" if one["kept"] else "not kept"
        gone = one["unanswered"]
        gone = (
            f", with {counted(gone, 'request')} without an answer as waiting for ever"
            if gone
            else ""
        )
        say(f"{name} {si(one['value'], 's')}{many}: at most {one['bound']:g} s {kept}{gone}")
    if "mixed_engines" in found:
        say(found["mixed_engines"])
    say(f"verdict: {first.verdict}")


def _write_rows(path: Path, runs: list[Simulation], seed: int) -> None:
    """Requests that arrived, in that order: of one run a trace of `--trace` again; of several with seeds."""
    several = len(runs) > 1
    names = runs[0].requests.dtype.names or ()
    with whole_file(path) as beside, beside.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("seed", *names) if several else names)
        for own, run in enumerate(runs, seed):
            arrived = run.requests[run.requests["arrival_ns"] >= 0]
            told = arrived[np.argsort(arrived["arrival_ns"], kind="stable")].tolist()
            rows.writerows(((own, *row) for row in told) if several else told)
