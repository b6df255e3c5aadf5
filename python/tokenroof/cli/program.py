"""The program: parses, runs one command, and says in one line what went wrong."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from typing import TextIO

from tokenroof.cli.parser import parse
from tokenroof.support import interrupted
from tokenroof.support.formats import ascii_of

__all__ = ["main"]

# what the user can mend: one line on stderr, exit 2
_BAD_INPUT = (ValueError, TypeError, KeyError, ImportError, OSError)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status: 0, 1 (a check failed), 2 (bad input), 130 (Ctrl-C).

    Examples
    --------
    >>> main(["hash", "--seconds", "-1"])
    2
    """
    interrupted.heard_again()
    _open_streams()
    try:
        parser, arguments = parse(sys.argv[1:] if argv is None else argv)
        if arguments.version:
            from tokenroof import _core

            print(_core.build_config()["version"])
            return 0
        if arguments.command is None:
            parser.print_help()
            return 0
        with warnings.catch_warnings():
            warnings.showwarning = _warned
            status = int(arguments.run(arguments))
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        print("tokenroof: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # the reader is gone: nothing more to say, at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except _BAD_INPUT as error:
        if isinstance(error.__cause__, KeyboardInterrupt):  # while a module in C++ was loaded
            print("tokenroof: interrupted", file=sys.stderr)
            return 130
        if os.environ.get("TOKENROOF_TRACEBACK"):
            raise
        print(f"tokenroof: {ascii_of(_message(error))}", file=sys.stderr)
        return 2


def _open_streams() -> None:
    """What was closed, as by ``>&-``, says nothing to nobody."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  # as long as the process


def _warned(
    message: Warning | str, category: type[Warning], filename: str, lineno: int,
    file: TextIO | None = None, line: str | None = None,
) -> None:  # fmt: skip
    """A warning as a line on stderr."""
    print(f"tokenroof: warning: {ascii_of(_one_line(str(message)))}", file=sys.stderr)


def _message(error: BaseException) -> str:
    if isinstance(error, KeyError) and error.args:  # its str() is quoted
        return _one_line(str(error.args[0]))
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.strerror}: {error.filename}"
    return _one_line(str(error)) or type(error).__name__


def _one_line(text: str) -> str:
    return " ".join(text.split())
