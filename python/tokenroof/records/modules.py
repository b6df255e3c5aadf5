"""The matrices of a model by module: their shapes, how many there are, what checkpoints call them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenroof.records.shapes import Shapes

__all__ = ["Matrix", "matrices"]

# What stands in front of a layer's modules, and in front of the ends, in checkpoints.
_LAYERS = ("model.layers.{}.", "model.language_model.layers.{}.", "language_model.model.layers.{}.",
           "backbone.layers.{}.", "layers.{}.", "transformer.h.{}.")  # fmt: skip
_PLACES = ("self_attn", "attn", "attention", "mixer", "self_attention")
_FUSED = ("qkv_proj", "query_key_value", "Wqkv", "c_attn", "qkv")
_OUTPUTS = ("o_proj", "wo", "dense", "out_proj", "c_proj")
_DENSE = ("mlp", "feed_forward", "ffn", "mixer")
_MIXTURES = ("mlp", "feed_forward", "block_sparse_moe", "ffn", "mixer", "moe")


@dataclass(frozen=True, slots=True)
class Matrix:
    """One matrix of a layer, or of an end of the model.

    Attributes
    ----------
    module : str
        attention, linear_attention, mlp, shared_experts, experts, router or head.
    names : tuple of str
        Its names within a layer; of an end its whole names.
    rows, columns : int
        Outputs and inputs.
    layers : range
        Layers that have it; where their places are not known, as many as there are.
    each : int
        Matrices of this shape in one layer.
    placed : bool
        Whether `layers` are their places.
    """

    module: str
    names: tuple[str, ...]
    rows: int
    columns: int
    layers: range
    each: int = 1
    placed: bool = True

    def names_in(self, layer: int) -> Iterator[str]:
        """Names of the matrix of this layer."""
        if self.module == "head":
            yield from self.names
            return
        for prefix in _LAYERS:
            for name in self.names:
                yield prefix.format(layer) + name


def matrices(m: Shapes) -> Iterator[Matrix]:
    """All matrices but the input table, which no checkpoint quantises.

    Examples
    --------
    >>> from tokenroof.records.shapes import Shapes
    >>> tiny = Shapes(name="tiny", hidden=64, vocab=100, layers=2, heads=4, ffn=256)
    >>> [(x.names[0], x.rows, x.columns, len(x.layers)) for x in matrices(tiny)][:2]
    [('self_attn.q_proj', 64, 64, 2), ('self_attn.k_proj', 64, 64, 2)]
    """
    h = m.hidden
    yield from _attention(m)
    yield from _indexer(m)
    yield from _recurrent(m)
    mixed = m.dense_layers + m.moe_layers == m.layers
    if m.dense_layers:
        yield from _gated(m, "mlp", _DENSE, (m.ffn, h), range(m.dense_layers), mixed)
    if m.wide_layers:
        yield from _gated(m, "mlp", _DENSE, (m.wide_ffn, h), range(m.wide_layers), False)
    if m.moe_layers:
        places = range(m.layers - m.moe_layers, m.layers) if mixed else range(m.moe_layers)
        experts = tuple(f"{p}.experts.0" for p in _MIXTURES)
        sizes = m.moe_ffn, m.moe_latent or h
        yield from _gated(m, "experts", experts, sizes, places, mixed, m.experts)
        gates = _names(_MIXTURES, ("gate", "router", "gate.wg"))
        yield Matrix("router", gates, m.experts + m.zero_experts, h, places, placed=mixed)
        if m.shared_ffn:
            kinds = ("shared_experts", "shared_expert")
            shared = tuple(f"{p}.{s}" for p in _MIXTURES for s in kinds)
            yield from _gated(m, "shared_experts", shared, (m.shared_ffn, h), places, mixed)
    if not m.headless:
        yield Matrix(
            "head", ("lm_head", "head", "language_model.lm_head", "output"), m.vocab, h, range(1)
        )


def _names(places: tuple[str, ...], ends: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{place}.{end}" for end in ends for place in places)


def _gated(
    m: Shapes, module: str, places: tuple[str, ...], sizes: tuple[int, int], layers: range,
    placed: bool, each: int = 1,
) -> Iterator[Matrix]:  # fmt: skip
    """The matrices of an MLP of a width over inputs: gate, where it has one, up and down."""
    width, inputs = sizes
    ups = [("gate_proj", "w1", "gate_up_proj"), ("up_proj", "w3", "gate_up_proj")]
    for ends in ups[3 - m.mlp_matrices :]:
        names = _names(places, (*ends, "fc1", "c_fc"))
        yield Matrix(module, names, width, inputs, layers, each, placed)
    down = _names(places, ("down_proj", "w2", "fc2", "c_proj"))
    yield Matrix(module, down, inputs, width, layers, each, placed)


def _attention(m: Shapes) -> Iterator[Matrix]:
    """Projections of softmax attention: of latents, of one key for all heads, or of keys per head."""
    every = range(m.softmax_layers)
    placed = m.softmax_layers == m.layers
    if not every:
        return
    if m.kv_lora_rank:
        yield from _of(every, placed, *_latent(m))
    elif m.single_key:
        yield from _of(every, placed, *_single_key(m))
        for layers, series in ((m.selected_layers, 2), (m.compressed_layers, 1)):
            if layers:
                rows = series * m.head_dim, m.hidden
                yield from _of(
                    range(layers), False, (*rows, "compressor.wkv"), (*rows, "compressor.wgate")
                )
    else:
        yield from _heads(m, placed)


def _of(layers: range, placed: bool, *matrices: tuple[int | str, ...]) -> Iterator[Matrix]:
    """Matrices of attention: outputs, inputs, then their names."""
    for rows, columns, *ends in matrices:
        names = _names(_PLACES, tuple(map(str, ends)))
        yield Matrix("attention", names, int(rows), int(columns), layers, 1, placed)


def _latent(m: Shapes) -> Iterator[tuple[int | str, ...]]:
    h, heads, rank = m.hidden, m.heads, m.kv_lora_rank
    queries = heads * (m.nope_head_dim + m.rope_head_dim)
    if m.q_lora_rank:
        yield m.q_lora_rank, h, "q_a_proj", "wq_a"
        yield queries, m.q_lora_rank, "q_b_proj", "wq_b"
    else:
        yield queries, h, "q_proj", "wq"
    yield rank + m.rope_head_dim, h, "kv_a_proj_with_mqa", "wkv_a"
    yield heads * (m.nope_head_dim + m.v_head_dim), rank, "kv_b_proj", "wkv_b"
    yield h, heads * m.v_head_dim, "o_proj", "wo", "out_proj"
    if m.q_multiplier > 1:
        yield heads * m.v_head_dim, h, "g_proj"


def _single_key(m: Shapes) -> Iterator[tuple[int | str, ...]]:
    h, queries = m.hidden, m.heads * m.head_dim
    if m.q_lora_rank:
        yield m.q_lora_rank, h, "wq_a", "q_a_proj"
        yield queries, m.q_lora_rank, "wq_b", "q_b_proj"
    else:
        yield queries, h, "wq", "q_proj"
    yield m.head_dim, h, "wkv", "kv_proj"
    if m.o_lora_rank:  # groups of heads, each over its own queries
        yield m.o_groups * m.o_lora_rank, queries // m.o_groups, "wo_a", "o_a_proj"
        yield h, m.o_groups * m.o_lora_rank, "wo_b", "o_b_proj"
    else:
        yield h, queries, "wo", "o_proj"


def _heads(m: Shapes, placed: bool) -> Iterator[Matrix]:
    h = m.hidden
    for kind, layers, shared in (
        ("", m.full_layers, m.shared_full_layers),
        ("window_", m.window_layers, m.shared_window_layers),
    ):
        if not layers:
            continue
        heads, kv_heads, width, v_width = (
            int(getattr(m, f"{kind}{x}")) for x in ("heads", "kv_heads", "head_dim", "v_head_dim")
        )
        every = range(layers)
        own = every if m.idle_kv_weights else range(layers - shared)
        yield from _of(every, placed, (m.q_multiplier * heads * width, h, "q_proj", "wq", *_FUSED))
        yield from _of(own, placed, (kv_heads * width, h, "k_proj", "wk", *_FUSED))
        if kind or not m.tied_values:
            yield from _of(own, placed, (kv_heads * v_width, h, "v_proj", "wv", *_FUSED))
        yield from _of(every, placed, (h, heads * v_width, *_OUTPUTS))


def _indexer(m: Shapes) -> Iterator[Matrix]:
    if not (m.index_topk and m.index_layers):
        return
    layers = range(m.index_layers)
    placed = m.index_layers == m.layers
    wide = m.index_heads * m.index_head_dim, m.q_lora_rank or m.hidden
    yield from _of(layers, placed, (*wide, "indexer.wq_b", "index_q_proj"))
    if not m.selected_layers:
        yield from _of(layers, placed, (m.index_head_dim, m.hidden, "indexer.wk", "index_k_proj"))


def _recurrent(m: Shapes) -> Iterator[Matrix]:
    h = m.hidden
    if m.linear_layers:
        k, v = m.linear_key_heads * m.linear_key_dim, m.linear_value_heads * m.linear_value_dim
        layers, places = range(m.linear_layers), ("linear_attn", "self_attn")
        wide = ("in_proj_qkvz", "in_proj_qkv", "in_proj_z", "q_proj")
        gates = ("in_proj_ba", "in_proj_b", "in_proj_a", "b_proj")

        def one(rows: int, columns: int, *ends: str) -> Matrix:
            names = _names(places, ends)
            return Matrix("linear_attention", names, rows, columns, layers, 1, False)

        if not m.linear_gate_rank:
            yield one(2 * k + 2 * v, h, *wide)
            yield one(2 * m.linear_value_heads, h, *gates)
        else:
            yield one(2 * k + v, h, "q_proj", "k_proj", "v_proj")
        yield one(h, v, "out_proj", "o_proj")
    if m.mamba_layers:
        inner = m.mamba_heads * m.mamba_head_dim
        if not m.mamba_state:  # a gated short convolution
            into = 3 * inner
        elif m.mamba_rank:
            into = 2 * inner
        else:
            into = 2 * inner + 2 * m.mamba_groups * m.mamba_state + m.mamba_heads
        layers, mixers = range(m.mamba_layers), ("mixer", "mamba", "conv")
        yield Matrix("linear_attention", _names(mixers, ("in_proj",)), into, h, layers, 1, False)
        yield Matrix("linear_attention", _names(mixers, ("out_proj",)), h, inner, layers, 1, False)
