"""Attention over a window and, beside it, over keys that each stand for a stretch of tokens.

DeepSeek-V4, technical report, section 2.3: one vector per key for all heads, which is its value too; heavily
compressed layers see all compressed keys, compressed sparse ones those that an indexer chooses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from tokenroof.reference.core.ieee import divide, minimum
from tokenroof.reference.inference.attention_decode import AttentionDecode
from tokenroof.reference.inference.cost import Hardware
from tokenroof.reference.inference.mla import mla_decode
from tokenroof.reference.inference.operator_fields import (
    after_one_another,
    amount,
    of_cost,
    of_line,
    of_roof,
)
from tokenroof.reference.inference.operators import (
    NO_WINDOW,
    Attention,
    causal_keys,
    causal_pairs,
    elementwise_line,
    make_attention,
)
from tokenroof.reference.inference.sparse_attention import (
    attention_roof,
    index_fields,
    index_key_bytes,
    indexer,
)
from tokenroof.reference.records.constants import constants
from tokenroof.reference.records.dtypes import STORED, attention_peak, peak_of, type_name
from tokenroof.reference.records.records import Record, takes_fields, takes_records

__all__ = [
    "compressed_decode_operator",
    "compressed_prefill_operator",
    "compressor_operator",
]

HALF, SINGLE = 2.0, 4.0


@dataclass(frozen=True)
class Compressed:
    """Keys that a query sees: a window, and of the tokens up to `reach` one for each `1 / share`."""

    window: float
    reach: float
    share: float

    def visible(self, context: float) -> float:
        """Of a context."""
        return minimum(context, self.window) + minimum(context, self.reach) * self.share

    def pairs(self, tokens: float, past: float) -> float:
        """Of a prompt's tokens, together."""
        far = causal_pairs(tokens, past, self.reach) * self.share
        return causal_pairs(tokens, past, self.window) + far

    def keys(self, tokens: float, past: float) -> float:
        """Read once for all of a prompt's tokens."""
        far = causal_keys(tokens, past, self.reach) if self.share > 0.0 else 0.0 * tokens
        return causal_keys(tokens, past, self.window) + far * self.share


def compressed(window: float, ratio: float, topk: float) -> Compressed:
    """topk: compressed keys that are chosen, or 0 for all; ratio 0: the window alone."""
    near = window if window > 0.0 else NO_WINDOW + (window - window)  # NaN stays
    if not ratio > 0.0:
        return Compressed(near, 0.0, ratio - ratio)
    return Compressed(near, topk * ratio if topk > 0.0 else NO_WINDOW + (topk - topk), 1.0 / ratio)


def single_key_attention(
    d: Record, c: Record, kind: str, peak: float, heads: float, width: float, cache: str
) -> Attention:
    """Scores and sums of the same vector: 2 width FLOP each."""
    return make_attention(d, c, kind, 1.0, peak, 0.0, 4.0 * heads * width, width * STORED[cache],
                          HALF * 2.0 * heads * width)  # fmt: skip


def single_key_decode(
    own: Record, d: Record, heads: float, width: float, cache: str
) -> AttentionDecode:
    """Latent attention of that rank, without a rotary key beside it."""
    return mla_decode(own, Hardware.of(d), heads, width, 0.0, STORED[cache])


def compressor_columns(width: float, overlap: bool) -> float:
    """Values and weights of a token; twice where stretches overlap."""
    return 2.0 * width * (2.0 if overlap else 1.0)


def compressor_bytes(width: float, ratio: float, overlap: bool, key_bytes: float) -> float:
    """Per token: projections in, to wait in fp32 and to be read once more; a share of a key out."""
    return compressor_columns(width, overlap) * (HALF + 2.0 * SINGLE) + divide(key_bytes, ratio)


def compressor_state_bytes(width: float, ratio: float, overlap: bool) -> float:
    """Per sequence: a stretch of tokens in fp32, or two."""
    stretches = 2.0 if overlap else 1.0
    return compressor_columns(width, overlap) * ratio * (SINGLE * stretches)


