"""Labelled datasets whose chunks are computed, or read, when they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.scale.stores import EXTRA, Layout, Store
from tokenroof.scale.work import Variable
from tokenroof.support.lazy import require

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr
    from numpy.typing import NDArray

    from tokenroof.scale.grid import Grid
    from tokenroof.scale.work import Work

__all__ = ["blocks", "computed", "dataset", "stored"]


def blocks(grid: Grid, dtype: Any, name: str, function: Callable[..., Any], *arrays: Any) -> Any:
    """A Dask array whose chunks a function gives of its block of the grid and of other arrays' chunks."""
    dask = require("dask.array", extra=EXTRA)
    at = partial(_at, grid, function)
    return dask.map_blocks(
        at, *arrays, chunks=grid.sizes(), dtype=dtype, name=name, meta=np.empty((0,) * len(grid.dims), dtype)
    )  # fmt: skip


def _at(grid: Grid, function: Callable[..., Any], *arrays: Any, block_id: Any = None) -> Any:
    return function(grid.at(block_id), *arrays)


def computed(work: Work) -> dict[str, Any]:
    """Variables of a grid, none of them computed: those of a chunk together, once."""
    kinds = np.dtype([(name, v.dtype) for name, v in work.variables.items()])
    mark = f"{work.mark()[:16]}-{'x'.join(map(str, work.grid.chunk))}"
    rows = blocks(work.grid, kinds, f"tokenroof-{mark}", partial(_rows, work, kinds))
    return {
        name: blocks(
            work.grid, kinds[name], f"tokenroof-{name}-{mark}", partial(_column, name), rows
        )
        for name in work.variables
    }


def _rows(work: Work, kinds: Any, block: tuple[slice, ...]) -> NDArray[Any]:
    values = work.compute(block)
    rows = np.empty(tuple(s.stop - s.start for s in block), dtype=kinds)
    for name, column in values.items():
        rows[name] = column
    return rows


def _column(name: str, _: tuple[slice, ...], rows: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(rows[name])


def stored(store: Store) -> dict[str, Any]:
    """Variables of a store, none of them read."""
    grid = store.layout.grid
    return {
        name: blocks(
            grid, np.dtype(v.dtype), f"tokenroof-{name}-{abs(hash((store.path, grid))):x}",
            partial(_read, store, name),
        )
        for name, v in store.layout.variables.items()
    }  # fmt: skip


def _read(store: Store, name: str, block: tuple[slice, ...]) -> NDArray[Any]:
    grid = store.layout.grid
    place = [s.start // c for s, c in zip(block, grid.chunk, strict=True)]
    return store.read(int(np.ravel_multi_index(place, grid.counts)), name)


def dataset(
    layout: Layout | Work, arrays: Mapping[str, Any], others: Mapping[str, Variable]
) -> xr.Dataset:
    """Arrays with their labels; `others` are those of variables that the layout does not have."""
    xarray = require("xarray", extra="analysis")
    known = {**layout.variables, **others}
    dims = layout.grid.dims
    held = {  # as they are: pandas would make other strings of texts, and these of those again
        name: xarray.Variable(dims, values, dict(known[name].attrs), fastpath=True)
        for name, values in arrays.items()
    }
    coords = {name: (name, values, attrs) for name, (values, attrs) in layout.coords.items()}
    found: xr.Dataset = xarray.Dataset(held, coords, dict(layout.attrs))
    return found
