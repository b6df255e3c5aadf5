"""Replicas that compute prompts alone, in closed form: docs/serving/systems.md, read aloud."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from tokenroof.reference.core.roundings import exponential, log, log1p, root
from tokenroof.reference.serving.open_loop import Sum

__all__ = ["prompt_pool"]

_HALVINGS, _TURNS = 30, 5
_SELDOM = 1e-4  # of all steps
_AROUND = 1.5  # sizes about the one that is seen, over and under it


@dataclass
class Steps:
    """Steps that follow one another, n prompts in each: base + slope n; fixed and w where some are full."""

    base: float = 0.0
    fixed: float = 0.0
    slope: float = 0.0
    w: float = 0.0
    w2: float = 0.0
    v: tuple[float, float, float] = (0.0, 0.0, 0.0)  # second to fourth moment of a second's prompts
    none: float = 0.0
    over: float = 0.0
    busy: float = 0.0
    full: float = 0.0
    moments: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    central: tuple[float, float] = (0.0, 0.0)  # second and third of them


def between(sizes: Sequence[float], seconds: Sequence[float], n: float) -> float:
    """On the line between the two sizes around n."""
    k = next((k for k in range(1, len(sizes) - 1) if sizes[k] >= n), len(sizes) - 1)
    part = (n - sizes[k - 1]) / (sizes[k] - sizes[k - 1])
    return seconds[k - 1] + part * (seconds[k] - seconds[k - 1])


def central(m1: float, m2: float, m3: float) -> tuple[float, float]:
    """Variance and third central moment; none below a ten-thousandth, whose cube is lost in raw moments."""
    if m2 - m1**2 <= 1e-8 * m1**2:
        return 0.0, 0.0
    return m2 - m1**2, m3 - 3.0 * m1 * m2 + 2.0 * m1**3


def added(i: dict[str, float], p: Steps) -> None:
    """Cumulants of a sum over arrivals whose number varies by c of Poisson's, the third by c^2."""
    s, c, w = p.w / i["each"], i["arrival_cv2"], p.w
    w2, w3, w4 = (i[f"each_{k}"] * s**k for k in (2, 3, 4))
    varied, third = central(w, w2, w3)
    v2 = varied + c * w**2
    v3 = max(third + 3.0 * c * w * varied + c**2 * w**3, 0.0)
    p.w2, p.v = w2, (v2, v3, w4 * (v3 / w3) ** 2 * w2 / v2 if v2 > 0.0 else 0.0)


def settle(i: dict[str, float], p: Steps) -> None:
    """Moments of t' = a + sum of what comes in t, and a prompt's own steps where nobody did.

    About E t: E y^k of y = a + sum - E t, less (a - E t)^k where nobody came, and there the own step's.
    """
    rate, alone, a, w = i["rate"], i["alone"], p.fixed, p.w
    v2, v3, v4 = p.v
    g, apart = rate * w, alone - a
    own, own3 = central(alone, i["alone_2"], i["alone_3"])
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        none = 0.5 * (low + high)
        some = 1.0 - none
        m1 = (a * some + none * alone) / (1.0 - g)
        y = -none * apart  # its mean
        short, more = (
            g * m1 - y,
            apart - g * m1 + y,
        )  # of m1 and of a prompt's own: m1 - a, alone - m1
        varies = rate * v2 * m1 + y**2 + none * (own + (more - short) * (more + short))
        varies /= 1.0 - g**2
        variance = max(varies, 1e-9 * m1**2)
        least = min(alone, m1)
        beyond = max(m1 - least, 1e-9 * m1)
        shape = beyond**2 / variance
        found = exponential(-rate * least - shape * log1p(rate * variance / beyond))
        low, high = (none, high) if found > none else (low, none)
    third = rate * v3 * m1 + 3.0 * g * rate * v2 * varies
    third += 3.0 * y * (g**2 * varies + rate * v2 * m1) + y**3
    cubes = (more + short) * (more**2 - more * short + short**2)  # of both
    third = (third + none * (cubes + 3.0 * own * more + own3)) / (1.0 - g**3)
    # a least variance is in what comes in t, a step later
    third += (variance - varies) * (3.0 * g * (a * g + rate * v2) / (1.0 - g**3) - 3.0 * m1)
    m2, m3 = m1**2 + variance, m1**3 + 3.0 * m1 * variance + third
    came2 = rate * v2 * m1 + g**2 * m2
    three = rate * v3 * m1 + 3.0 * rate**2 * w * v2 * m2
    four = (
        rate * v4 * m1 + rate**2 * m2 * (4.0 * v3 * w + 3.0 * v2**2)
        + 6.0 * rate**3 * m3 * v2 * w**2
    )  # fmt: skip
    m4 = (
        a**4 * some + 4.0 * a**3 * g * m1 + 6.0 * a**2 * came2 + 4.0 * a * (three + g**3 * m3) + four
        + none * i["alone_4"]
    ) / (1.0 - g**4)  # fmt: skip
    p.none, p.busy, p.moments = none, m1 / (m1 + none / rate), (m1, m2, m3, m4)
    p.central = variance, third


