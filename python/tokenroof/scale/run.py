"""Chunks computed, kept and told of: each once, whoever is killed meanwhile."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tokenroof.scale.clusters import client_of, each
from tokenroof.scale.journal import FOLDER, Journal
from tokenroof.scale.stores import Layout, Store, TableStore, store_at
from tokenroof.scale.work import mark_of
from tokenroof.support.arguments import shown
from tokenroof.support.aside import aside

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tokenroof.scale.grid import Grid
    from tokenroof.scale.reductions.tables import Parts, Table
    from tokenroof.scale.work import Work

__all__ = ["Receipt", "Task", "keep", "layout_of", "reduced", "whole_chunks"]

_TELL_S = 0.1
#: Tables that are put together at a time, at least.
_TOGETHER = 8


class Receipt(NamedTuple):
    """What a worker says of some chunks: bytes of each one's files, and what it brings back of all."""

    sizes: dict[int, list[int]]
    table: Table | None


@dataclass(frozen=True)
class Task:
    """Compute chunks; keep all of each, or keep what a reduction makes of each and bring it back, merged.

    Parameters
    ----------
    work : Work
    store : Store, optional
    reduction : Reduction, optional
    """

    work: Work
    store: Store | None
    reduction: Parts | None = None

    def __call__(self, chunks: list[int]) -> Receipt:
        sizes: dict[int, list[int]] = {}
        gathered = None if self.reduction is None else _Gathered(self.reduction.merge)
        for k in chunks:
            block = self.work.grid.block(k)
            values = self.work.compute(block)
            if self.reduction and gathered:
                values = self.reduction.of(self.work, block, values)
                gathered.add(values)
            sizes[k] = self.store.write(k, values) if self.store else []
        return Receipt(sizes, gathered.merged() if gathered else None)


class _Gathered:
    """Tables as they come, merged now and then: of no more rows than twice those of the answer so far."""

    def __init__(self, merge: Callable[[Sequence[Table]], Table]) -> None:
        self.merge = merge
        self.tables: list[Table] = []
        self._rows = self._merged = 0

    def add(self, table: Table) -> None:
        rows = _rows(table)
        if self.tables and not rows:
            return
        self.tables.append(table)
        self._rows += rows
        if len(self.tables) >= _TOGETHER and self._rows >= 2 * self._merged:
            self.tables = [self.merge(self.tables)]
            self._rows = self._merged = _rows(self.tables[0])

    def merged(self) -> Table:
        return self.tables[0] if len(self.tables) == 1 else self.merge(self.tables)


def _rows(table: Table) -> int:
    return len(next(iter(table.values())))


def layout_of(work: Work) -> Layout:
    """What a store of the points has."""
    return Layout(
        work.grid,
        dict(work.variables),
        {n: (v, dict(a)) for n, (v, a) in work.coords.items()},
        dict(work.attrs),
    )


def keep(
    work: Work,
    *,
    store: Any,
    client: Any = None,
    progress: Callable[[int, int], Any] | None = None,
) -> Store:
    """Compute and keep all chunks that a store lacks.

    Parameters
    ----------
    work : Work
    store : path
        A folder that ends in ``.zarr`` or ``.parquet``, which all workers see.
    client : None, int, str or distributed.Client
        As in `client_of`.
    progress : callable, optional
        Called with points done and points in all, every 100 ms and at the end.

    Returns
    -------
    Store

    Raises
    ------
    OSError
        For a folder that cannot be written, and a disk that is full: what was kept by then stays, and the
        same call goes on from there.
    ValueError
        For a store that holds something else, or was cut otherwise.
    """
    kept = store_at(store, layout_of(work))
    task = Task(work, kept)
    with _begun(kept, work.mark()) as journal, client_of(client) as workers:
        done = whole_chunks(kept)
        tell = _Teller(work.grid, done, progress)
        while not done.all():
            for _ in _receipts(task, workers, journal, tell, np.flatnonzero(~done)):
                pass
            done = whole_chunks(kept)  # what was taken away meanwhile is computed again
        tell.end()
    return kept


