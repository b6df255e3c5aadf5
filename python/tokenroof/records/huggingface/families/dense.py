"""Dense models with gated MLPs: Llama and what follows it."""

from __future__ import annotations

from tokenroof.records.huggingface.families.blocks import (
    all_full,
    gated,
    sliding,
    sliding_pattern,
)
from tokenroof.records.huggingface.families.table import family
from tokenroof.records.huggingface.reader import LARGEST_SIZE, Reader, Values
from tokenroof.support.arguments import shown


def biased(r: Reader) -> Values:
    """Llama's layers, and its two switches for biases."""
    bias = r.flag("attention_bias")
    return {**gated(r), "qkv_bias": bias, "out_bias": bias, "mlp_bias": r.flag("mlp_bias")}


@family("llama")
def llama(r: Reader) -> Values:
    return all_full(r, biased(r))


@family("mistral", "ministral", "ministral3")
def mistral(r: Reader) -> Values:
    v = gated(r)
    window = r.size("sliding_window", default=0, low=0)
    longest = r.size("max_position_embeddings", default=LARGEST_SIZE)
    if window >= longest:  # limits nothing, whatever the layers are called
        r.words("layer_types", ("full_attention", "sliding_attention"), v["layers"])
        return v
    return sliding(r, v, window, 0 if window else v["layers"])


