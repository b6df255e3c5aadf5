"""How many experts a step's tokens touch, as models' routers were counted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from tokenroof.catalogue.files import table
from tokenroof.records.provenance import Provenance

__all__ = ["Counts", "counts"]


@dataclass(frozen=True, slots=True)
class Counts:
    """Distinct experts of a layer that some token of a step chooses, counted over real text.

    Attributes
    ----------
    model : str
        Name in the catalogue.
    experts, topk : int
        Of a layer, and of a token: the counts hold for this shape alone [1].
    tokens, touched : tuple of float
        Tokens of a step, and how many experts they chose in the mean [1].
    skew : float
        Exponent of the popularities that comes nearest to the counts [1].
    provenance : Provenance
    """

    model: str
    experts: int
    topk: int
    tokens: tuple[float, ...]
    touched: tuple[float, ...]
    skew: float
    provenance: Provenance


@cache
def counts() -> tuple[Counts, ...]:
    """Return what was counted, in the order of the file.

    Returns
    -------
    tuple of Counts

    Examples
    --------
    >>> found = counts()[0]
    >>> found.model, found.experts, found.topk
    ('Qwen3-30B-A3B', 128, 8)
    """
    file = table("routing")
    return tuple(
        Counts(
            row["model"], row["experts"], row["topk"], tuple(row["tokens"]), tuple(row["touched"]),
            row["skew"],
            Provenance("measured", file["sources"][row["source"]], file["date"], file["units"]["touched"]),
        )
        for row in file["routing"]
    )  # fmt: skip
