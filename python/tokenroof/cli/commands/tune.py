"""``tokenroof tune``: the highest rate under a promise, and the knobs and the plan that reach it."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.cli.arguments import (
    add_device,
    add_model,
    add_plan,
    plan_of,
    refuse_given,
    written_table,
)
from tokenroof.cli.basis import basis_of_system, mixed_engines, say_basis
from tokenroof.cli.fitting import told_what_fits
from tokenroof.cli.lengths import amount, settle_lengths, sizes_of
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
from tokenroof.cli.systems import add_drafts, add_host_tier, by_flag, drafts_of, host_tier_of
from tokenroof.support.arguments import shown
from tokenroof.support.formats import ascii_of, si, table

if TYPE_CHECKING:
    from tokenroof.records.device import Device
    from tokenroof.records.model import Model
    from tokenroof.records.plan import Plan
    from tokenroof.serving.tuning.proof import Trial
    from tokenroof.serving.tuning.tune import Tuning


def knob(text: str) -> tuple[str, list[Any]]:
    """A knob and its values: ``max_num_seqs=64,256``; numbers, true and false, or words."""
    name, equals, values = text.partition("=")
    if not equals or not name or not values:
        raise ArgumentTypeError(
            f"{shown(text)}; allowed: a knob and values, such as max_num_seqs=64,256"
        )
    return name, [_value(value) for value in values.split(",")]


def _value(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _degrees(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ArgumentTypeError(f"{shown(text)}; allowed: whole numbers, such as 1,2,4") from None


def add_arguments(command: ArgumentParser) -> None:
    add_device(command)
    add_model(command)
    add_load(command)
    command.add_argument(
        "--burstiness", type=amount, default=1.0, help="1: Poisson; below: in bursts"
    )
    add_promise(command)
    add_proof(command)
    command.add_argument("--tps", type=_degrees, help="degrees of tensor parallelism to try: 1,2,4")
    command.add_argument(
        "--knob", type=knob, action="append", metavar="NAME=VALUES",
        help="values to try, as max_num_seqs=64,256; may be given again",
    )  # fmt: skip
    command.add_argument("--scheduler", help="preset that the knobs change; the engine's newest")
    command.add_argument("--tolerance", type=amount, default=0.02, help="of the rate, relative")
    add_drafts(command)
    add_host_tier(command)
    command.add_argument(
        "--csv", type=written_table, help="write a row for each load that was played"
    )
    add_plan(command)


def _knobs(given: list[tuple[str, list[Any]]] | None) -> dict[str, list[Any]] | None:
    """Knobs and their values, each of which is given once."""
    if given is None:
        return None
    names = [name for name, _ in given]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"--knob has {shown(name)} twice; allowed: each knob once, as a=1,2")
    return dict(given)


def run(arguments: Namespace) -> int:
    settle_lengths(arguments)
    measure_if_local(arguments)
    with by_flag(**FLAGS):
        return _run(arguments)


def _run(arguments: Namespace) -> int:
    from tokenroof import serving
    from tokenroof.inference.door import as_device, as_model

    device, model = as_device(arguments.device), as_model(arguments.model)
    plans, left_out = _plans(arguments, device, model)
    slos = promised(arguments)
    load = {"input_tokens": arguments.input_tokens, "output_tokens": arguments.output_tokens}
    with told_what_fits(device, model, plans[0], arguments.fidelity, **load):
        best = serving.tune(
            device, model, plans, slos, **sizes_of(arguments), burstiness=arguments.burstiness,
            seeds=arguments.seeds, requests=arguments.requests, results=arguments.results,
            knobs=_knobs(arguments.knob), tolerance=arguments.tolerance,
            scheduler=scheduler_of(arguments), fidelity=arguments.fidelity, progress=ticker(),
            speculation=drafts_of(arguments), host_tier=host_tier_of(arguments),
        )  # fmt: skip
    basis = basis_of_system(None, device, model, best.plan, arguments.fidelity)
    mixed = mixed_engines(best.scheduler.name, best.plan.engine)
    if arguments.csv is not None:
        write_rows(arguments.csv, best.rows())
    if arguments.json:
        emit({
            "device": device.name, "model": model.name, "plan": best.plan.label(model),
            "devices": best.plan.devices,
            "promise": said(slos), "rate": best.rate, "refused": best.refused, "expected": best.expected,
            "per_device": best.per_device, "scheduler": best.scheduler.name, "knobs": best.knobs,
            "times": best.proof.times if best.proof else {}, "seeds": arguments.seeds, "played": best.played,
            "reason": best.reason, "trials": best.rows(), "left_out": left_out, **basis, **mixed,
        })  # fmt: skip
    else:
        _print(device.name, model.name, said(slos), best)
        if mixed:
            say(mixed["mixed_engines"])
        say_basis({"steps": basis["error_band"]}, basis["calibrated_on"])
    return 0 if best.rate else 1


def _plans(arguments: Namespace, device: Device, model: Model) -> tuple[list[Plan], dict[str, str]]:
    """Plans of the degrees that run, and why others do not: the search says so and goes on without them."""
    from tokenroof.inference.door import deployment
    from tokenroof.inference.memory import cache_room
    from tokenroof.serving.simulation.memory import NoRoomError, room_blocks

    if arguments.tps:
        refuse_given(arguments, ("tp",), "with --tps", "one of them")
    else:
        return [plan_of(arguments, model)], {}
    found: list[Plan] = []
    left_out: dict[str, str] = {}
    errors: list[ValueError] = []
    for tp in dict.fromkeys(arguments.tps):
        try:
            plan = plan_of(Namespace(**{**vars(arguments), "tp": tp}), model)
            on = deployment(device, model, plan, arguments.fidelity)
        except ValueError as error:
            left_out[f"tp{tp}"] = str(error)
            errors.append(error)
            continue
        try:
            room_blocks(on, float(cache_room(on.records)), 16)
        except NoRoomError as error:
            left_out[f"tp{tp}"] = str(error).partition("; allowed")[0]
            found.append(plan)
            continue
        found.append(plan)
    fit = [plan for plan in found if f"tp{plan.tp}" not in left_out]
    if not found:
        raise errors[0]
    if not fit:  # the search says what would fit
        return found[:1], {}
    for name, why in left_out.items():
        print(f"tokenroof: {name} is left out: {ascii_of(why)}", file=sys.stderr)
    return fit, left_out


def _by_candidate(best: Tuning) -> dict[str, list[Trial]]:
    """Trials of each plan with knobs, in the order in which they were first played."""
    found: dict[str, list[Trial]] = {}
    for trial in best.trials:
        found.setdefault(f"{trial.plan} {trial.knobs}", []).append(trial)
    return found


def _candidate(trials: list[Trial]) -> tuple[Trial, float, float]:
    """The trial to show, the highest rate that was kept, the least above it that was refused; NaN: none."""
    kept = max((t for t in trials if t.meets), key=lambda t: t.amount, default=None)
    least = -np.inf if kept is None else kept.amount
    over = [t for t in trials if not t.meets and t.amount > least]
    refused = min(over, key=lambda t: t.amount, default=None)
    shown = kept or refused
    assert shown is not None  # each was played at least once
    amounts = [np.nan if t is None else t.amount for t in (kept, refused)]
    return shown, amounts[0], amounts[1]


def _print(device: str, model: str, promise: str, best: Tuning) -> None:
    rows = []
    every = [_candidate(trials) for trials in _by_candidate(best).values()]
    for trial, kept, refused in every:
        knobs = ", ".join(f"{name} {value}" for name, value in trial.knobs.items())
        rows.append([
            trial.plan, knobs or "as it is", short(kept), short(kept / trial.devices), short(refused),
            trial.state,
        ])  # fmt: skip
    table(
        ["plan", "knobs", "kept requests/s", "per device", "refused requests/s", "queue"], rows,
        title=f"{model} on {device}: {promise}",
    )  # fmt: skip
    if best.proof is not None and any(np.isnan(kept) for _, kept, _ in every):
        say(
            "-: not looked for: what was refused there would have had to be kept to beat the best above it"
        )
    if best.proof is None:
        say(f"nothing: {best.reason}")
        return
    chosen = ", ".join(f"{name}={value}" for name, value in best.knobs.items())
    say(
        f"best: {short(best.rate)} requests/s with {best.proof.plan}{', ' if chosen else ''}{chosen}; "
        f"refused at {short(best.refused)}; the closed form says {short(best.expected)}"
    )
    if best.proof.brief:
        say(best.proof.brief)
    for name, value in best.proof.times.items():
        if not name.endswith(("_low", "_high")):
            low, high = (best.proof.times[f"{name}_{end}"] for end in ("low", "high"))
            say(f"{name}: {si(value, 's')} ({si(low, 's')} .. {si(high, 's')} by seed)")
