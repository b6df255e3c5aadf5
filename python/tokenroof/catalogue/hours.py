"""What an hour of one device costs and rents for, and the power that goes with it, by date."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from tokenroof.catalogue.files import date_key, table
from tokenroof.catalogue.lookup import device as find_device
from tokenroof.catalogue.market_columns import note
from tokenroof.catalogue.market_file import market_in_force
from tokenroof.catalogue.quote import MarketData, MarketLike
from tokenroof.records.device import Device
from tokenroof.records.provenance import Provenance
from tokenroof.support.arguments import shown
from tokenroof.support.names import among, normalise

__all__ = ["GpuHour", "gpu_hour", "gpu_hours", "printed_hour", "printed_hours"]


@dataclass(frozen=True, slots=True)
class GpuHour:
    """One device's hour, as the public estimator of a date has it.

    Attributes
    ----------
    device : str
        Name in the catalogue.
    date : str
        Of the estimator's table.
    watts : float
        Power of one device with its share of everything in the hall [W].
    owning : float
        Cost of an hour to a hyperscaler that owns it, electricity and hall included [$/h].
    owning_neocloud : float
        The same to a smaller cloud; NaN where the table no longer says it [$/h].
    rent : float
        What an hour rents for: of three years, at retail from 2026-09 on [$/h].
    provenance : Provenance
        Kind and source.
    """

    device: str
    date: str
    watts: float
    owning: float
    owning_neocloud: float
    rent: float
    provenance: Provenance


def gpu_hours(*, market: MarketLike | None = None) -> tuple[GpuHour, ...]:
    """Every device's hour of every date, in the order of the file.

    Parameters
    ----------
    market : path or MarketData, optional
        A file of newer prices, as `market_data` takes it: its rents come last, with watts and costs of
        the newest table that has the device.

    Returns
    -------
    tuple of GpuHour
        [W], [$/h].

    Examples
    --------
    >>> sorted({hour.date for hour in gpu_hours()})
    ['2026-04-03', '2026-07', '2026-09']
    """
    with market_in_force(market) as newer:
        if newer is not None:
            note(q for q in newer.quotes if q.quantity == "gpu_hour")
        return _hours(newer)


def _hours(newer: MarketData | None) -> tuple[GpuHour, ...]:
    """Those of the tables and of a file, of which the caller notes what it uses."""
    known = printed_hours()
    if newer is None:
        return known
    last = {hour.device: hour for hour in sorted(known, key=lambda hour: date_key(hour.date))}
    rents = [
        quote for quote in newer.quotes if quote.quantity == "gpu_hour" and quote.region in last
    ]
    return known + tuple(
        replace(last[q.region], date=q.date, rent=q.value, provenance=q.provenance) for q in rents
    )


@cache
def printed_hours() -> tuple[GpuHour, ...]:
    """Those of the catalogue's tables alone, whatever file of newer prices counts."""
    file, found = table("gpu_hours"), []
    for preset in file["preset"]:
        date = preset["date"]
        said = Provenance("vendor", file["sources"][preset["source"]], date, "USD/GPU-h")
        for name, kilowatts, owning, neocloud, rent in preset["rows"]:
            found.append(GpuHour(name, date, 1000.0 * kilowatts, owning, neocloud, rent, said))
    return tuple(found)


def printed_hour(hour: GpuHour) -> GpuHour:
    """The catalogue's own row of a device's hour: itself, or the newest where a file has another rent."""
    rows = [row for row in printed_hours() if row.device == hour.device]
    return next((row for row in rows if row == hour), max(rows, key=lambda row: date_key(row.date)))


def gpu_hour(
    device: str | Device, date: str | None = None, *, market: MarketLike | None = None
) -> GpuHour:
    """One device's hour, of a date or of the newest table that has it.

    Parameters
    ----------
    device : str or Device
    date : str, optional
        Of the table: "2026-04-03", "2026-07" or "2026-09", or of the file of newer prices.
    market : path or MarketData, optional
        A file of newer prices, as `market_data` takes it.

    Returns
    -------
    GpuHour
        [W], [$/h].

    Raises
    ------
    KeyError
        For an unknown device, with near matches.
    ValueError
        If no table has the device, or none is of that date: those that there are are named.

    Examples
    --------
    >>> gpu_hour("H100-SXM").rent, gpu_hour("H100-SXM", "2026-04-03").watts
    (2.0, 1730.0)
    """
    name = device.name if isinstance(device, Device) else find_device(device).name
    with market_in_force(market) as newer:
        found = _hour_of(name, date, _hours(newer))
        if newer is not None:
            note(q for q in newer.quotes if q.provenance == found.provenance and q.region == name)
    return found


def _hour_of(name: str, date: str | None, every: tuple[GpuHour, ...]) -> GpuHour:
    known = [hour for hour in every if normalise(hour.device) == normalise(name)]
    if not known:
        have = ", ".join(dict.fromkeys(hour.device for hour in every))
        raise ValueError(f"device is {name}, whose hour nobody priced; allowed: {have}")
    found = [hour for hour in known if date is None or among(date, (hour.date,))]
    if not found:
        dates = ", ".join(hour.date for hour in known)
        raise ValueError(f"date is {shown(date)}; allowed for {name}: {dates}")
    return max(found, key=lambda hour: date_key(hour.date))
