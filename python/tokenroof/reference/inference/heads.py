"""What layers of softmax attention have on one device: heads, and whether they make keys and values."""

from __future__ import annotations

from typing import NamedTuple

from tokenroof.reference.core.ieee import maximum
from tokenroof.reference.records.records import Record


class Heads(NamedTuple):
    """Query heads, KV heads, widths of keys and of values."""

    heads: float
    kv_heads: float
    width: float
    v_width: float


class Group(NamedTuple):
    """Layers with the same heads."""

    layers: float
    of: Heads
    keys: bool  # they make their own
    values: bool  # by a matrix of their own

    def columns(self, model: Record) -> float:
        """Of the first product: queries with their gate, keys, values, a gate of each head."""
        keys = self.of.kv_heads if self.keys else 0.0
        values = self.of.kv_heads * self.of.v_width if self.values else 0.0
        queries = model["q_multiplier"] * self.of.heads
        return (queries + keys) * self.of.width + values + model["head_gate"] * self.of.heads


def full_heads(model: Record, tp: float) -> Heads:
    """Of layers that see everything; KV heads are replicated beyond their number."""
    kv_heads = maximum(model["kv_heads"] / tp, 1.0)
    return Heads(model["heads"] / tp, kv_heads, model["head_dim"], model["v_head_dim"])


def window_heads(model: Record, tp: float) -> Heads:
    """Of layers with windows."""
    kv_heads = maximum(model["window_kv_heads"] / tp, 1.0)
    return Heads(
        model["window_heads"] / tp, kv_heads, model["window_head_dim"], model["window_v_head_dim"]
    )


def plain_layers(model: Record) -> float:
    """Layers that see all tokens or a window of them."""
    return model["full_layers"] + model["window_layers"]


def compressing_layers(model: Record) -> float:
    """Layers that see compressed keys."""
    return model["compressed_layers"] + model["selected_layers"]


def softmax_layers(model: Record) -> float:
    """All layers of softmax attention."""
    return plain_layers(model) + compressing_layers(model)


def head_groups(model: Record, tp: float) -> list[Group]:
    """Groups of layers alike; one, where all are."""
    own = not model["tied_values"] > 0.0
    full, windows = full_heads(model, tp), window_heads(model, tp)
    shared, slid = model["shared_full_layers"], model["shared_window_layers"]
    names = ("heads", "kv_heads", "head_dim", "v_head_dim")
    alike = all(model[name] == model[f"window_{name}"] for name in names)
    if own and shared + slid == 0.0 and (alike or not model["window_layers"] > 0.0):
        groups = [Group(plain_layers(model), full, True, True)]
    else:
        groups = [
            Group(model["full_layers"] - shared, full, True, own),
            Group(shared, full, False, False),
            Group(model["window_layers"] - slid, windows, True, True),
            Group(slid, windows, False, False),
        ]
    return [group for group in groups if group.layers > 0.0]
