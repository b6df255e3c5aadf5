"""Keys of a scenario whose prices a file of market data has."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from tokenroof.catalogue.quote import MarketData, Quote

__all__ = ["ScenarioMarket", "prices_of"]

# key of a kind of income: quantity of the catalogue whose newest quote it takes
_INCOME = {
    "hashes": ("income.hashprice", "btc_hashprice"),
    "gpu_hours": ("income.price_per_gpu_hour", "gpu_hour"),
    "tokens": ("income.price_per_mtok", "api_price_output"),
}
_COLUMN = {"gpu_hour": "rent", "api_price_output": "output"}


@dataclass(frozen=True)
class ScenarioMarket:
    """What a scenario has from a file of market data.

    Attributes
    ----------
    data : MarketData
        The file.
    keys : tuple of (str, float, str)
        Key, value, and who says so, with its date.
    """

    data: MarketData
    keys: tuple[tuple[str, float, str], ...]

    @property
    def dates(self) -> tuple[str, ...]:
        """Of the quotes that keys come from, where there are any."""
        said = " ".join(said for _, _, said in self.keys)
        return tuple(q.date for q in self.data.quotes if f"{q.source}, {q.date}" in said)

    def without(self, keys: Mapping[str, Any]) -> ScenarioMarket:
        """The same but for keys that are said otherwise."""
        return ScenarioMarket(self.data, tuple(k for k in self.keys if k[0] not in keys))

    def as_dict(self) -> dict[str, Any]:
        """For a manifest: the file, and what was taken from it."""
        taken = [{"key": key, "value": value, "source": said} for key, value, said in self.keys]
        return {**self.data.as_dict(), "taken": taken}


def prices_of(data: MarketData, kind: str, free: Collection[str]) -> dict[str, tuple[float, Quote]]:
    """Value by key, of electricity and of what is sold, with the quote that it is of; of `free` keys alone.

    Raises
    ------
    ValueError
        If the file has the price of several devices or models, so that it is not clear which is sold.
    """
    found = {}
    power = "site.price_per_mwh"
    for quote in data.newest("electricity_industrial").values():
        if power in free:
            found[power] = 1000.0 * quote.value, quote
    key, quantity = _INCOME.get(kind, ("", ""))
    quoted = data.newest(quantity) if key in free else {}
    if len(quoted) > 1:
        column = _COLUMN[quantity]
        raise ValueError(
            f"market has {', '.join(f'{column}.{item}' for item in quoted)}; allowed for a scenario of "
            f"{kind}: one of them, or {key}"
        )
    for quote in quoted.values():
        found[key] = quote.value, quote
    return found
