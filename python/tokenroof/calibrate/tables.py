"""Measured tables: read, checked, and brought to one row per shape. What is wrong is named and counted."""

from __future__ import annotations

import csv
import math
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from tokenroof.support.equality import by_value
from tokenroof.support.lazy import require
from tokenroof.support.quoting import brief, file_of, shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

_T = TypeVar("_T")
# Names of the time's column, and what its unit is in seconds.
_TIMES = {"time_s": 1.0, "latency_s": 1.0, "latency": 1e-3, "latency_ms": 1e-3, "time_ms": 1e-3,
          "latency_us": 1e-6, "time_us": 1e-6}  # fmt: skip
_MOST = sys.float_info.max
# What a table can say: beyond them a cell was damaged, and what is computed of it leaves float64.
COUNTS = (1.0, 2.0**53)
TIMES_S = (1e-15, 1e9)
WATTS = (1e-6, 1e9)
_FILE = "tokenroof.file"  # of a frame that was read: its lines can be named
UNIT_OF = {1.0: "s", 1e-3: "ms", 1e-6: "us"}
# The types as tables and engines write them.
TYPES = {
    "bfloat16": "bf16", "float16": "fp16", "half": "fp16", "float8": "fp8", "e4m3": "fp8",
    "w4a16_mxfp4": "mxfp4", "w4a8_mxfp4_mxfp8": "mxfp4_mxfp8", "int4_wo": "int4", "int8_wo": "int8",
}  # fmt: skip


def numbers_of(column: Any) -> Any:
    """A pandas column as float64: what is no number is NaN, and so is an integer that no float holds."""
    pandas = require("pandas", extra="analysis")
    try:
        found = pandas.to_numeric(column, errors="coerce")
    except OverflowError:
        inside = column.map(lambda x: math.nan if isinstance(x, int) and abs(x) > _MOST else x)
        found = pandas.to_numeric(inside, errors="coerce")
    return found.astype(float)


def once(find: Callable[[str], _T]) -> Callable[[str], _T]:
    """The same, but each name is looked for once: what is near an unknown one takes milliseconds."""
    known: dict[str, _T | Exception] = {}

    def found(name: str) -> _T:
        if name not in known:
            try:
                known[name] = find(name)
            except (KeyError, ValueError, TypeError) as error:
                known[name] = error
        got = known[name]
        if isinstance(got, Exception):
            raise got
        return got

    return found


def refuse_beyond(
    frame: Any, column: str, values: Any, among: tuple[float, float], what: str = "",
    scale: float = 1.0,
) -> None:  # fmt: skip
    """Refuse a table for a number that nothing measured has; zero, negative and infinite ones are not judged.

    Parameters
    ----------
    frame : pandas.DataFrame
        As it was read, or the rows of it that count.
    column : str
        As the table calls it.
    values : array_like
        The column as numbers, in the order of the rows.
    among : (float, float)
        Least and most.
    what : str
        Their unit.
    scale : float
        What one of the column's numbers is in that of `among`.

    Raises
    ------
    ValueError
        With the line (of a file) or row (of a frame), the column, the value, and what is allowed.
    """
    given = np.asarray(values, dtype=float)
    low, high = among[0] / scale, among[1] / scale
    bad = np.isfinite(given) & (given > 0.0) & ((given < low) | (given > high))
    if bad.any():
        i = int(np.argmax(bad))
        allowed = f"{low:.16g} to {high:.16g}{what and ' ' + what}"
        raise ValueError(
            f"{_place(frame, frame.index[i])}, column {shown(column)} is {shown(float(given[i]))}; "
            f"allowed: {allowed}"
        )


def _place(frame: Any, label: Any) -> str:
    """Where a row stands: its line in the file that it was read from, else its label."""
    path = frame.attrs.get(_FILE)
    if path is None or not os.path.isfile(path):  # a pipe was read, and has nothing more
        return f"row {label}"
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows, before, found = csv.reader(file), 0, -1  # the header is found first
            for cells in rows:
                blank = not cells or (len(cells) == 1 and not cells[0].strip())
                if not blank and found == label:
                    return f"line {before + 1}"
                found += not blank
                before = rows.line_num
    except (OSError, ValueError, csv.Error):
        pass  # it was read once; where the row stands is a help, no more
    return f"row {label}"


@by_value
@dataclass
class Table:
    """One row per shape, with what was left out.

    Attributes
    ----------
    columns : dict
        Arrays of equal length, by name.
    time : ndarray
        Least time of each shape [s].
    counts : dict
        Rows read, rows left out by reason, shapes kept.
    """

    columns: dict[str, NDArray[Any]]
    time: NDArray[np.float64]
    counts: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.time)

    def where(self, chosen: NDArray[Any]) -> Table:
        """The rows of a mask or of indices."""
        return Table(
            {name: values[chosen] for name, values in self.columns.items()},
            self.time[chosen],
            dict(self.counts),
        )


class NoTablesError(ValueError):
    """A folder has no table of what was asked for."""


def read(path: str | os.PathLike[str]) -> Any:
    """A table of a .csv or .parquet file as a pandas frame.

    Raises
    ------
    ValueError
        If it is neither, or cannot be read.
    """
    pandas = require("pandas", extra="analysis")
    file = file_of("path", path)
    name = str(file)
    if file.is_char_device():
        raise ValueError(f"path is {shown(name)}, a device; allowed: a .csv or .parquet file")
    try:
        if name.endswith(".parquet"):
            require("pyarrow", extra="analysis")
            return pandas.read_parquet(name)
        if name.endswith(".csv"):
            frame = pandas.read_csv(name)
            if not isinstance(frame.index, pandas.RangeIndex):
                raise ValueError("its rows have more cells than its header names")
            frame.attrs[_FILE] = name
            return frame
    except ImportError:
        raise
    except Exception as error:
        raise ValueError(f"{name} cannot be read: {brief(error)}") from None
    raise ValueError(f"{name} has another ending; allowed: .csv, .parquet")


