"""The experts of a layer on the busiest of its ranks: tiles of one expert's tokens, in waves.

Grouped products over tiles: Gale et al., MegaBlocks, arXiv:2211.15841, section 5.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tokenroof.reference._forms import ceiling, smooth_max
from tokenroof.reference._ieee import divide, maximum, minimum
from tokenroof.reference.routing import Load, loads


def tile_rows(mean: float, most: float) -> float:
    """The next power of two, from 8 on, but at most `most`."""
    rows = 8.0
    while rows < 256.0 and mean > rows:
        rows *= 2.0
    return minimum(rows, most)


@dataclass(frozen=True)
class Chip:
    """Constants, bytes/s, FLOP/s, multiprocessors, bytes of the L2 (NaN: unknown)."""

    constants: Mapping[str, float]
    bandwidth: float
    peak: float
    multiprocessors: float
    cache: float


def misaligned(constants: Mapping[str, float], *widths: float) -> float:
    """How much longer widths take that are no multiple of 16."""
    sixteenths = [width * (1.0 / 16.0) for width in widths]
    return 1.0 if all(ceiling(x) == x for x in sixteenths) else constants["misaligned"]


def product(
    chip: Chip, load: Load, rows: float, n: float, k: float, stored: float, narrow: float
) -> tuple[float, float, float, float, float]:
    """Seconds, computing, moving, FLOP and bytes of [pairs, k] @ [experts, k, n] in tiles of `rows`."""
    c = chip.constants
    tall = rows + c["tile_loss"]
    reached = chip.bandwidth * c["memory"]
    rate = divide(chip.peak * c["compute"], chip.multiprocessors)
    draw = divide(chip.bandwidth * c["stream"], chip.multiprocessors)
    held = chip.cache if not math.isnan(chip.cache) else 0.0
    weight, pair = n * k * stored, k * narrow + n * 2.0
    blocks = load.tiles * divide(ceiling(n * (1.0 / 128.0)), chip.multiprocessors)
    compute = maximum(blocks, 1.0) * tall * divide(256.0 * k, rate)
    further = maximum(load.tiles - load.touched, 0.0)
    again = divide(maximum(weight - held, 0.0), chip.bandwidth * c["reread"])
    first = divide(k * 128.0 * stored, draw)
    memory = load.touched * divide(weight, reached) + load.pairs * divide(pair, reached)
    memory = memory + further * again + first
    return (smooth_max(compute, memory, c["overlap"]), compute, memory,
            load.pairs * (2.0 * n * k), load.touched * weight + load.pairs * pair)  # fmt: skip


def experts(
    constants: Mapping[str, float], bandwidth: float, peak: float, multiprocessors: float,
    cache: float, tokens: float, hidden: float, intermediate: float, experts_: float, topk: float,
    matrices: float, moe_tp: float, moe_ep: float, skew: float, stored: float, narrow: float,
    dispatched: bool = False,
) -> tuple[float, float, float, float, float, float]:  # fmt: skip
    """Launch, seconds, computing, moving, FLOP and bytes.

    Where tokens are `dispatched`, a rank handles those of its experts alone.
    """
    if not tokens >= 0.0:
        return (math.nan,) * 6
    if tokens == 0.0:
        return (0.0,) * 6
    width = divide(intermediate, moe_tp)
    local = divide(experts_, moe_ep)
    rows = tile_rows(tokens * divide(topk, local), constants["tile"])
    load = loads(tokens, experts_, topk, moe_ep, skew, rows)
    chip = Chip(constants, bandwidth, peak, multiprocessors, cache)

    seconds = computing = moving = flops = nbytes = 0.0
    for n, k in (((matrices - 1.0) * width, hidden), (hidden, width)):
        one = product(chip, load, rows, n, k, stored, narrow)
        seconds, computing, moving, flops, nbytes = (
            a + b for a, b in zip((seconds, computing, moving, flops, nbytes), one, strict=True)
        )

    stretch = misaligned(constants, width)
    permuted = divide(4.0 * hidden + 6.0 * width, bandwidth * constants["local"])
    activated = divide((2.0 * hidden + 6.0 * width) * topk, bandwidth * constants["routed"])
    summed = divide(4.0 * hidden, bandwidth * constants["token"])
    if dispatched:
        activated = divide(activated, moe_ep)
        summed = summed * divide(minimum(topk, moe_ep), moe_ep)
    around = load.pairs * permuted + tokens * (activated + summed)
    around = around + load.touched * constants["touched"] + constants["held"] * local
    return (constants["t0"], seconds * stretch + around, computing * stretch,
            moving * stretch + around, flops, nbytes)  # fmt: skip


def grouped_gemm(
    constants: Mapping[str, float], bandwidth: float, peak: float, multiprocessors: float,
    cache: float, tokens: float, n: float, k: float, experts_: float, topk: float, moe_ep: float,
    skew: float, stored: float, narrow: float,
) -> tuple[float, float, float, float, float, float]:  # fmt: skip
    """One product on its own, with half the layer's launch; what it gives as in `experts`."""
    if not tokens >= 0.0:
        return (math.nan,) * 6
    if tokens == 0.0:
        return (0.0,) * 6
    rows = tile_rows(tokens * divide(topk, divide(experts_, moe_ep)), constants["tile"])
    load = loads(tokens, experts_, topk, moe_ep, skew, rows)
    chip = Chip(constants, bandwidth, peak, multiprocessors, cache)
    seconds, computing, moving, flops, nbytes = product(chip, load, rows, n, k, stored, narrow)
    stretch = misaligned(constants, n, k)
    launch = 0.5 * constants["t0"]
    return launch, seconds * stretch, computing * stretch, moving * stretch, flops, nbytes
