"""Attention operators on their own: the measured forms, or rooflines where a record has no constants."""

from __future__ import annotations

from tokenroof.reference import attention
from tokenroof.reference._forms import constants, result
from tokenroof.reference._ieee import minimum
from tokenroof.reference._records import Record, takes_records
from tokenroof.reference.operators import (
    ACTIVATION,
    STORED,
    amount,
    attention_peak,
    causal_keys,
    causal_pairs,
    grouped_query,
    latent,
    latent_expanded,
    of_attention,
    peak_of,
    type_name,
)


@takes_records("device", "calibration")
def attention_decode_operator(
    device: Record, calibration: Record, batch: float, context: float, heads: float,
    kv_heads: float, head_dim: float, v_head_dim: float, window: float, kv_dtype: float,
    warm: float,
) -> dict[str, float]:  # fmt: skip
    """One query per sequence."""
    own = constants(calibration, "attention_decode")
    if own is not None:
        work = attention.attention_decode(
            own, attention.Hardware.of(device), heads, kv_heads, head_dim, v_head_dim,
            window, STORED[type_name(kv_dtype)],
        )  # fmt: skip
        return result(*work.cost(batch, context, warm != 0.0))
    cache = type_name(kv_dtype)
    a = grouped_query(device, calibration, "attention_decode", attention_peak(device, cache), heads,
                      kv_heads, head_dim, v_head_dim, window, cache)  # fmt: skip
    keys = minimum(amount(context), a.window)
    return of_attention(a, batch, keys, keys, 1.0, device["l2_bytes"] if warm != 0.0 else 0.0)


@takes_records("device", "calibration")
def attention_prefill_operator(
    device: Record, calibration: Record, batch: float, tokens: float, past: float, heads: float,
    kv_heads: float, head_dim: float, v_head_dim: float, window: float, kv_dtype: float,
    maths_dtype: float,
) -> dict[str, float]:  # fmt: skip
    """Causal attention of prompts; of a single token as a decode, where the kernels do so."""
    own = constants(calibration, "attention_prefill")
    peak = peak_of(device, type_name(maths_dtype))
    stored = STORED[type_name(kv_dtype)]
    if own is not None:
        single = constants(calibration, "attention_decode")
        if own["single"] == 1.0 and 0.0 < tokens <= 1.0 and single is not None:
            one = attention.attention_decode(
                single, attention.Hardware.of(device), heads, kv_heads, head_dim,
                v_head_dim, window, stored,
            )  # fmt: skip
            return result(*one.cost(batch, tokens + amount(past), False))
        work = attention.attention_prefill(
            own, attention.Hardware.of(device, peak), heads, kv_heads, head_dim, v_head_dim, window, stored,
            ACTIVATION[type_name(maths_dtype)],
        )  # fmt: skip
        return result(*work.cost(batch, tokens, past))
    a = grouped_query(device, calibration, "attention_prefill", peak, heads, kv_heads, head_dim,
                      v_head_dim, window, type_name(kv_dtype))  # fmt: skip
    t, s = amount(tokens), amount(past)
    return of_attention(a, batch, causal_pairs(t, s, a.window), causal_keys(t, s, a.window), t)


@takes_records("device", "calibration")
def mla_decode_operator(
    device: Record, calibration: Record, batch: float, context: float, heads: float,
    kv_lora_rank: float, rope_head_dim: float, kv_dtype: float, warm: float,
) -> dict[str, float]:  # fmt: skip
    """Absorbed MLA, one query per sequence."""
    own = constants(calibration, "mla_decode")
    if own is not None:
        work = attention.mla_decode(
            own, attention.Hardware.of(device), heads, kv_lora_rank, rope_head_dim,
            STORED[type_name(kv_dtype)],
        )  # fmt: skip
        return result(*work.cost(batch, context, warm != 0.0))
    cache = type_name(kv_dtype)
    a = latent(device, calibration, "attention_decode", attention_peak(device, cache), heads,
               kv_lora_rank, rope_head_dim, 0.0, cache)  # fmt: skip
    keys = minimum(amount(context), a.window)
    return of_attention(a, batch, keys, keys, 1.0, device["l2_bytes"] if warm != 0.0 else 0.0)


@takes_records("device", "calibration")
def mla_prefill_operator(
    device: Record, calibration: Record, batch: float, tokens: float, past: float, heads: float,
    nope_head_dim: float, rope_head_dim: float, v_head_dim: float, kv_lora_rank: float,
    absorbed: float, maths_dtype: float, kv_dtype: float,
) -> dict[str, float]:  # fmt: skip
    """MLA of prompts, absorbed or expanded."""
    own = constants(calibration, "mla_prefill")
    if own is not None:
        work = attention.mla_prefill(
            own, attention.Hardware.of(device), heads, nope_head_dim, rope_head_dim,
            v_head_dim, kv_lora_rank, absorbed != 0.0, STORED[type_name(kv_dtype)],
        )  # fmt: skip
        return result(*work.cost(batch, tokens, past))
    peak = peak_of(device, type_name(maths_dtype))
    if absorbed != 0.0:
        a = latent(device, calibration, "attention_prefill", peak, heads, kv_lora_rank,
                   rope_head_dim, 0.0, type_name(kv_dtype))  # fmt: skip
    else:
        a = latent_expanded(device, calibration, "attention_prefill", peak, heads, nope_head_dim,
                            rope_head_dim, v_head_dim, 0.0)  # fmt: skip
    t, s = amount(tokens), amount(past)
    return of_attention(a, batch, causal_pairs(t, s, a.window), causal_keys(t, s, a.window), t)
