"""What may be typed: the commands by name, and the arguments of the one that was called."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

from tokenroof.cli.commands import COMMANDS
from tokenroof.support.arguments import shown
from tokenroof.support.names import near_matches

__all__ = ["parse"]


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and which options stand on the command line, as ``given``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.given: set[str] = set()

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        """As argparse does, of an option that has a default too."""
        if action.option_strings:
            self.given.add(action.dest)
        return super()._get_values(action, arg_strings)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"tokenroof: {' '.join(message.split())} (see {self.prog} --help)\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        """As argparse does, which says nothing where help cannot be written."""
        if file is sys.stdout and message:
            file.write(message)
        else:
            super()._print_message(message, file)

    def _check_value(self, action: argparse.Action, value: object) -> None:
        """Name what a word that is none looks like: a command's, and of every option with choices."""
        if action.choices is None or value in action.choices:
            return
        known = [str(choice) for choice in action.choices]
        near = near_matches(str(value), known) if isinstance(value, str) else []
        hint = f"; did you mean {', '.join(map(repr, near))}?" if near else ""
        raise argparse.ArgumentError(action, f"{shown(value)}; allowed: {', '.join(known)}{hint}")


def parse(argv: Sequence[str]) -> tuple[Parser, argparse.Namespace]:
    """The parser, and what it makes of the words: ``command``, ``json``, ``version``, ``run``, ``given``."""
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
    arguments, unknown = parser.parse_known_args(argv)
    if unknown:
        command = commands.choices.get(str(called), parser)
        command.error(_unrecognised(unknown, command))
    arguments.json = getattr(arguments, "json", False)
    arguments.given = frozenset() if called is None else commands.choices[called].given
    return parser, arguments


def _unrecognised(words: Sequence[str], command: argparse.ArgumentParser) -> str:
    """Words that are no options of a command, with those that the first may have meant."""
    text = f"unrecognized arguments: {' '.join(words)}"
    asked = words[0].partition("=")[0]
    options = [name for action in command._actions for name in action.option_strings]
    near = near_matches(asked, [name for name in options if name.startswith("--")], 2)
    return f"{text}; did you mean {', '.join(near)}?" if near and asked.startswith("-") else text


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
