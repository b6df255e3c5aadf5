"""A replica whose requests arrive at random, in closed form: docs/serving/load.md, read aloud."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from tokenroof.reference.core.ieee import maximum
from tokenroof.reference.core.roundings import exponential, log, log1p, root

__all__ = ["open_loop"]

P90, P99 = 1.2815515655446004, 2.3263478740408408
TINY = 1e-12
# what is left of a variance in the mean over a life, in which the number forgets itself once
LIFE = 0.7357588823428847  # 2 / e


class Sum(NamedTuple):
    """Mean, variance and third central moment of a sum."""

    mean: float
    variance: float
    third: float

    def percentiles(self) -> tuple[float, float, float]:
        """Of a lognormal with an origin that has these moments: p50, p90, p99."""
        deviation = root(max(self.variance, 1e-60))
        skew = self.third / (deviation * deviation * deviation)
        skew = min(max(skew, 0.01), 20.0)
        u = exponential(log((skew + root(skew * skew + 4.0)) * 0.5) * (1.0 / 3.0))
        cv = u - 1.0 / u
        square = log(1.0 + cv * cv)
        mean = deviation / cv
        spread, scale = root(square), mean * exponential(square * -0.5)
        low, middle, high = (
            self.mean - mean + scale * exponential(spread * z) for z in (0.0, P90, P99)
        )
        return low, middle, high


class Raw(NamedTuple):
    """First three raw moments."""

    first: float
    second: float
    third: float

    def after(self, s: float) -> Raw:
        """Of a time beside a fixed one."""
        w, w2, w3 = self
        return Raw(
            s + w,
            s * s + 2.0 * s * w + w2,
            s * s * s + 3.0 * s * s * w + 3.0 * s * w2 + w3,
        )


class Added(NamedTuple):
    """What a prompt adds: moments; what a step's first has beyond each further one; moments of these."""

    mean: Raw
    begin: float
    each: Raw

    def own(self, s: float) -> Raw:
        """Of the step that carries one."""
        return self.each.after(s + self.begin)


class Chain(NamedTuple):
    """Requests in service and in the queue, a birth-death chain."""

    idle: float
    running: float
    waiting: float
    waits: float
    ratio: float
    step: float
    step2: float
    seen: float
    seen2: float
    own: Raw
    prompt: Raw
    begin: float
    each: Raw
    along: float
    alone: float
    alone2: float


def population(
    steps: Sequence[float], prompts: Sequence[Added], work: Sequence[float], rate: float
) -> Chain:
    """Weights of n = 0, 1 ... places; every eight the vanishing end the sum, and large ones are scaled."""
    places = len(work)
    ratio = rate * work[-1]
    weight = idle = 1.0
    alone = prompts[0].mean.after(steps[0])
    # total, first, time, time2, seen, seen2; of the own step; of prompts; begin; of further ones; along
    sums = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, *alone, *[0.0] * 8]
    last = 0.0
    for n in range(1, places + 1):
        weight = weight * (rate * work[n - 1])
        full = weight / (1.0 - ratio) if n == places else weight
        s, added = steps[n], prompts[n]
        of_time, of_many = full * s, full * float(n)
        terms = [
            full, of_many, of_time, of_time * s, of_many * s, of_many * s * s,
            *(full * x for x in added.own(s)), *(full * x for x in added.mean), full * added.begin,
            *(full * x for x in added.each), of_many * added.mean.first,
        ]  # fmt: skip
        sums = [a + b for a, b in zip(sums, terms, strict=True)]
        last = full if n == places else last
        if n % 8 == 0 and n < places:
            if weight > 1e200:
                weight, idle = weight * 1e-200, idle * 1e-200
                sums = [x * 1e-200 for x in sums]
            if weight * 1e20 < sums[0]:
                weight = 0.0
    total, first, time, time2, seen, seen2 = sums[:6]
    busy, few = total - idle, steps[1]
    waits = last / total

    def mean(x: float, least: float) -> float:
        return x / busy if busy > 0.0 else least

    return Chain(
        idle / total, first / total, waits * ratio / (1.0 - ratio), waits, ratio,
        mean(time, few), mean(time2, few * few),
        seen / first if first > 0.0 else few, seen2 / first if first > 0.0 else few * few,
        Raw(*(x / total for x in sums[6:9])),
        Raw(*(mean(x, y) for x, y in zip(sums[9:12], prompts[1].mean, strict=True))),
        mean(sums[12], prompts[1].begin),
        Raw(*(mean(x, y) for x, y in zip(sums[13:16], prompts[1].each, strict=True))),
        sums[16] / first if first > 0.0 else prompts[1].mean.first, alone.first, alone.second,
    )  # fmt: skip


