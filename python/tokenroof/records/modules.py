"""The matrices of a model by module: their shapes, how many there are, what checkpoints call them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
    softmax = m.softmax_layers
    if softmax:
        yield from _attention(m, range(softmax), softmax == m.layers)
    yield from _recurrent(m)
    mixed = m.dense_layers + m.moe_layers == m.layers
    if m.wide_layers:
        yield from _gated(
            m, "mlp", _of(("mlp", "feed_forward")), m.wide_ffn, range(m.wide_layers), False
        )
    if m.dense_layers:
        yield from _gated(m, "mlp", _of(("mlp", "feed_forward", "ffn", "mixer")), m.ffn,
                          range(m.dense_layers), mixed)  # fmt: skip
    if m.moe_layers:
        places = range(m.layers - m.moe_layers, m.layers) if mixed else range(m.moe_layers)
        experts = tuple(f"{p}.experts.0" for p in _MIXTURES)
        seen = m.moe_latent or h
        yield from _gated(m, "experts", experts, m.moe_ffn, places, mixed, m.experts, seen)
        gates = _names(_MIXTURES, ("gate", "router", "gate.wg", "gate_proj_router"))
        yield Matrix("router", gates, m.experts + m.zero_experts, h, places, placed=mixed)
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
    each: int = 1, hidden: int = 0,
) -> Iterator[Matrix]:  # fmt: skip
    """The matrices of an MLP: gate, where it has one, up and down."""
    h = hidden or m.hidden
    ups = [("gate_proj", "w1", "gate_up_proj"), ("up_proj", "w3", "gate_up_proj")]
    for ends in ups[3 - m.mlp_matrices :] if m.mlp_matrices == 2 else ups:
        names = _names(places, (*ends, "fc1", "c_fc"))
        yield Matrix(module, names, width, h, layers, each, placed)
    down = _names(places, ("down_proj", "w2", "fc2", "c_proj"))
    yield Matrix(module, down, h, width, layers, each, placed)


_OUTPUT = ("o_proj", "wo", "dense", "out_proj", "c_proj")


def _attention(m: Shapes, layers: range, placed: bool) -> Iterator[Matrix]:
    h = m.hidden

    def one(rows: int, columns: int, *ends: str) -> Matrix:
        return Matrix("attention", _names(_PLACES, ends), rows, columns, layers, 1, placed)

    if m.kv_lora_rank:
        yield from _latent(m, one)
    elif m.single_key:
        yield from _single_key(m, one)
    else:
        yield from _heads(m, layers, placed)
    if m.index_topk:
        indexers = range(m.index_layers)
        for rows, columns, name in (
            (m.index_heads * m.index_head_dim, m.q_lora_rank or h, "indexer.wq_b"),
            (m.index_head_dim, h, "indexer.wk"),
        ):
            if name == "indexer.wq_b" or not m.selected_layers:  # a compressor's stays as it was
                yield Matrix("attention", _names(_PLACES, (name,)), rows, columns, indexers, 1,
                             placed and m.index_layers == len(layers))  # fmt: skip


def _latent(m: Shapes, one: Callable[..., Matrix]) -> Iterator[Matrix]:
    h, heads, nope, rope, rank = m.hidden, m.heads, m.nope_head_dim, m.rope_head_dim, m.kv_lora_rank
    if m.q_lora_rank:
        yield one(m.q_lora_rank, h, "q_a_proj", "wq_a")
        yield one(heads * (nope + rope), m.q_lora_rank, "q_b_proj", "wq_b")
    else:
        yield one(heads * (nope + rope), h, "q_proj", "wq")
    yield one(rank + rope, h, "kv_a_proj_with_mqa", "wkv_a")
    yield one(heads * (nope + m.v_head_dim), rank, "kv_b_proj", "wkv_b")
    if m.q_multiplier > 1:
        yield one(heads * m.v_head_dim, h, "g_proj")
    yield one(h, heads * m.v_head_dim, *_OUTPUT)


def _single_key(m: Shapes, one: Callable[..., Matrix]) -> Iterator[Matrix]:
    h, queries, low = m.hidden, m.heads * m.head_dim, m.o_groups * m.o_lora_rank
    if m.q_lora_rank:
        yield one(m.q_lora_rank, h, "q_a_proj", "wq_a")
        yield one(queries, m.q_lora_rank, "q_b_proj", "wq_b")
    else:
        yield one(queries, h, "q_proj", "wq")
    yield one(m.head_dim, h, "kv_proj", "wkv")
    if low:
        yield one(low, queries // m.o_groups, "o_a_proj", "wo_a")
        yield one(h, low, "o_b_proj", "wo_b")
    else:
        yield one(h, queries, *_OUTPUT)


def _heads(m: Shapes, layers: range, placed: bool) -> Iterator[Matrix]:
    """Layers alike together: of windows apart where their heads are others, or read another's cache."""
    names = ("heads", "kv_heads", "head_dim", "v_head_dim")
    full, windows = (
        tuple(int(getattr(m, f"{kind}{name}")) for name in names) for kind in ("", "window_")
    )
    shared, slid = m.shared_full_layers, m.shared_window_layers
    if (full == windows or not m.window_layers) and not (shared or slid or m.tied_values):
        groups = [(len(layers), full, True, True)]
    else:
        placed = False
        groups = [
            (m.full_layers - shared, full, True, not m.tied_values),
            (shared, full, m.idle_kv_weights, m.idle_kv_weights and not m.tied_values),
            (m.window_layers - slid, windows, True, True),
            (slid, windows, m.idle_kv_weights, m.idle_kv_weights),
        ]
    for count, (heads, kv_heads, width, v_width), keys, values in groups:
        own = layers if placed else range(count)
        shapes = [
            (m.q_multiplier * heads * width, m.hidden, ("q_proj", "wq", *_FUSED)),
            (kv_heads * width * keys, m.hidden, ("k_proj", "wk", *_FUSED)),
            (kv_heads * v_width * values, m.hidden, ("v_proj", "wv", *_FUSED)),
            (m.hidden, heads * v_width, _OUTPUT),
        ]  # fmt: skip
        for rows, columns, ends in shapes:
            if rows and count:
                yield Matrix("attention", _names(_PLACES, ends), rows, columns, own, 1, placed)


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
            if m.linear_full_gate:
                yield one(v, h, "g_proj")
        yield one(h, v, "out_proj", "o_proj")
    if m.mamba_layers:
        inner = m.mamba_heads * m.mamba_head_dim
        into = 2 * inner + 2 * m.mamba_groups * m.mamba_state + m.mamba_heads
        layers, places = range(m.mamba_layers), ("mixer", "mamba")
        yield Matrix("linear_attention", _names(places, ("in_proj",)), into, h, layers, 1, False)
        yield Matrix("linear_attention", _names(places, ("out_proj",)), h, inner, layers, 1, False)
