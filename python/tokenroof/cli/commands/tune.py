"""``tokenroof tune``: the highest rate under a promise, and the knobs and the plan that reach it."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenroof.cli.arguments import add_device, add_model, add_plan, plan_of
from tokenroof.cli.basis import basis_of_system, say_basis
from tokenroof.cli.fitting import told_what_fits
from tokenroof.cli.lengths import amount, settle_lengths
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
    sizes_of,
    ticker,
    write_rows,
)
from tokenroof.cli.systems import add_drafts, add_host_tier, by_flag, drafts_of, host_tier_of
from tokenroof.support.formats import si, table

if TYPE_CHECKING:
    from tokenroof.serving.tuning.tune import Tuning


def knob(text: str) -> tuple[str, list[Any]]:
    """A knob and its values: ``max_num_seqs=64,256``; numbers, true and false, or words."""
    name, equals, values = text.partition("=")
    if not equals or not name or not values:
        raise ArgumentTypeError(
            f"{text!r}; allowed: a knob and values, such as max_num_seqs=64,256"
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
        raise ArgumentTypeError(f"{text!r}; allowed: whole numbers, such as 1,2,4") from None


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
    command.add_argument("--scheduler", help="preset that the knobs change; vLLM's newest")
    command.add_argument("--tolerance", type=amount, default=0.02, help="of the rate, relative")
    add_drafts(command)
    add_host_tier(command)
    command.add_argument("--csv", type=Path, help="write a row for each load that was played")
    add_plan(command)


def run(arguments: Namespace) -> int:
    settle_lengths(arguments)
    measure_if_local(arguments)
    with by_flag(**FLAGS):
        return _run(arguments)


def _run(arguments: Namespace) -> int:
    from tokenroof import serving
    from tokenroof.inference.door import as_device, as_model

    device, model = as_device(arguments.device), as_model(arguments.model)
    degrees = arguments.tps or [arguments.tp]
    plans = [plan_of(Namespace(**{**vars(arguments), "tp": tp}), model) for tp in degrees]
    slos = promised(arguments)
    load = {"input_tokens": arguments.input_tokens, "output_tokens": arguments.output_tokens}
    with told_what_fits(device, model, plans[0], arguments.fidelity, **load):
        best = serving.tune(
            device, model, plans, slos, **sizes_of(arguments), burstiness=arguments.burstiness,
            seeds=arguments.seeds, requests=arguments.requests, results=arguments.results,
            knobs=None if arguments.knob is None else dict(arguments.knob), tolerance=arguments.tolerance,
            scheduler=scheduler_of(arguments), fidelity=arguments.fidelity, progress=ticker(),
            speculation=drafts_of(arguments), host_tier=host_tier_of(arguments),
        )  # fmt: skip
    basis = basis_of_system(None, device, model, best.plan, arguments.fidelity)
    if arguments.csv is not None:
        write_rows(arguments.csv, best.rows())
    if arguments.json:
        emit({
            "device": device.name, "model": model.name, "plan": best.plan.label(),
            "devices": best.plan.devices,
            "promise": said(slos), "rate": best.rate, "refused": best.refused, "expected": best.expected,
            "per_device": best.per_device, "scheduler": best.scheduler.name, "knobs": best.knobs,
            "times": best.proof.times if best.proof else {}, "seeds": arguments.seeds, "played": best.played,
            "trials": best.rows(), **basis,
        })  # fmt: skip
    else:
        _print(device.name, model.name, said(slos), best)
        say_basis({"steps": basis["error_band"]}, basis["calibrated_on"])
    return 0 if best.rate else 1


def _print(device: str, model: str, promise: str, best: Tuning) -> None:
    rows = []
    seen: dict[str, list[Any]] = {}
    for (
        trial
    ) in best.trials:  # the highest that meets of each candidate, else the least that does not
        key = f"{trial.plan} {trial.knobs}"
        before = seen.get(key)
        higher = before is None or not before[0].meets or trial.amount > before[0].amount
        if before is None or (trial.meets and higher):
            seen[key] = [trial]
    for trial in (one for (one,) in seen.values()):
        knobs = ", ".join(f"{name} {value}" for name, value in trial.knobs.items())
        rows.append([
            trial.plan, knobs or "as it is", "yes" if trial.meets else "no", short(trial.amount),
            short(trial.amount / trial.devices), trial.state,
        ])  # fmt: skip
    table(
        ["plan", "knobs", "kept", "requests/s", "per device", "queue"], rows,
        title=f"{model} on {device}: {promise}",
    )  # fmt: skip
    if best.proof is None:
        say(f"no rate keeps it: refused at {short(best.refused)} requests/s")
        return
    chosen = ", ".join(f"{name}={value}" for name, value in best.knobs.items())
    say(
        f"best: {short(best.rate)} requests/s with {best.plan.label()}{', ' if chosen else ''}{chosen}; "
        f"refused at {short(best.refused)}; the closed form says {short(best.expected)}"
    )
    for name, value in best.proof.times.items():
        if not name.endswith(("_low", "_high")):
            low, high = (best.proof.times[f"{name}_{end}"] for end in ("low", "high"))
            say(f"{name}: {si(value, 's')} ({si(low, 's')} .. {si(high, 's')} by seed)")
