"""How fast square products of 16-bit matrices are, by device: boards that their owners reported."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from functools import cache

from tokenroof.catalogue.files import table
from tokenroof.records.provenance import Provenance

__all__ = ["SIDES", "Squares", "squares"]

#: Sides of the matrices, of which each board's best counts [1].
SIDES = (1024.0, 2048.0, 4096.0, 8192.0, 10240.0)


@dataclass(frozen=True, slots=True)
class Squares:
    """The best rates of a device's reported boards.

    Attributes
    ----------
    device, dtype : str
        Name in the catalogue; type of both matrices.
    boards : tuple of float
        Of each board, the best of `SIDES` [FLOP/s].
    provenance : Provenance
    """

    device: str
    dtype: str
    boards: tuple[float, ...]
    provenance: Provenance

    @property
    def flops_per_s(self) -> float:
        """Of the median board [FLOP/s]."""
        return statistics.median(self.boards)


@cache
def squares() -> tuple[Squares, ...]:
    """Return what was reported, in the order of the file.

    Returns
    -------
    tuple of Squares

    Examples
    --------
    >>> found = next(row for row in squares() if row.device == "RTX 4090")
    >>> len(found.boards), f"{found.flops_per_s:.4g}"
    (8, '1.64e+14')
    """
    file = table("products")
    return tuple(
        Squares(
            row["device"], row["dtype"], tuple(row["boards"]),
            Provenance("measured", file["sources"][row["source"]], "2026-09", file["units"]["flops_per_s"]),
        )
        for row in file["product"]
    )  # fmt: skip
