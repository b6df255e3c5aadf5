"""What a miner or a pool earns under each way of paying out, how much that varies, and who is ruined."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np

from tokenroof.mining.inputs import fee_of
from tokenroof.mining.ruin import ruin_ever, ruin_within
from tokenroof.support.arguments import amounts, check_options, finite_number, place, shown
from tokenroof.support.equality import by_value
from tokenroof.support.names import among

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

SCHEMES = ("PPS", "FPPS", "PPS+", "PPLNS", "SOLO")
PARTIES = ("miner", "pool")


@by_value
@dataclass(frozen=True)
class PoolIncome:
    """Income over a time.

    Attributes
    ----------
    scheme : str
        One of `SCHEMES`.
    mean_btc, variance_btc2 : float or ndarray
        Expected income and its variance [BTC], [BTC^2].
    ruin : float or ndarray
        Probability that the bearer ever spends the whole reserve; NaN where no reserve was given.
    bearer : str
        Whose ruin that is, "pool" or "miner".
    ruin_in_time : float or ndarray
        The same within the time; NaN also where fees are random, or payments too many to sum.
    """

    scheme: str
    mean_btc: Any
    variance_btc2: Any
    ruin: Any
    bearer: str
    ruin_in_time: Any = math.nan

    @property
    def std_btc(self) -> Any:
        """Standard deviation [BTC]."""
        return np.sqrt(self.variance_btc2)

    @property
    def relative_std(self) -> Any:
        """Standard deviation over the mean; NaN where both are 0 [1]."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.divide(self.std_btc, self.mean_btc)[()]


@dataclass(frozen=True)
class CashFlow:
    """What moves one party's balance: blocks that pay, and shares that are paid for.

    Attributes
    ----------
    blocks, shares : float or ndarray
        Of whom they count, per second: a miner's or the pool's [1/s].
    block_btc, fee_part, share_btc : float or ndarray
        What a block brings beside its fees [BTC], which part of its fees [1], what a share brings
        [BTC, below zero for who pays it].
    part : float or ndarray
        The miner's part of what a block brings, 1 where all of it goes to the party [1].
    windowed : bool
        Whether that part is counted over the last N shares.
    """

    blocks: Any
    shares: Any
    block_btc: Any
    fee_part: Any
    share_btc: Any
    part: Any
    windowed: bool


class PoolTerms(TypedDict, total=False):
    """What `pool_income` and `simulate_pool` take alike, beside the scheme; documented at `pool_income`."""

    subsidy_btc: float
    fees_btc: float
    fees_std_btc: float
    fee: float
    pool_hashrate: ArrayLike | None
    share_difficulty: float
    window_blocks: float


