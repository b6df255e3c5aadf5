"""Load of the busiest expert-parallel rank when the experts' loads follow a power law.

A model's own routing: experts are popular to different degrees, in eight octaves of a power law, and each
gets a binomial number of tokens (Feller, vol. 1, VI.2); its tiles are a mean, over numbers that lie evenly
around what it gets. As benchmarks of kernels draw them, loads are draws from a density ~ x**-a on [1, R],
scaled to the pairs that there are; R is 0.8 tokens, and 200 while there are fewer pairs than experts. The
largest of several sums of draws: Cornish and Fisher, Revue de l'Institut International de Statistique 5(4),
1938; means of the largest normal variable: David and Nagaraja, Order Statistics.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from tokenroof.reference.core.ieee import divide, maximum, minimum
from tokenroof.reference.core.maths import ceiling
from tokenroof.reference.core.roundings import apart, expm1, log, log1p, log2, power
from tokenroof.reference.inference.operators import experts_touched

# Roundings of an integral, of what is made of it, and of a quotient: the kernels keep inverses and multiply.
_INTEGRAL, _MADE, _QUOTIENT = 8.0, 16.0, 4.0
# Exponents at which an integral is a logarithm are stepped around by this much.
_GAP = 1e-4
# Octaves between the least and the most popular expert of a model.
_OCTAVES = 8


class Routing(NamedTuple):
    """How tokens choose experts, and how many ranks share these."""

    experts: float
    topk: float
    ranks: float
    skew: float
    popular: bool = False  # as a model's tokens choose, not as benchmarks of kernels deal loads


@dataclass(frozen=True)
class Load:
    """Pairs on the rank, experts that they touch, and tiles that they fill."""

    pairs: float
    touched: float
    tiles: float


def balanced(tokens: float, experts: float, topk: float, ranks: float, rows: float) -> Load:
    """Every expert alike; some rank has a whole pair if there is one."""
    pairs = tokens * topk
    mine = maximum(pairs * divide(1.0, ranks), minimum(pairs, 1.0))
    touched = minimum(divide(experts, ranks), mine)
    some = touched if touched > 0.0 else 1.0
    return Load(mine, touched, touched * ceiling(divide(mine, some * rows)))


def random(tokens: float, experts: float, topk: float, ranks: float, rows: float) -> Load:
    """Any experts alike for each token, which gives each a binomial number of them."""
    pairs = tokens * topk
    mine = maximum(pairs * divide(1.0, ranks), minimum(pairs, 1.0))
    touched = experts_touched(tokens, experts, topk) * divide(1.0, ranks)
    touched = maximum(touched, minimum(pairs, 1.0))
    half = math.sqrt(tokens) * binomial_width(minimum(topk / experts, 1.0))
    further = further_tiles(pairs * divide(1.0, experts), half, rows)
    tiles = touched + further * divide(experts, ranks)
    return Load(mine, touched, maximum(tiles, divide(mine, rows)))


def largest_normal(n: float) -> float:
    """Mean of the largest of n normal variables."""
    doublings = log2(maximum(n, 1.0))
    return 0.6 * doublings / (1.0 + 0.09 * doublings)


def binomial_width(chance: float) -> float:
    """Half the width of an even distribution of a binomial's variance, over the root of the number."""
    return math.sqrt(3.0 * (chance * (1.0 - chance)))


def further_tiles(mean: float, half: float, rows: float) -> float:
    """Tiles beyond the first for numbers that lie evenly within `half` of `mean`, on average."""
    least = mean - 0.5
    edge = ceiling(least * divide(1.0, rows) - 0.5)
    if not edge > 0.0:
        return 0.0
    within = maximum(minimum(half, rows * 0.5), rows * 0.0009765625)
    beyond = divide(least - edge * rows, within + within) + 0.5
    return edge - 1.0 + minimum(maximum(beyond, 0.0), 1.0)


@dataclass(frozen=True)
class Octave:
    """Experts of like popularity: a token chooses one with `chance`; so many `experts` of a rank."""

    chance: float
    experts: float


def octaves(routing: Routing) -> list[Octave]:
    """From the least popular up: twice as popular each, and fewer by the power law; no chance above one."""
    experts, topk, ranks, skew, _ = routing
    step = expm1((1.0 - skew) * math.log(2.0)) + 1.0
    weights = [1.0]
    for _ in range(_OCTAVES - 1):
        weights.append(weights[-1] * step)
    total = 0.0
    for weight in weights:
        total = total + weight
    weights = [weight / total for weight in weights]
    most, local = experts / topk, experts / ranks
    # popularity over its mean is scale * 2**i, or `most`: the rest goes to the others
    above, scale = 0.0, 0.0
    for held in range(_OCTAVES):
        open_ = weights[: _OCTAVES - held]
        rest = 0.0
        for i, weight in enumerate(open_):
            rest = rest + weight * 2.0**i
        scale = (1.0 - above) / rest
        if not scale * 2.0 ** (len(open_) - 1) > most:
            break
        above = above + open_[-1] * most
    share = topk * divide(1.0, experts)
    chances = [x * share if x < most else 1.0 for x in (scale * 2.0**i for i in range(_OCTAVES))]
    return [Octave(chance, weight * local) for chance, weight in zip(chances, weights, strict=True)]


def reached(tokens: float, levels: list[Octave]) -> float:
    """Experts of a rank that some token chooses."""
    out = 0.0
    for octave in levels:
        if octave.chance >= 1.0:
            out = out + octave.experts
            continue
        out = out - octave.experts * expm1(tokens * log1p(-octave.chance))
    return out