def opened(table: Any) -> Any:
    """A table's frame, read where a path is given, whose texts NumPy keeps as they are.

    Raises
    ------
    ValueError
        As `read`; with line and column for a text with a NUL, which NumPy drops at a text's end: such a name
        would pass for the one without.
    """
    frame = read(table) if isinstance(table, (str, os.PathLike)) else table
    if not hasattr(frame, "dtypes"):
        raise TypeError(f"path is {shown(table)}; allowed: a path, or a pandas.DataFrame")
    for i, kind in enumerate(frame.dtypes):
        column, cells = frame.columns[i], frame.iloc[:, i] if kind.kind == "O" else ()
        for label, cell in zip(frame.index, cells, strict=False):
            if isinstance(cell, str) and "\0" in cell:
                where = f"{_place(frame, label)}, column {shown(column)}"
                raise ValueError(f"{where} is {shown(cell)}; allowed: text without NUL")
    return frame


def time_column(frame: Any, unit: str | None = None) -> tuple[str, float]:
    """Name of the time's column, and its unit [s].

    Raises
    ------
    ValueError
        If there is none, or more than one.
    """
    found = [name for name in _TIMES if name in frame.columns]
    if len(found) != 1:
        what = f"columns {', '.join(found)}" if found else "no column of times"
        raise ValueError(f"table has {what}; allowed: one of {', '.join(_TIMES)}")
    if unit is None:
        return found[0], _TIMES[found[0]]
    units = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
    if unit not in units:
        raise ValueError(f"unit is {shown(unit)}; allowed: {', '.join(units)}")
    return found[0], units[unit]


def shapes(
    frame: Any,
    columns: Mapping[str, tuple[str, ...]],
    types: tuple[str, ...] = (),
    unit: str | None = None,
    defaults: Mapping[str, Any] | None = None,
    zeros: tuple[str, ...] = (),
) -> Table:
    """One row per shape: the least time, which is the best kernel's.

    Parameters
    ----------
    frame : pandas.DataFrame
    columns : mapping
        Our name to the names that tables use.
    types : tuple of str
        Which of our names are number types.
    unit : {"s", "ms", "us"}, optional
        Of the times; by default what the column's name says.
    defaults : mapping, optional
        What stands for a column that is missing.
    zeros : tuple of str
        Which of our names may be zero; all other sizes are positive.

    Raises
    ------
    ValueError
        For a missing column, a number that nothing measured has, or if no row is left.
    """
    pandas = require("pandas", extra="analysis")
    time_name, scale = time_column(frame, unit)
    data: dict[str, Any] = {}
    for ours, theirs in columns.items():
        name = next((n for n in (ours, *theirs) if n in frame.columns), None)
        if name is None:
            if defaults and ours in defaults:
                data[ours] = defaults[ours]
                continue
            raise ValueError(
                f"table has no column {shown(ours)}; allowed names: {', '.join((ours, *theirs))}"
            )
        values = frame[name]
        if ours in types:
            named = values.notna() & (values.astype(str).str.strip() != "")
            values = values.astype(str).map(lambda x: TYPES.get(x, x)).where(named, "")
        else:
            values = numbers_of(values)
            refuse_beyond(frame, name, values, COUNTS)
        data[ours] = values
    times = numbers_of(frame[time_name])
    refuse_beyond(frame, time_name, times, TIMES_S, unit or UNIT_OF[scale], scale)
    data["time"] = times * scale
    rows = pandas.DataFrame(data)
    counts = {"rows": len(rows)}
    numbers = [name for name in columns if name not in types]
    bad_time = ~(np.isfinite(rows["time"]) & (rows["time"] > 0))
    sizes = rows[numbers]
    least = np.array([0.0 if name in zeros else np.nextafter(0.0, 1.0) for name in numbers])
    bad_shape = ~(np.isfinite(sizes) & (sizes >= least)).all(axis=1)
    untyped = (rows[list(types)].astype(str) == "").any(axis=1)
    counts["times missing, zero or negative"] = int(bad_time.sum())
    counts["shapes missing, zero or negative"] = int((bad_shape & ~bad_time).sum())
    counts["types missing"] = int((untyped & ~bad_shape & ~bad_time).sum())
    rows = rows[~(bad_time | bad_shape | untyped)]
    if rows.empty:
        raise none_usable(counts)
    best = rows.groupby(list(columns), as_index=False, sort=True)["time"].min()
    counts["further rows of the same shape"] = len(rows) - len(best)
    counts["shapes"] = len(best)
    return Table(
        {name: best[name].to_numpy(dtype=object if name in types else float) for name in columns},
        best["time"].to_numpy(dtype=float),
        counts,
    )


def none_usable(counts: dict[str, int]) -> ValueError:
    """That no row is left: what is wrong in how many."""
    why = ", ".join(f"{name} in {n}" for name, n in counts.items() if name != "rows" and n)
    return ValueError(
        f"table has no usable row of {counts['rows']}{': ' if why else ''}{why}; allowed: at least one "
        "whose named columns all have a value"
    )
