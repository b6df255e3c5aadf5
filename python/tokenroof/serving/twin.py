"""The open loop in closed form, for deployments under a scheduler's limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tokenroof import _core
from tokenroof.serving.prompts import lognormal, prompts_of
from tokenroof.serving.requests.record import Requests
from tokenroof.serving.rounds import StepsOf
from tokenroof.serving.simulation.scheduler import Scheduler
from tokenroof.serving.uneven import uneven
from tokenroof.support.quoting import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from tokenroof.records.deployment import Deployment
    from tokenroof.serving.prompts import Prompts

__all__ = ["OpenLoop", "Shape", "Told", "Twin", "long_prompts", "shape_of", "told_of", "twin_of"]

#: Up to where means are within 10 % of a simulation, and percentiles within 20 %: of the load, of the
#: share of requests that wait for a place, of the share of time that prompts take, of the budget of tokens
#: that they fill, of a prompt over that budget, and of the longest of a hundred, of one over the tokens of an
#: answer (more where they vary), of the load of ranks that step as one, and of how far mean steps are from a
#: line in prompts, over what is left of saturation; and for percentiles of a prompt over a step, of how far
#: the deviation of steps is from that line's, and of how nearly half of the requests find nobody, where two
#: kinds of times meet at the median.
#: tests/serving/test_twin.py and test_uneven.py hold them, over the scenes that docs/serving/load.md counts.
MEANS_HOLD = {
    "load": 0.9,
    "waits": 0.002,
    "prompt_load": 0.45,
    "budget_load": 0.25,
    "prompt_over_budget": 0.7,
    "long_over_budget": 1.5,
    "short_answers": 0.115,
    "uneven": 0.1,
    "rounds_load": 0.5,
}
PERCENTILES_HOLD = {
    **MEANS_HOLD, "waits": 0.001, "prompt_load": 0.3, "prompt_over_budget": 0.4, "prompt_over_step": 4.0,
    "long_over_budget": 0.75, "uneven_spread": 0.2, "even_odds": 0.6, "short_answers": 0.0625,
}  # fmt: skip
_Z99 = 2.3263478740408408  # standard normal
_LONG_PROMPT = 2.0  # steps, beside which the rest of one counts little
_ROUNDS = 3.0  # times longer than answers of one rank; of ranks, some of twenty tokens were 10 to 12 % off
_VARIED = 0.8  # of the variation of answers: short ones among long ones
_STATES = 16  # of those in service, at which a prompt's step is evaluated


class OpenLoop(Protocol):
    """What has an open loop in closed form: a replica's `Twin`, or that of pools."""

    @property
    def inputs(self) -> Mapping[str, float]:
        """What it is made of by name; lengths among them."""

    @property
    def saturation(self) -> float:
        """Requests per second that it answers at most [1/s]."""

    def at(self, rates: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
        """All quantities over rates of arrivals [1/s]."""


def long_prompts(prompts: ArrayLike, cv2: ArrayLike) -> NDArray[np.float64]:
    """The 99th percentile of the tokens of so many prompts together, over the mean of one.

    Of a lognormal, as lengths of requests are: two deviations above the mean of a wide one are far below it.

    Parameters
    ----------
    prompts : array_like
        Of a step [1].
    cv2 : array_like
        Squared coefficient of variation of one [1].

    Returns
    -------
    ndarray

    Examples
    --------
    >>> float(long_prompts(1.0, 1.0).round(3)), float(long_prompts(4.0, 0.0))
    (4.905, 4.0)
    """
    prompts = np.asarray(prompts, np.float64)
    spread2 = np.log1p(np.asarray(cv2, np.float64) / prompts)
    return np.asarray(prompts * np.exp(_Z99 * np.sqrt(spread2) - 0.5 * spread2))


@dataclass(frozen=True, slots=True)
class Shape:
    """What is known of a load: means and squared coefficients of variation.

    Attributes
    ----------
    input_tokens, input_cv2, output_tokens, output_cv2 : float
        Of prompts and answers [1].
    arrival_cv2 : float
        Of the gaps between arrivals; 1 for Poisson.
    rate : float
        Arrivals per second [1/s]; NaN where it is not known.
    lengths : Prompts, optional
        How prompts are distributed; a lognormal of their moments where it is not known.
    """

    input_tokens: float
    output_tokens: float
    input_cv2: float = 0.0
    output_cv2: float = 0.0
    arrival_cv2: float = 1.0
    rate: float = np.nan
    lengths: Prompts | None = field(default=None, compare=False, repr=False)

    @property
    def prompts(self) -> Prompts:
        """Lengths of prompts, and their shares."""
        return self.lengths or lognormal(self.input_tokens, self.input_cv2)

    @property
    def context(self) -> float:
        """Mean tokens before a generated one, over all of them: long answers have more."""
        return self.input_tokens + 0.5 * self.output_tokens * (1.0 + self.output_cv2)

    @property
    def held(self) -> float:
        """Mean tokens of the cache that a request in service holds."""
        return self.context + 0.5


def shape_of(load: Requests) -> Shape:
    """Moments of requests that arrive whatever the replica does.

    Raises
    ------
    TypeError, ValueError
        For anything else, and for requests that wait for others.
    """
    if not isinstance(load, Requests):
        raise TypeError(
            f"load is {type(load).__name__}; allowed: Requests, as poisson or trace gives"
        )
    if len(load) < 2 or (load.after >= 0).any():
        raise ValueError(
            f"load has {counted(len(load), 'request')}, {int((load.after >= 0).sum())} of which "
            "wait for others; "
            "allowed: two and more that arrive by themselves (simulate plays the others)"
        )
    inputs, outputs = load.input_tokens.astype(float), load.output_tokens.astype(float)
    gaps = np.diff(load.arrival_s)
    mean = float(gaps.mean())
    return Shape(
        float(inputs.mean()), float(outputs.mean()), float(inputs.var() / inputs.mean() ** 2),
        float(outputs.var() / outputs.mean() ** 2), float(gaps.var() / mean**2) if mean else 1.0,
        1.0 / mean if mean else np.inf, prompts_of(inputs),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Twin:
    """Step times of a deployment by sequences, and the limits of its scheduler.

    Attributes
    ----------
    steps : ndarray, (places + 1,)
        Seconds of a step with so many sequences; of 0, what a prompt's step has beside the prompt [s].
    prompts : ndarray, (places + 1, 3)
        Raw moments of the seconds that a prompt adds to such a step [s], [s2], [s3].
    inputs : dict
        What `_core.open_loop` needs beside them.
    sequences, memory : float
        Places by the scheduler and by the cache [1].
    shown : bool
        Whether agreement with the simulator was shown for the engine: vLLM's presets; of others nothing
        counts as held.
    further : ndarray, (places + 1, 4), optional
        Seconds that the first prompt of a step adds beyond each further one, and raw moments of what these
        add [s], [s], [s2], [s3]; without it all add the same.
    bent : tuple of ndarray, optional
        Sequences [1], and what `uneven` says of steps beside so many [1]; without it steps are a line in
        prompts.
    """

    steps: NDArray[np.float64]
    prompts: NDArray[np.float64]
    inputs: Mapping[str, float]
    sequences: float
    memory: float
    shown: bool = True
    further: NDArray[np.float64] | None = None
    bent: tuple[NDArray[np.float64], ...] | None = None

    @property
    def saturation(self) -> float:
        """Requests per second that all places answer [1/s]."""
        n = len(self.steps) - 1
        each = self.inputs["output"] * float(self.steps[-1]) / n + float(self.prompts[-1, 0])
        return 1.0 / each

    def at(self, rates: NDArray[np.float64], threads: int = 1) -> dict[str, NDArray[Any]]:
        """All quantities over rates of arrivals [1/s], and whether they hold."""
        fields = len(_core.OPEN_LOOP_FIELDS)
        given = np.array([[self.inputs[name] for name in _core.OPEN_LOOP_INPUTS]])
        out = np.empty((1, rates.size * fields))
        asked = np.ascontiguousarray(rates[None], np.float64)
        further = self.further
        if further is None:
            further = np.hstack([np.zeros((len(self.prompts), 1)), self.prompts])
        prompts = np.hstack([self.prompts, further]).reshape(1, -1)
        _core.open_loop(_core.ISA, self.steps[None].copy(), prompts, given, asked, out, threads)
        found: dict[str, NDArray[Any]] = dict(
            zip(_core.OPEN_LOOP_FIELDS, out.reshape(-1, fields).T, strict=True)
        )
        ranks = self.inputs["ranks"]
        room = np.maximum(self.inputs["budget"] - found["running"] / ranks, 1.0)
        found["budget_load"] = rates / ranks * self.inputs["input"] * found["tpot"] / room
        found["prompt_over_step"] = np.full(rates.size, self.prompts[1, 0] / self.steps[1])
        found["prompt_over_budget"] = self.inputs["input"] / room
        found["long_over_budget"] = found["prompt_over_budget"] * long_prompts(
            1.0, self.inputs["input_cv2"]
        )
        self._limits(found)
        # by Little's law: the chain does not know that a long prompt holds up all who are there
        inside = rates * (found["e2e"] - found["queue"])
        found["running"] = np.minimum(inside, len(self.steps) - 1.0)
        with np.errstate(invalid="ignore"):
            for name, limits in (
                ("means_hold", MEANS_HOLD),
                ("percentiles_hold", PERCENTILES_HOLD),
            ):
                kept = [found[what] <= most for what, most in limits.items()]
                found[name] = np.all(kept, axis=0) & self.shown
        return found

    def _limits(self, found: dict[str, NDArray[Any]]) -> None:
        """Whether answers are short, steps a line in prompts, and half of the requests find nobody."""
        short = (1.0 + _VARIED * self.inputs["output_cv2"]) / self.inputs["output"]
        short *= _ROUNDS if self.inputs["ranks"] > 1.0 else 1.0
        found["short_answers"] = np.full(found["load"].shape, short)
        at, of_means, of_spreads = self.bent or (np.zeros(1),) * 3
        left = np.maximum(1.0 - found["load"], 1e-9)
        found["rounds_load"] = np.where(self.inputs["ranks"] > 1.0, found["load"], 0.0)
        found["uneven"] = np.interp(found["running"], at, of_means) / left
        found["uneven_spread"] = np.interp(found["running"], at, of_spreads)
        odds = 1.0 - np.abs(2.0 * np.exp(-found["running"]) - 1.0)
        found["even_odds"] = np.where(found["prompt_over_step"] < _LONG_PROMPT, odds, 0.0)


@dataclass(frozen=True, slots=True)
class Told:
    """What the closed forms are told of a scheduler on a deployment.

    Attributes
    ----------
    sequences, memory : float
        Places by the scheduler and by the cache [1].
    budget : float
        Tokens of a step [1].
    host_s : float
        Of the host in each step [s].
    lag : float
        1 where a step is planned while another runs, else 0.
    shown : bool
        As of `Twin`.
    graphs : ndarray
        Sizes of captured graphs, to which decode steps are padded [1].
    cuts : bool
        Whether a prompt's pieces fill what a step has room for.
    """

    sequences: float
    memory: float
    budget: float
    host_s: float
    lag: float
    shown: bool
    graphs: NDArray[np.float64]
    cuts: bool

    @property
    def places(self) -> int:
        """Requests that run at once [1]."""
        return int(max(1.0, min(self.sequences, self.memory)))


def told_of(
    on: Deployment, shape: Shape, scheduler: Scheduler | None = None, answers: bool = False
) -> Told:
    """Limits of a scheduler, vLLM's newest by default.

    Of other engines the limits are all that is known. TensorRT-LLM sets whole answers aside, unless it may
    pause who runs: of those that run, long ones are more than of those that come. A pool for `answers` of
    SGLang keeps room for some tokens more of each.
    """
    engine = scheduler or Scheduler.preset("vllm-0.33")
    config = engine.resolved(on)
    limits = engine.limits(config)
    whole = config.get("capacity_scheduler_policy") in ("GUARANTEED_NO_EVICT", "STATIC_BATCH")
    long_ = shape.output_tokens * (1.0 + shape.output_cv2)
    held = shape.input_tokens + long_ if whole else shape.held
    held += config.get("num_reserved_decode_tokens", 0) if answers else 0.0
    memory = (limits.blocks - limits.unused_blocks) * limits.block_tokens / held
    # SGLang's steps of prompts are its chunks, however many sequences run
    chunk = config.get("chunked_prefill_size", 0)
    most = chunk if chunk > 0 else config.get("max_prefill_tokens", limits.step_tokens)
    return Told(
        float(limits.sequences), memory, float(most), 1e-9 * limits.host_ns,
        float(_ahead(config)), engine.name.startswith("vllm-"), limits.graphs,
        bool(config.get("enable_chunked_prefill", chunk > 0)),
    )  # fmt: skip


def _ahead(config: Mapping[str, Any]) -> bool:
    """Whether a step is planned while another runs."""
    if "loop" in config:
        return bool(config["loop"] == "async")
    name = "disable_overlap_schedule" if "page_size" in config else "disable_overlap_scheduler"
    return not config[name]


def twin_of(on: Deployment, shape: Shape, scheduler: Scheduler | None = None) -> Twin:
    """The twin of a deployment under a scheduler, vLLM's newest by default."""
    told = told_of(on, shape, scheduler)
    steps_of = StepsOf(on, shape, told.graphs, told.budget)
    ranks = steps_of.ranks
    places = ranks * told.places
    n = np.arange(1, places + 1, dtype=float)
    decode = steps_of.decode(n)
    # the prompt's step grows smoothly: at some of them
    some = np.unique([0.0, *np.rint(np.geomspace(1.0, places, _STATES))])
    found = steps_of.beside(some)
    at = np.append(0.0, n)
    mean, variance, third = (np.interp(at, some, x) for x in found.T)
    first = np.maximum(mean - np.append(0.0, decode), 1e-9)
    # as many prompts come with n in service as are answered: of a step they begin something once
    came = some / (shape.output_tokens + told.lag)
    more = np.interp(at, some, steps_of.further(some, came))
    bare = np.append(1e-9, decode) + told.host_s
    once = steps_of.once(np.interp(at, some, came), (bare, np.maximum(first - more, 0.0), more))
    once[0] = 1.0
    added = np.maximum(more + (first - more) * once, 1e-9)
    # a short one that hides behind weights, as the next does not, is as all are in the mean
    begin = np.maximum(first - more, 0.0)
    each = np.where(begin > 0.0, more, added)
    more_than_one = np.hstack([begin[:, None], raw_moments(each, variance, third)])
    inputs = {
        "input": shape.input_tokens,
        "input_cv2": shape.input_cv2,
        "output": shape.output_tokens,
        "output_cv2": shape.output_cv2,
        "budget": told.budget,
        "arrival_cv2": shape.arrival_cv2,
        "lag": told.lag,
        "ranks": float(ranks),
    }
    steps = np.append(0.0, decode) + told.host_s
    many = some[1:]
    work = shape.output_tokens * steps[1:] / n + added[1:]  # seconds of the replica a request
    load = work[-1] / np.interp(many, n, work)
    bent = None
    if ranks == 1:  # a round's time is no step's of so many prompts of one length
        bent = many, *uneven(
            on, shape.context, shape.input_tokens, (many, came[1:], load),
            (np.append(0.0, decode), begin, each), told.graphs,
        )  # fmt: skip
    return Twin(
        steps, raw_moments(added, variance, third), inputs, ranks * told.sequences,
        ranks * told.memory, told.shown and ranks == on.plan.dp, more_than_one, bent,
    )  # fmt: skip


def raw_moments(mean: ArrayLike, variance: ArrayLike, third: ArrayLike) -> NDArray[np.float64]:
    """Raw moments of these: mean, variance, third central moment.

    Examples
    --------
    >>> raw_moments(2.0, 1.0, 0.5).tolist()
    [2.0, 5.0, 14.5]
    """
    mean, variance, third = (np.asarray(x, np.float64) for x in (mean, variance, third))
    return np.stack([mean, mean**2 + variance, mean**3 + 3.0 * mean * variance + third], axis=-1)