def full_share(i: dict[str, float], p: Steps) -> float:
    """Share of time in full steps, an exponential beyond them that begins at the density below."""
    m1, (variance, third) = p.moments[0], p.central
    load, whole = i["rate"] * i["each"], max(i["each"] * i["many"], i["alone"])
    origin, scale, spread = lognormal(Sum(m1, variance, third))
    density, below = 1.0 / root(variance), 0.01
    if whole > origin:
        z = log((whole - origin) / scale) / spread
        density = exponential(-0.5 * z**2) / (math.sqrt(2.0 * math.pi) * (whole - origin) * spread)
        below = max(NormalDist().cdf(z), 1e-3)
    falls = 2.0 * (1.0 - load) / (load * max(p.v[0] / p.w**2, 1e-3) * p.w)
    ratio = density / (falls * below)
    p.over, share = 1.0 - below, ratio / (1.0 + ratio)
    return share * whole / (share * whole + (1.0 - share) * min(m1, whole))


def lognormal(m: Sum) -> tuple[float, float, float]:
    """Origin, scale and spread of the one with these moments."""
    deviation = root(max(m.variance, 1e-60))
    skew = min(max(m.third / deviation**3, 0.01), 20.0)
    u = exponential(log((skew + root(skew**2 + 4.0)) * 0.5) / 3.0)
    cv = u - 1.0 / u
    square, mean = log(1.0 + cv**2), deviation / cv
    return m.mean - mean, mean * exponential(-0.5 * square), root(square)


def steps_of(i: dict[str, float], sizes: Sequence[float], seconds: Sequence[float]) -> Steps:
    """A line through two sizes about the number that an arrival sees, which follows from it."""
    rate, most, p = i["rate"], sizes[-1], Steps()
    n = rate * i["alone"]
    for turn in range(_TURNS):
        n = max(min(n, most), 1.0)
        low, high = max(n / _AROUND, 1.0), min(n * _AROUND, most)
        first, last = (between(sizes, seconds, x) for x in (low, high))
        p.slope = max((last - first) / (high - low), 1e-3 * i["each"])
        p.base = max(first - p.slope * low, 0.0)
        # with room for all, which says how many are full
        p.fixed, p.w = p.base, min(p.slope, 0.999 / rate)
        added(i, p)
        settle(i, p)
        now = full_share(i, p)
        p.full = now if turn == 0 else 0.5 * (now + p.full)
        p.fixed = p.base * (1.0 - p.full**4)
        p.w = min(p.slope + p.base * p.full / most, 0.999 / rate)
        added(i, p)
        settle(i, p)
        n = rate * p.moments[1] / p.moments[0]
    return p


