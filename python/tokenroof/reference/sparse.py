"""Sparse attention: an indexer over all keys, a choice, latent attention over the chosen.

DeepSeek-V3.2, arXiv:2512.02556, section 2.1; kernels' inputs and outputs: flashinfer-bench,
dsa_topk_indexer_fp8_h64_d128_topk2048 (FP8 keys of 128 values with a scale, scores in fp32).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from tokenroof.reference import attention
from tokenroof.reference import operators as ops
from tokenroof.reference._forms import constants, result
from tokenroof.reference._ieee import divide, maximum, minimum
from tokenroof.reference._records import Record, takes_records
from tokenroof.reference.operators import Attention, type_name

FP8, FP32, PLACE = 1.0, 4.0, 4.0


def index_key_bytes(width: float) -> float:
    """A cached key: FP8 values, and a scale in fp32 for each 128 of them."""
    return width * (FP8 + FP32 / 128.0)


@dataclass(frozen=True)
class Roof:
    """Seconds of computing and of moving, FLOP, bytes."""

    compute: float
    memory: float
    flops: float
    bytes: float

    @property
    def seconds(self) -> float:
        """The longer one."""
        return maximum(self.compute, self.memory)


def roof(a: Attention, pairs: float, keys: float, queries: float) -> Roof:
    """Attention's pairs computed, its keys and queries moved."""
    return Roof(pairs * a.pair_s, keys * a.key_s + queries * a.query_s, pairs * a.pair_flops,
                keys * a.key_bytes + queries * a.query_bytes)  # fmt: skip


@dataclass(frozen=True)
class Indexer:
    """Two kernels: scores of all pairs, and the choice of the best keys."""

    a: Attention
    score_s: float
    score_bytes: float

    def times(self, count: float) -> Indexer:
        """So many layers of it."""
        return Indexer(self.a.times(count), count * self.score_s, count * self.score_bytes)

    def roof(self, pairs: float, keys: float, queries: float) -> Roof:
        """A score is written by the first and read by the second."""
        plain = roof(self.a, pairs, keys, queries)
        return replace(plain, memory=plain.memory + pairs * self.score_s,
                       bytes=plain.bytes + pairs * self.score_bytes)  # fmt: skip


def indexer(d: Record, c: Record, kind: str, heads: float, width: float, topk: float) -> Indexer:
    """2 n d FLOP a pair in FP8; a query's heads with a weight each go in, the places of the chosen out."""
    query = heads * (width * FP8 + FP32) + PLACE * topk
    a = ops.attention(d, c, kind, 2.0, ops.peak_of(d, "fp8"), 0.0, 2.0 * heads * width,
                      index_key_bytes(width), query)  # fmt: skip
    score = 2.0 * FP32
    return Indexer(a, divide(score, d["memory_bandwidth"] * c[f"{kind}_memory"]), score)


def faster(one: Roof, other: Roof) -> Roof:
    """The way that takes less time; NaN if either is."""
    return other if other.seconds < one.seconds or math.isnan(other.seconds) else one


def faster_cost(one: attention.Terms, other: attention.Terms) -> attention.Terms:
    """The same of measured forms, whose second term is the time."""
    return other if other[1] < one[1] or math.isnan(other[1]) else one


def _index_result(
    x: Indexer, batch: float, pairs: float, keys: float, queries: float
) -> dict[str, float]:
    b = ops.amount(batch)
    r = x.roof(b * pairs, b * keys, b * queries)
    return ops.of_roof(x.a.launch, r.compute, r.memory, r.flops, r.bytes)


@takes_records("device", "calibration")
def sparse_decode_operator(
    device: Record, calibration: Record, batch: float, context: float, heads: float,
    kv_lora_rank: float, rope_head_dim: float, topk: float, index_heads: float,
    index_head_dim: float, kv_dtype: float,
) -> dict[str, float]:  # fmt: skip
    """One query per sequence."""
    kind, cache = "attention_decode", type_name(kv_dtype)
    x = indexer(device, calibration, kind, index_heads, index_head_dim, topk)
    own, seen = constants(calibration, "mla_decode"), ops.amount(context)
    if own is None:
        a = ops.latent(device, calibration, kind, ops.attention_peak(device, cache), heads,
                       kv_lora_rank, rope_head_dim, topk, cache)  # fmt: skip
        keys = minimum(seen, a.window)
        first = ops.of_attention(a, batch, keys, keys, 1.0)
    else:
        form = attention.mla_decode(own, attention.Hardware.of(device), heads, kv_lora_rank,
                                    rope_head_dim, ops.STORED[cache])  # fmt: skip
        first = result(*replace(form, window=topk).cost(batch, context, False))
    return ops.after_one_another(first, _index_result(x, batch, seen, seen, 1.0))


@takes_records("device", "calibration")
def sparse_prefill_operator(
    device: Record, calibration: Record, batch: float, tokens: float, past: float, heads: float,
    nope_head_dim: float, rope_head_dim: float, v_head_dim: float, kv_lora_rank: float,
    topk: float, index_heads: float, index_head_dim: float, maths_dtype: float, kv_dtype: float,
) -> dict[str, float]:  # fmt: skip
    """Prompts: over the chosen keys, or over all with a mask."""
    kind, cache = "attention_prefill", type_name(kv_dtype)
    x = indexer(device, calibration, kind, index_heads, index_head_dim, topk)
    own = constants(calibration, "mla_prefill")
    t, s = ops.amount(tokens), ops.amount(past)
    if own is None:
        peak, b = ops.peak_of(device, type_name(maths_dtype)), ops.amount(batch)
        masked = ops.latent_expanded(device, calibration, kind, peak, heads, nope_head_dim,
                                     rope_head_dim, v_head_dim, 0.0)  # fmt: skip
        chosen = ops.latent(device, calibration, kind, peak, heads, kv_lora_rank, rope_head_dim,
                            topk, cache)  # fmt: skip
        r = faster(*(
            roof(a, b * ops.causal_pairs(t, s, a.window), b * ops.causal_keys(t, s, a.window),
                 b * t)
            for a in (masked, chosen)
        ))  # fmt: skip
        first = ops.of_roof(masked.launch, r.compute, r.memory, r.flops, r.bytes)
    else:
        ways = [
            attention.mla_prefill(own, attention.Hardware.of(device), heads, nope_head_dim,
                                  rope_head_dim, v_head_dim, kv_lora_rank, absorbed,
                                  ops.STORED[cache])
            for absorbed in (False, True)
        ]  # fmt: skip
        first = result(*faster_cost(
            ways[0].cost(batch, tokens, past),
            replace(ways[1], window=topk).cost(batch, tokens, past),
        ))  # fmt: skip
    pairs, keys = ops.causal_pairs(t, s, ops.NO_WINDOW), ops.causal_keys(t, s, ops.NO_WINDOW)
    return ops.after_one_another(first, _index_result(x, batch, pairs, keys, t))
