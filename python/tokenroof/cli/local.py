"""This machine's readings, with progress where somebody looks."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenroof.measure.record import Machine

__all__ = ["measure_if_local", "measured"]


def measured(seconds: float, threads: int | None, remeasure: bool, *, quiet: bool) -> Machine:
    """What is remembered of this machine, or measured now."""
    from tokenroof.measure.kept import measured as find

    if quiet or not sys.stderr.isatty():
        return find(seconds, threads, remeasure)

    def tell(what: str, share: float) -> None:
        print(
            f"\rmeasuring this machine {share:4.0%} {what:32.32}",
            end="",
            file=sys.stderr,
            flush=True,
        )

    try:
        return find(seconds, threads, remeasure, tell)
    finally:
        print("\r" + 62 * " " + "\r", end="", file=sys.stderr, flush=True)


def measure_if_local(arguments: Namespace) -> None:
    """Measure before "local" is asked for, if it was not yet."""
    from tokenroof.support.names import normalise

    if normalise(arguments.device) == "local":
        measured(1.0, None, False, quiet=arguments.json)
