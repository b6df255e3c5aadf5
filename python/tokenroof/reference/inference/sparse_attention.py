"""Sparse attention: an indexer over all keys, a choice, latent attention over the chosen.

DeepSeek-V3.2, arXiv:2512.02556, section 2.1; kernels' inputs and outputs: flashinfer-bench,
dsa_topk_indexer_fp8_h64_d128_topk2048 (FP8 keys of 128 values with a scale, scores in fp32).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

from tokenroof.reference.core.ieee import divide, maximum, minimum
from tokenroof.reference.inference.cost import Hardware, faster_cost
from tokenroof.reference.inference.mla import mla_decode, mla_prefill
from tokenroof.reference.inference.operator_fields import (
    after_one_another,
    amount,
    of_attention,
    of_cost,
    of_roof,
)
from tokenroof.reference.inference.operators import (
    NO_WINDOW,
    Attention,
    causal_keys,
    causal_pairs,
    make_attention,
    mla_attention,
    mla_expanded,
)
from tokenroof.reference.records.constants import constants
from tokenroof.reference.records.dtypes import STORED, attention_peak, peak_of, type_name
from tokenroof.reference.records.records import Record, takes_fields, takes_records

__all__ = ["sparse_decode_operator", "sparse_prefill_operator"]

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


def attention_roof(a: Attention, pairs: float, keys: float, queries: float) -> Roof:
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
        plain = attention_roof(self.a, pairs, keys, queries)
        return replace(plain, memory=plain.memory + pairs * self.score_s,
                       bytes=plain.bytes + pairs * self.score_bytes)  # fmt: skip


def indexer(d: Record, c: Record, kind: str, heads: float, width: float, topk: float) -> Indexer:
    """2 n d FLOP a pair in FP8; a query's heads with a weight each go in, the places of the chosen out."""
    query = heads * (width * FP8 + FP32) + PLACE * topk
    a = make_attention(d, c, kind, 2.0, peak_of(d, "fp8"), 0.0, 2.0 * heads * width,
                       index_key_bytes(width), query)  # fmt: skip
    score = 2.0 * FP32
    return Indexer(a, divide(score, d["memory_bandwidth"] * c[f"{kind}_memory"]), score)


def faster(one: Roof, other: Roof) -> Roof:
    """The way that takes less time; NaN if either is."""
    return other if other.seconds < one.seconds or math.isnan(other.seconds) else one


def index_fields(
    x: Indexer, batch: float, pairs: float, keys: float, queries: float
) -> dict[str, float]:
    """Of `batch` sequences with so much each."""
    b = amount(batch)
    r = x.roof(b * pairs, b * keys, b * queries)
    return of_roof(x.a.launch, r.compute, r.memory, r.flops, r.bytes)


@takes_records("device", "calibration")
def sparse_decode_operator(
    device: Record, calibration: Record, batch: float, context: float, heads: float,
    kv_lora_rank: float, rope_head_dim: float, topk: float, index_heads: float,
    index_head_dim: float, kv_dtype: float,
) -> dict[str, float]:  # fmt: skip
    """One query per sequence."""
    kind, cache = "attention_decode", type_name(kv_dtype)
    x = indexer(device, calibration, kind, index_heads, index_head_dim, topk)
    own, seen = constants(calibration, "mla_decode"), amount(context)
    if own is None:
        a = mla_attention(device, calibration, kind, attention_peak(device, cache), heads,
                          kv_lora_rank, rope_head_dim, topk, cache)  # fmt: skip
        keys = minimum(seen, a.window)
        first = of_attention(a, batch, keys, keys, 1.0)
    else:
        hardware = Hardware.of(device)
        form = mla_decode(own, hardware, heads, kv_lora_rank, rope_head_dim, STORED[cache])
        first = of_cost(replace(form, window=topk, counted=topk).cost(batch, context, False))
    return after_one_another(first, index_fields(x, batch, seen, seen, 1.0))


class SparsePrompts(NamedTuple):
    """Inputs of `sparse_prefill_operator` behind its records."""

    batch: float  # prompts
    tokens: float  # new ones of each
    past: float  # cached ones before them
    heads: float
    nope_head_dim: float
    rope_head_dim: float
    v_head_dim: float
    kv_lora_rank: float
    topk: float  # keys that a query chooses
    index_heads: float
    index_head_dim: float
    maths_dtype: float  # type code
    kv_dtype: float  # type code

    @property
    def latent(self) -> tuple[float, float, float, float, float]:
        """Heads and their widths, as `mla_prefill` takes them."""
        return (self.heads, self.nope_head_dim, self.rope_head_dim, self.v_head_dim,
                self.kv_lora_rank)  # fmt: skip


@takes_records("device", "calibration")
@takes_fields(SparsePrompts)
def sparse_prefill_operator(
    device: Record, calibration: Record, x: SparsePrompts
) -> dict[str, float]:
    """Prompts: over the chosen keys, or over all with a mask."""
    own = constants(calibration, "mla_prefill")
    if own is None:
        first = _prompts_by_roofline(device, calibration, x)
    else:
        hardware, stored = Hardware.of(device), STORED[type_name(x.kv_dtype)]
        masked, chosen = (
            mla_prefill(own, hardware, *x.latent, way, stored) for way in (False, True)
        )
        first = of_cost(faster_cost(
            masked.cost(x.batch, x.tokens, x.past),
            replace(chosen, window=x.topk).cost(x.batch, x.tokens, x.past),
        ))  # fmt: skip
    index = indexer(device, calibration, "attention_prefill", x.index_heads, x.index_head_dim,
                    x.topk)  # fmt: skip
    t, s = amount(x.tokens), amount(x.past)
    pairs, keys = causal_pairs(t, s, NO_WINDOW), causal_keys(t, s, NO_WINDOW)
    return after_one_another(first, index_fields(index, x.batch, pairs, keys, t))


def _prompts_by_roofline(device: Record, calibration: Record, x: SparsePrompts) -> dict[str, float]:
    """The faster of both ways, of their lines."""
    kind, peak = "attention_prefill", peak_of(device, type_name(x.maths_dtype))
    masked = mla_expanded(device, calibration, kind, peak, x.heads, x.nope_head_dim,
                          x.rope_head_dim, x.v_head_dim, 0.0)  # fmt: skip
    chosen = mla_attention(device, calibration, kind, peak, x.heads, x.kv_lora_rank,
                           x.rope_head_dim, x.topk, type_name(x.kv_dtype))  # fmt: skip
    b, t, s = amount(x.batch), amount(x.tokens), amount(x.past)
    r = faster(*(
        attention_roof(a, b * causal_pairs(t, s, a.window), b * causal_keys(t, s, a.window), b * t)
        for a in (masked, chosen)
    ))  # fmt: skip
    return of_roof(masked.launch, r.compute, r.memory, r.flops, r.bytes)
