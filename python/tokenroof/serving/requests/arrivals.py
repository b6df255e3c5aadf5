"""Open loads: requests that arrive whatever the replica does."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

import numpy as np

from tokenroof.serving.requests.given import LATEST_NS
from tokenroof.serving.requests.lengths import Lengths, as_lengths
from tokenroof.serving.requests.random import MOST_REQUESTS, stream
from tokenroof.serving.requests.record import Requests
from tokenroof.support.arguments import (
    check_options,
    count,
    finite_number,
    reals,
    shown,
    whole_number,
)
from tokenroof.support.pieces import pieces

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Unpack

    from numpy.typing import ArrayLike, NDArray

    Times = NDArray[np.float64]

__all__ = ["Sizes", "daily", "gamma", "modulated", "poisson", "sizes_of"]


class Sizes(TypedDict, total=False):
    """Lengths of requests: options of every load."""

    input_tokens: int | Lengths
    output_tokens: int | Lengths
    lengths: Requests
    declared_tokens: int
    seed: int


class Arriving(Sizes, total=False):
    """And how many there are: options of open loads."""

    requests: int
    seconds: float


def sizes_of(
    function: str, n: int, options: Sizes
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Tokens of prompts and answers, and the most that clients ask for."""
    seed, pairs = options.get("seed", 0), options.get("lengths")
    if pairs is not None:
        for name in ("input_tokens", "output_tokens"):
            if name in options:
                raise ValueError(f"{function} has lengths and {name}; allowed: one of them")
        if not isinstance(pairs, Requests) or not len(pairs):
            raise TypeError(f"lengths is {shown(pairs)}; allowed: Requests, such as a trace's")
        which = stream(seed, "pairs").integers(0, len(pairs), n)
        inputs, outputs = pairs.input_tokens[which], pairs.output_tokens[which]
    else:
        named = {
            name: as_lengths(name, options.get(name, 1024))
            for name in ("input_tokens", "output_tokens")
        }
        inputs = named["input_tokens"].draw(stream(seed, "inputs"), n)
        outputs = named["output_tokens"].draw(stream(seed, "outputs"), n)
    declared = outputs
    if "declared_tokens" in options:
        declared = np.maximum(outputs, count("declared_tokens", options["declared_tokens"]))
    return inputs, outputs, declared


def _load(
    function: str, options: Arriving, times: Callable[[int, np.random.Generator], Times]
) -> Requests:
    """Requests at the times that a function of how many, and of random numbers, gives in order."""
    check_options(function, options, Arriving)
    random = stream(options.get("seed", 0), "arrivals")
    seconds, n = options.get("seconds"), options.get("requests")
    if n is None and seconds is None:
        n = 1000
    if n is not None:
        at = times(whole_number("requests", n, 1, MOST_REQUESTS), random)
    if seconds is not None:
        end = finite_number("seconds", seconds, above=True)
        if n is None:
            n, at = 1024, times(1024, random)
            while at[-1] < end:  # the first of a longer row are those of a shorter one
                n *= 4
                if n > 2**28:
                    raise ValueError(
                        f"seconds is {end:g}; allowed: fewer than 2**28 requests in all"
                    )
                at = times(n, stream(options.get("seed", 0), "arrivals"))
        at = at[at < end]
    if len(at) and not at[-1] <= LATEST_NS * 1e-9:
        raise ValueError(
            f"the last arrival is at {at[-1]:g} s; allowed: up to {LATEST_NS * 1e-9:g}"
        )
    inputs, outputs, declared = sizes_of(function, len(at), options)
    none = np.zeros(len(at), np.int64)
    at_ns = np.empty(len(at), np.int64)
    for part in pieces(len(at)):
        at_ns[part] = np.rint(at[part] * 1e9)
    return Requests(at_ns, inputs, outputs, declared, none, np.full(len(at), -1), none)


def poisson(rate: float, **options: Unpack[Arriving]) -> Requests:
    """Requests that arrive independently of each other.

    Parameters
    ----------
    rate : float
        Mean arrivals per second [1/s].
    requests : int
        How many [1]; 1,000 where `seconds` is not given either.
    seconds : float
        Only those that arrive before [s].
    input_tokens, output_tokens : int or Lengths
        Of each request [1]; 1,024 by default.
    lengths : Requests
        Instead of both: a trace whose pairs of input and output are drawn, as they belong together.
    declared_tokens : int
        The most outputs that clients ask for [1]; those that come, by default, or where they are more.
    seed : int
        The same seed gives the same bytes.

    Returns
    -------
    Requests

    Raises
    ------
    ValueError, TypeError
        For an argument that is not allowed, by name and value.

    Examples
    --------
    >>> load = poisson(4.0, requests=1000, input_tokens=Lengths.lognormal(1000, cv=1.2), seed=7)
    >>> len(load), bool(200 < load.arrival_s[-1] < 300)
    (1000, True)
    """
    return _load("poisson", options, _gaps(finite_number("rate", rate, above=True), 1.0))


def gamma(rate: float, burstiness: float, **options: Unpack[Arriving]) -> Requests:
    """Requests whose gaps follow a gamma distribution, as ``vllm bench serve --burstiness`` sends them.

    Parameters
    ----------
    rate : float
        Mean arrivals per second [1/s].
    burstiness : float
        Shape of the gaps: 1 is `poisson`, less comes in bursts, more is steadier. The gaps' squared
        coefficient of variation is its inverse.
    requests, seconds, input_tokens, output_tokens, lengths, declared_tokens, seed
        As in `poisson`.

    Returns
    -------
    Requests

    Raises
    ------
    ValueError, TypeError
        For an argument that is not allowed, by name and value.

    Examples
    --------
    >>> gaps = np.diff(gamma(10.0, 0.25, requests=100_000).arrival_s)
    >>> bool(abs(gaps.std() / gaps.mean() - 2.0) < 0.1)
    True
    """
    shape = finite_number("burstiness", burstiness, above=True)
    return _load("gamma", options, _gaps(finite_number("rate", rate, above=True), shape))


