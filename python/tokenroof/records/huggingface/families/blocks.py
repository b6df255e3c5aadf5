"""What families are put together from: heads and widths, gated MLPs, windows, experts."""

from __future__ import annotations

from typing import Any

from tokenroof.records.huggingface.reader import Reader, Values

#: Layers are looked at one by one.
MOST_LAYERS = 100_000


def basics(r: Reader) -> Values:
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


def gated(r: Reader) -> Values:
    """With an MLP in every layer."""
    return {**basics(r), "ffn": r.size("intermediate_size")}


def windows(v: Values, full: int, window: int) -> Values:
    """Windows in all but `full` layers."""
    return {**v, "full_layers": full, "window_layers": v["layers"] - full, "window": window}


def experts(v: Values, r: Reader, dense: int, *names: str, **more: Any) -> Values:
    """Experts in all but `dense` layers."""
    if not 0 <= dense <= v["layers"]:
        raise ValueError(f"dense layers are {dense}; allowed: 0 to {v['layers']}")
    count = r.size("n_routed_experts", "num_experts", "num_local_experts", "moe_num_experts")
    topk = r.size("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_top_k")
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


def dense_but_every(r: Reader, v: Values) -> int:
    """Dense layers where experts stand in every `decoder_sparse_step`-th that `mlp_only_layers` lacks."""
    dense = set(r.numbers("mlp_only_layers"))
    step = r.size("decoder_sparse_step", default=1)
    return sum(1 for i in range(v["layers"]) if i in dense or (i + 1) % step)


def dense_first(r: Reader, v: Values) -> int:
    """Dense layers where experts stand in every `moe_layer_freq`-th after the first ones."""
    first = r.size("first_k_dense_replace", default=0, low=0)
    step = r.size("moe_layer_freq", default=1)
    return sum(1 for i in range(v["layers"]) if i < first or i % step)
