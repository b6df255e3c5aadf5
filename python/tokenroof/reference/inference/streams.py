"""What stands around a layer's halves beyond norm and residual.

Hyper-connections: Zhu et al., arXiv:2409.19606; Xie et al., arXiv:2512.24880. AltUp: Baykal et al.,
arXiv:2301.13310. Residuals over earlier results, and embeddings of each layer: the public classes of
Kimi K3, Gemma 3n and Gemma 4.
"""

from __future__ import annotations

from tokenroof.reference.inference.gemm import gemm_operator
from tokenroof.reference.inference.operator_fields import after_one_another, of_line
from tokenroof.reference.inference.operators import Line, elementwise_line, make_line
from tokenroof.reference.records.records import Record, takes_records

__all__ = ["attention_residual_operator", "hyper_connection_operator", "layer_embedding_operator"]

HALF, SINGLE = 2.0, 4.0


def stream_line(d: Record, c: Record, hidden: float, n: float) -> Line:
    """All streams times the mix's weights in fp32; then gathered, and spread and mixed again."""
    gathered, spread, mixed = n, n, n * n
    columns = gathered + spread + mixed
    gather = (n + 1.0) * hidden * HALF  # streams in, the half's input out
    scatter = (2.0 * n + 1.0) * hidden * HALF  # streams and the half's result in, streams out
    moved = n * hidden * HALF + columns * SINGLE + (gather + scatter)
    return make_line(d, c, "gemm", 2.0, d["peak_bf16"], 2.0 * columns * (n * hidden),
                     columns * (n * hidden) * SINGLE, moved)  # fmt: skip


def residual_bytes(hidden: float, slots: float) -> float:
    """One of `slots` sums at first and all of them at last in, one out."""
    return (0.5 * (slots + 1.0) + 1.0) * hidden * HALF


def layer_embedding_bytes(width: float) -> float:
    """Gate and embedding in, their product out."""
    return 3.0 * width * HALF


def layer_lookup_bytes(layers: float, width: float) -> float:
    """For all layers: read from the table, the projection beside it in, their sum out and in once more."""
    return layers * width * HALF * 4.0


@takes_records("device", "calibration")
def hyper_connection_operator(
    device: Record, calibration: Record, tokens: float, hidden: float, streams: float
) -> dict[str, float]:
    """One mix of the streams around half a layer."""
    return of_line(stream_line(device, calibration, hidden, streams), tokens, 1.0)


@takes_records("device", "calibration")
def attention_residual_operator(
    device: Record, calibration: Record, tokens: float, hidden: float, slots: float
) -> dict[str, float]:
    """The sum of earlier results in front of half a layer."""
    moved = residual_bytes(hidden, slots)
    return of_line(elementwise_line(device, calibration, 1.0, moved), tokens, 0.0)


@takes_records("device", "calibration")
def layer_embedding_operator(
    device: Record, calibration: Record, tokens: float, hidden: float, width: float, weights: float,
    activations: float,
) -> dict[str, float]:  # fmt: skip
    """A layer's own embedding: gated by a product, and projected to the hidden state."""
    gate = gemm_operator(device, calibration, tokens, width, hidden, weights, activations, 0.0)
    moved = layer_embedding_bytes(width)
    between = of_line(elementwise_line(device, calibration, 1.0, moved), tokens, 0.0)
    out = gemm_operator(device, calibration, tokens, hidden, width, weights, activations, 0.0)
    return after_one_another(gate, between, out)
