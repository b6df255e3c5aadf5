"""The operators of a step, one at a time: all alike but for their inputs."""

from __future__ import annotations

# name -> (inputs after device and calibration, summary)
_OPERATORS = {
    "gemm_operator": ("m n k weights activations warm", "Matrix product [m, k] @ [k, n]."),
    "experts_operator": (
        "tokens hidden intermediate experts topk matrices moe_tp moe_ep skew weights",
        "Grouped matrix products of the experts on the busiest of their devices.",
    ),
    "attention_decode_operator": (
        "batch context heads kv_heads head_dim v_head_dim window kv_dtype warm",
        "Attention of one new token per sequence over its cache.",
    ),
    "attention_prefill_operator": (
        "batch tokens past heads kv_heads head_dim v_head_dim window kv_dtype maths_dtype",
        "Causal attention of new tokens over themselves and the cache.",
    ),
    "mla_decode_operator": (
        "batch context heads kv_lora_rank rope_head_dim kv_dtype warm",
        "Absorbed multi-head latent attention of one new token per sequence.",
    ),
    "mla_prefill_operator": (
        "batch tokens past heads nope_head_dim rope_head_dim v_head_dim kv_lora_rank absorbed "
        "maths_dtype kv_dtype",
        "Multi-head latent attention of a prompt, expanded to heads or absorbed.",
    ),
    "sparse_decode_operator": (
        "batch context heads kv_lora_rank rope_head_dim topk index_heads index_head_dim kv_dtype",
        "Sparse latent attention of one new token per sequence: indexer, choice, the chosen keys.",
    ),
    "sparse_prefill_operator": (
        "batch tokens past heads nope_head_dim rope_head_dim v_head_dim kv_lora_rank topk index_heads "
        "index_head_dim maths_dtype kv_dtype",
        "Sparse latent attention of a prompt: the chosen keys, or all of them under a mask.",
    ),
    "compressed_decode_operator": (
        "batch context heads width window ratio topk index_heads index_head_dim kv_dtype",
        "One new token per sequence over a window and compressed keys, each of which is its own value.",
    ),
    "compressed_prefill_operator": (
        "batch tokens past heads width window ratio topk index_heads index_head_dim maths_dtype kv_dtype",
        "Prompts over a window and compressed keys, each of which is its own value.",
    ),
    "compressor_operator": (
        "tokens width ratio overlap kv_dtype",
        "A compressed key of each `ratio` tokens, beside the products that it is made of.",
    ),
    "block_sparse_decode_operator": (
        "batch context heads kv_heads head_dim v_head_dim topk index_heads index_head_dim kv_dtype",
        "Grouped attention of one new token per sequence over the keys that an indexer chooses.",
    ),
    "block_sparse_prefill_operator": (
        "batch tokens past heads kv_heads head_dim v_head_dim topk index_heads index_head_dim "
        "maths_dtype kv_dtype",
        "Grouped attention of a prompt: the keys that an indexer chooses, or all under a mask.",
    ),
    "hyper_connection_operator": (
        "tokens hidden streams",
        "A mix of residual streams around half a layer.",
    ),
    "attention_residual_operator": (
        "tokens hidden slots",
        "The weighted sum of earlier results in front of half a layer.",
    ),
    "layer_embedding_operator": (
        "tokens hidden width weights activations",
        "A layer's own embedding: gated by a product and projected to the hidden state.",
    ),
    "latent_experts_operator": (
        "tokens hidden latent intermediate experts zero_experts topk matrices moe_tp moe_ep skew weights "
        "activations",
        "Experts behind a projection to fewer values, some of which may compute nothing.",
    ),
    "gated_delta_decode_operator": (
        "batch key_heads key_dim value_heads value_dim taps",
        "Gated delta net of one new token per sequence, between its projections.",
    ),
    "gated_delta_prefill_operator": (
        "batch tokens key_heads key_dim value_heads value_dim taps chunk",
        "Gated delta net of prompts, in chunks.",
    ),
    "mamba2_decode_operator": (
        "batch heads head_dim groups state taps",
        "Mamba-2 of one new token per sequence, between its projections.",
    ),
    "mamba2_prefill_operator": (
        "batch tokens heads head_dim groups state taps chunk",
        "Mamba-2 of prompts, in chunks.",
    ),
    "grouped_gemm_operator": (
        "tokens n k experts topk moe_ep skew weights",
        "One grouped product of experts on the busiest of their devices.",
    ),
    "norm_operator": ("tokens hidden residual", "Norm, with the residual or without."),
    "rotary_operator": (
        "tokens heads kv_heads head_dim v_head_dim kv_dtype",
        "Rotary embedding, and the cache's writing.",
    ),
    "activation_operator": ("tokens width matrices", "Activation between the products of an MLP."),
    "quantise_operator": ("tokens width activations", "Activations to a narrower type."),
    "sampling_operator": ("sequences vocab greedy", "The next token from its logits."),
    "elementwise_operator": ("nbytes kernels", "Reads and writes without tensor work."),
    "all_reduce_operator": ("ranks nbytes", "All-reduce over the device's link."),
    "all_gather_operator": ("ranks nbytes", "All-gather over the device's link."),
    "reduce_scatter_operator": ("ranks nbytes", "Reduce-scatter over the device's link."),
    "all_to_all_operator": ("ranks nbytes", "All-to-all over the device's link."),
    "send_operator": ("ranks nbytes", "One message over the device's link."),
}

# name -> (inputs, summary, result, source, example)
KERNELS: dict[str, tuple[str, str, str, str, str]] = {
    name: (
        f"device calibration {inputs}",
        f"{summary} A keyword function stands over it in `tokenroof.operators`.",
        "`OPERATOR_FIELDS` [..., k]",
        "docs/inference/step-model.md",
        "",
    )
    for name, (inputs, summary) in _OPERATORS.items()
}
