"""What may be typed: the commands by name, and the arguments of the one that was called."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from tokenroof.cli.commands import COMMANDS

__all__ = ["parse"]


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"tokenroof: {' '.join(message.split())} (see {self.prog} --help)\n")


def parse(argv: Sequence[str]) -> tuple[Parser, argparse.Namespace]:
    """The parser, and what it makes of the words: ``command``, ``json``, ``version``, ``run``."""
    parser = Parser(
        prog="tokenroof",
        description="What a watt makes: rooflines, batching curves, hashrates, revenue per MWh.",
        epilog="Start with: tokenroof report. Each command has --help with an example, and --json.",
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    # no option before the command takes a value
    called = next((word for word in argv if not word.startswith("-")), None)
    for name, (summary, example) in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=summary,
            description=summary,
            epilog=f"example: {example}",
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )
        if name == called:
            _fill(command, name)
    arguments = parser.parse_args(argv)
    arguments.json = getattr(arguments, "json", False)
    return parser, arguments


def _fill(command: argparse.ArgumentParser, name: str) -> None:
    """Give the command its arguments and what it runs: other commands are not even imported."""
    command.add_argument(
        "--json",
        action="store_true",
        default=argparse.SUPPRESS,
        help="print one JSON document, and nothing else, on stdout",
    )
    module = import_module(f"tokenroof.cli.commands.{name}")
    module.add_arguments(command)
    command.set_defaults(run=module.run)
