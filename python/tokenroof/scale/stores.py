"""Where chunks are kept: a Zarr group, an array a variable, or a folder of Parquet, a file a chunk."""

from __future__ import annotations

import io
import json
import os
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tokenroof.scale.grid import Grid
from tokenroof.scale.journal import FOLDER, fresh_file
from tokenroof.scale.work import Variable
from tokenroof.support.arguments import shown
from tokenroof.support.lazy import require
from tokenroof.support.quoting import brief

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

__all__ = ["Layout", "ParquetStore", "Store", "ZarrStore", "store_at"]

EXTRA = "cluster"
#: Where the footer of a Parquet file repeats the names of its columns.
_NAMES = b"tokenroof.columns"


@dataclass(frozen=True)
class Layout:
    """What a store holds: a grid, what each point has, and values along dimensions.

    Parameters
    ----------
    grid : Grid
    variables : dict of Variable
    coords : dict
        Values and attributes by dimension.
    attrs : dict
    """

    grid: Grid
    variables: dict[str, Variable]
    coords: dict[str, tuple[Any, dict[str, Any]]]
    attrs: dict[str, Any]

    def about(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "dims": self.grid.dims,
            "shape": self.grid.shape,
            "chunk": self.grid.chunk,
            "variables": {n: [v.dtype, dict(v.attrs)] for n, v in self.variables.items()},
            "coords": {n: [np.asarray(v).tolist(), dict(a)] for n, (v, a) in self.coords.items()},
            "attrs": self.attrs,
        }

    @classmethod
    def of(cls, about: Mapping[str, Any]) -> Layout:
        """The layout that JSON holds."""
        return cls(
            Grid(*(tuple(about[name]) for name in ("dims", "shape", "chunk"))),
            {name: Variable(*given) for name, given in about["variables"].items()},
            {name: (values, attrs) for name, (values, attrs) in about["coords"].items()},
            about["attrs"],
        )


class Store(Protocol):
    """A folder that all workers see, and how chunks lie in it."""

    @property
    def path(self) -> str:
        """The folder."""

    @property
    def layout(self) -> Layout:
        """What each point has, and how points are cut."""

    def about(self) -> dict[str, Any]:
        """What it holds, as JSON has it."""

    def create(self) -> None:
        """Make what a new store needs before its first chunk."""

    def write(self, k: int, values: Mapping[str, NDArray[Any]]) -> list[int]:
        """Keep a chunk, and say the bytes of its files."""

    def files(self, k: int) -> list[str]:
        """Files of a chunk."""

    def read(self, k: int, name: str) -> NDArray[Any]:
        """One variable of a chunk that is there."""


@dataclass(frozen=True)
class ZarrStore:
    """An array a variable, in chunks of the grid's.

    Parameters
    ----------
    path : str
    layout : Layout
    """

    path: str
    layout: Layout

    def about(self) -> dict[str, Any]:
        """What it holds, as JSON has it."""
        return self.layout.about()

    def create(self) -> None:
        """Metadata of all arrays, and coordinates."""
        zarr = require("zarr", extra=EXTRA)
        grid = self.layout.grid
        group = zarr.open_group(self.path, mode="a", zarr_format=3)
        group.attrs.update(self.layout.attrs)
        group.require_group(FOLDER)
        for name, (values, attrs) in self.layout.coords.items():
            array = np.asarray(values)
            kind = "str" if array.dtype.kind in "UO" else array.dtype
            made = group.create_array(
                name, shape=array.shape, dtype=kind, dimension_names=(name,), attributes=attrs,
                overwrite=True,
            )  # fmt: skip
            made[...] = array
        for name, variable in self.layout.variables.items():
            dtype = np.dtype(variable.dtype)
            group.create_array(
                name, shape=grid.shape, chunks=grid.chunk, dtype=dtype,
                dimension_names=grid.dims, attributes=dict(variable.attrs), fill_value=_absent(dtype),
                compressors=[zarr.codecs.ZstdCodec(level=1, checksum=True)],
                overwrite=True,
            )  # fmt: skip
        with (
            warnings.catch_warnings()
        ):  # of Zarr 3, which has none by rule, and of the journal beside
            warnings.filterwarnings("ignore", "Consolidated metadata|Object at ", UserWarning)
            zarr.consolidate_metadata(self.path, zarr_format=3)  # what xarray reads first

    def write(self, k: int, values: Mapping[str, NDArray[Any]]) -> list[int]:
        """Keep a chunk; its files are each whole or not there."""
        block = self.layout.grid.block(k)
        for name, file in zip(self.layout.variables, self.files(k), strict=True):
            try:
                _array(self.path, name, self.layout.grid)[block] = values[name]
            except OSError:
                raise
            except Exception:  # the end of a row of chunks is read first: what was cut short goes
                os.unlink(file)
                _array(self.path, name, self.layout.grid)[block] = values[name]
        return [os.path.getsize(file) for file in self.files(k)]

    def files(self, k: int) -> list[str]:
        """A file a variable."""
        place = map(str, self.layout.grid.place(k))
        end = os.path.join("c", *place)
        return [os.path.join(self.path, name, end) for name in self.layout.variables]

    def read(self, k: int, name: str) -> NDArray[Any]:
        """One variable of a chunk; Zarr itself takes what is absent for its fill value."""
        file = self.files(k)[list(self.layout.variables).index(name)]
        os.stat(file)
        with _damage_named(self.path, file):
            found: NDArray[Any] = _array(self.path, name, self.layout.grid)[
                self.layout.grid.block(k)
            ]
        return found


