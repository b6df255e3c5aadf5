"""The points of each group that no other beats in both of two variables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.scale.reductions.bins import bins_of
from tokenroof.scale.reductions.tables import allowed, bounds, check, dims, numbers, rows, together
from tokenroof.support.arguments import share
from tokenroof.support.lazy import require
from tokenroof.support.order import order_by
from tokenroof.support.pareto import pareto

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from tokenroof.scale.reductions.tables import Table
    from tokenroof.scale.work import Work

__all__ = ["Frontier"]


@dataclass(frozen=True)
class Frontier:
    """The points that no other beats in both of two variables, for each of the other dimensions.

    Parameters
    ----------
    speed, worth : str
        Variables, of both the more the better.
    over : sequence of str
        Dimensions along which points compete; of equal points the first counts.
    least : mapping, optional
        What a point must have at least, by variable.
    within : float
        One point stands for those whose `speed` is no further from its own than this part of it: the one of
        most `worth`. 0 for all: then a frontier has nearly a point a batch; with 0.02 it has at most 64 for
        each doubling of the speed, however many batches there are [1].

    Raises
    ------
    ValueError, TypeError
        For no dimension, a bound that is no number, or a `within` out of its range.

    Examples
    --------
    >>> import tokenroof as tr
    >>> plans = [tr.Plan(tp=t) for t in (2, 8)]
    >>> found = tr.sweep("H200-SXM", "Llama-3.1-70B", plans, batch=range(1, 65), reduce="frontier")
    >>> sorted(set(found.plan.values.tolist()))
    ['tp2 bf16 kv bf16', 'tp8 bf16 kv bf16']
    >>> bool((found.interactivity.diff("point") > 0).all())
    True
    """

    speed: str
    worth: str
    over: Sequence[str]
    least: Mapping[str, float] = field(default_factory=dict)
    within: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "over", dims("over", self.over))
        object.__setattr__(self, "least", bounds(self.least))
        object.__setattr__(self, "within", share("within", self.within, zero=True))

    def about(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {"reduction": "frontier", **asdict(self)}

    def check(self, work: Work) -> None:
        """Reject variables and dimensions that the work does not have."""
        check(work, (self.speed, self.worth, *self.least), self.over)

    def of(self, work: Work, block: tuple[slice, ...], values: Mapping[str, NDArray[Any]]) -> Table:
        """The frontier of each group of a block."""
        group, at = numbers(work, block, self.over)
        here = np.flatnonzero(allowed(values, self.least))
        return self._front(rows(here, group, at, values))

    def merge(self, tables: Sequence[Table]) -> Table:
        """The frontier of each group."""
        return self._front(together(tables))

    def _front(self, table: Table) -> Table:
        order = order_by(table["group"], table["at"])
        _, starts = np.unique(table["group"][order], return_index=True)
        chosen = [
            self._thinned(part[pareto(table[self.speed][part], table[self.worth][part])], table)
            for part in np.split(order, starts[1:])
        ]
        kept = np.concatenate(chosen) if chosen else order
        return {name: column[kept] for name, column in table.items()}

    def _thinned(self, front: NDArray[np.intp], table: Table) -> NDArray[np.intp]:
        """The first of each bin of growing speeds: no other of the bin has more worth."""
        if not self.within:
            return front
        bins = bins_of(table[self.speed][front], math.ceil(-math.log2(self.within)))
        return front[np.unique(bins, return_index=True)[1]]

    def finish(self, work: Work, table: Table) -> xr.Dataset:
        """Points in one dimension, by group and growing speed, with coordinates of all dimensions."""
        xarray = require("xarray", extra="analysis")
        index = np.unravel_index(table["at"], work.grid.shape)
        coords = {
            name: ("point", np.asarray(work.coords[name][0])[i], dict(work.coords[name][1]))
            for name, i in zip(work.grid.dims, index, strict=True)
        }
        held = {
            n: ("point", table[n], dict(v.attrs))
            for n, v in work.variables.items()
            if "flag_meanings" not in v.attrs
        }
        found: xr.Dataset = xarray.Dataset(held, coords, dict(work.attrs))
        return found
