"""What has to be met: bounds on means or percentiles, and what a run made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tokenroof.serving.gaps import token_gaps
from tokenroof.serving.outcome.times import times_of
from tokenroof.serving.slo import SLO
from tokenroof.support.arguments import shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tokenroof.serving.simulation.result import Simulation

__all__ = ["Objective", "objectives_of", "reached"]


class Objective(NamedTuple):
    """One bound: of ``ttft_s``, ``tpot_s``, ``itl_s`` or ``e2e_s``, at a percentile; None: the mean."""

    time: str
    percentile: float | None
    bound: float

    @property
    def name(self) -> str:
        """As tables have it: ``ttft_p99_s``, ``ttft_s`` of a mean."""
        if self.percentile is None:
            return self.time
        return f"{self.time.removesuffix('_s')}_p{self.percentile:g}_s"


def objectives_of(slo: SLO | Sequence[SLO]) -> tuple[Objective, ...]:
    """All bounds of one objective, or of several that are to be met together.

    Raises
    ------
    TypeError, ValueError
        For anything else, for none, for one without a bound or to be sure of error bands.

    Examples
    --------
    >>> [o.name for o in objectives_of([SLO(ttft_s=1.0, percentile=99), SLO(tpot_s=0.02)])]
    ['ttft_p99_s', 'tpot_s']
    """
    every = [slo] if isinstance(slo, SLO) else slo
    if not isinstance(every, Sequence) or not every or not all(isinstance(s, SLO) for s in every):
        raise TypeError(f"slo is {shown(slo)}; allowed: an SLO, or a list of them")
    for one in every:
        if not one.bounds:
            raise ValueError(
                "slo has neither ttft_s nor tpot_s nor itl_s nor e2e_s; allowed: at least one bound"
            )
        if one.sure:
            raise ValueError("sure is True, where a simulation has no error band; allowed: False")
    return tuple(
        Objective(name, one.percentile, bound)
        for one in every
        for name, bound in one.bounds.items()
    )


def reached(
    run: Simulation, first: int, last: int, objectives: Sequence[Objective]
) -> dict[str, float]:
    """Of the requests from `first` to `last` by arrival what each objective bounds [s].

    A request that was not answered took forever; one of a single token has no time after the first.
    """
    order = np.argsort(run.requests["arrival_ns"], kind="stable")[first:last]
    records = run.requests[order]
    done = records["status"] == "done"
    times = times_of(records)
    found = {}
    for one in objectives:
        if one.time == "itl_s":
            values = token_gaps(run, order)
            if not done.all():
                values = np.append(values, np.inf)
        else:
            values = np.where(done, getattr(times, one.time), np.inf)
        found[one.name] = _at(values, one.percentile)
    return found


def _at(values: NDArray[Any], percentile: float | None) -> float:
    known = values[~np.isnan(values)]
    if not known.size:
        return 0.0
    if percentile is None:
        return float(known.mean())
    with np.errstate(invalid="ignore"):
        value = float(np.percentile(known, percentile))
    return value if value == value else np.inf  # between a finite one and forever
