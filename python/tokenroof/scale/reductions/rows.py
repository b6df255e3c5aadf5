"""All points of a grid that fits in memory, by number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.scale.reductions.tables import numbers, together

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tokenroof.scale.reductions.tables import Table
    from tokenroof.scale.work import Work

__all__ = ["Rows"]


@dataclass(frozen=True)
class Rows:
    """Every point, in order: what is asked of workers where no store is wanted."""

    def about(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {"reduction": "rows"}

    def check(self, work: Work) -> None:
        """Nothing is asked for that is not there."""

    def of(self, work: Work, block: tuple[slice, ...], values: Mapping[str, NDArray[Any]]) -> Table:
        """Points of a block."""
        at = numbers(work, block, ())[1].reshape(-1)
        return {"at": at, **{name: column.reshape(-1) for name, column in values.items()}}

    def merge(self, tables: Sequence[Table]) -> Table:
        """Points in order."""
        table = together(tables)
        order = np.argsort(table["at"])
        return {name: column[order] for name, column in table.items()}
