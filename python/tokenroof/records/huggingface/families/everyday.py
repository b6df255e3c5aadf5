"""Mixtures of experts that many run: OLMoE, ERNIE 4.5, Hunyuan, Ling, AFMoE, Laguna and their like."""

from __future__ import annotations

from tokenroof.records.huggingface.families.blocks import (
    all_full,
    dense_but_every,
    dense_first,
    experts,
    gated,
    sliding,
    with_extra,
)
from tokenroof.records.huggingface.families.dense import biased, exaone4, olmo2
from tokenroof.records.huggingface.families.latent import latent
from tokenroof.records.huggingface.families.table import family
from tokenroof.records.huggingface.reader import Reader, Values, short
from tokenroof.support.quoting import counted


@family("olmoe", "flex_olmo")
def olmoe(r: Reader) -> Values:
    return experts(olmo2(r), r, 0, "intermediate_size")


@family("ernie4_5_moe", "ernie4_5_vl_moe")
def ernie4_5_moe(r: Reader) -> Values:
    v = all_full(r, gated(r))
    bias = r.flag("use_bias")
    v |= {"qkv_bias": bias, "out_bias": bias, "mlp_bias": bias, "head_bias": bias}
    layers = v["layers"]
    start = r.size("moe_layer_start_index", low=0)
    end = r.size("moe_layer_end_index", default=-1, low=-1)
    end = layers - 1 if end == -1 else end
    every = r.size("moe_layer_interval")
    moe = sum(1 for i in range(layers) if start <= i <= end and (i + 1) % every == 0)
    shared = r.size("moe_num_shared_experts", default=0, low=0) * r.size("moe_intermediate_size")
    r.flag("moe_use_aux_free", default=True)
    r.must_be("compression_ratio", 1)
    r.must_be("use_moe", True)
    if bias and shared:
        v = with_extra(v, "shared_experts", moe * (2 * shared + v["hidden"]))
    return experts(v, r, layers - moe, "moe_intermediate_size", shared_ffn=shared, router_bias=True)


def _same(r: Reader, name: str, default: int, layers: int) -> int:
    """A number, or a list of the same number for each layer."""
    value = r.raw(name)
    if isinstance(value, list):
        numbers = set(r.numbers(name)[:layers])
        if len(numbers) != 1 or len(value) < layers or min(numbers) < 0:
            raise ValueError(
                f"{name} is {short(value)}; allowed: one whole number, for each of {counted(layers, 'layer')}"
            )
        return numbers.pop()
    return r.size(name, default=default, low=0)


@family("hunyuan_v1_moe", "hunyuan")
def hunyuan_moe(r: Reader) -> Values:
    """Norms of each head's queries and keys; a shared MLP beside the experts."""
    v = all_full(r, biased(r))
    layers = v["layers"]
    r.must_be("use_cla", False)
    r.must_be("use_mla", False)
    if not r.flag("use_mla"):
        r.unused(
            "q_lora_rank", "kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"
        )
    skipped = r.size("moe_layer_num_skipped", default=0, low=0)
    v["qk_norm"] = 2 * v["head_dim"] if r.flag("use_qk_norm", default=True) else 0
    count, topk = _same(r, "num_experts", 1, layers), _same(r, "moe_topk", 1, layers)
    width = _same(r, "moe_intermediate_size", v["ffn"], layers)
    if count < 1 or not 1 <= topk <= count or skipped > layers or width < 1:
        raise ValueError(
            f"moe_topk is {topk}; allowed: 1 to the {count} of num_experts, and a width for them"
        )
    if count == 1:
        return v
    r.flag("use_mixed_mlp_moe", default=True)
    return {
        **v, "dense_layers": skipped, "ffn": v["ffn"] if skipped else 0, "moe_layers": layers - skipped,
        "experts": count, "topk": topk, "moe_ffn": width,
        "shared_ffn": v["ffn"] * _same(r, "num_shared_expert", 1, layers),
    }  # fmt: skip


