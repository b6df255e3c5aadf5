"""Every number of the catalogue with its origin, one by one."""

from __future__ import annotations

from typing import NamedTuple

from tokenroof.catalogue import architectures
from tokenroof.catalogue.accepted import acceptances
from tokenroof.catalogue.contracts import deals
from tokenroof.catalogue.counted import counts
from tokenroof.catalogue.decodes import decodes
from tokenroof.catalogue.files import provenance_of, table
from tokenroof.catalogue.held import holdings
from tokenroof.catalogue.hours import gpu_hours
from tokenroof.catalogue.lookup import device, miner
from tokenroof.catalogue.markets import quotes, revenue_claims, tier_assumptions, tier_rows
from tokenroof.catalogue.measured import runs
from tokenroof.catalogue.printed import published
from tokenroof.catalogue.squares import squares
from tokenroof.records.provenance import Provenance
from tokenroof.support.names import unknown

__all__ = ["Number", "numbers", "source"]


class Number(NamedTuple):
    """One number: where it stands, and where it comes from.

    Attributes
    ----------
    file, item, field : str
        File of the catalogue, item in it, quantity.
    value : float
        In `unit`.
    unit : str or None
    kind : str
        As in `Provenance`.
    source : str
        Document, publisher, date; or how it was derived.
    date : str or None
        Of the document, or when the sources were read.
    """

    file: str
    item: str
    field: str
    value: float
    unit: str | None
    kind: str
    source: str
    date: str | None


def numbers() -> list[Number]:
    """Return every number, file by file.

    Returns
    -------
    list of Number

    Examples
    --------
    >>> {number.kind for number in numbers()} <= {"datasheet", "vendor", "measured", "press", "estimate"}
    True
    """
    return [
        *_tables(), *_markets(), *_tiers(), *_measured(), *_printed(), *_hours_and_deals(),
        *(_number("holders", f"{h.of}, {h.date}", name, part, h.provenance)
          for h in holdings() for name, _, part in h.shares),
        *(Number("models", **row) for row in architectures.source_rows()),
    ]  # fmt: skip


def source(item: str, field: str) -> Number:
    """Where one number of a device, a miner or a model comes from.

    Parameters
    ----------
    item : str
        Name or alias.
    field : str
        As "tdp_w", "peak_fp8", "memory_bandwidth", "hashrate", "hidden_size", "context_max".

    Returns
    -------
    Number
        Value, unit, kind, source (document, publisher, date) and date.

    Raises
    ------
    KeyError
        If there is no such item, or it has no such number, with near matches.

    Examples
    --------
    >>> found = source("H100-SXM", "tdp_w")
    >>> found.value, found.unit, found.source.partition(",")[0]
    (700.0, 'W', 'NVIDIA H100 Tensor Core GPU Datasheet (NVIDIA')
    """
    name = _name(item)
    rows = [n for n in numbers() if n.item == name and n.file in ("devices", "miners", "models")]
    for row in rows:
        if row.field == field:
            return row
    raise unknown(f"number of {name}", str(field), [row.field for row in rows])


def _name(item: str) -> str:
    """Name of a device, a miner or a model."""
    for find in (device, miner, architectures.model):
        try:
            return str(find(item).name)
        except KeyError:
            continue
    known = [
        row["name"] for file in ("devices", "miners", "models") for row in table(file)[file[:-1]]
    ]
    raise unknown("item", item, known)


def _tables() -> list[Number]:
    """Numbers of the files that have a row per item."""
    rows = []
    for name in ("devices", "miners", "links", "cores"):
        file = table(name)
        for row in file[name.removesuffix("s")]:
            parts = {f"{k}_{x}": v[x] for k, v in row.items() if isinstance(v, dict) for x in v}
            for field, origin in provenance_of(file, row).items():
                value = row[field] if field in row else parts[field]
                rows.append(_number(name, row["name"], field, value, origin))
    return rows


def _markets() -> list[Number]:
    return [
        _number("markets", quote.region, quote.quantity, quote.value, quote.provenance)
        for quote in quotes()
    ]


def _tiers() -> list[Number]:
    rows = []
    for tier in tier_rows():
        for field, origin in tier["provenance"].items():
            if origin.unit is not None:  # the model is a word, not a number
                rows.append(_number("tiers", tier["name"], field, tier[field], origin))
    for name, assumed in tier_assumptions().items():
        for field, (value, origin) in assumed.items():
            if origin.unit is not None:
                for end, x in zip(("low", "high"), value, strict=True):
                    rows.append(_number("tiers", name, f"{field}_{end}", x, origin))
    for name, (_, value, origin) in revenue_claims().items():
        rows.append(_number("tiers", name, "revenue_per_gw_year", value, origin))
    return rows


def _measured() -> list[Number]:
    """Runs, square products, decoded tokens, accepted drafts, and experts that tokens chose."""
    rows = []
    for run in runs():
        label = run.plan.label(architectures.model(run.model))
        plan = f"{run.plan.engine} {run.version}, {label}, batch {run.concurrency}"
        what = f"{run.model} {run.load} on {run.device}, {plan}"
        for field in ("ttft_s", "tpot_s"):
            rows.append(_number("runs", what, field, getattr(run, field), run.provenance))
    for row in squares():
        for i, rate in enumerate(row.boards):
            rows.append(
                _number("products", f"{row.device} {row.dtype}", f"board {i}", rate, row.provenance)
            )
    for one in decodes():
        for field in ("f16", "q4"):
            for i, rate in enumerate(getattr(one, field)):
                rows.append(_number("decodes", one.device, f"{field} {i}", rate, one.provenance))
    for kept in acceptances():
        for drafts, length in zip(kept.drafts, kept.lengths, strict=True):
            field = f"{drafts} drafts"
            rows.append(_number("acceptance", kept.name, field, length, kept.provenance))
    for counted in counts():
        for tokens, experts in zip(counted.tokens, counted.touched, strict=True):
            field = f"experts of {tokens:g} tokens"
            rows.append(_number("routing", counted.model, field, experts, counted.provenance))
    return rows


def _printed() -> list[Number]:
    """Printed speeds and yields."""
    rows = []
    units = table("published")["units"]
    for point in published():
        what = f"{point.model or 'a model'} on {point.device}"
        for field, unit in units.items():
            value, of = getattr(point, field), point.provenance
            if value == value:  # NaN where it was not printed
                rows.append(
                    Number("published", what, field, value, unit, of.kind, of.source, of.date)
                )
    return rows


def _hours_and_deals() -> list[Number]:
    """What an hour of a GPU costs, and contracts."""
    rows = []
    for hour in gpu_hours():
        for field in ("watts", "owning", "owning_neocloud", "rent"):
            value, of = getattr(hour, field), hour.provenance
            if value == value:  # NaN where the table does not say it
                unit = "W" if field == "watts" else of.unit
                rows.append(
                    Number(
                        "gpu_hours", hour.device, field, value, unit, of.kind, of.source, of.date
                    )
                )
    units = table("deals")["units"]
    for deal in deals():
        for field, unit in units.items():
            value, of = getattr(deal, field), deal.provenance
            for each in value if isinstance(value, tuple) else (value,):
                if each is not None:
                    rows.append(
                        Number("deals", deal.name, field, each, unit, of.kind, of.source, of.date)
                    )
    return rows


def _number(file: str, item: str, field: str, value: float, origin: Provenance) -> Number:
    return Number(
        file, item, field, float(value), origin.unit, origin.kind, origin.source, origin.date
    )
