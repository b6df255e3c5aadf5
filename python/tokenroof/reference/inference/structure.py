"""How engines cut a step into kernels, and which types they keep: docs/inference/step-model.md, section 7."""

from __future__ import annotations

from typing import NamedTuple

from tokenroof.reference.inference.heads import (
    compressing_layers,
    head_groups,
    softmax_layers,
)
from tokenroof.reference.inference.recurrent import mixers_of
from tokenroof.reference.records.dtypes import ACTIVATION, STORED, type_name
from tokenroof.reference.records.records import Record


def come_narrow(activations: str) -> bool:
    """Whether the kernel before writes them narrow: one scale of a whole matrix is known beforehand."""
    return activations == "fp8"


class ModuleTypes(NamedTuple):
    """Types of a kind of module; `wide_share` of its layers are wide in both."""

    weights: str
    activations: str
    wide: str
    wide_share: float

    @property
    def stored(self) -> float:
        """Bytes of an element in the mean."""
        return (1.0 - self.wide_share) * STORED[self.weights] + self.wide_share * STORED[self.wide]

    @property
    def narrowed(self) -> float:
        """Share of the layers whose activations are narrowed on their own."""
        own = ACTIVATION[self.activations] < 2.0 and not come_narrow(self.activations)
        return 1.0 - self.wide_share if own else 0.0

    def quantising(self, products: float) -> float:
        """Kernels of a layer that narrow what enters so many products.

        One in front of each where blocks have scales; of other types the norm narrows for the first.
        """
        return self.narrowed * (products if self.activations == "fp8_block" else products - 1.0)


def wide_type(plan: Record) -> str:
    """Type of what quantised checkpoints leave as it was."""
    weights = type_name(plan["weights"])
    return weights if weights in ("fp32", "tf32") else "bf16"


def _types(plan: Record, named: float, wide_share: float, usual: str = "") -> ModuleTypes:
    """Of a module for which the plan names a type, or none (below 0): then the usual one, or the weights'."""
    weights, wide = type_name(plan["weights"]), wide_type(plan)
    own = type_name(named) if named >= 0.0 else usual or weights
    activations = type_name(plan["activations"]) if own == weights else own
    return ModuleTypes(own, activations, wide, wide_share)


def mixer_types(model: Record, plan: Record) -> ModuleTypes:
    """Of the mixers: unless the plan names them, bf16 in mixtures of fewer than eight bits."""
    narrow = model["moe_layers"] > 0.0 and STORED[type_name(plan["weights"])] < 1.0
    return _types(plan, plan["attention"], plan["attention_wide"], "bf16" if narrow else "")


def mlp_types(plan: Record) -> ModuleTypes:
    """Of dense MLPs."""
    return _types(plan, -1.0, plan["mlp_wide"])


def shared_types(plan: Record) -> ModuleTypes:
    """Of shared experts."""
    return _types(plan, plan["shared_experts"], plan["shared_wide"])


def head_type(plan: Record) -> str:
    """Of the output matrix: left as it was unless the plan names a type."""
    return type_name(plan["head"]) if plan["head"] >= 0.0 else wide_type(plan)


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


def replicated_parameters(model: Record, tp: float) -> float:
    """Parameters of keys and values that a device has beyond its even share.

    Copies of a KV head, and the matrices down to low ranks and to a single key, whole on every rank.
    """
    if model["kv_lora_rank"] > 0.0 or model["single_key"] > 0.0:
        down = model["kv_lora_rank"] + model["rope_head_dim"]
        if not model["kv_lora_rank"] > 0.0:
            down = model["head_dim"]
        everywhere = softmax_layers(model) * ((model["q_lora_rank"] + down) * model["hidden"])
        return everywhere * (1.0 - 1.0 / tp)
    more = 0.0
    for own, whole in zip(head_groups(model, tp), head_groups(model, 1.0), strict=True):
        width = own.keys * own.of.width + own.values * own.of.v_width
        heads = own.of.kv_heads - whole.of.kv_heads / tp
        more += own.layers * (heads * width * model["hidden"])
    return more


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


