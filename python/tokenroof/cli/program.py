"""The program: parses, runs one command, and says in one line what went wrong."""

from __future__ import annotations

import errno
import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import TextIO

from tokenroof.cli.parser import parse
from tokenroof.support import interrupted
from tokenroof.support.formats import ascii_of

__all__ = ["main"]

# what the user can mend: one line on stderr, exit 2
_BAD_INPUT = (ValueError, TypeError, KeyError, ImportError, OSError)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EBADF)


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
        return _ended("", _run(sys.argv[1:] if argv is None else argv))
    except SystemExit:
        _ended("", 0)
        raise
    except KeyboardInterrupt:
        return _ended("interrupted", 130)
    except BrokenPipeError:  # the reader is gone: nothing more to say
        return _ended("", 141)
    except _BAD_INPUT as error:
        if isinstance(error.__cause__, KeyboardInterrupt):  # while a module in C++ was loaded
            return _ended("interrupted", 130)
        if os.environ.get("TOKENROOF_TRACEBACK"):
            raise
        return _ended(ascii_of(_message(error)), 2)


def _run(argv: Sequence[str]) -> int:
    """Run one command; all that it says has left the process when this returns."""
    try:
        parser, arguments = parse(argv)
        if arguments.version:
            from tokenroof import _core

            print(_core.build_config()["version"])
        elif arguments.command is None:
            parser.print_help()
        else:
            with warnings.catch_warnings():
                warnings.showwarning = _warned
                status = int(arguments.run(arguments))
                sys.stdout.flush()
                return status
    except SystemExit:  # --help was printed, or words were wrong
        sys.stdout.flush()
        raise
    sys.stdout.flush()
    return 0


def _ended(said: str, status: int) -> int:
    """Say why it ended, and leave nothing that fails when the process ends, as on a disk that is full."""
    if said:
        _tell(f"tokenroof: {said}")
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with suppress(OSError, ValueError):  # one that is no file of the system's
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return status


def _tell(line: str) -> None:
    """Print a line on stderr, if that takes any."""
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def _open_streams() -> None:
    """Of what was closed, as by ``>&-``: what is said there fails, as on a full disk; errors go nowhere."""
    if sys.stdout is None:  # a file that is there to be read: no other file gets the number
        sys.stdout = open(os.open(os.devnull, os.O_RDONLY), "w")  # noqa: SIM115  # as long as the process
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def _warned(
    message: Warning | str, category: type[Warning], filename: str, lineno: int,
    file: TextIO | None = None, line: str | None = None,
) -> None:  # fmt: skip
    """A warning as a line on stderr."""
    _tell(f"tokenroof: warning: {ascii_of(_one_line(str(message)))}")


def _message(error: BaseException) -> str:
    if isinstance(error, KeyError) and error.args:  # its str() is quoted
        return _one_line(str(error.args[0]))
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.strerror}: {error.filename}"
    if isinstance(error, OSError) and error.errno in _FULL:  # files' errors name them
        return f"{error.strerror}: standard output"
    return _one_line(str(error)) or type(error).__name__


def _one_line(text: str) -> str:
    return " ".join(text.split())