@contextmanager
def _damage_named(store: str, file: str) -> Iterator[None]:
    """What cannot be unpacked is said of its file; a missing one is computed anew, and a short one."""
    try:
        yield
    except (ImportError, MemoryError):  # of this machine, not of the file
        raise
    except Exception as error:
        # the system's own names what it is of
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ValueError(
            f"store {shown(store)} has a damaged chunk, {file} ({brief(error)}); allowed: to delete that "
            "file and to ask again, which computes its chunk anew"
        ) from None


def _absent(dtype: np.dtype[Any]) -> Any:
    """What readers see of points that are not yet computed."""
    if dtype.kind == "f":
        return np.nan
    return np.iinfo(dtype).max if dtype.kind in "iu" else False


@lru_cache(maxsize=256)
def _array(path: str, name: str, grid: Grid) -> Any:
    """An array that is there; `grid` tells those apart that took the place of another."""
    zarr = require("zarr", extra=EXTRA)
    with zarr.config.set({"array.write_empty_chunks": True}):
        return zarr.open_array(os.path.join(path, name), mode="r+")


@dataclass(frozen=True)
class ParquetStore:
    """A file a chunk, with a row a point: its coordinates, then its variables.

    Parameters
    ----------
    path : str
    layout : Layout
    """

    path: str
    layout: Layout

    def about(self) -> dict[str, Any]:
        """What it holds, as JSON has it."""
        return self.layout.about()

    def create(self) -> None:
        """The folder."""
        require("pyarrow.parquet", extra=EXTRA)
        os.makedirs(self.path, exist_ok=True)

    def write(self, k: int, values: Mapping[str, NDArray[Any]]) -> list[int]:
        """Keep a chunk; its file is whole or not there."""
        pyarrow = require("pyarrow", extra=EXTRA)
        columns = self._along(k, pyarrow)
        for name, variable in self.layout.variables.items():
            flat = values[name].reshape(-1)
            said = variable.attrs.get("flag_meanings")
            columns[name] = (
                pyarrow.DictionaryArray.from_arrays(flat.astype(np.int32), said.split())
                if said
                else pyarrow.array(flat)
            )
        return [write_table(self.files(k)[0], columns)]

    def _along(self, k: int, pyarrow: Any) -> dict[str, Any]:
        """Columns of the coordinates of a chunk's points."""
        grid = self.layout.grid
        block = grid.block(k)
        shape = tuple(s.stop - s.start for s in block)
        columns = {}
        for axis, name in enumerate(grid.dims):
            held = self.layout.coords.get(name)
            along = np.arange(grid.shape[axis]) if held is None else np.asarray(held[0])
            wide = [1] * len(shape)
            wide[axis] = shape[axis]
            if along.dtype.kind in "UO":
                index = np.arange(shape[axis], dtype=np.int32).reshape(wide)
                columns[name] = pyarrow.DictionaryArray.from_arrays(
                    np.broadcast_to(index, shape).reshape(-1), along[block[axis]].tolist()
                )
            else:
                part = along[block[axis]].reshape(wide)
                columns[name] = pyarrow.array(np.broadcast_to(part, shape).reshape(-1))
        return columns

    def files(self, k: int) -> list[str]:
        """One file."""
        return [os.path.join(self.path, f"part-{k:010d}.parquet")]

    def read(self, k: int, name: str) -> NDArray[Any]:
        """One variable of a chunk."""
        file = self.files(k)[0]
        os.stat(file)
        shape = tuple(s.stop - s.start for s in self.layout.grid.block(k))
        variable = self.layout.variables[name]
        said = variable.attrs.get("flag_meanings")
        with _damage_named(self.path, file):
            column = read_table(file, [name])[name]
            if said:
                flags = {meaning: flag for flag, meaning in enumerate(said.split())}
                column = np.array([flags[meaning] for meaning in column.tolist()])
            return column.astype(variable.dtype, copy=False).reshape(shape)