def _luck(routing: Routing, levels: list[Octave], even: float) -> float:
    """Pairs of the busiest rank over those of a rank in the mean."""
    experts, topk, ranks, _, _ = routing
    local, most = experts / ranks, experts / topk
    second = third = 0.0
    for octave in levels:
        y = octave.chance * most if octave.chance < 1.0 else most
        weight = octave.experts / local
        second, third = second + weight * (y * y), third + weight * (y * y * y)
    variance = maximum(second - 1.0, 1e-12)
    largest = largest_normal(ranks)
    spread = apart((1.0 - 1.0 / maximum(ranks, 1.0)) / local, _QUOTIENT)
    tail = (third - 3.0 * second + 2.0) / variance
    tail = apart(tail * (largest * largest - 1.0) / 6.0 * spread, _MADE)
    sd = power(variance * spread + spread * local / maximum(even, 1e-300), 0.5)
    busiest = 1.0 + maximum(sd * largest + tail, sd * (0.5 * largest))
    return maximum(minimum(busiest, ranks), 1.0)


def popular(tokens: float, routing: Routing, rows: float) -> Load:
    """As a model's tokens choose."""
    if not tokens > 0.0:
        return Load(0.0, 0.0, 0.0)
    levels = octaves(routing)
    local = routing.experts / routing.ranks
    pairs = tokens * routing.topk
    even = apart(pairs / routing.ranks, _QUOTIENT)
    busiest = _luck(routing, levels, even)
    load = maximum(even * busiest, minimum(pairs, 1.0))
    load = minimum(load, tokens * minimum(local, routing.topk))
    mean = reached(tokens, levels)
    touched = mean * (1.0 + 0.9 * (1.0 - apart(mean / local, 1.0)) * (busiest - 1.0))
    touched = minimum(minimum(maximum(touched, minimum(pairs, 1.0)), local), load)
    further = 0.0
    for octave in levels:
        own = tokens * octave.chance
        half = maximum(own * (1.0 / 3.0), math.sqrt(tokens) * binomial_width(octave.chance))
        further = further + octave.experts * further_tiles(own, half, rows)
    tiles = touched + further * (load / maximum(even, 1e-300))
    return Load(load, touched, maximum(tiles, load / rows))


def skewed(
    tokens: float, experts: float, topk: float, ranks: float, skew: float, rows: float
) -> Load:
    """Loads from a power law of exponent `skew`."""
    if not tokens > 0.0:
        return Load(0.0, 0.0, 0.0)
    q = 1.0 - skew
    for i in range(4):
        if abs(q + i) < _GAP:
            q = _GAP - i
    q1, q2, q3 = q + 1.0, q + 2.0, q + 3.0
    local = experts / ranks
    pairs = tokens * topk
    even = apart(pairs / ranks, _QUOTIENT)
    most = 200.0 if pairs <= experts else maximum(0.8 * tokens, 1.0001)

    def mass(x: float) -> float:  # integral of t**(q - 1) from 1 to x
        return apart(expm1(q * log(x)) / q, _INTEGRAL)

    def moment(x: float, n: int, exponent: float) -> float:
        of_power = (expm1(q * log(x)) + 1.0) * apart(x, 0.0) ** n
        return apart((of_power - 1.0) / exponent, _INTEGRAL)

    whole = mass(most)
    mean = moment(most, 1, q1) / whole
    m2 = moment(most, 2, q2) / whole / mean**2
    m3 = moment(most, 3, q3) / whole / mean**3
    variance = maximum(m2 - 1.0, 1e-12)
    third = m3 - 3.0 * m2 + 2.0

    largest = largest_normal(ranks)
    spread = apart((1.0 - 1.0 / maximum(ranks, 1.0)) / local, _QUOTIENT)
    sd = power(variance * spread, 0.5)
    tail = apart(third / variance * (largest**2 - 1.0) / 6.0 * spread, _MADE)
    busiest = 1.0 + maximum(sd * largest + tail, 0.5 * sd * largest)
    busiest = maximum(minimum(busiest, minimum(ranks, most / mean)), 1.0)
    load = minimum(maximum(even * busiest, minimum(pairs, 1.0)), tokens * minimum(local, topk))

    scale = maximum(apart(pairs / experts / mean, _MADE), 1e-300)
    low = minimum(maximum(0.5 / scale, 1.0), most)
    reached = 1.0 - mass(low) / whole
    lost = moment(low, 1, q1) / whole / mean
    touched = maximum(
        local * reached * (1.0 + 0.9 * (1.0 - reached) * (busiest - 1.0)), even * lost
    )
    touched = minimum(minimum(maximum(touched, minimum(pairs, 1.0)), local), load)

    tall = minimum(maximum(rows / scale, low), most)
    beyond = 1.0 - mass(tall) / whole
    heavy = (moment(most, 1, q1) - moment(tall, 1, q1)) / whole * scale / rows
    further = maximum(local * (heavy - 0.5 * beyond), 0.0)
    return Load(
        load, touched, maximum(touched + further * (load / maximum(even, 1e-300)), load / rows)
    )


def loads(tokens: float, routing: Routing, rows: float) -> Load:
    """Of the busiest rank, with tiles of so many rows; a skew below zero is balanced routing, zero random."""
    experts, topk, ranks, skew, _ = routing
    if math.isnan(tokens) or math.isnan(skew):
        return Load(math.nan, math.nan, math.nan)
    if skew == 0.0:
        return random(tokens, experts, topk, ranks, rows)
    if skew < 0.0:
        return balanced(tokens, experts, topk, ranks, rows)
    if routing.popular:
        return popular(tokens, routing, rows)
    return skewed(tokens, experts, topk, ranks, skew, rows)
