"""Operators of a transformer on one device, by keyword, over the `_operator` kernels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import _core, dtypes, kernels
from tokenroof._inputs import amounts, as_device
from tokenroof.calibration import Calibration, resolve_operator
from tokenroof.plan import ENGINES

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from tokenroof.device import Device

_INDEX = {name: i for i, name in enumerate(_core.OPERATOR_FIELDS)}
_CAUSES = ("memory", "compute", "launch", "communication")


@dataclass(frozen=True)
class Operator:
    """Seconds, work and traffic of an operator on one device, over arrays of shapes."""

    fields: NDArray[np.float64]
    device: Device
    calibration: Calibration
    operator: str = ""
    dtype: str = "bf16"
    arguments: tuple[Any, ...] = ()

    def _field(self, name: str) -> NDArray[np.float64]:
        return np.asarray(self.fields[..., _INDEX[name]])

    @property
    def time_s(self) -> NDArray[np.float64]:
        """Time [s]."""
        return self._field("time")

    @property
    def flops(self) -> NDArray[np.float64]:
        """Work [FLOP]."""
        return self._field("flops")

    @property
    def bytes(self) -> NDArray[np.float64]:
        """Memory traffic, or traffic over the link for a collective [B]."""
        return self._field("bytes")

    @property
    def bound(self) -> NDArray[np.str_]:
        """The cause of the most seconds: memory, compute, launch or communication."""
        seconds = np.stack([self._field(f"{cause}_s") for cause in _CAUSES], axis=-1)
        names: NDArray[np.str_] = np.take(np.asarray(_CAUSES), seconds.argmax(axis=-1))
        return names

    @property
    def watts(self) -> NDArray[np.float64]:
        """Board power while it runs [W]."""
        from tokenroof.power import operator_power

        return operator_power(self)

    @property
    def error_band(self) -> NDArray[np.float64]:
        """Relative band around the time; NaN where unknown."""
        return np.full(self.time_s.shape, self.calibration.error_band)

    @property
    def calibrated_on(self) -> str:
        """Where the constants come from."""
        return self.calibration.calibrated_on


def _run(
    kernel: str,
    device: str | Device,
    engine: str,
    fidelity: str | Calibration,
    *arguments: Any,
    operator: str,
    dtype: str,
    also: tuple[str, str] | None = None,
) -> Operator:
    d = as_device(device)
    if engine not in (*ENGINES, "nccl"):
        raise ValueError(f"engine is {engine!r}; allowed: {', '.join((*ENGINES, 'nccl'))}")
    c = resolve_operator(fidelity, d, engine, operator, dtype, also)
    fields = getattr(kernels, kernel)(d.pack(), c.pack(), *arguments)
    return Operator(np.asarray(fields), d, c, operator, dtype, arguments)


def _sizes(**values: ArrayLike) -> list[NDArray[np.float64]]:
    return [amounts(name, value) for name, value in values.items()]


def _counts(**values: ArrayLike) -> list[NDArray[np.float64]]:
    return [amounts(name, value, positive=True) for name, value in values.items()]


def gemm(
    device: str | Device,
    m: ArrayLike,
    n: ArrayLike,
    k: ArrayLike,
    dtype: str = "bf16",
    engine: str = "vllm",
    fidelity: str | Calibration = "calibrated",
    activations: str | None = None,
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
    sizes = _sizes(m=m, n=n, k=k)
    return _run("gemm_operator", device, engine, fidelity, *sizes, weight, activation,
                operator="gemm", dtype=dtype)  # fmt: skip


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
    engine: str = "vllm",
    fidelity: str | Calibration = "calibrated",
    v_head_dim: ArrayLike | None = None,
) -> Operator:
    """Attention of one new token per sequence over its cache.

    Parameters
    ----------
    device : str or Device
    batch, context : array_like
        Sequences, and cached tokens of each [1].
    heads, kv_heads, head_dim : array_like
        Query heads, key-value heads, and their width [1].
    window : array_like
        Tokens that a query sees; 0: all of them [1].
    kv_dtype : str
        Type of the cache.
    warm : bool
        Whether the cache that fits the L2 is read from it, as when a benchmark repeats itself.
    engine, fidelity
        Whose overhead counts, and which constants.

    Returns
    -------
    Operator

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name, or a size that is negative or not finite.

    Notes
    -----
    `fidelity` "calibrated" is the form of ``cpp/include/tokenroof/attention_decode.hpp``; a learned sink
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
    sizes = _sizes(batch=batch, context=context)
    shape = _counts(heads=heads, kv_heads=kv_heads, head_dim=head_dim, v_head_dim=width)
    seen = _sizes(window=window)
    kv = dtypes.code(kv_dtype, "kv_dtype")
    return _run("attention_decode_operator", device, engine, fidelity, *sizes, *shape, *seen, kv,
                float(warm), operator="attention_decode", dtype=kv_dtype)  # fmt: skip


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
    engine: str = "vllm",
    fidelity: str | Calibration = "calibrated",
    v_head_dim: ArrayLike | None = None,
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
        Whose overhead counts, and which constants.

    Returns
    -------
    Operator

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name, or a size that is negative or not finite.

    References
    ----------
    Dao et al., arXiv:2205.14135.

    Examples
    --------
    >>> attention_prefill("H100-SXM", 1, 8192, 0, 32, 8, 128).bound.item()
    'compute'
    """
    width = head_dim if v_head_dim is None else v_head_dim
    sizes = _sizes(batch=batch, tokens=tokens, past=past)
    shape = _counts(heads=heads, kv_heads=kv_heads, head_dim=head_dim, v_head_dim=width)
    seen = _sizes(window=window)
    codes = dtypes.code(kv_dtype, "kv_dtype"), dtypes.code(dtype)
    return _run("attention_prefill_operator", device, engine, fidelity, *sizes, *shape, *seen, *codes,
                operator="attention_prefill", dtype=dtypes.attention(dtype, kv_dtype),
                also=("attention_decode", kv_dtype))  # fmt: skip


def mla_decode(
    device: str | Device,
    batch: ArrayLike,
    context: ArrayLike,
    heads: ArrayLike,
    kv_lora_rank: ArrayLike = 512,
    rope_head_dim: ArrayLike = 64,
    kv_dtype: str = "bf16",
    warm: bool = False,
    engine: str = "vllm",
    fidelity: str | Calibration = "calibrated",
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
    sizes = _sizes(batch=batch, context=context)
    shape = _counts(heads=heads, kv_lora_rank=kv_lora_rank, rope_head_dim=rope_head_dim)
    kv = dtypes.code(kv_dtype, "kv_dtype")
    return _run("mla_decode_operator", device, engine, fidelity, *sizes, *shape, kv, float(warm),
                operator="mla_decode", dtype=kv_dtype)  # fmt: skip


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
    engine: str = "vllm",
    fidelity: str | Calibration = "calibrated",
    kv_dtype: str = "bf16",
    kv_lora_rank: ArrayLike = 512,
    absorbed: bool = False,
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
    sizes = _sizes(batch=batch, tokens=tokens, past=past)
    shape = _counts(
        heads=heads, nope_head_dim=nope_head_dim, rope_head_dim=rope_head_dim, v_head_dim=v_head_dim
    )
    (rank,) = _counts(kv_lora_rank=kv_lora_rank)
    codes = dtypes.code(dtype), dtypes.code(kv_dtype, "kv_dtype")
    return _run("mla_prefill_operator", device, engine, fidelity, *sizes, *shape, rank,
                float(absorbed), *codes, operator="mla_prefill",
                dtype=dtype if kv_dtype == "bf16" else kv_dtype)  # fmt: skip


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
    skew: float = 0.0,
    engine: str = "vllm",
    fidelity: str | Calibration = "calibrated",
    matrices: ArrayLike | None = None,
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
    skew : float
        Power-law exponent of the routing: experts' loads are draws from a density ~ x^-skew over a range
        of 0.8 tokens; 0 is balanced, every expert alike.
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
        For an unknown name, a size out of range, or a skew below 0.

    References
    ----------
    Gale et al., MegaBlocks, arXiv:2211.15841, section 5 (grouped products over tiles).

    Examples
    --------
    >>> experts("H200-SXM", 64, 7168, 2048, 256, 8, moe_ep=8).bound.item()
    'memory'
    """
    if isinstance(skew, bool) or not (np.isfinite(skew) and 0.0 <= skew <= 10.0):
        raise ValueError(f"skew is {skew!r}; allowed: numbers from 0 (balanced) to 10")
    sizes = _sizes(tokens=tokens)
    if matrices is None:
        matrices = layer_matrices(hidden, intermediate, experts, topk)
    shape = _counts(
        hidden=hidden, intermediate=intermediate, experts=experts, topk=topk, matrices=matrices,
        moe_tp=moe_tp, moe_ep=moe_ep,
    )  # fmt: skip
    if np.any(shape[3] > shape[2]):
        raise ValueError(f"topk is {topk!r}; allowed: at most the {experts!r} experts")
    return _run("experts_operator", device, engine, fidelity, *sizes, *shape, float(skew),
                dtypes.code(dtype), operator="experts", dtype=dtype)  # fmt: skip


