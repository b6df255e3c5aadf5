"""How engines cut a step into kernels, and which types they keep: docs/inference/step-model.md, section 7."""

from __future__ import annotations

from tokenroof.reference.inference.heads import (
    compressing_layers,
    head_groups,
    softmax_layers,
)
from tokenroof.reference.inference.recurrent import mixers_of
from tokenroof.reference.records.dtypes import ACTIVATION, STORED, type_name
from tokenroof.reference.records.records import Record


def mixer_types(model: Record, plan: Record) -> tuple[str, str]:
    """Types of weights and activations of the mixers: bf16 in mixtures of fewer than eight bits."""
    weights, activations = type_name(plan["weights"]), type_name(plan["activations"])
    if model["moe_layers"] > 0.0 and STORED[weights] < 1.0:
        return "bf16", "bf16"
    return weights, activations


def softmax_parameters(model: Record) -> float:
    """Parameters of attention's projections, over all layers."""
    h, heads, layers = model["hidden"], model["heads"], softmax_layers(model)
    q, rank = model["q_lora_rank"], model["kv_lora_rank"]
    if rank > 0.0:
        rope, out = model["rope_head_dim"], heads * model["v_head_dim"]
        queries = heads * (model["nope_head_dim"] + rope)
        layer = (q + rank + rope) * h + queries * q if q > 0.0 else (queries + rank + rope) * h
        layer = layer + heads * (model["nope_head_dim"] + model["v_head_dim"]) * rank
        return layers * (layer + h * out * model["q_multiplier"])
    if model["single_key"] > 0.0:
        width, low = model["head_dim"], model["o_lora_rank"]
        queries = heads * width
        layer = (q + width) * h + queries * q if q > 0.0 else (queries + width) * h
        layer = layer + (queries * low + model["o_groups"] * low * h if low > 0.0 else queries * h)
        pairs = model["compressed_layers"] + 2.0 * model["selected_layers"]
        return layers * layer + pairs * (2.0 * width * h)
    total = 0.0
    for group in head_groups(model, 1.0):
        total += group.layers * ((group.columns(model) + group.of.heads * group.of.v_width) * h)
    return total


def mixer_parameters(model: Record) -> float:
    """Parameters of attention's, linear attention's and Mamba's projections, over all layers."""
    h = model["hidden"]
    (linear_layers, linear), (mamba_layers, mamba) = mixers_of(model, 1.0)
    return (
        softmax_parameters(model)
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
    if model["single_key"] > 0.0 and model["q_lora_rank"] > 0.0:
        attention += ["queries' low rank", "results' low rank"]
    recurrent = ["kernel"] * 14 + ["quantise"] * quantised_mixer
    dense = ["gate and up", "activation", "down"] + ["quantise"] * quantised_mlp
    mixture = ["router", "top-k", "permute", "experts", "sum"] + ["quantise"] * quantised_experts
    if model["shared_ffn"] > 0.0:
        mixture += ["shared expert"] + ["quantise"] * quantised_mlp
    if model["moe_latent"] > 0.0:
        mixture += ["down", "up"]
    ends = ["embedding", "head"]
    return (
        len(ends)
        + model["norms"]
        + softmax_layers(model) * len(attention)
        + kernels_around(model)
        + (model["linear_layers"] + model["mamba_layers"]) * len(recurrent)
        + (model["dense_layers"] + model["wide_layers"]) * len(dense)
        + model["moe_layers"] * len(mixture)
    )


def kernels_around(model: Record) -> float:
    """Indexers, compressors, and what stands around the halves of layers."""
    layers = model["layers"]
    count = model["index_layers"] * 13.0 if model["index_topk"] > 0.0 else 0.0
    count += compressing_layers(model) * len(["projection", "mean", "cache"])
    count += model["stream_mixes"] * len(["weights of the mix", "gather and spread"])
    if model["residual_slots"] > 0.0:
        count += 2.0 * layers
    if model["layer_embedding"] > 0.0:
        count += layers * len(["gate", "product", "projection"]) + len(["lookup", "projection"])
    if model["laurel_rank"] > 0.0:
        count += layers * len(["down", "up"])
    return count


def collectives_of_step(model: Record, plan: Record) -> float:
    """Collectives of a step: after each mixer and MLP, around the experts, between stages."""
    softmax = softmax_layers(model)
    mixers = softmax + model["linear_layers"] + model["mamba_layers"]
    apart = plan["dp"] > 1.0
    count = plan["pp"] - 1.0
    if plan["tp"] > 1.0:
        logits = 1.0
        count += mixers + model["dense_layers"] + model["wide_layers"] + logits
        if not apart:
            count += model["moe_layers"]
    if apart:
        count += 2.0 * model["moe_layers"]
    if plan["cp"] > 1.0:
        count += softmax
    return count
