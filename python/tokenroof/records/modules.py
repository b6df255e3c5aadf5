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
    softmax = m.full_layers + m.window_layers
    if softmax:
        yield from _attention(m, range(softmax), softmax == m.layers)
    yield from _recurrent(m)
    mixed = m.dense_layers + m.moe_layers == m.layers
    if m.dense_layers:
        yield from _gated(m, "mlp", _of(("mlp", "feed_forward", "ffn", "mixer")), m.ffn,
                          range(m.dense_layers), mixed)  # fmt: skip
    if m.moe_layers:
        places = range(m.layers - m.moe_layers, m.layers) if mixed else range(m.moe_layers)
        experts = tuple(f"{p}.experts.0" for p in _MIXTURES)
        yield from _gated(m, "experts", experts, m.moe_ffn, places, mixed, m.experts)
        gates = _names(_MIXTURES, ("gate", "router", "gate.wg", "gate_proj_router"))
        yield Matrix("router", gates, m.experts, h, places, placed=mixed)
        if m.shared_ffn:
            shared = tuple(
                f"{p}.{s}" for p in _MIXTURES for s in ("shared_experts", "shared_expert")
            )
            yield from _gated(m, "shared_experts", shared, m.shared_ffn, places, mixed)
    yield Matrix(
        "head", ("lm_head", "head", "language_model.lm_head", "output"), m.vocab, h, range(1)
    )


def _of(places: tuple[str, ...]) -> tuple[str, ...]:
    return places


def _names(places: tuple[str, ...], ends: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{place}.{end}" for end in ends for place in places)


def _gated(
    m: Shapes, module: str, places: tuple[str, ...], width: int, layers: range, placed: bool,
    each: int = 1,
) -> Iterator[Matrix]:  # fmt: skip
    """The matrices of an MLP: gate, where it has one, up and down."""
    ups = [("gate_proj", "w1", "gate_up_proj"), ("up_proj", "w3", "gate_up_proj")]
    for ends in ups[3 - m.mlp_matrices :] if m.mlp_matrices == 2 else ups:
        names = _names(places, (*ends, "fc1", "c_fc"))
        yield Matrix(module, names, width, m.hidden, layers, each, placed)
    down = _names(places, ("down_proj", "w2", "fc2", "c_proj"))
    yield Matrix(module, down, m.hidden, width, layers, each, placed)


def _attention(m: Shapes, layers: range, placed: bool) -> Iterator[Matrix]:
    h, heads = m.hidden, m.heads

    def one(rows: int, columns: int, *ends: str) -> Matrix:
        return Matrix("attention", _names(_PLACES, ends), rows, columns, layers, 1, placed)

    if m.kv_lora_rank:
        nope, rope, rank = m.nope_head_dim, m.rope_head_dim, m.kv_lora_rank
        if m.q_lora_rank:
            yield one(m.q_lora_rank, h, "q_a_proj", "wq_a")
            yield one(heads * (nope + rope), m.q_lora_rank, "q_b_proj", "wq_b")
        else:
            yield one(heads * (nope + rope), h, "q_proj", "wq")
        yield one(rank + rope, h, "kv_a_proj_with_mqa", "wkv_a")
        yield one(heads * (nope + m.v_head_dim), rank, "kv_b_proj", "wkv_b")
    else:
        yield one(m.q_multiplier * heads * m.head_dim, h, "q_proj", "wq", *_FUSED)
        yield one(m.kv_heads * m.head_dim, h, "k_proj", "wk", *_FUSED)
        yield one(m.kv_heads * m.v_head_dim, h, "v_proj", "wv", *_FUSED)
    yield one(h, heads * m.v_head_dim, "o_proj", "wo", "dense", "out_proj", "c_proj")
    if m.index_topk:
        yield one(m.index_heads * m.index_head_dim, m.q_lora_rank or h, "indexer.wq_b")
        yield one(m.index_head_dim, h, "indexer.wk")


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
        into = 2 * inner + 2 * m.mamba_groups * m.mamba_state + m.mamba_heads
        layers, places = range(m.mamba_layers), ("mixer", "mamba")
        yield Matrix("linear_attention", _names(places, ("in_proj",)), into, h, layers, 1, False)
        yield Matrix("linear_attention", _names(places, ("out_proj",)), h, inner, layers, 1, False)
