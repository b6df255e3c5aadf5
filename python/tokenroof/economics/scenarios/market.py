"""Keys of a scenario whose prices a file of market data has."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from tokenroof.catalogue.market_columns import unused
from tokenroof.catalogue.quote import MarketData, Quote

__all__ = ["ScenarioMarket", "prices_of", "said_otherwise"]

# key of a kind of income: quantity of the catalogue whose newest quote it takes
_INCOME = {
    "hashes": ("income.hashprice", "btc_hashprice"),
    "gpu_hours": ("income.price_per_gpu_hour", "gpu_hour"),
    "tokens": ("income.price_per_mtok", "api_price_output"),
}
_POWER = ("site.price_per_mwh", "electricity_industrial")
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
    used : tuple of (str, Quote)
        Key, and the quotes of the file that it is of.
    """

    data: MarketData
    keys: tuple[tuple[str, float, str], ...]
    used: tuple[tuple[str, Quote], ...] = field(default=(), repr=False)

    @property
    def dates(self) -> tuple[str, ...]:
        """Of the quotes that keys come from, where there are any."""
        said = " ".join(said for _, _, said in self.keys)
        return tuple(q.date for q in self.data.quotes if f"{q.source}, {q.date}" in said)

    @property
    def unused(self) -> tuple[str, ...]:
        """What the file has and no key takes: column, number and date."""
        return unused(self.data, [quote for _, quote in self.used])

    def without(self, keys: Mapping[str, Any]) -> ScenarioMarket:
        """The same but for keys that are said otherwise."""
        kept = tuple(row for row in self.keys if row[0] not in keys)
        used = tuple(row for row in self.used if row[0] not in keys)
        return ScenarioMarket(self.data, kept, used)

    def as_dict(self) -> dict[str, Any]:
        """For a manifest: the file, and what was taken from it."""
        taken = [{"key": key, "value": value, "source": said} for key, value, said in self.keys]
        return {**self.data.as_dict(), "taken": taken, "unused": list(self.unused)}


def prices_of(data: MarketData, kind: str, free: Collection[str]) -> dict[str, tuple[float, Quote]]:
    """Value by key, of electricity and of what is sold, with the quote that it is of; of `free` keys alone.

    Raises
    ------
    ValueError
        If the file has the price of several devices or models, so that it is not clear which is sold.
    """
    found = {}
    for quote in data.newest(_POWER[1]).values():
        if _POWER[0] in free:
            found[_POWER[0]] = 1000.0 * quote.value, quote
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


def said_otherwise(data: MarketData, kind: str, free: Collection[str]) -> bool:
    """Whether a file has a price of a key that is not free: it is left out because somebody chose."""
    pairs = (_POWER, _INCOME.get(kind, ("", "")))
    return any(data.newest(quantity) and key not in free for key, quantity in pairs)
