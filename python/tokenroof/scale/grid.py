"""A grid of points, and how it is cut: chunks by number, pieces of a chunk."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tokenroof.support.arguments import is_integer, shown

__all__ = ["Grid", "cut", "pieces"]

#: Points of a chunk where nobody says how many: some 60 MB of a sweep's variables.
MOST_POINTS = 2**20
#: Points of a chunk of which a few are kept: what is worked out of it stays near the processor.
REDUCED_POINTS = 2**18
#: Points along the last dimension that kernels want at a time.
_RUN = 64


@dataclass(frozen=True)
class Grid:
    """Points along named dimensions, and chunks of them: numbered as rows of C are, the last dimension first.

    Parameters
    ----------
    dims : tuple of str
    shape, chunk : tuple of int
        Points along each, of the whole and of a chunk; the last chunk along each may have fewer [1].

    Examples
    --------
    >>> grid = Grid(("batch", "context"), (5, 4), (2, 4))
    >>> len(grid), grid.block(2), grid.points
    (3, (slice(4, 5, None), slice(0, 4, None)), 20)
    """

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    chunk: tuple[int, ...]

    @property
    def counts(self) -> tuple[int, ...]:
        """Chunks along each dimension [1]."""
        return tuple(-(-n // c) for n, c in zip(self.shape, self.chunk, strict=True))

    @property
    def points(self) -> int:
        """Points in all [1]."""
        return math.prod(self.shape)

    def __len__(self) -> int:
        return math.prod(self.counts)

    def place(self, k: int) -> tuple[int, ...]:
        """Where chunk `k` is among the chunks along each dimension."""
        found = []
        for count in reversed(self.counts):
            k, at = divmod(k, count)
            found.append(at)
        return tuple(reversed(found))

    def block(self, k: int) -> tuple[slice, ...]:
        """Points of chunk `k`."""
        return self.at(self.place(k))

    def at(self, place: Sequence[int]) -> tuple[slice, ...]:
        """Points of the chunk at a place among chunks."""
        return tuple(
            slice(i * c, min(n, (i + 1) * c))
            for i, c, n in zip(place, self.chunk, self.shape, strict=True)
        )

    def size(self, k: int) -> int:
        """Points of chunk `k` [1]."""
        return math.prod(s.stop - s.start for s in self.block(k))

    def sizes(self) -> tuple[tuple[int, ...], ...]:
        """Points of each chunk along each dimension, as Dask has them."""
        return tuple(
            (c,) * (n // c) + ((n % c,) if n % c else ())
            for n, c in zip(self.shape, self.chunk, strict=True)
        )


def cut(shape: Sequence[int], most: int, whole: Sequence[int] = ()) -> tuple[int, ...]:
    """The chunk of at most so many points that keeps the last dimensions whole, or before them some axes.

    Examples
    --------
    >>> cut((10, 8, 100), 250), cut((10, 8, 100), 50), cut((2, 3), 100)
    ((1, 2, 100), (1, 1, 50), (2, 3))
    >>> cut((10, 8, 1000), 1500, whole=(0,))  # and a run of the last
    (10, 1, 128)
    """
    chunk, room = [1] * len(shape), max(1, most)
    last = len(shape) - 1
    if whole:
        chunk[last] = min(shape[last], room, _RUN)
        room //= chunk[last]
    few = sorted(whole, key=lambda axis: shape[axis])  # so that most are whole
    axes = [*few, *(a for a in range(last, -1, -1) if a not in whole)]
    for axis in axes:
        room *= chunk[axis]
        chunk[axis] = max(1, min(shape[axis], room))
        if chunk[axis] < shape[axis]:
            break
        room = max(1, room // max(1, shape[axis]))
    return tuple(chunk)


def pieces(block: Sequence[slice], most: int) -> Iterator[tuple[slice, ...]]:
    """Parts of a block of at most so many points, in order; slices of the whole grid."""
    shape = tuple(s.stop - s.start for s in block)
    part = Grid(("",) * len(shape), shape, cut(shape, most))
    for k in range(len(part)):
        inner = part.block(k)
        yield tuple(
            slice(s.start + i.start, s.start + i.stop) for s, i in zip(block, inner, strict=True)
        )


def chunked(
    dims: tuple[str, ...], shape: tuple[int, ...], chunks: Any, over: Sequence[str] | None = None
) -> Grid:
    """The grid cut as a caller says, and where he does not for a reduction `over` some dimensions, if any.

    Parameters
    ----------
    dims, shape : tuple
    chunks : None, "auto", int, mapping or tuple
        Points of a chunk, which keeps the last dimensions whole; or those along each dimension, by name (all
        of those that are not named) or in order, -1 and None for all.

    Raises
    ------
    ValueError, TypeError
        For a dimension that is not there, a number below 1.
    """
    for name, n in zip(dims, shape, strict=True):
        if not n:
            raise ValueError(f"{name} is empty; allowed: at least one")
    allowed = f"a number of points, or points along {', '.join(dims)}"
    if chunks is None or (isinstance(chunks, str) and chunks == "auto"):
        if over is None:
            return Grid(dims, shape, cut(shape, MOST_POINTS))
        whole = [axis for axis, name in enumerate(dims) if name in over]
        return Grid(dims, shape, cut(shape, REDUCED_POINTS, whole))
    if is_integer(chunks):
        if chunks < 1:
            raise ValueError(f"chunks is {shown(chunks)}; allowed: {allowed}")
        return Grid(dims, shape, cut(shape, int(chunks)))
    if isinstance(chunks, Mapping):
        for name in chunks:
            if name not in dims:
                raise ValueError(f"chunks has {shown(name)}; allowed: {', '.join(dims)}")
        along = [chunks.get(name) for name in dims]
    elif isinstance(chunks, (tuple, list)) and len(chunks) == len(dims):
        along = list(chunks)
    else:
        raise TypeError(f"chunks is {shown(chunks)}; allowed: {allowed}")
    size = []
    for name, n, given in zip(dims, shape, along, strict=True):
        if given is None or (is_integer(given) and given == -1):
            size.append(max(1, n))
        elif is_integer(given) and given >= 1:
            size.append(max(1, min(n, int(given))))
        else:
            said = f"chunks of {name} is {shown(given)}"
            raise ValueError(f"{said}; allowed: a whole number from 1, or -1 for all")
    return Grid(dims, shape, tuple(size))
