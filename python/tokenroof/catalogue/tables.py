"""The catalogue as tables: one row per item, or one per number with its source; units in ``attrs``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokenroof.catalogue import architectures
from tokenroof.catalogue.accepted import acceptances
from tokenroof.catalogue.contracts import deals
from tokenroof.catalogue.files import provenance_of, table
from tokenroof.catalogue.held import holdings
from tokenroof.catalogue.hours import gpu_hours
from tokenroof.catalogue.markets import quotes, revenue_claims, tier_assumptions, tier_rows
from tokenroof.catalogue.measured import runs
from tokenroof.catalogue.printed import published
from tokenroof.records.device import PEAK_TYPES
from tokenroof.support.lazy import require

if TYPE_CHECKING:
    import pandas as pd

    from tokenroof.records.provenance import Provenance

__all__ = ["devices", "links", "miners", "models", "sources", "tiers"]

_SOURCE_COLUMNS = ("file", "item", "field", "value", "unit", "kind", "source", "date")


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


def _frame(name: str) -> pd.DataFrame:
    """One row per item of a file: its words, its numbers, the kind of most of them."""
    pd = require("pandas", extra="analysis")
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
    frame = pd.DataFrame(rows, columns=[c for c in columns if any(c in row for row in rows)])
    for column in units:
        frame[column] = frame[column].astype(float)
    frame.attrs["units"] = units
    return frame


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
    frame = pd.DataFrame(rows)
    units = dict(table("tiers")["units"])
    for column in units:
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
    rows: list[tuple[Any, ...]] = []
    for name in ("devices", "miners", "links", "cores"):
        file = table(name)
        for row in file[name.removesuffix("s")]:
            parts = {f"{k}_{x}": v[x] for k, v in row.items() if isinstance(v, dict) for x in v}
            for field, origin in provenance_of(file, row).items():
                value = row[field] if field in row else parts[field]
                rows.append(_source(name, row["name"], field, value, origin))
    for quote in quotes():
        rows.append(_source("markets", quote.region, quote.quantity, quote.value, quote.provenance))
    for tier in tier_rows():
        for field, origin in tier["provenance"].items():
            if origin.unit is not None:  # the model is a word, not a number
                rows.append(_source("tiers", tier["name"], field, tier[field], origin))
    for name, assumed in tier_assumptions().items():
        for field, (value, origin) in assumed.items():
            if origin.unit is not None:
                for end, x in zip(("low", "high"), value, strict=True):
                    rows.append(_source("tiers", name, f"{field}_{end}", x, origin))
    for name, (_, value, origin) in revenue_claims().items():
        rows.append(_source("tiers", name, "revenue_per_gw_year", value, origin))
    for run in runs():
        plan = f"{run.plan.engine} {run.version}, {run.plan.label()}, batch {run.concurrency}"
        what = f"{run.model} {run.load} on {run.device}, {plan}"
        for field in ("ttft_s", "tpot_s"):
            rows.append(_source("runs", what, field, getattr(run, field), run.provenance))
    for kept in acceptances():
        for drafts, length in zip(kept.drafts, kept.lengths, strict=True):
            rows.append(
                _source("acceptance", kept.name, f"{drafts} drafts", length, kept.provenance)
            )
    rows += _printed()
    rows += _hours_and_deals()
    rows += [
        _source("holders", f"{h.of}, {h.date}", name, part, h.provenance)
        for h in holdings()
        for name, _, part in h.shares
    ]
    for row in architectures.source_rows():
        rows.append(("models", *(row.get(column) for column in _SOURCE_COLUMNS[1:])))
    frame = pd.DataFrame(rows, columns=list(_SOURCE_COLUMNS))
    frame["value"] = frame["value"].astype(float)
    return frame


def _printed() -> list[tuple[Any, ...]]:
    """Rows of printed speeds and yields."""
    rows = []
    units = table("published")["units"]
    for point in published():
        what = f"{point.model or 'a model'} on {point.device}"
        for field, unit in units.items():
            value, of = getattr(point, field), point.provenance
            if value == value:  # NaN where it was not printed
                rows.append(("published", what, field, value, unit, of.kind, of.source, of.date))
    return rows


def _hours_and_deals() -> list[tuple[Any, ...]]:
    """Rows of what an hour of a GPU costs, and of contracts."""
    rows: list[tuple[Any, ...]] = []
    for hour in gpu_hours():
        for field in ("watts", "owning", "owning_neocloud", "rent"):
            value, of = getattr(hour, field), hour.provenance
            if value == value:  # NaN where the table does not say it
                unit = "W" if field == "watts" else of.unit
                rows.append(
                    ("gpu_hours", hour.device, field, value, unit, of.kind, of.source, of.date)
                )
    units = table("deals")["units"]
    for deal in deals():
        for field, unit in units.items():
            value = getattr(deal, field)
            for each in value if isinstance(value, tuple) else (value,):
                if each is not None:
                    of = deal.provenance
                    rows.append(
                        ("deals", deal.name, field, each, unit, of.kind, of.source, of.date)
                    )
    return rows


def _source(file: str, item: str, field: str, value: float, origin: Provenance) -> tuple[Any, ...]:
    return (file, item, field, float(value), origin.unit, origin.kind, origin.source, origin.date)
