"""Families of architectures: one small function from config fields to shapes each.

Rules: the public implementations of the architectures (the model files of each family).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tokenroof.records.huggingface.reader import LARGEST_SIZE, Reader, Values, short

#: Layers are looked at one by one.
MOST_LAYERS = 100_000


def _basics(r: Reader) -> Values:
    """What the Llama-like families have in common."""
    heads = r.size("num_attention_heads", "n_head", "n_heads")
    hidden = r.size("hidden_size", "n_embd", "n_embed", "d_model")
    if not r.has("head_dim", "attention_head_dim") and hidden % heads:
        raise ValueError(
            f"num_attention_heads is {heads}; allowed: a divisor of hidden_size = {hidden}, "
            "or a head_dim"
        )
    layers = r.size("num_hidden_layers", "n_layer", "n_layers", high=MOST_LAYERS)
    return {
        "hidden": hidden,
        "vocab": r.size("vocab_size"),
        "layers": layers,
        "heads": heads,
        "kv_heads": r.size("num_key_value_heads", "num_kv_heads", "n_head_kv", default=heads),
        "head_dim": r.size("head_dim", "attention_head_dim", default=max(hidden // heads, 1)),
        "full_layers": layers,
        "dense_layers": layers,
        "tied": r.flag("tie_word_embeddings"),
    }


def _gated(r: Reader) -> Values:
    return {**_basics(r), "ffn": r.size("intermediate_size")}


def _windows(v: Values, full: int, window: int) -> Values:
    return {**v, "full_layers": full, "window_layers": v["layers"] - full, "window": window}


def _experts(v: Values, r: Reader, dense: int, *names: str, **more: Any) -> Values:
    """Experts in all but `dense` layers."""
    if not 0 <= dense <= v["layers"]:
        raise ValueError(f"dense layers are {dense}; allowed: 0 to {v['layers']}")
    count = r.size("n_routed_experts", "num_experts", "num_local_experts")
    topk = r.size("num_experts_per_tok", "num_experts_per_token", "moe_topk")
    if topk > count:
        raise ValueError(f"num_experts_per_tok is {topk}; allowed: at most the {count} experts")
    return {
        **v,
        "dense_layers": dense,
        "ffn": v.get("ffn", 0) if dense else 0,
        "moe_layers": v["layers"] - dense,
        "experts": count,
        "topk": topk,
        "moe_ffn": r.size(*names),
        **more,
    }


def _every(r: Reader, v: Values, dense: list[int]) -> int:
    """Dense layers where experts stand in every `decoder_sparse_step`-th."""
    step = r.size("decoder_sparse_step", default=1)
    return sum(1 for i in range(v["layers"]) if i in set(dense) or (i + 1) % step)


def _llama(r: Reader) -> Values:
    bias = r.flag("attention_bias")
    return {**_gated(r), "qkv_bias": bias, "out_bias": bias, "mlp_bias": r.flag("mlp_bias")}


def _mistral(r: Reader) -> Values:
    v = _gated(r)
    window = r.size("sliding_window", default=0, low=0)
    longest = r.size("max_position_embeddings", default=LARGEST_SIZE)
    # a window over all positions limits nothing
    return _windows(v, 0, window) if 0 < window < longest else v


def _mixtral(r: Reader) -> Values:
    return _experts(_mistral(r), r, 0, "intermediate_size")


def _sliding_choice(r: Reader, v: Values) -> Values:
    """Qwen's switch: the layers from max_window_layers on slide, if at all."""
    if not r.flag("use_sliding_window"):
        return v
    full = min(r.size("max_window_layers", default=v["layers"], low=0), v["layers"])
    window = r.size("sliding_window", default=0, low=0)
    return _windows(v, full, window) if window and full < v["layers"] else v


def _qwen2(r: Reader) -> Values:
    return _sliding_choice(r, {**_gated(r), "qkv_bias": True})


def _qwen2_moe(r: Reader) -> Values:
    v = _qwen2(r)
    return _experts(
        v, r, _every(r, v, r.numbers("mlp_only_layers")), "moe_intermediate_size",
        shared_ffn=r.size("shared_expert_intermediate_size"), shared_gate=True,
    )  # fmt: skip


