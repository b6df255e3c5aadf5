"""``tokenroof frontier``: the Pareto set of a device and a model over plans and batches."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.cli.arguments import add_device, add_model, numbers, written_page, written_table
from tokenroof.cli.basis import say_basis
from tokenroof.cli.lengths import add_lengths, amount, settle_lengths, whole
from tokenroof.cli.local import measure_if_local
from tokenroof.cli.output import emit, say, short
from tokenroof.cli.promises import write_rows
from tokenroof.cli.systems import add_drafts, by_flag, drafts_of
from tokenroof.support.formats import si, table
from tokenroof.support.lazy import require
from tokenroof.support.quoting import counted
from tokenroof.support.whole import whole_file

if TYPE_CHECKING:
    import xarray as xr

    from tokenroof.serving.columns import Columns

_OF_SYSTEMS = ("devices", "power_w", "types", "exclude", "chips", "pool_devices")
_FLAGS = {
    name: f"--{name.replace('_', '-')}"
    for name in (
        *_OF_SYSTEMS, "input_tokens", "output_tokens", "devices_max", "ttft_max", "tpot_max", "engine",
        "power", "fidelity", "power_caps",
    )
} | {
    "power_cap_w": "--power-caps", "draft": "--draft", "speculation": "--draft", "method": "--draft",
}  # fmt: skip


def add_arguments(command: ArgumentParser) -> None:
    add_device(command)
    add_model(command)
    add_lengths(command)
    command.add_argument(
        "--devices-max", type=whole, help="of the largest replica; one link domain"
    )
    command.add_argument("--ttft-max", type=amount, help="seconds to the first token, at most")
    command.add_argument("--tpot-max", type=amount, help="seconds per output token, at most")
    command.add_argument("--engine", default="vllm", help="vllm, sglang, trtllm or ideal")
    command.add_argument(
        "--power", default="provisioned", help="provisioned, board, chassis, facility or dashboard"
    )
    command.add_argument("--fidelity", default="calibrated", help="calibrated or datasheet")
    command.add_argument(
        "--power-caps", type=_caps, metavar="WATTS,...",
        help="that each board is held to, to try; none among them: its limit",
    )  # fmt: skip
    command.add_argument("--points", type=whole, default=16, help="rows to print")
    command.add_argument("--csv", type=written_table, help="write a row for each point")
    command.add_argument("--also", default="", help="further devices of the chart, between commas")
    command.add_argument("--lpx", action="store_true", help="and Rubin with LPX on the chart")
    command.add_argument("--plot", type=written_page, help="write the chart to this HTML file")
    _add_systems(command)


def _add_systems(command: ArgumentParser) -> None:
    group = command.add_argument_group("systems")
    group.add_argument(
        "--systems", action="store_true",
        help="search over pools for both or apart, plans over domains and networks, types, drafts",
    )  # fmt: skip
    group.add_argument("--devices", type=whole, help="so many there are")
    group.add_argument("--power-w", type=amount, help="watts that may be set aside for a system")
    group.add_argument("--types", type=_words, help="of weights that may be served, as fp8,bf16")
    group.add_argument(
        "--exclude", type=_words,
        help="what is left out: disaggregated, both, speculation, network, pp, dp, ep",
    )  # fmt: skip
    group.add_argument("--chips", help="dataflow chips beside the devices, as LPX")
    group.add_argument(
        "--pool-devices", type=_words, help="further devices that pools may be of, as H20,L40S"
    )
    add_drafts(command)


def _caps(text: str) -> list[float | None]:
    return [None if word == "none" else numbers(word)[0] for word in _words(text)]


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _searched(arguments: Namespace) -> dict[str, Any]:
    """What is searched beside plans of a replica."""
    given = {name: getattr(arguments, name) for name in _OF_SYSTEMS}
    spec = drafts_of(arguments)
    found = {name: value for name, value in given.items() if value is not None}
    if arguments.systems:
        return {**found, "systems": True, **({} if spec is None else {"speculation": spec})}
    for name in (*found, *(["draft"] if spec is not None else [])):
        raise ValueError(f"--{name.replace('_', '-')} is given; allowed with --systems")
    return {}


def run(arguments: Namespace) -> int:
    settle_lengths(arguments)
    measure_if_local(arguments)
    with by_flag(**_FLAGS):
        return _run(arguments)


def _run(arguments: Namespace) -> int:
    from tokenroof import serving
    from tokenroof.inference.door import as_device, as_model
    from tokenroof.serving.frontier import points

    found: xr.Dataset | Columns
    if arguments.plot is None:
        for name in ("also", "lpx"):
            if getattr(arguments, name):
                raise ValueError(f"--{name} is given; allowed with --plot")
    if arguments.points < 1:
        raise ValueError(f"--points is {arguments.points}; allowed: 1 and more")
    device, model = as_device(arguments.device), as_model(arguments.model)
    sizes = arguments.input_tokens, arguments.output_tokens
    how: dict[str, Any] = {
        name: getattr(arguments, name)
        for name in (
            "devices_max", "ttft_max", "tpot_max", "engine", "power", "fidelity", "power_caps",
        )
    }  # fmt: skip
    if arguments.plot is not None:
        require("plotly", extra="report")
    searched = _searched(arguments)
    if searched or arguments.plot is not None:
        found = serving.frontier(device, model, None, sizes[0], sizes[1], **how | searched)
    else:
        found = points(device, model, None, sizes[0], sizes[1], **how)
    named = [name.strip() for name in arguments.also.split(",") if name.strip()]
    others = [serving.frontier(name, model, None, *sizes, **how) for name in named]
    some = bool(found.sizes["point"])
    if arguments.csv is not None:
        write_rows(arguments.csv, _rows(found))
    if arguments.json:
        names = [str(name) for name in found.data_vars]
        units = {n: found[n].attrs.get("units", "") for n in names}
        emit({**found.attrs, "units": units, "points": _rows(found)})
    elif some:
        _print(found, arguments.points)
    if not some:
        say(f"nothing: {found.attrs['reason']}")
    if arguments.plot:
        _plot(
            arguments,
            found,
            others,
            sizes,
        )
    return 0 if some else 1


def _rows(found: xr.Dataset | Columns) -> list[dict[str, Any]]:
    names = [str(name) for name in found.data_vars]
    return [{n: found[n].values[i].item() for n in names} for i in range(found.sizes["point"])]


def _print(found: xr.Dataset | Columns, points: int) -> None:
    v = {name: found[name].values for name in map(str, found.data_vars)}
    rows = np.unique(np.round(np.linspace(0, found.sizes["point"] - 1, points)).astype(int))
    a = found.attrs
    systems = "systems_tried" in a
    name, of = ("system", "systems") if systems else ("plan", "plans")
    bands = np.asarray(v["error_band"], dtype=float)
    if "interactivity_high" in v:  # with chips beside the devices: the wider end of each range
        fast, slow = (
            (v["interactivity_high"], v["interactivity"]),
            (v["interactivity"], v["interactivity_low"]),
        )
        bands = np.fmax(fast[0] / fast[1], slow[0] / slow[1]) - 1.0
    table(
        [name, "devices", "users", "tok/s/user", "TTFT", "out tok/s/device", "out tok/s/MW", "band"],
        [[str(v[name][i]), f"{v['devices'][i]:.4g}", short(v["concurrency"][i]), short(v["interactivity"][i]),
          si(v["ttft_s"][i], "s"), short(v["per_device"][i]), short(v["output_tokens_per_s_per_mw"][i]),
          "-" if np.isnan(bands[i]) else f"{bands[i]:.0%}"] for i in rows],
        title=f"{a['model']} on {a['device']}, {counted(a['input_tokens'], 'token', 'g')} in, "
              f"{a['output_tokens']:g} out; {counted(found.sizes['point'], 'point')} of "
              f"{counted(a[f'{of}_tried'], of[:-1])} that no other beats",
    )  # fmt: skip
    drafts = [a["drafts_assumed"]] if a.get("drafts_assumed") else []
    known = {"TPOT": bands, "TTFT": v["ttft_error_band"]}
    say_basis(known, a["calibrated_on"], f"{a['power']} power", *drafts)


def _plot(
    arguments: Namespace, found: Any, others: list[xr.Dataset], sizes: tuple[float, float]
) -> None:
    from tokenroof import economics, plot, serving

    fronts = [found, *others]
    if arguments.lpx:
        fronts.append(serving.beside_lpx(
            arguments.model, input_tokens=sizes[0], output_tokens=sizes[1],
            devices_max=arguments.devices_max or 16, tpot_max=arguments.tpot_max, fidelity=arguments.fidelity,
        ))  # fmt: skip
    figure = plot.chart(fronts, tiers=economics.gtc2026_tiers())
    with whole_file(arguments.plot) as beside:
        figure.write_html(beside, include_plotlyjs=True)
    say(f"wrote {arguments.plot}")
