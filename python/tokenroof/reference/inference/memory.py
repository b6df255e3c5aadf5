"""What the fullest device of a replica must hold (docs/inference/step-model.md, section 6)."""

from __future__ import annotations

import math

from tokenroof.reference.core.ieee import maximum, minimum
from tokenroof.reference.inference.compressed_attention import held
from tokenroof.reference.inference.heads import Heads
from tokenroof.reference.inference.layout import Layout, share
from tokenroof.reference.inference.operators import NO_WINDOW
from tokenroof.reference.inference.recurrent import mixers_of
from tokenroof.reference.inference.sparse_attention import index_key_bytes
from tokenroof.reference.inference.structure import mixer_parameters, replicated_parameters
from tokenroof.reference.records.dtypes import STORED
from tokenroof.reference.records.records import Record, takes_records

__all__ = ["memory_required", "sequence_bytes", "weight_bytes", "workspace_bytes"]


@takes_records("model", "plan")
def weight_bytes(model: Record, plan: Record) -> float:
    """Weights on the fullest device: an even share of layers and heads, and its end of the model."""
    lay = Layout(model, plan)
    embedding, head = model["embedding_parameters"], model["head_parameters"]
    routed = model["routed_parameters"]
    rest = model["parameters"] - routed - embedding - head
    each, wide = STORED[lay.weights], STORED[lay.wide]
    table, output = embedding * wide, head * STORED[lay.head]
    ends = maximum(table, output) if lay.pp > 1.0 else table + output
    spread = plan["moe_tp"] * plan["moe_ep"] * lay.pp
    mlp = model["mlp_matrices"] * model["hidden"]
    beyond = (
        mixer_parameters(model) * (lay.mixers.stored - each)
        + model["dense_layers"] * (mlp * model["ffn"]) * (lay.mlp.stored - each)
        + model["moe_layers"] * (mlp * model["shared_ffn"]) * (lay.shared.stored - each)
    )
    copies = replicated_parameters(model, lay.tp) * lay.mixers.stored
    return (
        (rest * each + beyond) / (lay.tp * lay.pp)
        + copies / lay.pp
        + routed * STORED[lay.experts] / spread
        + ends / lay.tp
        + model["tower_parameters"] * wide / lay.tp
    )


def token_bytes(model: Record, of: Heads, stored: float) -> float:
    """A layer's cached key and value of one token."""
    if model["kv_lora_rank"] > 0.0:
        return (model["kv_lora_rank"] + model["rope_head_dim"]) * stored
    if model["single_key"] > 0.0:
        return of.width * stored
    return of.kv_heads * (of.width + of.v_width) * stored


@takes_records("model", "plan")
def workspace_bytes(model: Record, plan: Record) -> float:
    """Rows of a mixture's products for the prompts of the other attention ranks, 8,192 tokens of each."""
    if not model["moe_layers"] > 0.0:
        return 0.0
    pairs = (plan["dp"] - 1.0) * 8192.0 * model["topk"]
    width = model["moe_ffn"] / plan["moe_tp"]
    return pairs * 2.0 * (model["hidden"] + model["mlp_matrices"] * width)


@takes_records("model", "plan")
def sequence_bytes(model: Record, plan: Record, context: float, windows: bool = True) -> float:
    """Cache and state of one sequence on one device; windowed layers keep their window, or everything."""
    lay = Layout(model, plan)
    stored = STORED[lay.cache]
    token = token_bytes(model, lay.full, stored)
    slid = token_bytes(model, lay.windows, stored)
    key = index_key_bytes(model["index_head_dim"]) if model["index_topk"] > 0.0 else 0.0
    keys = context / model["select_ratio"] if model["selected_layers"] > 0.0 else context
    window = model["window"] if windows and model["window"] > 0.0 else NO_WINDOW
    own = model["window_layers"] - model["shared_window_layers"]
    cached = (model["full_layers"] - model["shared_full_layers"]) * context * token
    cached = cached + model["index_layers"] * keys * key
    cached = cached + own * minimum(context, window) * slid
    cached = cached + held(model, window, token, context)
    states = 0.0
    for layers, mixer in mixers_of(model, lay.tp):
        states += layers * mixer.state_bytes
    return (cached / lay.cp + states) / lay.pp


@takes_records("model", "plan")
def memory_required(model: Record, plan: Record, batch: float, context: float) -> float:
    """Weights, and the caches of an even share of the sequences."""
    if not (batch >= 0.0 and context >= 0.0):
        return math.nan
    resident = share(batch, plan["dp"]) * sequence_bytes(model, plan, context)
    return weight_bytes(model, plan) + workspace_bytes(model, plan) + resident
