"""Models with Mamba layers or short convolutions beside attention: Jamba, Falcon-H1, Granite 4, LFM2."""

from __future__ import annotations

from typing import Any

from tokenroof.records.huggingface.families.blocks import basics, experts, gated, layers_of
from tokenroof.records.huggingface.families.table import family
from tokenroof.records.huggingface.reader import Reader, Values
from tokenroof.support.quoting import counted

_KINDS = ("mamba", "attention", "linear_attention", "full_attention", "conv")


def _attention_layers(r: Reader, v: Values, *names: str) -> int | None:
    """Layers of attention by a list of kinds, if there is one."""
    for name in names:
        kinds = r.words(name, _KINDS, v["layers"])
        if kinds:
            return kinds.count("attention") + kinds.count("full_attention")
    return None


def _mamba2(r: Reader, v: Values, layers: int) -> Values:
    heads = r.size("mamba_n_heads")
    inner = r.size("mamba_d_ssm", default=0, low=0)
    inner = inner or int(r.number("mamba_expand", 2.0) * v["hidden"])
    r.number("mamba_expand", 2.0)
    width = r.raw("mamba_d_head")
    width = inner // heads if width in (None, "auto") else r.size("mamba_d_head")
    if heads * width != inner:
        raise ValueError(
            f"mamba_d_head is {width}; allowed: {inner} / {heads}, what mamba_n_heads leaves of the width"
        )
    return {
        "mamba_layers": layers, "mamba_heads": heads, "mamba_head_dim": width,
        "mamba_groups": r.size("mamba_n_groups"), "mamba_state": r.size("mamba_d_state"),
        "mamba_conv": r.size("mamba_d_conv"),
        "mamba_conv_bias": r.flag("mamba_conv_bias", default=True),
        "mamba_proj_bias": r.flag("mamba_proj_bias"),
    }  # fmt: skip


