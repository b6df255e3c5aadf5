"""``tokenroof report``: the page of figures and the data behind them."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from tokenroof.cli.output import emit


def add_arguments(command: ArgumentParser) -> None:
    command.add_argument("--out", default="tokenroof-report", help="folder to write")
    command.add_argument("--seconds", type=float, default=1.0, help="for each measurement [s]")


def run(arguments: Namespace) -> int:
    from tokenroof.report import build

    made = build(Path(arguments.out), seconds=arguments.seconds, quiet=arguments.json)
    if arguments.json:
        emit(made)
    else:
        print(f"{made['page']}  ({made['seconds']:.1f} s, {len(made['data'])} data files)")
    return 0
