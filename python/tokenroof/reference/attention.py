"""Attention as kernels run it: decode over a paged cache, prompts, and multi-head latent attention.

Decode splits long caches over thread blocks and joins the parts (Flash-Decoding, Dao et al. 2023); a group
of query heads shares a read of its KV head (Ainslie et al., arXiv:2305.13245). Prompts run in tiles of
query rows (Dao et al., arXiv:2205.14135). Latent attention: DeepSeek-V2, arXiv:2405.04434, section 2.1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tokenroof.reference._forms import ceiling, l2_place, less_from_l2, partial_max
from tokenroof.reference._ieee import divide, maximum, minimum

NO_WINDOW = 1e18
Constants = Mapping[str, float]
Terms = tuple[float, float, float, float, float, float]
ROWS, DIAGONAL, SAG_S, FEWEST = 64.0, 64.0, 1e-3, 1e-9


@dataclass(frozen=True)
class Hardware:
    """What attention needs of a device: bytes/s, FLOP/s, multiprocessors, bytes of the L2."""

    bandwidth: float
    peak: float
    multiprocessors: float
    l2: float

    @classmethod
    def of(cls, device: Mapping[str, float], peak: float | None = None) -> Hardware:
        """From a record; the peak of 16 bits unless given."""
        rate = device["peak_bf16"] if peak is None else peak
        return cls(device["memory_bandwidth"], rate, device["sm_count"], device["l2_bytes"])


@dataclass(frozen=True)
class Decode:
    """Work of decode attention per sequence of a batch."""

    launch: float
    host: float
    overlap: float
    window: float
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

    def cost(self, batch: float, context: float, warm: bool) -> Terms:
        """Launch, seconds, computing, moving, FLOP, bytes."""
        if not (batch >= 0.0 and context >= 0.0):
            return (math.nan,) * 6
        keys = minimum(context, self.window)
        total = batch * keys
        nbytes = total * self.key_bytes + batch * self.query_bytes
        memory = total * self.key_s + batch * self.query_s
        if warm:
            memory = less_from_l2(memory, nbytes, self.place)
        memory = memory + total * self.again_s
        flops = total * self.pair_flops
        if batch == 0.0:
            zero = flops * 0.0
            return zero, zero, zero, zero, flops, nbytes
        splits = maximum(
            1.0,
            minimum(
                minimum(keys * self.fewest_keys, self.most),
                divide(self.fill, maximum(batch, FEWEST)),
            ),
        )
        share = divide(1.0, splits)
        compute = total * self.pair_s
        path = keys * share * self.path_s
        blocks = batch * splits * self.block_s
        busy = partial_max(
            partial_max(memory, compute, self.overlap),
            partial_max(blocks, path, self.overlap),
            self.overlap,
        )
        seconds = busy + self.split * (1.0 - share)
        launch = maximum(self.launch, self.host - seconds)
        return launch, seconds, maximum(compute, maximum(blocks, path)), memory, flops, nbytes


def attention_decode(
    c: Constants, hardware: Hardware, heads: float, kv_heads: float, head_dim: float,
    v_head_dim: float, window: float, stored: float,
) -> Decode:  # fmt: skip
    """Grouped heads; `stored`: bytes of an element of the cache."""
    queries, both = divide(heads, kv_heads), head_dim + v_head_dim
    width = both * (1.0 / 256.0)
    lone = queries <= 1.0 or queries > c["grouped"] or (window > 0.0 and c["lone_window"] > 0.0)
    kind = "lone_" if lone else ""
    blocks, rows = (heads, 1.0) if lone else (kv_heads, queries)
    moved = hardware.bandwidth * c["memory"]
    key_bytes, query_bytes = kv_heads * both * stored, heads * both * 2.0
    longer = 1.0 + c["width"] * width + (0.0 if lone else c["group"] * rows)
    return Decode(
        launch=c[kind + "t0"],
        host=0.0,
        overlap=c["overlap"],
        window=window + c["pad"] if window > 0.0 else NO_WINDOW,
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
        block_s=divide(c[kind + "block"] * longer * blocks, hardware.multiprocessors),
        place=l2_place(hardware.l2, c["resident"], c["cached"]),
        pair_flops=2.0 * heads * both,
        key_bytes=key_bytes,
        query_bytes=query_bytes,
    )  # fmt: skip


def mla_decode(
    c: Constants, hardware: Hardware, heads: float, rank: float, rope: float, stored: float
) -> Decode:
    """Absorbed latent attention: all heads read the same key."""
    key = rank + rope
    both = key + rank
    blocks = ceiling(divide(heads, c["tile"]))
    longer = 1.0 + c["group"] * divide(heads, blocks)
    moved = hardware.bandwidth * c["memory"]
    return Decode(
        launch=c["t0"],
        host=c["host"],
        overlap=c["overlap"],
        window=NO_WINDOW,
        fewest_keys=divide(1.0, c["keys"]),
        most=c["most"],
        fill=divide(c["splits"] * hardware.multiprocessors, blocks),
        split=c["split"],
        key_s=divide(key * stored, moved),
        query_s=divide(heads * both * 2.0, moved),
        again_s=0.0,
        pair_s=divide(2.0 * both * blocks * c["tile"], hardware.peak * c["compute"]),
        path_s=c["key"] * longer * (key * (1.0 / 576.0)),
        block_s=divide(c["block"] * longer * blocks, hardware.multiprocessors),
        place=l2_place(hardware.l2, c["resident"], c["cached"]),
        pair_flops=2.0 * heads * both,
        key_bytes=key * stored,
        query_bytes=heads * both * 2.0,
    )


@dataclass(frozen=True)
class Prefill:
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
    flop_s: float  # seconds per FLOP of one multiprocessor
    both: float
    path: float
    block: float
    moved: float
    written: float
    place: tuple[float, float]
    token_bytes: float
    past_bytes: float
    write_bytes: float

    def cost(self, batch: float, tokens: float, past: float) -> Terms:
        """Launch, seconds, computing, moving, FLOP, bytes."""
        if not (batch >= 0.0 and tokens >= 0.0 and past >= 0.0):
            return (math.nan,) * 6
        window = self.window if self.window > 0.0 else NO_WINDOW
        free = minimum(maximum(window - past, 0.0), tokens)
        pairs = free * past + 0.5 * (free * (free + 1.0)) + (tokens - free) * window
        flops = batch * (pairs * (2.0 * self.heads * self.both))
        old = minimum(past, window)
        nbytes = batch * (tokens * self.token_bytes + old * self.past_bytes)
        written = batch * tokens * self.write_bytes
        if not batch * tokens > 0.0:
            zero = batch * tokens * 0.0
            return zero, zero, zero, zero, flops, nbytes + written

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
        launch = maximum(self.launch, self.host - seconds)
        return launch, seconds, maximum(work, path), memory + after, flops, nbytes + written


def attention_prefill(
    c: Constants, hardware: Hardware, heads: float, kv_heads: float, head_dim: float,
    v_head_dim: float, window: float, stored: float, narrow: float,
) -> Prefill:  # fmt: skip
    """Grouped heads; `stored`, `narrow`: bytes of an element of the cache and of the maths."""
    both = head_dim + v_head_dim
    width = both * 0.5
    below = minimum(1.0, maximum(0.0, (128.0 - width) * (1.0 / 64.0)))
    above = minimum(1.0, maximum(0.0, (width - 128.0) * (1.0 / 128.0)))
    shape = 1.0 + (c["narrow"] - 1.0) * below + (c["wide"] - 1.0) * above
    packed = divide(heads, kv_heads) if c["packed"] > 0.0 else 1.0
    return Prefill(
        launch=c["t0"], host=0.0, overlap=c["overlap"], sag=c["sag"], window=window, heads=heads,
        packed=packed, tile=c["tile"], multiprocessors=hardware.multiprocessors,
        flop_s=divide(hardware.peak * c["compute"] * shape, hardware.multiprocessors), both=both,
        path=c["path"], block=c["block"], moved=hardware.bandwidth * c["memory"],
        written=hardware.bandwidth * c["write"], place=l2_place(hardware.l2, c["resident"], c["cached"]),
        token_bytes=(heads * head_dim + kv_heads * both) * narrow + heads * v_head_dim * 2.0,
        past_bytes=kv_heads * both * stored,
        write_bytes=kv_heads * both * (2.0 + stored) + c["queries"] * heads * head_dim * (2.0 + narrow),
    )  # fmt: skip


def mla_prefill(
    c: Constants, hardware: Hardware, heads: float, nope: float, rope: float, v_head_dim: float,
    rank: float, absorbed: bool, stored: float,
) -> Prefill:  # fmt: skip
    """Latent attention of prompts: `absorbed`, or expanded to heads."""
    key, value = (rank + rope, rank) if absorbed else (nope + rope, v_head_dim)
    both, columns = key + value, 1.0 if absorbed else heads
    keys = key if absorbed else both
    return Prefill(
        launch=c["t0"], host=c["host"], overlap=c["overlap"], sag=c["sag"], window=0.0, heads=heads,
        packed=heads if absorbed else 1.0, tile=c["tile"], multiprocessors=hardware.multiprocessors,
        flop_s=divide(hardware.peak * c["compute"], hardware.multiprocessors), both=both,
        path=c["path"], block=c["block"], moved=hardware.bandwidth * c["memory"],
        written=hardware.bandwidth * c["write"], place=l2_place(hardware.l2, c["resident"], c["cached"]),
        token_bytes=(heads * both + columns * keys) * 2.0,
        past_bytes=columns * keys * (stored if absorbed else 2.0),
        write_bytes=(rank + rope + c["queries"] * (heads * key + columns * keys)) * (2.0 + stored),
    )  # fmt: skip
