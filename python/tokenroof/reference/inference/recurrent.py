"""Gated delta net and Mamba-2: states of fixed size, read and written per decoded token; prompts in chunks.

Recurrences: Yang, Kautz, Hatamizadeh, arXiv:2412.06464, equation 10; Dao, Gu, arXiv:2405.21060, section 6.
Chunks as matrix products: Yang et al., arXiv:2406.06484, section 3.2, and section 6 of the latter.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tokenroof.reference.core.ieee import divide
from tokenroof.reference.inference.operator_fields import after_one_another, amount, of_line
from tokenroof.reference.inference.operators import Line, elementwise_line, tensor_line
from tokenroof.reference.records.records import Record, takes_records

__all__ = [
    "gated_delta_decode_operator",
    "gated_delta_prefill_operator",
    "mamba2_decode_operator",
    "mamba2_prefill_operator",
]

DELTA_CHUNK, MAMBA_CHUNK = 64.0, 256.0


@dataclass(frozen=True)
class Mixer:
    """A layer between its projections: their columns and rows, what is convolved, the state, FLOP a token."""

    columns: float
    channels: float
    out: float
    taps: float
    cells: float
    step_flops: float
    chunk_flops: float
    chunk_kernels: float
    gate_rank: float = 0.0  # of a product between, to so many columns; 0: none
    gate_columns: float = 0.0

    @property
    def state_bytes(self) -> float:
        """State in fp32, and the convolution's last inputs in 16 bits."""
        return 4.0 * self.cells + 2.0 * self.channels * self.taps

    def gates(self, d: Record, c: Record) -> Line:
        """Convolution in and out; gated norm: result and gate in, result out."""
        moved = 2.0 * 2.0 * self.channels + 3.0 * 2.0 * self.out
        return elementwise_line(d, c, 3.0, moved)

    def decode(self, d: Record, c: Record) -> Line:
        """A token: the state both ways, inputs in, result out."""
        moved = 2.0 * self.state_bytes + 2.0 * self.channels + 2.0 * self.out
        return tensor_line(d, c, "attention_decode", 1.0, self.step_flops, moved)

    def prompt(self, d: Record, c: Record) -> Line:
        """A prompt's token."""
        moved = 2.0 * self.channels + 2.0 * self.out
        return tensor_line(d, c, "attention_prefill", self.chunk_kernels, self.chunk_flops, moved)

    def states(self, d: Record, c: Record) -> Line:
        """A prompt's state, both ways."""
        return tensor_line(d, c, "attention_prefill", 0.0, 0.0, 2.0 * self.state_bytes)


def gated_delta_net(
    key_heads: float,
    key_dim: float,
    value_heads: float,
    value_dim: float,
    taps: float,
    chunk: float,
) -> Mixer:
    """S <- a S (I - b k k') + b v k', o = S q, for each value head."""
    k, v = key_heads * key_dim, value_heads * value_dim
    cells = v * key_dim
    per_cell = {"a S": 1.0, "S k": 2.0, "+ b (v - S k) k'": 2.0, "S q": 2.0}
    # of a chunk of C tokens, over C: products [C, C] with inner or outer size K or V, and [K, V] with C
    square = {"K K'": key_dim, "W": key_dim, "Q K'": key_dim, "U": value_dim, "A V'": value_dim}
    wide = {"W S": 2.0, "Q S": 2.0, "K' V'": 2.0}
    inverse = chunk * chunk * (1.0 / 3.0)  # of a unit triangle: C**3 / 3
    inside = 2.0 * chunk * sum(square.values()) + inverse
    inside = inside + sum(wide.values()) * key_dim * value_dim
    return Mixer(
        columns=2.0 * k + 2.0 * v + 2.0 * value_heads, channels=2.0 * k + v, out=v, taps=taps,
        cells=cells, step_flops=sum(per_cell.values()) * cells, chunk_flops=value_heads * inside,
        chunk_kernels=6.0,
    )  # fmt: skip


