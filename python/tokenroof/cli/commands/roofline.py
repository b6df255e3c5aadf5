"""``tokenroof roofline``: a device's roofs, and a model's steps under them."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.cli.arguments import add_device, add_plan, numbers, plan_of
from tokenroof.cli.local import measure_if_local
from tokenroof.cli.output import emit, short
from tokenroof.support.formats import si, table

if TYPE_CHECKING:
    from tokenroof.records.device import Device


def add_arguments(command: ArgumentParser) -> None:
    add_device(command)
    command.add_argument("model", metavar="MODEL", nargs="?", help="catalogue name or HF id")
    command.add_argument(
        "--batch", type=numbers, default="1,8,64,256", help="decode batches, between commas"
    )
    command.add_argument("--context", type=float, default=4096, help="cached tokens per sequence")
    add_plan(command)


def run(arguments: Namespace) -> int:
    from tokenroof.catalogue.lookup import device as find_device

    measure_if_local(arguments)
    device = find_device(arguments.device)
    document: dict[str, Any] = {
        "device": device.name,
        "memory_bandwidth": device.memory_bandwidth,
        "roofs": [
            {"dtype": name, "peak": peak, "ridge_point": peak / device.memory_bandwidth}
            for name, peak in device.peak.items()
        ],
        "units": {"peak": "FLOP/s", "memory_bandwidth": "B/s", "ridge_point": "FLOP/B"},
    }
    if arguments.model is not None:
        document |= _steps(device, arguments)
    if arguments.json:
        emit(document)
        return 0
    table(
        ["type", "peak, dense", "ridge point [FLOP/B]"],
        [[r["dtype"], si(r["peak"], "FLOP/s"), f"{r['ridge_point']:.1f}"]
         for r in document["roofs"]],
        title=f"{device.name}: memory {si(device.memory_bandwidth, 'B/s')}",
    )  # fmt: skip
    if arguments.model is not None:
        print()
        _print_steps(document)
    return 0


def _steps(device: Device, arguments: Namespace) -> dict[str, Any]:
    """Decode steps of each batch and a prompt: where they stand."""
    from tokenroof.catalogue.architectures import model as find_model
    from tokenroof.inference.roofline import point
    from tokenroof.inference.step import decode, prefill

    model, plan = find_model(arguments.model), plan_of(arguments)
    context, fidelity = arguments.context, arguments.fidelity
    steps = []
    for b in arguments.batch:
        step = decode(device, model, plan, batch=b, context=context, fidelity=fidelity)
        steps.append(("decode", b, step))
    step = prefill(device, model, plan, tokens=context, fidelity=fidelity)
    steps.append(("prefill", context, step))
    rows = []
    for kind, amount, step in steps:
        intensity, rate = point(step)
        rows.append({
            "step": kind, "batch" if kind == "decode" else "tokens": amount,
            "intensity": float(intensity), "flops_per_s_per_device": float(rate),
            "time_s": float(step.time_s), "tokens_per_s": float(step.tokens_per_s),
            "bound": str(step.bound), "fits": bool(np.all(step.fits)),
        })  # fmt: skip
    return {"model": model.name, "plan": plan.label(), "context": context,
            "calibrated_on": steps[0][2].calibrated_on, "points": rows}  # fmt: skip


def _print_steps(document: dict[str, Any]) -> None:
    table(
        ["step", "load", "FLOP/B", "per device", "time", "tokens/s", "bound by"],
        [[r["step"], f"{r.get('batch', r.get('tokens')):g}", f"{r['intensity']:.3g}",
          si(r["flops_per_s_per_device"], "FLOP/s"), si(r["time_s"], "s"),
          short(r["tokens_per_s"]), r["bound"] if r["fits"] else "does not fit the memory"]
         for r in document["points"]],
        title=f"{document['model']}, {document['plan']}, context {document['context']:g}, "
              f"constants: {document['calibrated_on']}",
    )  # fmt: skip
