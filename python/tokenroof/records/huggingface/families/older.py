"""Families with names of their own for the same fields: ChatGLM, Qwen, InternLM, BitNet."""

from __future__ import annotations

from tokenroof.records.huggingface.families.blocks import all_full, gated, layers_of
from tokenroof.records.huggingface.families.table import family
from tokenroof.records.huggingface.reader import Reader, Values


@family("chatglm", "glm_4")
def chatglm(r: Reader) -> Values:
    """ChatGLM2, ChatGLM3 and GLM-4-9B: one product for queries, keys and values, with biases."""
    hidden, heads = r.size("hidden_size"), r.size("num_attention_heads")
    layers = layers_of(r)
    multi = r.flag("multi_query_attention")
    groups = r.size("multi_query_group_num", default=1)
    bias = r.flag("add_bias_linear")
    width = r.size("kv_channels", default=0, low=0)
    if not width:
        if hidden % heads:
            raise ValueError(
                f"num_attention_heads is {heads}; allowed: a divisor of hidden_size = {hidden}"
            )
        width = hidden // heads
    r.must_be("rmsnorm", True)
    r.must_be("prefix_projection", False)
    r.raw("pre_seq_len")
    r.raw("apply_residual_connection_post_layernorm")
    return {
        "hidden": hidden, "vocab": r.size("padded_vocab_size", "vocab_size"), "layers": layers,
        "heads": heads, "kv_heads": groups if multi else heads, "head_dim": width,
        "full_layers": layers, "dense_layers": layers, "ffn": r.size("ffn_hidden_size"),
        "qkv_bias": r.flag("add_qkv_bias") or bias, "out_bias": bias, "mlp_bias": bias,
        "final_norm": r.flag("post_layer_norm", default=True), "tied": r.flag("tie_word_embeddings"),
    }  # fmt: skip


@family("qwen")
def qwen(r: Reader) -> Values:
    """The first of its name: the width that files state is that of gate and up together."""
    v = gated(r)
    if v["ffn"] % 2:
        raise ValueError(f"intermediate_size is {v['ffn']}; allowed: an even number")
    width = r.size("kv_channels", default=v["head_dim"])
    bias = not r.flag("no_bias", default=True)
    return {
        **v, "ffn": v["ffn"] // 2, "head_dim": width, "qkv_bias": True, "out_bias": bias,
        "mlp_bias": bias,
    }  # fmt: skip


@family("internlm")
def internlm(r: Reader) -> Values:
    bias = r.flag("bias", default=True)
    return {**all_full(r, gated(r)), "qkv_bias": bias, "out_bias": bias}


@family("internlm3")
def internlm3(r: Reader) -> Values:
    bias = r.flag("bias")
    return {
        **all_full(r, gated(r)), "qkv_bias": r.flag("qkv_bias"), "out_bias": bias, "mlp_bias": bias,
    }  # fmt: skip


@family("bitnet")
def bitnet(r: Reader) -> Values:
    """Norms also ahead of the last product of attention and MLP."""
    bias = r.flag("attention_bias")
    v = {**all_full(r, gated(r)), "qkv_bias": bias, "out_bias": bias}
    return {**v, "extras": (("norms", v["layers"] * (v["hidden"] + v["ffn"])),)}


@family("hyperclovax")
def hyperclovax(r: Reader) -> Values:
    bias = r.flag("attention_bias")
    return {
        **all_full(r, gated(r)), "qkv_bias": bias, "out_bias": bias, "mlp_bias": r.flag("mlp_bias"),
        "norms_per_layer": 4 if r.flag("use_post_norm") else 2,
    }  # fmt: skip
