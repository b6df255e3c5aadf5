"""Mixtures of experts over attention with heads of keys and values."""

from __future__ import annotations

from tokenroof.records.huggingface.families.blocks import (
    MOST_LAYERS,
    all_full,
    basics,
    dense_but_every,
    dense_first,
    experts,
    sliding,
    windows,
)
from tokenroof.records.huggingface.families.dense import mistral, qwen2, qwen3
from tokenroof.records.huggingface.families.table import family
from tokenroof.records.huggingface.reader import Reader, Values, short


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
    r.unused("widening_factor", "output_multiplier_scale")  # the width of experts is stated
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
    # files state these, and the class has no such part
    r.unused("shared_expert_intermediate_size", "use_qk_norm")
    return experts(v, r, dense_but_every(r, v), "moe_intermediate_size")


@family("gpt_oss")
def gpt_oss(r: Reader) -> Values:
    v = basics(r)
    kinds = r.words("layer_types", ("sliding_attention", "full_attention"), v["layers"])
    full = kinds.count("full_attention") if kinds else v["layers"] // 2
    v = windows(v, full, r.size("sliding_window", default=128))
    r.unused("experts_per_token")
    return experts(
        v, r, 0, "intermediate_size", router_bias=True, expert_bias=True, sinks=True,
        qkv_bias=r.flag("attention_bias", default=True),
        out_bias=r.flag("attention_bias", default=True),
    )  # fmt: skip


@family("glm4_moe")
def glm4_moe(r: Reader) -> Values:
    v = {**all_full(r, basics(r)), "qkv_bias": r.flag("attention_bias")}
    dense = dense_first(r, v)
    v["ffn"] = r.size("intermediate_size") if dense else r.size("intermediate_size", default=0)
    if r.flag("use_qk_norm"):
        v["qk_norm"] = 2 * v["head_dim"]
    shared = r.size("n_shared_experts", default=0, low=0) * r.size("moe_intermediate_size")
    return experts(
        v, r, dense,
        "moe_intermediate_size",
        shared_ffn=shared,
        router_bias=True,
    )  # fmt: skip


@family("minimax_m2")
def minimax_m2(r: Reader) -> Values:
    v = all_full(r, basics(r))
    if set(r.numbers("attn_type_list")) - {1}:
        raise ValueError("attn_type_list has 0; allowed: 1 for each layer, softmax attention")
    norm = (
        (v["heads"] + v["kv_heads"]) * v["head_dim"] if r.flag("use_qk_norm", default=True) else 0
    )
    return experts(
        v, r, 0, "intermediate_size", qk_norm=norm, joint_norm=norm > 0,
        shared_ffn=r.size("shared_intermediate_size", default=0, low=0),
        router_bias=r.flag("use_routing_bias", default=True),
    )  # fmt: skip


@family("llama4")
def llama4(r: Reader) -> Values:
    v = {**basics(r), "ffn": r.size("intermediate_size_mlp", "intermediate_size")}
    routed = r.numbers("moe_layers")
    step = r.size("interleave_moe_layer_step", default=1, low=0)  # 0: no layer has experts
    moe = len(set(routed)) if routed else v["layers"] // step if step else 0
    if any(not 0 <= i < v["layers"] for i in routed):
        raise ValueError(f"moe_layers is {short(routed)}; allowed: layers 0 to {v['layers'] - 1}")
    bias = r.flag("attention_bias")
    v |= {"qkv_bias": bias, "out_bias": bias}
    r.flag("use_qk_norm")  # norms without weights
    chunk = r.size("attention_chunk_size", default=0, low=0)
    marks = r.numbers("no_rope_layers")  # those that rotate nothing see everything
    every = r.size("no_rope_layer_interval", default=4)
    full = marks[: v["layers"]].count(0) if marks else v["layers"] // every
    v = sliding(r, v, chunk, full)
    return experts(
        v, r, v["layers"] - moe, "intermediate_size", shared_ffn=r.size("intermediate_size"),
    )  # fmt: skip
