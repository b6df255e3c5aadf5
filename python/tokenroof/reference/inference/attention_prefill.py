"""Causal attention of prompts as flash kernels run it: tiles of query rows (Dao et al., arXiv:2205.14135)."""

from __future__ import annotations

from dataclasses import dataclass

from tokenroof.reference.core.ieee import divide, maximum, minimum
from tokenroof.reference.core.maths import ceiling, partial_max
from tokenroof.reference.inference.attention_decode import attention_decode
from tokenroof.reference.inference.cost import UNKNOWN, Constants, Cost, Hardware
from tokenroof.reference.inference.l2 import l2_place, less_from_l2
from tokenroof.reference.inference.operator_fields import amount, of_attention, of_cost
from tokenroof.reference.inference.operators import (
    NO_WINDOW,
    causal_keys,
    causal_pairs,
    gqa_attention,
)
from tokenroof.reference.records.constants import constants
from tokenroof.reference.records.dtypes import ACTIVATION, STORED, peak_of, type_name
from tokenroof.reference.records.records import Record, takes_records

__all__ = ["attention_prefill_operator"]

ROWS, DIAGONAL, SAG_S = 64.0, 64.0, 1e-3
EMPTY_BLOCK_S = 1e-7  # of a multiprocessor, for a thread block without work, at least


@dataclass(frozen=True)
class AttentionPrefill:
    """Work of prompts: `heads` columns of tiles, `packed` query heads in each."""

    launch: float
    host: float
    overlap: float
    sag: float
    window: float
    heads: float
    packed: float
    tile: float
    multiprocessors: float
    flop_s: float  # FLOP/s of one multiprocessor
    both: float
    path: float
    block: float
    moved: float
    written: float
    place: tuple[float, float]
    token_bytes: float
    past_bytes: float
    write_bytes: float

    def cost(self, batch: float, tokens: float, past: float) -> Cost:
        """Of so many prompts of `tokens` new tokens behind `past` cached ones."""
        if not (batch >= 0.0 and tokens >= 0.0 and past >= 0.0):
            return UNKNOWN
        window = self.window if self.window > 0.0 else NO_WINDOW
        pairs = causal_pairs(tokens, past, window)
        flops = batch * (pairs * (2.0 * self.heads * self.both))
        old = minimum(past, window)
        nbytes = batch * (tokens * self.token_bytes + old * self.past_bytes)
        written = batch * tokens * self.write_bytes
        if not batch * tokens > 0.0:
            zero = batch * tokens * 0.0
            return Cost(zero, zero, zero, zero, flops, nbytes + written)

        span = divide(ROWS, self.packed)  # tokens of 64 rows
        rows = tokens * self.packed
        granules = ceiling(rows * (1.0 / ROWS))
        seen = window + span
        open_ = minimum(maximum((seen - past) * divide(1.0, span), 0.0), granules)
        keys = (open_ * past + span * 0.5 * (open_ * (open_ + 1.0)) + (granules - open_) * seen
                + granules * DIAGONAL)  # fmt: skip
        last = minimum(past + granules * span, window + divide(self.tile, self.packed)) + DIAGONAL
        columns = divide(self.heads, self.packed)
        pair_s = divide(columns * divide(2.0 * self.both * ROWS, self.flop_s), self.multiprocessors)
        block_s = divide(columns * self.block, self.multiprocessors)
        work = batch * (keys * pair_s + ceiling(rows * divide(1.0, self.tile)) * block_s)
        path = last * (divide(2.0 * self.both * self.tile, self.flop_s) * self.path) + self.block
        cold = batch * (
            tokens * divide(self.token_bytes, self.moved)
            + old * divide(self.past_bytes, self.moved)
        )
        memory = less_from_l2(cold, nbytes, self.place)
        write = batch * tokens * divide(self.write_bytes, self.written)
        after = less_from_l2(write, written, self.place)
        busy = partial_max(partial_max(work, path, self.overlap), memory, self.overlap)
        seconds = busy + self.sag * (busy * divide(busy, busy + SAG_S)) + after
        fixed = maximum(self.launch, self.host - seconds)
        return Cost(fixed, seconds, maximum(work, path), memory + after, flops, nbytes + written)

    def empty_tiles(self, sequences: float, tokens: float) -> float:
        """Seconds of thread blocks beyond the first that sequences of one token have beside a prompt."""
        behind = maximum(ceiling(tokens * divide(1.0, self.tile)), 1.0) - 1.0
        blocks = divide(self.heads, self.packed)
        return sequences * behind * divide(blocks * EMPTY_BLOCK_S, self.multiprocessors)


