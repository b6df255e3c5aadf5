"""Long arrays piece by piece, so that Ctrl-C is heard between two."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["pieces"]

# Entries that NumPy works on at a time: some milliseconds of the slowest that is done to them.
_PIECE = 2**15


def pieces(many: int) -> Iterator[slice]:
    """Short pieces of so many entries, one after the other.

    Examples
    --------
    >>> [(part.start, part.stop) for part in pieces(70_000)]
    [(0, 32768), (32768, 65536), (65536, 70000)]
    """
    return (slice(at, min(at + _PIECE, many)) for at in range(0, many, _PIECE))
