"""The command line without a process of its own: its words, its exit status, and what it prints."""

from __future__ import annotations

import io
import subprocess
import sys
import warnings
from contextlib import ExitStack, chdir, redirect_stderr, redirect_stdout
from pathlib import Path

from tokenroof.cli import main


def command(
    *arguments: str, cwd: Path | None = None, encoding: str = "utf-8"
) -> subprocess.CompletedProcess[str]:
    """``tokenroof ARGUMENTS`` with streams of an encoding and a new process's warnings.

    What only a process shows - imports from nothing, signals, closed pipes, the locale - is for tests that start one.
    """
    out, err = (
        io.TextIOWrapper(io.BytesIO(), encoding, errors, write_through=True)
        for errors in ("strict", "backslashreplace")
    )
    with ExitStack() as stack:
        if cwd is not None:
            stack.enter_context(chdir(cwd))
        stack.enter_context(warnings.catch_warnings())
        warnings.resetwarnings()
        for category in (
            DeprecationWarning,
            PendingDeprecationWarning,
            ImportWarning,
            ResourceWarning,
        ):
            warnings.simplefilter("ignore", category)
        stack.enter_context(redirect_stdout(out))
        stack.enter_context(redirect_stderr(err))
        try:
            status = main(arguments)
        except SystemExit as left:
            status = left.code
    said = [stream.buffer.getvalue().decode(encoding) for stream in (out, err)]
    return subprocess.CompletedProcess([sys.executable, *arguments], status, *said)
