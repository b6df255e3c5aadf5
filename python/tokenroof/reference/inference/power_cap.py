"""A board under a cap on its power: the clock that draws no more, and its cost (docs/inference/power.md)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

from tokenroof.reference.core.ieee import divide, maximum
from tokenroof.reference.inference.parts import Parts

__all__ = ["capped_clock", "clock_seconds", "clock_volts", "clock_watts"]

# volts stop falling at the floor, which they reach at the knee; clocks of boost's, as the volts
FLOOR, KNEE, SLOWEST = 0.85, 0.93, 0.1
# share of the seconds of each cause that goes with the clock
FOLLOWS = {"memory": 0.2, "compute": 1.0, "launch": 0.5, "communication": 0.2}


class Draw(NamedTuple):
    """What a load draws at boost: at rest, for running, work and traffic; and what goes with the clock."""

    rest: float
    clocked: float
    worked: float
    moved: float
    follows: float


def clock_volts(clock: float) -> float:
    """From one at boost down to the floor, in a line."""
    return maximum(1.0 - (1.0 - FLOOR) / (1.0 - KNEE) * (1.0 - clock), FLOOR)


def clock_seconds(clock: float, follows: float) -> float:
    """A share stretches as the clock shrinks."""
    return 1.0 + follows * (divide(1.0, clock) - 1.0)


def clock_watts(
    clock: float, rest: float, clocked: float, worked: float, moved: float, follows: float
) -> float:
    """C V^2 f of what runs, V^2 of an operation, and bytes at their price."""
    volts = clock_volts(clock)
    square = volts * volts
    rate_watts = divide(worked * square + moved, clock_seconds(clock, follows))
    return (rest + clocked * (clock * square)) + rate_watts


def capped_clock(
    limit: float, rest: float, clocked: float, worked: float, moved: float, follows: float
) -> float:
    """Forty halvings between the slowest clock and boost."""
    draw = Draw(rest, clocked, worked, moved, follows)
    most = clock_watts(1.0, *draw)
    if math.isnan(limit) or math.isnan(most):
        return math.nan
    if most <= limit:
        return 1.0
    low, high = SLOWEST, 1.0
    for _ in range(40):
        middle = 0.5 * (low + high)
        if clock_watts(middle, *draw) <= limit:
            low = middle
        else:
            high = middle
    return low


def slowed(parts: Parts, draw: Draw, limit: float, capped: float) -> Parts:
    """The parts of a step at the clock of a cap in place of the limit's."""
    before, after = capped_clock(limit, *draw), capped_clock(capped, *draw)
    if not after < before:
        return parts
    causes = {
        cause: getattr(parts, cause)
        * divide(clock_seconds(after, follows), clock_seconds(before, follows))
        for cause, follows in FOLLOWS.items()
    }
    kernels = parts.memory + parts.compute
    longer = divide(causes["memory"] + causes["compute"], kernels) if kernels > 0.0 else 1.0
    link = divide(
        clock_seconds(after, FOLLOWS["communication"]),
        clock_seconds(before, FOLLOWS["communication"]),
    )
    group = {
        name: seconds * (link if name == "collective" else longer)
        for name, seconds in parts.group.items()
    }
    time = (causes["memory"] + causes["compute"]) + (causes["launch"] + causes["communication"])
    return replace(parts, time=time, group=group, **causes)
