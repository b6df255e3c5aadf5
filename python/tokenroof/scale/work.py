"""What is worked out chunk by chunk: anything that says what its points are and computes a block of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from tokenroof.scale.grid import Grid

__all__ = ["Variable", "Work", "mark_of"]


@dataclass(frozen=True)
class Variable:
    """One number of each point.

    Parameters
    ----------
    dtype : str
        Of NumPy: "float64", "bool", "uint8", "int64".
    attrs : mapping
        Its unit and what it is, as xarray has them.
    """

    dtype: str
    attrs: Mapping[str, Any] = field(default_factory=dict)


class Work(Protocol):
    """A grid, what each point has, and how a block of points is computed: pickled to the workers."""

    @property
    def grid(self) -> Grid:
        """Points and how they are cut."""

    @property
    def attrs(self) -> Mapping[str, Any]:
        """What holds for all points."""

    @property
    def variables(self) -> Mapping[str, Variable]:
        """What each point has."""

    @property
    def coords(self) -> Mapping[str, tuple[Sequence[Any] | NDArray[Any], Mapping[str, Any]]]:
        """Values along dimensions, with attributes."""

    def compute(self, block: tuple[slice, ...]) -> dict[str, NDArray[Any]]:
        """Each variable of a block, of its shape. The same points have the same bits in any block."""

    def mark(self) -> str:
        """What two pieces of work share only if they are the same, however they are cut."""


def mark_of(*parts: np.ndarray[Any, Any] | str | bytes | Mapping[str, Any] | Sequence[Any]) -> str:
    """A digest of arrays, texts and records of plain values.

    Examples
    --------
    >>> mark_of("a", [1.0]) == mark_of("a", [1.0]) != mark_of("a1.0")
    True
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, bytes):
            data = part
        elif hasattr(part, "tobytes"):
            data = f"{part.dtype.str}{part.shape}".encode() + part.tobytes()  # type: ignore[union-attr]
        else:
            data = json.dumps(part, sort_keys=True, default=repr).encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()
