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

__all__ = ["memory_required", "sequence_bytes", "weight_bytes", "workspace_bytes"]


@takes_records("model", "plan")
def weight_bytes(model: Record, plan: Record) -> float:
    """Weights on the fullest device: an even share of layers and heads, and its end of the model."""
    lay = Layout(model, plan)
    embedding, head = model["embedding_parameters"], model["head_parameters"]
    routed = model["routed_parameters"]
    rest = model["parameters"] - routed - embedding - head
    ends = maximum(embedding, head) if lay.pp > 1.0 else embedding + head
    spread = plan["moe_tp"] * plan["moe_ep"] * lay.pp
    wide = mixer_parameters(model) * (STORED[lay.mixers] - STORED[lay.weights])
    return (
        (rest * STORED[lay.weights] + wide) / (lay.tp * lay.pp)
        + routed * STORED[lay.experts] / spread
        + ends * STORED[lay.ends] / lay.tp
    )


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
    latent = model["kv_lora_rank"] > 0.0
    values = (
        model["kv_lora_rank"] + model["rope_head_dim"]
        if latent
        else lay.kv_heads * (model["head_dim"] + model["v_head_dim"])
    )
    stored = STORED[lay.cache]
    sparse = model["index_topk"] > 0.0
    key = index_key_bytes(model["index_head_dim"]) if sparse else 0.0
    window = model["window"] if windows and model["window"] > 0.0 else NO_WINDOW
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
    return weight_bytes(model, plan) + workspace_bytes(model, plan) + resident
