"""Points of blocks as tables: what a reduction is, and how points are numbered and grouped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tokenroof.support.arguments import finite_number, shown
from tokenroof.support.kinds import as_mapping

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from tokenroof.scale.work import Work

    Table = dict[str, NDArray[Any]]

__all__ = [
    "Parts",
    "Reduction",
    "allowed",
    "bounds",
    "by_group",
    "check",
    "dims",
    "numbers",
    "rows",
    "together",
]


class Parts(Protocol):
    """A table of each chunk, and tables of several as one."""

    def check(self, work: Work) -> None:
        """Reject variables and dimensions that the work does not have."""

    def of(self, work: Work, block: tuple[slice, ...], values: Mapping[str, NDArray[Any]]) -> Table:
        """The table of a block."""

    def merge(self, tables: Sequence[Table]) -> Table:
        """Several tables as one: the same, whatever the blocks were and in whatever order they came."""

    def about(self) -> dict[str, Any]:
        """As JSON holds it."""


class Reduction(Parts, Protocol):
    """And what is handed out in the end."""

    def finish(self, work: Work, table: Table) -> xr.Dataset:
        """Labelled."""


def bounds(least: Mapping[str, float]) -> dict[str, float]:
    """What points must have at least, by variable."""
    return {
        n: finite_number(f"least[{shown(n)}]", x, -np.inf)
        for n, x in as_mapping("least", least).items()
    }


def texts(name: str, value: Any) -> tuple[str, ...]:
    """One text, or several."""
    found = (value,) if isinstance(value, str) else value
    if not isinstance(found, Sequence) or not all(isinstance(one, str) for one in found):
        raise TypeError(f"{name} is {shown(value)}; allowed: a name, or a sequence of them")
    return tuple(found)


def dims(name: str, value: Any) -> tuple[str, ...]:
    found = texts(name, value)
    if not found:
        raise ValueError(f"{name} is {shown(value)}; allowed: at least one dimension")
    return found


def check(work: Work, variables: Sequence[str], over: Sequence[str]) -> None:
    numbers = [n for n, v in work.variables.items() if v.dtype == "float64"]
    for name in variables:
        if name not in numbers:
            raise ValueError(f"reduce asks for {shown(name)}; allowed: {', '.join(numbers)}")
    for name in over:
        if name not in work.grid.dims:
            raise ValueError(
                f"reduce goes over {shown(name)}; allowed: {', '.join(work.grid.dims)}"
            )


def allowed(values: Mapping[str, NDArray[Any]], least: Mapping[str, float]) -> NDArray[np.bool_]:
    allowed = np.ones(next(iter(values.values())).shape, dtype=bool)
    for name, bound in least.items():
        allowed &= values[name] >= bound
    return allowed


def numbers(
    work: Work, block: tuple[slice, ...], over: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of each point of a block: its group's number among those of the other dimensions, and its own."""
    shape = tuple(s.stop - s.start for s in block)
    group, at = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    step = {True: 1, False: 1}
    for axis in reversed(range(len(shape))):
        wide = [1] * len(shape)
        wide[axis] = shape[axis]
        index = np.arange(block[axis].start, block[axis].stop).reshape(wide)
        at += index * step[True]
        step[True] *= work.grid.shape[axis]
        if work.grid.dims[axis] not in over:
            group += index * step[False]
            step[False] *= work.grid.shape[axis]
    return group, at


def by_group(work: Work, over: Sequence[str], values: NDArray[Any]) -> NDArray[Any]:
    """A row a group, its points in order."""
    dims = work.grid.dims
    axes = [i for i, n in enumerate(dims) if n not in over]
    inner = [i for i, n in enumerate(dims) if n in over]
    rows = int(np.prod([values.shape[i] for i in axes]))
    return values.transpose(*axes, *inner).reshape(rows, -1)


def rows(
    here: NDArray[np.intp],
    group: NDArray[np.int64],
    at: NDArray[np.int64],
    values: Mapping[str, NDArray[Any]],
) -> Table:
    """Points of a block by their place in it."""
    columns = {"group": group, "at": at, **values}
    return {name: column.reshape(-1)[here] for name, column in columns.items()}


def together(tables: Sequence[Table]) -> Table:
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
