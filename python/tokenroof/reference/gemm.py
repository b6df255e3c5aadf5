"""A matrix product as libraries run it: tiles in waves over multiprocessors, k split where that pays.

Tiles and waves: NVIDIA, Matrix Multiplication Background User's Guide, sections 3.3 and 4. Splitting k:
Osama et al., Stream-K, arXiv:2301.03598, section 3.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from tokenroof.reference._forms import ceiling, smooth_max
from tokenroof.reference._ieee import divide, maximum

TILES = ((64.0, 32.0), (64.0, 64.0), (64.0, 128.0), (128.0, 64.0), (128.0, 128.0), (128.0, 256.0),
         (256.0, 128.0), (256.0, 256.0))  # fmt: skip
SPLITS = (1.0, 2.0, 4.0, 8.0, 16.0)


def gemm(
    constants: Mapping[str, float], bandwidth: float, peak: float, multiprocessors: float, m: float,
    n: float, k: float, stored: float, narrow: float,
) -> tuple[float, float, float, float, float, float]:  # fmt: skip
    """Launch, seconds, computing and moving of the chosen tile, FLOP and bytes.

    `stored` and `narrow` are the bytes of an element of the weights and of the activations.
    """
    row = k * narrow + n * 2.0
    quantised = k * (2.0 + narrow) if narrow < 2.0 else 0.0
    weights = n * k * stored
    if not m >= 0.0:
        return (math.nan,) * 6
    rows = ceiling(m)
    flops = rows * (2.0 * n * k)
    nbytes = weights + rows * (row + quantised)
    if m == 0.0:
        return 0.0, 0.0, 0.0, 0.0, flops, nbytes

    reached = bandwidth * constants["memory"]
    memory = divide(weights, reached) + rows * divide(row, reached)
    rate = divide(peak * constants["compute"], multiprocessors)
    stream = divide(bandwidth * constants["stream"], multiprocessors)
    best = shortest = math.inf
    for split in SPLITS:
        if split > 1.0 and not k >= 64.0 * split:
            continue
        depth = k * (1.0 / split) + constants["prologue"]
        compute = math.inf
        for tile_rows, tile_columns in TILES:
            # a block computes its tile, or waits for the operands that its multiprocessor can draw
            operands = tile_rows * divide(narrow, stream) + tile_columns * divide(stored, stream)
            work = (tile_rows * tile_columns + constants["tile_loss"]) * divide(2.0, rate)
            unit = maximum(maximum(work, operands), constants["latency"])
            across = ceiling(n * (1.0 / tile_columns)) * divide(1.0, multiprocessors)
            waves = ceiling(rows * (1.0 / tile_rows)) * across * split
            paid = waves + constants["wave"] * (ceiling(waves) - waves)
            seconds = (1.0 if waves <= 1.0 else paid) * (depth * unit)
            if seconds < compute:
                compute = seconds
        seconds = smooth_max(compute, memory, constants["overlap"])
        if split > 1.0:  # 32-bit sums are written and read
            seconds += constants["split"] + rows * (split * divide(n * 8.0, bandwidth))
        else:
            seconds += rows * 0.0
        if seconds < best:
            best, shortest = seconds, compute
    quantise = rows * divide(quantised, bandwidth * constants["quantise"])
    return constants["t0"], best + quantise, shortest, memory + quantise, flops, nbytes
