"""The generations' race: which machines still earn their power, month by month."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tokenroof.catalogue.lookup import miner as find_miner
from tokenroof.catalogue.quote import MarketLike
from tokenroof.mining.inputs import fee_of
from tokenroof.mining.margins import break_even_efficiency, margin_per_day
from tokenroof.mining.market import CBECI_POWER_PRICE, MONTH, by_month, earnings_of
from tokenroof.records.miner import MINER_KINDS, Miner
from tokenroof.support.arguments import finite_number, shown
from tokenroof.support.equality import by_value

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@by_value
@dataclass(frozen=True, eq=False)
class Race:
    """Which machines earn their power, month by month.

    Attributes
    ----------
    months : tuple of str
        "2013-01" ...
    names, kinds : tuple of str
        Of the machines; kinds as in `tokenroof.records.miner.MINER_KINDS`.
    efficiency : ndarray
        Of each machine, NaN where its power is not known [J/TH].
    threshold : ndarray, by month
        Energy per terahash up to which a machine earns its power [J/TH].
    margin : ndarray, machines x months
        Revenue less power of one machine, NaN before its release [$/day].
    earning : ndarray of bool, machines x months
        Whether it is out and its margin is not below zero.
    undated, unpowered : tuple of str
        Machines whose month of release, or whose power, is not known; they are never counted.
    """

    months: tuple[str, ...]
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    efficiency: NDArray[np.float64] = field(repr=False)
    threshold: NDArray[np.float64] = field(repr=False)
    margin: NDArray[np.float64] = field(repr=False)
    earning: NDArray[np.bool_] = field(repr=False)
    undated: tuple[str, ...] = ()
    unpowered: tuple[str, ...] = ()

    def _of(self, kind: str | None) -> NDArray[np.bool_]:
        if kind is not None and kind not in MINER_KINDS:
            raise ValueError(f"kind is {shown(kind)}; allowed: {', '.join(MINER_KINDS)}, or None")
        return np.array([kind is None or k == kind for k in self.kinds], dtype=bool)

    @property
    def last_month(self) -> dict[str, str | None]:
        """The last month in which a machine earns its power, by name; None if it never does."""
        found: dict[str, str | None] = {}
        for name, row in zip(self.names, self.earning, strict=True):
            at = np.flatnonzero(row)
            found[name] = self.months[at[-1]] if at.size else None
        return found

    def last(self, kind: str | None = None) -> str | None:
        """The last month in which any machine of a kind earns its power; None if there is none.

        Raises
        ------
        ValueError
            For an unknown kind.
        """
        at = np.flatnonzero(self.earning[self._of(kind)].any(axis=0))
        return self.months[at[-1]] if at.size else None

    def share(self, kind: str | None = None) -> NDArray[np.float64]:
        """Part of the machines of a kind that are out which earn their power, by month [1].

        NaN before the first is out.

        Raises
        ------
        ValueError
            For an unknown kind.
        """
        rows = self._of(kind)
        out = (~np.isnan(self.margin[rows])).sum(axis=0).astype(float)
        out[out == 0.0] = np.nan
        return np.asarray(self.earning[rows].sum(axis=0) / out)

    def best(self, kind: str | None = None) -> NDArray[np.float64]:
        """Energy per terahash of the best machine of a kind that is out, by month [J/TH].

        NaN before the first is out.

        Raises
        ------
        ValueError
            For an unknown kind.
        """
        rows = self._of(kind)
        known = np.where(np.isnan(self.margin[rows]), np.inf, self.efficiency[rows][:, None])
        least = known.min(axis=0, initial=np.inf)
        return np.where(np.isinf(least), np.nan, least)


def machines_of(miners: Iterable[str | Miner] | None) -> list[Miner]:
    """Records, each once; the whole catalogue if none are given."""
    if miners is None:
        from tokenroof.catalogue import all_miners

        return list(all_miners())
    if isinstance(miners, (str, Miner)) or not isinstance(miners, Iterable):
        raise TypeError(f"miners is {shown(miners)}; allowed: several names or records")
    machines = [find_miner(machine) for machine in miners]
    names = [machine.name for machine in machines]
    for i, name in enumerate(names):
        if name in names[:i]:
            raise ValueError(f"miners[{i}] is {shown(name)} again; allowed: each once")
    return machines


def out_in(machine: Miner, months: tuple[str, ...]) -> NDArray[np.bool_] | None:
    """Whether a machine is released by each month; None if its month is not known."""
    release = MONTH.fullmatch(machine.release or "")
    return None if release is None else np.array([month >= release[1] for month in months])


def generations_race(
    miners: Iterable[str | Miner] | None = None,
    months: Iterable[str] | None = None,
    power_price_per_kwh: ArrayLike = CBECI_POWER_PRICE,
    hashprice: ArrayLike | None = None,
    *,
    difficulty: ArrayLike | None = None,
    price: ArrayLike | None = None,
    subsidy_btc: ArrayLike | None = None,
    fees_btc: ArrayLike = 0.0,
    fee: float = 0.0,
    pue: float = 1.0,
    market: MarketLike | None = None,
) -> Race:
    """Which machines, from the month of their release on, still earn their power.

    Parameters
    ----------
    miners : iterable of str or Miner, optional
        Names of the catalogue, or records, each once; by default the whole catalogue.
    months : iterable of str, optional
        "2013-01" ..., ascending; by default all of `market_history`. Without prices of their own, those that
        the catalogue quotes for them.
    power_price_per_kwh : array_like
        Price of electricity at the meter, one number or one per month [$/kWh]; by default the 0.05
        that CBECI assumes.
    hashprice : array_like, optional
        By month, or one number [$/(PH/s day)]; else it comes from the next four.
    difficulty, price, subsidy_btc, fees_btc : array_like, optional
        By month, or one number: difficulty [1], price of a bitcoin [$], new coins and mean fees of a
        block [BTC].
    fee, pue : float
        Part that the pool keeps; facility power over the machine's [1].
    market : path or MarketData, optional
        A file of newer prices, as `tokenroof.catalogue.market_data` takes it, where no prices are given.

    Returns
    -------
    Race
        Margins [$/day] and thresholds [J/TH], by month.

    Raises
    ------
    KeyError
        For an unknown name, with near matches.
    ValueError, TypeError
        Naming the argument, the index, the value and what is allowed.

    Examples
    --------
    >>> race = generations_race(["Core i7 920", "Antminer S1"], ["2011-06", "2014-01"], 0.1, [5e7, 1e5])
    >>> race.last_month
    {'Core i7 920': '2011-06', 'Antminer S1': '2014-01'}
    >>> race = generations_race(power_price_per_kwh=0.1)
    >>> [race.last(kind) for kind in ("cpu", "gpu", "fpga", "asic")]
    ['2010-11', '2013-03', '2013-12', '2026-06']
    """
    machines = machines_of(miners)
    when, earned, _ = earnings_of(
        months, market=market, hashprice=hashprice, difficulty=difficulty, price=price,
        subsidy_btc=subsidy_btc, fees_btc=fees_btc,
    )  # fmt: skip
    power_price = by_month("power_price_per_kwh", power_price_per_kwh, len(when))
    kept = fee_of(fee)
    overhead = finite_number("pue", pue, 1.0)

    margin = np.full((len(machines), len(when)), np.nan)
    efficiency = np.full(len(machines), np.nan)
    undated, unpowered = [], []
    for i, machine in enumerate(machines):
        out = out_in(machine, when)
        if out is None:
            undated.append(machine.name)
        if machine.efficiency is None:
            unpowered.append(machine.name)
            continue
        efficiency[i] = machine.efficiency
        if out is not None:
            all_months = margin_per_day(machine, earned, power_price, fee=kept, pue=overhead)
            margin[i, out] = np.asarray(all_months)[out]
    return Race(
        months=when,
        names=tuple(machine.name for machine in machines),
        kinds=tuple(machine.kind for machine in machines),
        efficiency=efficiency,
        threshold=np.asarray(break_even_efficiency(earned, power_price, kept, overhead)),
        margin=margin,
        earning=margin >= 0.0,  # false for NaN
        undated=tuple(undated),
        unpowered=tuple(unpowered),
    )
