"""The best point of each group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.scale.reductions.tables import (
    allowed,
    bounds,
    by_group,
    check,
    dims,
    numbers,
    rows,
    together,
)  # fmt: skip
from tokenroof.support.lazy import require
from tokenroof.support.order import order_by

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from tokenroof.scale.reductions.tables import Table
    from tokenroof.scale.work import Work

__all__ = ["Best"]


@dataclass(frozen=True)
class Best:
    """The point with the most of a variable over some dimensions, for each of the others.

    Parameters
    ----------
    by : str
        Variable.
    over : sequence of str
        Dimensions that are searched; of equal points the first counts.
    least : mapping, optional
        What a point must have at least, by variable.
    lowest : bool
        Whether the least of the variable is wanted.

    Raises
    ------
    ValueError, TypeError
        For no dimension, or a bound that is no number.

    Examples
    --------
    >>> import tokenroof as tr
    >>> best = Best("tokens_per_s_per_device", over=("plan", "batch"), least={"interactivity": 50.0})
    >>> plans = [tr.Plan(tp=t) for t in (1, 2, 4, 8)]
    >>> found = tr.sweep("H200-SXM", "Llama-3.1-70B", plans, batch=range(1, 257), reduce=best)
    >>> found.plan.item(), bool(found.interactivity >= 50.0)
    ('tp8 bf16 kv bf16', True)
    """

    by: str
    over: Sequence[str]
    least: Mapping[str, float] = field(default_factory=dict)
    lowest: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "over", dims("over", self.over))
        object.__setattr__(self, "least", bounds(self.least))

    def about(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {"reduction": "best", **asdict(self)}

    def check(self, work: Work) -> None:
        """Reject variables and dimensions that the work does not have."""
        check(work, (self.by, *self.least), self.over)

    def of(self, work: Work, block: tuple[slice, ...], values: Mapping[str, NDArray[Any]]) -> Table:
        """The best point of each group of a block."""
        worth = np.where(allowed(values, self.least), self._signed(values[self.by]), np.nan)
        group, at = numbers(work, block, self.over)
        first = np.where(np.isnan(worth), -np.inf, worth)
        each = by_group(work, self.over, first)
        index = np.argmax(each, axis=1)[:, None]  # the first of equal ones
        here = np.take_along_axis(
            by_group(work, self.over, np.arange(at.size).reshape(at.shape)), index, 1
        )[:, 0]
        here = here[~np.isnan(worth.reshape(-1)[here])]
        return rows(here, group, at, values)

    def merge(self, tables: Sequence[Table]) -> Table:
        """The best of each group."""
        table = together(tables)
        order = order_by(table["group"], -self._signed(table[self.by]), table["at"])
        first = np.unique(table["group"][order], return_index=True)[1]
        return {name: column[order[first]] for name, column in table.items()}

    def finish(self, work: Work, table: Table) -> xr.Dataset:
        """Over the dimensions that are left: the best point's variables, and where it is."""
        xarray = require("xarray", extra="analysis")
        kept = [n for n in work.grid.dims if n not in self.over]
        shape = [work.grid.shape[work.grid.dims.index(n)] for n in kept]
        held = {}
        for name, variable in work.variables.items():
            if "flag_meanings" in variable.attrs:
                continue
            missing: Any = (
                np.nan if variable.dtype == "float64" else np.zeros((), variable.dtype)[()]
            )
            full = np.full(shape, missing, dtype=variable.dtype)
            full.reshape(-1)[table["group"]] = table[name]
            held[name] = (kept, full, dict(variable.attrs))
        index = np.unravel_index(table["at"], work.grid.shape)
        for name in self.over:
            values, attrs = work.coords[name]
            along = np.asarray(values)
            along = along.astype(object) if along.dtype.kind == "U" else along.astype(float)
            chosen: Any = np.full(shape, "" if along.dtype == object else np.nan, dtype=along.dtype)
            chosen.reshape(-1)[table["group"]] = along[index[work.grid.dims.index(name)]]
            held[name] = (kept, chosen, dict(attrs))
        coords = {n: (n, *work.coords[n]) for n in kept}
        found: xr.Dataset = xarray.Dataset(held, coords, dict(work.attrs))
        return found

    def _signed(self, values: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(-values if self.lowest else values, dtype=np.float64)
