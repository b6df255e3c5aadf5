"""Replicas that compute prompts alone, in open loop: their steps carry what came while the one before ran."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import _core, kernels
from tokenroof.serving.prompts import lognormal
from tokenroof.serving.twin import told_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from tokenroof.records.deployment import Deployment
    from tokenroof.serving.prompts import Prompts
    from tokenroof.serving.simulation.scheduler import Scheduler
    from tokenroof.serving.twin import Shape, Told

__all__ = ["PromptTwin", "prompt_twin"]

_POINTS = 12  # numbers of prompts at which a step is evaluated
_FEWEST = 2.0  # of the last of them: a line needs two
_RARE = 1e-6


@dataclass(frozen=True, slots=True)
class PromptTwin:
    """Step times of a replica by prompts, and what one of them takes.

    Attributes
    ----------
    sizes, seconds : ndarray, (points,)
        Prompts of a step, from one to a full one [1], and how long it takes [s].
    moments : dict
        What `_core.prompt_pool` needs beside them, but for the rate.
    inputs : dict
        Tokens of a prompt.
    places : float
        Prompts that the replica holds at once [1].
    shown : bool
        Whether agreement with the simulator was shown: of vLLM's presets, for replicas that are one lane.
    """

    sizes: NDArray[np.float64]
    seconds: NDArray[np.float64]
    moments: Mapping[str, float]
    inputs: Mapping[str, float]
    places: float
    shown: bool = False

    @property
    def saturation(self) -> float:
        """Prompts per second of full steps [1/s]."""
        return 1.0 / self.moments["each"]

    def at(self, rates: NDArray[np.float64], replicas: int = 1) -> dict[str, NDArray[Any]]:
        """Quantities of a replica over rates of its arrivals [1/s], each of so many replicas in turn.

        Who waits for a place waits for the step that begins the prompt.
        """
        given = {name: np.full(rates.size, value) for name, value in self.moments.items()}
        given["arrival_cv2"] = given["arrival_cv2"] / replicas  # of every so many-th gap
        given["rate"] = rates
        packed = np.stack([given[name] for name in _core.PROMPT_POOL_INPUTS], axis=-1)
        out = np.empty((rates.size, len(_core.PROMPT_POOL_FIELDS)))
        _core.prompt_pool(packed, self.sizes[None].copy(), self.seconds[None].copy(), out)
        found: dict[str, NDArray[Any]] = dict(zip(_core.PROMPT_POOL_FIELDS, out.T, strict=True))
        found["waits"] = found["busy"]
        found["waiting"] = rates * found["queue"]
        found["running"] = rates * (found["ttft"] - found["queue"])
        return found


def prompt_twin(on: Deployment, shape: Shape, scheduler: Scheduler) -> PromptTwin:
    """The twin of a replica that computes prompts alone; each of its ranks and stages takes steps.

    Chunks fill a step; without them as many whole prompts as it has room for.
    """
    told = told_of(on, shape, scheduler)
    lengths, share = shape.prompts
    mean = shape.input_tokens
    long_ = float(lengths**2 @ share) / mean  # of the prompt that a token is of
    many = min(told.budget / mean, float(told.places))
    if not told.cuts:
        many = min(many, _together(shape.prompts, told.budget))
    room = max(many * mean, 1.0)  # tokens of a full step
    whole = room if told.cuts else max(room, float(lengths.max()))
    ranks, side = float(on.plan.dp), float(on.plan.dp * on.plan.pp)
    alone = _alone(on, lengths, whole, told)
    # a full step of prompts of that length: of a long one, a piece from its middle
    full = _seconds(
        on, ranks * np.maximum(room / lengths, 1.0), np.minimum(lengths, room),
        0.5 * np.maximum(lengths - room, 0.0), told,
    )  # fmt: skip
    each = full * lengths / (side * room)
    sizes = np.geomspace(1.0, max(side * many, _FEWEST), _POINTS)
    first, last = float(alone @ share), float(each @ share)
    if side * many > _FEWEST:
        few = np.minimum(sizes, ranks * many)  # beyond, stages overlap
        seconds = np.array(
            [_of_many(on, n, min(mean, room), long_ / mean - 1.0, told) for n in few]
        )
        # to what the full one takes whose prompts have their own lengths
        off = last * sizes[-1] / seconds[-1] - 1.0
        seconds = seconds * (1.0 + off * (sizes - 1.0) / (sizes[-1] - 1.0))
        seconds[0] = first
    else:
        seconds = first + (_FEWEST * last - first) * (sizes - 1.0) / (_FEWEST - 1.0)
    moments = {
        "many": side * many, "arrival_cv2": shape.arrival_cv2, "alone": first, "each": last,
        "lag": told.lag,
    }  # fmt: skip
    for k in (2, 3, 4):
        moments |= {
            f"alone_{k}": float(alone**k @ share),
            f"each_{k}": float(each**k @ share),
        }
    inputs = {"input": mean, "input_cv2": shape.input_cv2}
    shown = told.shown and side == 1.0
    return PromptTwin(sizes, seconds, moments, inputs, float(told.places), shown)


def _seconds(
    on: Deployment, prompts: Any, tokens: Any, past: Any, told: Told
) -> NDArray[np.float64]:
    """Of a step with so many prompts, and the host [s]."""
    found = kernels.prompts_time(*on.records, prompts, np.maximum(tokens, 1.0), past)
    return np.asarray(found) + told.host_s


def _of_many(on: Deployment, prompts: float, tokens: float, cv2: float, told: Told) -> float:
    """Seconds of a step with so many prompts, the mean over their lengths [s].

    Their mean length varies by a part of what one of them does; attention has what each is longer than it.
    """
    of_mean = max(cv2, 0.0) / max(prompts, 1.0)
    at, share = lognormal(tokens, of_mean)
    return float(_seconds(on, prompts, at, 0.5 * at * max(cv2 - of_mean, 0.0), told) @ share)


def _alone(
    on: Deployment, lengths: NDArray[np.float64], room: float, told: Told
) -> NDArray[np.float64]:
    """Seconds of prompts that have their steps for themselves, one for each piece [s]."""
    before = np.ceil(lengths / room * (1.0 - 1e-12)) - 1.0
    rest = _seconds(on, 1.0, lengths - before * room, before * room, told)
    pieces = _seconds(on, 1.0, room, 0.5 * room * np.maximum(before - 1.0, 0.0), told)
    return np.asarray(rest + before * pieces)


def _together(prompts: Prompts, budget: float) -> float:
    """How many whole prompts steps have that end where the next one has no room, in the mean.

    The one that had no room begins the next step: it is as long as the one that a token is of.
    """
    lengths, share = prompts
    one, two, three = (float(lengths**k @ share) for k in (1, 2, 3))
    mean, variance = two / one, max(three / one - (two / one) ** 2, 0.0)
    many = 1.0
    while True:
        mean, variance = mean + one, variance + two - one**2
        spread = max(variance, (1e-9 * budget) ** 2) ** 0.5
        fits = NormalDist(mean * (1.0 - 1e-6), spread).cdf(budget)
        if fits < _RARE:
            return many
        many += fits
