"""Models with latent attention: DeepSeek and what follows it."""

from __future__ import annotations

from tokenroof.records.huggingface.families.blocks import basics, dense_first, experts, with_extra
from tokenroof.records.huggingface.families.table import family
from tokenroof.records.huggingface.reader import Reader, Values


def latent(r: Reader) -> Values:
    """Heads over a shared latent, with an MLP in every layer."""
    nope, rope = r.size("qk_nope_head_dim", low=0), r.size("qk_rope_head_dim", low=0)
    mla = r.flag("use_mla", default=nope > 0)
    if not mla:  # plain attention under this name, as in DeepSeek-VL2 and -OCR
        r.unused("q_lora_rank", "kv_lora_rank", "v_head_dim", "qk_rope_head_dim")
        r.must_be("lm_head", True)
        r.must_be("rm_head", False)
        bias = r.flag("attention_bias")
        width = 0 if r.given("head_dim") else r.size("hidden_size") // r.size("num_attention_heads")
        v = basics(r, head_dim=width)
        return {**v, "ffn": r.size("intermediate_size"), "qkv_bias": bias, "out_bias": bias}
    if not (nope and rope):
        name = "qk_rope_head_dim" if nope else "qk_nope_head_dim"
        raise ValueError(f"{r.path}{name} is 0; allowed: a whole number >= 1 with latent attention")
    # what files say of a head_dim is not used, nor how many heads of keys and values there are
    v = {**basics(r, head_dim=nope + rope), "ffn": r.size("intermediate_size")}
    v["kv_heads"] = v["heads"]
    r.unused("head_dim", "qk_head_dim")
    query, key = r.size("q_lora_rank", default=0, low=0), r.size("kv_lora_rank")
    if r.flag("attention_bias"):  # of both projections down and of the output
        v = with_extra(v, "attention", v["layers"] * (query + key + rope + v["hidden"]))
    return {
        **v,
        "head_dim": nope + rope,
        "v_head_dim": r.size("v_head_dim", default=max(v["hidden"] // v["heads"], 1)),
        "q_lora_rank": query,
        "kv_lora_rank": key,
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
