"""The catalogue as tables: one row per item, or one per number with its source; units in ``attrs``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokenroof.catalogue import architectures
from tokenroof.catalogue.files import provenance_of, table
from tokenroof.catalogue.markets import tier_rows
from tokenroof.catalogue.numbers import Number, numbers
from tokenroof.records.device import PEAK_TYPES
from tokenroof.support.lazy import require

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["devices", "links", "miners", "models", "rows_of", "sources", "tiers"]


def links() -> list[dict[str, Any]]:
    """Return scale-up, scale-out and host links, one dict each, with a provenance by field.

    `link_bandwidth` is that of one link, `device_bandwidth` that of a device, one way [B/s].

    Returns
    -------
    list of dict
        Names, bandwidths [B/s], and `Provenance` by field.

    Examples
    --------
    >>> [row["device_bandwidth"] for row in links() if row["name"] == "NVLink 5"]
    [900000000000.0]
    """
    file = table("links")
    return [
        {
            k: v
            for k, v in row.items()
            if k not in ("basis", "kinds", "sources", "own_sources", "documents")
        }
        | {"provenance": provenance_of(file, row)}
        for row in file["link"]
    ]


def _items(name: str) -> tuple[list[dict[str, Any]], list[str], dict[str, str]]:
    """Items of a file with what each of them has; columns of all, and units of the numbers."""
    file = table(name)
    units = dict(file["units"])
    rows = []
    for row in file[name.removesuffix("s")]:
        flat: dict[str, Any] = {}
        for key, value in row.items():
            if key == "aliases":
                flat[key] = ", ".join(value)
            elif key == "sources":
                flat[key] = "; ".join(file["sources"][s] for s in value)
            elif key == "peak":
                flat.update({f"peak_{dtype}": peak for dtype, peak in value.items()})
            elif key not in ("kinds", "own_sources", "documents"):
                flat[key] = value
        rows.append(flat)
    if "peak" in units:
        unit = units.pop("peak")
        units.update({f"peak_{dtype}": unit for dtype in PEAK_TYPES})
    words = [k for k in rows[0] if k not in units and k not in ("basis", "sources", "notes")]
    for row in rows:  # a first row need not have every word
        words += [k for k in row if k not in units and k not in words]
    words = [k for k in words if k not in ("basis", "sources", "notes")]
    columns = [*words, *units, "basis", "sources", "notes"]
    return rows, [c for c in columns if any(c in row for row in rows)], units


def _frame(name: str) -> pd.DataFrame:
    """One row per item of a file: its words, its numbers, the kind of most of them."""
    pd = require("pandas", extra="analysis")
    rows, columns, units = _items(name)
    frame = pd.DataFrame(rows, columns=columns)
    for column in units:
        frame[column] = frame[column].astype(float)
    frame.attrs["units"] = units
    return frame


def _tier_rows() -> tuple[list[dict[str, Any]], list[str]]:
    """The tiers, each cell beside its kind and source, and which columns have numbers."""
    rows = []
    for tier in tier_rows():
        provenance = tier["provenance"]
        flat: dict[str, Any] = {}
        for key, value in tier.items():
            if key == "provenance":
                continue
            flat[key] = value
            if key not in ("name", "notes"):
                origin = provenance.get(key)
                flat[f"{key}_kind"] = None if origin is None else origin.kind
                flat[f"{key}_source"] = None if origin is None else origin.source
        rows.append(flat)
    return rows, list(table("tiers")["units"])


def rows_of(name: str) -> list[dict[str, Any]]:
    """Rows of the table of this name as its frame has them, without pandas: all columns, None where unknown.

    Parameters
    ----------
    name : {"devices", "models", "miners", "tiers"}

    Returns
    -------
    list of dict
        Numbers as floats, in the units of the frame.

    Examples
    --------
    >>> [row["efficiency"] for row in rows_of("miners") if row["name"] == "Antminer S21"]
    [17.5]
    """
    columns: list[str] = []
    floats: list[str] = []
    if name == "models":
        rows = architectures.rows()
    elif name == "tiers":
        rows, floats = _tier_rows()
    else:
        rows, columns, units = _items(name)
        floats = list(units)
    if name == "miners":
        columns.insert(columns.index("power") + 1, "efficiency")
        rows = [
            {**row, "efficiency": row["power"] / row["hashrate"] * 1e12}
            if {"power", "hashrate"} <= row.keys()
            else row
            for row in rows
        ]
    columns = columns or list(dict.fromkeys(key for row in rows for key in row))
    return [
        {key: float(value) if key in floats and value is not None else value
         for key, value in ((column, row.get(column)) for column in columns)}
        for row in rows
    ]  # fmt: skip


def devices() -> pd.DataFrame:
    """Return the devices, one row each; numbers in SI units (``attrs["units"]``), NaN if unknown.

    `basis` is the kind of a row's numbers for the most part; `sources` says it for each.

    Returns
    -------
    pandas.DataFrame
        Indexed by position; ``attrs["units"]`` has the unit of each column.

    Examples
    --------
    >>> frame = devices().set_index("name")
    >>> float(frame.loc["H200-SXM", "memory_bandwidth"])
    4800000000000.0
    """
    return _frame("devices")


def miners() -> pd.DataFrame:
    """Return the miners, one row each, with `efficiency` [J/TH]; NaN if unknown.

    Returns
    -------
    pandas.DataFrame
        Hash rate [hash/s], power [W], efficiency [J/TH], facts in words.

    Examples
    --------
    >>> float(miners().set_index("name").loc["Antminer S21", "efficiency"])
    17.5
    """
    frame = _frame("miners")
    frame.insert(frame.columns.get_loc("power") + 1, "efficiency", 0.0)
    frame["efficiency"] = frame["power"] / frame["hashrate"] * 1e12
    frame.attrs["units"] = {**frame.attrs["units"], "efficiency": "J/TH"}
    return frame


def tiers() -> pd.DataFrame:
    """Return the keynote's five tiers, each cell beside its kind and source; NaN or None if absent.

    Returns
    -------
    pandas.DataFrame
        Five rows; units stand with the cells, as in `tier_rows`.

    Examples
    --------
    >>> list(tiers()["name"])
    ['Free', 'Medium', 'High', 'Premium', 'Ultra']
    """
    pd = require("pandas", extra="analysis")
    rows, floats = _tier_rows()
    frame = pd.DataFrame(rows)
    units = dict(table("tiers")["units"])
    for column in floats:
        frame[column] = frame[column].astype(float)
    frame.attrs["units"] = units
    return frame


def models() -> pd.DataFrame:
    """Return the models, one row each: shapes, counted parameters, KV bytes.

    Returns
    -------
    pandas.DataFrame
        Parameters [1], cache of a token [B], and the shapes.

    Examples
    --------
    >>> bool(models()["name"].is_unique)
    True
    """
    pd = require("pandas", extra="analysis")
    return pd.DataFrame(architectures.rows())


def sources() -> pd.DataFrame:
    """Return every number of the catalogue with its origin, one row per number.

    Columns: file, item, field, value, unit, kind (one of `KINDS`), source, date. For markets the
    item is the region or the thing quoted and the field the quantity.

    Returns
    -------
    pandas.DataFrame
        A row per number.

    Examples
    --------
    >>> table = sources()
    >>> row = table[(table["item"] == "H200-SXM") & (table["field"] == "memory_bandwidth")]
    >>> row["kind"].item()
    'press'
    """
    pd = require("pandas", extra="analysis")
    frame = pd.DataFrame(numbers(), columns=list(Number._fields))
    frame["value"] = frame["value"].astype(float)
    return frame
