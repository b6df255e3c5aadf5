"""The same factory in two worlds: tokens for work that wants them, or coins whose price wanders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from tokenroof import kernels
from tokenroof.catalogue.lookup import miner as find_miner
from tokenroof.catalogue.market_file import market_in_force
from tokenroof.catalogue.markets import latest
from tokenroof.catalogue.quote import MarketLike
from tokenroof.economics.demand import Demand
from tokenroof.economics.issuance import issuance
from tokenroof.economics.prices import power_price
from tokenroof.economics.risk import Uncertainty
from tokenroof.support.arguments import (
    as_seed,
    check_options,
    count,
    finite_number,
    shown,
)
from tokenroof.support.equality import by_value
from tokenroof.support.lazy import require

if TYPE_CHECKING:
    from typing import Unpack

    import pandas as pd
    from numpy.typing import NDArray

    from tokenroof.records.miner import Miner

    Array = NDArray[np.float64]

__all__ = ["TwoWorlds", "WorldOptions", "two_worlds"]

_HOURS = 8760.0


class WorldOptions(TypedDict, total=False):
    """Options of `two_worlds`, as its docstring has them."""

    power_mw: float
    years: int
    price_per_mwh: float
    frequency: float
    cost: float
    processes_growth: float
    miner: str | Miner
    hashprice: float | None
    network_growth: float
    paths: int
    seed: int
    market: MarketLike | None


@by_value
@dataclass(frozen=True)
class TwoWorlds:
    """Years of one site that sells tokens to work, or coins to whoever pays for them.

    Attributes
    ----------
    year : ndarray
        1, 2, ... [year].
    wanted, sold : ndarray
        Tokens that work wants of the site, and what it sells of them [token/s].
    price_per_mtok : ndarray
        What they sell for [$].
    productivity : ndarray
        Revenue less electricity of selling tokens [$/year].
    coins : ndarray
        What the chain issues, over the first year's: fixed by its rule [1].
    speculation : ndarray
        Revenue less electricity of mining, by path and year [$/year].
    """

    year: NDArray[np.int64]
    wanted: Array
    sold: Array
    price_per_mtok: Array
    productivity: Array
    coins: Array
    speculation: Array

    def percentile(self, part: float) -> Array:
        """Margin of mining that so large a part of the paths stays below, by year.

        Parameters
        ----------
        part : float
            10, 50, 90 [percent].

        Returns
        -------
        ndarray
            [$/year].
        """
        at = finite_number("part", part)
        if at > 100.0:
            raise ValueError(f"part is {shown(part)}; allowed: from 0 to 100")
        found: Array = np.percentile(self.speculation, at, axis=0)
        return found

    def to_frame(self) -> pd.DataFrame:
        """A row a year."""
        columns = {
            "year": self.year, "wanted": self.wanted, "sold": self.sold,
            "price_per_mtok": self.price_per_mtok, "productivity": self.productivity, "coins": self.coins,
            **{f"speculation_p{part}": self.percentile(part) for part in (10, 50, 90)},
        }  # fmt: skip
        frame: pd.DataFrame = require("pandas", extra="analysis").DataFrame(columns)
        return frame


def two_worlds(
    process: Demand,
    processes: float,
    tokens_per_s_per_mw: float,
    uncertainty: Uncertainty,
    **options: Unpack[WorldOptions],
) -> TwoWorlds:
    """What one site earns on the same power where work wants its tokens, and where coins are speculated on.

    Productivity: so many processes run more often each year, at less cost, on the way to `frequency` and
    `cost` in the last one; the site sells what they want, up to what it makes, while a token is worth its
    price. Speculation: the chain issues what its rule says, whatever anybody pays; the coin's price wanders
    from now on, so that a year's, at its end, has wandered for as many years as it has in its number.

    Parameters
    ----------
    process : Demand
        One of them, in the first year: its runs, tokens, value and price.
    processes : float
        How many of them buy from this site in the first year [1].
    tokens_per_s_per_mw : float
        What the site makes [token/(s MW)]: `deliver`.
    uncertainty : Uncertainty
        How the price of a coin wanders; its mean stays as it is. With `can_stop` no world runs at a loss.
    power_mw : float, optional
        At the meter [MW]; 100 by default.
    years : int, optional
        10 by default.
    price_per_mwh : float, optional
        Of electricity [$/MWh]; 60 by default.
    frequency, cost : float, optional
        Runs in the last year over the first, and what they cost together [1]; 5 and 0.17 by default: the
        keynote's process, every 15 minutes and then every 3, at 83 % less.
    processes_growth : float, optional
        Yearly rise of their number [1/year]; 0 by default.
    miner : str or Miner, optional
        What mines in the other world; the Antminer S21 by default.
    hashprice : float, optional
        In the first year [$/(PH/s day)]; the catalogue's newest by default.
    network_growth : float, optional
        Yearly rise of the network's hashrate, which shares the coins [1/year]; 0 by default.
    paths, seed : int, optional
        Of the coin's price; 4,096 and 0 by default.
    market : path or MarketData, optional
        A file of newer prices, as `tokenroof.catalogue.market_data` takes it: its hashprice, and its
        electricity where `price_per_mwh` is not given.

    Returns
    -------
    TwoWorlds

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown miner, or a number out of its range, by name.

    Examples
    --------
    >>> from tokenroof.economics import demand
    >>> work = demand(4, 2e6, value_per_result=9.0, acceptance=0.5, price_per_mtok=1.5)
    >>> wild = Uncertainty(price_volatility=0.6, jumps_per_year=0.3, jump_down=0.4)
    >>> both = two_worlds(work, 20_000, 3e5, wild)
    >>> cheaper = both.price_per_mtok[0] / both.price_per_mtok[-1]
    >>> round(float(both.wanted[-1] / both.wanted[0]), 6), round(float(cheaper), 1)
    (5.0, 29.4)
    >>> bool(both.percentile(10)[-1] < both.percentile(90)[-1])
    True
    """
    check_options("two_worlds", options, WorldOptions)
    if not isinstance(process, Demand):
        raise TypeError(f"process is {shown(process)}; allowed: a Demand")
    _check(uncertainty)
    many = finite_number("processes", processes, above=True)
    rate = finite_number("tokens_per_s_per_mw", tokens_per_s_per_mw, above=True)
    mw = finite_number("power_mw", options.get("power_mw", 100.0), above=True)
    with market_in_force(options.get("market")) as newer:
        bill = mw * _HOURS * power_price(options.get("price_per_mwh"), 60.0, newer, -np.inf)
        first = _mined(options, mw)
    years = count("years", options.get("years", 10))
    often = finite_number("frequency", options.get("frequency", 5.0), above=True)
    cheap = finite_number("cost", options.get("cost", 0.17), above=True)
    more = finite_number("processes_growth", options.get("processes_growth", 0.0), -1.0, above=True)
    wanted, price, worth = _work(process, years, often, cheap)
    wanted = wanted * many * (1.0 + more) ** np.arange(years)
    sold = np.where(price <= worth, np.minimum(wanted, rate * mw), 0.0)
    made = sold * 3600.0 * _HOURS / 1e6 * price - bill
    coins = issuance(years).issued
    coins = coins / coins[0]
    grown = finite_number("network_growth", options.get("network_growth", 0.0), -1.0, above=True)
    course = coins / (1.0 + grown) ** np.arange(years)
    mined = first * course * _paths(uncertainty, years, options) - bill
    if uncertainty.can_stop:  # a year that would earn less than its electricity is not run
        mined, made = np.maximum(mined, 0.0), np.maximum(made, 0.0)
    return TwoWorlds(np.arange(1, years + 1), wanted, sold, price, made, coins, mined)


def _check(uncertainty: object) -> None:
    """Refuse what would do nothing here: the price of electricity, output and capital are sure."""
    if not isinstance(uncertainty, Uncertainty):
        raise TypeError(f"uncertainty is {shown(uncertainty)}; allowed: an Uncertainty")
    for name in ("power_volatility", "power_reversion", "correlation", "output_error", "capital_error",
                 "capital_correlation"):  # fmt: skip
        if getattr(uncertainty, name):
            raise ValueError(f"{name} is {shown(getattr(uncertainty, name))}; allowed here: 0")


def _work(process: Demand, years: int, often: float, cheap: float) -> tuple[Array, Array, Array]:
    """Tokens/s, price and worth of a million tokens of one process, by year."""
    steps = np.linspace(0.0, 1.0, years) if years > 1 else np.zeros(1)
    each = [process.changed(frequency=often**s, cost=cheap**s) for s in steps]
    return (
        np.array([one.tokens_per_s for one in each]),
        np.array([one.price_per_mtok for one in each]),
        np.array([one.value_per_mtok for one in each]),
    )


def _mined(options: WorldOptions, mw: float) -> float:
    """Revenue of mining in the first year at the mean price [$]."""
    machine = find_miner(options.get("miner", "Antminer S21"))
    if not machine.power:
        raise ValueError(
            f"miner {machine.name} has no power; allowed: a miner whose power is known"
        )
    given = options.get("hashprice")
    newer = options.get("market")
    if given is not None and newer is not None:
        raise ValueError(
            f"market is {shown(newer)} with hashprice; allowed: one of them, as market gives that"
        )
    price = (latest("btc_hashprice").value if given is None
             else finite_number("hashprice", given))  # fmt: skip
    efficiency = machine.power / machine.hashrate * 1e12
    per_mwh: float = kernels.mining_revenue_per_mwh(price, efficiency, 1.0)
    return mw * _HOURS * float(per_mwh)


def _paths(uncertainty: Uncertainty, years: int, options: WorldOptions) -> Array:
    """Price of a coin over its mean, by path and year: Ornstein and Uhlenbeck's process with Kou's jumps."""
    n = count("paths", options.get("paths", 4096))
    seed = as_seed(options.get("seed", 0))
    rng, u = np.random.default_rng(seed), uncertainty
    shape = (n, years)
    hit, up = rng.random(shape) < u.jumps_per_year, rng.random(shape) < u.jump_up_share
    size = rng.standard_exponential(shape) * np.where(up, u.jump_up, -u.jump_down)
    shock = u.price_noise * rng.standard_normal(shape) + np.where(hit, size, 0.0)
    left, logs = u.shocks(years), np.zeros(shape)
    for year in range(years):  # what is left of each year's shock so far
        logs[:, year] = shock[:, : year + 1] @ left[year::-1]
    return np.asarray(np.exp(logs) / u.price_means(years))
