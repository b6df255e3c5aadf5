"""Coins, which a rule issues, beside tokens, which power and its best devices bound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tokenroof.economics.flows import SECONDS_PER_YEAR
from tokenroof.mining.bitcoin import COIN
from tokenroof.mining.chain import Chain
from tokenroof.support.arguments import finite_number, share, shown, whole_number
from tokenroof.support.equality import by_value
from tokenroof.support.lazy import require

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Issuance", "issuance"]

_MOST = 10**7  # years, blocks
_OLD = 100  # years that devices may be out: what is older is of another calendar


@by_value
@dataclass(frozen=True)
class Issuance:
    """Coins and tokens of each year.

    Attributes
    ----------
    year : ndarray
        Of the calendar, or counted from the first block.
    height : ndarray
        Of the chain at the end of the year [block].
    issued, supply, in_use : ndarray
        New coins of the year, all coins at its end, and those of them that are not lost [BTC].
    fees : ndarray
        Fees of the year [BTC].
    fee_share : ndarray
        Fees over all that miners get [1].
    tokens : ndarray
        Tokens of the site in the year [token].
    tokens_per_coin : ndarray
        Tokens of the site by new coin; inf once none are issued [token/BTC].
    """

    year: NDArray[np.int64]
    height: NDArray[np.int64]
    issued: Array
    supply: Array
    in_use: Array
    fees: Array
    fee_share: Array
    tokens: Array

    @property
    def tokens_per_coin(self) -> Array:
        """Tokens of the site by new coin [token/BTC]."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio: Array = self.tokens / self.issued
        return ratio

    @property
    def fees_take_over(self) -> int | None:
        """The first year in which fees are half of what miners get; None within these years."""
        at = np.flatnonzero(self.fee_share >= 0.5)
        return int(self.year[at[0]]) if at.size else None

    def to_frame(self) -> pd.DataFrame:
        """A row for each year."""
        names = [*Issuance.__annotations__, "tokens_per_coin"]
        columns = {name: getattr(self, name) for name in names}
        frame: pd.DataFrame = require("pandas", extra="analysis").DataFrame(columns)
        return frame


def issuance(
    years: int = 30,
    first_year: int = 2026,
    height: int = 930_000,
    chain: Chain | None = None,
    *,
    fees_per_block: float = 0.0,
    fee_growth: float = 0.0,
    lost: float = 0.0,
    lost_per_year: float = 0.0,
    power_mw: float = 1000.0,
    tokens_per_s_per_mw: Mapping[int, float] | None = None,
) -> Issuance:
    """New coins by the rules of a chain, beside the tokens of a site, year by year.

    Parameters
    ----------
    years : int
        How many.
    first_year, height : int
        The first of them, and the last block before it.
    chain : Chain, optional
        Its rules; Bitcoin's by default. `Chain.with_total(200_000_000 * COIN)` is a fork with another total.
    fees_per_block : float
        In the first year [BTC].
    fee_growth : float
        Their yearly rise [1/year].
    lost : float
        Part of the coins of the beginning that nobody can spend [1].
    lost_per_year : float
        Part of those in use that is lost each year [1/year].
    power_mw : float
        Power at the site's meter [MW].
    tokens_per_s_per_mw : mapping of int to float, optional
        Throughput of the best devices from a year on, as `serving.frontier` has it [token/(s MW)]; no tokens
        before the first.

    Returns
    -------
    Issuance

    Raises
    ------
    ValueError, TypeError
        For a number out of its range, by name.

    References
    ----------
    Bitcoin Core, GetBlockSubsidy; blocks come once in `Chain.block_seconds`.

    Examples
    --------
    >>> found = issuance(years=3, first_year=2026, tokens_per_s_per_mw={2026: 1e6, 2028: 2e6})
    >>> found.issued.round(1).tolist(), (found.tokens / 1e15).round(3).tolist()
    ([164250.0, 164250.0, 105373.4], [31.536, 31.536, 63.072])
    """
    n, start = whole_number("years", years, 1, _MOST), whole_number("height", height, 0, _MOST)
    begins = whole_number("first_year", first_year, 0, _MOST)
    rules = Chain() if chain is None else chain
    if not isinstance(rules, Chain):
        raise TypeError(f"chain is {shown(chain)}; allowed: a Chain or None")
    paid, ever = finite_number("fees_per_block", fees_per_block), rules.total()
    if ever is not None and paid > ever / COIN:
        raise ValueError(
            f"fees_per_block is {paid:g} BTC; allowed: at most {ever / COIN:.10g}, all that there will be"
        )
    rise = 1.0 + finite_number("fee_growth", fee_growth, -1.0)
    gone, each_year = (
        share("lost", lost, zero=True),
        share("lost_per_year", lost_per_year, zero=True),
    )
    power = finite_number("power_mw", power_mw, above=True)
    calendar = begins + np.arange(n)
    per_year = SECONDS_PER_YEAR / rules.block_seconds
    ends = start + np.round(per_year * np.arange(n + 1)).astype(np.int64)
    totals = np.array([rules.supply(int(end)) for end in ends], dtype=float) / COIN
    issued, blocks = np.diff(totals), np.diff(ends)
    in_use, left = np.empty(n), totals[0] * (1.0 - gone)
    for year in range(n):
        left = (left + issued[year]) * (1.0 - each_year)
        in_use[year] = left
    fees = blocks * paid * rise ** np.arange(n)
    whole = issued + fees
    part = np.divide(fees, whole, out=np.zeros(n), where=whole > 0.0)
    tokens = power * SECONDS_PER_YEAR * _rates(tokens_per_s_per_mw, calendar)
    return Issuance(calendar, ends[1:], issued, totals[1:], in_use, fees, part, tokens)


def _rates(given: Mapping[int, float] | None, calendar: NDArray[np.int64]) -> Array:
    """Throughput of the devices of each year [token/(s MW)]: of the newest that is out."""
    rates = np.zeros(calendar.size)
    if given is None:
        return rates
    if not isinstance(given, Mapping):
        raise TypeError(
            f"tokens_per_s_per_mw is {shown(given)}; allowed: a mapping of years to numbers"
        )
    name, first, last = "tokens_per_s_per_mw", int(calendar[0]), int(calendar[-1])
    sinces = sorted(whole_number(f"year of {name}", year, 0, _MOST) for year in given)
    other = [year for year in sinces if year < first - _OLD]
    if other or (sinces and sinces[0] > last):
        odd = other[0] if other else sinces[0]
        raise ValueError(
            f"year of {name} is {odd}, while first_year is {first} and years {calendar.size}; allowed: years "
            f"of the same calendar from {first - _OLD} on, one of them by {last}"
        )
    for since in sinces:
        rates[calendar >= since] = finite_number(f"{name}[{since}]", given[since])
    return rates
