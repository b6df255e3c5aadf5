"""Load of the busiest expert-parallel rank when the experts' loads follow a power law.

Loads are draws from a density ~ x**-a on [1, R], scaled to the pairs that there are; R is 0.8 tokens, and 200
while there are fewer pairs than experts. The largest of several sums of draws: Cornish and Fisher, Revue de
l'Institut International de Statistique 5(4), 1938; means of the largest normal variable: David and Nagaraja,
Order Statistics.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from tokenroof.reference.core.ieee import divide, maximum, minimum
from tokenroof.reference.core.maths import ceiling
from tokenroof.reference.core.roundings import apart, expm1, log, log2, power
from tokenroof.reference.inference.operators import experts_touched

# Roundings of an integral, of what is made of it, and of a quotient: the kernels keep inverses and multiply.
_INTEGRAL, _MADE, _QUOTIENT = 8.0, 16.0, 4.0
# Exponents at which an integral is a logarithm are stepped around by this much.
_GAP = 1e-4


class Routing(NamedTuple):
    """How tokens choose experts, and how many ranks share these."""

    experts: float
    topk: float
    ranks: float
    skew: float


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
    """Any experts alike for each token; tiles as if those touched had their pairs alike."""
    pairs = tokens * topk
    mine = maximum(pairs * divide(1.0, ranks), minimum(pairs, 1.0))
    touched = experts_touched(tokens, experts, topk) * divide(1.0, ranks)
    touched = maximum(touched, minimum(pairs, 1.0))
    even = minimum(divide(experts, ranks), mine)
    some = even if even > 0.0 else 1.0
    return Load(mine, touched, touched * ceiling(divide(mine, some * rows)))


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

    doublings = log2(maximum(ranks, 1.0))
    largest = 0.6 * doublings / (1.0 + 0.09 * doublings)
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


def loads(
    tokens: float, experts: float, topk: float, ranks: float, skew: float, rows: float
) -> Load:
    """Of the busiest rank, with tiles of so many rows; a skew below zero is balanced routing, zero random."""
    if math.isnan(tokens) or math.isnan(skew):
        return Load(math.nan, math.nan, math.nan)
    if skew == 0.0:
        return random(tokens, experts, topk, ranks, rows)
    if skew < 0.0:
        return balanced(tokens, experts, topk, ranks, rows)
    return skewed(tokens, experts, topk, ranks, skew, rows)
