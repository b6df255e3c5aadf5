"""What programs of this folder share: the work that they are given, and a clock of processors."""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable
from typing import Any


def work() -> dict[str, Any]:
    """What is asked, from the standard input."""
    return dict(json.load(sys.stdin))


def spent() -> float:
    """Seconds of processors, of this process and its children."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)


def least(call: Callable[[], Any], rounds: int = 3, at_least: float = 0.02) -> float:
    """Least seconds of a call, repeated within a round until it takes long enough to be read."""
    best = float("inf")
    call()
    for _ in range(rounds):
        count, began = 0, spent()
        while True:
            call()
            count += 1
            took = spent() - began
            if took >= at_least:
                break
        best = min(best, took / count)
    return best


def say(answer: dict[str, Any]) -> None:
    """The answer, as the last line."""
    print(json.dumps(answer))
