"""``tokenroof roofline``: a device's roofs, and a model's steps under them."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.cli.arguments import (
    PLAN,
    add_device,
    add_model,
    add_plan,
    numbers,
    plan_of,
    refuse_given,
)
from tokenroof.cli.basis import say_basis
from tokenroof.cli.fitting import say_what_fits
from tokenroof.cli.lengths import tokens
from tokenroof.cli.local import measure_if_local
from tokenroof.cli.output import emit, say, short
from tokenroof.support.formats import si, table

if TYPE_CHECKING:
    from tokenroof.records.device import Device
    from tokenroof.records.model import Model
    from tokenroof.records.plan import Plan


def add_arguments(command: ArgumentParser) -> None:
    add_device(command)
    add_model(command, optional=True)
    command.add_argument(
        "--batch", type=numbers, default="1,8,64,256", help="decode batches, between commas"
    )
    command.add_argument("--context", type=tokens, default=4096, help="cached tokens per sequence")
    add_plan(command)


def run(arguments: Namespace) -> int:
    from tokenroof.catalogue.lookup import device as find_device
    from tokenroof.inference.door import as_model, deployment
    from tokenroof.serving.loads import Load
    from tokenroof.serving.room import why_not
    from tokenroof.support.arguments import amounts

    measure_if_local(arguments)
    device = find_device(arguments.device)
    if arguments.model is None:
        refuse_given(arguments, ("batch", "context", *PLAN), "without MODEL", "with one")
    model = None if arguments.model is None else as_model(arguments.model)
    plan = plan_of(arguments, model)
    amounts("--batch", arguments.batch, positive=model is not None)
    amounts("--context", arguments.context)
    document: dict[str, Any] = {
        "device": device.name,
        "memory_bandwidth": device.memory_bandwidth,
        "roofs": [
            {"dtype": name, "peak": peak, "ridge_point": peak / device.memory_bandwidth}
            for name, peak in device.peak.items()
        ],
        "units": {"peak": "FLOP/s", "memory_bandwidth": "B/s", "ridge_point": "FLOP/B"},
    }
    if model is not None:
        document |= _steps(device, model, plan, arguments)
    if arguments.json:
        emit(document)
    else:
        _print(document)
    if model is None or any(row["fits"] for row in document["points"]):
        return 0
    context = max(arguments.context, 1.0)
    reason = why_not([deployment(device, model, plan, arguments.fidelity)], Load(context, 0.0))
    say_what_fits(device, model, plan, reason, arguments.fidelity, input_tokens=context)
    return 1


def _print(document: dict[str, Any]) -> None:
    table(
        ["type", "peak, dense", "ridge point [FLOP/B]"],
        [[r["dtype"], si(r["peak"], "FLOP/s"), f"{r['ridge_point']:.1f}"]
         for r in document["roofs"]],
        title=f"{document['device']}: memory {si(document['memory_bandwidth'], 'B/s')}",
    )  # fmt: skip
    if "points" in document:
        say("")
        _print_steps(document)


def _steps(device: Device, model: Model, plan: Plan, arguments: Namespace) -> dict[str, Any]:
    """Decode steps of each batch and a prompt: where they stand."""
    from tokenroof.inference.roofline import point
    from tokenroof.inference.step import decode, prefill

    context, fidelity = arguments.context, arguments.fidelity
    steps = []
    for b in arguments.batch:
        step = decode(device, model, plan, batch=b, context=context, fidelity=fidelity)
        steps.append(("decode", b, step))
    step = prefill(device, model, plan, tokens=context, fidelity=fidelity)
    steps.append(("prefill", context, step))
    rows = []
    for kind, many, step in steps:
        intensity, rate = point(step)
        rows.append({
            "step": kind, "batch" if kind == "decode" else "tokens": many,
            "intensity": float(intensity), "flops_per_s_per_device": float(rate),
            "time_s": float(step.time_s), "tokens_per_s": float(step.tokens_per_s),
            "tokens_per_s_per_device": float(step.tokens_per_s) / plan.devices,
            "bound": str(step.bound), "fits": bool(np.all(step.fits)),
        })  # fmt: skip
    return {"model": model.name, "plan": plan.label(model), "context": context,
            "calibrated_on": steps[0][2].calibrated_on,
            "error_band": steps[0][2].error_band, "points": rows}  # fmt: skip


def _print_steps(document: dict[str, Any]) -> None:
    table(
        ["step", "load", "FLOP/B", "time", "FLOP/s/device", "tokens/s/device", "bound by"],
        [[r["step"], f"{r.get('batch', r.get('tokens')):g}", f"{r['intensity']:.3g}",
          si(r["time_s"], "s"), si(r["flops_per_s_per_device"], "FLOP/s"),
          short(r["tokens_per_s_per_device"]), r["bound"] if r["fits"] else "does not fit the memory"]
         for r in document["points"]],
        title=f"{document['model']}, {document['plan']}, context {document['context']:g}",
    )  # fmt: skip
    say_basis({"steps": document["error_band"]}, document["calibrated_on"])