@dataclass(frozen=True)
class Terms:
    """The scheme and its terms, checked."""

    scheme: str
    hashrate: Any
    difficulty: Any
    pool_hashrate: Any
    subsidy_btc: float
    fees_btc: float
    fees_std_btc: float
    fee: float
    share_difficulty: float
    window_blocks: float

    @classmethod
    def checked(
        cls,
        scheme: str,
        hashrate: ArrayLike,
        difficulty: ArrayLike,
        party: str,
        *,
        subsidy_btc: float = 3.125,
        fees_btc: float = 0.0,
        fees_std_btc: float = 0.0,
        fee: float = 0.0,
        pool_hashrate: ArrayLike | None = None,
        share_difficulty: float = 1.0,
        window_blocks: float = 2.0,
    ) -> Terms:
        """The terms as callers give them; all but the first four as in `PoolTerms`."""
        name = scheme.upper() if isinstance(scheme, str) else scheme
        if not among(name, SCHEMES):
            raise ValueError(f"scheme is {shown(scheme)}; allowed: {', '.join(SCHEMES)}")
        if not among(party, PARTIES):
            raise ValueError(f"party is {shown(party)}; allowed: {', '.join(PARTIES)}")
        rate = amounts("hashrate", hashrate, positive=True)
        hard = amounts("difficulty", difficulty, positive=True)
        kept = fee_of(fee)
        share = finite_number("share_difficulty", share_difficulty, above=True)
        if np.any(share > hard):
            most = f"difficulty{place(share > hard)} ({hard[share > hard].flat[0]:.17g})"
            raise ValueError(f"share_difficulty is {share:g}; allowed: at most {most}")
        pool: Any = rate
        if pool_hashrate is not None:
            pool = amounts("pool_hashrate", pool_hashrate, positive=True)
            low = rate > pool
            if np.any(low):
                at = place(low) if pool.shape == low.shape else ""
                found = np.broadcast_to(pool, low.shape)[low].flat[0]
                raise ValueError(
                    f"pool_hashrate{at} is {found:.17g}; allowed: at least the miner's"
                )
        elif party == "miner" and name in ("PPLNS", "PPS+"):
            raise ValueError(f"pool_hashrate is None; allowed with {name}: a number > 0")
        mean = finite_number("fees_btc", fees_btc)
        std = finite_number("fees_std_btc", fees_std_btc)
        if std > 0.0 and mean == 0.0:
            raise ValueError(f"fees_std_btc is {std:g}; allowed with fees_btc 0: 0")
        return cls(
            name, rate, hard, pool, finite_number("subsidy_btc", subsidy_btc), mean, std,
            kept, share, finite_number("window_blocks", window_blocks, above=True),
        )  # fmt: skip

    @property
    def chance(self) -> Any:
        """Probability that a share is a block."""
        return self.share_difficulty / self.difficulty

    @property
    def window_shares(self) -> Any:
        """N, the shares that pay-per-last-N-shares looks back on."""
        return self.window_blocks / self.chance

    def miner_mean(self, seconds: Any) -> Any:
        """A miner's mean: what his blocks are worth, whatever the scheme but for the fees under PPS."""
        worth = self.subsidy_btc + (0.0 if self.scheme == "PPS" else self.fees_btc)
        return self.hashrate * seconds / (self.difficulty * 2.0**32) * worth * (1.0 - self.fee)

    def flow(self, party: str) -> CashFlow:
        """Cash flow of the miner, or of the pool that all its miners are paid by."""
        hashes = self.difficulty * 2.0**32
        mine, all_ = self.hashrate / hashes, self.pool_hashrate / hashes
        net, p = 1.0 - self.fee, self.chance
        per_share = {"PPS": self.subsidy_btc, "PPS+": self.subsidy_btc}.get(self.scheme, 0.0)
        if self.scheme == "FPPS":
            per_share = self.subsidy_btc + self.fees_btc
        paid = net * p * per_share
        if party == "pool":
            block, fees = {
                "PPS": (self.subsidy_btc, 1.0), "FPPS": (self.subsidy_btc, 1.0),
                "PPS+": (self.subsidy_btc, self.fee),
            }.get(self.scheme, (self.fee * self.subsidy_btc, self.fee))  # fmt: skip
            return CashFlow(all_, all_ / p, block, fees, -paid, 1.0, False)
        if self.scheme == "SOLO":
            return CashFlow(mine, mine / p, net * self.subsidy_btc, net, 0.0, 1.0, False)
        if self.scheme in ("PPS", "FPPS"):
            return CashFlow(mine, mine / p, 0.0, 0.0, paid, 1.0, False)
        block = net * self.subsidy_btc if self.scheme == "PPLNS" else 0.0
        return CashFlow(all_, mine / p, block, net, paid, self.hashrate / self.pool_hashrate, True)


def _moments(terms: Terms, flow: CashFlow, seconds: Any) -> tuple[Any, Any]:
    """Mean and variance of an income over a time."""
    block = flow.block_btc + flow.fee_part * terms.fees_btc
    square = block**2 + (flow.fee_part * terms.fees_std_btc) ** 2
    blocks, shares = flow.blocks * seconds, flow.shares * seconds
    mean = blocks * flow.part * block + shares * flow.share_btc
    variance = blocks * flow.part**2 * square + shares * flow.share_btc**2
    if not flow.windowed:
        # a block is a share too: what pays for both varies together
        return mean, variance + 2.0 * blocks * block * flow.share_btc
    # the miner's shares of a window are a binomial count, which blocks near each other have in common
    n, window = terms.window_shares, terms.window_blocks / flow.blocks
    noise = flow.part * (1.0 - flow.part) / n
    m = np.minimum(window, seconds)
    pairs = 2.0 * (seconds * window * m - (seconds + window) * m**2 / 2.0 + m**3 / 3.0)
    inside = seconds * m - m**2 / 2.0
    variance = variance + noise * (
        blocks * square
        + flow.blocks**2 * block**2 * pairs / window
        + 2.0 * flow.blocks * block * flow.share_btc * n * inside / window
    )
    return mean, variance


def _ruins(
    terms: Terms, flow: CashFlow, reserve: float, cost: float, seconds: Any
) -> tuple[Any, Any]:
    """Probabilities of ruin, ever and within the time."""
    if not flow.windowed and np.all(np.asarray(flow.share_btc) > 0.0):
        rate, gain, fee_gain, drift = flow.shares, flow.share_btc, 0.0, cost
    else:
        rate, gain, fee_gain = flow.blocks, flow.part * flow.block_btc, flow.part * flow.fee_part
        drift = cost - flow.shares * flow.share_btc
    std = terms.fees_std_btc if np.any(np.asarray(fee_gain) > 0.0) else 0.0

    def ever(drift: float, rate: float, gain: float, fee_gain: float) -> float:
        return ruin_ever(reserve, drift, rate, gain, fee_gain, terms.fees_btc, std)

    def within(drift: float, rate: float, gain: float, fee_gain: float, time: float) -> float:
        if std > 0.0 and drift > 0.0:
            return math.nan
        return ruin_within(reserve, drift, rate, gain + fee_gain * terms.fees_btc, time)

    numbers = (drift, rate, gain, fee_gain)
    return (
        _plain(np.vectorize(ever, otypes=[float])(*numbers)),
        _plain(np.vectorize(within, otypes=[float])(*numbers, seconds)),
    )


