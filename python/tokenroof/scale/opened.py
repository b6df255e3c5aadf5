"""Stores that are there: how far they are, and what is in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.scale.datasets import dataset, stored
from tokenroof.scale.journal import Journal
from tokenroof.scale.run import whole_chunks
from tokenroof.scale.stores import Layout, Store, TableStore, store_at
from tokenroof.support.arguments import shown

if TYPE_CHECKING:
    import os

    import xarray as xr

__all__ = ["open_store", "status"]


def status(store: str | os.PathLike[str]) -> dict[str, int]:
    """How far a store is, while it is written too.

    Parameters
    ----------
    store : path
        A folder that was begun by a call with ``store=``.

    Returns
    -------
    dict
        ``chunks`` and ``points`` that are whole, ``chunks_in_all`` and ``points_in_all`` [1].

    Raises
    ------
    ValueError, TypeError
        For a folder that is no such store.

    Examples
    --------
    >>> import tempfile, tokenroof as tr
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     where = f"{folder}/steps.parquet"
    ...     table = tr.sweep("H200-SXM", "Llama-3.1-8B", batch=range(1, 9), chunks=3, store=where)
    ...     status(where)
    {'chunks': 3, 'chunks_in_all': 3, 'points': 8, 'points_in_all': 8}
    """
    kept = _at(store)
    grid, done = kept.layout.grid, whole_chunks(kept)
    points = sum(map(grid.size, np.flatnonzero(done).tolist()))
    return {
        "chunks": int(done.sum()), "chunks_in_all": len(grid),
        "points": points, "points_in_all": grid.points,
    }  # fmt: skip


def open_store(store: str | os.PathLike[str]) -> xr.Dataset:
    """What a store holds, read when it is asked for.

    Parameters
    ----------
    store : path
        A folder that a call with ``store=`` filled.

    Returns
    -------
    xarray.Dataset
        Of Dask arrays, a chunk each of the store's. ``state`` says in a number whether a point has numbers,
        and if not of what kind the reason is; `tokenroof.sweep` called again with the same store says it
        in words.

    Raises
    ------
    ValueError, TypeError
        For a folder that is no such store, and for one that lacks chunks or whose files were cut short,
        with their number.

    Examples
    --------
    >>> import tempfile, tokenroof as tr
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     where = f"{folder}/steps.parquet"
    ...     table = tr.sweep("H200-SXM", "Llama-3.1-8B", batch=range(1, 9), chunks=3, store=where)
    ...     bool((open_store(where).time_s == table.time_s).all())
    True
    """
    kept = _at(store)
    if isinstance(kept, TableStore):
        raise ValueError(
            f"store {shown(kept.path)} holds tables of a reduction; allowed: points, or the same call again"
        )
    lacking = np.flatnonzero(~whole_chunks(kept))
    if lacking.size:
        raise ValueError(
            f"store {shown(kept.path)} lacks {lacking.size:,} of {len(kept.layout.grid):,} chunks, "
            f"{lacking[0]} "
            "the first (not computed, or cut short); allowed: a whole one: the call that began it goes on"
        )
    return dataset(kept.layout, stored(kept), {})


def _at(store: Any) -> Store:
    path = store_at(store, None).path  # type: ignore[arg-type]
    about = Journal(path).about
    if about is None:
        raise ValueError(
            f"store {shown(path)} is none; allowed: a folder that a call with store= began"
        )
    layout = Layout.of(about)
    if "reduction" in about:
        return TableStore(path, layout, about["reduction"])
    return store_at(path, layout)
