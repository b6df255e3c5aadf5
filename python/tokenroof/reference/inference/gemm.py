"""A matrix product as libraries run it: tiles in waves over multiprocessors, k split where that pays.

Tiles and waves: NVIDIA, Matrix Multiplication Background User's Guide, sections 3.3 and 4. Splitting k:
Osama et al., Stream-K, arXiv:2301.03598, section 3. Tiles that follow from the rows: vLLM's FP8 kernels for
Hopper, csrc/quantization/w8a8/cutlass/c3x/scaled_mm_sm90_fp8_dispatch.cuh.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from tokenroof.reference.core.ieee import divide, maximum
from tokenroof.reference.core.maths import ceiling, smooth_max
from tokenroof.reference.inference.cost import UNKNOWN, Constants, Cost, Hardware
from tokenroof.reference.inference.l2 import l2_place, less_from_l2
from tokenroof.reference.inference.operator_fields import of_cost, of_line
from tokenroof.reference.inference.operators import gemm_line
from tokenroof.reference.records.constants import constants
from tokenroof.reference.records.dtypes import ACTIVATION, STORED, peak_of, type_name
from tokenroof.reference.records.records import Record, takes_records

__all__ = ["gemm_operator"]

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


@dataclass(frozen=True)
class Gemm:
    """A product [m, k] @ [k, n] on a chip."""

    constants: Constants
    hardware: Hardware
    n: float
    k: float
    stored: float  # bytes of an element of the weights
    narrow: float  # and of the activations

    @cached_property
    def rate(self) -> float:
        """FLOP/s of one multiprocessor."""
        reached = self.hardware.peak * self.constants["compute"]
        return divide(reached, self.hardware.multiprocessors)

    @cached_property
    def stream(self) -> float:
        """Bytes/s that one multiprocessor can draw."""
        reached = self.hardware.bandwidth * self.constants["stream"]
        return divide(reached, self.hardware.multiprocessors)

    def column_s(self, tile_rows: float, tile_columns: float) -> float:
        """Seconds of a column of k: a block computes its tile, or waits for the operands that it draws."""
        c, stream = self.constants, self.stream
        operands = tile_rows * divide(self.narrow, stream)
        operands = operands + tile_columns * divide(self.stored, stream)
        work = (tile_rows * tile_columns + c["tile_loss"]) * divide(2.0, self.rate)
        return maximum(maximum(work, operands), c["latency"])

    def paid(self, waves: float) -> float:
        """Waves that are paid for: of a last, partial one the rest in part."""
        if waves <= 1.0:
            return 1.0
        return waves + self.constants["wave"] * (ceiling(waves) - waves)

    def ruled_tile(self, rows: float) -> float:
        """Seconds of computing in the tile that the rows prescribe."""
        tile_rows, tile_columns, group = tile_by_rows(rows, self.n)
        each = group * divide(1.0, self.hardware.multiprocessors)
        across = ceiling(self.n * (1.0 / tile_columns)) * each
        waves = ceiling(rows * (1.0 / (tile_rows * group))) * across
        depth = self.k + self.constants["prologue"]
        return self.paid(waves) * (depth * self.column_s(tile_rows, tile_columns))

    def fastest_tile(self, rows: float, split: float) -> float:
        """The least over all tiles, with k in so many parts."""
        depth = self.k * (1.0 / split) + self.constants["prologue"]
        least = math.inf
        for tile_rows, tile_columns in TILES:
            each = divide(1.0, self.hardware.multiprocessors)
            across = ceiling(self.n * (1.0 / tile_columns)) * each
            waves = ceiling(rows * (1.0 / tile_rows)) * across * split
            seconds = self.paid(waves) * (depth * self.column_s(tile_rows, tile_columns))
            if seconds < least:
                least = seconds
        return least

    def best_split(self, rows: float, memory: float) -> tuple[float, float]:
        """Seconds of the best number of parts over so much traffic, and of its computing."""
        c = self.constants
        best = shortest = math.inf
        for split in SPLITS:
            if split > 1.0 and not self.k >= 64.0 * split:
                continue
            compute = self.fastest_tile(rows, split)
            seconds = smooth_max(compute, memory, c["overlap"])
            if split > 1.0:  # 32-bit sums are written and read
                joined = rows * (split * divide(self.n * 8.0, self.hardware.bandwidth))
                seconds += c["split"] + joined
            else:
                seconds += rows * 0.0
            if seconds < best:
                best, shortest = seconds, compute
        return best, shortest

    def quantise(self, rows: float) -> float:
        """Seconds of narrowing the activations before."""
        c, step = self.constants, self.constants["quantise_step"]
        columns = step * ceiling(divide(self.k, step)) + c["quantise_row"]
        narrowing = columns * (2.0 + self.narrow) if self.narrow < 2.0 else 0.0
        return rows * divide(narrowing, self.hardware.bandwidth * c["quantise"])

    def cost(self, m: float, warm: bool = False) -> Cost:
        """Of so many rows; computing and moving of the chosen tile; `warm`: read just before."""
        c, hardware = self.constants, self.hardware
        row = self.k * self.narrow + self.n * 2.0
        quantised = self.k * (2.0 + self.narrow) if self.narrow < 2.0 else 0.0
        weights = self.n * self.k * self.stored
        if not m >= 0.0:
            return UNKNOWN
        rows = ceiling(m)
        flops = rows * (2.0 * self.n * self.k)
        nbytes = weights + rows * (row + quantised)
        if m == 0.0:
            return Cost(0.0, 0.0, 0.0, 0.0, flops, nbytes)

        reached = hardware.bandwidth * c["memory"]
        memory = divide(weights, reached) + rows * divide(row, reached)
        if warm:
            place = l2_place(hardware.l2, c["resident"], c["cached"])
            memory = less_from_l2(memory, nbytes, place)
        if c["tiles"] == 1.0:
            shortest = self.ruled_tile(rows)
            best = smooth_max(shortest, memory, c["overlap"])
        else:
            best, shortest = self.best_split(rows, memory)
        quantise = self.quantise(rows)
        return Cost(c["t0"], best + quantise, shortest, memory + quantise, flops, nbytes)


@takes_records("device", "calibration")
def gemm_operator(
    device: Record, calibration: Record, m: float, n: float, k: float, weights: float,
    activations: float, warm: float,
) -> dict[str, float]:  # fmt: skip
    """[m, k] @ [k, n]; warm operands were read just before."""
    own = constants(calibration, "gemm")
    weight, activation = type_name(weights), type_name(activations)
    if own is not None:
        hardware = Hardware.of(device, peak_of(device, weight))
        form = Gemm(own, hardware, n, k, STORED[weight], ACTIVATION[activation])
        return of_cost(form.cost(m, warm != 0.0))
    line = gemm_line(device, calibration, n, k, weight, activation)
    return of_line(line, m, 1.0, device["l2_bytes"] if warm != 0.0 else 0.0)