def attention_prefill(
    c: Constants, hardware: Hardware, heads: float, kv_heads: float, head_dim: float,
    v_head_dim: float, window: float, stored: float, narrow: float,
) -> AttentionPrefill:  # fmt: skip
    """Grouped heads; `stored`, `narrow`: bytes of an element of the cache and of the maths."""
    both = head_dim + v_head_dim
    width = both * 0.5
    below = minimum(1.0, maximum(0.0, (128.0 - width) * (1.0 / 64.0)))
    above = minimum(1.0, maximum(0.0, (width - 128.0) * (1.0 / 128.0)))
    shape = 1.0 + (c["narrow"] - 1.0) * below + (c["wide"] - 1.0) * above
    packed = divide(heads, kv_heads) if c["packed"] > 0.0 else 1.0
    return AttentionPrefill(
        launch=c["t0"], host=0.0, overlap=c["overlap"], sag=c["sag"], window=window, heads=heads,
        packed=packed, tile=c["tile"], multiprocessors=hardware.multiprocessors,
        flop_s=divide(hardware.peak * c["compute"] * shape, hardware.multiprocessors), both=both,
        path=c["path"], block=c["block"], moved=hardware.bandwidth * c["memory"],
        written=hardware.bandwidth * c["write"], place=l2_place(hardware.l2, c["resident"], c["cached"]),
        token_bytes=(heads * head_dim + kv_heads * both) * narrow + heads * v_head_dim * 2.0,
        past_bytes=kv_heads * both * stored,
        write_bytes=kv_heads * both * (2.0 + stored) + c["queries"] * heads * head_dim * (2.0 + narrow),
    )  # fmt: skip


def heads_apart(calibration: Record) -> bool:
    """Whether rows of a decode batch beside a prompt fill tiles of their own, head by head.

    Kernels of 64 rows that share tiles among the heads of a group only where every sequence has one token
    (FlashAttention 2: `seqlenq_ngroups_swapped`).
    """
    own = constants(calibration, "attention_prefill")
    if own is None:
        return False
    return own["single"] == 1.0 and not own["packed"] > 0.0 and own["tile"] <= ROWS


@takes_records("device", "calibration")
def attention_prefill_operator(
    device: Record, calibration: Record, batch: float, tokens: float, past: float, heads: float,
    kv_heads: float, head_dim: float, v_head_dim: float, window: float, kv_dtype: float,
    maths_dtype: float,
) -> dict[str, float]:  # fmt: skip
    """Causal attention of prompts; of a single token as a decode, where the kernels do so."""
    own, maths = constants(calibration, "attention_prefill"), type_name(maths_dtype)
    cache, peak = type_name(kv_dtype), peak_of(device, maths)
    shape = heads, kv_heads, head_dim, v_head_dim, window
    if own is not None:
        single = constants(calibration, "attention_decode")
        if own["single"] == 1.0 and 0.0 < tokens <= 1.0 and single is not None:
            one = attention_decode(single, Hardware.of(device), *shape, STORED[cache])
            return of_cost(one.cost(batch, tokens + amount(past), False))
        hardware = Hardware.of(device, peak)
        form = attention_prefill(own, hardware, *shape, STORED[cache], ACTIVATION[maths])
        return of_cost(form.cost(batch, tokens, past))
    a = gqa_attention(device, calibration, "attention_prefill", peak, *shape, cache)
    t, s = amount(tokens), amount(past)
    return of_attention(a, batch, causal_pairs(t, s, a.window), causal_keys(t, s, a.window), t)
