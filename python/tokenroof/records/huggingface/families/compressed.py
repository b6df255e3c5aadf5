"""Models whose attention chooses or compresses its keys: DeepSeek-V4, GLM-5, MiniMax M3."""

from __future__ import annotations

from tokenroof.records.huggingface.families.blocks import basics, experts
from tokenroof.records.huggingface.families.latent import deepseek
from tokenroof.records.huggingface.families.table import family
from tokenroof.records.huggingface.reader import Reader, Values, short

#: Tokens of a key of compressed sparse attention, whose stretches overlap and have an indexer.
LIGHT = 4
_KINDS = ("sliding_attention", "compressed_sparse_attention", "heavily_compressed_attention")


def _ratios(r: Reader, layers: int) -> list[int]:
    """Tokens of a compressed key, by layer; 0 for a window alone. A last one is of the module behind."""
    ratios = r.numbers("compress_ratios")
    if ratios:
        if len(ratios) < layers or min(ratios) < 0:
            raise ValueError(
                f"compress_ratios is {short(ratios)}; allowed: one number >= 0 per layer, {layers}"
            )
        return ratios[:layers]
    kinds = r.words("layer_types", _KINDS, layers)
    if not kinds:
        raise ValueError("compress_ratios is missing; allowed: one number >= 0 per layer")
    rates = r.part("compress_rates") if r.has("compress_rates") else None
    light = rates.size(_KINDS[1], default=LIGHT) if rates else LIGHT
    heavy = rates.size(_KINDS[2], default=128) if rates else 128
    return [dict(zip(_KINDS, (0, light, heavy), strict=True))[kind] for kind in kinds]


@family("deepseek_v4")
def deepseek_v4(r: Reader) -> Values:
    v = basics(r)
    ratios = _ratios(r, v["layers"])
    heavy = sorted(set(ratios) - {0, LIGHT})
    if len(heavy) > 1:
        raise ValueError(
            f"compress_ratios has {short(heavy)}; allowed: 0, {LIGHT} and one other number"
        )
    if v["kv_heads"] != 1:
        raise ValueError(f"num_key_value_heads is {v['kv_heads']}; allowed: 1, for all heads")
    light = ratios.count(LIGHT)
    streams = r.size("hc_mult", default=4)
    r.words("mlp_layer_types", ("hash_moe", "moe", "sparse"), v["layers"])
    r.unused(
        "compress_rates", "layer_types", "qk_nope_head_dim", "v_head_dim"
    )  # said by others already
    v |= {
        "full_layers": 0, "window_layers": ratios.count(0), "window": r.size("sliding_window", default=128),
        "compressed_layers": len(ratios) - ratios.count(0) - light,
        "compress_ratio": heavy[0] if heavy else 0,
        "selected_layers": light, "select_ratio": LIGHT if light else 0, "single_key": True,
        "sinks": True, "q_lora_rank": r.size("q_lora_rank"), "rope_head_dim": r.size("qk_rope_head_dim"),
        "o_groups": r.size("o_groups"), "o_lora_rank": r.size("o_lora_rank"),
        "streams": streams, "stream_mixes": 2 * v["layers"],
    }  # fmt: skip
    if light:
        v |= {
            "index_heads": r.size("index_n_heads"), "index_head_dim": r.size("index_head_dim"),
            "index_topk": r.size("index_topk"),
        }  # fmt: skip
    shared = r.size("moe_intermediate_size") * r.size("n_shared_experts", default=1, low=0)
    return experts(v, r, 0, "moe_intermediate_size", shared_ffn=shared, router_bias=True)


@family("deepseek_v32", "glm_moe_dsa")
def deepseek_v32(r: Reader) -> Values:
    v = {
        **deepseek(r, router_bias=True),
        "index_heads": r.size("index_n_heads"),
        "index_head_dim": r.size("index_head_dim"),
        "index_topk": r.size("index_topk"),
    }
    r.words("layer_types", ("indexed_attention",), v["layers"])
    kinds = r.words("indexer_types", ("full", "shared"), v["layers"])
    every = r.size("index_topk_freq", default=1)
    own = r.size("index_skip_topk_offset", default=every - 1, low=0)
    if kinds:
        v["index_layers"] = kinds.count("full")
    elif every > 1:  # the first ones have their own, then each `every`-th
        v["index_layers"] = min(own, v["layers"]) + max(v["layers"] - own, 0) // every
    if v.get("index_layers") == 0:
        raise ValueError("indexer_types has no 'full'; allowed: at least one layer with an indexer")
    return v


def _switches(r: Reader, name: str, layers: int) -> list[int]:
    """0 or 1 per layer, or nothing."""
    found = r.numbers(name)
    if found and (len(found) < layers or set(found) - {0, 1}):
        raise ValueError(f"{name} is {short(found)}; allowed: 0 or 1 per layer, {layers}")
    return found[:layers]


@family("minimax_m3", "minimax_m3_vl")
def minimax_m3(r: Reader) -> Values:
    v = basics(r)
    routed = _switches(r, "moe_layer_freq", v["layers"])
    first = r.size("first_k_dense_replace", default=0, low=0)
    dense = routed.count(0) if routed else min(first, v["layers"])
    v["ffn"] = r.size("dense_intermediate_size", "intermediate_size")
    if r.flag("use_qk_norm", default=True):
        v["qk_norm"] = 2 * v["head_dim"]
    # the class has a width of its own, and null means that of the experts
    width = r.size("intermediate_size", default=0, low=0)
    shared = r.size("shared_intermediate_size", default=width, low=0)
    v = experts(
        v, r, dense, "moe_intermediate_size", "intermediate_size",
        shared_ffn=shared * r.size("n_shared_experts", default=1, low=0),
        router_bias=r.flag("use_routing_bias", default=True),
    )  # fmt: skip
    kinds = ("full_attention", "minimax_m3_sparse")
    named = r.words("layer_types", kinds, v["layers"])
    if not r.has("sparse_attention_config"):
        sparse = named.count(kinds[1])
        if not sparse:  # what an indexer would be, without one
            r.unused("index_topk_blocks", "index_block_size", "index_n_heads", "index_head_dim",
                     "index_local_blocks")  # fmt: skip
            return v
        r.unused("index_local_blocks")
        return _blocks(v, sparse, r.size("index_topk_blocks") * r.size("index_block_size"),
                       r.size("index_n_heads"), r.size("index_head_dim"))  # fmt: skip
    part = r.part("sparse_attention_config")
    # how a block's score is made, and which ones are always seen; the indexer has no values of its own
    part.unused(
        "sparse_score_type", "sparse_init_block", "sparse_local_block", "sparse_disable_index_value",
    )  # fmt: skip
    choosing = _switches(part, "sparse_attention_freq", v["layers"])
    sparse = choosing.count(1) if choosing else named.count(kinds[1]) if named else v["layers"]
    if not part.flag("use_sparse_attention", default=True) or not sparse:
        part.unused(
            "sparse_topk_blocks", "sparse_block_size", "sparse_num_index_heads", "sparse_index_dim"
        )
        return v
    return _blocks(
        v, sparse, part.size("sparse_topk_blocks") * part.size("sparse_block_size"),
        part.size("sparse_num_index_heads"), part.size("sparse_index_dim"),
    )  # fmt: skip


def _blocks(v: Values, layers: int, chosen: int, heads: int, width: int) -> Values:
    """Layers that choose blocks of keys: so many keys, by an indexer without weights of its heads."""
    return {
        **v, "sparse_layers": layers, "index_layers": layers, "index_topk": chosen,
        "index_heads": heads, "index_head_dim": width, "index_unweighted": True,
    }  # fmt: skip
