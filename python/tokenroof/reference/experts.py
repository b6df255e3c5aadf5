"""The experts of a layer on the busiest of its ranks: tiles of one expert's tokens, in waves.

Grouped products over tiles: Gale et al., MegaBlocks, arXiv:2211.15841, section 5.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from tokenroof.reference._forms import ceiling, smooth_max
from tokenroof.reference._ieee import divide, maximum, minimum
from tokenroof.reference.routing import loads


def tile_rows(mean: float, most: float) -> float:
    """The next power of two, from 8 on, but at most `most`."""
    rows = 8.0
    while rows < 256.0 and mean > rows:
        rows *= 2.0
    return minimum(rows, most)


def experts(
    constants: Mapping[str, float], bandwidth: float, peak: float, multiprocessors: float,
    cache: float, tokens: float, hidden: float, intermediate: float, experts_: float, topk: float,
    matrices: float, moe_tp: float, moe_ep: float, skew: float, stored: float, narrow: float,
) -> tuple[float, float, float, float, float, float]:  # fmt: skip
    """Launch, seconds, computing, moving, FLOP and bytes."""
    if not tokens >= 0.0:
        return (math.nan,) * 6
    if tokens == 0.0:
        return (0.0,) * 6
    width = divide(intermediate, moe_tp)
    local = divide(experts_, moe_ep)
    rows = tile_rows(tokens * divide(topk, local), constants["tile"])
    load = loads(tokens, experts_, topk, moe_ep, skew, rows)
    tall = rows + constants["tile_loss"]
    reached = bandwidth * constants["memory"]
    rate = divide(peak * constants["compute"], multiprocessors)
    draw = divide(bandwidth * constants["stream"], multiprocessors)
    held = cache if not math.isnan(cache) else 0.0

    seconds = computing = moving = flops = nbytes = 0.0
    for n, k in (((matrices - 1.0) * width, hidden), (hidden, width)):
        weight, pair = n * k * stored, k * narrow + n * 2.0
        blocks = load.tiles * divide(ceiling(n * (1.0 / 128.0)), multiprocessors)
        compute = maximum(blocks, 1.0) * tall * divide(256.0 * k, rate)
        further = maximum(load.tiles - load.touched, 0.0)
        again = divide(maximum(weight - held, 0.0), bandwidth * constants["reread"])
        first = divide(k * 128.0 * stored, draw)
        memory = load.touched * divide(weight, reached) + load.pairs * divide(pair, reached)
        memory = memory + further * again + first
        seconds = seconds + smooth_max(compute, memory, constants["overlap"])
        computing, moving = computing + compute, moving + memory
        flops = flops + load.pairs * (2.0 * n * k)
        nbytes = nbytes + load.touched * weight + load.pairs * pair

    sixteenths = width * (1.0 / 16.0)
    stretch = 1.0 if ceiling(sixteenths) == sixteenths else constants["misaligned"]
    permuted = divide(4.0 * hidden + 6.0 * width, bandwidth * constants["local"])
    activated = divide((2.0 * hidden + 6.0 * width) * topk, bandwidth * constants["routed"])
    summed = divide(4.0 * hidden, bandwidth * constants["token"])
    around = load.pairs * permuted + tokens * (activated + summed)
    around = around + load.touched * constants["touched"] + constants["held"] * local
    return (constants["t0"], seconds * stretch + around, computing * stretch,
            moving * stretch + around, flops, nbytes)  # fmt: skip
