"""Difficulty that follows profit over time: entry, exit, and the retargets between them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import kernels
from tokenroof.mining.chain import Chain
from tokenroof.mining.equilibrium import Tranche, chain_of, equilibrium, tranches_of
from tokenroof.mining.inputs import reals, reward_of
from tokenroof.support.arguments import finite_number
from tokenroof.support.equality import by_value

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

# of a path: 38,000 years of Bitcoin's
_MOST_RETARGETS = 10**6


@by_value
@dataclass(frozen=True, eq=False)
class DifficultyPath:
    """What a fleet makes of a path of prices.

    Attributes
    ----------
    time_s : ndarray
        End of each step [s].
    difficulty, hashrate, hashprice, power_w : ndarray
        At the end of each step [1], [hash/s], [$/(PH/s day)], [W at the meters].
    blocks : ndarray
        Expected blocks of each step [1].
    running : ndarray, tranches x steps
        Hashrate of each tranche at the end of each step [hash/s].
    retargets : ndarray, retargets x 2
        Times [s], and the difficulty from then on.
    """

    time_s: NDArray[np.float64] = field(repr=False)
    difficulty: NDArray[np.float64]
    hashrate: NDArray[np.float64]
    hashprice: NDArray[np.float64]
    power_w: NDArray[np.float64] = field(repr=False)
    blocks: NDArray[np.float64] = field(repr=False)
    running: NDArray[np.float64] = field(repr=False)
    retargets: NDArray[np.float64] = field(repr=False)


def difficulty_path(
    fleet: Iterable[Tranche],
    price: ArrayLike,
    subsidy_btc: ArrayLike = 3.125,
    fees_btc: ArrayLike = 0.0,
    *,
    step_seconds: float = 86400.0,
    difficulty: float | None = None,
    entry_per_day: float = math.inf,
    chain: Chain | None = None,
) -> DifficultyPath:
    """Hashrate and difficulty along a path of prices, as machines enter, leave and are bought.

    A machine stops when the hashprice, at the difficulty of the moment, is below its running cost. It
    starts, the cheapest first, when the hashprice is above it and would still be after the next
    retarget with all that run by then. Tranches that must earn their capital start empty and are bought
    (cheapest first, no faster than `entry_per_day`) while the hashprice that all machines there would
    leave is at least their full cost; once bought, only their running cost counts. Blocks come at their
    expected rate, and every `chain.retarget_blocks` of them the difficulty changes by Bitcoin's rule,
    off-by-one and limits included. If all machines stop, no block comes and the difficulty stays: the
    chain stands still.

    Parameters
    ----------
    fleet : iterable of Tranche
        All machines that may run or be bought.
    price : array_like, 1-d
        Of a bitcoin, by step [$].
    subsidy_btc, fees_btc : array_like
        New coins, and mean fees, of a block, one number or one per step [BTC].
    step_seconds : float
        Length of a step [s].
    difficulty : float, optional
        At the start of a period; by default the equilibrium's at the first price, of the machines that
        are there already.
    entry_per_day : float
        Most hashrate that is bought in a day [hash/s].
    chain : Chain, optional
        By default Bitcoin.

    Returns
    -------
    DifficultyPath
        Difficulty [1], hashrate [hash/s], hashprice [$/(PH/s day)] and power [W] step by step.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, the index, the value and what is allowed.

    Examples
    --------
    >>> fleet = [Tranche("Antminer S21", 1e6, cents / 100) for cents in range(3, 12)]
    >>> path = difficulty_path(fleet, [100_000] * 30 + [50_000] * 60)
    >>> len(path.retargets), round(float(path.difficulty[-1] / path.difficulty[0]), 3)
    (5, 0.667)
    """
    rules, given = chain_of(chain), tranches_of(fleet)
    coin = reals("price", price, above=True)
    if coin.ndim != 1 or coin.size == 0:
        raise ValueError(f"price has shape {coin.shape}; allowed: one dimension, not empty")
    reward = reward_of(subsidy_btc, fees_btc)
    if reward.shape not in ((), coin.shape):
        raise ValueError(f"subsidy_btc has shape {reward.shape}; allowed: () or {coin.shape}")
    reward = np.broadcast_to(reward, coin.shape)
    step = finite_number("step_seconds", step_seconds, above=True)
    pace = entry_per_day
    if pace != math.inf:
        pace = finite_number("entry_per_day", entry_per_day)
    there = [tranche for tranche in given if tranche.capital_usd_per_day == 0.0]
    if difficulty is not None:
        hard = finite_number("difficulty", difficulty, above=True)
    elif there:
        hard = float(equilibrium(there, coin[0], reward[0], chain=rules).difficulty)
    else:
        raise ValueError("difficulty is None; allowed where no machine is there yet: a number > 0")
    return _Walk(given, rules, hard, pace, step).along(coin, reward, step)


class _Walk:
    """A fleet, the difficulty and the period that is under way."""

    def __init__(
        self, fleet: tuple[Tranche, ...], chain: Chain, difficulty: float, pace: float, step: float
    ) -> None:
        self.chain, self.difficulty, self.step = chain, difficulty, step
        self.entry = pace * step / 86400.0
        self.cost = np.array([tranche.running_cost for tranche in fleet])
        self.full = np.array([tranche.full_cost for tranche in fleet])
        self.joules = np.array([tranche.joules_per_hash for tranche in fleet])
        self.limit = np.array([tranche.hashrate for tranche in fleet])
        new = np.array([tranche.capital_usd_per_day > 0.0 for tranche in fleet])
        self.there = np.where(new, 0.0, self.limit)
        self.buyers = [int(k) for k in np.argsort(self.full, kind="stable") if new[k]]
        self.by_cost = [int(k) for k in np.argsort(self.cost, kind="stable")]
        self.on = np.zeros(len(fleet))
        self.done = self.span = 0.0  # blocks of the period, and its time
        self.retargets: list[tuple[float, float]] = []

    def hashprice(self, price: float, reward: float) -> float:
        kernel: Any = kernels.hashprice_usd
        return float(kernel(self.difficulty, reward, price))

    def money(self, price: float, reward: float) -> float:
        """What the blocks pay, over which any hashrate gives its hashprice [$ hash/s per PH/s and day]."""
        return price * reward * 86400.0 / self.chain.mean_block_seconds * 1e15

    def buy(self, price: float, reward: float) -> None:
        """Buy machines until the next one would not earn its full cost."""
        money = self.money(price, reward)
        left = self.entry
        for k in self.buyers:
            rivals = float(self.there[self.cost <= self.full[k]].sum())
            room = money / self.full[k] - rivals
            more = max(0.0, min(room, left, self.limit[k] - self.there[k]))
            self.there[k] += more
            left -= more

    def running(self, price: float, reward: float) -> NDArray[np.float64]:
        """Switch machines off and on; hashrate of each tranche."""
        # the margin itself is a price at which machines run, rounding or not
        earning = self.cost <= self.hashprice(price, reward) * (1.0 + 1e-9)
        self.on = np.where(earning, self.on, 0.0)
        money = self.money(price, reward)
        total = float(self.on.sum())
        for k in self.by_cost:
            if earning[k] and self.on[k] < self.there[k]:
                room = money / self.cost[k] - total if self.cost[k] > 0.0 else math.inf
                more = max(0.0, min(room, self.there[k] - self.on[k]))
                self.on[k] += more
                total += more
        return self.on.copy()

    def advance(self, start: float, step: float, price: float, reward: float) -> float:
        """Blocks of a step; retargets where they fall."""
        found, left = 0.0, step
        while True:
            rate = float(self.running(price, reward).sum()) / (self.difficulty * 2.0**32)
            need = self.chain.retarget_blocks - self.done
            if rate * left < need:
                self.done += rate * left
                self.span += left
                return found + rate * left
            wait = need / rate
            left -= wait
            found += need
            self._retarget(self.span + wait, start + step - left)

    def _retarget(self, span: float, now: float) -> None:
        if len(self.retargets) == _MOST_RETARGETS:
            raise ValueError(
                f"step_seconds is {self.step:g}, with more than {_MOST_RETARGETS:,} retargets of "
                f"{self.chain.retarget_blocks} blocks every {self.chain.block_seconds:g} s; allowed: fewer"
            )
        kernel: Any = kernels.next_difficulty
        # in the mean over their luck: at a constant hashrate blocks come as far apart as they do in truth
        seen = span * (self.chain.block_seconds / self.chain.mean_block_seconds)
        free = float(kernel(self.difficulty, seen, self.chain.retarget_seconds))
        self.difficulty = max(free, self.chain.least_difficulty)
        self.done = self.span = 0.0
        self.retargets.append((now, self.difficulty))

    def along(
        self, prices: NDArray[np.float64], rewards: NDArray[np.float64], step: float
    ) -> DifficultyPath:
        rows, running = [], []
        for i, (price, reward) in enumerate(zip(prices.tolist(), rewards.tolist(), strict=True)):
            self.buy(price, reward)
            blocks = self.advance(i * step, step, price, reward)
            on = self.running(price, reward)
            running.append(on)
            rows.append((self.difficulty, on.sum(), self.hashprice(price, reward),
                         self.joules @ on, blocks))  # fmt: skip
        hard, rate, earned, watts, blocks_ = np.array(rows, dtype=float).T
        times = step * np.arange(1.0, len(rows) + 1.0)
        changes = np.array(self.retargets, dtype=float).reshape(-1, 2)
        return DifficultyPath(
            times, hard, rate, earned, watts, blocks_, np.array(running).T, changes
        )