def mamba2(
    heads: float, head_dim: float, groups: float, state: float, taps: float, chunk: float
) -> Mixer:
    """h <- a h + dt B x', y = C h, for each head; B and C are of a group of heads."""
    inner, shared = heads * head_dim, groups * state
    cells = inner * state
    per_cell = {"a h": 1.0, "+ (dt B) x'": 2.0, "C h": 2.0}
    inside = 2.0 * chunk * (shared + inner)  # C B', and its product with x
    inside = inside + 4.0 * cells  # the chunk's state, and what the state before it gives
    inside = inside + divide(2.0 * cells, chunk)  # from chunk to chunk
    return Mixer(
        columns=2.0 * inner + 2.0 * shared + heads, channels=inner + 2.0 * shared, out=inner,
        taps=taps, cells=cells, step_flops=sum(per_cell.values()) * cells, chunk_flops=inside,
        chunk_kernels=5.0,
    )  # fmt: skip


def mixers_of(m: Record, tp: float) -> tuple[tuple[float, Mixer], tuple[float, Mixer]]:
    """Layers and mixers of a model, on one of tp devices: gated delta net, then Mamba-2."""
    linear = gated_delta_net(
        m["linear_key_heads"] / tp, m["linear_key_dim"], m["linear_value_heads"] / tp,
        m["linear_value_dim"], m["linear_conv"], DELTA_CHUNK,
    )  # fmt: skip
    rank = m["linear_gate_rank"]
    if rank > 0.0:
        # Kimi Linear, arXiv:2510.26692: decays by channel, and both gates through a low rank
        heads = m["linear_value_heads"] / tp
        decays, gate = heads * m["linear_key_dim"], linear.out
        narrow = not m["linear_full_gate"] > 0.0
        linear = replace(
            linear, columns=linear.channels + heads + (2.0 * rank if narrow else rank + gate),
            gate_rank=rank, gate_columns=decays + gate if narrow else decays,
        )  # fmt: skip
    mamba = mamba2(m["mamba_heads"] / tp, m["mamba_head_dim"], m["mamba_groups"] / tp,
                   m["mamba_state"], m["mamba_conv"], MAMBA_CHUNK)  # fmt: skip
    return (m["linear_layers"], linear), (m["mamba_layers"], mamba)


def _decode(d: Record, c: Record, mixer: Mixer, batch: float) -> dict[str, float]:
    return after_one_another(
        of_line(mixer.gates(d, c), batch, 0.0), of_line(mixer.decode(d, c), batch, 0.0)
    )


def _prefill(d: Record, c: Record, mixer: Mixer, batch: float, tokens: float) -> dict[str, float]:
    every = amount(batch) * amount(tokens)
    return after_one_another(
        of_line(mixer.gates(d, c), every, 0.0),
        of_line(mixer.prompt(d, c), every, 0.0),
        of_line(mixer.states(d, c), batch if every > 0.0 else every, 0.0),
    )


@takes_records("device", "calibration")
def gated_delta_decode_operator(
    device: Record, calibration: Record, batch: float, key_heads: float, key_dim: float,
    value_heads: float, value_dim: float, taps: float,
) -> dict[str, float]:  # fmt: skip
    """Gated delta net of one new token per sequence."""
    mixer = gated_delta_net(key_heads, key_dim, value_heads, value_dim, taps, DELTA_CHUNK)
    return _decode(device, calibration, mixer, batch)


@takes_records("device", "calibration")
def gated_delta_prefill_operator(
    device: Record, calibration: Record, batch: float, tokens: float, key_heads: float,
    key_dim: float, value_heads: float, value_dim: float, taps: float, chunk: float,
) -> dict[str, float]:  # fmt: skip
    """Gated delta net of prompts."""
    mixer = gated_delta_net(key_heads, key_dim, value_heads, value_dim, taps, chunk)
    return _prefill(device, calibration, mixer, batch, tokens)


@takes_records("device", "calibration")
def mamba2_decode_operator(
    device: Record, calibration: Record, batch: float, heads: float, head_dim: float,
    groups: float, state: float, taps: float,
) -> dict[str, float]:  # fmt: skip
    """Mamba-2 of one new token per sequence."""
    mixer = mamba2(heads, head_dim, groups, state, taps, MAMBA_CHUNK)
    return _decode(device, calibration, mixer, batch)


@takes_records("device", "calibration")
def mamba2_prefill_operator(
    device: Record, calibration: Record, batch: float, tokens: float, heads: float,
    head_dim: float, groups: float, state: float, taps: float, chunk: float,
) -> dict[str, float]:  # fmt: skip
    """Mamba-2 of prompts."""
    mixer = mamba2(heads, head_dim, groups, state, taps, chunk)
    return _prefill(device, calibration, mixer, batch, tokens)
