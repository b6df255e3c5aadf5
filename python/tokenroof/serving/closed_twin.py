"""Users in closed loop under a scheduler's limits, with percentiles, in closed form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import _core
from tokenroof.serving.loads import as_load, timed
from tokenroof.serving.prompts import prompts_of
from tokenroof.serving.requests.lengths import Lengths
from tokenroof.serving.rounds import StepsOf
from tokenroof.serving.twin import Shape, long_prompts, told_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tokenroof.records.deployment import Deployment
    from tokenroof.serving.loads import Load
    from tokenroof.serving.simulation.scheduler import Scheduler

__all__ = [
    "CLOSED_UNITS",
    "MEANS_HOLD",
    "PERCENTILES_HOLD",
    "closed_at",
    "closed_values",
    "known_to_loop",
    "shape_from",
]

#: Up to where means are within 10 % of a simulation, and percentiles within 20 %: of the budget of tokens
#: that prompts fill, of a prompt over it, of the cache's memory that those hold who run (all of it where
#: others wait for it); and for percentiles of the longest prompts of a hundred steps over the budget, and
#: of the share of time that prompts take. Answers of equal lengths keep users in step with each other: with
#: a squared variation below the least nothing holds but for one user. Prompts of equal lengths make a
#: percentile jump by one of them: it holds where they are a small part of a step.
#: tests/serving/test_closed_twin.py holds them, over the scenes that docs/serving/load.md counts.
MEANS_HOLD = {"budget_load": 0.25, "prompt_over_budget": 0.7, "memory_share": 0.9}
PERCENTILES_HOLD = {**MEANS_HOLD, "long_over_budget": 0.75, "prompt_load": 0.5}
LEAST_SPREAD = 0.03
_SMOOTH, _SMALL, _QUEUED = 0.1, 0.2, 1.2
_BLOCK = 128  # points, of some 0.1 ms each

_TIMES = {
    "ttft": "time to the first token",
    "tpot": "time per output token after the first",
    "e2e": "time to the last token",
}
CLOSED_UNITS = {
    **{
        f"{name}_{p}_s": ("s", f"{p[1:]}th percentile of the {said}, under the scheduler")
        for name, said in _TIMES.items()
        for p in ("p50", "p90", "p99")
    },
    **{
        f"{name}_mean_s": ("s", f"mean {said} that these percentiles belong to")
        for name, said in _TIMES.items()
    },
    "means_hold": (
        "1",
        "whether ttft_mean_s, tpot_mean_s and e2e_mean_s, no other mean, were within 10 % of simulations",
    ),
    "percentiles_hold": ("1", "whether percentiles were within 20 % of simulations"),
}


def shape_from(
    input_tokens: float | Lengths, output_tokens: float | Lengths, requests: float | None = None
) -> tuple[Load, Shape]:
    """Means, and all moments, of lengths; a number is the length of all.

    Examples
    --------
    >>> round(shape_from(1000, Lengths.uniform(1, 3))[1].output_cv2, 6)
    0.166667
    """
    both = (input_tokens, output_tokens)
    inputs, outputs = (one.mean if isinstance(one, Lengths) else one for one in both)
    means = as_load(inputs, outputs, requests)
    input_cv2, output_cv2 = (
        one.variance / one.mean**2 if isinstance(one, Lengths) else 0.0 for one in both
    )
    known = prompts_of(input_tokens.quantiles()) if isinstance(input_tokens, Lengths) else None
    return means, Shape(
        means.input_tokens, means.output_tokens, input_cv2, output_cv2, lengths=known
    )  # fmt: skip


def closed_at(
    inputs: dict[str, Any], memory: Any = np.inf, ranks: float = 1.0
) -> dict[str, NDArray[Any]]:
    """All quantities over points by the kernel's names, and whether they hold.

    Parameters
    ----------
    inputs : dict
        By the names of ``_core.CLOSED_LOOP_INPUTS``: arrays of one shape, or numbers.
    memory : array_like
        Requests that the cache holds [1].
    ranks : float
        Attention ranks, each with a part of the budget of tokens [1].

    Returns
    -------
    dict of ndarray
    """
    names = _core.CLOSED_LOOP_INPUTS
    columns = np.broadcast_arrays(*(np.asarray(inputs[name], np.float64) for name in names))
    given = np.ascontiguousarray(np.stack([c.ravel() for c in columns], axis=-1))
    out = np.empty((len(given), len(_core.CLOSED_LOOP_FIELDS)))
    for at in range(0, len(given), _BLOCK):  # Ctrl-C is heard between two
        _core.closed_loop(given[at : at + _BLOCK], out[at : at + _BLOCK])
    found: dict[str, NDArray[Any]] = dict(zip(_core.CLOSED_LOOP_FIELDS, out.T, strict=True))
    x = dict(zip(names, given.T, strict=True))
    room = np.maximum(x["budget"] - found["running"], 1.0)
    over = ranks * x["input"] / room
    found["prompt_over_budget"] = over
    others = (found["running"] - 1.0) / (x["output"] + x["lag"])
    most = 1.0 + others + 2.3 * np.sqrt(others)  # prompts of a step, in 99 of 100
    found["long_over_budget"] = over * long_prompts(most, x["input_cv2"])
    # where others wait for memory, one more runs for a part of the time, which whole places do not know
    short = (x["users"] > found["running"]) & (found["running"] >= np.floor(memory))
    found["memory_share"] = np.where(short, 1.0, found["running"] / memory)
    mixes = (x["output_cv2"] >= LEAST_SPREAD) | (x["users"] <= 1.0)
    smooth = (
        (x["input_cv2"] >= _SMOOTH)
        | (np.maximum(x["begin_s"], 0.0) + x["prompt_s"] <= _SMALL * x["step_s"])
        | (x["users"] >= _QUEUED * x["places"])
        | (x["users"] <= 1.0)
    )
    with np.errstate(invalid="ignore"):
        for name, limits in (("means_hold", MEANS_HOLD), ("percentiles_hold", PERCENTILES_HOLD)):
            found[name] = np.all([mixes, *(found[k] <= v for k, v in limits.items())], axis=0)
        found["percentiles_hold"] &= smooth
    return found


def known_to_loop(on: Deployment) -> bool:
    """Whether percentiles are known of a plan in closed loop: of one stage, and of ranks that step as one."""
    return on.plan.pp == 1 and (on.plan.dp == 1 or bool(on.model.experts))


def closed_values(
    on: Deployment, shape: Shape, users: NDArray[np.float64], scheduler: Scheduler | None = None
) -> dict[str, NDArray[Any]]:
    """By the names of `CLOSED_UNITS`, over users; NaN where nothing fits, and of stages and dense ranks."""
    nothing: dict[str, NDArray[Any]] = {
        name: np.zeros(users.shape, bool) if name.endswith("hold") else np.full(users.shape, np.nan)
        for name in CLOSED_UNITS
    }
    if not known_to_loop(on):
        return nothing
    try:
        told = told_of(on, shape, scheduler)
    except ValueError:  # no memory for a block
        if scheduler is not None:
            raise
        return nothing
    steps_of = StepsOf(on, shape, told.graphs, told.budget)
    ranks = float(steps_of.ranks)
    memory, places = ranks * told.memory, ranks * float(told.places)
    host, lag = told.host_s, told.lag
    n = np.minimum(users, places)
    life = shape.output_tokens + lag
    decoding = np.maximum(n * (shape.output_tokens - 1.0) / life, 1.0)
    low = np.floor(decoding)
    steps = steps_of.decode(np.stack([low, low + 1.0]))
    step = steps[0] + (decoding - low) * (steps[1] - steps[0])
    # the first prompt of a step, and each further one
    own, variance, third = np.moveaxis(steps_of.beside(decoding), -1, 0)
    prompt = steps_of.further(decoding, (n - 1.0) / life)
    begin = np.maximum(own - step, 1e-9) - prompt
    alone = steps_of.beside(np.zeros(1))[0]
    single = users <= 1.0
    found = closed_at(
        {
            "users": users, "places": places, "step_s": step + host,
            "alone_s": alone[0] - begin - prompt + host, "begin_s": begin,
            "prompt_s": prompt, "prompt_s2": np.where(single, alone[1], variance),
            "prompt_s3": np.where(single, alone[2], third), "input": shape.input_tokens,
            "input_cv2": shape.input_cv2, "output": shape.output_tokens,
            "output_cv2": shape.output_cv2, "budget": ranks * told.budget, "lag": lag,
        },
        memory,
        ranks,
    )  # fmt: skip
    for name in ("means_hold", "percentiles_hold"):
        found[name] &= told.shown
    values = {name: found[name.removesuffix("_s").removesuffix("_mean")] for name in CLOSED_UNITS}
    return {
        name: timed(shape.output_tokens, v) if name.startswith("tpot") else v
        for name, v in values.items()
    }
