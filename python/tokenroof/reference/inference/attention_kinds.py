"""Softmax attention of a step: its kinds of layers, by their measured forms or as lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from tokenroof.reference.inference.attention_decode import AttentionDecode, attention_decode
from tokenroof.reference.inference.attention_prefill import AttentionPrefill, attention_prefill
from tokenroof.reference.inference.compressed_attention import (
    compressed,
    single_key_attention,
    single_key_decode,
)
from tokenroof.reference.inference.cost import Hardware
from tokenroof.reference.inference.heads import Heads
from tokenroof.reference.inference.layout import Layout
from tokenroof.reference.inference.mla import mla_decode, mla_prefill
from tokenroof.reference.inference.operators import (
    Attention,
    gqa_attention,
    mla_attention,
    mla_expanded,
)
from tokenroof.reference.inference.prepared import LineTerm, Measured, Side, SingleKey
from tokenroof.reference.inference.sparse_attention import Indexer, indexer
from tokenroof.reference.records.constants import constants
from tokenroof.reference.records.dtypes import STORED, attention_peak
from tokenroof.reference.records.records import Record


class Kind(NamedTuple):
    """Layers alike, their heads, and the ways that they may run: a window, and whether MLA is absorbed."""

    layers: float
    of: Heads
    ways: list[tuple[float, bool]]


def kinds(m: Record, lay: Layout, prompt: bool) -> Iterator[Kind]:
    """Layers that choose among all keys, with windows, and that see everything.

    Sparse layers decode over the chosen keys; their prompts also may mask all keys.
    """
    topk = m["index_topk"]
    sparse = m["sparse_layers"] if topk > 0.0 else 0.0
    every = [
        Kind(sparse, lay.full, [(0.0, False), (topk, True)] if prompt else [(topk, True)]),
        Kind(m["window_layers"], lay.windows, [(m["window"], not prompt)]),
        Kind(m["full_layers"] - sparse, lay.full, [(0.0, not prompt)]),
    ]
    yield from (kind for kind in every if kind.layers > 0.0)


def attention_line(
    d: Record, c: Record, m: Record, lay: Layout, kind: str, of: Heads, way: tuple[float, bool]
) -> Attention:
    """One layer of attention by its roofline."""
    peak, (window, absorbed) = attention_peak(d, lay.cache), way
    if not m["kv_lora_rank"] > 0.0:
        return gqa_attention(d, c, kind, peak, *of, window, lay.cache)  # fmt: skip
    if absorbed:
        return mla_attention(d, c, kind, peak, of.heads, m["kv_lora_rank"], m["rope_head_dim"],
                             window, lay.cache)  # fmt: skip
    return mla_expanded(d, c, kind, peak, of.heads, m["nope_head_dim"], m["rope_head_dim"],
                        m["v_head_dim"], window)  # fmt: skip


def measured_decode(
    own: Record, d: Record, m: Record, lay: Layout, of: Heads, way: tuple[float, bool]
) -> AttentionDecode:
    """One layer of decode attention by its measured form."""
    hardware, stored, (window, _) = Hardware.of(d), STORED[lay.cache], way
    if not m["kv_lora_rank"] > 0.0:
        return attention_decode(own, hardware, *of, window, stored)
    form = mla_decode(own, hardware, of.heads, m["kv_lora_rank"], m["rope_head_dim"], stored)
    return replace(form, window=window, counted=window) if window > 0.0 else form


def measured_prefill(
    own: Record, d: Record, m: Record, lay: Layout, of: Heads, way: tuple[float, bool]
) -> AttentionPrefill:
    """One layer of prompts' attention by its measured form."""
    hardware, stored, (window, absorbed) = Hardware.of(d), STORED[lay.cache], way
    if not m["kv_lora_rank"] > 0.0:
        return attention_prefill(own, hardware, *of, window, stored, 2.0)
    form = mla_prefill(own, hardware, of.heads, m["nope_head_dim"], m["rope_head_dim"],
                       m["v_head_dim"], m["kv_lora_rank"], absorbed, stored)  # fmt: skip
    return replace(form, window=window) if window > 0.0 else form


def side(d: Record, c: Record, m: Record, lay: Layout, prompt: bool, lines: list[LineTerm]) -> Side:
    """What runs for the decode batch alone, or for prompts alone."""
    name = "prefill" if prompt else "decode"
    if m["single_key"] > 0.0:
        own = single_keys(d, c, m, lay, prompt)
        chosen = index(d, c, m, f"attention_{name}", m["selected_layers"])
        return Side(lines, [], [], [], None, own, chosen)
    block = constants(c, f"mla_{name}" if m["kv_lora_rank"] > 0.0 else f"attention_{name}")
    attention: list[tuple[Attention, ...]] = []
    decodes: list[Measured[AttentionDecode]] = []
    prefills: list[Measured[AttentionPrefill]] = []
    for layers, of, ways in kinds(m, lay, prompt):
        if block is None:
            one = (attention_line(d, c, m, lay, f"attention_{name}", of, way) for way in ways)
            attention.append(tuple(a.times(layers) for a in one))
        elif prompt:
            forms = tuple(measured_prefill(block, d, m, lay, of, way) for way in ways)
            prefills.append(Measured(forms, layers))
        else:
            form = measured_decode(block, d, m, lay, of, ways[0])
            form = replace(form, counted=form.counted / lay.cp)  # of keys that the ranks share
            decodes.append(Measured((form,), layers))
    chosen = index(d, c, m, f"attention_{name}", m["sparse_layers"])
    return Side(lines, attention, decodes, prefills, chosen, [], None)


def single_keys(d: Record, c: Record, m: Record, lay: Layout, prompt: bool) -> list[SingleKey]:
    """Layers whose heads all read one key, by what they see beside their window."""
    own = None if prompt else constants(c, "mla_decode")
    kind, width = "attention_prefill" if prompt else "attention_decode", m["head_dim"]
    peak = attention_peak(d, lay.cache)
    form = single_key_decode(own, d, lay.heads, width, lay.cache) if own is not None else None
    line = single_key_attention(d, c, kind, peak, lay.heads, width, lay.cache)
    window = m["window"]
    every = [
        (m["window_layers"], compressed(window, 0.0, 0.0)),
        (m["compressed_layers"], compressed(window, m["compress_ratio"], 0.0)),
        (m["selected_layers"], compressed(window, m["select_ratio"], m["index_topk"])),
    ]
    return [
        SingleKey(keys, layers, line.times(layers), form) for layers, keys in every if layers > 0.0
    ]


def index(d: Record, c: Record, m: Record, kind: str, choosing: float) -> Indexer | None:
    """All indexers, if any layers choose."""
    if not (choosing > 0.0 and m["index_topk"] > 0.0):
        return None
    one = indexer(d, c, kind, m["index_heads"], m["index_head_dim"], m["index_topk"])
    return one.times(m["index_layers"])
