"""``tokenroof curve``: a replica's latency and throughput against the requests in flight."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from tokenroof.cli.arguments import add_device, add_model, add_plan, numbers, plan_of
from tokenroof.cli.basis import say_basis, say_beyond
from tokenroof.cli.fitting import say_what_fits
from tokenroof.cli.lengths import add_lengths, settle_lengths
from tokenroof.cli.local import measure_if_local
from tokenroof.cli.output import emit, say, short
from tokenroof.support.formats import si, table
from tokenroof.support.quoting import counted

if TYPE_CHECKING:
    from tokenroof.serving.columns import Columns


def add_arguments(command: ArgumentParser) -> None:
    add_device(command)
    add_model(command)
    add_lengths(command)
    command.add_argument(
        "--concurrency",
        type=numbers,
        default="1,2,4,8,16,32,64,128,256",
        help="requests in flight, between commas",
    )
    add_plan(command)


def run(arguments: Namespace) -> int:
    from tokenroof.inference.door import as_device, as_model
    from tokenroof.serving.curve import columns

    settle_lengths(arguments)
    measure_if_local(arguments)
    device, model = as_device(arguments.device), as_model(arguments.model)
    plan = plan_of(arguments, model)
    load = {"input_tokens": arguments.input_tokens, "output_tokens": arguments.output_tokens}
    found = columns(
        device, model, plan, **load, concurrency=arguments.concurrency, fidelity=arguments.fidelity
    )
    fits = bool(found["fits"].values.any())
    if arguments.json:
        names = [str(name) for name in found.data_vars]
        rows = [
            {"concurrency": users, **{name: found[name].values[i] for name in names}}
            for i, users in enumerate(found["concurrency"].values)
        ]
        units = {name: found[name].attrs.get("units", "") for name in names}
        emit({**found.attrs, "units": units, "points": rows})
    elif fits:
        _print(found, plan.devices)
        if found.attrs["reason"]:
            say(found.attrs["reason"])
        say_beyond(found.attrs["beyond"])
        if found.attrs.get("edges"):
            say(found.attrs["edges"])
    if not fits:
        say_what_fits(device, model, plan, found.attrs["reason"], arguments.fidelity, **load)
    return 0 if fits else 1


def _print(found: Columns, devices: int) -> None:
    v = {str(name): found[name].values for name in found.data_vars}
    a = found.attrs
    whole = f"the whole replica of {devices} devices" if devices > 1 else "the one device"
    table(
        ["users", "TTFT", "TPOT", "tok/s/user", "out tok/s", "board power", "out tok/s/MW"],
        [[f"{users:g}", si(v["ttft_s"][i], "s"), si(v["tpot_s"][i], "s"),
          short(v["interactivity"][i]), short(v["output_throughput"][i]), si(v["watts"][i], "W"),
          short(v["output_tokens_per_s_per_mw"][i])]
         for i, users in enumerate(found["concurrency"].values)],
        title=f"{a['model']} on {a['device']}, {a['plan']}, {counted(a['input_tokens'], 'token', 'g')} in, "
              f"{a['output_tokens']:g} out; out tok/s and power of {whole}",
    )  # fmt: skip
    watts = devices * a["provisioned_w_per_device"]
    power = "unknown" if watts != watts else f"{watts:g} W provisioned ({a['provisioned_kind']})"
    bands = {"TPOT": v["error_band"], "TTFT": v["ttft_error_band"]}
    say_basis(bands, a["calibrated_on"], f"per MW: {power}", "closed loop, means")
