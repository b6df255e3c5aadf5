"""The operators of a step, one at a time: all alike but for their inputs."""

from __future__ import annotations

UNITS = {
    "m": "rows of the left matrix: tokens [1]",
    "n": "columns of the right matrix: outputs [1]",
    "k": "columns of the left matrix, which are summed over [1]",
    "hidden": "width of the model [1]",
    "intermediate": "width between the products of an expert [1]",
    "latent": "width that experts read, behind the projection [1]",
    "width": "values of each token, or of a key, that the operator reads or writes [1]",
    "vocab": "tokens of the vocabulary [1]",
    "sequences": "sequences that get a token [1]",
    "heads": "heads of queries on this device [1]",
    "kv_heads": "heads of keys and values on this device [1]",
    "head_dim": "width of a head [1]",
    "v_head_dim": "width of a value's head [1]",
    "nope_head_dim": "width of a head without its rotary part [1]",
    "rope_head_dim": "width of the shared rotary key [1]",
    "kv_lora_rank": "width of the latent that keys and values are made of [1]",
    "absorbed": "whether heads attend to the latent itself, 0 or 1 [1]",
    "window": "tokens that a query sees at most; 0: all [1]",
    "ratio": "tokens that a compressed key stands for; 0: none is made [1]",
    "overlap": "whether the tokens of neighbouring compressed keys overlap, 0 or 1 [1]",
    "index_heads": "heads of the indexer [1]",
    "index_head_dim": "width of a head of the indexer [1]",
    "zero_experts": "further experts that give a token back as it is [1]",
    "matrices": "matrices of an expert or an MLP: 3 with a gate, 2 without [1]",
    "moe_tp": "devices that share each expert [1]",
    "moe_ep": "groups of devices that experts are spread over [1]",
    "skew": "power-law exponent of the routing; 0: all experts get as many tokens [1]",
    "weights": "type of the weights, as its code in `tokenroof.dtypes` [1]",
    "activations": "type of the activations, as its code in `tokenroof.dtypes` [1]",
    "kv_dtype": "type of the cache, as its code in `tokenroof.dtypes` [1]",
    "maths_dtype": "type of the maths, as its code in `tokenroof.dtypes` [1]",
    "warm": "whether operands were read just before and are in the last cache, 0 or 1 [1]",
    "streams": "residual streams [1]",
    "slots": "earlier results that are summed [1]",
    "residual": "whether the residual is added and written too, 0 or 1 [1]",
    "greedy": "whether the likeliest token is taken, 0 or 1 [1]",
    "kernels": "kernels that do it, each with its launch [1]",
    "key_heads": "heads of keys and queries [1]",
    "key_dim": "width of a key's head [1]",
    "value_heads": "heads of values [1]",
    "value_dim": "width of a value's head [1]",
    "groups": "groups that share their input and output vectors [1]",
    "state": "width of a head's state [1]",
    "taps": "taps of the short convolution [1]",
    "chunk": "tokens of a chunk [1]",
}

# name -> (inputs after device and calibration, summary)
_OPERATORS = {
    "gemm_operator": ("m n k weights activations warm", "Matrix product [m, k] @ [k, n]."),
    "experts_operator": (
        "tokens hidden intermediate experts topk matrices moe_tp moe_ep skew weights warm",
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