def sliding_choice(r: Reader, v: Values) -> Values:
    """Qwen's switch: the layers from max_window_layers on slide, if at all.

    Of Qwen2's mixtures every second one ahead of that layer slides, of Qwen3's all do (Qwen2MoeConfig's
    ``layer_types``; the one mask of Qwen3MoeModel).
    """
    on = r.flag("use_sliding_window")
    full = min(r.size("max_window_layers", default=v["layers"], low=0), v["layers"])
    # switched off, the class forgets the width: it has no default then
    window = r.size("sliding_window", default=0, low=0) if on or r.given("sliding_window") else 0
    if not on:
        return all_full(r, v)
    kind = str(r.config.get("model_type", ""))
    if kind == "qwen2_moe":
        full = v["layers"] - -(-full // 2)
    elif kind == "qwen3_moe":
        full = 0
    return sliding(r, v, window, full if window else v["layers"])


@family("qwen2", "qwen2_vl", "qwen2_5_vl", "qwen2_5_omni")
def qwen2(r: Reader) -> Values:
    r.unused("attention_bias", "qkv_bias")  # always there
    return sliding_choice(r, {**gated(r), "qkv_bias": True})


@family("qwen3", "qwen3_vl")
def qwen3(r: Reader) -> Values:
    v = sliding_choice(r, biased(r))
    return {**v, "qk_norm": 2 * v["head_dim"]}


@family("gemma")
def gemma(r: Reader) -> Values:
    bias = r.flag("attention_bias")
    return {**gated(r), "qkv_bias": bias, "out_bias": bias}


@family("gemma2")
def gemma2(r: Reader) -> Values:
    v = {**gemma(r), "norms_per_layer": 4}
    r.unused("sliding_window_size")  # an older name of the window
    return sliding(r, v, r.size("sliding_window"), v["layers"] // 2)


@family("gemma3")
def gemma3(r: Reader) -> Values:
    v = {**gemma(r), "norms_per_layer": 4}
    v["qk_norm"] = 2 * v["head_dim"]
    every = r.size("sliding_window_pattern", "_sliding_window_pattern")
    return sliding_pattern(r, v, every, r.size("sliding_window"))


@family("phi3", "phi4_multimodal")
def phi3(r: Reader) -> Values:
    # its window is as wide as the context it was trained on: counted as full attention
    r.size("sliding_window", default=0, low=0)
    r.unused("full_attn_mod")
    bias = r.flag("attention_bias")
    return {**all_full(r, gated(r)), "out_bias": bias, "mlp_bias": r.flag("mlp_bias")}


@family("cohere")
def cohere(r: Reader) -> Values:
    v = {**biased(r), "norms_per_layer": 1}
    if r.flag("use_qk_norm"):
        v["qk_norm"] = (v["heads"] + v["kv_heads"]) * v["head_dim"]
    return v


@family("cohere2")
def cohere2(r: Reader) -> Values:
    v = cohere(r)
    every = r.size("sliding_window_pattern", "_sliding_window_pattern", "layer_switch", default=4)
    return sliding_pattern(r, v, every, r.size("sliding_window"))


@family("olmo2")
def olmo2(r: Reader) -> Values:
    """Norms of the whole of queries and of keys, and behind the layers in place of ahead of them."""
    v = biased(r)
    norm = (v["heads"] + v["kv_heads"]) * v["head_dim"]
    return {**all_full(r, v), "qk_norm": norm, "joint_norm": True}


@family("olmo3")
def olmo3(r: Reader) -> Values:
    v = {**biased(r), "joint_norm": True}
    v["qk_norm"] = (v["heads"] + v["kv_heads"]) * v["head_dim"]
    every = r.size("full_attention_interval", default=4)
    return sliding_pattern(r, v, every, r.size("sliding_window", default=4096))


@family("seed_oss")
def seed_oss(r: Reader) -> Values:
    return {
        **all_full(r, gated(r)), "qkv_bias": r.flag("attention_bias", default=True),
        "out_bias": r.flag("attention_out_bias"), "mlp_bias": r.flag("mlp_bias"),
    }  # fmt: skip


@family("exaone4")
def exaone4(r: Reader) -> Values:
    """Norms behind the layers and of each head; one layer of full attention in four."""
    v = {**gated(r)}
    v["qk_norm"] = 2 * v["head_dim"]
    window = r.size("sliding_window", default=0, low=0)
    pattern = r.raw("sliding_window_pattern")
    layers = v["layers"]
    if isinstance(pattern, str):
        if not pattern or set(pattern) - set("LG"):
            raise ValueError(
                f"sliding_window_pattern is {shown(pattern)}; allowed: a number, or one of L G per layer"
            )
        marks = [pattern[i % len(pattern)] == "G" for i in range(layers)]
    else:
        every = r.size("sliding_window_pattern", default=4)
        marks = [(i + 1) % every == 0 for i in range(layers)]
    return sliding(r, v, window, sum(marks) if window else layers)


@family("smollm3")
def smollm3(r: Reader) -> Values:
    """Llama's, with layers that rotate nothing, and Qwen's switch for windows."""
    r.raw("no_rope_layers")
    r.raw("no_rope_layer_interval")
    return sliding_choice(r, biased(r))


@family("hunyuan_v1_dense")
def hunyuan_dense(r: Reader) -> Values:
    """Llama's, with norms of each head's queries and keys."""
    v = all_full(r, biased(r))
    r.must_be("use_cla", False)
    norm = r.flag("use_qk_norm", default=True)
    return {**v, "qk_norm": 2 * v["head_dim"] if norm else 0}


@family("ernie4_5")
def ernie4_5(r: Reader) -> Values:
    bias = r.flag("use_bias")
    return {**all_full(r, gated(r)), "qkv_bias": bias, "out_bias": bias, "mlp_bias": bias}


@family("glm", "glm4")
def glm(r: Reader) -> Values:
    kind = str(r.config.get("model_type", ""))
    bias = r.flag("attention_bias", default=True)
    return {
        **all_full(r, gated(r)),
        "qkv_bias": bias,
        "norms_per_layer": 4 if kind == "glm4" else 2,
    }


@family("internlm2")
def internlm2(r: Reader) -> Values:
    bias = r.flag("bias", default=False)
    return {**all_full(r, gated(r)), "qkv_bias": bias, "out_bias": bias}


@family("stablelm", "stablelm_epoch")
def stablelm(r: Reader) -> Values:
    v = {**gated(r), "qkv_bias": r.flag("use_qkv_bias"), "norm_bias": True}
    if r.flag("use_parallel_residual"):
        v["norms_per_layer"] = 1
    if r.flag("qk_layernorm"):
        v["qk_norm"] = (v["heads"] + v["kv_heads"]) * v["head_dim"]
    return v


@family("cwm")
def cwm(r: Reader) -> Values:
    v = biased(r)
    return sliding_pattern(r, v, 4, r.size("sliding_window"), first=True)
