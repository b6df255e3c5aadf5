"""Products with weights: `gemm`, and the head's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from tokenroof.inference.door import as_device
from tokenroof.inference.operators.base import Operator, run, sizes
from tokenroof.inference.operators.options import Options, takes
from tokenroof.records import dtypes
from tokenroof.support.arguments import flag

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from tokenroof.records.device import Device


@takes(Options)
def gemm(
    device: str | Device,
    m: ArrayLike,
    n: ArrayLike,
    k: ArrayLike,
    dtype: str = "bf16",
    *,
    activations: str | None = None,
    warm: bool = False,
    **how: Unpack[Options],
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
        Whose overhead counts, and which constants: `Options`.
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
    return run("gemm_operator", as_device(device), *loads, weight, activation, flag("warm", warm),
               operator="gemm", dtype=dtype, **how)  # fmt: skip


@takes(Options)
def head(
    device: str | Device,
    sequences: ArrayLike,
    hidden: ArrayLike,
    vocab: ArrayLike,
    dtype: str = "bf16",
    **how: Unpack[Options],
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
    return run("gemm_operator", as_device(device), *loads, code, code, 0.0,
               operator="gemm", dtype=dtype, **how)  # fmt: skip