def reduced(
    work: Work,
    reduction: Parts,
    *,
    store: Any = None,
    client: Any = None,
    progress: Callable[[int, int], Any] | None = None,
) -> Table:
    """The table of all points; with a store, that of each chunk is kept, and not made again.

    Parameters
    ----------
    work, reduction
    store : path, optional
        A folder that ends in ``.parquet``.
    client, progress
        As in `keep`.

    Returns
    -------
    Table
    """
    reduction.check(work)
    kept = None if store is None else TableStore.at(store, layout_of(work), reduction.about())
    begun = nullcontext() if kept is None else _begun(kept, mark_of(work.mark(), kept.reduction))
    with begun as journal, client_of(client) as workers:
        done = np.zeros(len(work.grid), bool) if kept is None else whole_chunks(kept)
        tell = _Teller(work.grid, done, progress)
        old = (kept.table(k) for k in np.flatnonzero(done).tolist() if kept)
        lacking = np.flatnonzero(~done)
        receipts = _receipts(Task(work, kept, reduction), workers, journal, tell, lacking)
        merge = partial(aside, reduction.merge)
        found = _Gathered(merge)
        for table in chain(old, (r.table for r in receipts)):
            found.add(table or {})
        tell.end()
    found_table: Table = merge(found.tables)
    return found_table


def _receipts(
    task: Task, workers: Any, journal: Journal | None, tell: _Teller, chunks: NDArray[np.intp]
) -> Iterator[Receipt]:
    """Receipts of chunks as they come, each in the journal before it is handed on."""
    try:
        with closing(each(workers, task, chunks.tolist())) as receipts:
            for receipt in receipts:
                if journal:
                    journal.add(receipt.sizes)
                tell(receipt.sizes)
                yield receipt
    except Exception as error:
        if task.store:
            error.add_note(
                f"{tell.chunks:,} of {len(task.work.grid):,} chunks are kept in {task.store.path}; "
                "the same call goes on from there"
            )
        raise


def _begun(store: Store, mark: str) -> Journal:
    """The journal of a new store, or of one that holds the same work, cut the same way."""
    journal, path = Journal(store.path), store.path
    ours = os.path.isdir(os.path.join(path, FOLDER))
    if not ours and (os.path.isfile(path) or (os.path.isdir(path) and os.listdir(path))):
        raise ValueError(
            f"store {shown(path)} holds something else; allowed: a new folder, or one that was begun"
        )
    about = journal.about
    if about is None:
        with journal:
            store.create()
            journal.begin({"mark": mark, **store.about()})
        return journal
    if about["mark"] != mark:
        raise ValueError(
            f"store {shown(path)} holds other points, constants or another version's; "
            "allowed: the same, or a new folder"
        )
    grid = store.layout.grid
    if tuple(about["chunk"]) != grid.chunk:
        cut = dict(zip(grid.dims, about["chunk"], strict=True))
        raise ValueError(
            f"chunks is {dict(zip(grid.dims, grid.chunk, strict=True))}; allowed with store "
            f"{shown(path)}: {cut}"
        )
    return journal


def whole_chunks(store: Store) -> NDArray[np.bool_]:
    """Which chunks are in the journal, with files of the sizes that it says."""
    sizes = Journal(store.path).lines(len(store.layout.grid), len(store.files(0)))
    whole = np.asarray((sizes >= 0).all(axis=1))
    for k in np.flatnonzero(whole).tolist():
        whole[k] = all(map(_has, store.files(k), sizes[k].tolist()))
    return whole


def _has(file: str, size: int) -> bool:
    try:
        return os.stat(file).st_size == size
    except FileNotFoundError:
        return False


class _Teller:
    """Points done so far, told every 100 ms."""

    def __init__(
        self, grid: Grid, done: NDArray[np.bool_], progress: Callable[[int, int], Any] | None
    ) -> None:
        self.grid, self.progress = grid, progress
        self.chunks = int(done.sum())
        self.points = sum(map(grid.size, np.flatnonzero(done).tolist()))
        self._next = 0.0

    def __call__(self, chunks: Iterable[int]) -> None:
        """More chunks are whole."""
        for k in chunks:
            self.chunks += 1
            self.points += self.grid.size(k)
        if self.progress and time.monotonic() >= self._next:
            self._next = time.monotonic() + _TELL_S
            self.progress(self.points, self.grid.points)

    def end(self) -> None:
        """All are."""
        if self.progress:
            self.progress(self.points, self.grid.points)
