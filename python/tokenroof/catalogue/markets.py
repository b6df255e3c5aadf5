"""Prices and rates with a date and a region, and the keynote's tiers."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

from tokenroof.catalogue.files import date_key, table
from tokenroof.catalogue.market_columns import note
from tokenroof.catalogue.market_file import market_in_force
from tokenroof.catalogue.quote import MarketData, MarketLike, Quote
from tokenroof.records.provenance import Provenance
from tokenroof.support.names import among, normalise, unknown

__all__ = [
    "Quote",
    "latest",
    "quote_kinds",
    "quotes",
    "revenue_claims",
    "tier_assumptions",
    "tier_rows",
]

TIER_FIELDS = (
    "model",
    "parameters",
    "active_parameters",
    "context",
    "price_per_mtok",
    "interactivity",
    "power_share",
)


@cache
def _quotes() -> dict[str, tuple[Quote, ...]]:
    file = table("markets")
    texts = file["sources"]
    found: dict[str, list[Quote]] = {}
    for series in file["series"]:
        name, unit = series["kind"], series["unit"]
        found.setdefault(name, []).extend(
            Quote(name, float(value), unit, region, date, Provenance(kind, texts[key], date, unit))
            for region, date, value, kind, key in series["quotes"]
        )
    return {name: tuple(rows) for name, rows in found.items()}


@lru_cache(maxsize=8)
def _with(market: MarketData) -> dict[str, tuple[Quote, ...]]:
    """Those of the catalogue and, in place of its quotes of the same month, those of a file."""
    newer: dict[str, list[Quote]] = {}
    for quote in market.quotes:
        newer.setdefault(quote.quantity, []).append(quote)
    found = dict(_quotes())
    for name, rows in newer.items():
        said = {(quote.region, quote.date[:7]) for quote in rows}
        kept = [q for q in found.get(name, ()) if (q.region, q.date[:7]) not in said]
        found[name] = (*kept, *rows)
    return found


def quote_kinds() -> tuple[str, ...]:
    """Return the names of the quantities that `quotes` knows.

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> "btc_price" in quote_kinds()
    True
    """
    return tuple(_quotes())


def quotes(
    kind: str | None = None, region: str | None = None, *, market: MarketLike | None = None
) -> tuple[Quote, ...]:
    """Return market quotes, in the order of the file.

    Parameters
    ----------
    kind : str, optional
        Quantity, as in `quote_kinds`; all if None.
    region : str, optional
        Part of the region's or item's name, without regard to case and separators.
    market : path or MarketData, optional
        A file of newer prices, as `market_data` takes it: last, in place of those of the same month.

    Returns
    -------
    tuple of Quote
        Each with value, unit, date and source.

    Raises
    ------
    KeyError
        If there is no such quantity. A region without quotes gives an empty tuple.

    Examples
    --------
    >>> [q.value for q in quotes("electricity_industrial", "US Iowa")]
    [0.0604, 0.0636]
    """
    with market_in_force(market) as newer:
        rows = rows_of(kind, region, newer)
        note(rows)
    return rows


def rows_of(kind: str | None, region: str | None, newer: MarketData | None) -> tuple[Quote, ...]:
    """Those of the catalogue and of a file, of which the caller notes what it uses."""
    known = _quotes() if newer is None else _with(newer)
    if kind is None:
        rows = tuple(quote for series in known.values() for quote in series)
    elif among(kind, known):
        rows = known[kind]
    else:
        raise unknown("quantity", str(kind), tuple(known))
    if region is None:
        return rows
    wanted = normalise(region)
    return tuple(quote for quote in rows if wanted in normalise(quote.region))


def latest(kind: str, region: str | None = None, *, market: MarketLike | None = None) -> Quote:
    """Return the newest quote of a quantity; of two of one date, not the estimate.

    Parameters
    ----------
    kind : str
        Quantity, as in `quote_kinds`.
    region : str, optional
        Region or item: its whole name, or a part of it if none has that name.
    market : path or MarketData, optional
        A file of newer prices, as `market_data` takes it.

    Returns
    -------
    Quote
        Value, unit, date and source.

    Raises
    ------
    KeyError
        If there is no such quantity, or none for that region.

    Examples
    --------
    >>> latest("btc_price").date
    '2026-08'
    """
    with market_in_force(market) as newer:
        rows, every = rows_of(kind, region, newer), rows_of(kind, None, newer)
        if region is not None:
            if not rows:
                raise unknown(f"region of {kind}", region, [q.region for q in every])
            exact = tuple(q for q in rows if normalise(q.region) == normalise(region))
            rows = exact or rows
        found = max(rows, key=lambda quote: (date_key(quote.date), quote.kind != "estimate"))
        note([found])
    return found


def tier_rows() -> list[dict[str, Any]]:
    """Return the keynote's five tiers, one dict each; a cell nobody prints is None.

    Keys: name, model, parameters, active_parameters, context [tokens], price_per_mtok [USD/Mtok],
    interactivity [tok/s/user], power_share, notes, and provenance (a dict of `Provenance` by
    field, for the cells that are there).

    Returns
    -------
    list of dict

    Examples
    --------
    >>> [row["price_per_mtok"] for row in tier_rows()]
    [0.0, 3.0, 6.0, 45.0, 150.0]
    """
    file = table("tiers")
    result = []
    for row in file["tier"]:
        cells = {name: row[name] for name in TIER_FIELDS if name in row}
        provenance = {
            name: Provenance(
                cell["kind"],
                file["sources"][cell["source"]],
                cell.get("date", file["date"]),
                file["units"].get(name),
            )
            for name, cell in cells.items()
        }
        values = {name: cells[name]["value"] if name in cells else None for name in TIER_FIELDS}
        tail = {"notes": row.get("notes", ""), "provenance": provenance}
        result.append({"name": row["name"], **values, **tail})
    return result


def tier_assumptions() -> dict[str, dict[str, tuple[Any, Provenance]]]:
    """What the keynote's tiers need to be served and nobody prints, by tier and field.

    Returns
    -------
    dict
        Of ``interactivity`` [token/s] and ``context`` [tokens] a range (low, high), of ``stand_in`` the name
        of a model of the catalogue; each with its provenance, which is an estimate.

    Examples
    --------
    >>> (low, high), origin = tier_assumptions()["Medium"]["interactivity"]
    >>> low, high, origin.kind
    (25.0, 100.0, 'estimate')
    """
    file = table("tiers")
    said = {
        field: Provenance(
            "estimate",
            f"{file['sources']['assumed']}; {basis}",
            file["date"],
            file["units"].get(field),
        )
        for field, basis in file["assumed"].items()
    }
    return {
        row["name"]: {
            field: (
                value if isinstance(value, str) else tuple(float(x) for x in value),
                said[field],
            )
            for field, value in row.get("assumed", {}).items()
        }
        for row in file["tier"]
    }


def revenue_claims() -> dict[str, tuple[str, float, Provenance]]:
    """The keynote's revenue of a GW and year, by generation.

    Returns
    -------
    dict
        Device of the catalogue (empty where one alone does not make the generation), revenue
        [$/(GW year)], and its provenance.

    Examples
    --------
    >>> {name: value / 1e9 for name, (_, value, _) in revenue_claims().items()}
    {'Grace Blackwell': 30.0, 'Vera Rubin': 150.0, 'Vera Rubin with LPX': 300.0}
    """
    file = table("tiers")
    unit = file["claim_units"]["revenue_per_gw_year"]
    return {
        row["generation"]: (
            row["device"],
            float(row["revenue_per_gw_year"]["value"]),
            Provenance(
                row["revenue_per_gw_year"]["kind"],
                file["sources"][row["revenue_per_gw_year"]["source"]],
                file["date"],
                unit,
            ),
        )
        for row in file["claim"]
    }
