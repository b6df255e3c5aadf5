"""``tokenroof curve``: a replica's latency and throughput against the requests in flight."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from tokenroof.cli.arguments import add_device, add_plan, numbers, plan_of
from tokenroof.cli.local import measure_if_local
from tokenroof.cli.output import emit, short
from tokenroof.support.formats import si, table

if TYPE_CHECKING:
    import xarray as xr


def add_arguments(command: ArgumentParser) -> None:
    add_device(command)
    command.add_argument("model", metavar="MODEL", help="catalogue name or Hugging Face id")
    command.add_argument("--input-tokens", type=float, default=1024, help="mean tokens of a prompt")
    command.add_argument(
        "--output-tokens", type=float, default=1024, help="mean tokens of an answer"
    )
    command.add_argument(
        "--concurrency",
        type=numbers,
        default="1,2,4,8,16,32,64,128,256",
        help="requests in flight, between commas",
    )
    add_plan(command)


def run(arguments: Namespace) -> int:
    from tokenroof import serving

    measure_if_local(arguments)
    found = serving.curve(
        arguments.device, arguments.model, plan_of(arguments),
        input_tokens=arguments.input_tokens, output_tokens=arguments.output_tokens,
        concurrency=arguments.concurrency, fidelity=arguments.fidelity,
    )  # fmt: skip
    if arguments.json:
        names = [str(name) for name in found.data_vars]
        rows = [
            {"concurrency": users, **{name: found[name].values[i] for name in names}}
            for i, users in enumerate(found["concurrency"].values)
        ]
        units = {name: found[name].attrs.get("units", "") for name in names}
        emit({**found.attrs, "units": units, "points": rows})
    else:
        load = f"{arguments.input_tokens:g} tokens in, {arguments.output_tokens:g} out"
        _print(found, load)
    return 0


def _print(found: xr.Dataset, load: str) -> None:
    v = {str(name): found[name].values for name in found.data_vars}
    a = found.attrs
    table(
        ["users", "TTFT", "TPOT", "tok/s/user", "out tok/s", "out tok/s/device", "board power",
         "out tok/s/MW", "fits"],
        [[f"{users:g}", si(v["ttft_s"][i], "s"), si(v["tpot_s"][i], "s"),
          short(v["interactivity"][i]), short(v["output_throughput"][i]),
          short(v["per_device"][i]), si(v["watts"][i], "W"),
          short(v["output_tokens_per_s_per_mw"][i]), "yes" if v["fits"][i] else "no"]
         for i, users in enumerate(found["concurrency"].values)],
        title=f"{a['model']} on {a['device']}, {a.get('plan', '')}, {load}",
    )  # fmt: skip
    print(
        f"constants: {a.get('calibrated_on', '')}; per MW: "
        f"{a.get('provisioned_w_per_device', 0):g} W provisioned per device "
        f"({a.get('provisioned_kind', '')}); closed loop, means"
    )
