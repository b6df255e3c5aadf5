"""Kernels that move data alone, in 16 bits but for what is said; a fused one counts once."""

from __future__ import annotations

from tokenroof.reference.inference.operator_fields import of_line
from tokenroof.reference.inference.operators import elementwise_line
from tokenroof.reference.records.dtypes import ACTIVATION, STORED, type_name
from tokenroof.reference.records.records import Record, takes_records

__all__ = [
    "activation_operator",
    "elementwise_operator",
    "norm_operator",
    "quantise_operator",
    "rotary_operator",
    "sampling_operator",
]

HALF, SINGLE = 2.0, 4.0


@takes_records("device", "calibration")
def elementwise_operator(
    device: Record, calibration: Record, nbytes: float, kernels: float
) -> dict[str, float]:
    """Traffic alone."""
    return of_line(elementwise_line(device, calibration, kernels, 1.0), nbytes, 0.0)


@takes_records("device", "calibration")
def norm_operator(
    device: Record, calibration: Record, tokens: float, hidden: float, residual: float
) -> dict[str, float]:
    """In and out; with the residual that too."""
    moved = (4.0 if residual != 0.0 else 2.0) * HALF * hidden + (residual - residual)
    return of_line(elementwise_line(device, calibration, 1.0, moved), tokens, 0.0)


@takes_records("device", "calibration")
def rotary_operator(
    device: Record, calibration: Record, tokens: float, heads: float, kv_heads: float,
    head_dim: float, v_head_dim: float, kv_dtype: float,
) -> dict[str, float]:  # fmt: skip
    """Queries and keys in and out; keys and values in, and into the cache."""
    rotated, cached = (heads + kv_heads) * head_dim, kv_heads * (head_dim + v_head_dim)
    moved = 2.0 * HALF * rotated + cached * (HALF + STORED[type_name(kv_dtype)])
    return of_line(elementwise_line(device, calibration, 1.0, moved), tokens, 0.0)


@takes_records("device", "calibration")
def activation_operator(
    device: Record, calibration: Record, tokens: float, width: float, matrices: float
) -> dict[str, float]:
    """What all matrices but the last gave, in; one of them out."""
    moved = matrices * width * HALF
    return of_line(elementwise_line(device, calibration, 1.0, moved), tokens, 0.0)


@takes_records("device", "calibration")
def quantise_operator(
    device: Record, calibration: Record, tokens: float, width: float, activations: float
) -> dict[str, float]:
    """In wide, out narrow; nothing for types of 16 bits and more."""
    narrow = ACTIVATION[type_name(activations)]
    moved = width * (HALF + narrow if narrow < HALF else 0.0)
    return of_line(elementwise_line(device, calibration, 1.0, moved), tokens, 0.0)


@takes_records("device", "calibration")
def sampling_operator(
    device: Record, calibration: Record, sequences: float, vocab: float, greedy: float
) -> dict[str, float]:
    """Logits read; for a draw also widened, made probabilities in place, and read again."""
    alone = greedy != 0.0
    moved = (HALF if alone else HALF + SINGLE + 2.0 * SINGLE + SINGLE) * vocab
    moved = moved + (greedy - greedy)
    line = elementwise_line(device, calibration, 1.0 if alone else 3.0, moved)
    return of_line(line, sequences, 0.0)
