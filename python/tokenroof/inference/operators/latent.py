"""Multi-head latent attention, whole and sparse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from tokenroof.inference.door import as_device
from tokenroof.inference.operators.base import Operator, counts, run, sizes
from tokenroof.inference.operators.options import Options, TypedOptions, takes
from tokenroof.records import dtypes
from tokenroof.support.arguments import flag

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from tokenroof.records.device import Device


@takes(Options)
def mla_decode(
    device: str | Device,
    batch: ArrayLike,
    context: ArrayLike,
    heads: ArrayLike,
    kv_lora_rank: ArrayLike = 512,
    rope_head_dim: ArrayLike = 64,
    kv_dtype: str = "bf16",
    warm: bool = False,
    **how: Unpack[Options],
) -> Operator:
    """Absorbed multi-head latent attention of one new token per sequence.

    Parameters
    ----------
    device : str or Device
    batch, context, heads : array_like
        Sequences, cached tokens of each, query heads on this device [1].
    kv_lora_rank, rope_head_dim : array_like
        Width of the latent and of the shared rotary key [1].
    kv_dtype, warm, engine, fidelity
        As in `attention_decode`.

    Returns
    -------
    Operator

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name, or a size that is negative or not finite.

    References
    ----------
    DeepSeek-V2, arXiv:2405.04434, section 2.1.

    Examples
    --------
    >>> mla_decode("H200-SXM", 32, 4096, 128).time_s > 0
    np.True_
    """
    loads = sizes(batch=batch, context=context)
    shape = counts(heads=heads, kv_lora_rank=kv_lora_rank, rope_head_dim=rope_head_dim)
    kv = dtypes.code(kv_dtype, "kv_dtype")
    return run("mla_decode_operator", as_device(device), *loads, *shape, kv, flag("warm", warm),
                operator="mla_decode", dtype=kv_dtype, **how)  # fmt: skip


@takes(Options)
def mla_prefill(
    device: str | Device,
    batch: ArrayLike,
    tokens: ArrayLike,
    past: ArrayLike,
    heads: ArrayLike,
    nope_head_dim: ArrayLike = 128,
    rope_head_dim: ArrayLike = 64,
    v_head_dim: ArrayLike = 128,
    dtype: str = "bf16",
    *,
    kv_dtype: str = "bf16",
    kv_lora_rank: ArrayLike = 512,
    absorbed: bool = False,
    **how: Unpack[Options],
) -> Operator:
    """Multi-head latent attention of prompts.

    Parameters
    ----------
    device : str or Device
    batch, tokens, past, heads : array_like
        Prompts, new and cached tokens of each, query heads on this device [1].
    nope_head_dim, rope_head_dim, v_head_dim : array_like
        Widths of a head [1].
    dtype, engine, fidelity
        As in `attention_prefill`.
    kv_dtype : str
        Type of the cache.
    kv_lora_rank : array_like
        Width of the latent [1].
    absorbed : bool
        Whether all heads attend to the latent itself, as in decode, instead of keys and values that are
        expanded to heads beforehand (that product is not part of this operator).

    Returns
    -------
    Operator

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name, or a size that is negative or not finite.

    Notes
    -----
    The absorbed form was never measured: it borrows the constants of the expanded one.

    References
    ----------
    DeepSeek-V2, arXiv:2405.04434, section 2.1.

    Examples
    --------
    >>> mla_prefill("H200-SXM", 1, 4096, 0, 128, fidelity="datasheet").bound.item()
    'compute'
    """
    loads = sizes(batch=batch, tokens=tokens, past=past)
    shape = counts(
        heads=heads, nope_head_dim=nope_head_dim, rope_head_dim=rope_head_dim, v_head_dim=v_head_dim
    )
    (rank,) = counts(kv_lora_rank=kv_lora_rank)
    codes = dtypes.code(dtype), dtypes.code(kv_dtype, "kv_dtype")
    return run("mla_prefill_operator", as_device(device), *loads, *shape, rank,
                flag("absorbed", absorbed), *codes, operator="mla_prefill",
                dtype=dtype if kv_dtype == "bf16" else kv_dtype, **how)  # fmt: skip


@takes(Options)
def sparse_decode(
    device: str | Device,
    batch: ArrayLike,
    context: ArrayLike,
    heads: ArrayLike,
    topk: ArrayLike = 2048,
    index_heads: ArrayLike = 64,
    index_head_dim: ArrayLike = 128,
    kv_lora_rank: ArrayLike = 512,
    rope_head_dim: ArrayLike = 64,
    kv_dtype: str = "bf16",
    **how: Unpack[Options],
) -> Operator:
    """Sparse latent attention of one new token per sequence: indexer, choice, attention to the chosen.

    Parameters
    ----------
    device : str or Device
    batch, context, heads : array_like
        Sequences, cached tokens of each, query heads on this device [1].
    topk : array_like
        Keys that a query attends to [1].
    index_heads, index_head_dim : array_like
        Heads of the indexer, which every device has all of, and their width [1].
    kv_lora_rank, rope_head_dim, kv_dtype, engine, fidelity
        As in `mla_decode`. The indexer's keys are FP8, whatever the cache's type.

    Returns
    -------
    Operator

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name, or a size that is negative or not finite.

    Notes
    -----
    The indexer does 2 n d FLOP and moves d + d/32 + 8 bytes (key, scale, score) for each key of the whole
    context, with n heads of width d; attention then sees min(context, topk) keys, with the constants of
    `mla_decode`.

    References
    ----------
    DeepSeek-V3.2, arXiv:2512.02556, section 2.1.

    Examples
    --------
    >>> far = 131072
    >>> sparse = sparse_decode("H200-SXM", 32, far, 128, fidelity="datasheet")
    >>> bool(sparse.time_s < mla_decode("H200-SXM", 32, far, 128, fidelity="datasheet").time_s / 4)
    True
    """
    loads = sizes(batch=batch, context=context)
    shape = counts(
        heads=heads, kv_lora_rank=kv_lora_rank, rope_head_dim=rope_head_dim, topk=topk,
        index_heads=index_heads, index_head_dim=index_head_dim,
    )  # fmt: skip
    return run("sparse_decode_operator", as_device(device), *loads, *shape,
               dtypes.code(kv_dtype, "kv_dtype"), operator="sparse_decode", dtype=kv_dtype,
               like="mla_decode", **how)  # fmt: skip


@takes(TypedOptions)
def sparse_prefill(
    device: str | Device,
    batch: ArrayLike,
    tokens: ArrayLike,
    past: ArrayLike,
    heads: ArrayLike,
    topk: ArrayLike = 2048,
    index_heads: ArrayLike = 64,
    index_head_dim: ArrayLike = 128,
    nope_head_dim: ArrayLike = 128,
    rope_head_dim: ArrayLike = 64,
    v_head_dim: ArrayLike = 128,
    kv_lora_rank: ArrayLike = 512,
    **how: Unpack[TypedOptions],
) -> Operator:
    """Sparse latent attention of prompts: absorbed over the chosen keys, or all keys under a mask.

    Parameters
    ----------
    device : str or Device
    batch, tokens, past, heads : array_like
        Prompts, new and cached tokens of each, query heads on this device [1].
    topk, index_heads, index_head_dim : array_like
        As in `sparse_decode`.
    nope_head_dim, rope_head_dim, v_head_dim, kv_lora_rank, dtype, kv_dtype, engine, fidelity
        As in `mla_prefill`.

    Returns
    -------
    Operator
        Of the way that takes less time: short prompts mask, long ones choose.

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name, or a size that is negative or not finite.

    References
    ----------
    DeepSeek-V3.2, arXiv:2512.02556, section 2.1.

    Examples
    --------
    >>> sparse_prefill("H200-SXM", 1, 65536, 0, 128, fidelity="datasheet").bound.item()
    'compute'
    """
    loads = sizes(batch=batch, tokens=tokens, past=past)
    shape = counts(
        heads=heads, nope_head_dim=nope_head_dim, rope_head_dim=rope_head_dim,
        v_head_dim=v_head_dim, kv_lora_rank=kv_lora_rank, topk=topk, index_heads=index_heads,
        index_head_dim=index_head_dim,
    )  # fmt: skip
    dtype, kv_dtype = how["dtype"], how["kv_dtype"]
    codes = dtypes.code(dtype), dtypes.code(kv_dtype, "kv_dtype")
    return run("sparse_prefill_operator", as_device(device), *loads, *shape, *codes,
               operator="sparse_prefill", dtype=dtype if kv_dtype == "bf16" else kv_dtype,
               like="mla_prefill", engine=how["engine"], fidelity=how["fidelity"])  # fmt: skip
