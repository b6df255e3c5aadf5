"""Ctrl-C while the command starts, which none of its code can catch yet: said in a line, as later.

In force once this module is imported, which the package does first of all.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType

__all__ = ["heard_again", "while_starting"]

_MODULES = ("tokenroof", "tokenroof.__main__", "tokenroof.cli", "tokenroof.cli.__main__")


def while_starting() -> None:
    """End the process at Ctrl-C, if it is the command's and nobody has said what else is to be done."""
    if (
        _is_command()
        and threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    ):
        signal.signal(signal.SIGINT, _end)


def heard_again() -> None:
    """Ctrl-C raises KeyboardInterrupt, as it does by default."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(number: int, frame: FrameType | None) -> None:
    # an exception would be lost or changed by modules in C++ that are being loaded
    try:
        os.write(2, b"tokenroof: interrupted\n")
    finally:
        os._exit(130)


def _is_command() -> bool:
    """Whether the process is the script ``tokenroof``, or ``python -m`` of it."""
    first = sys.argv[0] if sys.argv else ""
    if first == "-m":  # until the module is found, which imports its package
        given = sys.orig_argv
        return any(given[i] == "-m" and given[i + 1] in _MODULES for i in range(len(given) - 1))
    return os.path.basename(first).lower() in ("tokenroof", "tokenroof.exe", "tokenroof-script.py")


while_starting()
