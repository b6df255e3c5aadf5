"""Difficulty that follows profit: the miners' cost curve, and where the market meets it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import kernels
from tokenroof.mining.chain import Chain
from tokenroof.mining.inputs import number_or_array, powered, reals, reward_of
from tokenroof.records.miner import Miner
from tokenroof.support.arguments import check_shapes, finite_number, shown
from tokenroof.support.equality import by_value
from tokenroof.support.pieces import pieces

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Tranche:
    """Machines of one kind at one price of power.

    Parameters
    ----------
    miner : str or Miner
        A name of the catalogue, or a record.
    count : float
        Machines; may be infinite where `capital_usd_per_day` is above zero.
    power_price_per_kwh : float
        At the meter [$/kWh].
    fee, pue : float
        Part that the pool keeps; facility power over the machine's [1].
    capital_usd_per_day : float
        What a machine must earn besides its power to be bought at all; 0 for one that is there already,
        whose price is spent [$/day].

    Raises
    ------
    KeyError
        For an unknown name, with near matches.
    ValueError, TypeError
        Naming the field, its value and what is allowed.

    Examples
    --------
    >>> round(Tranche("Antminer S21", 1000, 0.06).running_cost, 9)
    25.2
    """

    miner: str | Miner
    count: float
    power_price_per_kwh: float
    fee: float = 0.0
    pue: float = 1.0
    capital_usd_per_day: float = 0.0

    def __post_init__(self) -> None:
        put = object.__setattr__  # the record is frozen; this only settles the types
        put(self, "miner", powered(self.miner)[0])
        put(self, "capital_usd_per_day",
            finite_number("capital_usd_per_day", self.capital_usd_per_day))  # fmt: skip
        if not (self.count == math.inf and self.capital_usd_per_day > 0.0):
            put(self, "count", finite_number("count", self.count, above=True))
        put(self, "power_price_per_kwh",
            finite_number("power_price_per_kwh", self.power_price_per_kwh))  # fmt: skip
        put(self, "fee", float(reals("fee", finite_number("fee", self.fee), below=1.0)))
        put(self, "pue", finite_number("pue", self.pue, 1.0))

    @property
    def hashrate(self) -> float:
        """Of all machines [hash/s]."""
        return self.count * powered(self.miner)[0].hashrate

    @property
    def joules_per_hash(self) -> float:
        """Energy of a hash, at the meter [J]."""
        machine, watts = powered(self.miner)
        return watts * self.pue / machine.hashrate

    @property
    def running_cost(self) -> float:
        """Hashprice at which it just earns its power [$/(PH/s day)]."""
        machine, watts = powered(self.miner)
        kernel: Any = kernels.shutdown_hashprice
        cost = kernel(machine.hashrate, watts, self.power_price_per_kwh, self.fee, self.pue)
        return float(cost)

    @property
    def full_cost(self) -> float:
        """Hashprice at which it earns its power and its capital [$/(PH/s day)]."""
        petahashes = powered(self.miner)[0].hashrate / 1e15 * (1.0 - self.fee)
        return self.running_cost + self.capital_usd_per_day / petahashes


@by_value
@dataclass(frozen=True, eq=False)
class Equilibrium:
    """Where no machine that stands still would earn its cost, and none that runs fails to.

    Attributes
    ----------
    hashrate, difficulty, hashprice : float or ndarray
        Of the network [hash/s], [1], [$/(PH/s day)].
    power_w : float or ndarray
        At the meters [W].
    """

    hashrate: Any
    difficulty: Any
    hashprice: Any
    power_w: Any
    _supply: _Supply = field(repr=False)

    @cached_property
    def running(self) -> NDArray[np.float64]:
        """Hashrate of each tranche, in the order in which they were given: tranches x shape [hash/s].

        Computed when it is first asked for: of many tranches at many prices it is far the largest array.
        """
        supply = self._supply
        rate = np.asarray(self.hashrate)
        flat, many = rate.ravel(), len(supply.order)
        each = np.empty((many, flat.size))
        rows = max(1, 2**15 // max(flat.size, 1))  # so many tranches of few prices at a time
        for first in range(0, many, rows):
            some = slice(first, first + rows)
            below, own = supply.filled[:-1][some, None], supply.capacity[some, None]
            for part in pieces(flat.size):
                each[supply.order[some], part] = np.clip(flat[part] - below, 0.0, own)
        return each.reshape((many, *rate.shape))


@dataclass(frozen=True, eq=False)
class _Supply:
    """A fleet in the order of its costs.

    `filled` and `energy` are hashrate and power of the first k tranches together, from none to all; the last
    of `joules` is that of a tranche that is not there.
    """

    order: NDArray[np.intp]
    cost: NDArray[np.float64]
    capacity: NDArray[np.float64]
    joules: NDArray[np.float64]
    filled: NDArray[np.float64]
    energy: NDArray[np.float64]

    @classmethod
    def of(cls, fleet: tuple[Tranche, ...]) -> _Supply:
        cost = np.array([tranche.full_cost for tranche in fleet])
        order = np.argsort(cost, kind="stable")
        capacity = np.array([tranche.hashrate for tranche in fleet])[order]
        joules = np.array([tranche.joules_per_hash for tranche in fleet])[order]
        filled, energy = (
            np.concatenate([[0.0], np.cumsum(each)]) for each in (capacity, joules * capacity)
        )
        return cls(order, cost[order], capacity, np.append(joules, 0.0), filled, energy)


def tranches_of(fleet: Iterable[Tranche]) -> tuple[Tranche, ...]:
    """A fleet, not empty."""
    allowed = "allowed: one or more Tranche"
    if isinstance(fleet, (str, Tranche)) or not isinstance(fleet, Iterable):
        raise TypeError(f"fleet is {shown(fleet)}; {allowed}")
    given = tuple(fleet)
    for i, tranche in enumerate(given):
        if not isinstance(tranche, Tranche):
            raise TypeError(f"fleet[{i}] is {shown(tranche)}; {allowed}")
    if not given:
        raise ValueError(f"fleet is empty; {allowed}")
    return given


def cost_curve(fleet: Iterable[Tranche]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The miners' supply curve: how much hashrate there is up to each cost.

    Parameters
    ----------
    fleet : iterable of Tranche

    Returns
    -------
    hashprice, hashrate : ndarray
        Costs in ascending order [$/(PH/s day)], and the hashrate that costs at most so much [hash/s].

    Raises
    ------
    ValueError, TypeError
        If the fleet is empty or holds something else.

    Examples
    --------
    >>> cost, hashrate = cost_curve([Tranche("Antminer S19", 10, 0.06), Tranche("Antminer S21", 5, 0.06)])
    >>> cost.round(3).tolist(), hashrate.tolist()
    ([25.2, 49.263], [1000000000000000.0, 1950000000000000.0])
    """
    supply = _Supply.of(tranches_of(fleet))
    return supply.cost, supply.filled[1:]


