"""Models in which states of fixed size stand beside attention."""

from __future__ import annotations

from tokenroof.records.huggingface.families.blocks import (
    basics,
    dense_but_every,
    dense_first,
    experts,
    gated,
)
from tokenroof.records.huggingface.families.latent import latent
from tokenroof.records.huggingface.families.table import family
from tokenroof.records.huggingface.reader import Reader, Values, short


def _delta_net(r: Reader, v: Values) -> Values:
    kinds = r.words("layer_types", ("linear_attention", "full_attention"), v["layers"])
    full = (
        kinds.count("full_attention")
        if kinds
        else v["layers"] // r.size("full_attention_interval", default=4)
    )
    return {
        **v,
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
        "linear_full_gate": part.flag("use_full_rank_gate"),
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


@family("nemotron_h")
def nemotron_h(r: Reader) -> Values:
    letters = {"mamba": "M", "attention": "*", "moe": "E", "mlp": "-"}
    pattern = r.text("hybrid_override_pattern")
    blocks = r.config.get("layers_block_type")
    if not pattern and blocks is not None:
        layers = len(blocks) if isinstance(blocks, list) else 0
        pattern = "".join(letters[b] for b in r.words("layers_block_type", tuple(letters), layers))
    odd = sorted(set(pattern) - set("M*E-"))
    if not pattern or odd:
        raise ValueError(
            f"hybrid_override_pattern is {short(pattern)}; allowed: one of M * E - per block"
        )
    v = basics(r)
    if len(pattern) != v["layers"]:
        raise ValueError(
            f"hybrid_override_pattern has {len(pattern)} letters; allowed: one per block, "
            f"{v['layers']}"
        )
    dense, moe = pattern.count("-"), pattern.count("E")
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
        "mamba_conv": r.size("conv_kernel", default=4),
        "dense_layers": dense,
        "ffn": r.size("intermediate_size") if dense else 0,
    }
    if not moe:
        return v
    width = r.size("moe_shared_expert_intermediate_size", default=0, low=0)
    v = experts(
        v, r, 0, "moe_intermediate_size", router_bias=True,
        shared_ffn=width * r.size("n_shared_experts", default=1, low=0),
        moe_latent=r.size("moe_latent_size", default=0, low=0),
    )  # fmt: skip
    return {**v, "moe_layers": moe, "dense_layers": dense}
