"""Dense models with gated MLPs: Llama and what follows it."""

from __future__ import annotations

from tokenroof.records.huggingface.families.blocks import gated, windows
from tokenroof.records.huggingface.families.table import family
from tokenroof.records.huggingface.reader import LARGEST_SIZE, Reader, Values


@family("llama")
def llama(r: Reader) -> Values:
    bias = r.flag("attention_bias")
    return {**gated(r), "qkv_bias": bias, "out_bias": bias, "mlp_bias": r.flag("mlp_bias")}


@family("mistral", "ministral", "ministral3")
def mistral(r: Reader) -> Values:
    v = gated(r)
    window = r.size("sliding_window", default=0, low=0)
    longest = r.size("max_position_embeddings", default=LARGEST_SIZE)
    # a window over all positions limits nothing
    return windows(v, 0, window) if 0 < window < longest else v


def _sliding_choice(r: Reader, v: Values) -> Values:
    """Qwen's switch: the layers from max_window_layers on slide, if at all."""
    if not r.flag("use_sliding_window"):
        return v
    full = min(r.size("max_window_layers", default=v["layers"], low=0), v["layers"])
    window = r.size("sliding_window", default=0, low=0)
    return windows(v, full, window) if window and full < v["layers"] else v


@family("qwen2", "qwen2_vl", "qwen2_5_vl")
def qwen2(r: Reader) -> Values:
    return _sliding_choice(r, {**gated(r), "qkv_bias": True})


@family("qwen3", "qwen3_vl")
def qwen3(r: Reader) -> Values:
    v = _sliding_choice(r, llama(r))
    return {**v, "qk_norm": 2 * v["head_dim"]}


@family("gemma")
def gemma(r: Reader) -> Values:
    return {**gated(r), "tied": r.flag("tie_word_embeddings", default=True)}


@family("gemma2")
def gemma2(r: Reader) -> Values:
    v = {**gemma(r), "norms_per_layer": 4}
    return windows(v, v["layers"] // 2, r.size("sliding_window", default=4096))


# What the architecture's own defaults leave unsaid in its files.
_GEMMA3_DEFAULTS = {
    "vocab_size": 262208, "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26,
    "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "sliding_window": 4096,
    "max_position_embeddings": 131072,
}  # fmt: skip


@family("gemma3")
def gemma3(r: Reader) -> Values:
    if not r.has("hidden_size"):
        r.size("hidden_size")  # an empty config is no Gemma
    given = {key: value for key, value in r.config.items() if value is not None}
    r = Reader({**_GEMMA3_DEFAULTS, **given})
    v = {**gemma(r), "norms_per_layer": 4}
    v["qk_norm"] = 2 * v["head_dim"]
    kinds = r.words("layer_types", ("sliding_attention", "full_attention"), v["layers"])
    every = r.size("sliding_window_pattern", "_sliding_window_pattern", default=6)
    full = kinds.count("full_attention") if kinds else v["layers"] // every
    return windows(v, full, r.size("sliding_window", default=1024))


@family("phi3")
def phi3(r: Reader) -> Values:
    # its window is as wide as the context it was trained on: counted as full attention
    return gated(r)


@family("cohere")
def cohere(r: Reader) -> Values:
    v = {**llama(r), "norms_per_layer": 1}
    if r.flag("use_qk_norm"):
        v["qk_norm"] = (v["heads"] + v["kv_heads"]) * v["head_dim"]
    return {**v, "tied": r.flag("tie_word_embeddings", default=True)}


@family("cohere2")
def cohere2(r: Reader) -> Values:
    v = cohere(r)
    every = r.size("sliding_window_pattern", "_sliding_window_pattern", default=4)
    return windows(v, v["layers"] // every, r.size("sliding_window", default=4096))