@takes_records("device", "calibration")
def compressed_decode_operator(
    device: Record, calibration: Record, batch: float, context: float, heads: float, width: float,
    window: float, ratio: float, topk: float, index_heads: float, index_head_dim: float,
    kv_dtype: float,
) -> dict[str, float]:  # fmt: skip
    """One query per sequence; with topk above 0 an indexer before it."""
    cache, seen = type_name(kv_dtype), amount(context)
    keys = compressed(window, ratio, topk).visible(seen)
    own = constants(calibration, "mla_decode")
    if own is None:
        a = single_key_attention(device, calibration, "attention_decode",
                                 attention_peak(device, cache), heads, width, cache)  # fmt: skip
        b = amount(batch)
        roof = attention_roof(a, b * keys, b * keys, b)
        first = of_roof(a.launch, roof.compute, roof.memory, roof.flops, roof.bytes)
    else:
        form = single_key_decode(own, device, heads, width, cache)
        first = of_cost(form.cost(batch, keys, False))
    if not topk > 0.0:
        return first
    x = indexer(device, calibration, "attention_decode", index_heads, index_head_dim, topk)
    all_keys = divide(seen, ratio)
    return after_one_another(first, index_fields(x, batch, all_keys, all_keys, 1.0))


class CompressedPrompts(NamedTuple):
    """Inputs of `compressed_prefill_operator` behind its records."""

    batch: float  # prompts
    tokens: float  # new ones of each
    past: float  # cached ones before them
    heads: float
    width: float
    window: float
    ratio: float  # tokens of a compressed key; 0: none
    topk: float  # compressed keys that a query chooses; 0: all
    index_heads: float
    index_head_dim: float
    maths_dtype: float  # type code
    kv_dtype: float  # type code


@takes_records("device", "calibration")
@takes_fields(CompressedPrompts)
def compressed_prefill_operator(
    device: Record, calibration: Record, x: CompressedPrompts
) -> dict[str, float]:
    """Prompts."""
    b, t, s = amount(x.batch), amount(x.tokens), amount(x.past)
    seen = compressed(x.window, x.ratio, x.topk)
    a = single_key_attention(device, calibration, "attention_prefill",
                             peak_of(device, type_name(x.maths_dtype)), x.heads, x.width,
                             type_name(x.kv_dtype))  # fmt: skip
    roof = attention_roof(a, b * seen.pairs(t, s), b * seen.keys(t, s), b * t)
    first = of_roof(a.launch, roof.compute, roof.memory, roof.flops, roof.bytes)
    if not x.topk > 0.0:
        return first
    one = indexer(device, calibration, "attention_prefill", x.index_heads, x.index_head_dim, x.topk)
    pairs = divide(causal_pairs(t, s, NO_WINDOW), x.ratio)
    keys = divide(causal_keys(t, s, NO_WINDOW), x.ratio)
    return after_one_another(first, index_fields(one, x.batch, pairs, keys, t))


@takes_records("device", "calibration")
def compressor_operator(
    device: Record, calibration: Record, tokens: float, width: float, ratio: float, overlap: float,
    kv_dtype: float,
) -> dict[str, float]:  # fmt: skip
    """What the compressor moves beside its projections."""
    stored = width * STORED[type_name(kv_dtype)]
    moved = compressor_bytes(width, ratio, overlap != 0.0, stored) + (overlap - overlap)
    return of_line(elementwise_line(device, calibration, 1.0, moved), tokens, 0.0)


def held(model: Record, window: float, token: float, context: float) -> float:
    """Bytes of layers with compressed keys: windows, keys, and what waits to be compressed."""
    light, heavy, width = model["selected_layers"], model["compressed_layers"], model["head_dim"]
    total = 0.0
    if heavy > 0.0:
        ratio = model["compress_ratio"]
        keys = compressed(window, ratio, 0.0).visible(context) * token
        total += heavy * (keys + compressor_state_bytes(width, ratio, False))
    if light > 0.0:
        ratio = model["select_ratio"]
        keys = compressed(window, ratio, 0.0).visible(context) * token
        total += light * (keys + compressor_state_bytes(width, ratio, True)) + model[
            "index_layers"
        ] * compressor_state_bytes(model["index_head_dim"], ratio, True)
    return total


def place_bytes(model: Record) -> float:
    """A cached key of the indexer."""
    return index_key_bytes(model["index_head_dim"])
