"""What families are put together from: heads and widths, gated MLPs, windows, experts."""

from __future__ import annotations

from typing import Any

from tokenroof.records.huggingface.reader import Reader, Values
from tokenroof.support.quoting import counted

#: Layers are looked at one by one.
MOST_LAYERS = 100_000
#: Names of the same field, in the families of one table.
LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_HIDDEN = ("hidden_size", "n_embd", "n_embed", "d_model")
_SLIDING = ("sliding_attention", "local_attention", "chunked_attention")


def layers_of(r: Reader, *names: str) -> int:
    """How many, checked: by the number, or by the list of their kinds where the number is left out."""
    names = names or LAYERS
    listed = r.config.get("layer_types") or r.config.get("layers_block_type")
    if not r.given(*names) and isinstance(listed, list) and 0 < len(listed) <= MOST_LAYERS:
        return len(listed)
    return r.size(*names, high=MOST_LAYERS)


def basics(r: Reader, head_dim: int = 0, layers: int = 0) -> Values:
    """What the Llama-like families have in common.

    Parameters
    ----------
    r : Reader
    head_dim : int
        Width of a head where the family knows it otherwise; 0: as the file says, or ``hidden / heads``.
    layers : int
        Where the family counts them otherwise.
    """
    heads = r.size("num_attention_heads", "n_head", "n_heads", "num_heads")
    hidden = r.size(*_HIDDEN)
    if not head_dim and not r.has("head_dim", "attention_head_dim") and hidden % heads:
        raise ValueError(
            f"num_attention_heads is {heads}; allowed: a divisor of hidden_size = {hidden}, "
            "or a head_dim"
        )
    layers = layers or layers_of(r)
    return {
        "hidden": hidden,
        "vocab": r.size("vocab_size"),
        "layers": layers,
        "heads": heads,
        "kv_heads": r.size("num_key_value_heads", "num_kv_heads", "n_head_kv", default=heads),
        "head_dim": head_dim
        or r.size("head_dim", "attention_head_dim", default=max(hidden // heads, 1)),
        "full_layers": layers,
        "dense_layers": layers,
        "tied": r.flag("tie_word_embeddings"),
    }


def with_extra(v: Values, name: str, count: int) -> Values:
    """And so many parameters of a module that no shape describes."""
    return {**v, "extras": (*v.get("extras", ()), (name, count))} if count else v


def gated(r: Reader) -> Values:
    """With an MLP in every layer."""
    return {**basics(r), "ffn": r.size("intermediate_size")}


def all_full(r: Reader, v: Values) -> Values:
    """Every layer sees everything: a file that says otherwise is refused."""
    r.words("layer_types", ("full_attention",), v["layers"])
    return v


def windows(v: Values, full: int, window: int) -> Values:
    """Windows in all but `full` layers."""
    return {**v, "full_layers": full, "window_layers": v["layers"] - full, "window": window}


def sliding(r: Reader, v: Values, window: int, full: int) -> Values:
    """Windows by ``layer_types``, or in all but `full` layers where the file does not list them."""
    kinds = r.words("layer_types", ("full_attention", *_SLIDING), v["layers"])
    if kinds:
        full = kinds.count("full_attention")
    if full >= v["layers"] or not window:
        if full < v["layers"] and kinds:
            raise ValueError(
                f"{r.path}sliding_window is missing; allowed: a whole number >= 1, as layer_types has "
                f"{counted(v['layers'] - full, 'layer')} with windows"
            )
        return v
    return windows(v, full, window)


def sliding_pattern(r: Reader, v: Values, every: int, window: int, first: bool = False) -> Values:
    """Windows in all but each `every`-th layer, or in the first of each stretch, or by ``layer_types``."""
    full = -(-v["layers"] // every) if first else v["layers"] // every
    return sliding(r, v, window, full)


def experts(v: Values, r: Reader, dense: int, *names: str, **more: Any) -> Values:
    """Experts in all but `dense` layers."""
    if not 0 <= dense <= v["layers"]:
        raise ValueError(f"dense layers are {dense}; allowed: 0 to {v['layers']}")
    if dense == v["layers"]:
        return {**v, "dense_layers": dense}
    count = r.size("n_routed_experts", "num_experts", "num_local_experts", "moe_num_experts")
    topk = r.size(
        "num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k", "moe_top_k", "top_k_experts",
    )  # fmt: skip
    if topk > count:
        raise ValueError(
            f"num_experts_per_tok is {topk}; allowed: at most the {counted(count, 'expert')}"
        )
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
    """Dense layers where experts stand in every `moe_layer_freq`-th after the first ones, or by a list."""
    kinds = r.words("mlp_layer_types", ("dense", "sparse"), v["layers"])
    first = r.size("first_k_dense_replace", default=0, low=0)
    if isinstance(r.config.get("moe_layer_freq"), list):
        marks = r.numbers("moe_layer_freq")
        if len(marks) < v["layers"] or set(marks) - {0, 1}:
            raise ValueError(
                f"moe_layer_freq has {counted(len(marks), 'entry')}; allowed: 0 or 1 per layer, {v['layers']}"
            )
        return marks[: v["layers"]].count(0)
    step = r.size("moe_layer_freq", default=1)
    if kinds:
        return kinds.count("dense")
    return sum(1 for i in range(v["layers"]) if i < first or i % step)
