"""A price with its date and source, and those of a file that is newer than the package."""

from __future__ import annotations

import os
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tokenroof.catalogue.files import date_key
from tokenroof.records.provenance import Provenance
from tokenroof.support.lazy import require

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["IN_FORCE", "MarketData", "MarketLike", "Quote"]


@dataclass(frozen=True, slots=True)
class Quote:
    """One price or rate of the world around.

    Attributes
    ----------
    quantity : str
        What it is: "btc_price", "electricity_industrial", "gpu_hour" ...
    value : float
        The number, in `unit`.
    unit : str
        As the market prints it: "USD/kWh", "USD/PH/day" ...
    region : str
        Region or item it is quoted for.
    date : str
        Year, half year, quarter, month or day.
    provenance : Provenance
        Kind and source.
    """

    quantity: str
    value: float
    unit: str
    region: str
    date: str
    provenance: Provenance

    @property
    def kind(self) -> str:
        """How the number came here, as in `Provenance`."""
        return self.provenance.kind

    @property
    def source(self) -> str:
        """Who says so."""
        return self.provenance.source


@dataclass(frozen=True)
class MarketData:
    """Prices of a file, which count beside those of the catalogue, and before them for the same month.

    Attributes
    ----------
    name : str
        Of the file.
    sha256 : str
        Of its bytes, in hexadecimal.
    rows : int
        Dates that it has.
    quotes : tuple of Quote
        Its prices, and the hashprices that follow from them.
    """

    name: str
    sha256: str
    rows: int
    quotes: tuple[Quote, ...] = field(repr=False)

    @property
    def first(self) -> str:
        """Its oldest date."""
        return min((q.date for q in self.quotes), key=date_key)

    @property
    def last(self) -> str:
        """Its newest date."""
        return max((q.date for q in self.quotes), key=date_key)

    def newest(self, quantity: str) -> dict[str, Quote]:
        """The newest quote of a quantity for each region or item that the file has.

        Parameters
        ----------
        quantity : str
            As in `quote_kinds`.

        Returns
        -------
        dict of Quote
        """
        found: dict[str, Quote] = {}
        for quote in self.quotes:  # dates ascend
            if quote.quantity == quantity:
                found[quote.region] = quote
        return found

    def as_dict(self) -> dict[str, Any]:
        """What a result must say of it: name, sha256, rows, first and last date, sources."""
        sources = list(dict.fromkeys(quote.source for quote in self.quotes))
        return {"file": self.name, "sha256": self.sha256, "rows": self.rows,
                "first": self.first, "last": self.last, "sources": sources}  # fmt: skip

    def to_frame(self) -> pd.DataFrame:
        """A row for each quote."""
        rows = [
            {"quantity": q.quantity, "item": q.region, "date": q.date, "value": q.value, "unit": q.unit,
             "kind": q.kind, "source": q.source}
            for q in self.quotes
        ]  # fmt: skip
        frame: pd.DataFrame = require("pandas", extra="analysis").DataFrame(rows)
        return frame


#: What ``market=`` takes: a file, or what was read from one.
MarketLike = str | os.PathLike[str] | MarketData
#: The file whose prices count now.
IN_FORCE: ContextVar[MarketData | None] = ContextVar("market", default=None)