def _gaps(rate: float, shape: float) -> Callable[[int, np.random.Generator], Times]:
    def times(n: int, random: np.random.Generator) -> Times:
        gaps = random.standard_exponential(n) if shape == 1.0 else random.standard_gamma(shape, n)
        return np.cumsum(gaps) / (rate * shape)

    return times


def modulated(rates: ArrayLike, stays: ArrayLike, **options: Unpack[Arriving]) -> Requests:
    """Requests of a Markov-modulated Poisson process: the rate jumps between states.

    Parameters
    ----------
    rates : array_like, (k,)
        Arrivals per second in each state [1/s], not all 0; it begins in the first.
    stays : array_like, (k,)
        Mean time in each state [s], exponentially distributed; any other follows, each as likely.
    requests, seconds, input_tokens, output_tokens, lengths, declared_tokens, seed
        As in `poisson`.

    Returns
    -------
    Requests

    Raises
    ------
    ValueError, TypeError
        For an argument that is not allowed, by name and value.

    References
    ----------
    Fischer, Meier-Hellstern, The Markov-modulated Poisson process (MMPP) cookbook, Performance Evaluation
    18(2) 1993.

    Examples
    --------
    >>> load = modulated([1.0, 20.0], [60.0, 5.0], requests=10_000)
    >>> bool(np.diff(load.arrival_s).std() > 1.3 * np.diff(load.arrival_s).mean())
    True
    """
    rate = np.atleast_1d(reals("rates", rates))
    stay = np.atleast_1d(reals("stays", stays, above=True))
    if rate.ndim != 1 or rate.shape != stay.shape or not rate.any():
        raise ValueError(
            f"rates and stays have shapes {rate.shape} and {stay.shape}; "
            "allowed: one of each a state, a rate above 0"
        )
    states, jumps = len(rate), stream(options.get("seed", 0), "states")
    # the integral of the rate at each jump, in which arrivals come at rate 1
    ends, whole, blocks = [np.zeros(1)], [np.zeros(1)], [0]

    def longer() -> None:
        steps = 1 + jumps.integers(0, max(states - 1, 1), 4096)
        state = (blocks[0] + np.concatenate([[0], np.cumsum(steps)])) % states
        lasting = jumps.standard_exponential(4096) * stay[state[:-1]]
        ends.append(ends[-1][-1] + np.cumsum(lasting))
        whole.append(whole[-1][-1] + np.cumsum(lasting * rate[state[:-1]]))
        blocks[0] = int(state[-1])

    def times(n: int, random: np.random.Generator) -> Times:
        turned = np.cumsum(random.standard_exponential(n))
        while whole[-1][-1] <= turned[-1]:
            if len(ends) > 2**13:
                raise ValueError(
                    f"stays are {stay.tolist()}; allowed: fewer than 2**25 jumps in all"
                )
            longer()
        return np.interp(turned, np.concatenate(whole), np.concatenate(ends))

    return _load("modulated", options, times)


def daily(rates: ArrayLike, day_s: float = 86400.0, **options: Unpack[Arriving]) -> Requests:
    """Requests whose rate follows a day's curve, again and again: Poisson arrivals by thinning.

    Parameters
    ----------
    rates : array_like, (k,)
        Arrivals per second at k equal steps of the day [1/s], the first at its beginning; straight lines
        in between, and from the last to the next day's first.
    day_s : float
        Length of the day [s].
    requests, seconds, input_tokens, output_tokens, lengths, declared_tokens, seed
        As in `poisson`.

    Returns
    -------
    Requests

    Raises
    ------
    ValueError, TypeError
        For an argument that is not allowed, by name and value.

    References
    ----------
    Lewis, Shedler, Simulation of nonhomogeneous Poisson processes by thinning, Naval Research Logistics
    Quarterly 26(3) 1979.

    Examples
    --------
    >>> load = daily([1.0, 9.0], day_s=100.0, seconds=10_000.0)
    >>> part = np.histogram(load.arrival_s % 100.0, [0, 25, 75, 100])[0] / len(load)
    >>> bool(abs(part[1] - 0.7) < 0.01)
    True
    """
    rate = np.atleast_1d(reals("rates", rates))
    if rate.ndim != 1 or not rate.size or not rate.any():
        raise ValueError(f"rates have shape {rate.shape}; allowed: one number a step, one above 0")
    day = finite_number("day_s", day_s, above=True)
    most = float(rate.max())
    around = np.append(rate, rate[0])
    step = np.arange(len(around)) * (day / len(rate))
    seed = options.get("seed", 0)

    def times(n: int, random: np.random.Generator) -> Times:
        kept, found, start = [], 0, 0.0
        thin = stream(seed, "thinning")
        while found < n:
            # pieces of one size, whatever n is: the first of a longer row are those of a shorter one
            candidates = start + np.cumsum(random.standard_exponential(65536)) / most
            part = np.interp(candidates % day, step, around) > most * thin.random(65536)
            start = float(candidates[-1])
            kept.append(candidates[part])
            found += len(kept[-1])
            if start > LATEST_NS * 1e-9:
                raise ValueError(
                    f"rates are {rate.tolist()[:4]}; allowed: arrivals within 73 years"
                )
        return np.concatenate(kept)[:n]

    return _load("daily", options, times)