def _mamba1(r: Reader, inner: int, rank: int, state: int, layers: int, **more: Any) -> Values:
    """Mamba-1, whose step is priced as one of Mamba-2 with as many columns ahead of the scan."""
    # x, z, then steps, B and C by way of a low rank: as many values as heads and their groups have
    columns = max((4 * rank + 4 * state) * inner // max(2 * more["hidden"], 1) - 2 * state, 1)
    fits = [n for n in range(1, min(inner, 4096) + 1) if inner % n == 0]
    heads = min(fits, key=lambda n: abs(n - columns))
    return {
        "mamba_layers": layers, "mamba_heads": heads, "mamba_head_dim": inner // heads,
        "mamba_groups": 1, "mamba_state": state, "mamba_rank": rank,
    }  # fmt: skip


def _rank(r: Reader, name: str, hidden: int) -> int:
    """Of the steps; "auto" is a sixteenth of the width."""
    if r.raw(name) in (None, "auto"):
        return -(-hidden // 16)
    return r.size(name)


@family("jamba")
def jamba(r: Reader) -> Values:
    """Mamba-1 with attention in every so many layers, experts in every so many."""
    v = gated(r)
    layers = v["layers"]
    period, offset = r.size("attn_layer_period"), r.size("attn_layer_offset", low=0)
    every, first = r.size("expert_layer_period"), r.size("expert_layer_offset", low=0)
    kinds = _attention_layers(r, v, "layers_block_type", "layer_types")
    full = sum(1 for i in range(layers) if i % period == offset) if kinds is None else kinds
    inner = int(r.number("mamba_expand", 2.0) * v["hidden"])
    rank = _rank(r, "mamba_dt_rank", v["hidden"])
    v |= {
        "full_layers": full,
        **_mamba1(r, inner, rank, r.size("mamba_d_state"), layers - full, hidden=v["hidden"]),
        "mamba_conv": r.size("mamba_d_conv"),
        "mamba_conv_bias": r.flag("mamba_conv_bias", default=True),
        "mamba_proj_bias": r.flag("mamba_proj_bias"),
        "mamba_norm": r.flag("mamba_inner_layernorms", default=True),
    }
    moe = sum(1 for i in range(layers) if i % every == first)
    if r.size("num_experts") == 1:
        moe = 0
        r.unused("num_experts_per_tok")
    return {**experts(v, r, layers - moe, "intermediate_size")}


@family("falcon_h1")
def falcon_h1(r: Reader) -> Values:
    """Attention and Mamba-2 side by side in every layer."""
    v = gated(r)
    bias = r.flag("attention_bias")
    v |= _mamba2(r, v, v["layers"])
    r.unused("mlp_expansion_factor", "mamba_use_mlp")  # the width is stated
    r.must_be("mamba_use_mlp", True)
    into, out = v.pop("mamba_proj_bias"), r.flag("projectors_bias")
    inner = v["mamba_heads"] * v["mamba_head_dim"]
    columns = 2 * inner + 2 * v["mamba_groups"] * v["mamba_state"] + v["mamba_heads"]
    biases = v["layers"] * (into * columns + out * v["hidden"])
    return {
        **v, "qkv_bias": bias, "out_bias": bias, "mlp_bias": r.flag("mlp_bias"),
        "mamba_norm": r.flag("mamba_rms_norm"), "extras": (("mamba", biases),) if biases else (),
    }  # fmt: skip


@family("granitemoehybrid", "granitemoeshared", "granitemoe")
def granite_moe(r: Reader) -> Values:
    """Mamba-2 or attention, then experts beside an MLP for all tokens; without experts the MLP alone."""
    v = basics(r)
    full = _attention_layers(r, v, "layer_types", "layers_block_type")
    hybrid = str(r.config.get("model_type", "")).endswith("hybrid")
    if hybrid:
        full = 0 if full is None else full
        if full < v["layers"]:
            v |= {"full_layers": full, **_mamba2(r, v, v["layers"] - full)}
        else:
            _mamba2_unused(r)
    elif full not in (None, v["layers"]):
        raise ValueError(
            f"layer_types has {counted(full, 'layer')} of attention; allowed: {v['layers']}"
        )
    bias = r.flag("attention_bias")
    v |= {"qkv_bias": bias, "out_bias": bias}
    shared = r.size("shared_intermediate_size", default=0, low=0)
    width = r.size("intermediate_size")
    if r.size("num_local_experts", default=0, low=0):
        return experts(v, r, 0, "intermediate_size", shared_ffn=shared)
    r.unused("num_experts_per_tok")
    return {**v, "ffn": shared or width}


def _mamba2_unused(r: Reader) -> None:
    r.unused(*(name for name in r.config if str(name).startswith("mamba_")))


@family("bamba")
def bamba(r: Reader) -> Values:
    v = gated(r)
    listed = r.numbers("attn_layer_indices")
    full = _attention_layers(r, v, "layers_block_type", "layer_types")
    full = len(set(listed)) if full is None else full
    if full > v["layers"]:
        raise ValueError(
            f"attn_layer_indices has {counted(full, 'layer')}; allowed: at most {v['layers']}"
        )
    bias = r.flag("attention_bias")
    v |= {"full_layers": full, **_mamba2(r, v, v["layers"] - full)}
    return {**v, "qkv_bias": bias, "out_bias": bias, "mlp_bias": r.flag("mlp_bias")}


def _convolutions(r: Reader, v: Values) -> Values:
    """Gated short convolutions in the layers without attention; norms of each head's queries and keys."""
    full = _attention_layers(r, v, "layer_types")
    listed = r.numbers("full_attn_idxs")
    if full is None:
        full = len({i for i in listed if 0 <= i < v["layers"]}) if listed else v["layers"]
    bias = r.flag("conv_bias")
    taps = r.size("conv_L_cache", "conv_l_cache")
    return {
        **v, "full_layers": full, "qk_norm": 2 * v["head_dim"], "mamba_layers": v["layers"] - full,
        "mamba_heads": v["hidden"], "mamba_head_dim": 1, "mamba_conv": taps,
        "mamba_conv_bias": bias, "mamba_proj_bias": bias,
        "tied": r.flag("tie_embedding", default=v["tied"]),
    }  # fmt: skip


@family("lfm2", "lfm2_vl")
def lfm2(r: Reader) -> Values:
    v = basics(r)
    width = r.size("intermediate_size", "block_ff_dim")
    r.unused("block_dim", "block_mlp_init_scale", "conv_dim", "conv_dim_out", "block_use_swiglu",
             "block_use_xavier_init", "conv_use_xavier_init", "block_out_init_scale",
             "block_norm_eps", "num_heads", "use_pos_enc", "block_ff_dim")  # fmt: skip
    multiplier = r.number("block_ffn_dim_multiplier", 1.0)
    whole = r.size("block_multiple_of", default=256)
    if r.flag("block_auto_adjust_ff_dim"):
        width = int(multiplier * int(2 * width / 3))
        width = whole * -(-width // whole)
    return {**_convolutions(r, v), "ffn": width}


@family("lfm2_moe")
def lfm2_moe(r: Reader) -> Values:
    v = _convolutions(r, gated(r))
    dense = min(r.size("num_dense_layers", low=0, default=0), v["layers"])
    return experts(
        v, r, dense, "moe_intermediate_size", router_bias=r.flag("use_expert_bias", default=True)
    )


@family("mamba", "falcon_mamba")
def mamba(r: Reader) -> Values:
    """Mamba-1 layers alone, without MLPs."""
    hidden = r.size("hidden_size", "d_model")
    inner = r.size("intermediate_size", default=0, low=0)
    inner = inner or int(r.number("expand", 2.0) * hidden)
    r.number("expand", 2.0)
    rank = _rank(r, "time_step_rank", hidden)
    layers = layers_of(r)
    r.unused("d_inner", "n_layer", "bias")
    mixers = _mamba1(r, inner, rank, r.size("state_size"), layers, hidden=hidden)
    return {
        "hidden": hidden, "vocab": r.size("vocab_size"), "layers": layers,
        "tied": r.flag("tie_word_embeddings"), "norms_per_layer": 1, **mixers,
        "mamba_conv": r.size("conv_kernel", default=4), "mamba_norm": False,
        "mamba_conv_bias": r.flag("use_conv_bias", default=True),
        "mamba_proj_bias": r.flag("use_bias"),
    }  # fmt: skip


@family("mamba2")
def mamba2(r: Reader) -> Values:
    """Mamba-2 layers alone, without MLPs."""
    hidden = r.size("hidden_size", "d_model")
    heads, width = r.size("num_heads"), r.size("head_dim")
    inner = int(r.number("expand", 2.0) * hidden)
    if heads * width != inner:
        raise ValueError(f"num_heads is {heads}; allowed: {inner} / head_dim = {inner / width:g}")
    layers = layers_of(r)
    return {
        "hidden": hidden, "vocab": r.size("vocab_size"), "layers": layers,
        "tied": r.flag("tie_word_embeddings"), "norms_per_layer": 1, "mamba_layers": layers,
        "mamba_heads": heads, "mamba_head_dim": width, "mamba_groups": r.size("n_groups"),
        "mamba_state": r.size("state_size"), "mamba_conv": r.size("conv_kernel", default=4),
        "mamba_conv_bias": r.flag("use_conv_bias", default=True),
        "mamba_proj_bias": r.flag("use_bias"),
    }  # fmt: skip
