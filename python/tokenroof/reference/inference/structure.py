"""How engines cut a step into kernels, and which types they keep: docs/inference/step-model.md, section 7."""

from __future__ import annotations

from tokenroof.reference.inference.recurrent import mixers_of
from tokenroof.reference.records.dtypes import ACTIVATION, STORED, type_name
from tokenroof.reference.records.records import Record


def mixer_types(model: Record, plan: Record) -> tuple[str, str]:
    """Types of weights and activations of the mixers: bf16 in mixtures of fewer than eight bits."""
    weights, activations = type_name(plan["weights"]), type_name(plan["activations"])
    if model["moe_layers"] > 0.0 and STORED[weights] < 1.0:
        return "bf16", "bf16"
    return weights, activations


def mixer_parameters(model: Record) -> float:
    """Parameters of attention's, linear attention's and Mamba's projections, over all layers."""
    h, heads = model["hidden"], model["heads"]
    if model["kv_lora_rank"] > 0.0:
        q, rank, rope = model["q_lora_rank"], model["kv_lora_rank"], model["rope_head_dim"]
        queries = heads * (model["nope_head_dim"] + rope)
        layer = (q + rank + rope) * h + queries * q if q > 0.0 else (queries + rank + rope) * h
        layer += heads * (model["nope_head_dim"] + model["v_head_dim"]) * rank
    else:
        columns = (model["q_multiplier"] * heads + model["kv_heads"]) * model["head_dim"]
        layer = (columns + model["kv_heads"] * model["v_head_dim"]) * h
    layer += h * heads * model["v_head_dim"]
    softmax = model["full_layers"] + model["window_layers"]
    (linear_layers, linear), (mamba_layers, mamba) = mixers_of(model, 1.0)
    return (
        softmax * layer
        + linear_layers
        * ((linear.columns + linear.out) * h + linear.gate_columns * linear.gate_rank)
        + mamba_layers * (mamba.columns + mamba.out) * h
    )


def kernels_of_step(model: Record, plan: Record) -> float:
    """Kernels that a step launches on each device."""
    _, activations = mixer_types(model, plan)
    quantised_mixer = ACTIVATION[activations] < 2.0
    quantised_mlp = ACTIVATION[type_name(plan["activations"])] < 2.0
    quantised_experts = ACTIVATION[type_name(plan["experts"])] < 2.0
    attention = ["qkv", "rotate and cache", "attention", "output"] + ["quantise"] * quantised_mixer
    if model["kv_lora_rank"] > 0.0:
        attention += ["up", "fold queries", "fold results"] + ["quantise"] * quantised_mixer
    if model["index_topk"] > 0.0:
        attention += ["indexer"] * 13
    recurrent = ["kernel"] * 14 + ["quantise"] * quantised_mixer
    dense = ["gate and up", "activation", "down"] + ["quantise"] * quantised_mlp
    mixture = ["router", "top-k", "permute", "experts", "sum"] + ["quantise"] * quantised_experts
    if model["shared_ffn"] > 0.0:
        mixture += ["shared expert"] + ["quantise"] * quantised_mlp
    ends = ["embedding", "head"]
    return (
        len(ends)
        + model["norms"]
        + (model["full_layers"] + model["window_layers"]) * len(attention)
        + (model["linear_layers"] + model["mamba_layers"]) * len(recurrent)
        + model["dense_layers"] * len(dense)
        + model["moe_layers"] * len(mixture)
    )


def sends_to_experts(device: Record, model: Record, plan: Record) -> bool:
    """Whether an all-to-all takes tokens to the ranks of their experts alone; else each gathers all.

    Where a token has fewer experts than there are ranks, and the link's domain or the group is wider
    than a host of eight.
    """
    wide = device["link_domain_size"] > 8.0 or plan["tp"] * plan["dp"] > 8.0
    return plan["dp"] > 1.0 and plan["moe_ep"] > model["topk"] and wide


def gathered_bytes(experts: str) -> float:
    """Bytes of a gathered value: narrowed before, but for blocks of FP8."""
    return 2.0 if experts == "fp8_block" else ACTIVATION[experts]


def collectives_of_step(model: Record, plan: Record) -> float:
    """Collectives of a step: after each mixer and MLP, around the experts, between stages."""
    softmax = model["full_layers"] + model["window_layers"]
    mixers = softmax + model["linear_layers"] + model["mamba_layers"]
    apart = plan["dp"] > 1.0
    count = plan["pp"] - 1.0
    if plan["tp"] > 1.0:
        logits = 1.0
        count += mixers + model["dense_layers"] + logits
        if not apart:
            count += model["moe_layers"]
    if apart:
        count += 2.0 * model["moe_layers"]
    if plan["cp"] > 1.0:
        count += softmax
    return count
