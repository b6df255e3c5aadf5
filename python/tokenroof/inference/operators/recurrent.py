"""Mixers with a state of fixed size, between their two projections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from tokenroof.inference.door import as_device
from tokenroof.inference.operators.base import Operator, counts, run, sizes
from tokenroof.inference.operators.options import Options, takes

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from tokenroof.records.device import Device


@takes(Options)
def gated_delta_decode(
    device: str | Device,
    batch: ArrayLike,
    key_heads: ArrayLike = 16,
    key_dim: ArrayLike = 128,
    value_heads: ArrayLike = 32,
    value_dim: ArrayLike = 128,
    conv: ArrayLike = 4,
    **how: Unpack[Options],
) -> Operator:
    """Gated delta net of one new token per sequence: Qwen3-Next, Qwen3.5; Kimi Linear's delta attention.

    Parameters
    ----------
    device : str or Device
    batch : array_like
        Sequences [1].
    key_heads, key_dim, value_heads, value_dim : array_like
        Heads on this device, and their widths [1].
    conv : array_like
        Taps of the short convolution [1].
    engine, fidelity
        Whose overhead counts, and which constants: `Options`.

    Returns
    -------
    Operator
        Short convolution, gates, update of the state, gated norm; the projections are `gemm`.

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name, or a size that is negative or not finite.

    Notes
    -----
    7 FLOP for each of the ``value_heads * value_dim * key_dim`` cells of the state, which is read and
    written in fp32 whatever the context. Decays by channel (Kimi) cost what decays by head do.

    References
    ----------
    Yang, Kautz, Hatamizadeh, arXiv:2412.06464, section 3.1.

    Examples
    --------
    >>> step = gated_delta_decode("H200-SXM", 64)
    >>> step.bound.item(), float(step.flops) == 64 * 7 * 32 * 128 * 128
    ('memory', True)
    """
    loads = sizes(batch=batch)
    shape = counts(key_heads=key_heads, key_dim=key_dim, value_heads=value_heads,
                   value_dim=value_dim, conv=conv)  # fmt: skip
    return run("gated_delta_decode_operator", as_device(device), *loads, *shape,
               operator="gated_delta_decode", dtype="bf16", **how)  # fmt: skip


@takes(Options)
def gated_delta_prefill(
    device: str | Device,
    batch: ArrayLike,
    tokens: ArrayLike,
    key_heads: ArrayLike = 16,
    key_dim: ArrayLike = 128,
    value_heads: ArrayLike = 32,
    value_dim: ArrayLike = 128,
    conv: ArrayLike = 4,
    chunk: ArrayLike = 64,
    **how: Unpack[Options],
) -> Operator:
    """Gated delta net of prompts, in chunks of matrix products.

    Parameters
    ----------
    device : str or Device
    batch, tokens : array_like
        Prompts, and new tokens of each [1]. What is cached is in the state: its length does not matter.
    key_heads, key_dim, value_heads, value_dim, conv, engine, fidelity
        As in `gated_delta_decode`.
    chunk : array_like
        Tokens of a chunk [1].

    Returns
    -------
    Operator

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name, or a size that is negative or not finite.

    Notes
    -----
    Per token and value head ``2 C (3 k + 2 v) + C^2 / 3 + 6 k v`` FLOP for chunks of C tokens and widths k
    and v; the traffic is a fused kernel's.

    References
    ----------
    Yang et al., arXiv:2406.06484, section 3.2. Yang, Kautz, Hatamizadeh, arXiv:2412.06464, section 3.3.

    Examples
    --------
    >>> one, two = gated_delta_prefill("H200-SXM", 1, [8192, 16384], fidelity="datasheet").time_s
    >>> bool(1.9 < two / one < 2.0)
    True
    """
    loads = sizes(batch=batch, tokens=tokens)
    shape = counts(key_heads=key_heads, key_dim=key_dim, value_heads=value_heads,
                   value_dim=value_dim, conv=conv, chunk=chunk)  # fmt: skip
    return run("gated_delta_prefill_operator", as_device(device), *loads, *shape,
               operator="gated_delta_prefill", dtype="bf16", **how)  # fmt: skip


@takes(Options)
def mamba2_decode(
    device: str | Device,
    batch: ArrayLike,
    heads: ArrayLike,
    head_dim: ArrayLike = 64,
    groups: ArrayLike = 8,
    state: ArrayLike = 128,
    conv: ArrayLike = 4,
    **how: Unpack[Options],
) -> Operator:
    """Mamba-2 of one new token per sequence: Nemotron-H and Nemotron 3.

    Parameters
    ----------
    device : str or Device
    batch : array_like
        Sequences [1].
    heads, head_dim, groups, state : array_like
        Heads on this device and their width, groups of B and C, width of the state [1].
    conv : array_like
        Taps of the short convolution [1].
    engine, fidelity
        Whose overhead counts, and which constants: `Options`.

    Returns
    -------
    Operator
        Short convolution, gates, update of the state, gated norm; the projections are `gemm`.

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name, or a size that is negative or not finite.

    Notes
    -----
    5 FLOP for each of the ``heads * head_dim * state`` cells, read and written in fp32.

    References
    ----------
    Dao, Gu, arXiv:2405.21060.

    Examples
    --------
    >>> float(mamba2_decode("H200-SXM", 1, 80).flops) == 5 * 80 * 64 * 128
    True
    """
    loads = sizes(batch=batch)
    shape = counts(heads=heads, head_dim=head_dim, groups=groups, state=state, conv=conv)
    return run("mamba2_decode_operator", as_device(device), *loads, *shape,
               operator="mamba2_decode", dtype="bf16", **how)  # fmt: skip


@takes(Options)
def mamba2_prefill(
    device: str | Device,
    batch: ArrayLike,
    tokens: ArrayLike,
    heads: ArrayLike,
    head_dim: ArrayLike = 64,
    groups: ArrayLike = 8,
    state: ArrayLike = 128,
    conv: ArrayLike = 4,
    chunk: ArrayLike = 256,
    **how: Unpack[Options],
) -> Operator:
    """Mamba-2 of prompts, in chunks of matrix products (state-space duality).

    Parameters
    ----------
    device : str or Device
    batch, tokens : array_like
        Prompts, and new tokens of each [1].
    heads, head_dim, groups, state, conv, engine, fidelity
        As in `mamba2_decode`.
    chunk : array_like
        Tokens of a chunk [1].

    Returns
    -------
    Operator

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name, or a size that is negative or not finite.

    Notes
    -----
    Per token ``2 C (g n + h p) + (4 + 2 / C) h p n`` FLOP for chunks of C tokens, h heads of width p and
    g groups of state n; the traffic is a fused kernel's.

    References
    ----------
    Dao, Gu, arXiv:2405.21060, section 6.

    Examples
    --------
    >>> mamba2_prefill("H200-SXM", 1, 8192, 80).time_s > 0
    np.True_
    """
    loads = sizes(batch=batch, tokens=tokens)
    shape = counts(heads=heads, head_dim=head_dim, groups=groups, state=state, conv=conv,
                   chunk=chunk)  # fmt: skip
    return run("mamba2_prefill_operator", as_device(device), *loads, *shape,
               operator="mamba2_prefill", dtype="bf16", **how)  # fmt: skip