def steps_of(tokens: float, deviation: float, budget: float) -> float:
    """Steps that so many tokens take in the mean, by the logistic curve in place of the normal one."""
    steps, width = 1.0, deviation * 0.5513 + budget * 1e-9
    for j in range(1, 6):
        y = min(max((budget * float(j) - tokens) / width, -700.0), 700.0)
        steps += 1.0 / (1.0 + exponential(y))
    return steps


def carrying(p: Chain, rate: float, load: float) -> tuple[float, float]:
    """Mean of steps that carry the prompts of the one before, and the share that has some: two states."""
    begins = max(1.0 - exponential(0.0 - min(rate * p.step, 700.0)), 1e-300)
    share, mean = 1.0, (p.step + p.begin) / (1.0 - load)
    for _ in range(12):
        come = rate * (p.step + p.begin + load * mean / share)
        share = begins / (exponential(0.0 - min(come, 700.0)) + begins)
        mean = (p.step + p.begin * share) / (1.0 - load)
    return mean, share


def first_token(i: dict[str, float], p: Chain, rate: float) -> tuple[Sum, float]:
    """Rest of the step, others' prompts, the own step, further ones; and what it adds to those after it."""
    spread = 1.0 + i["input_cv2"]
    w, w2, w3 = p.each
    w4 = w3 / w * w3 / w if w > 0.0 else 0.0
    load, busy, pace = min(rate * w, 0.99), 1.0 - p.idle, rate * w2
    steps2 = max(p.step2 - p.step * p.step, 0.0)
    mean, share = carrying(p, rate, load)
    without, some = p.begin * (1.0 - share), p.begin * share
    variance = (
        mean * pace / (1.0 - load * load) + steps2 / ((1.0 - load) * (1.0 - load))
        + without * (some + rate * mean * w * 2.0)
    )  # fmt: skip
    third = (rate * mean * w3 + pace * load * variance * 3.0) / (
        1.0 - load * load * load
    ) + without * some * (without - some)
    fourth = (
        rate * mean * w4 + rate * load * variance * (w3 * 4.0) + pace * pace * variance * 3.0
        + pace * load * load * third * 6.0
    ) / (1.0 - load * load * load * load)  # fmt: skip
    tilt = variance / mean
    # prompts that find nobody begin steps of their own, which the recurrence does not have: squares of all
    # steps, so many a second, over the time that is busy
    begun = p.idle / max(busy, TINY)
    own = p.alone2 - p.step * p.alone
    seen = mean + tilt + max(rate * own, 0.0) * begun / (1.0 - load * load)
    seen2 = max(variance + third / mean - tilt * tilt, 0.0)
    seen3 = max(third + fourth / mean - tilt * (third / mean) * 3.0 + tilt * tilt * tilt * 2.0, 0.0)
    size, cv2 = i["input"], i["input_cv2"]
    budget = max(i["budget"] - p.running / i["ranks"], 1.0)
    ahead = busy * rate * seen * (0.5 / i["ranks"])
    tokens2 = (ahead * spread + cv2) * (size * size)
    steps = steps_of((1.0 + ahead) * size, root(tokens2), budget)
    more = steps - 1.0
    more2 = more * (1.0 - more) if steps < 2.0 else tokens2 / (budget * budget)
    lag = i["lag"]
    others = seen * 0.5 + load * seen + mean * lag
    cross = p.step / budget * (w * (2.0 * size * cv2)) if steps > 1.2 else 0.0
    half = load + 0.5
    later = max(p.own.first + load * seen - mean, 0.0) * load / (1.0 - load)
    first = Sum(
        busy * others + p.own.first + more * p.step,
        busy
        * (
            seen2 * (load + load * load + 0.25) + (seen * seen + seen2) * (1.0 / 12.0)
            + pace * seen + variance * lag
        )
        + busy * p.idle * (others * others) + max(p.own.second - p.own.first * p.own.first, 0.0)
        + p.step * p.step * more2 + cross,
        busy * (third * lag + rate * seen * w3 + half * half * half * seen3 + half * seen2 * pace * 3.0)
        + (
            p.own.third - p.own.first * p.own.second * 3.0 + p.own.first * p.own.first * p.own.first * 2.0
        ),
    )  # fmt: skip
    return first, later


def later_token(i: dict[str, float], p: Chain, rate: float) -> tuple[Sum, float]:
    """n as a request sees it over its life, and prompts that pass meanwhile; the variance without these."""
    long_ = 1.0 + i["output_cv2"]
    inverse = long_ / i["output"]
    left = 1.0 / (1.0 - min(rate * p.along, 0.99))
    mean = p.seen * left
    varied = max(p.seen2 - p.seen * p.seen, 0.0) * LIFE
    noise = varied + rate * mean * (p.prompt.second * inverse)
    third = rate * mean * (p.prompt.third * (inverse * inverse * long_))
    return Sum(mean, noise * left * left, third * left * left * left), varied * left * left


