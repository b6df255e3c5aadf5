"""Paths of a factory's cash in chunks: moments and percentiles of the same bits, however they are cut."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from tokenroof import _core
from tokenroof.scale.clusters import client_of
from tokenroof.scale.grid import Grid
from tokenroof.scale.reductions.bins import bins_of, counted, merged_counts
from tokenroof.scale.run import keep, reduced
from tokenroof.scale.work import Variable, mark_of
from tokenroof.support.aside import aside

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from tokenroof.scale.stores import Store
    from tokenroof.scale.work import Work

    Array = NDArray[np.float64]

__all__ = ["BLOCK", "CashWork", "Spread", "spread_in_memory", "spread_of"]

#: Paths that are summed together, wherever chunks begin: sums of these are summed exactly.
BLOCK = 2**14
#: What the random numbers of a path are, to be changed with them: stores of other numbers are others.
_DRAWS = 3
_PARTS = (10.0, 50.0, 90.0)
_VALUES, _SUMS, _LOSSES, _RUINS = range(4)


@dataclass(frozen=True)
class CashWork:
    """Paths of a scenario's cash.

    Parameters
    ----------
    model, columns : ndarray
        As the kernel takes them.
    seed : int
    threads : int
        Of each chunk.
    grid : Grid
    """

    model: Array = field(repr=False)
    columns: Array = field(repr=False)
    seed: int
    threads: int
    grid: Grid
    attrs: ClassVar[Mapping[str, Any]] = {}
    coords: ClassVar[Mapping[str, Any]] = {}
    variables: ClassVar[Mapping[str, Variable]] = {
        "worth": Variable("float64", {"units": "$", "long_name": "present value of a path"}),
        "lowest": Variable("float64", {"units": "$", "long_name": "least sum of its cash so far"}),
    }

    def mark(self) -> str:
        """What two simulations share only if they are the same."""
        version = _core.build_config()["version"]
        said = {"seed": self.seed, "paths": self.grid.points, "version": version, "draws": _DRAWS}
        return mark_of("cash paths", said, self.model, self.columns)

    def compute(self, block: tuple[slice, ...]) -> dict[str, Array]:
        """Present value and least sum of each path of a block [$]."""
        worth, lowest = self.play(block[0].start, block[0].stop, None)
        return {"worth": worth, "lowest": lowest}

    def play(
        self, first: int, end: int, progress: Callable[[int, int], Any] | None
    ) -> tuple[Array, Array]:
        """Present value and least sum of paths from `first` to before `end` [$]."""
        worth, lowest = np.empty(end - first), np.empty(end - first)
        _core.simulate_cash(
            _core.ISA, self.model, self.columns, self.seed, worth, lowest, None, self.threads,
            progress, first,
        )  # fmt: skip
        return worth, lowest


class Spread(NamedTuple):
    """What is said of many paths: moments, percentiles 10, 50 and 90 [$], and shares [1]."""

    mean: float
    mean_error: float
    p10: float
    p50: float
    p90: float
    loss: float
    ruin: float


@dataclass(frozen=True)
class _Parts:
    """Counts of bins, sums of blocks about a centre, paths that lose and that are ruined."""

    centre: float
    reserve: float | None

    def about(self) -> dict[str, Any]:
        return {"reduction": "cash", "centre": self.centre, "reserve": self.reserve}

    def check(self, work: Work) -> None:
        """Nothing is asked for that is not there."""

    def of(
        self, work: Work, block: tuple[slice, ...], values: Mapping[str, Array]
    ) -> dict[str, NDArray[Any]]:
        worth, first = values["worth"], block[0].start
        table = counted(_VALUES, np.zeros(worth.size, np.int64), bins_of(worth))
        lost = [int(np.count_nonzero(worth < 0.0)), 0]
        if self.reserve is not None:
            lost[1] = int(np.count_nonzero(values["lowest"] < -self.reserve))
        counts, sums, squares = _block_sums(worth, self.centre)
        blocks = first // BLOCK + np.arange(counts.size)
        rows = {
            "variable": np.array([_LOSSES, _RUINS, *[_SUMS] * counts.size]),
            "group": np.zeros(2 + counts.size, np.int64),
            "bin": np.array([0, 0, *blocks]),
            "count": np.array([*lost, *counts]),
            "sum": np.concatenate([np.zeros(2), sums]),
            "squares": np.concatenate([np.zeros(2), squares]),
        }
        table |= {name: np.zeros(table["bin"].size) for name in ("sum", "squares")}
        return {name: np.concatenate([column, rows[name]]) for name, column in table.items()}

    def merge(self, tables: Sequence[dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
        return merged_counts(tables, ("sum", "squares"))


@dataclass(frozen=True)
class _Within:
    """Present values of some bins."""

    wanted: tuple[int, ...]

    def about(self) -> dict[str, Any]:
        return {"reduction": "values", "bins": self.wanted}

    def check(self, work: Work) -> None:
        """Nothing is asked for that is not there."""

    def of(
        self, work: Work, block: tuple[slice, ...], values: Mapping[str, Array]
    ) -> dict[str, NDArray[Any]]:
        worth = values["worth"]
        return {"worth": worth[np.isin(bins_of(worth), self.wanted)]}

    def merge(self, tables: Sequence[dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
        return {"worth": np.sort(np.concatenate([one["worth"] for one in tables]))}


@dataclass(frozen=True)
class _Stored:
    """Paths that are in a store, in place of playing them again."""

    work: CashWork
    store: Store
    variables: ClassVar[Mapping[str, Variable]] = CashWork.variables
    attrs: ClassVar[Mapping[str, Any]] = {}
    coords: ClassVar[Mapping[str, Any]] = {}

    @property
    def grid(self) -> Grid:
        return self.work.grid

    def mark(self) -> str:
        return self.work.mark()

    def compute(self, block: tuple[slice, ...]) -> dict[str, Array]:
        k = block[0].start // self.grid.chunk[0]
        return {name: self.store.read(k, name) for name in self.variables}


def _block_sums(worth: Array, centre: float) -> tuple[NDArray[np.int64], Array, Array]:
    """Paths of each block, and sums of their distances from a centre and of the squares of these."""
    starts = np.arange(0, worth.size, BLOCK)
    away = worth - centre
    counts = np.minimum(BLOCK, worth.size - starts)
    return counts, np.add.reduceat(away, starts), np.add.reduceat(away * away, starts)


def _moments(sums: Array, squares: Array, n: int, centre: float) -> tuple[float, float]:
    """Mean and its standard error, of sums of blocks in any order."""
    away = math.fsum(sums.tolist()) / n
    spread = max(math.fsum(squares.tolist()) - n * away * away, 0.0)
    return centre + away, math.sqrt(spread / (n - 1) / n)


def spread_in_memory(worth: Array, lowest: Array, centre: float, reserve: float | None) -> Spread:
    """Moments, percentiles and shares of paths that are at hand.

    Beside the thread that hears Ctrl-C: a pass over 3 10^7 paths takes a tenth of a second.
    """
    return aside(_at_hand, worth, lowest, centre, reserve)  # type: ignore[no-any-return]


def _at_hand(worth: Array, lowest: Array, centre: float, reserve: float | None) -> Spread:
    _, sums, squares = _block_sums(worth, centre)
    ruin = math.nan if reserve is None else float(np.mean(lowest < -reserve))
    mean, error = _moments(sums, squares, worth.size, centre)
    p10, p50, p90 = np.percentile(worth, _PARTS).tolist()
    return Spread(mean, error, p10, p50, p90, float(np.mean(worth < 0.0)), ruin)


def spread_of(
    work: CashWork,
    centre: float,
    reserve: float | None,
    where: tuple[Any, Any],
    progress: Callable[[int, int], Any] | None = None,
) -> tuple[Spread, Store | None]:
    """The same of paths that are played in chunks, and their store; `where` is a client and a store.

    Two passes: counts of bins and sums, then the values of the bins in which the percentiles are. Without a
    store the second plays the paths again.
    """
    client, store = where
    with client_of(client) as workers:
        kept = None
        source: CashWork | _Stored = work
        if store is not None:
            kept = keep(work, store=store, client=workers, progress=progress)
            source, progress = _Stored(work, kept), None
        found = reduced(source, _Parts(centre, reserve), client=workers, progress=progress)
        n = work.grid.points
        kind = [found["variable"] == i for i in range(4)]
        at = [(n - 1) * (p / 100.0) for p in _PARTS]
        places = np.array([(int(x), min(int(x) + 1, n - 1)) for x in at])
        bins, counts = found["bin"][kind[_VALUES]], found["count"][kind[_VALUES]]
        upto = np.cumsum(counts)
        which = np.searchsorted(upto, places, side="right")  # the bin of each
        wanted = np.unique(which)
        held = reduced(source, _Within(tuple(bins[wanted].tolist())), client=workers)["worth"]
    first = np.cumsum(counts[wanted]) - counts[wanted]  # where bins begin among what is held
    inside = places - (upto - counts)[which]
    ends = held[first[np.searchsorted(wanted, which)] + inside]
    p10, p50, p90 = (
        _between(low, high, x % 1.0) for (low, high), x in zip(ends.tolist(), at, strict=True)
    )
    loss, ruin = (int(found["count"][kind[i]].sum()) / n for i in (_LOSSES, _RUINS))
    mean, error = _moments(found["sum"][kind[_SUMS]], found["squares"][kind[_SUMS]], n, centre)
    ruin = math.nan if reserve is None else ruin
    return Spread(mean, error, p10, p50, p90, loss, ruin), kept


def _between(low: float, high: float, part: float) -> float:
    """As NumPy has it, from the nearer end."""
    return low + (high - low) * part if part < 0.5 else high - (high - low) * (1.0 - part)
