"""The GPU in both eras: hashes and tokens a second of the same device, and what each year paid for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tokenroof.catalogue.lookup import device as find_device
from tokenroof.catalogue.market_file import market_in_force
from tokenroof.catalogue.markets import quotes
from tokenroof.catalogue.quote import MarketLike
from tokenroof.economics.courses import year_of
from tokenroof.economics.offers import cheapest_point
from tokenroof.economics.prices import power_price
from tokenroof.mining.hash_roofline import hashrate
from tokenroof.mining.market import market_history
from tokenroof.serving.loads import LONGEST_WAIT
from tokenroof.support.arguments import finite_number, is_integer, shown
from tokenroof.support.equality import by_value
from tokenroof.support.lazy import require
from tokenroof.support.names import listed

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from tokenroof.records.device import Device
    from tokenroof.records.model import Model

    Array = NDArray[np.float64]

__all__ = ["Eras", "both_eras"]

_DAYS = 365.0


@by_value
@dataclass(frozen=True)
class Eras:
    """What devices would have earned with hashes and with tokens, year by year.

    Attributes
    ----------
    names : tuple of str
    released : ndarray
        [year]; years before are what it would have earned.
    hashes_per_s, tokens_per_s, watts : ndarray
        Of each device, all its power in hashes or in tokens at the stated speed; watts with its share of the
        hall [hash/s], [token/s], [W]. NaN tokens: none at that speed.
    years : ndarray
    hashprice, token_price : ndarray
        Of each year: mean of the months that the catalogue quotes, and the price of a million tokens; NaN
        without one [$/(PH/s day)], [$/Mtok].
    hashes, tokens, power : ndarray, devices x years
        What a device earns in a year, and what its electricity costs [$/year].
    """

    names: tuple[str, ...]
    released: Array = field(repr=False)
    hashes_per_s: Array = field(repr=False)
    tokens_per_s: Array = field(repr=False)
    watts: Array = field(repr=False)
    years: NDArray[np.int64] = field(repr=False)
    hashprice: Array = field(repr=False)
    token_price: Array = field(repr=False)
    power: Array = field(repr=False)

    @property
    def hashes(self) -> Array:
        """Revenue of a year of hashes [$/year]: devices x years."""
        found: Array = self.hashes_per_s[:, None] / 1e15 * self.hashprice * _DAYS
        return found

    @property
    def tokens(self) -> Array:
        """Revenue of a year of tokens, all of them sold [$/year]: devices x years."""
        found: Array = self.tokens_per_s[:, None] * 86400.0 * _DAYS / 1e6 * self.token_price
        return found

    def to_frame(self) -> pd.DataFrame:
        """A row for each device and year."""
        count, years = len(self.names), self.years.size
        columns = {
            "name": np.repeat(self.names, years), "year": np.tile(self.years, count),
            "out": (self.years >= np.floor(self.released)[:, None]).ravel(),
            "hashes": self.hashes.ravel(), "tokens": self.tokens.ravel(), "power": self.power.ravel(),
        }  # fmt: skip
        frame: pd.DataFrame = require("pandas", extra="analysis").DataFrame(columns)
        return frame


def both_eras(
    devices: Iterable[str | Device] = ("V100-SXM2-32GB", "A100-SXM4-80GB", "H100-SXM", "B200-SXM"),
    *,
    model: str | Model = "Llama-3.1-8B",
    interactivity: float = 30.0,
    token_prices: Mapping[int, float] | None = None,
    price_per_mwh: float | None = None,
    market: MarketLike | None = None,
) -> Eras:
    """Hashes and tokens a second of the same GPUs, and what each year paid for either.

    Parameters
    ----------
    devices : iterable of str or Device
    model : str or Model
        Whose tokens.
    interactivity : float
        Tokens per second that each user gets at least; the first within 10 s [token/s].
    token_prices : mapping of float, optional
        By year [$/Mtok]; by default the least output price that the catalogue quotes of a year, which no
        single model had.
    price_per_mwh : float, optional
        Of electricity; by default that of the file of newer prices, or 50 [$/MWh].
    market : path or MarketData, optional
        A file of newer prices, as `tokenroof.catalogue.market_data` takes it.

    Returns
    -------
    Eras
        [hash/s], [token/s], [$/year].

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name, a device whose integer units nobody published, or a number out of its range.

    Examples
    --------
    >>> found = both_eras(["H100-SXM"], token_prices={2026: 0.1})
    >>> year = {int(y): i for i, y in enumerate(found.years)}
    >>> bool(found.hashes[0, year[2011]] > found.power[0, 0] > found.hashes[0, year[2026]])
    True
    >>> bool(found.tokens[0, year[2026]] > found.power[0, 0])
    True
    """
    speed = finite_number("interactivity", interactivity, above=True)
    rows = [_rates(item, model, speed) for item in listed("devices", devices)]
    with market_in_force(market) as newer:
        price = power_price(price_per_mwh, 50.0, newer)
        hashed = _yearly_hashprice()
        sold = _least_prices() if token_prices is None else _given(token_prices)
    years = np.array(sorted({*hashed, *sold}), dtype=np.int64)
    released, hashes, tokens, watts = (
        np.array([row[k] for row in rows], float) for k in range(1, 5)
    )
    return Eras(
        tuple(row[0] for row in rows), released, hashes, tokens, watts, years,
        np.array([hashed.get(int(y), np.nan) for y in years]),
        np.array([sold.get(int(y), np.nan) for y in years]),
        np.repeat(watts[:, None] * 8.76e-3 * price, years.size, axis=1),
    )  # fmt: skip


def _rates(
    item: str | Device, model: str | Model, speed: float
) -> tuple[str, float, float, float, float]:
    """Name, release, hashes and tokens a second, and watts with the share of the hall."""
    from tokenroof.serving.frontier import frontier

    found = find_device(item)
    front = frontier(found, model, ttft_max=LONGEST_WAIT)
    at, watts = cheapest_point(front, speed), float(front.attrs["provisioned_w_per_device"])
    rate = (
        np.nan if at is None else float(front.output_tokens_per_s_per_mw.values[at]) * watts / 1e6
    )
    released = year_of(found.release) if found.release else np.nan
    return found.name, released, hashrate(found), rate, watts


def _yearly_hashprice() -> dict[int, float]:
    history = market_history()
    by_year: dict[int, list[float]] = {}
    for month, price in zip(history.months, history.hashprice, strict=True):
        by_year.setdefault(int(month[:4]), []).append(float(price))
    return {year: float(np.mean(prices)) for year, prices in by_year.items()}


def _least_prices() -> dict[int, float]:
    found: dict[int, float] = {}
    for quote in quotes("api_price_output"):
        if quote.kind != "estimate":
            year = int(quote.date[:4])
            found[year] = min(found.get(year, np.inf), quote.value)
    return found


def _given(prices: Mapping[int, float]) -> dict[int, float]:
    if not isinstance(prices, Mapping) or not all(map(is_integer, prices)):
        raise TypeError(f"token_prices is {shown(prices)}; allowed: a mapping of years to prices")
    return {int(year): finite_number(f"token_prices[{year}]", x) for year, x in prices.items()}
