"""Families of 2026 that mix what others have: Mellum 2, Command A's mixture, Muse Glimmer."""

from __future__ import annotations

from tokenroof.records.huggingface.families.blocks import experts, gated, sliding
from tokenroof.records.huggingface.families.dense import biased
from tokenroof.records.huggingface.families.table import family
from tokenroof.records.huggingface.reader import Reader, Values


@family("mellum")
def mellum(r: Reader) -> Values:
    """Norms of each head, windows and experts by list; without one all layers are full, all have experts."""
    v = biased(r)
    v["qk_norm"] = 2 * v["head_dim"]
    window = r.size("sliding_window", default=0, low=0)
    v = sliding(r, v, window, v["layers"])
    kinds = r.words("mlp_layer_types", ("dense", "sparse"), v["layers"])
    return experts(v, r, kinds.count("dense"), "moe_intermediate_size")


@family("cohere2_moe")
def cohere2_moe(r: Reader) -> Values:
    """One norm per layer; experts behind dense layers of another width, and beside shared ones."""
    v = {**gated(r), "norms_per_layer": 1}
    layers, width = v["layers"], v["ffn"]
    bias = r.flag("attention_bias")
    v |= {"qkv_bias": bias, "out_bias": bias}
    first = r.size("first_k_dense_replace", default=0, low=0)
    kinds = r.words("mlp_layer_types", ("dense", "sparse"), layers)
    dense = kinds.count("dense") if kinds else min(first, layers)
    prefix, every = r.size("prefix_dense_sliding_window_pattern"), r.size("sliding_window_pattern")
    full = sum(1 for i in range(min(first, layers)) if (i + 1) % prefix == 0)
    full += sum(1 for i in range(max(layers - first, 0)) if (i + 1) % every == 0)
    v = sliding(r, v, r.size("sliding_window", default=0, low=0), full)
    v["ffn"] = r.size("prefix_dense_intermediate_size", default=width)
    r.unused("shared_expert_combination_strategy", "expert_selection_fn")
    shared = r.size("num_shared_experts", default=0, low=0)
    return experts(v, r, dense, "intermediate_size", shared_ffn=shared * width)


@family("muse_glimmer")
def muse_glimmer(r: Reader) -> Values:
    """An output gate as wide as the queries, norms without weights of each head, four norms per layer."""
    v = {**gated(r), "q_multiplier": 2, "norms_per_layer": 4}
    r.must_be("attention_bias", False)
    r.unused("qk_scale_factor", "output_multiplier", "layer_rope_theta")
    return sliding(r, v, r.size("sliding_window"), -(-v["layers"] // 4))
