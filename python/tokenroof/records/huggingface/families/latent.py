"""Models with latent attention: DeepSeek and what follows it."""

from __future__ import annotations

from tokenroof.records.huggingface.families.blocks import basics, dense_first, experts
from tokenroof.records.huggingface.families.table import family
from tokenroof.records.huggingface.reader import Reader, Values


def latent(r: Reader) -> Values:
    """Heads over a shared latent, with an MLP in every layer."""
    # widths of heads stand in fields of their own
    v = {**basics(Reader({**r.config, "head_dim": 1})), "ffn": r.size("intermediate_size")}
    nope, rope = r.size("qk_nope_head_dim"), r.size("qk_rope_head_dim")
    return {
        **v,
        "head_dim": nope + rope,
        "v_head_dim": r.size("v_head_dim"),
        "q_lora_rank": r.size("q_lora_rank", default=0, low=0),
        "kv_lora_rank": r.size("kv_lora_rank"),
        "nope_head_dim": nope,
        "rope_head_dim": rope,
    }


def deepseek(r: Reader, router_bias: bool) -> Values:
    """Latent attention with experts beyond the first layers."""
    v = latent(r)
    ffn = r.size("moe_intermediate_size")
    dense = dense_first(r, v)
    return experts(
        v, r, dense, "moe_intermediate_size",
        shared_ffn=ffn * r.size("n_shared_experts", default=0, low=0), router_bias=router_bias,
    )  # fmt: skip


@family("deepseek_v2")
def deepseek_v2(r: Reader) -> Values:
    return deepseek(r, router_bias=False)


@family("deepseek_v3", "kimi_k2", "kimi_k25")
def deepseek_v3(r: Reader) -> Values:
    return deepseek(r, router_bias=True)