def without_reserve(cost_btc_per_s: float | None) -> None:
    """Reject a cost that nothing is paid from."""
    if finite_number("cost_btc_per_s", cost_btc_per_s or 0.0) > 0.0:
        raise ValueError(
            f"cost_btc_per_s is {shown(cost_btc_per_s)}; allowed without reserve_btc, from which "
            "it is paid: 0"
        )


def _plain(value: Any) -> Any:
    return float(value) if np.ndim(value) == 0 else value


def pool_income(
    scheme: str,
    hashrate: ArrayLike,
    difficulty: ArrayLike,
    seconds: ArrayLike,
    *,
    reserve_btc: float | None = None,
    cost_btc_per_s: float | None = None,
    party: str | None = None,
    **terms: Unpack[PoolTerms],
) -> PoolIncome:
    """Mean and variance of an income from mining, and the probability of ruin, in closed form.

    Blocks are a Poisson process of rate ``hashrate / (difficulty * 2**32)``, and each share is a block with
    the probability ``share_difficulty / difficulty``. SOLO pays whole blocks. PPLNS pays each block by the
    last N shares, here of a miner who has been there for a window. PPS pays each share its expected part of
    the subsidy, FPPS of subsidy and fees; PPS+ pays the subsidy per share and the fees as PPLNS. Under PPS
    the pool keeps the fees. `simulate_pool` plays the same.

    Parameters
    ----------
    scheme : {"PPS", "FPPS", "PPS+", "PPLNS", "SOLO"}
    hashrate, difficulty, seconds : array_like
        Of the miner [hash/s], of the network [1], time [s].
    subsidy_btc, fees_btc, fees_std_btc : float
        New coins of a block, by default 3.125; mean and standard deviation of its fees, by default 0 [BTC].
    fee : float
        Part that the pool keeps, by default none [1].
    pool_hashrate : array_like, optional
        Of the whole pool, the miner included; a miner's PPLNS and PPS+ need it [hash/s].
    share_difficulty : float
        Difficulty of a share, by default 1 [1].
    window_blocks : float
        Blocks that a PPLNS window is worth, of ``difficulty / share_difficulty`` shares each; by default
        2 [1].
    reserve_btc : float, optional
        What the bearer of the luck starts with, for `PoolIncome.ruin` [BTC].
    cost_btc_per_s : float, optional
        What the bearer spends beside paying for shares; a miner's ruin needs it [BTC/s].
    party : {"miner", "pool"}, optional
        Whose income and ruin. By default the miner's income, and the ruin of who bears the luck of the
        blocks: the pool that pays per share, the miner under PPLNS and SOLO.

    Returns
    -------
    PoolIncome
        Mean [BTC], variance [BTC^2] and ruin [1], arrays where the arguments are.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, its value and what is allowed.

    Notes
    -----
    For a pool that pays per share, Rosenfeld's bound on the ruin, exp(-2 f R / B), is this one to first
    order in the fee f. A pool's reserve and a PPLNS or SOLO miner's balance fall steadily between blocks.

    References
    ----------
    Rosenfeld, Analysis of Bitcoin Pooled Mining Reward Systems, arXiv:1112.4980, sections 2 and 3, and
    appendix C; for ruin see `tokenroof.mining.ruin`.

    Examples
    --------
    >>> month = pool_income("SOLO", 1e15, 1e14, 30 * 86400)
    >>> round(float(month.mean_btc), 9), round(float(month.std_btc), 9)
    (0.018859282, 0.242765847)
    >>> pool = pool_income("FPPS", 1e20, 1e14, 365 * 86400, fee=0.02, reserve_btc=500, party="pool")
    >>> round(pool.ruin, 4), round(pool.ruin_in_time, 4)
    (0.0015, 0.0008)
    """
    check_options("pool_income", terms, PoolTerms)
    whose = "miner" if party is None else party
    pool = Terms.checked(scheme, hashrate, difficulty, whose, **terms)
    time = amounts("seconds", seconds)
    bearer = party or ("miner" if pool.scheme in ("PPLNS", "SOLO") else "pool")
    mean, variance = _moments(pool, pool.flow(party or "miner"), time)
    if party != "pool":
        mean = pool.miner_mean(time)
    ruin: Any = math.nan
    in_time: Any = math.nan
    if reserve_btc is None:
        without_reserve(cost_btc_per_s)
    else:
        reserve = finite_number("reserve_btc", reserve_btc)
        if cost_btc_per_s is None and bearer == "miner":
            raise ValueError(f"cost_btc_per_s is None; allowed with {pool.scheme}: a number >= 0")
        cost = finite_number("cost_btc_per_s", cost_btc_per_s or 0.0)
        ruin, in_time = _ruins(pool, pool.flow(bearer), reserve, cost, time)
    return PoolIncome(pool.scheme, mean[()], variance[()], ruin, bearer, in_time)
