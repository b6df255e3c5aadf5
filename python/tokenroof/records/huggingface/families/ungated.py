"""Dense models whose MLPs have two matrices, most with biases: GPT-2 and what follows it."""

from __future__ import annotations

from tokenroof.records.huggingface.families.blocks import all_full, basics, gated, sliding
from tokenroof.records.huggingface.families.dense import llama
from tokenroof.records.huggingface.families.table import family
from tokenroof.records.huggingface.reader import Reader, Values


@family("gpt2")
def gpt2(r: Reader) -> Values:
    v = basics(r)
    return {
        **v, "ffn": r.size("n_inner", default=4 * v["hidden"]), "mlp_matrices": 2, "qkv_bias": True,
        "out_bias": True, "mlp_bias": True, "norm_bias": True, "positions": r.size("n_positions"),
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
    """A table that may be narrower than the layers, and norms ahead of these or, as in 350m, behind them."""
    v = basics(r)
    width = r.size("word_embed_proj_dim", default=v["hidden"])
    ahead = r.flag("do_layer_norm_before", default=True)
    bias = r.flag("enable_bias", default=True)
    r.must_be("layer_norm_elementwise_affine", True)
    return {
        **v, "ffn": r.size("ffn_dim"), "mlp_matrices": 2, "qkv_bias": bias, "out_bias": bias,
        "mlp_bias": bias, "norm_bias": True, "final_norm": ahead and not r.flag("_remove_final_layer_norm"),
        "positions": r.size("max_position_embeddings") + 2,
        "embedding_width": width if width != v["hidden"] else 0,
    }  # fmt: skip


@family("bloom")
def bloom(r: Reader) -> Values:
    v = basics(r)
    return {
        **v, "ffn": 4 * v["hidden"], "mlp_matrices": 2, "qkv_bias": True, "out_bias": True,
        "mlp_bias": True, "norm_bias": True, "embedding_norm": True,
    }  # fmt: skip


@family("falcon", "refinedweb", "refinedwebmodel")
def falcon(r: Reader) -> Values:
    v = basics(r)
    new = r.flag("new_decoder_architecture", default=r.given("n_head_kv"))
    multi = r.flag("multi_query", default=True)
    if not new:
        v["kv_heads"] = 1 if multi else v["heads"]
    bias = r.flag("bias")
    parallel = r.flag("parallel_attn", default=True)
    norms = r.size("num_ln_in_parallel_attn", default=2 if new else 1)
    return {
        **v, "ffn": r.size("ffn_hidden_size", default=4 * v["hidden"]), "mlp_matrices": 2,
        "qkv_bias": bias, "out_bias": bias, "mlp_bias": bias, "norm_bias": True,
        "norms_per_layer": norms if parallel else 2,
    }  # fmt: skip


@family("phi")
def phi(r: Reader) -> Values:
    v = gated(r)
    if r.flag("qk_layernorm"):
        v["qk_norm"] = 2 * 2 * v["head_dim"]  # one norm for all heads, with biases
    return {
        **v, "mlp_matrices": 2, "qkv_bias": True, "out_bias": True, "mlp_bias": True,
        "norm_bias": True, "norms_per_layer": 1, "head_bias": True,
    }  # fmt: skip


@family("nemotron")
def nemotron(r: Reader) -> Values:
    return {**llama(r), "mlp_matrices": 2, "norm_bias": True}


@family("gpt_neox")
def gpt_neox(r: Reader) -> Values:
    bias = r.flag("attention_bias", default=True)
    r.flag("use_parallel_residual", default=True)  # two norms either way
    return {
        **gated(r), "mlp_matrices": 2, "qkv_bias": bias, "out_bias": bias, "mlp_bias": True,
        "norm_bias": True,
    }  # fmt: skip


@family("gpt_bigcode")
def gpt_bigcode(r: Reader) -> Values:
    v = gpt2(r)
    return {**v, "kv_heads": 1 if r.flag("multi_query", default=True) else v["heads"]}


@family("starcoder2")
def starcoder2(r: Reader) -> Values:
    bias = r.flag("use_bias", default=True)
    v = gated(r)
    v |= {
        "mlp_matrices": 2, "qkv_bias": bias, "out_bias": bias, "mlp_bias": bias, "norm_bias": True,
    }  # fmt: skip
    window = r.size("sliding_window", default=0, low=0)
    return sliding(r, v, window, 0 if window else v["layers"])


@family("apertus")
def apertus(r: Reader) -> Values:
    """Norms of each head's queries and keys; an activation with two numbers of its own per layer."""
    v = {**gated(r), "mlp_matrices": 2}
    bias = r.flag("attention_bias")
    r.flag("qk_norm", default=True)
    r.flag("post_norm")
    return {
        **all_full(r, v), "qk_norm": 2 * v["head_dim"], "qkv_bias": bias, "out_bias": bias,
        "mlp_bias": r.flag("mlp_bias"), "extras": (("activation", 2 * v["layers"]),),
    }  # fmt: skip


@family("phi3small")
def phi3small(r: Reader) -> Values:
    """Gated, with biases everywhere. Its sparse layers keep every token: counted as full attention."""
    v = gated(r)
    r.must_be("ff_dim_multiplier", None)
    r.must_be("ff_intermediate_size", v["ffn"])
    r.unused(
        "dummy_token_indices", "dense_attention_every_n_layers", "blocksparse_block_size",
        "blocksparse_num_local_blocks", "blocksparse_vert_stride", "blocksparse_homo_head_pattern",
        "blocksparse_triton_kernel_block_size",
    )  # fmt: skip
    return {
        **v, "qkv_bias": True, "out_bias": True, "mlp_bias": True, "norm_bias": True,
        "tied": r.flag("tie_word_embeddings", default=True),
    }  # fmt: skip


@family("mpt")
def mpt(r: Reader) -> Values:
    part = r.part("attn_config")
    v = basics(r)
    ratio = r.size("expansion_ratio", default=4)
    part.flag("alibi")
    part.must_be("qk_ln", False)
    part.must_be(
        "attn_type", "multihead_attention", "multiquery_attention", "grouped_query_attention"
    )
    kind = part.text("attn_type", default="multihead_attention")
    if kind == "multiquery_attention":
        v["kv_heads"] = 1
    elif kind == "grouped_query_attention":
        v["kv_heads"] = part.size("kv_n_heads")
    bias = not r.flag("no_bias", default=True)
    r.unused("learned_pos_emb")  # the public class has no table of positions
    r.must_be("embedding_fraction", 1.0)
    return {
        **v, "ffn": ratio * v["hidden"], "mlp_matrices": 2, "qkv_bias": bias, "out_bias": bias,
        "mlp_bias": bias, "norm_bias": bias,
    }  # fmt: skip


@family("persimmon")
def persimmon(r: Reader) -> Values:
    v = gated(r)
    norm = r.flag("qk_layernorm", default=True)
    return {
        **v, "mlp_matrices": 2, "qkv_bias": True, "out_bias": True, "mlp_bias": True,
        "norm_bias": True, "kv_heads": v["heads"], "qk_norm": 4 * v["head_dim"] if norm else 0,
    }  # fmt: skip
