"""Matrix products of a step: measured where the record has constants of their type, lines elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

from tokenroof.reference.inference.gemm import Gemm
from tokenroof.reference.inference.operators import Line, gemm_line
from tokenroof.reference.inference.prepared import Product, Term
from tokenroof.reference.inference.structure import ModuleTypes, come_narrow
from tokenroof.reference.records.constants import constants
from tokenroof.reference.records.records import Record


def product(
    d: Record, c: Record, count: float, n: float, k: float, weight: str, activation: str
) -> Line | Product:
    """A product of each of `count` layers: measured where the record has constants of its type."""
    own = constants(c, "gemm16" if weight in ("bf16", "fp16") else "gemm")
    narrow = come_narrow(activation)
    if own is None:
        return gemm_line(d, c, n, k, weight, activation, narrow).times(count)
    return Product(Gemm.of(d, own, n, k, weight, activation, narrow), count)


def products_of(
    d: Record, c: Record, group: str, count: float, n: float, k: float, types: ModuleTypes
) -> Iterator[Term]:
    """Products of a kind of module: in the layers of its own type, and in those that are left wide."""
    share = types.wide_share
    if share < 1.0:
        own = product(d, c, count * (1.0 - share), n, k, types.weights, types.activations)
        yield group, "rank_tokens", own
    if count * share > 0.0:
        yield group, "rank_tokens", product(d, c, count * share, n, k, types.wide, types.wide)
