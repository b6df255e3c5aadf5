"""The experts of a layer on the busiest of its ranks: tiles of one expert's tokens, in waves.

Grouped products over tiles: Gale et al., MegaBlocks, arXiv:2211.15841, section 5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from tokenroof.reference.core.ieee import divide, maximum, minimum
from tokenroof.reference.core.maths import ceiling, smooth_max
from tokenroof.reference.inference.cost import UNKNOWN, Constants, Cost, Hardware
from tokenroof.reference.inference.l2 import l2_place, less_from_l2
from tokenroof.reference.inference.operator_fields import of_cost, of_line
from tokenroof.reference.inference.operators import (
    experts_line,
    experts_touched,
    grouped_gemm_line,
)
from tokenroof.reference.inference.routing import Load, Routing, loads, octaves, reached
from tokenroof.reference.records.constants import constants
from tokenroof.reference.records.dtypes import ACTIVATION, STORED, peak_of, type_name
from tokenroof.reference.records.records import Record, takes_fields, takes_records

__all__ = ["experts_operator", "grouped_gemm_operator"]

NOTHING = Cost(*(0.0,) * 6)


def tile_rows(mean: float, most: float) -> float:
    """The next power of two, from 8 on, but at most `most`."""
    rows = 8.0
    while rows < 256.0 and mean > rows:
        rows *= 2.0
    return minimum(rows, most)


def misaligned(constants: Constants, *widths: float) -> float:
    """How much longer widths take that are no multiple of 16."""
    sixteenths = [width * (1.0 / 16.0) for width in widths]
    return 1.0 if all(ceiling(x) == x for x in sixteenths) else constants["misaligned"]


@dataclass(frozen=True)
class GroupedProducts:
    """Products [pairs, k] @ [experts, k, n] of a routing on a chip."""

    constants: Constants
    hardware: Hardware
    routing: Routing
    stored: float  # bytes of an element of the weights
    narrow: float  # and of the activations

    def launch(self) -> float:
        """Of a layer; with the picking of a rank's own tokens where ranks hold some of the experts each."""
        picked = self.constants["parted"] if self.routing.ranks > 1.0 else 0.0
        return self.constants["t0"] + picked

    def load(self, tokens: float) -> tuple[Load, float]:
        """Of the busiest rank, and the rows of its tiles."""
        experts, topk, ranks, skew, popular = self.routing
        mean, most = tokens * divide(topk, divide(experts, ranks)), self.constants["tile"]
        # where tokens fall at random the number is not known: what the next power of two is on average
        random = skew == 0.0 or (popular and skew > 0.0)
        rows = (
            minimum(maximum(mean * math.sqrt(2.0), 8.0), most) if random else tile_rows(mean, most)
        )
        return loads(tokens, self.routing, rows), rows

    def product(
        self, load: Load, rows: float, n: float, k: float, kept: tuple[float, float] = (0.0, 0.0)
    ) -> Cost:
        """One product in tiles of `rows`, without a launch.

        `kept`: bytes of weights that are read again and again, as shares of what stays in the L2, and what
        these save.
        """
        c, chip = self.constants, self.hardware
        tall = rows + c["tile_loss"]
        reached = chip.bandwidth * c["memory"]
        rate = divide(chip.peak * c["compute"], chip.multiprocessors)
        draw = divide(chip.bandwidth * c["stream"], chip.multiprocessors)
        held = chip.l2 if not math.isnan(chip.l2) else 0.0
        weight, pair = n * k * self.stored, k * self.narrow + n * 2.0
        blocks = load.tiles * divide(ceiling(n * (1.0 / 128.0)), chip.multiprocessors)
        compute = maximum(blocks, 1.0) * tall * divide(256.0 * k, rate)
        further = maximum(load.tiles - load.touched, 0.0)
        again = divide(maximum(weight - held, 0.0), chip.bandwidth * c["reread"])
        first = divide(k * 128.0 * self.stored, draw)
        own = less_from_l2(load.touched * divide(weight, reached) + first, kept[0], (1.0, kept[1]))
        memory = own + load.pairs * divide(pair, reached) + further * again
        return Cost(0.0, smooth_max(compute, memory, c["overlap"]), compute, memory,
                    load.pairs * (2.0 * n * k), load.touched * weight + load.pairs * pair)  # fmt: skip

    def alone(self, tokens: float, n: float, k: float) -> Cost:
        """One product on its own, with half the layer's launch."""
        if not tokens > 0.0:
            return NOTHING if tokens == 0.0 else UNKNOWN
        load, rows = self.load(tokens)
        one = self.product(load, rows, n, k)
        stretch = misaligned(self.constants, n, k)
        return one._replace(
            fixed=0.5 * self.launch(), seconds=one.seconds * stretch,
            compute=one.compute * stretch, memory=one.memory * stretch,
        )  # fmt: skip


