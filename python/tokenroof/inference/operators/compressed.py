"""Attention over compressed keys (DeepSeek-V4) and over chosen blocks of keys (MiniMax M3)."""

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
def compressed_decode(
    device: str | Device,
    batch: ArrayLike,
    context: ArrayLike,
    heads: ArrayLike,
    width: ArrayLike = 512,
    window: ArrayLike = 128,
    ratio: ArrayLike = 0,
    topk: ArrayLike = 0,
    index_heads: ArrayLike = 64,
    index_head_dim: ArrayLike = 128,
    kv_dtype: str = "bf16",
    **how: Unpack[Options],
) -> Operator:
    """Attention of one new token per sequence over its window and over compressed keys.

    Parameters
    ----------
    device : str or Device
    batch, context, heads : array_like
        Sequences, tokens of each, query heads on this device [1].
    width : array_like
        Width of the one key that all heads read, which is their value too [1].
    window : array_like
        Tokens that are seen as they are; 0: all [1].
    ratio : array_like
        Tokens that a compressed key stands for; 0: there are none [1].
    topk : array_like
        Compressed keys that an indexer chooses; 0: all are seen [1].
    index_heads, index_head_dim : array_like
        Heads of the indexer and their width, where it chooses [1].
    kv_dtype, engine, fidelity
        As in `mla_decode`, whose constants are borrowed.

    Returns
    -------
    Operator

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name, a size that is negative or not finite, or no heads and no width.

    Notes
    -----
    A query sees ``min(context, window) + min(context / ratio, topk)`` keys at 4 width FLOP for each head; the
    indexer scores all ``context / ratio``.

    References
    ----------
    DeepSeek-V4, technical report, section 2.3.

    Examples
    --------
    >>> far = 1_048_576
    >>> light = compressed_decode("B200-SXM", 1, far, 128, ratio=4, topk=1024, fidelity="datasheet")
    >>> heavy = compressed_decode("B200-SXM", 1, far, 128, ratio=128, fidelity="datasheet")
    >>> float(heavy.flops) == 4 * 512 * 128 * (128 + far / 128)
    True
    """
    shape = [
        *sizes(batch=batch, context=context), *counts(heads=heads, width=width),
        *sizes(window=window, ratio=ratio, topk=topk),
        *counts(index_heads=index_heads, index_head_dim=index_head_dim),
    ]  # fmt: skip
    return run("compressed_decode_operator", as_device(device), *shape,
               dtypes.code(kv_dtype, "kv_dtype"), operator="compressed_decode", dtype=kv_dtype,
               like="mla_decode", **how)  # fmt: skip


@takes(TypedOptions)
def compressed_prefill(
    device: str | Device,
    batch: ArrayLike,
    tokens: ArrayLike,
    past: ArrayLike,
    heads: ArrayLike,
    width: ArrayLike = 512,
    window: ArrayLike = 128,
    ratio: ArrayLike = 0,
    topk: ArrayLike = 0,
    index_heads: ArrayLike = 64,
    index_head_dim: ArrayLike = 128,
    **how: Unpack[TypedOptions],
) -> Operator:
    """Attention of prompts over their windows and over compressed keys.

    Parameters
    ----------
    device : str or Device
    batch, tokens, past, heads : array_like
        Prompts, new and cached tokens of each, query heads on this device [1].
    width, window, ratio, topk, index_heads, index_head_dim : array_like
        As in `compressed_decode`.
    dtype, kv_dtype, engine, fidelity
        As in `attention_prefill`.

    Returns
    -------
    Operator

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name, or a size that is negative or not finite.

    References
    ----------
    DeepSeek-V4, technical report, section 2.3.

    Examples
    --------
    >>> prompt = compressed_prefill("B200-SXM", 1, 1000, 0, 1, 64, 100, fidelity="datasheet")
    >>> float(prompt.flops) == 4 * 64 * (100 * 101 / 2 + 900 * 100)
    True
    """
    shape = [
        *sizes(batch=batch, tokens=tokens, past=past), *counts(heads=heads, width=width),
        *sizes(window=window, ratio=ratio, topk=topk),
        *counts(index_heads=index_heads, index_head_dim=index_head_dim),
    ]  # fmt: skip
    dtype, kv_dtype = how["dtype"], how["kv_dtype"]
    codes = dtypes.code(dtype), dtypes.code(kv_dtype, "kv_dtype")
    return run("compressed_prefill_operator", as_device(device), *shape, *codes,
               operator="compressed_prefill", dtype=dtype if kv_dtype == "bf16" else kv_dtype,
               like="mla_prefill", engine=how["engine"], fidelity=how["fidelity"])  # fmt: skip


