"""Users in closed loop under continuous batching, with percentiles: docs/serving/load.md, read aloud."""

from __future__ import annotations

import math
from collections.abc import Mapping

from tokenroof.reference.core.roundings import exponential, log, root
from tokenroof.reference.core.special import normal_below
from tokenroof.reference.serving.open_loop import Sum, steps_of

__all__ = ["closed_loop"]


def lognormal(m: Sum) -> tuple[float, float, float]:
    """Origin, scale and spread of a lognormal with these moments."""
    deviation = root(max(m.variance, 1e-60))
    skew = min(max(m.third / (deviation * deviation * deviation), 0.01), 20.0)
    u = exponential(log((skew + root(skew * skew + 4.0)) * 0.5) * (1.0 / 3.0))
    cv = u - 1.0 / u
    square = log(1.0 + cv * cv)
    mean = deviation / cv
    return m.mean - mean, mean * exponential(square * -0.5), root(square)


def mixture_at(parts: list[tuple[float, Sum]], below: float, most: float) -> float:
    """A percentile of a mixture, by halving."""
    known = [(share, *lognormal(m)) for share, m in parts]
    low, high = 0.0, most
    for _ in range(60):
        middle = 0.5 * (low + high)
        total = 0.0
        for share, origin, scale, spread in known:
            y = (middle - origin) / scale
            if y > 0.0:
                total += share * normal_below(log(y) / spread)
        low, high = (middle, high) if total < below else (low, middle)
    return 0.5 * (low + high)


def departures(x: Mapping[str, float], n: float, rate: float) -> float:
    """Variance of the time in which those ahead in the queue get their places [s2]."""
    if x["users"] <= n:
        return 0.0
    each = (x["users"] - n) / n
    part = each - math.floor(each)
    phases = (1.0 - min(x["output_cv2"], 1.0)) * part * (1.0 - part)
    return n * (x["output_cv2"] * each + phases) / (rate * rate)


def first_token(
    x: Mapping[str, float], n: float, life: float, lag: float, rate: float
) -> tuple[Sum, list[tuple[float, Sum]]]:
    """The time to the first token: all of it by moments, and by the number of other prompts."""
    w, cv2, s = x["prompt_s"], x["input_cv2"], x["step_s"]
    others, decoding = (n - 1.0) / life, n * (x["output"] - 1.0) / life
    queue = (x["users"] - n) / rate if x["users"] > n else 0.0
    room = max(x["budget"] - decoding, 1.0)
    spread = root(x["input"] * x["input"] * (cv2 + 0.5 * others * (1.0 + cv2)))
    cuts = steps_of((1.0 + 0.5 * others) * x["input"], spread, room) - 1.0
    own = s if x["users"] > 1.0 else x["alone_s"]
    begin, own2, own3 = x["begin_s"], x["prompt_s2"], x["prompt_s3"]
    before = s + begin * (1.0 - exponential(-others))
    base = queue + lag * before + own + begin + cuts * s
    waits2, came = departures(x, n, rate), others * (1.0 + lag)
    whole = Sum(
        base + w + came * w,
        waits2 + own2 + came * (w * w + own2),
        own3 + came * (w * w * w + 3.0 * w * own2 + own3),
    )
    parts: list[tuple[float, Sum]] = []
    chance, left = exponential(-came), 1.0
    for k in range(128):
        if came >= 60.0 or left <= 1e-7:
            break
        mean = base + (k + 1.0) * w
        least = 1e-3 * mean
        variance = max(waits2 + (k + 1.0) * own2, least * least)
        parts.append((chance, Sum(mean, variance, (k + 1.0) * own3)))
        left -= chance
        chance = chance * came / (k + 1.0)
    return whole, parts or [(1.0, whole)]


def others_variance(output_cv2: float) -> float:
    """Variance over mean of how many prompts of another place come in a life: 1 of exponential answers.

    Examples
    --------
    >>> round(others_variance(0.04), 3), others_variance(1.0)
    (0.18, 1.0)
    """
    if output_cv2 >= 1.0:
        return 1.0
    # E[u (1 - u)], u the part of a life by which two of them differ: the first term of a Fourier series
    phase = 1.0 / 6.0 - exponential(-2.0 * math.pi**2 * (2.0 * output_cv2)) / math.pi**2
    return output_cv2 + (1.0 - output_cv2) * phase


