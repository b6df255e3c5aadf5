"""Mixtures of experts over attention with heads of keys and values."""

from __future__ import annotations

from tokenroof.records.huggingface.families.blocks import (
    MOST_LAYERS,
    basics,
    dense_but_every,
    experts,
    gated,
    windows,
)
from tokenroof.records.huggingface.families.dense import mistral, qwen2, qwen3
from tokenroof.records.huggingface.families.table import family
from tokenroof.records.huggingface.reader import Reader, Values


@family("mixtral")
def mixtral(r: Reader) -> Values:
    return experts(mistral(r), r, 0, "intermediate_size")


@family("phimoe")
def phimoe(r: Reader) -> Values:
    bias = r.flag("attention_bias")
    v = {**mistral(r), "qkv_bias": bias, "out_bias": bias, "norm_bias": True}
    return experts(v, r, 0, "intermediate_size", head_bias=r.flag("lm_head_bias"))


@family("dbrx")
def dbrx(r: Reader) -> Values:
    v = {**basics(r), "kv_heads": r.part("attn_config").size("kv_n_heads")}
    f = r.part("ffn_config")
    topk, count = f.size("moe_top_k"), f.size("moe_num_experts")
    return {
        **v, "dense_layers": 0, "moe_layers": v["layers"], "experts": count, "topk": topk,
        "moe_ffn": f.size("ffn_hidden_size"),
    }  # fmt: skip


@family("grok_1")
def grok(r: Reader) -> Values:
    hidden = r.size("emb_size", "hidden_size")
    layers = r.size("num_layers", "num_hidden_layers", high=MOST_LAYERS)
    heads = r.size("num_q_heads", "num_attention_heads")
    return {
        "hidden": hidden, "vocab": r.size("vocab_size"), "layers": layers, "full_layers": layers,
        "heads": heads, "kv_heads": r.size("num_kv_heads", "num_key_value_heads"),
        "head_dim": r.size("key_size", "head_dim"), "moe_layers": layers,
        "experts": r.size("num_experts", "num_local_experts"),
        "topk": r.size("num_selected_experts", "num_experts_per_tok"),
        "moe_ffn": r.size("intermediate_size"), "norms_per_layer": 4,
        "tied": r.flag("tie_word_embeddings", default=True),
    }  # fmt: skip


@family("qwen2_moe")
def qwen2_moe(r: Reader) -> Values:
    v = qwen2(r)
    return experts(
        v, r, dense_but_every(r, v), "moe_intermediate_size",
        shared_ffn=r.size("shared_expert_intermediate_size"), shared_gate=True,
    )  # fmt: skip


@family("qwen3_moe", "qwen3_vl_moe")
def qwen3_moe(r: Reader) -> Values:
    v = qwen3(r)
    return experts(v, r, dense_but_every(r, v), "moe_intermediate_size")


@family("gpt_oss")
def gpt_oss(r: Reader) -> Values:
    v = basics(r)
    kinds = r.words("layer_types", ("sliding_attention", "full_attention"), v["layers"])
    full = kinds.count("full_attention") if kinds else v["layers"] // 2
    v = windows(v, full, r.size("sliding_window", default=128))
    return experts(
        v, r, 0, "intermediate_size", router_bias=True, expert_bias=True, sinks=True,
        qkv_bias=r.flag("attention_bias", default=True),
        out_bias=r.flag("attention_bias", default=True),
    )  # fmt: skip


@family("glm4_moe")
def glm4_moe(r: Reader) -> Values:
    v = {**gated(r), "qkv_bias": r.flag("attention_bias")}
    if r.flag("use_qk_norm"):
        v["qk_norm"] = 2 * v["head_dim"]
    shared = r.size("n_shared_experts", default=0, low=0) * r.size("moe_intermediate_size")
    return experts(
        v, r, r.size("first_k_dense_replace", default=0, low=0), "moe_intermediate_size",
        shared_ffn=shared, router_bias=True,
    )  # fmt: skip


@family("minimax_m2")
def minimax_m2(r: Reader) -> Values:
    v = basics(r)
    norm = (
        (v["heads"] + v["kv_heads"]) * v["head_dim"] if r.flag("use_qk_norm", default=True) else 0
    )
    return experts(
        v, r, 0, "intermediate_size", qk_norm=norm,
        shared_ffn=r.size("shared_intermediate_size", default=0, low=0),
        router_bias=r.flag("use_routing_bias", default=True),
    )  # fmt: skip


@family("llama4")
def llama4(r: Reader) -> Values:
    v = {**basics(r), "ffn": r.size("intermediate_size_mlp", "intermediate_size")}
    routed = r.numbers("moe_layers")
    step = r.size("interleave_moe_layer_step", default=1)
    moe = len(set(routed)) if routed else v["layers"] // step
    chunk = r.size("attention_chunk_size", default=8192)
    v = windows(v, v["layers"] // r.size("no_rope_layer_interval", default=4), chunk)
    return experts(
        v, r, v["layers"] - moe, "intermediate_size", shared_ffn=r.size("intermediate_size"),
    )  # fmt: skip
