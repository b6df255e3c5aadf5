"""What recent layers have around and beside their halves: streams, embeddings, experts behind projections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import numpy as np

from tokenroof.inference.door import as_device
from tokenroof.inference.operators.base import Operator, counts, run, sizes
from tokenroof.inference.operators.experts import routing, skew_of
from tokenroof.inference.operators.options import LatentOptions, Options, takes
from tokenroof.records import dtypes
from tokenroof.support.arguments import amounts, refuse, whole_numbers

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from tokenroof.records.device import Device


@takes(Options)
def hyper_connection(
    device: str | Device,
    tokens: ArrayLike,
    hidden: ArrayLike,
    streams: ArrayLike = 4,
    **how: Unpack[Options],
) -> Operator:
    """One mix of residual streams around half a layer.

    Parameters
    ----------
    device : str or Device
    tokens, hidden, streams : array_like
        Tokens, width of the model, residual streams n [1].
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
    All streams, n h values, give (2 + n) n weights by a product; the streams are gathered into the half's
    input, then its result is spread and they are mixed: (3 n + 2) h values move beside the product's.

    References
    ----------
    Zhu et al., arXiv:2409.19606; Xie et al., arXiv:2512.24880.

    Examples
    --------
    >>> float(hyper_connection("B200-SXM", 1, 7168, 4).flops) == 2 * 24 * 4 * 7168
    True
    """
    loads = sizes(tokens=tokens)
    shape = counts(hidden=hidden, streams=streams)
    return run("hyper_connection_operator", as_device(device), *loads, *shape,
               operator="hyper_connection", dtype="bf16", **how)  # fmt: skip


@takes(Options)
def attention_residual(
    device: str | Device,
    tokens: ArrayLike,
    hidden: ArrayLike,
    slots: ArrayLike = 8,
    **how: Unpack[Options],
) -> Operator:
    """The weighted sum of earlier results in front of half a layer, on average over a model's depth.

    Parameters
    ----------
    device : str or Device
    tokens, hidden, slots : array_like
        Tokens, width of the model, earlier results at the model's end [1].
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
    Kimi K3: ``attn_res_block_size`` of its config; the tensors of its checkpoint.

    Examples
    --------
    >>> float(attention_residual("B200-SXM", 1, 7168, 8).bytes) == (4.5 + 1) * 7168 * 2
    True
    """
    loads = sizes(tokens=tokens)
    shape = counts(hidden=hidden, slots=slots)
    return run("attention_residual_operator", as_device(device), *loads, *shape,
               operator="attention_residual", dtype="bf16", **how)  # fmt: skip


@takes(Options)
def layer_embedding(
    device: str | Device,
    tokens: ArrayLike,
    hidden: ArrayLike,
    width: ArrayLike = 256,
    dtype: str = "bf16",
    **how: Unpack[Options],
) -> Operator:
    """A layer's own embedding: gated by a product of the hidden state, and projected to it.

    Parameters
    ----------
    device : str or Device
    tokens, hidden, width : array_like
        Tokens, width of the model and of the embedding [1].
    dtype : str
        Type of the weights and activations.
    engine, fidelity
        Whose kernels, and which constants: `Options`.

    Returns
    -------
    Operator

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name, or a size that is negative or not finite.

    References
    ----------
    The public classes of Gemma 3n and Gemma 4 in Transformers.

    Examples
    --------
    >>> float(layer_embedding("H100-SXM", 16, 2048, 256).flops) == 2 * 2 * 16 * 2048 * 256
    True
    """
    loads = sizes(tokens=tokens)
    shape = counts(hidden=hidden, width=width)
    kind = dtypes.code(dtype)
    return run("layer_embedding_operator", as_device(device), *loads, *shape, kind, kind,
               operator="layer_embedding", dtype=dtype, like="gemm", **how)  # fmt: skip


@takes(LatentOptions)
def latent_experts(
    device: str | Device,
    tokens: ArrayLike,
    hidden: ArrayLike,
    latent: ArrayLike,
    intermediate: ArrayLike,
    experts: ArrayLike,
    topk: ArrayLike,
    moe_tp: ArrayLike = 1,
    moe_ep: ArrayLike = 1,
    dtype: str = "fp8_block",
    skew: float | str = 0.0,
    **how: Unpack[LatentOptions],
) -> Operator:
    """Experts behind a projection to fewer values, and the projection back.

    Parameters
    ----------
    device : str or Device
    tokens, hidden : array_like
        Tokens of all devices together, width of the model [1].
    latent, intermediate, experts, topk : array_like
        Width that the experts see, width of an expert, experts that compute, choices of a token [1].
    moe_tp, moe_ep, dtype, skew
        As in `experts`.
    zero_experts, matrices, projections, engine, fidelity
        `LatentOptions`. Of a token's choices ``topk * experts / (experts + zero_experts)`` compute.

    Returns
    -------
    Operator

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name, a size out of range, more choices than there are experts, or a `moe_ep` that
        does not divide them.

    References
    ----------
    The public classes of Nemotron 3 and Kimi K3; LongCat-Flash, arXiv:2509.01322, section 2.1.

    Examples
    --------
    >>> super_3 = latent_experts("B200-SXM", 64, 4096, 1024, 2688, 512, 22, matrices=2)
    >>> float(super_3.flops) == 64 * (2 * 2 * 4096 * 1024 + 22 * 2 * 2 * 1024 * 2688)
    True
    """
    loads = sizes(tokens=tokens)
    widths = counts(hidden=hidden, latent=latent, intermediate=intermediate)
    zero = amounts("zero_experts", how["zero_experts"])
    held, chosen, ranks = routing(experts, topk, moe_ep)
    many = amounts("matrices", how["matrices"])
    refuse("matrices", many, ~np.isin(many, (2.0, 3.0)), "2 or 3")
    shape = [*widths, held, zero, chosen, many, whole_numbers("moe_tp", moe_tp), ranks]
    return run("latent_experts_operator", as_device(device), *loads, *shape, skew_of(skew),
               dtypes.code(dtype), dtypes.code(how["projections"], "projections"),
               operator="latent_experts", dtype=dtype, like="experts", engine=how["engine"],
               fidelity=how["fidelity"], also=("gemm", how["projections"]))  # fmt: skip
