"""Models whose layers differ in heads, caches or embeddings: Gemma 3n and 4, MiMo, Step 3, LongCat, Hy3."""

from __future__ import annotations

from tokenroof.records.huggingface.families.blocks import basics, dense_first, experts, gated
from tokenroof.records.huggingface.families.compressed import _switches
from tokenroof.records.huggingface.families.latent import latent
from tokenroof.records.huggingface.families.table import family
from tokenroof.records.huggingface.reader import Reader, Values, short
from tokenroof.support.quoting import counted

_SLIDING, _FULL = "sliding_attention", "full_attention"


def _kinds(r: Reader, layers: int, every: int) -> list[str]:
    """Kind of attention by layer; where the file has none, each so-manieth is full."""
    found = r.words("layer_types", (_SLIDING, _FULL), layers)
    return found or [_SLIDING if (i + 1) % every else _FULL for i in range(layers)]


def _sharing(r: Reader, kinds: list[str]) -> Values:
    """The last layers read the cache of the last one of their kind before them."""
    shared = r.size("num_kv_shared_layers", default=0, low=0, high=len(kinds))
    last = kinds[len(kinds) - shared :]
    return {
        "full_layers": kinds.count(_FULL), "window_layers": kinds.count(_SLIDING),
        "window": r.size("sliding_window", default=512),
        "shared_full_layers": last.count(_FULL), "shared_window_layers": last.count(_SLIDING),
    }  # fmt: skip


def _layer_embedding(r: Reader, v: Values) -> Values:
    width = r.size("hidden_size_per_layer_input", default=256, low=0)
    if not width:
        r.unused("vocab_size_per_layer_input")
        return {}
    vocab = r.size("vocab_size_per_layer_input", default=v["vocab"])
    return {"layer_embedding": width, "layer_vocab": vocab}


@family("gemma4")
def gemma4(r: Reader) -> Values:
    v = {**gated(r), "tied": r.flag("tie_word_embeddings", default=True)}
    layers, moe = v["layers"], r.flag("enable_moe_block")
    # files without layer_types: a full layer each sixth, or fifth, so that the last one is
    kinds = _kinds(r, layers, 6 if layers % 6 == 0 or layers % 5 else 5)
    tied = r.flag("attention_k_eq_v")
    width, own = v["head_dim"], v["kv_heads"]
    globe = r.size("global_head_dim", default=512, low=0) or width
    kv_heads = r.size("num_global_key_value_heads", default=own) if tied else own
    v |= {
        **_sharing(r, kinds), **_layer_embedding(r, v), "tied_values": tied,
        "window_heads": v["heads"], "window_kv_heads": own, "window_head_dim": width,
        "window_v_head_dim": width, "head_dim": globe, "kv_heads": kv_heads, "qk_norm": 2 * globe,
    }  # fmt: skip
    shared = v["shared_full_layers"] + v["shared_window_layers"]
    if shared and r.flag("use_double_wide_mlp"):
        v |= {"dense_layers": layers - shared, "wide_layers": shared, "wide_ffn": 2 * v["ffn"]}
    v["norms_per_layer"] = 4 + bool(v.get("layer_embedding")) + 3 * moe
    if not moe:
        r.unused("num_experts", "top_k_experts", "moe_intermediate_size")
        return v
    count, topk = r.size("num_experts"), r.size("top_k_experts", "num_experts_per_tok")
    if topk > count:
        raise ValueError(
            f"top_k_experts is {topk}; allowed: at most the {counted(count, 'expert')}"
        )
    # beside the MLP of every layer
    return {**v, "moe_layers": layers, "experts": count, "topk": topk,
            "moe_ffn": r.size("moe_intermediate_size"), "router_bias": True}  # fmt: skip


@family("gemma3n")
def gemma3n(r: Reader) -> Values:
    v = {**basics(r), "tied": r.flag("tie_word_embeddings", default=True)}
    layers = v["layers"]
    widths = r.raw("intermediate_size")
    if isinstance(widths, list):  # one per layer, and all alike
        sizes = r.numbers("intermediate_size")
        if not sizes or len(set(sizes)) > 1 or sizes[0] < 1:
            raise ValueError(
                f"intermediate_size is {short(widths)}; allowed: a whole number >= 1, or as many alike"
            )
        v["ffn"] = sizes[0]
    else:
        v["ffn"] = r.size("intermediate_size")
    streams = r.size("altup_num_inputs", default=4)
    r.unused("altup_active_idx", "altup_coef_clip", "altup_correct_scale", "altup_lr_multiplier",
             "activation_sparsity_pattern")  # fmt: skip
    return {
        **v, **_sharing(r, _kinds(r, layers, 5)), **_layer_embedding(r, v),
        "qk_norm": 2 * v["head_dim"], "norms_per_layer": 5, "idle_kv_weights": True,
        "streams": streams, "stream_mixes": layers, "altup": True,
        "laurel_rank": r.size("laurel_rank", default=64),
    }  # fmt: skip


