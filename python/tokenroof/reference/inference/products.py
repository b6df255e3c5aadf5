"""Matrix products of a step: measured where the record has constants of their type, lines elsewhere."""

from __future__ import annotations

from tokenroof.reference.inference.cost import Hardware
from tokenroof.reference.inference.gemm import Gemm
from tokenroof.reference.inference.operators import Line, gemm_line
from tokenroof.reference.inference.prepared import Product
from tokenroof.reference.records.constants import constants
from tokenroof.reference.records.dtypes import ACTIVATION, STORED, peak_of
from tokenroof.reference.records.records import Record


def product(
    d: Record, c: Record, count: float, n: float, k: float, weight: str, activation: str
) -> Line | Product:
    """A product of each of `count` layers: measured where the record has constants of its type."""
    own = constants(c, "gemm16" if weight in ("bf16", "fp16") else "gemm")
    if own is None:
        return gemm_line(d, c, n, k, weight, activation).times(count)
    hardware = Hardware.of(d, peak_of(d, weight))
    return Product(Gemm(own, hardware, n, k, STORED[weight], ACTIVATION[activation]), count)
