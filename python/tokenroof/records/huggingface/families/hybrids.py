"""Models in which states of fixed size stand beside attention."""

from __future__ import annotations

from tokenroof.records.huggingface.families.blocks import (
    LAYERS,
    MOST_LAYERS,
    basics,
    dense_but_every,
    dense_first,
    experts,
    gated,
    layers_of,
)
from tokenroof.records.huggingface.families.latent import latent
from tokenroof.records.huggingface.families.table import family
from tokenroof.records.huggingface.reader import Reader, Values, short


def _delta_net(r: Reader, v: Values) -> Values:
    kinds = r.words("layer_types", ("linear_attention", "full_attention"), v["layers"])
    every = r.size("full_attention_interval", default=4)
    full = kinds.count("full_attention") if kinds else v["layers"] // every
    bias = r.flag("attention_bias")
    return {
        **v,
        "qkv_bias": bias,
        "out_bias": bias,
        "full_layers": full,
        "linear_layers": v["layers"] - full,
        "q_multiplier": 2 if r.flag("attn_output_gate", default=True) else 1,
        "qk_norm": 2 * v["head_dim"],
        "linear_key_heads": r.size("linear_num_key_heads"),
        "linear_key_dim": r.size("linear_key_head_dim"),
        "linear_value_heads": r.size("linear_num_value_heads"),
        "linear_value_dim": r.size("linear_value_head_dim"),
        "linear_conv": r.size("linear_conv_kernel_dim"),
    }


@family("qwen3_next", "qwen3_5_moe")
def qwen3_next(r: Reader) -> Values:
    v = {**basics(r), "ffn": r.size("intermediate_size", default=0, low=0)}
    dense = dense_but_every(r, v)
    return _delta_net(r, experts(
        v, r, dense, "moe_intermediate_size",
        shared_ffn=r.size("shared_expert_intermediate_size"), shared_gate=True,
    ))  # fmt: skip


@family("qwen3_5")
def qwen3_5(r: Reader) -> Values:
    return _delta_net(r, gated(r))


@family("kimi_linear", "kimi_k3")
def kimi_linear(r: Reader) -> Values:
    v = latent(r)
    part = r.part("linear_attn_config")
    r.unused("activation_situ_beta", "activation_situ_linear_beta")  # of the activation
    part.unused("gate_lower_bound")
    full, linear = part.numbers("full_attn_layers"), part.numbers("kda_layers")
    if len(full) + len(linear) != v["layers"]:
        raise ValueError(
            f"full_attn_layers and kda_layers name {len(full)} and {len(linear)} layers; allowed: together "
            f"the {v['layers']} of num_hidden_layers"
        )
    heads, width = part.size("num_heads"), part.size("head_dim")
    v |= {
        "full_layers": len(full), "linear_layers": len(linear), "linear_key_heads": heads,
        "linear_value_heads": heads, "linear_key_dim": width, "linear_value_dim": width,
        "linear_conv": part.size("short_conv_kernel_size"), "linear_gate_rank": width,
        "linear_full_gate": part.flag("use_full_rank_gate"),  # of the output
        "q_multiplier": 2 if r.flag("mla_use_output_gate") else 1,
    }  # fmt: skip
    block = r.size("attn_res_block_size", default=0, low=0)
    if block:  # sums of so many layers are read again
        v["residual_slots"] = -(-v["layers"] // block)
    dense = dense_first(r, v)
    shared = r.size("moe_intermediate_size") * r.size("num_shared_experts", default=0, low=0)
    return experts(
        v, r, dense, "moe_intermediate_size", shared_ffn=shared, router_bias=True,
        moe_latent=r.size("routed_expert_hidden_size", default=0, low=0),
        moe_latent_norm=r.has("routed_expert_hidden_size") and r.flag("latent_moe_use_norm"),
    )  # fmt: skip


_LETTERS = {
    "mamba": "M", "linear_attention": "M", "attention": "*", "full_attention": "*", "moe": "E",
    "mlp": "-",
}  # fmt: skip


def _block_pattern(r: Reader) -> str:
    """A letter per block: the pattern, or the list that stands in its place, which count the blocks too."""
    pattern = r.text("hybrid_override_pattern")
    name = "layers_block_type" if r.given("layers_block_type") else "layer_types"
    blocks = r.raw(name)
    if blocks is not None:
        layers = len(blocks) if isinstance(blocks, list) else 0
        listed = "".join(_LETTERS[b] for b in r.words(name, tuple(_LETTERS), layers))
        if pattern and pattern != listed:
            raise ValueError(
                f"{name} is {short(blocks)}; allowed: what hybrid_override_pattern says"
            )
        pattern = listed
    odd = sorted(set(pattern) - set("M*E-"))
    if not pattern or odd or len(pattern) > MOST_LAYERS:
        raise ValueError(
            f"hybrid_override_pattern is {short(pattern)}; allowed: one of M * E - per block"
        )
    layers = layers_of(r) if r.given(*LAYERS) else len(pattern)
    if len(pattern) != layers:
        raise ValueError(
            f"hybrid_override_pattern has {len(pattern)} letters; allowed: one per block, {layers}"
        )
    return pattern


@family("nemotron_h")
def nemotron_h(r: Reader) -> Values:
    pattern = _block_pattern(r)
    v = basics(r, layers=len(pattern))
    dense, moe = pattern.count("-"), pattern.count("E")
    bias = r.flag("attention_bias")
    projections = r.flag("mamba_proj_bias") or r.flag("use_bias")
    r.unused("expand", "ssm_cfg")
    v = {
        **v,
        "mlp_matrices": 2,
        "norms_per_layer": 1,
        "full_layers": pattern.count("*"),
        "mamba_layers": pattern.count("M"),
        "mamba_heads": r.size("mamba_num_heads"),
        "mamba_head_dim": r.size("mamba_head_dim"),
        "mamba_groups": r.size("n_groups", "mamba_num_groups"),
        "mamba_state": r.size("ssm_state_size", "mamba_state_dim"),
        "mamba_conv": r.size("conv_kernel", "mamba_d_conv", default=4),
        "mamba_conv_bias": r.flag("use_conv_bias", default=True),
        "mamba_proj_bias": projections,
        "dense_layers": dense,
        "ffn": r.size("intermediate_size") if dense else 0,
        "qkv_bias": bias,
        "out_bias": bias,
        "mlp_bias": r.flag("mlp_bias"),
    }
    if not dense:
        r.unused("intermediate_size")
    if not moe:
        return v
    narrow = v["ffn"]
    width = r.size("moe_shared_expert_intermediate_size", default=0, low=0)
    v = experts(
        v, r, 0, "moe_intermediate_size", router_bias=True,
        shared_ffn=width * r.size("n_shared_experts", default=1, low=0),
        moe_latent=r.size("moe_latent_size", default=0, low=0),
    )  # fmt: skip
    return {**v, "moe_layers": moe, "dense_layers": dense, "ffn": narrow}
