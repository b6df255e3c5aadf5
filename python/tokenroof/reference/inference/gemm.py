"""A matrix product as libraries run it: tiles in waves over multiprocessors, k split where that pays.

Tiles and waves: NVIDIA, Matrix Multiplication Background User's Guide, sections 3.3 and 4. Splitting k:
Osama et al., Stream-K, arXiv:2301.03598, section 3. Tiles that follow from the rows: vLLM's FP8 kernels for
Hopper, csrc/quantization/w8a8/cutlass/c3x/scaled_mm_sm90_fp8_dispatch.cuh. Few rows on vector units and on
tensor cores with the operands exchanged: Frantar et al., MARLIN, arXiv:2408.11743. What a limit in watts
leaves of the peak: Choi et al., IPDPS 2014, with watts that grow with the square of the clock.
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

TILES = ((1.0, 64.0), (8.0, 64.0), (64.0, 32.0), (64.0, 64.0), (64.0, 128.0), (128.0, 128.0),
         (128.0, 256.0), (256.0, 256.0))  # fmt: skip
SPLITS = (1.0, 2.0, 4.0, 8.0, 16.0)


def tile_by_rows(rows: float, n: float) -> tuple[float, float, float]:
    """Rows and columns of the tile of so many rows, and how many of them go together along the rows."""
    if rows <= 16.0:
        return 16.0, 64.0, 1.0
    if rows <= 64.0:
        return (16.0 if n <= 1280.0 else 64.0), 64.0, 1.0
    return (64.0 if rows <= 128.0 else 128.0), 128.0, 2.0


@dataclass(frozen=True)
class Cores:
    """Hz (1.9 GHz unless said), FLOP/s of the vector units, and the board's limit in watts (NaN: unknown)."""

    clock: float
    vectors: float
    limit: float

    @classmethod
    def of(cls, device: Record) -> Cores:
        """From a record."""
        known = device["boost_clock_hz"]
        return cls(known if known > 0.0 else 1.9e9, device["peak_fp32"], device["tdp_w"])


@dataclass(frozen=True)
class Gemm:
    """A product [m, k] @ [k, n] on a chip."""

    constants: Constants
    hardware: Hardware
    cores: Cores
    n: float
    k: float
    stored: float  # bytes of an element of the weights
    narrow: float  # and of the activations
    quantised: float  # bytes that a kernel before moves to narrow a value of them

    @classmethod
    def of(
        cls, device: Record, own: Constants, n: float, k: float, weight: str, activation: str,
        come_narrow: bool = False,
    ) -> Gemm:  # fmt: skip
        """From a record, the block of constants and the names of the types."""
        hardware = Hardware.of(device, peak_of(device, weight))
        stored, narrow = STORED[weight], ACTIVATION[activation]
        quantised = 2.0 + narrow if narrow < 2.0 and not come_narrow else 0.0
        return cls(own, hardware, Cores.of(device), n, k, stored, narrow, quantised)

    @cached_property
    def reached(self) -> float:
        """Share of the peak that tensor cores reach under the limit in watts."""
        watts, limit = self.constants["joule"] * self.hardware.peak, self.cores.limit
        over = divide(watts, limit) if limit > 0.0 and watts > 0.0 else 0.0
        full = divide(1.0, self.constants["compute"] * self.constants["compute"])
        return divide(1.0, math.sqrt(math.sqrt(full * full + over * over)))

    def column_s(self, tile_rows: float, tile_columns: float) -> float:
        """Seconds of a column of k: a block computes its tile, or waits for the operands that it draws."""
        c, chips, clock = self.constants, self.hardware.multiprocessors, self.cores.clock
        stream = c["stream"] * clock
        operands = tile_rows * divide(self.narrow, stream)
        operands = operands + tile_columns * divide(self.stored, stream)
        if tile_rows == 1.0:  # an element is converted, then multiplied
            vectors = divide(self.cores.vectors, chips)
            work = tile_columns * (divide(4.0, vectors) if vectors > 0.0 else math.inf)
        else:
            work = (
                tile_rows
                * tile_columns
                * divide(2.0, divide(self.hardware.peak * self.reached, chips))
            )
            if tile_rows >= 64.0:
                work += divide(c["issue"], clock)
        return maximum(maximum(work, operands), divide(c["latency"] * self.stored, clock))

    def tile_s(self, depth: float, tile_rows: float, tile_columns: float) -> float:
        """Seconds of a tile over so many columns of k."""
        around = tile_rows * tile_columns * divide(self.constants["fill"], self.cores.clock)
        return depth * self.column_s(tile_rows, tile_columns) + around

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
        return self.paid(waves) * self.tile_s(self.k, tile_rows, tile_columns)

    def fastest_tile(self, rows: float, split: float) -> float:
        """The least over all tiles, with k in so many parts."""
        depth = self.k * (1.0 / split)
        least = math.inf
        for tile_rows, tile_columns in TILES:
            each = divide(1.0, self.hardware.multiprocessors)
            across = ceiling(self.n * (1.0 / tile_columns)) * each
            waves = ceiling(rows * (1.0 / tile_rows)) * across * split
            seconds = self.paid(waves) * self.tile_s(depth, tile_rows, tile_columns)
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
        narrowing = columns * self.quantised
        return rows * divide(narrowing, self.hardware.bandwidth * c["quantise"])

    def cost(self, m: float, warm: bool = False) -> Cost:
        """Of so many rows; computing and moving of the chosen tile; `warm`: read just before."""
        c, hardware = self.constants, self.hardware
        row = self.k * self.narrow + self.n * 2.0
        quantised = self.k * self.quantised
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
        form = Gemm.of(device, own, n, k, weight, activation)
        return of_cost(form.cost(m, warm != 0.0))
    line = gemm_line(device, calibration, n, k, weight, activation)
    return of_line(line, m, 1.0, device["l2_bytes"] if warm != 0.0 else 0.0)
