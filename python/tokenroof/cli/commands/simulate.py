"""``tokenroof simulate``: an engine's scheduler played over a load or a trace."""

from __future__ import annotations

import csv
import json
import math
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenroof.cli.arguments import add_device, add_model, add_plan, plan_of
from tokenroof.cli.basis import basis_of_system, say_basis
from tokenroof.cli.fitting import told_what_fits
from tokenroof.cli.lengths import add_lengths, amount, settle_lengths, whole
from tokenroof.cli.local import measure_if_local
from tokenroof.cli.output import emit, say, short
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
from tokenroof.support.formats import si, table

if TYPE_CHECKING:
    from argparse import _ArgumentGroup

    from tokenroof.serving.requests.record import Requests
    from tokenroof.serving.simulation.result import Simulation
    from tokenroof.serving.simulation.scheduler import Scheduler

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
    load = command.add_argument_group("load")
    load.add_argument("--rate", type=amount, help="Poisson arrivals per second")
    load.add_argument("--burstiness", type=amount, default=1.0, help="1: Poisson; below: in bursts")
    load.add_argument("--concurrency", type=whole, help="users in closed loop, in place of --rate")
    load.add_argument("--think", type=amount, default=0.0, help="their seconds between requests")
    _add_trace(load)
    load.add_argument(
        "--requests", type=whole, help="how many; 1000, of a trace all, or so many of the first"
    )
    add_lengths(load)
    load.add_argument(
        "--spread", type=amount, default=0.0, help="deviation of both over their means"
    )
    load.add_argument("--seed", type=whole, default=0, help="of the load")
    load.add_argument("--seeds", type=whole, default=1, help="so many runs, of seeds that count on")
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
    command.add_argument("--slo-ttft", type=amount, help="seconds, for goodput")
    command.add_argument("--slo-tpot", type=amount, help="seconds, for goodput")
    command.add_argument("--csv", type=Path, help="write a row a request to this file")
    command.add_argument("--plot", type=Path, help="write the course of time to this HTML file")
    add_plan(command)


def _add_trace(load: _ArgumentGroup) -> None:
    load.add_argument("--trace", type=Path, help="a file of recorded requests, in place of both")
    load.add_argument(
        "--layout", default="mooncake",
        help="of the trace: mooncake, azure, burstgpt, bailian, vllm-bench, csv",
    )  # fmt: skip
    load.add_argument(
        "--columns", type=_columns, metavar="FIELD=NAME,...",
        help="what the trace calls arrival, input_tokens, output_tokens",
    )  # fmt: skip
    load.add_argument("--unit-s", type=amount, help="seconds of the trace's unit of time")
    load.add_argument("--skip-failed", action="store_true", help="leave out rows without tokens")
    load.add_argument("--hash-block", type=whole, help="tokens of the trace's blocks; 0: no hashes")