# Experts behind a latent projection: Nemotron 3 Ultra (arXiv:2606.15007), 512 of width 2048, top 22, squared
# ReLU. Width, hidden width, experts, topk.
_LATENT_WITHOUT_GATE = {(2048.0, 5120.0, 512.0, 22.0): 2.0}


@cache
def _layers_without_gate() -> frozenset[tuple[float, ...]]:
    from tokenroof.catalogue._models import models

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

    Examples
    --------
    >>> float(layer_matrices(7168, 2048, 256, 8)), float(layer_matrices(2688, 1856, 128, 6))
    (3.0, 2.0)
    """
    layer = (hidden, intermediate, experts, topk)
    sizes = np.broadcast_arrays(*(np.asarray(x, dtype=float) for x in layer))
    plain = np.zeros(sizes[0].shape, dtype=bool)
    for other in _layers_without_gate():
        plain |= np.all([a == b for a, b in zip(sizes, other, strict=True)], axis=0)
    return np.where(plain, 2.0, 3.0)


_COLLECTIVE = """{summary}

    Parameters
    ----------
    device : str or Device
    ranks : array_like
        Devices that take part [1].
    nbytes : array_like
        {nbytes} [B].
    engine, fidelity
        Whose overhead counts ("nccl": the plain library), and which constants.

    Returns
    -------
    Operator

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name, or a size out of range.

    References
    ----------
    Thakur, Rabenseifner, Gropp, IJHPCA 19(1), 2005.

    Examples
    --------
    >>> {name}("H100-SXM", 8, 2**20).bound.item() in ("communication", "launch")
    True
    """


def _collective(name: str, summary: str, nbytes: str = "The full vector per rank") -> Any:
    def collective(
        device: str | Device,
        ranks: ArrayLike,
        nbytes: ArrayLike,
        engine: str = "vllm",
        fidelity: str | Calibration = "calibrated",
    ) -> Operator:
        members = amounts("ranks", ranks, positive=True)
        if np.any(members < 1):
            raise ValueError(f"ranks is {ranks!r}; allowed: numbers >= 1")
        size = amounts("nbytes", nbytes)
        return _run(f"{name}_operator", device, engine, fidelity, members, size,
                    operator="all_to_all" if name == "send" else name,
                    dtype="all_to_all" if name == "send" else name)  # fmt: skip

    collective.__name__ = collective.__qualname__ = name
    collective.__doc__ = _COLLECTIVE.format(name=name, summary=summary, nbytes=nbytes)
    return collective


all_reduce = _collective("all_reduce", "All-reduce: 2 (n - 1)/n of the vector over each link.")
all_gather = _collective("all_gather", "All-gather: (n - 1)/n of the vector over each link.")
reduce_scatter = _collective(
    "reduce_scatter", "Reduce-scatter: (n - 1)/n of the vector over each link."
)
all_to_all = _collective("all_to_all", "All-to-all: (n - 1)/n of the vector over each link.")
send = _collective("send", "One message to a neighbour.", "The message")
