"""What the open loop in closed form makes of objectives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tokenroof.serving.open_capacity import PERCENTILES, highest, seldom

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tokenroof.serving.tuning.objectives import Objective
    from tokenroof.serving.twin import OpenLoop

__all__ = ["PERCENTILES", "furthest", "highest_rate", "hopeless", "keeps", "nearest"]

# A bound so many times below what the closed form says is met by no run: its errors are far less.
_FAR = 2.0


def _field(one: Objective) -> str | None:
    """The twin's name of what is bounded, at the percentile next to the one asked for; None: not known."""
    if one.time == "itl_s":
        return None
    name = one.time.removesuffix("_s")
    if one.percentile is None:
        return name
    asked = one.percentile
    return f"{name}_p{min(PERCENTILES, key=lambda p: abs(p - asked)):g}"


def nearest(twin: OpenLoop, objectives: Sequence[Objective]) -> str:
    """What bounds are missed even by requests that come seldom, and by how much, in words."""
    found = twin.at(np.array([seldom(twin)]))
    least = {one: float(found[name][0]) for one in objectives if (name := _field(one)) is not None}
    missed = [
        f"{one.name} {one.bound:g} s, where requests that come seldom take {value:.4g} s"
        for one, value in least.items()
        if not value <= one.bound
    ]
    return " and ".join(missed) or ", ".join(f"{one.name} {one.bound:g} s" for one in objectives)


def furthest(twin: OpenLoop, objectives: Sequence[Objective]) -> float:
    """What requests that come seldom take, over the bound, of the bound that is missed by most [1]."""
    found = twin.at(np.array([seldom(twin)]))
    named = [(name, one.bound) for one in objectives if (name := _field(one)) is not None]
    return max((float(found[name][0]) / bound for name, bound in named), default=0.0)


def hopeless(twin: OpenLoop, objectives: Sequence[Objective]) -> bool:
    """Whether requests that come seldom take far longer than some bound that the twin knows."""
    return furthest(twin, objectives) > _FAR


def keeps(
    twin: OpenLoop,
    objectives: Sequence[Objective],
    rates: NDArray[np.float64],
    held: bool = False,
) -> NDArray[np.bool_]:
    """Whether rates [1/s] meet all objectives that the twin knows.

    With `held` those alone at which percentiles were held against simulations.
    """
    found = twin.at(rates)
    meets = found["percentiles_hold"].copy() if held else np.ones(rates.size, bool)
    for one in objectives:
        name = _field(one)
        if name is not None:
            meets &= found[name] <= one.bound
    return meets


def highest_rate(twin: OpenLoop, objectives: Sequence[Objective], held: bool = False) -> float:
    """The highest rate that meets all objectives that the twin knows [1/s]; 0 for none; `held` as `keeps`."""
    return highest(twin, lambda rates: keeps(twin, objectives, rates, held))
