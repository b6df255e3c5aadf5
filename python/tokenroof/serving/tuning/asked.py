"""What is asked of a replica: lengths, gaps between arrivals or users, seeds, and how long it is watched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from tokenroof.serving.prompts import prompts_of
from tokenroof.serving.requests.arrivals import gamma
from tokenroof.serving.requests.record import Requests
from tokenroof.serving.requests.users import users
from tokenroof.serving.twin import Shape, shape_of
from tokenroof.support.arguments import check_options, count, finite_number, is_integer, shown

if TYPE_CHECKING:
    from tokenroof.serving.requests.lengths import Lengths

__all__ = ["Asked", "LoadOptions", "asked_of"]

# Requests in flight that pass before those that count, and that keep a replica as full after them.
_BEFORE, _AFTER = 2.0, 1.0
# Requests that count by default: so many of each replica, up to a most; and as many as come in so many times
# the longest bound, and as are in flight so many times over.
_COUNTED, _MOST, _TIMES = 2000, 40_000, 4.0


class LoadOptions(TypedDict, total=False):
    """What is asked of a replica, and how it is proved.

    Attributes
    ----------
    input_tokens, output_tokens : int or Lengths
        Of each request [1]; 1,024 by default.
    lengths : Requests
        Instead of both: a trace whose pairs of input and output are drawn.
    burstiness : float
        Of the gaps between arrivals, as in `gamma`; 1: Poisson.
    load : callable
        Instead of all these: ``load(rate, requests, seed)`` gives `Requests` of that rate [1/s], as many
        and more.
    requests : int
        How many count in each run [1]; by default 2,000 of each replica, up to 40,000,
        and at least those of four times the longest bound, and four times those in flight. As many more come
        before them as it takes to fill the replica, and others after them keep it full.
    seeds : int or sequence of int
        How many runs, of the seeds 0, 1, ..., or which; 3 by default.
    """

    input_tokens: int | Lengths
    output_tokens: int | Lengths
    lengths: Requests
    burstiness: float
    load: Callable[[float, int, int], Requests] | None
    requests: int | None
    seeds: int | Sequence[int]


@dataclass(frozen=True)
class Asked:
    """A load as a function of its rate, or of the users in a closed loop.

    Attributes
    ----------
    drawn : callable
        Requests of an amount (rate or users), of so many, by a seed.
    shape : Shape
        Moments of its lengths.
    requests : int
        How many count in a run.
    seeds : tuple of int
    closed : bool
        Whether amounts are users.
    own : bool
        Whether it is the caller's function, in which requests may wait for others.
    grows : bool
        Whether more count where a run of so many is too short.
    """

    drawn: Callable[[float, int, int], Requests]
    shape: Shape
    requests: int
    seeds: tuple[int, ...]
    closed: bool = False
    own: bool = False
    grows: bool = False

    def enough(self, amount: float, in_flight: float, bound_s: float) -> int:
        """Requests below which a run is too short for a bound [s] [1]."""
        return int(np.ceil(_TIMES * max(amount * bound_s, in_flight)))

    def window(
        self, amount: float, in_flight: float, replicas: int = 1, bound_s: float = 0.0
    ) -> tuple[int, int, int]:
        """First and last request that count, and how many there are [1]."""
        counted = self.requests
        if self.grows:
            counted = max(counted, min(_COUNTED * replicas, _MOST))
            counted = max(counted, self.enough(amount, in_flight, bound_s))
        if self.closed:  # whole rounds of all users
            counted = round(amount) * -(-self.requests // round(amount))
        tenth = (self.requests if self.closed else counted) // 10
        before = int(np.ceil(_BEFORE * in_flight)) + tenth
        after = int(np.ceil(_AFTER * in_flight))
        return before, before + counted, before + counted + after

    def loads(self, amount: float, many: int) -> list[Requests]:
        """Requests by seed."""
        return [self.drawn(amount, many, seed) for seed in self.seeds]


def asked_of(function: str, options: LoadOptions, closed: bool = False) -> Asked:
    """What options ask for, checked by name."""
    check_options(function, options, LoadOptions)
    told = options.get("requests")
    requests = count("requests", _COUNTED if told is None else told)
    seeds = _seeds(options.get("seeds", 3))
    own = options.get("load")
    if own is not None:
        for name in ("input_tokens", "output_tokens", "lengths", "burstiness"):
            if name in options:
                raise ValueError(f"{function} has load and {name}; allowed: one of them")
        if not callable(own):
            raise TypeError(f"load is {shown(own)}; allowed: a function of rate, requests and seed")
        return Asked(
            _checked(own), _rough(_checked(own)(1.0, 1000, seeds[0])), requests, seeds, own=True
        )
    sizes: dict[str, Any] = {
        name: options[name]
        for name in ("input_tokens", "output_tokens", "lengths")
        if name in options
    }
    shape = finite_number("burstiness", options.get("burstiness", 1.0), above=True)

    def arriving(rate: float, many: int, seed: int) -> Requests:
        return gamma(rate, shape, requests=many, seed=seed, **sizes)

    def in_flight(amount: float, many: int, seed: int) -> Requests:
        return users(round(amount), many, seed=seed, **sizes)

    # gaps vary as they are asked to, whatever these happen to
    known = replace(shape_of(arriving(1.0, 10_000, seeds[0])), arrival_cv2=1.0 / shape)
    grows = not closed and told is None
    return Asked(in_flight if closed else arriving, known, requests, seeds, closed, grows=grows)


def _checked(own: Callable[[float, int, int], Requests]) -> Callable[[float, int, int], Requests]:
    def drawn(rate: float, many: int, seed: int) -> Requests:
        found = own(rate, many, seed)
        if not isinstance(found, Requests) or not len(found):
            raise TypeError(
                f"load({rate:g}, {many}, {seed}) is {type(found).__name__}; allowed: Requests"
            )
        if len(found) < many:
            raise ValueError(
                f"load({rate:g}, {many}, {seed}) has {len(found)} requests; allowed: {many} and more"
            )
        return found

    return drawn


def _rough(load: Requests) -> Shape:
    """Moments of lengths of any load, turns and users among them."""
    inputs, outputs = load.input_tokens.astype(float), load.output_tokens.astype(float)
    return Shape(
        float(inputs.mean()), float(outputs.mean()), float(inputs.var() / inputs.mean() ** 2),
        float(outputs.var() / outputs.mean() ** 2), lengths=prompts_of(inputs),
    )  # fmt: skip


def _seeds(given: int | Sequence[int]) -> tuple[int, ...]:
    if is_integer(given):
        return tuple(range(count("seeds", given)))
    if isinstance(given, str) or not isinstance(given, Sequence) or not len(given):
        raise TypeError(f"seeds is {shown(given)}; allowed: how many, or a list of whole numbers")
    for i, seed in enumerate(given):
        if not is_integer(seed) or not 0 <= seed < 2**64:
            raise ValueError(
                f"seeds[{i}] is {shown(seed)}; allowed: whole numbers from 0 to 2**64 - 1"
            )
    if len(set(given)) < len(given):
        raise ValueError(f"seeds are {list(given)}; allowed: each once")
    return tuple(int(seed) for seed in given)
