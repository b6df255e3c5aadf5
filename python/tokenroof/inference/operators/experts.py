"""Products of a mixture's experts."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Unpack

import numpy as np

from tokenroof import _core
from tokenroof.inference.door import as_device
from tokenroof.inference.operators.base import Operator, counts, run, sizes
from tokenroof.inference.operators.options import Options, takes
from tokenroof.records import dtypes
from tokenroof.support.arguments import (
    amounts,
    check_shapes,
    place,
    refuse,
    shown,
    together,
    whole_numbers,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from tokenroof.records.device import Device


@takes(Options)
def experts(
    device: str | Device,
    tokens: ArrayLike,
    hidden: ArrayLike,
    intermediate: ArrayLike,
    experts: ArrayLike,
    topk: ArrayLike,
    moe_tp: ArrayLike = 1,
    moe_ep: ArrayLike = 1,
    dtype: str = "fp8_block",
    skew: float | str = 0.0,
    *,
    matrices: ArrayLike | None = None,
    **how: Unpack[Options],
) -> Operator:
    """Grouped matrix products of the experts, on the busiest of ``moe_tp * moe_ep`` devices.

    Parameters
    ----------
    device : str or Device
    tokens : array_like
        Tokens of all devices together [1].
    hidden, intermediate, experts, topk : array_like
        Width of the model and of an expert, experts of the layer, experts per token [1].
    moe_tp, moe_ep : array_like
        Tensor and expert parallelism [1].
    dtype : str
        Type of the weights.
    skew : float, "balanced" or "random"
        Power-law exponent of the routing: experts' loads are draws from a density ~ x^-skew over a range
        of 0.8 tokens. 0, or ``"balanced"``, is as benchmarks of kernels deal tokens out: all experts as many,
        min(experts, topk tokens) of them touched. ``"random"``: any experts alike for each token, which
        touch `tokenroof.kernels.experts_touched` of them.
    engine, fidelity
        Whose kernels, and which constants.
    matrices : array_like, optional
        Matrices of an expert: 3 with a gate, 2 without [1]. By default those of the catalogue's models
        with such a layer, and 3 for a layer that none has.

    Returns
    -------
    Operator

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name, a size out of range, more experts per token than there are, a `moe_ep` that
        does not divide them, or a skew below 0.

    References
    ----------
    Gale et al., MegaBlocks, arXiv:2211.15841, section 5 (grouped products over tiles).

    Examples
    --------
    >>> experts("H200-SXM", 64, 7168, 2048, 256, 8, moe_ep=8).bound.item()
    'memory'
    >>> random = experts("H200-SXM", 8, 7168, 2048, 256, 8, skew="random")
    >>> bool(random.bytes < experts("H200-SXM", 8, 7168, 2048, 256, 8).bytes)
    True
    """
    loads = sizes(tokens=tokens)
    widths = counts(hidden=hidden, intermediate=intermediate)
    held, chosen, ranks = routing(experts, topk, moe_ep)
    shape = [*widths, held, chosen]
    names = ("hidden", "intermediate", "experts", "topk")
    check_shapes(**dict(zip(names, shape, strict=True)))
    many = layer_matrices(*shape) if matrices is None else amounts("matrices", matrices)
    refuse("matrices", many, ~np.isin(many, (2.0, 3.0)), "2 or 3")
    shape += [many, whole_numbers("moe_tp", moe_tp), ranks]
    return run("experts_operator", as_device(device), *loads, *shape, skew_of(skew),
                dtypes.code(dtype), False, operator="experts", dtype=dtype, **how)  # fmt: skip


@takes(Options)
def grouped_gemm(
    device: str | Device,
    tokens: ArrayLike,
    n: ArrayLike,
    k: ArrayLike,
    experts: ArrayLike,
    topk: ArrayLike,
    moe_ep: ArrayLike = 1,
    dtype: str = "fp8_block",
    skew: float | str = 0.0,
    **how: Unpack[Options],
) -> Operator:
    """One grouped product ``[pairs, k] @ [experts, k, n]``: each token with the matrices of its experts.

    Parameters
    ----------
    device : str or Device
    tokens : array_like
        Tokens of all devices together [1].
    n, k : array_like
        Columns and inner size of an expert's matrix [1].
    experts, topk, moe_ep, dtype, skew, engine, fidelity
        As in `experts`.

    Returns
    -------
    Operator

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name, a size out of range, more experts per token than there are, a `moe_ep` that
        does not divide them, or a skew below 0.

    Notes
    -----
    The form and the constants of `experts`, of one of its two products and half its launch; without
    permuting, activating and summing.

    References
    ----------
    Gale et al., MegaBlocks, arXiv:2211.15841, section 5.

    Examples
    --------
    >>> grouped_gemm("H200-SXM", 64, 4096, 7168, 256, 8, moe_ep=8).bound.item()
    'memory'
    """
    loads = sizes(tokens=tokens)
    shape = [*counts(n=n, k=k), *routing(experts, topk, moe_ep)]
    return run("grouped_gemm_operator", as_device(device), *loads, *shape, skew_of(skew),
               dtypes.code(dtype), operator="grouped_gemm", dtype=dtype,
               like="experts", **how)  # fmt: skip


# How kernels are told of routing without a power law (cpp/include/tokenroof/inference/routing.hpp).
BALANCED, RANDOM = -1.0, 0.0


def skew_of(skew: float | str) -> float:
    if isinstance(skew, str) and skew in ("balanced", "random"):
        return BALANCED if skew == "balanced" else RANDOM
    allowed = "a number from 0 (balanced) to 10, 'balanced' or 'random'"
    try:
        value = float(skew) if np.ndim(skew) == 0 and not isinstance(skew, (bool, str)) else np.nan
    except (TypeError, ValueError, OverflowError):
        value = np.nan
    if not 0.0 <= value <= 10.0:
        raise ValueError(f"skew is {shown(skew)}; allowed: {allowed}")
    return value or BALANCED


def routing(
    experts: ArrayLike, topk: ArrayLike, moe_ep: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    held, chosen = whole_numbers("experts", experts), whole_numbers("topk", topk)
    ranks = whole_numbers("moe_ep", moe_ep)
    check_shapes(experts=held, topk=chosen, moe_ep=ranks)
    for field, value, bad, allowed in (
        ("topk", chosen, chosen > held, "at most the {:g} experts"),
        ("moe_ep", ranks, held % ranks != 0, "divisors of the {:g} experts"),
    ):
        if bad.any():
            first, of = (np.broadcast_to(x, bad.shape)[bad].flat[0] for x in (value, held))
            at = place(bad) if value.shape == bad.shape else ""
            raise ValueError(f"{field}{at} is {first:g}; allowed: {allowed.format(of)}")
    return held, chosen, ranks


# Experts behind a latent projection: Nemotron 3 Ultra (arXiv:2606.15007), 512 of width 2048, top 22, squared
# ReLU. Width, hidden width, experts, topk.
_LATENT_WITHOUT_GATE = {(2048.0, 5120.0, 512.0, 22.0): 2.0}


@cache
def _layers_without_gate() -> frozenset[tuple[float, ...]]:
    from tokenroof.catalogue.architectures import models

    found = dict(_LATENT_WITHOUT_GATE)
    for model in models():
        m = dict(zip(_core.MODEL_FIELDS, model.pack(), strict=True))
        if m["moe_layers"] > 0.0:
            found[(m["hidden"], m["moe_ffn"], m["experts"], m["topk"])] = m["mlp_matrices"]
    return frozenset(layer for layer, matrices in found.items() if matrices == 2.0)


def layer_matrices(
    hidden: ArrayLike, intermediate: ArrayLike, experts: ArrayLike, topk: ArrayLike
) -> NDArray[np.float64]:
    """Matrices of an expert: two in layers that known models without a gate have, else three.

    Parameters
    ----------
    hidden, intermediate, experts, topk : array_like
        Of the layer [1].

    Returns
    -------
    ndarray

    Raises
    ------
    ValueError, TypeError
        For sizes that are not above zero, or whose shapes do not broadcast.

    Examples
    --------
    >>> float(layer_matrices(7168, 2048, 256, 8)), float(layer_matrices(2688, 1856, 128, 6))
    (3.0, 2.0)
    """
    given = {"hidden": hidden, "intermediate": intermediate, "experts": experts, "topk": topk}
    widths = together(**{name: amounts(name, x, positive=True) for name, x in given.items()})
    plain = np.zeros(widths[0].shape, dtype=bool)
    for other in _layers_without_gate():
        plain |= np.all([a == b for a, b in zip(widths, other, strict=True)], axis=0)
    return np.where(plain, 2.0, 3.0)
