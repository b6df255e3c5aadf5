"""Kernels that move data alone: what engines run between products and attention."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import numpy as np

from tokenroof.inference.door import as_device
from tokenroof.inference.operators.base import Operator, counts, run, sizes
from tokenroof.inference.operators.options import Options, takes
from tokenroof.records import dtypes
from tokenroof.support.arguments import flag, refuse

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from tokenroof.records.device import Device


@takes(Options)
def norm(
    device: str | Device,
    tokens: ArrayLike,
    hidden: ArrayLike,
    residual: bool = True,
    **how: Unpack[Options],
) -> Operator:
    """Norm of each token, fused with adding to the residual.

    Parameters
    ----------
    device : str or Device
    tokens, hidden : array_like
        Rows and their width [1].
    residual : bool
        Whether the residual comes and goes with it: 8 bytes a value, else 4.
    engine, fidelity
        Whose overhead counts, and which constants: `Options`.

    Returns
    -------
    Operator

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name, or a size that is negative or not finite.

    References
    ----------
    Zhang, Sennrich, arXiv:1910.07467.

    Examples
    --------
    >>> float(norm("H100-SXM", 16, 8192).bytes)
    1048576.0
    """
    loads = sizes(tokens=tokens, hidden=hidden)
    return run("norm_operator", as_device(device), *loads, flag("residual", residual),
               operator="norm", dtype="bf16", **how)  # fmt: skip


@takes(Options)
def rotary(
    device: str | Device,
    tokens: ArrayLike,
    heads: ArrayLike,
    kv_heads: ArrayLike,
    head_dim: ArrayLike,
    kv_dtype: str = "bf16",
    *,
    v_head_dim: ArrayLike | None = None,
    **how: Unpack[Options],
) -> Operator:
    """Rotary embedding of queries and keys in place, and the new keys and values into the cache.

    Parameters
    ----------
    device : str or Device
    tokens, heads, kv_heads, head_dim : array_like
        Rows, query heads, key-value heads, and their width [1].
    kv_dtype : str
        Type of the cache.
    engine, fidelity
        Whose overhead counts, and which constants: `Options`.
    v_head_dim : array_like, optional
        Width of values; that of keys by default [1].

    Returns
    -------
    Operator

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name, or a size that is negative or not finite.

    References
    ----------
    Su et al., arXiv:2104.09864.

    Examples
    --------
    >>> float(rotary("H100-SXM", 1, 32, 8, 128, kv_dtype="fp8").bytes) == 4 * 40 * 128 + 3 * 16 * 128
    True
    """
    loads = sizes(tokens=tokens)
    width = head_dim if v_head_dim is None else v_head_dim
    shape = counts(heads=heads, kv_heads=kv_heads, head_dim=head_dim, v_head_dim=width)
    return run("rotary_operator", as_device(device), *loads, *shape,
               dtypes.code(kv_dtype, "kv_dtype"), operator="rotary", dtype="bf16", **how)  # fmt: skip


@takes(Options)
def activation(
    device: str | Device,
    tokens: ArrayLike,
    intermediate: ArrayLike,
    matrices: ArrayLike = 3,
    **how: Unpack[Options],
) -> Operator:
    """Activation of an MLP between its products, with its gate.

    Parameters
    ----------
    device : str or Device
    tokens, intermediate : array_like
        Rows, and width of the MLP on this device [1].
    matrices : array_like
        Matrices of the MLP: 3 with a gate, 2 without [1].
    engine, fidelity
        Whose overhead counts, and which constants: `Options`.

    Returns
    -------
    Operator

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name, or a size out of range.

    References
    ----------
    Shazeer, arXiv:2002.05202.

    Examples
    --------
    >>> float(activation("H100-SXM", 16, 14336).bytes)
    1376256.0
    """
    loads = sizes(tokens=tokens, intermediate=intermediate)
    (many,) = counts(matrices=matrices)
    refuse("matrices", many, ~np.isin(many, (2.0, 3.0)), "2 or 3")
    return run("activation_operator", as_device(device), *loads, many,
               operator="activation", dtype="bf16", **how)  # fmt: skip


@takes(Options)
def quantise(
    device: str | Device,
    tokens: ArrayLike,
    hidden: ArrayLike,
    dtype: str = "fp8",
    **how: Unpack[Options],
) -> Operator:
    """Narrow activations to the type in which a product reads them.

    Parameters
    ----------
    device : str or Device
    tokens, hidden : array_like
        Rows and their width [1].
    dtype : str
        Type of the weights that they meet; nothing moves for those that meet 16 bits.
    engine, fidelity
        Whose overhead counts, and which constants: `Options`.

    Returns
    -------
    Operator

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name, or a size that is negative or not finite.

    References
    ----------
    Micikevicius et al., arXiv:2209.05433.

    Examples
    --------
    >>> float(quantise("H100-SXM", 1, 1000, "fp8").bytes), float(quantise("H100-SXM", 1, 1000, "int4").bytes)
    (3000.0, 0.0)
    """
    loads = sizes(tokens=tokens, hidden=hidden)
    return run("quantise_operator", as_device(device), *loads, dtypes.code(dtype),
               operator="quantise", dtype="bf16", **how)  # fmt: skip


@takes(Options)
def sampling(
    device: str | Device,
    sequences: ArrayLike,
    vocab: ArrayLike,
    greedy: bool = False,
    **how: Unpack[Options],
) -> Operator:
    """Choose the next token of each sequence from its logits.

    Parameters
    ----------
    device : str or Device
    sequences, vocab : array_like
        Rows of logits and their width on this device [1].
    greedy : bool
        Whether the likeliest token is taken: logits are read once. Else they are widened to 32 bits,
        made probabilities in place, and read again for the draw.
    engine, fidelity
        Whose overhead counts, and which constants: `Options`.

    Returns
    -------
    Operator

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name, or a size that is negative or not finite.

    Notes
    -----
    A step does not count it apart: the engine's fitted time per sequence holds it.

    References
    ----------
    Holtzman et al., arXiv:1904.09751.

    Examples
    --------
    >>> float(sampling("H100-SXM", 8, 128256, greedy=True).bytes)
    2052096.0
    """
    loads = sizes(sequences=sequences, vocab=vocab)
    return run("sampling_operator", as_device(device), *loads, flag("greedy", greedy),
               operator="sampling", dtype="bf16", **how)  # fmt: skip
