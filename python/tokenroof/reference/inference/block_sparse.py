"""Grouped attention over blocks of keys that an indexer chooses: MiniMax M3's public class."""

from __future__ import annotations

import math
from typing import NamedTuple

from tokenroof.reference.inference.attention_decode import attention_decode_operator
from tokenroof.reference.inference.attention_prefill import attention_prefill_operator
from tokenroof.reference.inference.operator_fields import after_one_another, amount
from tokenroof.reference.inference.operators import NO_WINDOW, causal_keys, causal_pairs
from tokenroof.reference.inference.sparse_attention import index_fields, indexer
from tokenroof.reference.records.records import Record, takes_fields, takes_records

__all__ = ["block_sparse_decode_operator", "block_sparse_prefill_operator"]


@takes_records("device", "calibration")
def block_sparse_decode_operator(
    device: Record, calibration: Record, batch: float, context: float, heads: float,
    kv_heads: float, head_dim: float, v_head_dim: float, topk: float, index_heads: float,
    index_head_dim: float, kv_dtype: float,
) -> dict[str, float]:  # fmt: skip
    """One query per sequence, over the chosen keys, which are as many as a window of their number."""
    first = attention_decode_operator(device, calibration, batch, context, heads, kv_heads, head_dim,
                                      v_head_dim, topk, kv_dtype, 0.0)  # fmt: skip
    x = indexer(device, calibration, "attention_decode", index_heads, index_head_dim, topk)
    seen = amount(context)
    return after_one_another(first, index_fields(x, batch, seen, seen, 1.0))


class BlockSparsePrompts(NamedTuple):
    """Inputs of `block_sparse_prefill_operator` behind its records."""

    batch: float  # prompts
    tokens: float  # new ones of each
    past: float  # cached ones before them
    heads: float
    kv_heads: float
    head_dim: float
    v_head_dim: float
    topk: float  # keys that a query chooses
    index_heads: float
    index_head_dim: float
    maths_dtype: float  # type code
    kv_dtype: float  # type code


@takes_records("device", "calibration")
@takes_fields(BlockSparsePrompts)
def block_sparse_prefill_operator(
    device: Record, calibration: Record, x: BlockSparsePrompts
) -> dict[str, float]:
    """Prompts: over the chosen keys, or over all with a mask."""
    masked, few = (
        attention_prefill_operator(
            device, calibration, x.batch, x.tokens, x.past, x.heads, x.kv_heads, x.head_dim,
            x.v_head_dim, window, x.kv_dtype, x.maths_dtype,
        )
        for window in (0.0, x.topk)
    )  # fmt: skip
    chosen = few["time"] < masked["time"] or math.isnan(few["time"])
    one = indexer(device, calibration, "attention_prefill", x.index_heads, x.index_head_dim, x.topk)
    t, s = amount(x.tokens), amount(x.past)
    pairs, keys = causal_pairs(t, s, NO_WINDOW), causal_keys(t, s, NO_WINDOW)
    return after_one_another(few if chosen else masked, index_fields(one, x.batch, pairs, keys, t))
