"""Models with latent attention: DeepSeek and what follows it."""

from __future__ import annotations

from tokenroof.records.huggingface.families.blocks import basics, dense_first, experts
from tokenroof.records.huggingface.families.table import family
from tokenroof.records.huggingface.reader import Reader, Values


def latent(r: Reader) -> Values:
    """Heads over a shared latent, with an MLP in every layer."""
    # what files say of a head_dim is not used, nor how many heads of keys and values there are
    nope, rope = r.size("qk_nope_head_dim"), r.size("qk_rope_head_dim")
    v = {**basics(r, head_dim=nope + rope), "ffn": r.size("intermediate_size")}
    v["kv_heads"] = v["heads"]
    r.unused("head_dim", "qk_head_dim")
    v["out_bias"] = r.flag("attention_bias")
    return {
        **v,
        "head_dim": nope + rope,
        "v_head_dim": r.size("v_head_dim"),
        "q_lora_rank": r.size("q_lora_rank", default=0, low=0),
        "kv_lora_rank": r.size("kv_lora_rank"),
        "nope_head_dim": nope,
        "rope_head_dim": rope,
    }


def _deepseek(r: Reader, router_bias: bool) -> Values:
    v = latent(r)
    ffn = r.size("moe_intermediate_size")
    dense = dense_first(r, v)
    return experts(
        v, r, dense, "moe_intermediate_size",
        shared_ffn=ffn * r.size("n_shared_experts", default=0, low=0), router_bias=router_bias,
    )  # fmt: skip


@family("deepseek_v2")
def deepseek_v2(r: Reader) -> Values:
    return _deepseek(r, router_bias=False)


@family("deepseek_v3", "kimi_k2", "kimi_k25")
def deepseek_v3(r: Reader) -> Values:
    return _deepseek(r, router_bias=True)


@family("deepseek_v32", "glm_moe_dsa")
def deepseek_v32(r: Reader) -> Values:
    return {
        **_deepseek(r, router_bias=True),
        "index_heads": r.size("index_n_heads"),
        "index_head_dim": r.size("index_head_dim"),
        "index_topk": r.size("index_topk"),
    }
