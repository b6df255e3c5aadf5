"""A matrix product as libraries run it: tiles in waves over multiprocessors, k split where that pays.

Tiles and waves: NVIDIA, Matrix Multiplication Background User's Guide, sections 3.3 and 4. Splitting k:
Osama et al., Stream-K, arXiv:2301.03598, section 3. Tiles that follow from the rows: vLLM's FP8 kernels for
Hopper, csrc/quantization/w8a8/cutlass/c3x/scaled_mm_sm90_fp8_dispatch.cuh.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from tokenroof.reference._forms import ceiling, l2_place, less_from_l2, smooth_max
from tokenroof.reference._ieee import divide, maximum

TILES = ((64.0, 32.0), (64.0, 64.0), (64.0, 128.0), (128.0, 64.0), (128.0, 128.0), (128.0, 256.0),
         (256.0, 128.0), (256.0, 256.0))  # fmt: skip
SPLITS = (1.0, 2.0, 4.0, 8.0, 16.0)


def tile_by_rows(rows: float, n: float) -> tuple[float, float, float]:
    """Rows and columns of the tile of so many rows, and how many of them go together along the rows."""
    if rows <= 16.0:
        return 16.0, 64.0, 1.0
    if rows <= 64.0:
        return (16.0 if n <= 1280.0 else 64.0), 64.0, 1.0
    return (64.0 if rows <= 128.0 else 128.0), 128.0, 2.0


def gemm(
    constants: Mapping[str, float], bandwidth: float, peak: float, multiprocessors: float, l2_bytes: float,
    m: float, n: float, k: float, stored: float, narrow: float, warm: bool = False,
) -> tuple[float, float, float, float, float, float]:  # fmt: skip
    """Launch, seconds, computing and moving of the chosen tile, FLOP and bytes.

    `stored` and `narrow` are the bytes of an element of the weights and of the activations; `warm` operands
    were read just before.
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
    if warm:
        place = l2_place(l2_bytes, constants["resident"], constants["cached"])
        memory = less_from_l2(memory, nbytes, place)
    rate = divide(peak * constants["compute"], multiprocessors)
    stream = divide(bandwidth * constants["stream"], multiprocessors)

    def unit(tile_rows: float, tile_columns: float) -> float:
        # a block computes its tile, or waits for the operands that its multiprocessor can draw
        operands = tile_rows * divide(narrow, stream) + tile_columns * divide(stored, stream)
        work = (tile_rows * tile_columns + constants["tile_loss"]) * divide(2.0, rate)
        return maximum(maximum(work, operands), constants["latency"])

    def paid(waves: float) -> float:
        return 1.0 if waves <= 1.0 else waves + constants["wave"] * (ceiling(waves) - waves)

    best = shortest = math.inf
    if constants["tiles"] == 1.0:
        tile_rows, tile_columns, group = tile_by_rows(rows, n)
        across = ceiling(n * (1.0 / tile_columns)) * (group * divide(1.0, multiprocessors))
        waves = ceiling(rows * (1.0 / (tile_rows * group))) * across
        shortest = paid(waves) * ((k + constants["prologue"]) * unit(tile_rows, tile_columns))
        best = smooth_max(shortest, memory, constants["overlap"])
    for split in SPLITS if constants["tiles"] != 1.0 else ():
        if split > 1.0 and not k >= 64.0 * split:
            continue
        depth = k * (1.0 / split) + constants["prologue"]
        compute = math.inf
        for tile_rows, tile_columns in TILES:
            across = ceiling(n * (1.0 / tile_columns)) * divide(1.0, multiprocessors)
            waves = ceiling(rows * (1.0 / tile_rows)) * across * split
            seconds = paid(waves) * (depth * unit(tile_rows, tile_columns))
            if seconds < compute:
                compute = seconds
        seconds = smooth_max(compute, memory, constants["overlap"])
        if split > 1.0:  # 32-bit sums are written and read
            seconds += constants["split"] + rows * (split * divide(n * 8.0, bandwidth))
        else:
            seconds += rows * 0.0
        if seconds < best:
            best, shortest = seconds, compute
    step = constants["quantise_step"]
    columns = step * ceiling(divide(k, step)) + constants["quantise_row"]
    narrowing = columns * (2.0 + narrow) if narrow < 2.0 else 0.0
    quantise = rows * divide(narrowing, bandwidth * constants["quantise"])
    return constants["t0"], best + quantise, shortest, memory + quantise, flops, nbytes