def _columns(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(field and name for field, _, name in pairs):
        raise ArgumentTypeError(f"{text!r}; allowed: FIELD=NAME, as input_tokens=prompt_len")
    return {field.strip(): name.strip() for field, _, name in pairs}


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


def _load(arguments: Namespace, seed: int) -> Requests:
    from tokenroof import serving

    given = [
        name for name in ("rate", "concurrency", "trace") if getattr(arguments, name) is not None
    ]
    if len(given) != 1:
        raise ValueError(
            f"{' and '.join('--' + name for name in given) or 'no load'} given; "
            "allowed: one of --rate, --concurrency, --trace"
        )
    if arguments.trace is not None:
        return serving.trace(
            arguments.trace, arguments.layout, hash_block=arguments.hash_block,
            limit=arguments.requests, columns=arguments.columns, unit_s=arguments.unit_s,
            failed="skip" if arguments.skip_failed else "refuse",
        )  # fmt: skip
    many = 1000 if arguments.requests is None else arguments.requests
    sizes = {
        name: serving.Lengths.lognormal(mean, arguments.spread)
        if arguments.spread
        else serving.Lengths.fixed(mean)
        for name, mean in (
            ("input_tokens", arguments.input_tokens),
            ("output_tokens", arguments.output_tokens),
        )
    }
    if arguments.concurrency is not None:
        return serving.users(
            arguments.concurrency, many, arguments.think,
            input_tokens=sizes["input_tokens"], output_tokens=sizes["output_tokens"], seed=seed,
        )  # fmt: skip
    return serving.gamma(
        arguments.rate, arguments.burstiness, requests=many,
        input_tokens=sizes["input_tokens"], output_tokens=sizes["output_tokens"], seed=seed,
    )  # fmt: skip


def _shares(text: str) -> dict[int, float]:
    try:
        pairs = [part.split(":") for part in text.split(",")]
        return {int(priority): float(share) for priority, share in pairs}
    except ValueError:
        raise ValueError(f"--priorities is {text!r}; allowed: as 0:0.2,5:0.8") from None


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
            raise ValueError(f"--knob is {text!r}; allowed: NAME=VALUE")
        try:
            knobs[name] = json.loads(value.lower() if value in ("True", "False") else value)
        except ValueError:
            knobs[name] = value
    return Scheduler.preset(arguments.scheduler or NEWEST[engine], **knobs)


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
    if system is None:
        if arguments.link_sharing is not None:
            raise ValueError("--link-sharing is given; allowed with --pools")
        replicas = 1 if arguments.replicas is None else arguments.replicas
        return device, plan, {**options, "replicas": replicas, "speculation": spec}
    if arguments.replicas is not None:
        raise ValueError(f"--replicas is {arguments.replicas} with --pools; allowed: one of them")
    return system, None, options


def run(arguments: Namespace) -> int:
    settle_lengths(arguments)
    measure_if_local(arguments)
    with by_flag(**_FLAGS):
        return _run(arguments)


def _run(arguments: Namespace) -> int:
    from tokenroof import serving
    from tokenroof.inference.door import as_device, as_model

    device, model = as_device(arguments.device), as_model(arguments.model)
    plan = plan_of(arguments, model)
    loads = _loads(arguments)
    scheduler = _scheduler(arguments, plan.engine)
    where, layout, options = _fleet(arguments, device, model, plan)
    runs: list[Simulation]
    with told_what_fits(device, model, plan, arguments.fidelity):
        runs = serving.simulate(
            where, model, layout, loads, scheduler, **options, horizon_s=arguments.horizon,
            timeout_s=arguments.timeout, queue_timeout_s=arguments.queue_timeout,
            fidelity=arguments.fidelity, record_steps=arguments.plot is not None,
        )  # type: ignore[assignment]  # fmt: skip
    slo = None
    if arguments.slo_ttft is not None or arguments.slo_tpot is not None:
        slo = serving.SLO(ttft_s=arguments.slo_ttft, tpot_s=arguments.slo_tpot)
    first = runs[0]
    found = serving.spread([one.summary(slo) for one in runs]) | _beside(first, options)
    if arguments.csv is not None:
        _write_rows(arguments.csv, first)
    if arguments.plot is not None:
        from tokenroof import plot

        title = f"{model.name} on {device.name}, {plan.label()}: {first.verdict}"
        plot.timeline(first.series(), title).write_html(arguments.plot)
    about = {"device": device.name, "model": model.name, "plan": plan.label()}
    system = where if layout is None else None
    if system is not None:
        about |= {"device": where.label(), "plan": "pools"}
    basis = basis_of_system(system, device, model, plan, arguments.fidelity)
    if arguments.json:
        emit({
            **about, "scheduler": first.scheduler.name, "verdict": first.verdict.state,
            "verdict_text": str(first.verdict), "growth_per_s": first.verdict.growth_per_s,
            "short": first.verdict.short, **found, **basis,
        })  # fmt: skip
    else:
        _print(about, first, found)
        say_basis({"steps": basis["error_band"]}, basis["calibrated_on"])
    return 0


def _beside(first: Simulation, options: dict[str, Any]) -> dict[str, Any]:
    """Of the first run what drafts and the host's memory did."""
    totals, found = first.totals, {}
    if totals["drafted"]:
        found = {"drafted_tokens": totals["drafted"], "kept_tokens": totals["kept"]}
    if options.get("host_tier") is not None:
        tokens = max(int(first.requests["input_tokens"].sum()), 1)
        found["loaded_share"] = int(first.requests["loaded_tokens"].sum()) / tokens
        found |= {name: totals[name] for name in ("loaded_bytes", "stored_bytes")}
    return found


def _loads(arguments: Namespace) -> list[Requests]:
    """A load for each seed."""
    from tokenroof import serving

    if arguments.seeds < 1:
        raise ValueError(f"--seeds is {arguments.seeds}; allowed: whole numbers from 1")
    loads = [_load(arguments, arguments.seed + i) for i in range(arguments.seeds)]
    if arguments.priorities is None:
        return loads
    shares = _shares(arguments.priorities)
    return [serving.prioritised(one, shares, arguments.seed + i) for i, one in enumerate(loads)]


def _print(about: dict[str, str], first: Simulation, found: dict[str, Any]) -> None:
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
              f"{found['requests']:g} requests" + (f", {found['seeds']} seeds" if several else ""),
    )  # fmt: skip
    say(
        f"{short(found['request_throughput'])} requests/s, {short(found['output_throughput'])} output "
        f"tok/s over {si(found['duration_s'], 's')}; {found['preemptions']:g} preemptions, "
        f"{100 * found['cached_share']:.3g} % of prompt tokens from the cache"
    )
    if "joules_per_request" in found:
        say(
            f"{short(found['joules_per_request'])} J a request, "
            f"{short(found['joules_per_output_token'])} J an output token; {si(found['watts'], 'W')}"
        )
    if "drafted_tokens" in found:
        share = 100 * found["kept_tokens"] / found["drafted_tokens"]
        say(f"{found['drafted_tokens']:,} tokens drafted, {share:.3g} % of them kept")
    if "loaded_share" in found:
        say(
            f"{100 * found['loaded_share']:.3g} % of prompt tokens from the host's memory: "
            f"{si(found['loaded_bytes'], 'B')} loaded, {si(found['stored_bytes'], 'B')} stored"
        )
    if "transfer_s" in found:
        say(
            f"transfer {si(found['transfer_s']['mean'], 's')} in the mean, "
            f"{si(found['transfer_s']['p99'], 's')} at p99; the link works {100 * found['link_load']:.3g} % "
            "of the time"
        )
    if "prefill_watts" in found:
        say(f"prefill {si(found['prefill_watts'], 'W')}, decode {si(found['decode_watts'], 'W')}")
    if found["shed"] or found["timed_out"]:
        say(f"{found['shed']:g} requests shed, {found['timed_out']:g} timed out")
    if "goodput" in found:
        share = 100 * found["goodput_share"]
        say(f"goodput {short(found['goodput'])} requests/s: {share:.3g} % meet every bound")
    say(f"verdict: {first.verdict}")


def _write_rows(path: Path, run: Simulation) -> None:
    names = run.requests.dtype.names or ()
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(names)
        rows.writerows(run.requests.tolist())