@family("mimo_v2_flash", "mimo_v2")
def mimo_v2(r: Reader) -> Values:
    v = gated(r)
    slides = _switches(r, "hybrid_layer_pattern", v["layers"])
    routed = _switches(r, "moe_layer_freq", v["layers"])
    # sinks are a number a head; chunks and layouts are how engines run it
    r.unused("add_full_attention_sink_bias", "add_swa_attention_sink_bias", "attention_chunk_size",
             "attention_projection_layout", "hybrid_block_size")  # fmt: skip
    if not slides:
        raise ValueError(
            "hybrid_layer_pattern is missing; allowed: 0 or 1 per layer, 1 for a window"
        )
    windows = slides.count(1)
    v |= {
        "v_head_dim": r.size("v_head_dim", default=v["head_dim"]), "full_layers": slides.count(0),
        "window_layers": windows, "window": r.size("sliding_window", "sliding_window_size", default=128),
        "window_heads": r.size("swa_num_attention_heads", default=v["heads"]),
        "window_kv_heads": r.size("swa_num_key_value_heads", default=v["kv_heads"]),
        "window_head_dim": r.size("swa_head_dim", default=v["head_dim"]),
        "qkv_bias": r.flag("attention_bias"),
    }  # fmt: skip
    v["window_v_head_dim"] = r.size("swa_v_head_dim", default=v["v_head_dim"])
    dense = routed.count(0) if routed else 0
    shared = r.size("n_shared_experts", default=0, low=0) * r.size("moe_intermediate_size")
    return experts(v, r, dense, "moe_intermediate_size", router_bias=True, shared_ffn=shared)


def _enumerated(r: Reader, name: str) -> set[int]:
    """Layers named by a list, or by a text with commas."""
    value = r.raw(name)
    if not isinstance(value, str):
        return set(r.numbers(name))
    words = [word.strip() for word in value.split(",") if word.strip()]
    if not all(word.isdecimal() and len(word) < 7 for word in words):
        raise ValueError(f"{name} is {short(value)}; allowed: layers with commas between")
    return {int(word) for word in words}


@family("step3p5", "step3p7", "step3p7_flash")
def step3(r: Reader) -> Values:
    v = gated(r)
    layers = v["layers"]
    v["kv_heads"] = r.size("num_attention_groups", "num_key_value_heads", default=v["kv_heads"])
    kinds = _kinds(r, layers, 1)
    v |= {
        "full_layers": kinds.count(_FULL), "window_layers": kinds.count(_SLIDING),
        "window": r.size("sliding_window", default=512), "qk_norm": 2 * v["head_dim"],
        "head_gate": r.flag("use_head_wise_attn_gate"),
    }  # fmt: skip
    r.unused("n_shared_experts", "num_key_value_heads", "moe_every_n_layer", "moe_layer_offset", "use_moe",
             "att_impl_type", "use_qk_norm", "need_fp32_gate", "moe_router_activation", "use_rope_layers",
             "mlp_layer_types", "num_sliding_attention_heads")  # fmt: skip
    if r.has("attention_other_setting"):
        part = r.part("attention_other_setting")
        part.unused("attention_type", "true_head_dim")
        v |= {
            "window_heads": part.size("num_attention_heads"),
            "window_kv_heads": part.size("num_attention_groups", "num_key_value_heads"),
            "window_head_dim": part.size("head_dim", default=v["head_dim"]),
        }  # fmt: skip
    routed = {layer for layer in _enumerated(r, "moe_layers_enum") if layer < layers}
    first = r.size("first_k_dense_replace", default=3, low=0)
    dense = layers - len(routed) if routed else min(first, layers)
    bias = r.flag("use_moe_router_bias", default=True)
    return experts(
        v, r, dense, "moe_intermediate_size", router_bias=bias,
        shared_ffn=r.size("share_expert_dim", "share_expert_dims", default=0, low=0),
    )  # fmt: skip


@family("longcat_flash")
def longcat_flash(r: Reader) -> Values:
    """Each of its layers is two of attention and MLP, with one mixture beside them."""
    for name in ("ngram_vocab_size_ratio", "oe_vocab_size_ratio"):
        if r.has(name):
            raise ValueError(
                f"{name} is {short(r.raw(name))}; allowed: none, as its tables are not known"
            )
    r.unused("attention_method", "mla_scale_q_lora", "mla_scale_kv_lora", "zero_expert_type", "qk_head_dim",
             "num_hidden_layers", "router_bias")  # fmt: skip
    layers = r.size("num_layers", "num_hidden_layers", high=100_000)
    config = {**r.config, "num_hidden_layers": 2 * layers,
              "intermediate_size": r.size("ffn_hidden_size", "intermediate_size")}  # fmt: skip
    v = experts(
        latent(r.over(config)), r, 0, "expert_ffn_hidden_size", "moe_intermediate_size",
        router_bias=True, zero_experts=r.size("zero_expert_num", default=0, low=0),
    )  # fmt: skip
    return {
        **v,
        "dense_layers": 2 * layers,
        "ffn": config["intermediate_size"],
        "moe_layers": layers,
    }


@family("hy_v3")
def hy_v3(r: Reader) -> Values:
    bias = r.flag("attention_bias")
    v = {**gated(r), "qkv_bias": bias, "out_bias": bias}
    if r.flag("qk_norm", "use_qk_norm", default=True):
        v["qk_norm"] = 2 * v["head_dim"]
    shared = r.size("num_shared_experts", "n_shared_experts", default=1, low=0)
    return experts(
        v, r, dense_first(r, v), "moe_intermediate_size", router_bias=True,
        shared_ffn=shared * r.size("moe_intermediate_size"),
    )  # fmt: skip