def tail(waits: float, share: float, pace: float) -> float:
    """Seconds of a wait in a percentile: 0 where few wait, log(waits / share) / pace where many do."""
    odds = waits / share
    two = odds * odds
    four = two * two
    return log1p(four * four) / (pace * 8.0)


def wait_over_exponential(ratio: float, places: int, gaps_cv2: float, service_cv2: float) -> float:
    """Between M/D/c (Cosmetatos 1976) and M/M/c (Kimura 1986)."""
    c = float(places)
    fixed = (
        (1.0 - ratio) * ((c - 1.0) * (math.sqrt(4.0 + 5.0 * c) - 2.0)) / (ratio * (16.0 * c)) + 1.0
    ) * 0.5
    return min(fixed, 1.0) * (1.0 - service_cv2) + (service_cv2 + 0.5 * (gaps_cv2 - 1.0))


def beyond(base: float, mean: float, wait: float) -> float:
    """Two deviations from a mean, which are independent."""
    apart = base - mean
    return mean + root(apart * apart + wait * wait)


def open_loop(
    steps: Sequence[float],
    prompts: Sequence[Sequence[float]],
    inputs: dict[str, float],
    rate: float,
) -> dict[str, float]:
    """All quantities of one plan at one rate; NaN where the replica cannot keep up, but for ``load``.

    Parameters
    ----------
    steps : sequence of float
        Seconds of a step with 0, 1, ... in service; of 0 what a prompt's own step has beside it [s].
    prompts : sequence of (float, ...)
        Raw moments of what a prompt adds to each of them [s], [s2], [s3]; what the first of a step adds
        beyond each further one [s], and raw moments of what these add.
    inputs : dict
        By the names of ``_core.OPEN_LOOP_INPUTS``.
    rate : float
        Of arrivals [1/s].

    Returns
    -------
    dict of float
    """
    names = [
        "load", "running", "waiting", "waits", "prompt_load", "queue", "ttft", "ttft_p50", "ttft_p90",
        "ttft_p99", "tpot", "tpot_p50", "tpot_p90", "tpot_p99", "e2e", "e2e_p50", "e2e_p90", "e2e_p99",
    ]  # fmt: skip
    output, cv2 = inputs["output"], inputs["output_cv2"]
    added = [Added(Raw(*one[:3]), one[3], Raw(*one[4:])) for one in prompts]
    work = [output * s / float(n) + added[n].mean.first for n, s in enumerate(steps) if n]
    load = rate * work[-1]
    if not (rate > 0.0 and load < 1.0):
        known = load if rate >= 0.0 else math.nan
        return {**dict.fromkeys(names, math.nan), "load": known}
    p = population(steps, added, work, rate)
    (first, later), (token, steady) = first_token(inputs, p, rate), later_token(inputs, p, rate)
    # of what prompts add no more passes than fills an answer's steps
    after = output - 1.0
    beside = max(token.mean - p.seen, 0.0)
    most = p.along * (after * inputs["budget"] * inputs["ranks"] / inputs["input"])
    filled = max((beside * after + later) / max(most, 1e-300), 1.0 / 700.0)
    kept = 1.0 - exponential(-1.0 / filled)
    plain, later, steady = token.mean - beside * (1.0 - kept), later * kept, steady * kept * kept
    token = Sum(
        plain + later * ((1.0 + cv2) / output), token.variance * kept * kept,
        token.third * kept * kept * kept,
    )  # fmt: skip
    share = wait_over_exponential(p.ratio, len(work), inputs["arrival_cv2"], cv2)
    queue = p.waiting / rate * share
    slow = share * work[-1]
    pace = (1.0 - p.ratio) / slow if slow else math.inf
    scaled = plain * output
    # third moment of a sum over o alike: of the variance steady o^2 + passing o with o, lognormal
    passing = (token.variance - steady) * (output / (1.0 + cv2))
    apart = (
        scaled * output * 3.0 * (steady * ((2.0 + 3.0 * cv2 + cv2 * cv2) * output) + passing) * cv2
    )
    whole = Sum(
        first.mean + queue + plain * after + later,
        first.variance + queue * (2.0 / pace - queue) + token.variance * (after * after)
        + scaled * scaled * cv2,
        first.third + token.third * (after * after * after) + apart
        + scaled * scaled * scaled * (3.0 * cv2 * cv2 + cv2 * cv2 * cv2),
    )  # fmt: skip
    middle, ninth, last = first.percentiles()
    waits = (
        middle + tail(p.waits, 0.5, pace),
        beyond(ninth, first.mean, tail(p.waits, 0.1, pace)),
        beyond(last, first.mean, tail(p.waits, 0.01, pace)),
    )
    values = [
        load, p.running, p.waiting, p.waits, rate * p.prompt.first, queue, first.mean + queue, *waits,
        token.mean, *token.percentiles(), whole.mean,
        *map(maximum, whole.percentiles(), waits),  # the last token is no sooner than the first
    ]  # fmt: skip
    return dict(zip(names, values, strict=True))
