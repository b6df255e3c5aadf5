"""The terms of a step, as `prepare` fills them and `evaluate` (transformer.py) sums them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from tokenroof.reference.inference.attention_decode import AttentionDecode
from tokenroof.reference.inference.attention_prefill import AttentionPrefill
from tokenroof.reference.inference.collectives import Protocol
from tokenroof.reference.inference.compressed_attention import Compressed
from tokenroof.reference.inference.experts import Experts
from tokenroof.reference.inference.gemm import Gemm
from tokenroof.reference.inference.layout import Layout
from tokenroof.reference.inference.operators import Attention, Line
from tokenroof.reference.inference.sparse_attention import Indexer
from tokenroof.reference.records.records import Record

Form = TypeVar("Form", AttentionDecode, AttentionPrefill)


@dataclass(frozen=True)
class Product:
    """A matrix product of each of some layers, by its measured form."""

    form: Gemm
    count: float


@dataclass(frozen=True)
class Exchange:
    """A collective by its measured protocols, so many times."""

    protocols: tuple[Protocol, ...]
    count: float
    vector: float  # bytes per x
    crossing: float  # bytes per x over each link
    counted: float  # seconds of an empty one, which a step's gap stands for


@dataclass(frozen=True)
class Measured(Generic[Form]):
    """Softmax attention of some layers by its measured form."""

    ways: tuple[Form, ...]  # that it may run; the fastest counts
    layers: float


# a group, the amount that the cost depends on, the operator
Term = tuple[str, str, Line | Product | Exchange]
LineTerm = tuple[str, str, Line]


@dataclass(frozen=True)
class SingleKey:
    """Layers of one kind whose heads all read one key: a line of all, or a layer's measured form."""

    keys: Compressed
    layers: float
    line: Attention
    form: AttentionDecode | None


@dataclass(frozen=True)
class Side:
    """What runs for the decode batch alone, or for prompts alone."""

    lines: list[LineTerm]
    attention: list[tuple[Attention, ...]]  # the ways that each kind of layer may run
    measured_decode: list[Measured[AttentionDecode]]
    measured_prefill: list[Measured[AttentionPrefill]]
    indexer: Indexer | None
    single_key: list[SingleKey]
    compressed_indexer: Indexer | None

    @property
    def launch(self) -> float:
        """Seconds of its launches."""
        seconds = launches(self.lines)
        if self.indexer is not None:
            seconds += self.indexer.a.launch
        for kind in self.single_key:
            if kind.form is None:
                seconds += kind.line.launch
        if self.compressed_indexer is not None:
            seconds += self.compressed_indexer.a.launch
        for ways in self.attention:
            seconds += ways[0].launch
        return seconds


@dataclass(frozen=True)
class Prepared:
    """A step before its load."""

    device: Record
    calibration: Record
    model: Record
    layout: Layout
    gaps: float  # s, between kernels and collectives
    engine_gaps: float  # s
    sequence_s: float
    common: list[LineTerm]
    products: list[tuple[str, str, Product]]
    exchanges: list[tuple[str, str, Exchange]]
    decode: Side
    prefill: Side
    experts: Line | None  # of all layers; weights are of one touched expert
    measured_experts: Experts | None

    @property
    def launch(self) -> float:
        """Seconds that every step takes before its load."""
        experts = self.experts.launch if self.experts else 0.0
        if self.measured_experts:
            experts = self.model["moe_layers"] * self.measured_experts.launch()
        return launches(self.common) + experts + self.gaps + self.engine_gaps


def launches(terms: list[LineTerm]) -> float:
    """Seconds of all launches."""
    total = 0.0
    for _, _, line in terms:
        total += line.launch
    return total