@dataclass(frozen=True)
class Experts(GroupedProducts):
    """A layer of them. Where tokens are `dispatched`, a rank handles those of its experts alone."""

    hidden: float
    width: float  # of an expert on one of the ranks that share it
    matrices: float
    dispatched: bool = False
    warm: bool = False  # the same experts again and again

    def around(self, tokens: float, load: Load) -> float:
        """Seconds of permuting, activating and summing."""
        c, bandwidth = self.constants, self.hardware.bandwidth
        topk, ranks = self.routing.topk, self.routing.ranks
        permuted = divide(4.0 * self.hidden + 6.0 * self.width, bandwidth * c["local"])
        activated = (2.0 * self.hidden + 6.0 * self.width) * topk
        activated = divide(activated, bandwidth * c["routed"])
        summed = divide(4.0 * self.hidden, bandwidth * c["token"])
        if self.dispatched:
            activated = divide(activated, ranks)
            summed = summed * divide(minimum(topk, ranks), ranks)
        seconds = load.pairs * permuted + tokens * (activated + summed)
        held = c["held"] * divide(self.routing.experts, ranks)
        return seconds + load.touched * c["touched"] + held

    def kept(self, load: Load, up: float) -> tuple[float, float]:
        """Bytes of the weights that are touched over those that stay in the L2; what the L2 saves."""
        if not self.warm:
            return 0.0, 0.0
        c = self.constants
        inverse, saved = l2_place(self.hardware.l2, c["resident"], c["cached"])
        expert = up * self.hidden * self.stored + self.hidden * self.width * self.stored
        return load.touched * expert * inverse, saved

    def cost(self, tokens: float) -> Cost:
        """Both products of a layer, and what is around them."""
        if not tokens > 0.0:
            return NOTHING if tokens == 0.0 else UNKNOWN
        load, rows = self.load(tokens)
        up = (self.matrices - 1.0) * self.width
        kept = self.kept(load, up)
        first = self.product(load, rows, up, self.hidden, kept)
        second = self.product(load, rows, self.hidden, self.width, kept)
        both = Cost(*(a + b for a, b in zip(first, second, strict=True)))
        stretch, around = misaligned(self.constants, self.width), self.around(tokens, load)
        return both._replace(
            fixed=self.launch(), seconds=both.seconds * stretch + around,
            compute=both.compute * stretch, memory=both.memory * stretch + around,
        )  # fmt: skip


def touched_on_rank(tokens: float, routing: Routing) -> float:
    """Experts of a rank that are touched, in the mean; skewed routing leaves some out."""
    if routing.skew < 0.0:
        pairs = tokens * routing.topk * divide(1.0, routing.ranks)
        return minimum(divide(routing.experts, routing.ranks), pairs)
    touched = divide(experts_touched(tokens, routing.experts, routing.topk), routing.ranks)
    if routing.skew == 0.0 or not tokens > 0.0:
        return touched
    if routing.popular:
        return minimum(touched, reached(tokens, octaves(routing)))
    return minimum(touched, loads(tokens, routing, 8.0).touched)


class OfExperts(NamedTuple):
    """Inputs of `experts_operator` behind its records."""

    tokens: float
    hidden: float
    intermediate: float
    experts_: float
    topk: float
    matrices: float
    moe_tp: float
    moe_ep: float
    skew: float
    weights: float  # type code
    warm: float  # whether the same experts were read just before, as benchmarks do


@takes_records("device", "calibration")
@takes_fields(OfExperts)
def experts_operator(device: Record, calibration: Record, x: OfExperts) -> dict[str, float]:
    """Grouped products on one of the ranks, over the experts that it holds and the batch touches."""
    return experts_of(device, calibration, x)


def experts_of(device: Record, calibration: Record, x: OfExperts) -> dict[str, float]:
    """By measured constants where there are some, else as a line."""
    weight, routing = type_name(x.weights), Routing(x.experts_, x.topk, x.moe_ep, x.skew)
    own = constants(calibration, "experts")
    if own is not None:
        return of_cost(Experts(
            own, Hardware.of(device, peak_of(device, weight)), routing, STORED[weight],
            ACTIVATION[weight], x.hidden, divide(x.intermediate, x.moe_tp), x.matrices, warm=x.warm != 0.0,
        ).cost(x.tokens))  # fmt: skip
    line = experts_line(
        device,
        calibration,
        x.hidden,
        x.intermediate,
        x.topk,
        x.matrices,
        x.moe_tp,
        x.moe_ep,
        weight,
    )
    return of_line(line, x.tokens, touched_on_rank(x.tokens, routing))


@takes_records("device", "calibration")
def grouped_gemm_operator(
    device: Record, calibration: Record, tokens: float, n: float, k: float, experts_: float,
    topk: float, moe_ep: float, skew: float, weights: float,
) -> dict[str, float]:  # fmt: skip
    """[pairs, k] @ [experts, k, n], each pair with its expert's matrix."""
    weight, routing = type_name(weights), Routing(experts_, topk, moe_ep, skew)
    own = constants(calibration, "experts")
    if own is not None:
        return of_cost(GroupedProducts(
            own, Hardware.of(device, peak_of(device, weight)), routing, STORED[weight],
            ACTIVATION[weight],
        ).alone(tokens, n, k))  # fmt: skip
    line = grouped_gemm_line(device, calibration, n, k, topk, moe_ep, weight)
    return of_line(line, tokens, touched_on_rank(tokens, routing))
