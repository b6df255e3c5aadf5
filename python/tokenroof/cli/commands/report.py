"""``tokenroof report``: the page of figures and the data behind them."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from tokenroof.cli.arguments import add_market
from tokenroof.cli.lengths import amount
from tokenroof.cli.output import emit, say
from tokenroof.cli.systems import by_flag


def add_arguments(command: ArgumentParser) -> None:
    command.add_argument("--out", default="tokenroof-report", help="folder to write")
    command.add_argument("--seconds", type=amount, default=1.0, help="for each measurement [s]")
    command.add_argument(
        "--device", action="append", default=[], metavar="DEVICE",
        help="draw this one from the start: catalogue name, or a TOML file of your own; may be repeated",
    )  # fmt: skip
    add_market(command)


def run(arguments: Namespace) -> int:
    from tokenroof.report import build

    with by_flag(seconds="--seconds"):
        made = build(
            Path(arguments.out), seconds=arguments.seconds, quiet=arguments.json, devices=arguments.device,
            market=arguments.market,
        )  # fmt: skip
    if arguments.json:
        emit(made)
    else:
        say(f"{made['page']}  ({made['seconds']:.1f} s, {len(made['data'])} data files)")
        if (market := made["market"]) is not None and market["unused"]:
            say(f"not used of {Path(market['file']).name}: {'; '.join(market['unused'])}")
    return 0
