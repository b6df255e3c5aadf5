"""Operators of a transformer on one device, by keyword, over the `_operator` kernels.

Products
    `gemm`, `head`, `grouped_gemm`, `experts`.
Attention
    `attention_decode`, `attention_prefill` (multi-head, grouped, multi-query, windows, sinks), latent
    (`mla_decode`, `mla_prefill`) and sparse (`sparse_decode`, `sparse_prefill`).
States of fixed size
    `gated_delta_decode`, `gated_delta_prefill`, `mamba2_decode`, `mamba2_prefill`.
Kernels that move data alone
    `norm`, `rotary`, `activation`, `quantise`, `sampling`.
Between devices
    `all_reduce`, `all_gather`, `reduce_scatter`, `all_to_all`, `send`, `kv_transfer`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenroof.inference.operators.attention import attention_decode, attention_prefill
from tokenroof.inference.operators.base import Operator, run, sizes
from tokenroof.inference.operators.collectives import (
    all_gather,
    all_reduce,
    all_to_all,
    kv_transfer,
    reduce_scatter,
    send,
)
from tokenroof.inference.operators.elementwise import activation, norm, quantise, rotary, sampling
from tokenroof.inference.operators.experts import experts, grouped_gemm, layer_matrices
from tokenroof.inference.operators.latent import (
    mla_decode,
    mla_prefill,
    sparse_decode,
    sparse_prefill,
)
from tokenroof.inference.operators.recurrent import (
    gated_delta_decode,
    gated_delta_prefill,
    mamba2_decode,
    mamba2_prefill,
)
from tokenroof.records import dtypes
from tokenroof.support.arguments import flag

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from tokenroof.records.calibration import Calibration
    from tokenroof.records.device import Device

__all__ = [
    "Operator", "activation", "all_gather", "all_reduce", "all_to_all", "attention_decode",
    "attention_prefill", "experts", "gated_delta_decode", "gated_delta_prefill", "gemm",
    "grouped_gemm", "head", "kv_transfer", "layer_matrices", "mamba2_decode", "mamba2_prefill",
    "mla_decode", "mla_prefill", "norm", "quantise", "reduce_scatter", "rotary", "sampling", "send",
    "sparse_decode", "sparse_prefill",
]  # fmt: skip


def gemm(
    device: str | Device,
    m: ArrayLike,
    n: ArrayLike,
    k: ArrayLike,
    dtype: str = "bf16",
    engine: str = "vllm",
    fidelity: str | Calibration = "calibrated",
    activations: str | None = None,
    warm: bool = False,
) -> Operator:
    """Matrix product ``[m, k] @ [k, n]`` with weights ``[k, n]``.

    A type narrower than 16 bits includes quantising the activations.

    Parameters
    ----------
    device : str or Device
    m, n, k : array_like
        Rows (tokens), columns and inner size [1].
    dtype, activations : str
        Types of weights and activations.
    engine, fidelity
        Whose overhead counts, and which constants.
    warm : bool
        The same operands again and again, as benchmarks of kernels run: what fits into the L2 comes from it.

    Returns
    -------
    Operator

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name, or a size that is negative or not finite.

    References
    ----------
    Williams et al., CACM 52(4), 2009.

    Examples
    --------
    >>> gemm("H100-SXM", 16, 8192, 8192, fidelity="datasheet").bound.item()
    'memory'
    """
    weight = dtypes.code(dtype)
    activation = weight if activations is None else dtypes.code(activations, "activations")
    loads = sizes(m=m, n=n, k=k)
    return run("gemm_operator", device, engine, fidelity, *loads, weight, activation, flag("warm", warm),
               operator="gemm", dtype=dtype)  # fmt: skip


def head(
    device: str | Device,
    sequences: ArrayLike,
    hidden: ArrayLike,
    vocab: ArrayLike,
    dtype: str = "bf16",
    engine: str = "vllm",
    fidelity: str | Calibration = "calibrated",
) -> Operator:
    """Logits of the sequences whose next token is sampled: a product with the output matrix.

    Parameters
    ----------
    device : str or Device
    sequences, hidden, vocab : array_like
        Rows, width of the model, and rows of the matrix that this device has [1].
    dtype : str
        Type of the matrix; quantised checkpoints keep 16 bits.
    engine, fidelity
        As in `gemm`.

    Returns
    -------
    Operator

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name, or a size that is negative or not finite.

    References
    ----------
    Williams et al., CACM 52(4), 2009.

    Examples
    --------
    >>> head("H100-SXM", 16, 8192, 128256).bound.item()
    'memory'
    """
    loads = sizes(sequences=sequences, vocab=vocab, hidden=hidden)
    code = dtypes.code(dtype)
    return run("gemm_operator", device, engine, fidelity, *loads, code, code, 0.0,
               operator="gemm", dtype=dtype)  # fmt: skip
