"""A table of one axis before it is xarray's, which takes longer to import than most take to compute."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from tokenroof.support.lazy import require

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

__all__ = ["Column", "Columns"]


class Column(NamedTuple):
    """Values along the axis, and what is said of them: ``units``, ``long_name``.

    Attributes
    ----------
    values : ndarray, 1-d
    attrs : dict
    """

    values: NDArray[Any]
    attrs: dict[str, Any]


@dataclass
class Columns:
    """What a command prints of a table, by the names that `xarray.Dataset` has for it.

    Attributes
    ----------
    axis : str
        Name of the one dimension.
    data_vars : dict of str to Column
    attrs : dict
        What the table says of itself.
    coords : dict of str to Column
        Of the axis.
    """

    axis: str
    data_vars: dict[str, Column]
    attrs: dict[str, Any]
    coords: dict[str, Column] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Column:
        return self.coords[name] if name in self.coords else self.data_vars[name]

    @property
    def sizes(self) -> dict[str, int]:
        """How long the axis is, by its name."""
        return {self.axis: len(next(iter(self.data_vars.values())).values)}

    def dataset(self) -> xr.Dataset:
        """The same as `xarray.Dataset`.

        Raises
        ------
        ImportError
            Without xarray: the extra ``analysis``.
        """
        xarray = require("xarray", extra="analysis")
        data, coords = (
            {name: (self.axis, *column) for name, column in held.items()}
            for held in (self.data_vars, self.coords)
        )
        table: xr.Dataset = xarray.Dataset(data, coords=coords, attrs=self.attrs)
        return table
