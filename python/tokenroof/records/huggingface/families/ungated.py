"""Dense models whose MLPs have two matrices, most with biases: GPT-2 and what follows it."""

from __future__ import annotations

from tokenroof.records.huggingface.families.blocks import basics, gated
from tokenroof.records.huggingface.families.dense import llama
from tokenroof.records.huggingface.families.table import family
from tokenroof.records.huggingface.reader import Reader, Values


@family("gpt2")
def gpt2(r: Reader) -> Values:
    v = basics(r)
    return {
        **v, "ffn": r.size("n_inner", default=4 * v["hidden"]), "mlp_matrices": 2, "qkv_bias": True,
        "out_bias": True, "mlp_bias": True, "norm_bias": True, "positions": r.size("n_positions"),
        "tied": r.flag("tie_word_embeddings", default=True),
    }  # fmt: skip


@family("gptj")
def gptj(r: Reader) -> Values:
    v = basics(r)
    return {
        **v, "ffn": r.size("n_inner", default=4 * v["hidden"]), "mlp_matrices": 2, "mlp_bias": True,
        "norm_bias": True, "norms_per_layer": 1, "head_bias": True,
    }  # fmt: skip


@family("opt")
def opt(r: Reader) -> Values:
    return {
        **basics(r), "ffn": r.size("ffn_dim"), "mlp_matrices": 2, "qkv_bias": True,
        "out_bias": True, "mlp_bias": True, "norm_bias": True,
        "positions": r.size("max_position_embeddings") + 2,
        "tied": r.flag("tie_word_embeddings", default=True),
    }  # fmt: skip


@family("bloom")
def bloom(r: Reader) -> Values:
    v = basics(r)
    return {
        **v, "ffn": 4 * v["hidden"], "mlp_matrices": 2, "qkv_bias": True, "out_bias": True,
        "mlp_bias": True, "norm_bias": True, "embedding_norm": True,
        "tied": r.flag("tie_word_embeddings", default=True),
    }  # fmt: skip


@family("falcon", "refinedweb", "refinedwebmodel")
def falcon(r: Reader) -> Values:
    v = basics(r)
    new = r.flag("new_decoder_architecture", default=r.has("n_head_kv"))
    if not new:
        v["kv_heads"] = 1 if r.flag("multi_query", default=True) else v["heads"]
    bias = r.flag("bias")
    parallel = r.flag("parallel_attn", default=True)
    return {
        **v, "ffn": r.size("ffn_hidden_size", default=4 * v["hidden"]), "mlp_matrices": 2,
        "qkv_bias": bias, "out_bias": bias, "mlp_bias": bias, "norm_bias": True,
        "norms_per_layer": 2 if new or not parallel else 1,
        "tied": r.flag("tie_word_embeddings", default=True),
    }  # fmt: skip


@family("phi")
def phi(r: Reader) -> Values:
    return {
        **gated(r), "mlp_matrices": 2, "qkv_bias": True, "out_bias": True, "mlp_bias": True,
        "norm_bias": True, "norms_per_layer": 1, "head_bias": True,
    }  # fmt: skip


@family("nemotron")
def nemotron(r: Reader) -> Values:
    return {**llama(r), "mlp_matrices": 2, "norm_bias": True}