@takes(Options)
def compressor(
    device: str | Device,
    tokens: ArrayLike,
    width: ArrayLike = 512,
    ratio: ArrayLike = 4,
    overlap: bool = True,
    kv_dtype: str = "bf16",
    **how: Unpack[Options],
) -> Operator:
    """A compressed key of each `ratio` tokens, beside the products that give its values and weights.

    Parameters
    ----------
    device : str or Device
    tokens, width, ratio : array_like
        Tokens, width of a key, tokens that it stands for [1].
    overlap : bool
        Whether neighbouring stretches overlap: a token then is in two.
    kv_dtype, engine, fidelity
        Type of the cache; whose overhead counts, and which constants.

    Returns
    -------
    Operator

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name, or a size that is negative or not finite.

    References
    ----------
    DeepSeek-V4, technical report, section 2.3.

    Examples
    --------
    >>> float(compressor("B200-SXM", 4, 512, 4, overlap=False).bytes) == 4 * 2 * 512 * 10 + 1024
    True
    """
    loads = sizes(tokens=tokens)
    shape = counts(width=width, ratio=ratio)
    return run("compressor_operator", as_device(device), *loads, *shape, flag("overlap", overlap),
               dtypes.code(kv_dtype, "kv_dtype"), operator="compressor", dtype="bf16", **how)  # fmt: skip


@takes(Options)
def block_sparse_decode(
    device: str | Device,
    batch: ArrayLike,
    context: ArrayLike,
    heads: ArrayLike,
    kv_heads: ArrayLike,
    head_dim: ArrayLike = 128,
    topk: ArrayLike = 2048,
    index_heads: ArrayLike = 4,
    index_head_dim: ArrayLike = 128,
    kv_dtype: str = "bf16",
    *,
    v_head_dim: ArrayLike | None = None,
    **how: Unpack[Options],
) -> Operator:
    """Grouped attention of one new token per sequence over the keys that an indexer chooses.

    Parameters
    ----------
    device : str or Device
    batch, context, heads, kv_heads, head_dim : array_like
        As in `attention_decode`.
    topk : array_like
        Keys that a query attends to, those of all chosen blocks together [1].
    index_heads, index_head_dim : array_like
        Heads of the indexer and their width [1].
    v_head_dim, kv_dtype, engine, fidelity
        As in `attention_decode`, whose constants are borrowed. The indexer's keys are taken as FP8.

    Returns
    -------
    Operator

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name, or a size that is negative or not finite.

    References
    ----------
    The public class of MiniMax M3 (``minimax_m3_vl``) in Transformers.

    Examples
    --------
    >>> step = block_sparse_decode("B200-SXM", 1, 100_000, 64, 4, fidelity="datasheet")
    >>> float(step.flops) == 2 * 64 * 256 * 2048 + 2 * 4 * 128 * 100_000
    True
    """
    loads = sizes(batch=batch, context=context)
    shape = counts(
        heads=heads, kv_heads=kv_heads, head_dim=head_dim,
        v_head_dim=head_dim if v_head_dim is None else v_head_dim, topk=topk,
        index_heads=index_heads, index_head_dim=index_head_dim,
    )  # fmt: skip
    return run("block_sparse_decode_operator", as_device(device), *loads, *shape,
               dtypes.code(kv_dtype, "kv_dtype"), operator="block_sparse_decode", dtype=kv_dtype,
               like="attention_decode", **how)  # fmt: skip


@takes(TypedOptions)
def block_sparse_prefill(
    device: str | Device,
    batch: ArrayLike,
    tokens: ArrayLike,
    past: ArrayLike,
    heads: ArrayLike,
    kv_heads: ArrayLike,
    head_dim: ArrayLike = 128,
    topk: ArrayLike = 2048,
    index_heads: ArrayLike = 4,
    index_head_dim: ArrayLike = 128,
    *,
    v_head_dim: ArrayLike | None = None,
    **how: Unpack[TypedOptions],
) -> Operator:
    """Grouped attention of prompts over the keys that an indexer chooses, or over all under a mask.

    Parameters
    ----------
    device : str or Device
    batch, tokens, past, heads, kv_heads, head_dim : array_like
        As in `attention_prefill`.
    topk, index_heads, index_head_dim, v_head_dim : array_like
        As in `block_sparse_decode`.
    dtype, kv_dtype, engine, fidelity
        As in `attention_prefill`, whose constants are borrowed.

    Returns
    -------
    Operator
        Of the way that takes less time.

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name, or a size that is negative or not finite.

    References
    ----------
    The public class of MiniMax M3 (``minimax_m3_vl``) in Transformers.

    Examples
    --------
    >>> block_sparse_prefill("B200-SXM", 1, 65536, 0, 64, 4, fidelity="datasheet").bound.item()  # scores
    'memory'
    """
    loads = sizes(batch=batch, tokens=tokens, past=past)
    shape = counts(
        heads=heads, kv_heads=kv_heads, head_dim=head_dim,
        v_head_dim=head_dim if v_head_dim is None else v_head_dim, topk=topk,
        index_heads=index_heads, index_head_dim=index_head_dim,
    )  # fmt: skip
    dtype, kv_dtype = how["dtype"], how["kv_dtype"]
    codes = dtypes.code(dtype), dtypes.code(kv_dtype, "kv_dtype")
    return run("block_sparse_prefill_operator", as_device(device), *loads, *shape, *codes,
               operator="block_sparse_prefill", dtype=dtypes.attention(dtype, kv_dtype),
               like="attention_prefill", engine=how["engine"], fidelity=how["fidelity"])  # fmt: skip