def later_steps(x: Mapping[str, float], others: float) -> tuple[float, float]:
    """Variance and third central moment, a step of a life, of the prompts that come with it."""
    w, begin, own2, own3 = x["prompt_s"], x["begin_s"], x["prompt_s2"], x["prompt_s3"]
    none = exponential(-others)
    some, even = 1.0 - none, others_variance(x["output_cv2"])
    # of `w` times their number, and of `begin` where there are some: both depend on it
    number2 = others * w * w + begin * none * (begin * some + 2.0 * w * others)
    number3 = (
        others * w * w * w
        + 3.0 * begin * none * (others - others * others) * w * w
        + 3.0 * begin * begin * none * (none - some) * others * w
        + begin * begin * begin * some * none * (none - some)
    )
    along = others * w + begin * none * others  # the number's covariance with both
    return (
        even * number2 + others * own2,
        even * even * even * number3 + 3.0 * even * along * own2 + others * own3,
    )


def closed_loop(x: Mapping[str, float]) -> dict[str, float]:
    """All quantities by name.

    Parameters
    ----------
    x : mapping
        By the names of ``_core.CLOSED_LOOP_INPUTS``.

    Returns
    -------
    dict of float
        By the names of ``_core.CLOSED_LOOP_FIELDS``.

    Examples
    --------
    >>> user = {"users": 1.0, "places": 8.0, "step_s": 0.01, "alone_s": 0.01, "begin_s": 0.0,
    ...         "prompt_s": 0.05, "prompt_s2": 0.0, "prompt_s3": 0.0, "input": 500.0, "input_cv2": 0.0,
    ...         "output": 101.0, "output_cv2": 0.0, "budget": 8192.0, "lag": 1.0}
    >>> found = closed_loop(user)
    >>> round(found["ttft"], 6), round(found["e2e"], 6)
    (0.06, 1.06)
    """
    output, out2, w = x["output"], x["output_cv2"], x["prompt_s"]
    n = min(x["users"], x["places"])
    lag = x["lag"] if x["users"] > 1.0 else 0.0
    life = output + lag
    prompts, others, s = n / life, (n - 1.0) / life, x["step_s"]
    begin, none, short = x["begin_s"], exponential(-others), (1.0 + out2) / output
    some = 1.0 - none
    # a step has somebody else's prompt, or else one's own, which is one of a life
    taken = begin * (some + none / life) + prompts * w
    own = s if x["users"] > 1.0 else x["alone_s"]
    rate = n / (own + (life - 1.0) * s + life * taken)
    first, parts = first_token(x, n, life, lag, rate)
    most = 2.0 * first.mean + 60.0 * root(first.variance)
    step2, step3 = later_steps(x, others)
    token = Sum(
        s + begin * some + w * others, step2 * short, step3 * (short * short * (1.0 + out2))
    )
    after, scaled = output - 1.0, token.mean * output
    whole = Sum(
        first.mean + token.mean * after,
        first.variance + after * step2 + scaled * scaled * out2,
        # so many steps as a lognormal answer has: cumulants of a compound sum
        first.third
        + after * step3
        + 3.0 * (output * output * out2) * token.mean * step2
        + scaled * scaled * scaled * (3.0 * out2 * out2 + out2 * out2 * out2),
    )
    room = max(x["budget"] - n * (output - 1.0) / life, 1.0)
    names = ("p50", "p90", "p99")
    return {
        "running": n,
        "rate": rate,
        "prompt_load": taken / (s + taken),
        "budget_load": prompts * x["input"] / room,
        "queue": (x["users"] - n) / rate if x["users"] > n else 0.0,
        "ttft": first.mean,
        **{f"ttft_{p}": mixture_at(parts, float(p[1:]) / 100.0, most) for p in names},
        "tpot": token.mean,
        **dict(zip((f"tpot_{p}" for p in names), token.percentiles(), strict=True)),
        "e2e": whole.mean,
        **dict(zip((f"e2e_{p}" for p in names), whole.percentiles(), strict=True)),
    }