def equilibrium(
    fleet: Iterable[Tranche],
    price: ArrayLike,
    subsidy_btc: ArrayLike = 3.125,
    fees_btc: ArrayLike = 0.0,
    *,
    chain: Chain | None = None,
) -> Equilibrium:
    """Hashrate and difficulty at which a fleet's margin is gone, for any prices at once.

    Blocks pay a fixed sum a day, whatever the hashrate: the hashprice falls as 1 / hashrate, and the cost
    curve rises in steps. Where they cross, the machines to the left run and those to the right do not;
    where they cross on a step, a part of it runs and its margin is zero. With tranches that must earn
    their capital and have no end, it is the long-run equilibrium of free entry. A fleet too small for the
    chain's easiest target finds blocks more slowly than it aims at.

    Parameters
    ----------
    fleet : iterable of Tranche
        All machines that may run.
    price : array_like
        Of a bitcoin [$].
    subsidy_btc, fees_btc : array_like
        New coins, and mean fees, of a block [BTC].
    chain : Chain, optional
        Whose blocks they are; by default Bitcoin's.

    Returns
    -------
    Equilibrium
        Hashrate [hash/s], difficulty [1], hashprice [$/(PH/s day)] and power [W].

    Raises
    ------
    ValueError, TypeError
        Naming the argument, its value and what is allowed.

    References
    ----------
    Prat, Walter, An Equilibrium Model of the Market for Bitcoin Mining, Journal of Political Economy
    129(8), 2021: free entry; the step curve of running costs is CBECI's threshold for each machine.

    Examples
    --------
    >>> fleet = [Tranche("Antminer S19 Pro", 4e6, 0.06), Tranche("Antminer S21", 2e6, 0.06)]
    >>> [round(float(e) / 1e18) for e in equilibrium(fleet, [40_000, 60_000, 120_000]).hashrate]
    [423, 634, 840]
    """
    rules = chain_of(chain)
    given = tranches_of(fleet)
    coin = reals("price", price, above=True)
    reward = reward_of(subsidy_btc, fees_btc)
    check_shapes(price=coin, subsidy_btc=reward)
    daily = coin * reward * (86400.0 / rules.mean_block_seconds)  # $ a day, of all blocks
    supply = _Supply.of(given)
    paid, worth, coins = (a.ravel() for a in np.broadcast_arrays(daily, coin, reward))
    found = np.empty((4, paid.size))
    for part in pieces(paid.size):
        found[:, part] = _crossing(supply, paid[part], worth[part], coins[part], rules)
    rate, hard, hashprice, watts = (number_or_array(a.reshape(daily.shape)) for a in found)
    return Equilibrium(rate, hard, hashprice, watts, supply)


