"""Quantiles from counts that add up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.scale.reductions.bins import RELATIVE, bins_of, counted, merged_counts, middle
from tokenroof.scale.reductions.tables import check, dims, numbers, texts, together
from tokenroof.support.arguments import reals, shown
from tokenroof.support.lazy import require

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from tokenroof.scale.reductions.tables import Table
    from tokenroof.scale.work import Work

__all__ = ["Quantiles"]


@dataclass(frozen=True)
class Quantiles:
    """Quantiles of variables over some dimensions, to one part in 4,096, for each of the others.

    A chunk brings how many of its numbers share their sign, exponent and first 11 bits of the mantissa;
    these counts add up to the same, whatever the chunks are. Points without a number do not count.

    Parameters
    ----------
    variables : sequence of str
        Variables.
    over : sequence of str
        Dimensions.
    q : sequence of float
        From 0 to 1: the least number that so many are not above [1].

    Raises
    ------
    ValueError, TypeError
        For no dimension, or a `q` out of its range.

    References
    ----------
    Masson, Rim, Lee, DDSketch, PVLDB 12(12), 2019: counts of bins of equal relative width that merge.

    Examples
    --------
    >>> import numpy as np, tokenroof as tr
    >>> wanted = Quantiles(("time_s",), over=("batch",), q=(0.5,))
    >>> batch = np.arange(1, 1000)
    >>> found = tr.sweep("H200-SXM", "Llama-3.1-8B", batch=batch, context=512, reduce=wanted)
    >>> exact = tr.sweep("H200-SXM", "Llama-3.1-8B", batch=batch, context=512).time_s.median()
    >>> bool(abs(found.time_s / exact - 1.0).item() < 2.0**-12), found["count"].item()
    (True, 999)
    """

    variables: Sequence[str]
    over: Sequence[str]
    q: Sequence[float] = (0.1, 0.5, 0.9)

    def __post_init__(self) -> None:
        object.__setattr__(self, "variables", texts("variables", self.variables))
        object.__setattr__(self, "over", dims("over", self.over))
        q = np.atleast_1d(reals("q", self.q))
        if (q > 1.0).any():
            raise ValueError(f"q is {shown(self.q)}; allowed: numbers from 0 to 1")
        object.__setattr__(self, "q", tuple(q.tolist()))

    def about(self) -> dict[str, Any]:
        """As JSON holds it; the same counts give any quantiles."""
        return {"reduction": "quantiles", "of": list(self.variables), "over": list(self.over)}

    def check(self, work: Work) -> None:
        """Reject variables and dimensions that the work does not have."""
        check(work, self.variables, self.over)

    def of(self, work: Work, block: tuple[slice, ...], values: Mapping[str, NDArray[Any]]) -> Table:
        """How many numbers of each group there are in each bin."""
        group = numbers(work, block, self.over)[0].reshape(-1)
        parts = []
        for i, name in enumerate(self.variables):
            flat = values[name].reshape(-1)
            known = ~np.isnan(flat)
            parts.append(counted(i, group[known], bins_of(flat[known])))
        return together(parts)

    def merge(self, tables: Sequence[Table]) -> Table:
        """Sums of the counts."""
        return merged_counts(tables)

    def finish(self, work: Work, table: Table) -> xr.Dataset:
        """Over the dimensions that are left, and ``quantile``; ``count`` is of the first variable."""
        xarray = require("xarray", extra="analysis")
        kept = [n for n in work.grid.dims if n not in self.over]
        shape = tuple(work.grid.shape[work.grid.dims.index(n)] for n in kept)
        held: dict[str, Any] = {}
        for i, name in enumerate(self.variables):
            mine = {n: c[table["variable"] == i] for n, c in table.items()}
            full = np.full((*shape, len(self.q)), np.nan).reshape(-1, len(self.q))
            total = np.zeros(shape, dtype=np.int64).reshape(-1)
            groups, starts = np.unique(mine["group"], return_index=True)
            for g, part in zip(
                groups, np.split(np.arange(mine["bin"].size), starts[1:]), strict=False
            ):
                upto = np.cumsum(mine["count"][part])
                total[g] = upto[-1]
                wanted = np.maximum(np.ceil(np.array(self.q) * upto[-1]), 1.0)
                full[g] = middle(mine["bin"][part][np.searchsorted(upto, wanted)])
            attrs = dict(work.variables[name].attrs)
            held[name] = ((*kept, "quantile"), full.reshape(*shape, len(self.q)), attrs)
            held.setdefault("count", (kept, total.reshape(shape), {"units": "1"}))
        coords: dict[str, Any] = {n: (n, *work.coords[n]) for n in kept}
        coords["quantile"] = ("quantile", list(self.q), {"units": "1"})
        found: xr.Dataset = xarray.Dataset(held, coords, {**work.attrs, "relative_error": RELATIVE})
        return found
