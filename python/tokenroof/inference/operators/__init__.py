"""Operators of a transformer on one device, by keyword, over the `_operator` kernels.

Products
    `gemm`, `head`, `grouped_gemm`, `experts`.
Attention
    `attention_decode`, `attention_prefill` (multi-head, grouped, multi-query, windows, sinks), latent
    (`mla_decode`, `mla_prefill`), sparse (`sparse_decode`, `sparse_prefill`), over chosen blocks
    (`block_sparse_decode`, `block_sparse_prefill`) and compressed keys (`compressed_decode`,
    `compressed_prefill`, `compressor`).
States of fixed size
    `gated_delta_decode`, `gated_delta_prefill`, `mamba2_decode`, `mamba2_prefill`.
Around a layer's halves
    `hyper_connection`, `attention_residual`, `layer_embedding`; `latent_experts`, behind a projection.
Kernels that move data alone
    `norm`, `rotary`, `activation`, `quantise`, `sampling`.
Between devices
    `all_reduce`, `all_gather`, `reduce_scatter`, `all_to_all`, `send`, `kv_transfer`.
"""

from __future__ import annotations

from tokenroof.inference.operators.attention import attention_decode, attention_prefill
from tokenroof.inference.operators.base import Operator
from tokenroof.inference.operators.collectives import (
    all_gather,
    all_reduce,
    all_to_all,
    kv_transfer,
    reduce_scatter,
    send,
)
from tokenroof.inference.operators.compressed import (
    block_sparse_decode,
    block_sparse_prefill,
    compressed_decode,
    compressed_prefill,
    compressor,
)
from tokenroof.inference.operators.elementwise import activation, norm, quantise, rotary, sampling
from tokenroof.inference.operators.experts import experts, grouped_gemm, layer_matrices
from tokenroof.inference.operators.gemm import gemm, head
from tokenroof.inference.operators.latent import (
    mla_decode,
    mla_prefill,
    sparse_decode,
    sparse_prefill,
)
from tokenroof.inference.operators.layers import (
    attention_residual,
    hyper_connection,
    latent_experts,
    layer_embedding,
)
from tokenroof.inference.operators.options import Options
from tokenroof.inference.operators.recurrent import (
    gated_delta_decode,
    gated_delta_prefill,
    mamba2_decode,
    mamba2_prefill,
)

__all__ = [
    "Operator", "Options", "activation", "all_gather", "all_reduce", "all_to_all", "attention_decode",
    "attention_prefill", "attention_residual", "block_sparse_decode", "block_sparse_prefill",
    "compressed_decode", "compressed_prefill", "compressor", "experts", "gated_delta_decode",
    "gated_delta_prefill", "gemm", "grouped_gemm", "head", "hyper_connection", "kv_transfer",
    "latent_experts", "layer_embedding", "layer_matrices", "mamba2_decode", "mamba2_prefill",
    "mla_decode", "mla_prefill", "norm", "quantise", "reduce_scatter", "rotary", "sampling", "send",
    "sparse_decode", "sparse_prefill",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted(__all__)