def _crossing(
    supply: _Supply, daily: NDArray[np.float64], price: NDArray[np.float64],
    reward: NDArray[np.float64], rules: Chain,
) -> tuple[NDArray[np.float64], ...]:  # fmt: skip
    """Hashrate, difficulty, hashprice and power where supply meets what the blocks pay a day [$]."""
    k: Any = kernels
    filled = supply.filled
    # whole tranches run while what the blocks pay is at least what all up to them cost
    count = np.searchsorted(supply.cost * (filled[1:] / 1e15), daily, side="right")
    with np.errstate(divide="ignore"):
        wanted = daily / np.append(supply.cost, np.inf)[count] * 1e15
    rate = np.maximum(filled[count], wanted)
    hashprice = daily / (rate / 1e15)
    hard = np.asarray(k.difficulty_at_hashprice(reward, price, hashprice))
    # at the easiest target a hash earns no more, however few there are
    most = k.hashprice_usd(rules.least_difficulty, reward, price)
    easy = hard < rules.least_difficulty
    count = np.where(easy, np.searchsorted(supply.cost, most, side="right"), count)
    rate = np.where(easy, filled[count], rate)
    hashprice, hard = np.where(easy, most, hashprice), np.where(easy, rules.least_difficulty, hard)
    part = np.subtract(rate, filled[count], out=np.zeros_like(rate), where=rate > filled[count])
    return rate, hard, hashprice, supply.energy[count] + supply.joules[count] * part


def chain_of(chain: Chain | None) -> Chain:
    """Bitcoin's by default."""
    if chain is None:
        return Chain()
    if not isinstance(chain, Chain):
        raise TypeError(f"chain is {shown(chain)}; allowed: a Chain, or None for Bitcoin's")
    if math.isnan(chain.mean_block_seconds):
        raise ValueError(
            f"chain is {shown(chain)}; allowed: one that retargets, without easy blocks, so that its "
            "difficulty follows the hashrate"
        )
    return chain