def _qwen3(r: Reader) -> Values:
    v = _sliding_choice(r, _llama(r))
    return {**v, "qk_norm": 2 * v["head_dim"]}


def _qwen3_moe(r: Reader) -> Values:
    v = _qwen3(r)
    return _experts(v, r, _every(r, v, r.numbers("mlp_only_layers")), "moe_intermediate_size")


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


def _qwen3_next(r: Reader) -> Values:
    v = {**_basics(r), "ffn": r.size("intermediate_size", default=0, low=0)}
    dense = _every(r, v, r.numbers("mlp_only_layers"))
    return _delta_net(r, _experts(
        v, r, dense, "moe_intermediate_size",
        shared_ffn=r.size("shared_expert_intermediate_size"), shared_gate=True,
    ))  # fmt: skip


def _qwen3_5(r: Reader) -> Values:
    return _delta_net(r, _gated(r))


def _latent(r: Reader) -> Values:
    v = {**_basics(r), "ffn": r.size("intermediate_size")}
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


def _deepseek(r: Reader, router_bias: bool) -> Values:
    v = _latent(r)
    ffn = r.size("moe_intermediate_size")
    first = r.size("first_k_dense_replace", default=0, low=0)
    every = r.size("moe_layer_freq", default=1)
    dense = sum(1 for i in range(v["layers"]) if i < first or i % every)
    return _experts(
        v, r, dense, "moe_intermediate_size",
        shared_ffn=ffn * r.size("n_shared_experts", default=0, low=0), router_bias=router_bias,
    )  # fmt: skip


def _deepseek_v2(r: Reader) -> Values:
    return _deepseek(r, router_bias=False)


def _deepseek_v3(r: Reader) -> Values:
    return _deepseek(r, router_bias=True)


def _deepseek_v32(r: Reader) -> Values:
    return {
        **_deepseek(r, router_bias=True),
        "index_heads": r.size("index_n_heads"),
        "index_head_dim": r.size("index_head_dim"),
        "index_topk": r.size("index_topk"),
    }


def _kimi_linear(r: Reader) -> Values:
    v = _latent(r)
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
    }  # fmt: skip
    first, every = (
        r.size("first_k_dense_replace", default=0, low=0),
        r.size("moe_layer_freq", default=1),
    )
    dense = sum(1 for i in range(v["layers"]) if i < first or i % every)
    shared = r.size("moe_intermediate_size") * r.size("num_shared_experts", default=0, low=0)
    return _experts(
        v, r, dense, "moe_intermediate_size", shared_ffn=shared, router_bias=True,
    )  # fmt: skip


def _gpt_oss(r: Reader) -> Values:
    v = _basics(r)
    kinds = r.words("layer_types", ("sliding_attention", "full_attention"), v["layers"])
    full = kinds.count("full_attention") if kinds else v["layers"] // 2
    v = _windows(v, full, r.size("sliding_window", default=128))
    return _experts(
        v, r, 0, "intermediate_size", router_bias=True, expert_bias=True, sinks=True,
        qkv_bias=r.flag("attention_bias", default=True),
        out_bias=r.flag("attention_bias", default=True),
    )  # fmt: skip


def _glm4_moe(r: Reader) -> Values:
    v = {**_gated(r), "qkv_bias": r.flag("attention_bias")}
    if r.flag("use_qk_norm"):
        v["qk_norm"] = 2 * v["head_dim"]
    shared = r.size("n_shared_experts", default=0, low=0) * r.size("moe_intermediate_size")
    return _experts(
        v, r, r.size("first_k_dense_replace", default=0, low=0), "moe_intermediate_size",
        shared_ffn=shared, router_bias=True,
    )  # fmt: skip


def _minimax_m2(r: Reader) -> Values:
    v = _basics(r)
    norm = (
        (v["heads"] + v["kv_heads"]) * v["head_dim"] if r.flag("use_qk_norm", default=True) else 0
    )
    return _experts(
        v, r, 0, "intermediate_size", qk_norm=norm,
        shared_ffn=r.size("shared_intermediate_size", default=0, low=0),
        router_bias=r.flag("use_routing_bias", default=True),
    )  # fmt: skip


