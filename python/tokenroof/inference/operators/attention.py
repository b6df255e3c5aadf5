"""Attention over keys and values of heads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import numpy as np

from tokenroof.inference.door import as_device
from tokenroof.inference.operators.base import Operator, counts, run, sizes
from tokenroof.inference.operators.options import Options, takes
from tokenroof.records import dtypes
from tokenroof.support.arguments import check_shapes, flag, place, whole_numbers

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from tokenroof.records.device import Device


@takes(Options)
def attention_decode(
    device: str | Device,
    batch: ArrayLike,
    context: ArrayLike,
    heads: ArrayLike,
    kv_heads: ArrayLike,
    head_dim: ArrayLike,
    window: ArrayLike = 0,
    kv_dtype: str = "bf16",
    warm: bool = False,
    *,
    v_head_dim: ArrayLike | None = None,
    **how: Unpack[Options],
) -> Operator:
    """Attention of one new token per sequence over its cache.

    Parameters
    ----------
    device : str or Device
    batch, context : array_like
        Sequences, and cached tokens of each [1].
    heads, kv_heads, head_dim : array_like
        Query heads, key-value heads (which divide them), and their width [1].
    window : array_like
        Tokens that a query sees; 0: all of them [1].
    kv_dtype : str
        Type of the cache.
    warm : bool
        Whether the cache that fits the L2 is read from it, as when a benchmark repeats itself.
    engine, fidelity
        Whose overhead counts, and which constants: `Options`.

    Returns
    -------
    Operator

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name, a size that is negative or not finite, or key-value heads that do not divide
        the query heads.

    Notes
    -----
    `fidelity` "calibrated" is the form of ``tokenroof/inference/attention_decode.hpp``; a learned sink
    (gpt-oss) is one more logit and costs nothing in it.

    References
    ----------
    Pope et al., arXiv:2211.05102. Hong et al., FlashDecoding++, arXiv:2311.01282.

    Examples
    --------
    >>> attention_decode("H100-SXM", 8, 4096, 32, 8, 128, fidelity="datasheet").bound.item()
    'memory'
    """
    width = head_dim if v_head_dim is None else v_head_dim
    loads = sizes(batch=batch, context=context)
    shape = [*_heads(heads, kv_heads), *counts(head_dim=head_dim, v_head_dim=width)]
    seen = sizes(window=window)
    kv = dtypes.code(kv_dtype, "kv_dtype")
    return run("attention_decode_operator", as_device(device), *loads, *shape, *seen, kv,
                flag("warm", warm), operator="attention_decode", dtype=kv_dtype, **how)  # fmt: skip


@takes(Options)
def attention_prefill(
    device: str | Device,
    batch: ArrayLike,
    tokens: ArrayLike,
    past: ArrayLike,
    heads: ArrayLike,
    kv_heads: ArrayLike,
    head_dim: ArrayLike,
    window: ArrayLike = 0,
    kv_dtype: str = "bf16",
    dtype: str = "bf16",
    *,
    v_head_dim: ArrayLike | None = None,
    **how: Unpack[Options],
) -> Operator:
    """Causal attention of each prompt's new tokens over themselves and its cache.

    Parameters
    ----------
    device : str or Device
    batch, tokens, past : array_like
        Prompts, new tokens and cached tokens of each [1].
    heads, kv_heads, head_dim, window, kv_dtype
        As in `attention_decode`.
    dtype : str
        Type of the maths.
    engine, fidelity
        Whose overhead counts, and which constants: `Options`.

    Returns
    -------
    Operator

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name, a size that is negative or not finite, or key-value heads that do not divide
        the query heads.

    References
    ----------
    Dao et al., arXiv:2205.14135.

    Examples
    --------
    >>> attention_prefill("H100-SXM", 1, 8192, 0, 32, 8, 128).bound.item()
    'compute'
    """
    width = head_dim if v_head_dim is None else v_head_dim
    loads = sizes(batch=batch, tokens=tokens, past=past)
    shape = [*_heads(heads, kv_heads), *counts(head_dim=head_dim, v_head_dim=width)]
    seen = sizes(window=window)
    codes = dtypes.code(kv_dtype, "kv_dtype"), dtypes.code(dtype)
    return run("attention_prefill_operator", as_device(device), *loads, *shape, *seen, *codes,
                operator="attention_prefill", dtype=dtypes.attention(dtype, kv_dtype),
                also=("attention_decode", kv_dtype), **how)  # fmt: skip


def _heads(
    heads: ArrayLike, kv_heads: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    query, shared = whole_numbers("heads", heads), whole_numbers("kv_heads", kv_heads)
    check_shapes(heads=query, kv_heads=shared)
    bad = query % shared != 0
    if bad.any():
        many, few = (np.broadcast_to(x, bad.shape)[bad].flat[0] for x in (query, shared))
        at = place(bad) if shared.shape == bad.shape else ""
        raise ValueError(f"kv_heads{at} is {few:g}; allowed: divisors of the {many:g} heads")
    return query, shared