def kernels_of_attention(calibration: Record, model: Record, plan: Record) -> float:
    """Kernels of a softmax layer's attention."""
    latent = model["kv_lora_rank"] > 0.0
    folds = 2.0 * calibration["engine.folds_narrowed"]
    attention = float(len(["qkv", "rotate and cache", "attention", "output"]))
    attention += mixer_types(model, plan).quantising(2.0 + latent * (1.0 + folds))
    if latent:
        attention += len(["norms of low ranks", "up", "fold queries", "fold results"])
    if meets_for_norms(model, plan):
        attention += len(["squares of queries and keys", "division"])
    elif model["qk_norm"] > 0.0:
        attention += len(["norms of queries and keys"])
    if model["single_key"] > 0.0 and model["q_lora_rank"] > 0.0:
        attention += len(["queries' low rank", "results' low rank"])
    return attention


def kernels_of_step(calibration: Record, model: Record, plan: Record) -> float:
    """Kernels that a step launches on each device."""
    types = mixer_types(model, plan)
    experts = ACTIVATION[type_name(plan["experts"])] < 2.0
    recurrent = 14 + types.quantising(2)
    dense = len(["gate and up", "activation", "down"]) + mlp_types(plan).quantising(2)
    mixture = len(["router", "top-k", "permute", "experts", "sum"]) + float(experts)
    if model["shared_ffn"] > 0.0:
        mixture += len(["shared expert"]) + shared_types(plan).narrowed
    if model["moe_latent"] > 0.0:
        mixture += len(["down", "up"])
    ends = ["embedding", "head"]
    return (
        len(ends)
        + model["norms"]
        + softmax_layers(model) * kernels_of_attention(calibration, model, plan)
        + kernels_around(model)
        + (model["linear_layers"] + model["mamba_layers"]) * recurrent
        + (model["dense_layers"] + model["wide_layers"]) * dense
        + model["moe_layers"] * mixture
    )


def meets_for_norms(model: Record, plan: Record) -> bool:
    """Whether ranks that hold some of the heads each sum up squares, as a norm is over all heads."""
    return model["joint_norm"] > 0.0 and plan["tp"] > 1.0


def kernels_of_experts(model: Record, plan: Record) -> float:
    """Kernels of a step that tables of experts time together: their launches are the measured form's own."""
    quantised = ACTIVATION[type_name(plan["experts"])] < 2.0
    return model["moe_layers"] * (len(["top-k", "permute", "experts", "sum"]) + float(quantised))


def reduced_norms(model: Record, plan: Record) -> float:
    """Norms of what an all-reduce has just summed up, which TensorRT-LLM has in one kernel with it.

    Of mixtures and of dense models wider than 4096 without norms of each head, two norms a layer, no
    recurrent layers; where ranks that split the heads have the same tokens.
    """
    two = model["norms"] == 2.0 * model["layers"] + 1.0 and not model["joint_norm"]
    wide = model["hidden"] > 4096.0 and not model["qk_norm"]
    recurrent = model["linear_layers"] + model["mamba_layers"]
    apart = plan["tp"] == 1.0 or plan["dp"] > 1.0
    if not two or recurrent or apart or not (wide or model["moe_layers"]):
        return 0.0
    mlps = model["dense_layers"] + model["wide_layers"] + model["moe_layers"]
    return softmax_layers(model) + mlps


def waiting_kernels(calibration: Record, model: Record, plan: Record, timed: bool) -> float:
    """Kernels in front of which a step waits; `timed`: those of experts wait in their measured form."""
    kernels = kernels_of_step(calibration, model, plan)
    if timed:
        kernels -= kernels_of_experts(model, plan)
    return kernels - calibration["engine.fused_norms"] * reduced_norms(model, plan)


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
    softmax = softmax_layers(model)
    mixers = softmax + model["linear_layers"] + model["mamba_layers"]
    apart = plan["dp"] > 1.0
    count = plan["pp"] - 1.0
    if plan["tp"] > 1.0:
        logits = 1.0
        count += mixers + model["dense_layers"] + model["wide_layers"] + logits
        if not apart:
            count += model["moe_layers"]
    if meets_for_norms(model, plan):
        count += softmax
    if apart:
        count += 2.0 * model["moe_layers"]
    if plan["cp"] > 1.0:
        count += softmax
    return count
