"""What the fullest device of a replica must hold (docs/inference/step-model.md, section 6)."""

from __future__ import annotations

import math

from tokenroof.reference.core.ieee import maximum, minimum
from tokenroof.reference.inference.layout import Layout, share
from tokenroof.reference.inference.operators import NO_WINDOW
from tokenroof.reference.inference.recurrent import mixers_of
from tokenroof.reference.inference.sparse_attention import index_key_bytes
from tokenroof.reference.inference.structure import mixer_parameters
from tokenroof.reference.records.dtypes import STORED
from tokenroof.reference.records.records import Record, takes_records

__all__ = ["memory_required", "sequence_bytes", "weight_bytes"]


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
    return (
        (rest * each + beyond) / (lay.tp * lay.pp)
        + routed * STORED[lay.experts] / spread
        + ends / lay.tp
        + model["tower_parameters"] * wide / lay.tp
    )


@takes_records("model", "plan")
def sequence_bytes(model: Record, plan: Record, context: float) -> float:
    """Cache and state of one sequence on one device."""
    lay = Layout(model, plan)
    latent = model["kv_lora_rank"] > 0.0
    values = (
        model["kv_lora_rank"] + model["rope_head_dim"]
        if latent
        else lay.kv_heads * (model["head_dim"] + model["v_head_dim"])
    )
    stored = STORED[lay.cache]
    sparse = model["index_topk"] > 0.0
    key = index_key_bytes(model["index_head_dim"]) if sparse else 0.0
    window = model["window"] if model["window"] > 0.0 else NO_WINDOW
    full = model["full_layers"] * context * (values * stored + key)
    windowed = model["window_layers"] * minimum(context, window) * values * stored
    held = 0.0
    for layers, mixer in mixers_of(model, lay.tp):
        held += layers * mixer.state_bytes
    return ((full + windowed) / lay.cp + held) / lay.pp


@takes_records("model", "plan")
def memory_required(model: Record, plan: Record, batch: float, context: float) -> float:
    """Weights, and the caches of an even share of the sequences."""
    if not (batch >= 0.0 and context >= 0.0):
        return math.nan
    resident = share(batch, plan["dp"]) * sequence_bytes(model, plan, context)
    return weight_bytes(model, plan) + resident
