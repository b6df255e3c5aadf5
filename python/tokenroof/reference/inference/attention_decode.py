"""Attention of one new token per sequence over a paged cache, as kernels run it.

Long caches are split over thread blocks and the parts joined (Flash-Decoding, Dao et al. 2023); a group of
query heads shares a read of its KV head (Ainslie et al., arXiv:2305.13245). FlashAttention 2 makes parts of
one length, of which the longest sequence of a call would fill as many as there is room for; a graph is
captured for the longest that an engine serves, and what is shorter fills fewer.
"""

from __future__ import annotations

from dataclasses import dataclass

from tokenroof.reference.core.ieee import divide, maximum, minimum
from tokenroof.reference.core.maths import ceiling, partial_max
from tokenroof.reference.inference.cost import UNKNOWN, Constants, Cost, Hardware
from tokenroof.reference.inference.l2 import l2_place, less_from_l2
from tokenroof.reference.inference.operator_fields import amount, of_attention, of_cost
from tokenroof.reference.inference.operators import NO_WINDOW, gqa_attention
from tokenroof.reference.records.constants import constants
from tokenroof.reference.records.dtypes import STORED, attention_peak, type_name
from tokenroof.reference.records.records import Record, takes_records

__all__ = ["attention_decode_operator"]

FEWEST = 1e-9  # sequences that a split is divided by
MOST_PARTS = 128.0  # of a captured graph


@dataclass(frozen=True)
class AttentionDecode:
    """Work of decode attention per sequence of a batch."""

    launch: float
    host: float
    overlap: float
    window: float  # with what is read beyond it
    counted: float  # keys that a query sees at most: those of its FLOPs
    fewest_keys: float  # 1 / keys of the shortest split
    most: float
    fill: float
    split: float
    key_s: float
    query_s: float
    again_s: float
    pair_s: float
    path_s: float
    block_s: float
    place: tuple[float, float]
    pair_flops: float
    key_bytes: float
    query_bytes: float
    captured: float = 0.0  # keys that a graph's parts are cut for
    lone_path_s: float = 0.0

    def cost(self, batch: float, context: float, warm: bool) -> Cost:
        """Of a batch; `warm`: the cache was read just before."""
        if not (batch >= 0.0 and context >= 0.0):
            return UNKNOWN
        keys = minimum(context, self.window)
        total = batch * keys
        nbytes = total * self.key_bytes + batch * self.query_bytes
        memory = total * self.key_s + batch * self.query_s
        if warm:
            memory = less_from_l2(memory, nbytes, self.place)
        memory = memory + total * self.again_s
        flops = batch * minimum(context, self.counted) * self.pair_flops
        if batch == 0.0:
            zero = flops * 0.0
            return Cost(zero, zero, zero, zero, flops, nbytes)
        room = divide(self.fill, maximum(batch, FEWEST))
        per_key = self.path_s
        if self.captured > 0.0:
            parts = maximum(1.0, minimum(room, MOST_PARTS))
            joined = 1.0 - divide(1.0, parts)
            splits = maximum(1.0, parts * keys * divide(1.0, self.captured))
            per_key = per_key + (self.lone_path_s - per_key) * joined
        else:
            splits = maximum(1.0, minimum(minimum(keys * self.fewest_keys, self.most), room))
            joined = 1.0 - divide(1.0, splits)
        share = divide(1.0, splits)
        compute = total * self.pair_s
        path = keys * share * per_key
        blocks = batch * splits * self.block_s
        busy = partial_max(
            partial_max(memory, compute, self.overlap),
            partial_max(blocks, path, self.overlap),
            self.overlap,
        )
        seconds = busy + self.split * joined
        fixed = maximum(self.launch, self.host - seconds)
        longest = maximum(compute, maximum(blocks, path))
        return Cost(fixed, seconds, longest, memory, flops, nbytes)


def attention_decode(
    c: Constants, hardware: Hardware, heads: float, kv_heads: float, head_dim: float,
    v_head_dim: float, window: float, stored: float,
) -> AttentionDecode:  # fmt: skip
    """Grouped heads; `stored`: bytes of an element of the cache."""
    queries, both = divide(heads, kv_heads), head_dim + v_head_dim
    width = both * (1.0 / 256.0)
    lone = queries <= 1.0 or queries > c["grouped"] or (window > 0.0 and c["lone_window"] > 0.0)
    kind = "lone_" if lone else ""
    blocks, rows = (heads, 1.0) if lone else (kv_heads, queries)
    moved = hardware.bandwidth * c["memory"]
    key_bytes, query_bytes = kv_heads * both * stored, heads * both * 2.0
    longer = 1.0 + c["width"] * width + (0.0 if lone else c["group"] * rows)
    return AttentionDecode(
        launch=c[kind + "t0"],
        host=0.0,
        overlap=c["overlap"],
        window=window + c["pad"] if window > 0.0 else NO_WINDOW,
        counted=window if window > 0.0 else NO_WINDOW,
        fewest_keys=divide(1.0, c["keys"]),
        most=c["most"],
        fill=divide(c[kind + "splits"] * hardware.multiprocessors, blocks),
        split=c["split"],
        key_s=divide(key_bytes, moved),
        query_s=divide(query_bytes, moved),
        again_s=divide((blocks - kv_heads) * both * stored, hardware.bandwidth * c["reread"]),
        pair_s=divide(2.0 * blocks * (16.0 * ceiling(rows * (1.0 / 16.0))) * both,
                      hardware.peak * c["compute"]),
        path_s=c[kind + "key"] * width * (1.0 + c["group"] * rows),
        captured=c["captured"] if c["captured"] > 0.0 and not lone else 0.0,
        lone_path_s=c["lone_key"] * width * (1.0 + c["group"] * rows),
        block_s=divide(c[kind + "block"] * longer * blocks, hardware.multiprocessors),
        place=l2_place(hardware.l2, c["resident"], c["cached"]),
        pair_flops=2.0 * heads * both,
        key_bytes=key_bytes,
        query_bytes=query_bytes,
    )  # fmt: skip


@takes_records("device", "calibration")
def attention_decode_operator(
    device: Record, calibration: Record, batch: float, context: float, heads: float,
    kv_heads: float, head_dim: float, v_head_dim: float, window: float, kv_dtype: float,
    warm: float,
) -> dict[str, float]:  # fmt: skip
    """One query per sequence."""
    own, cache = constants(calibration, "attention_decode"), type_name(kv_dtype)
    if own is not None:
        form = attention_decode(own, Hardware.of(device), heads, kv_heads, head_dim, v_head_dim,
                                window, STORED[cache])  # fmt: skip
        return of_cost(form.cost(batch, context, warm != 0.0))
    a = gqa_attention(device, calibration, "attention_decode", attention_peak(device, cache), heads,
                      kv_heads, head_dim, v_head_dim, window, cache)  # fmt: skip
    keys = minimum(amount(context), a.window)
    return of_attention(a, batch, keys, keys, 1.0, device["l2_bytes"] if warm != 0.0 else 0.0)
