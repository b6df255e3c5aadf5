"""The products around softmax attention: queries, keys, values, output; compressors and indexers."""

from __future__ import annotations

from collections.abc import Iterator

from tokenroof.reference.inference.compressed_attention import (
    compressor_bytes,
    compressor_columns,
    place_bytes,
)
from tokenroof.reference.inference.heads import head_groups
from tokenroof.reference.inference.layout import Layout
from tokenroof.reference.inference.operators import elementwise_line, fresh_line
from tokenroof.reference.inference.prepared import Term
from tokenroof.reference.inference.products import products_of
from tokenroof.reference.inference.sparse_attention import index_key_bytes
from tokenroof.reference.records.dtypes import STORED
from tokenroof.reference.records.records import Record


class Around:
    """Terms of a model's projections on one device."""

    def __init__(self, d: Record, c: Record, m: Record, lay: Layout) -> None:
        self.d, self.c, self.m, self.lay = d, c, m, lay

    def gemm(self, layers: float, n: float, k: float) -> Iterator[Term]:
        """A product in each of so many layers."""
        return products_of(self.d, self.c, "projection", layers, n, k, self.lay.mixers)

    def moved(self, layers: float, per_token: float, launches: float = 1.0) -> Term:
        """Traffic in each of so many layers."""
        line = elementwise_line(self.d, self.c, launches, per_token).times(layers)
        return "elementwise", "rank_tokens", line

    def cache(self, layers: float, rotated: float, cached: float) -> Term:
        """Rotation in place; new keys and values into the cache."""
        moved = 4.0 * rotated + cached * (2.0 + STORED[self.lay.cache])
        line = fresh_line(self.d, self.c, moved, 2.0 * (rotated + cached))
        return "elementwise", "rank_tokens", line.times(layers)


def projections(d: Record, c: Record, m: Record, lay: Layout) -> Iterator[Term]:
    """Queries, keys, values and output of softmax attention, then the indexers."""
    if not lay.softmax > 0.0:
        return
    x = Around(d, c, m, lay)
    if m["kv_lora_rank"] > 0.0:
        yield from _latent(x)
    elif m["single_key"] > 0.0:
        yield from _single_key(x)
    else:
        yield from _heads(x)
    layers = m["index_layers"]
    if m["index_topk"] > 0.0 and layers > 0.0:
        source = m["q_lora_rank"] if m["q_lora_rank"] > 0.0 else m["hidden"]
        yield from x.gemm(layers, m["index_heads"] * m["index_head_dim"], source)
        own_key = 0.0 if m["selected_layers"] > 0.0 else m["index_head_dim"]
        yield from x.gemm(layers, own_key + m["index_heads"], m["hidden"])
        if own_key > 0.0:
            yield x.moved(layers, 2.0 * own_key + index_key_bytes(own_key), 0.0)


def _latent(x: Around) -> Iterator[Term]:
    m, heads, layers = x.m, x.lay.heads, x.lay.softmax
    h, q, rank = m["hidden"], m["q_lora_rank"], m["kv_lora_rank"]
    rope, nope, v = m["rope_head_dim"], m["nope_head_dim"], m["v_head_dim"]
    gate = (m["q_multiplier"] - 1.0) * heads * v
    if q > 0.0:
        yield from x.gemm(layers, q + rank + rope + gate, h)
        yield from x.gemm(layers, heads * (nope + rope), q)
    else:
        yield from x.gemm(layers, heads * (nope + rope) + rank + rope + gate, h)
    yield from x.gemm(layers, heads * (nope + v), rank)
    yield from x.gemm(layers, h, heads * v)
    yield x.cache(layers, (heads + 1.0) * rope, rank + rope)


def _heads(x: Around) -> Iterator[Term]:
    for group in head_groups(x.m, x.lay.tp):
        yield from x.gemm(group.layers, group.columns(x.m), x.m["hidden"])
        yield from x.gemm(group.layers, x.m["hidden"], group.of.heads * group.of.v_width)
        keys = group.of.kv_heads if group.keys else 0.0
        cached = keys * (group.of.width + group.of.v_width)
        yield x.cache(group.layers, (group.of.heads + keys) * group.of.width, cached)


def _single_key(x: Around) -> Iterator[Term]:
    m, heads, layers = x.m, x.lay.heads, x.lay.softmax
    h, q, width, low = m["hidden"], m["q_lora_rank"], m["head_dim"], m["o_lora_rank"]
    queries = heads * width
    if q > 0.0:
        yield from x.gemm(layers, q + width, h)
        yield from x.gemm(layers, queries, q)
    else:
        yield from x.gemm(layers, queries + width, h)
    if low > 0.0:
        columns = m["o_groups"] * low / x.lay.tp
        yield from x.gemm(layers, columns, m["heads"] * width / m["o_groups"])
        yield from x.gemm(layers, h, columns)
    else:
        yield from x.gemm(layers, h, queries)
    both_ways = 2.0 * m["rope_head_dim"] * heads
    yield x.cache(layers, both_ways, width)
    stored = width * STORED[x.lay.cache]
    heavy, light, indexers = m["compressed_layers"], m["selected_layers"], m["index_layers"]
    if heavy > 0.0:
        yield from x.gemm(heavy, compressor_columns(width, False), h)
        yield x.moved(heavy, compressor_bytes(width, m["compress_ratio"], False, stored))
    if light > 0.0:
        index = m["index_head_dim"]
        yield from x.gemm(light, compressor_columns(width, True), h)
        yield from x.gemm(indexers, compressor_columns(index, True), h)
        ratio = m["select_ratio"]
        yield x.moved(light, compressor_bytes(width, ratio, True, stored))
        yield x.moved(indexers, compressor_bytes(index, ratio, True, place_bytes(m)))
