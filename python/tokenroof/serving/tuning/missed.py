"""Why no load kept a promise: which bounds, how near it came, and with what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenroof.serving.tuning.objectives import Objective
    from tokenroof.serving.tuning.proof import Trial

__all__ = ["missed"]


def missed(trials: Sequence[Trial], objectives: Sequence[Objective], of: str = "requests/s") -> str:
    """Bounds that no trial met, each with the nearest; all of them, where each was met by itself.

    Of a trial the seed counts that took longest, as every run has to meet every bound.
    """
    said = []
    for one in objectives:
        near = min(trials, key=lambda trial, one=one: _taken(trial, one))  # type: ignore[misc]
        if not _taken(near, one) <= one.bound:
            said.append(f"{one.name} is {one.bound:g}, nearest {_nearest(near, one, of)}")
    if not said:
        near = min(trials, key=lambda trial: max(_taken(trial, x) / x.bound for x in objectives))
        over = [one for one in objectives if not _taken(near, one) <= one.bound]
        said = [
            f"{one.name} is {one.bound:g}, kept with other knobs or loads alone; where all are nearest "
            f"{_nearest(near, one, of)}"
            for one in over
        ] or [f"every bound is kept {_where(near, of)}, where the queue is {near.state}"]
    return f"no load meets the objective; {'; '.join(said)}"


def _taken(trial: Trial, one: Objective) -> float:
    return trial.times[f"{one.name}_high"]


def _nearest(trial: Trial, one: Objective, of: str) -> str:
    taken = _taken(trial, one)
    value = f"{taken:.4g} s" if np.isfinite(taken) else "requests that were never answered"
    return f"{value} {_where(trial, of)}"


def _where(trial: Trial, of: str) -> str:
    knobs = "".join(f", {name}={value}" for name, value in trial.knobs.items())
    return f"at {trial.amount:.3g} {of} with {trial.plan}{knobs}"