@family("afmoe")
def afmoe(r: Reader) -> Values:
    """An output gate as wide as the queries, norms of each head, and around both halves of a layer."""
    v = {**gated(r), "q_multiplier": 2, "norms_per_layer": 4}
    v["qk_norm"] = 2 * v["head_dim"]
    r.must_be("attention_bias", False)
    every = r.size("global_attn_every_n_layers")
    v = sliding(r, v, r.size("sliding_window"), v["layers"] // every)
    dense = min(r.size("num_dense_layers", low=0, default=0), v["layers"])
    width = r.size("moe_intermediate_size")
    return experts(
        v, r, dense, "moe_intermediate_size", router_bias=True,
        shared_ffn=width * r.size("num_shared_experts", default=0, low=0),
    )  # fmt: skip


_KINDS = ("full_attention", "sliding_attention")


def _wide_gates(r: Reader, layers: int) -> bool:
    """Whether a head is gated by as many numbers as it is wide, in all layers alike."""
    gating = r.raw("gating")
    if gating not in (None, True, "per-head", "per-element"):
        raise ValueError(f"gating is {short(gating)}; allowed: true, 'per-head', 'per-element'")
    kinds = set(r.words("gating_types", ("per_head", "per_element"), layers))
    if len(kinds) > 1:
        raise ValueError(f"gating_types has {sorted(kinds)}; allowed: one kind for all layers")
    return gating == "per-element" or kinds == {"per_element"}


@family("laguna")
def laguna(r: Reader) -> Values:
    """Heads by layer, each gated by a number or by as many as it is wide; norms of each head.

    Where all layers with windows have as many, and all others, these are the model's. Otherwise a step is
    priced with the mean, and what a mean cannot say of the count is counted apart.
    """
    v = gated(r)
    layers, kv, width, hidden = v["layers"], v["kv_heads"], v["head_dim"], v["hidden"]
    heads = r.numbers("num_attention_heads_per_layer")[:layers] or [v["heads"]] * layers
    if len(heads) < layers or any(n < 1 or n % kv for n in heads):
        raise ValueError(
            f"num_attention_heads_per_layer is {short(heads)}; allowed: multiples of {kv} key-value "
            f"heads, one per layer, {layers}"
        )
    bias = r.flag("attention_bias")
    v |= {"qkv_bias": bias, "out_bias": bias, "qk_norm": 2 * width}
    wide = _wide_gates(r, layers)
    slides = [kind != "full_attention" for kind in r.words("layer_types", _KINDS, layers)]
    apart = [{n for n, one in zip(heads, slides, strict=False) if one == own} for own in (0, 1)]
    if slides and not wide and max(map(len, apart)) == 1:
        full, window_heads = (min(one, default=0) for one in apart)
        v |= {"heads": full or window_heads, "window_heads": window_heads, "head_gate": True}
    else:
        mean = sum(heads) // (layers * kv) * kv
        rest = (sum(heads) - mean * layers) * width * (2 * hidden + bias)
        gates = sum(heads) * hidden * (width if wide else 1)
        v = with_extra({**v, "heads": mean}, "attention", rest + gates)
    window = r.size("sliding_window", default=0, low=0)
    v = sliding(r, v, window, layers)
    kinds = r.words("mlp_layer_types", ("dense", "sparse"), layers)
    dense = dense_but_every(r, v) if r.given("mlp_only_layers") else 1
    return experts(
        v, r, kinds.count("dense") if kinds else dense, "moe_intermediate_size", router_bias=True,
        shared_ffn=r.size("shared_expert_intermediate_size", default=0, low=0),
    )  # fmt: skip


@family("exaone_moe")
def exaone_moe(r: Reader) -> Values:
    v = exaone4(r)
    width = r.size("moe_intermediate_size")
    return experts(
        v, r, dense_first(r, v), "moe_intermediate_size", router_bias=True,
        shared_ffn=width * r.size("num_shared_experts", default=0, low=0),
    )  # fmt: skip


@family("dots1")
def dots1(r: Reader) -> Values:
    v = biased(r)
    v["qk_norm"] = 2 * v["head_dim"]
    full = min(r.size("max_window_layers", default=v["layers"], low=0), v["layers"])
    window = r.size("sliding_window", default=0, low=0)
    v = sliding(r, v, window, full if window else v["layers"])
    shared = r.size("n_shared_experts", default=0, low=0) * r.size("moe_intermediate_size")
    return experts(
        v, r, dense_first(r, v), "moe_intermediate_size", shared_ffn=shared, router_bias=True
    )


@family("deepseek")
def deepseek(r: Reader) -> Values:
    """The first of its name: experts over plain attention."""
    v = biased(r)
    shared = r.size("n_shared_experts", default=0, low=0) * r.size("moe_intermediate_size")
    return experts(v, r, dense_first(r, v), "moe_intermediate_size", shared_ffn=shared)


@family("bailing_moe", "bailing_moe_v2")
def bailing_moe(r: Reader) -> Values:
    """Ling and Ring: one product for queries, keys and values; from the second on norms of each head."""
    v = gated(r)
    bias = r.flag("use_qkv_bias")
    second = str(r.config.get("model_type", "")).endswith("v2")
    norm = r.flag("use_qk_norm", default=second)
    v |= {"qkv_bias": bias, "out_bias": r.flag("use_bias"), "qk_norm": 2 * v["head_dim"] * norm}
    r.unused("max_window_layers")
    width = r.size("moe_intermediate_size")
    each = r.size("moe_shared_expert_intermediate_size", default=width)
    return experts(
        v, r, dense_first(r, v), "moe_intermediate_size",
        shared_ffn=each * r.size("num_shared_experts", default=0, low=0),
        router_bias=r.flag("moe_router_enable_expert_bias", default=second),
    )  # fmt: skip


@family("minicpm3", "youtu")
def minicpm3(r: Reader) -> Values:
    """Latent attention over dense MLPs."""
    return {**latent(r), "mlp_bias": r.flag("mlp_bias")}


@family("mistral4")
def mistral4(r: Reader) -> Values:
    v = latent(r)
    shared = r.size("n_shared_experts", default=0, low=0) * r.size("moe_intermediate_size")
    return experts(v, r, dense_first(r, v), "moe_intermediate_size", shared_ffn=shared)