def evenly(i: dict[str, float], p: Steps) -> float:
    """Kraemer and Langenbach-Belz 1976, and that those who find nobody come as evenly."""
    c = i["arrival_cv2"]
    if c >= 1.0:
        return 1.0
    own = max(p.w2 / p.w**2 - 1.0, 0.0)
    gone = 2.0 * (1.0 - p.busy) * (1.0 - c) ** 2 / (3.0 * p.busy * (c + own + 1e-9))
    return exponential(-gone) * p.v[0] / (p.v[0] * p.busy + p.w2 * (1.0 - p.busy))


def prompt_pool(
    inputs: dict[str, float], sizes: Sequence[float], seconds: Sequence[float]
) -> dict[str, float]:
    """All quantities at one rate; NaN where the replica cannot keep up, but for ``load``.

    Parameters
    ----------
    inputs : dict
        By the names of ``_core.PROMPT_POOL_INPUTS``.
    sizes, seconds : sequence of float
        Prompts of a step, from one to at least two [1], and how long it takes [s].

    Returns
    -------
    dict of float
    """
    i = inputs
    names = ["busy", "full", "queue", "ttft", "ttft_p50", "ttft_p90", "ttft_p99"]
    load = i["rate"] * i["each"]
    if not (i["rate"] > 0.0 and load < 1.0):
        return {"load": load, **dict.fromkeys(names, math.nan)}
    p = steps_of(i, sizes, seconds)
    m1, m2, m3, m4 = p.moments
    t1, t2, t3 = m2 / m1, m3 / m1, m4 / m1  # of a step that an arrival sees
    g, v2, v3 = i["rate"] * p.w, i["rate"] * p.v[0], i["rate"] * p.v[1]
    finds, before = p.busy * evenly(i, p), 0.5 * (1.0 + g) * t1
    whole, after = i["each"] * i["many"], 0.5 * g * t1
    room = whole * max(1.0 - before / whole - min(1.0, 1.0 / i["many"]), 0.5)
    kept = min(1.0, 1.0 - exponential(-room / after)) if after > 0.0 else 1.0
    # a uniform point u of the step: u (1 + kept g) + (1 - u) g of it, and how the prompts' times vary
    b = 1.0 + kept * g
    x1 = t1 * (b + g) * 0.5
    x2 = t2 * (b**2 + b * g + g**2) / 3.0 + v2 * t1 * (1.0 + kept**2) * 0.5
    x3 = (
        t3 * (b**3 + b**2 * g + b * g**2 + g**3) * 0.25
        + 3.0 * v2 * t2 * (b / 6.0 + g * kept**2 / 6.0 + kept**2 * b / 3.0 + g / 3.0)
        + v3 * t1 * (1.0 + kept**3) * 0.5
    )  # fmt: skip
    a1 = i["alone"]
    own, own3 = central(a1, i["alone_2"], i["alone_3"])
    # with this chance another step, of what came in the one before the one that is seen
    lasting = p.base * (1.0 - p.none)
    ahead = i["lag"] * (1.0 - p.full) * p.over / (p.over + p.none + _SELDOM)
    ahead *= lasting / (lasting + p.none * i["alone"] + 1e-300)
    y1 = finds * (x1 + ahead * m1)
    y2 = finds * ((1.0 - ahead) * x2 + ahead * (x2 + 2.0 * x1 * m1 + m2))
    y3 = finds * ((1.0 - ahead) * x3 + ahead * (x3 + 3.0 * x2 * m1 + 3.0 * x1 * m2 + m3))
    first = Sum(
        a1 + finds * (p.base + p.slope - a1) + y1,
        own + y2 - y1**2,
        own3 + y3 - 3.0 * y1 * y2 + 2.0 * y1**3,
    )
    values = [finds, p.full, finds * (before + ahead * m1), first.mean, *first.percentiles()]
    return {"load": load, **dict(zip(names, values, strict=True))}
