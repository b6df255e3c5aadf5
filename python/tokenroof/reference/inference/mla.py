"""Latent attention, absorbed or expanded to heads: DeepSeek-V2, arXiv:2405.04434, section 2.1."""

from __future__ import annotations

from typing import NamedTuple

from tokenroof.reference.core.ieee import divide, minimum
from tokenroof.reference.core.maths import ceiling
from tokenroof.reference.inference.attention_decode import AttentionDecode
from tokenroof.reference.inference.attention_prefill import AttentionPrefill
from tokenroof.reference.inference.cost import Constants, Hardware
from tokenroof.reference.inference.l2 import l2_place
from tokenroof.reference.inference.operator_fields import amount, of_attention, of_cost
from tokenroof.reference.inference.operators import (
    NO_WINDOW,
    causal_keys,
    causal_pairs,
    mla_attention,
    mla_expanded,
)
from tokenroof.reference.records.constants import constants
from tokenroof.reference.records.dtypes import STORED, attention_peak, peak_of, type_name
from tokenroof.reference.records.records import Record, takes_fields, takes_records

__all__ = ["mla_decode_operator", "mla_prefill_operator"]


def mla_decode(
    c: Constants, hardware: Hardware, heads: float, rank: float, rope: float, stored: float
) -> AttentionDecode:
    """Absorbed latent attention: all heads read the same key."""
    key = rank + rope
    both = key + rank
    blocks = ceiling(divide(heads, c["tile"]))
    longer = 1.0 + c["group"] * divide(heads, blocks)
    moved = hardware.bandwidth * c["memory"]
    return AttentionDecode(
        launch=c["t0"],
        host=c["host"],
        overlap=c["overlap"],
        window=NO_WINDOW,
        counted=NO_WINDOW,
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


def mla_prefill(
    c: Constants, hardware: Hardware, heads: float, nope: float, rope: float, v_head_dim: float,
    rank: float, absorbed: bool, stored: float,
) -> AttentionPrefill:  # fmt: skip
    """Latent attention of prompts: `absorbed`, or expanded to heads."""
    key, value = (rank + rope, rank) if absorbed else (nope + rope, v_head_dim)
    both, columns = key + value, 1.0 if absorbed else heads
    keys = key if absorbed else both
    return AttentionPrefill(
        launch=c["t0"], host=c["host"], overlap=c["overlap"], sag=c["sag"], window=0.0, heads=heads,
        packed=heads if absorbed else 1.0, tile=c["tile"], multiprocessors=hardware.multiprocessors,
        flop_s=divide(hardware.peak * c["compute"], hardware.multiprocessors), both=both,
        path=c["path"], block=c["block"], moved=hardware.bandwidth * c["memory"],
        written=hardware.bandwidth * c["write"], place=l2_place(hardware.l2, c["resident"], c["cached"]),
        token_bytes=(heads * both + columns * keys) * 2.0,
        past_bytes=columns * keys * (stored if absorbed else 2.0),
        write_bytes=(rank + rope + c["queries"] * (heads * key + columns * keys)) * (2.0 + stored),
    )  # fmt: skip


@takes_records("device", "calibration")
def mla_decode_operator(
    device: Record, calibration: Record, batch: float, context: float, heads: float,
    kv_lora_rank: float, rope_head_dim: float, kv_dtype: float, warm: float,
) -> dict[str, float]:  # fmt: skip
    """Absorbed MLA, one query per sequence."""
    own, cache = constants(calibration, "mla_decode"), type_name(kv_dtype)
    if own is not None:
        hardware = Hardware.of(device)
        form = mla_decode(own, hardware, heads, kv_lora_rank, rope_head_dim, STORED[cache])
        return of_cost(form.cost(batch, context, warm != 0.0))
    a = mla_attention(device, calibration, "attention_decode", attention_peak(device, cache), heads,
                      kv_lora_rank, rope_head_dim, 0.0, cache)  # fmt: skip
    keys = minimum(amount(context), a.window)
    return of_attention(a, batch, keys, keys, 1.0, device["l2_bytes"] if warm != 0.0 else 0.0)


class LatentPrompts(NamedTuple):
    """Inputs of `mla_prefill_operator` behind its records."""

    batch: float  # prompts
    tokens: float  # new ones of each
    past: float  # cached ones before them
    heads: float
    nope_head_dim: float
    rope_head_dim: float
    v_head_dim: float
    kv_lora_rank: float
    absorbed: float  # 0: expanded to heads
    maths_dtype: float  # type code
    kv_dtype: float  # type code


@takes_records("device", "calibration")
@takes_fields(LatentPrompts)
def mla_prefill_operator(device: Record, calibration: Record, x: LatentPrompts) -> dict[str, float]:
    """MLA of prompts, absorbed or expanded."""
    own, cache = constants(calibration, "mla_prefill"), type_name(x.kv_dtype)
    if own is not None:
        form = mla_prefill(own, Hardware.of(device), x.heads, x.nope_head_dim, x.rope_head_dim,
                           x.v_head_dim, x.kv_lora_rank, x.absorbed != 0.0, STORED[cache])  # fmt: skip
        return of_cost(form.cost(x.batch, x.tokens, x.past))
    kind, peak = "attention_prefill", peak_of(device, type_name(x.maths_dtype))
    if x.absorbed != 0.0:
        a = mla_attention(device, calibration, kind, peak, x.heads, x.kv_lora_rank,
                          x.rope_head_dim, 0.0, cache)  # fmt: skip
    else:
        a = mla_expanded(device, calibration, kind, peak, x.heads, x.nope_head_dim,
                         x.rope_head_dim, x.v_head_dim, 0.0)  # fmt: skip
    t, s = amount(x.tokens), amount(x.past)
    pairs, keys = causal_pairs(t, s, a.window), causal_keys(t, s, a.window)
    return of_attention(a, x.batch, pairs, keys, t)