@dataclass(frozen=True)
class TableStore:
    """A file of Parquet a chunk, with what a reduction makes of it.

    Parameters
    ----------
    path : str
    layout : Layout
        Of the points.
    reduction : dict
        As JSON holds it.
    """

    path: str
    layout: Layout
    reduction: dict[str, Any]

    @classmethod
    def at(cls, store: Any, layout: Layout, reduction: dict[str, Any]) -> TableStore:
        """The store at a path."""
        if isinstance(store, (str, os.PathLike)) and os.fspath(store).endswith(".zarr"):
            said = "allowed with reduce: a path that ends in .parquet"
            raise ValueError(f"store is {shown(store)}; {said}")
        return cls(store_at(store, layout).path, layout, reduction)

    def about(self) -> dict[str, Any]:
        """What it holds, as JSON has it."""
        return {**self.layout.about(), "reduction": self.reduction}

    def create(self) -> None:
        """The folder."""
        os.makedirs(self.path, exist_ok=True)

    def write(self, k: int, values: Mapping[str, NDArray[Any]]) -> list[int]:
        """Keep a chunk's table; its file is whole or not there."""
        return [write_table(self.files(k)[0], values)]

    def files(self, k: int) -> list[str]:
        """One file."""
        return [os.path.join(self.path, f"part-{k:010d}.parquet")]

    def read(self, k: int, name: str) -> NDArray[Any]:
        """One column of a chunk's table."""
        return self.table(k)[name]

    def table(self, k: int) -> dict[str, NDArray[Any]]:
        """All columns of a chunk's table."""
        file = self.files(k)[0]
        with _damage_named(self.path, file):
            return read_table(file)


def write_table(path: str, columns: Mapping[str, Any]) -> int:
    """A Parquet file that is whole or not there, and its bytes."""
    pyarrow = require("pyarrow", extra=EXTRA)
    parquet = require("pyarrow.parquet", extra=EXTRA)
    held = io.BytesIO()
    # pages have checksums, the footer has none: names are said twice
    table = pyarrow.table(dict(columns)).replace_schema_metadata({_NAMES: json.dumps([*columns])})
    parquet.write_table(table, held, compression="zstd", write_page_checksum=True)
    fresh_file(path, held.getvalue())
    return held.getbuffer().nbytes


def read_table(path: str, names: list[str] | None = None) -> dict[str, NDArray[Any]]:
    """Columns of a Parquet file.

    Raises
    ------
    ValueError, OSError
        For a page unlike its checksum, and rows and names unlike those that the file says it has.
    """
    parquet = require("pyarrow.parquet", extra=EXTRA)
    with parquet.ParquetFile(path, page_checksum_verification=True) as file:
        table, about = file.read(columns=names), file.metadata
    said = (about.metadata or {}).get(_NAMES)  # none in a file of before
    if said is not None and json.loads(said) != about.schema.to_arrow_schema().names:
        raise ValueError(f"columns are {brief(about.schema.names)}; allowed: {brief(said)}")
    if table.num_rows != about.num_rows:
        raise ValueError(f"{table.num_rows:,} rows; allowed: {about.num_rows:,}")
    found = {name: table[name].to_numpy() for name in names or table.column_names}
    for name, column in found.items():
        if column.dtype.kind not in "biufO":
            raise ValueError(f"{name} is of {column.dtype}; allowed: numbers and text")
    return found


def store_at(store: Any, layout: Layout) -> Store:
    """The store at a path, by its ending.

    Raises
    ------
    ValueError, TypeError
        For a path that is none, or ends in neither.
    """
    if not isinstance(store, (str, os.PathLike)):
        raise TypeError(f"store is {shown(store)}; allowed: a path that ends in .zarr or .parquet")
    path = os.path.abspath(os.fspath(store))
    if path.endswith(".zarr"):
        require("zarr", extra=EXTRA)
        return ZarrStore(path, layout)
    if path.endswith(".parquet"):
        require("pyarrow", extra=EXTRA)
        return ParquetStore(path, layout)
    raise ValueError(f"store is {shown(store)}; allowed: a path that ends in .zarr or .parquet")