def _gemma(r: Reader) -> Values:
    return {**_gated(r), "tied": r.flag("tie_word_embeddings", default=True)}


def _gemma2(r: Reader) -> Values:
    v = {**_gemma(r), "norms_per_layer": 4}
    return _windows(v, v["layers"] // 2, r.size("sliding_window", default=4096))


# What the architecture's own defaults leave unsaid in its files.
_GEMMA3_DEFAULTS = {
    "vocab_size": 262208, "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26,
    "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "sliding_window": 4096,
    "max_position_embeddings": 131072,
}  # fmt: skip


def _gemma3(r: Reader) -> Values:
    if not r.has("hidden_size"):
        r.size("hidden_size")  # an empty config is no Gemma
    given = {key: value for key, value in r.config.items() if value is not None}
    r = Reader({**_GEMMA3_DEFAULTS, **given})
    v = {**_gemma(r), "norms_per_layer": 4}
    v["qk_norm"] = 2 * v["head_dim"]
    kinds = r.words("layer_types", ("sliding_attention", "full_attention"), v["layers"])
    every = r.size("sliding_window_pattern", "_sliding_window_pattern", default=6)
    full = kinds.count("full_attention") if kinds else v["layers"] // every
    return _windows(v, full, r.size("sliding_window", default=1024))


def _llama4(r: Reader) -> Values:
    v = {**_basics(r), "ffn": r.size("intermediate_size_mlp", "intermediate_size")}
    routed = r.numbers("moe_layers")
    step = r.size("interleave_moe_layer_step", default=1)
    moe = len(set(routed)) if routed else v["layers"] // step
    chunk = r.size("attention_chunk_size", default=8192)
    v = _windows(v, v["layers"] // r.size("no_rope_layer_interval", default=4), chunk)
    return _experts(
        v, r, v["layers"] - moe, "intermediate_size", shared_ffn=r.size("intermediate_size"),
    )  # fmt: skip


def _phi3(r: Reader) -> Values:
    # its window is as wide as the context it was trained on: counted as full attention
    return _gated(r)


def _phi(r: Reader) -> Values:
    return {
        **_gated(r), "mlp_matrices": 2, "qkv_bias": True, "out_bias": True, "mlp_bias": True,
        "norm_bias": True, "norms_per_layer": 1, "head_bias": True,
    }  # fmt: skip


def _phimoe(r: Reader) -> Values:
    bias = r.flag("attention_bias")
    v = {**_mistral(r), "qkv_bias": bias, "out_bias": bias, "norm_bias": True}
    return _experts(v, r, 0, "intermediate_size", head_bias=r.flag("lm_head_bias"))


def _nemotron(r: Reader) -> Values:
    return {**_llama(r), "mlp_matrices": 2, "norm_bias": True}


def _nemotron_h(r: Reader) -> Values:
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
    v = _basics(r)
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
    v = _experts(
        v, r, 0, "moe_intermediate_size", router_bias=True,
        shared_ffn=width * r.size("n_shared_experts", default=1, low=0),
    )  # fmt: skip
    return {**v, "moe_layers": moe, "dense_layers": dense}


def _gpt2(r: Reader) -> Values:
    v = _basics(r)
    return {
        **v, "ffn": r.size("n_inner", default=4 * v["hidden"]), "mlp_matrices": 2, "qkv_bias": True,
        "out_bias": True, "mlp_bias": True, "norm_bias": True, "positions": r.size("n_positions"),
        "tied": r.flag("tie_word_embeddings", default=True),
    }  # fmt: skip


def _gptj(r: Reader) -> Values:
    v = _basics(r)
    return {
        **v, "ffn": r.size("n_inner", default=4 * v["hidden"]), "mlp_matrices": 2, "mlp_bias": True,
        "norm_bias": True, "norms_per_layer": 1, "head_bias": True,
    }  # fmt: skip


def _opt(r: Reader) -> Values:
    return {
        **_basics(r), "ffn": r.size("ffn_dim"), "mlp_matrices": 2, "qkv_bias": True,
        "out_bias": True, "mlp_bias": True, "norm_bias": True,
        "positions": r.size("max_position_embeddings") + 2,
        "tied": r.flag("tie_word_embeddings", default=True),
    }  # fmt: skip


def _bloom(r: Reader) -> Values:
    v = _basics(r)
    return {
        **v, "ffn": 4 * v["hidden"], "mlp_matrices": 2, "qkv_bias": True, "out_bias": True,
        "mlp_bias": True, "norm_bias": True, "embedding_norm": True,
        "tied": r.flag("tie_word_embeddings", default=True),
    }  # fmt: skip


def _falcon(r: Reader) -> Values:
    v = _basics(r)
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


def _cohere(r: Reader) -> Values:
    v = {**_llama(r), "norms_per_layer": 1}
    if r.flag("use_qk_norm"):
        v["qk_norm"] = (v["heads"] + v["kv_heads"]) * v["head_dim"]
    return {**v, "tied": r.flag("tie_word_embeddings", default=True)}


def _cohere2(r: Reader) -> Values:
    v = _cohere(r)
    every = r.size("sliding_window_pattern", "_sliding_window_pattern", default=4)
    return _windows(v, v["layers"] // every, r.size("sliding_window", default=4096))


def _dbrx(r: Reader) -> Values:
    v = {**_basics(r), "kv_heads": r.part("attn_config").size("kv_n_heads")}
    f = r.part("ffn_config")
    topk, count = f.size("moe_top_k"), f.size("moe_num_experts")
    return {
        **v, "dense_layers": 0, "moe_layers": v["layers"], "experts": count, "topk": topk,
        "moe_ffn": f.size("ffn_hidden_size"),
    }  # fmt: skip


def _grok(r: Reader) -> Values:
    hidden = r.size("emb_size", "hidden_size")
    layers = r.size("num_layers", "num_hidden_layers", high=MOST_LAYERS)
    heads = r.size("num_q_heads", "num_attention_heads")
    return {
        "hidden": hidden, "vocab": r.size("vocab_size"), "layers": layers, "full_layers": layers,
        "heads": heads, "kv_heads": r.size("num_kv_heads", "num_key_value_heads"),
        "head_dim": r.size("key_size", "head_dim"), "moe_layers": layers,
        "experts": r.size("num_experts", "num_local_experts"),
        "topk": r.size("num_selected_experts", "num_experts_per_tok"),
        "moe_ffn": r.size("intermediate_size"), "norms_per_layer": 4,
        "tied": r.flag("tie_word_embeddings", default=True),
    }  # fmt: skip


FAMILIES: dict[str, Callable[[Reader], Values]] = {
    "llama": _llama, "mistral": _mistral, "ministral": _mistral, "ministral3": _mistral,
    "mixtral": _mixtral, "qwen2": _qwen2, "qwen2_moe": _qwen2_moe, "qwen3": _qwen3,
    "qwen3_moe": _qwen3_moe, "qwen3_next": _qwen3_next, "qwen3_5": _qwen3_5,
    "qwen3_5_moe": _qwen3_next, "deepseek_v2": _deepseek_v2, "deepseek_v3": _deepseek_v3,
    "kimi_linear": _kimi_linear,
    "kimi_k2": _deepseek_v3, "kimi_k25": _deepseek_v3, "deepseek_v32": _deepseek_v32,
    "glm_moe_dsa": _deepseek_v32, "glm4_moe": _glm4_moe, "gpt_oss": _gpt_oss,
    "minimax_m2": _minimax_m2, "gemma": _gemma, "gemma2": _gemma2, "gemma3": _gemma3,
    "llama4": _llama4, "phi": _phi, "phi3": _phi3, "phimoe": _phimoe, "nemotron": _nemotron,
    "nemotron_h": _nemotron_h, "gpt2": _gpt2, "gptj": _gptj, "opt": _opt, "bloom": _bloom,
    "falcon": _falcon, "refinedweb": _falcon,
    "refinedwebmodel": _falcon, "cohere": _cohere, "cohere2": _cohere2, "dbrx": _dbrx, "grok_1": _grok,
    "qwen2_vl": _qwen2, "qwen2_5_vl": _qwen2, "qwen3_vl": _qwen3, "qwen3_vl_moe": _qwen3_moe,
}  # fmt: skip
