"""What a miner earns under each way of paying out, how much that varies, and who may be ruined."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof._inputs import amounts, finite_number

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

SCHEMES = ("PPS", "FPPS", "PPS+", "PPLNS", "SOLO")


@dataclass(frozen=True)
class PoolIncome:
    """Income of a miner over a time.

    Attributes
    ----------
    scheme : str
        One of `SCHEMES`.
    mean_btc, variance_btc2 : float or ndarray
        Expected income and its variance [BTC], [BTC^2].
    ruin : float
        Probability that whoever bears the luck ever spends the whole reserve: the pool that pays per
        share, the miner under PPLNS and SOLO. NaN where no reserve was given.
    bearer : str
        Who that is: "pool" or "miner".
    """

    scheme: str
    mean_btc: Any
    variance_btc2: Any
    ruin: float
    bearer: str

    @property
    def std_btc(self) -> Any:
        """Standard deviation [BTC]."""
        return np.sqrt(self.variance_btc2)

    @property
    def relative_std(self) -> Any:
        """Standard deviation over the mean [1]."""
        return self.std_btc / self.mean_btc


def _ruin(reserve: float, spent: float) -> float:
    """Probability that a reserve, in units of one payment, ever runs out.

    Payments arrive as a Poisson process; `spent` is what is spent meanwhile, as a share of their mean.
    The reserve falls without jumps, so Lundberg's bound is exact: exp(-x reserve), where x > 0 solves
    exp(-x) + spent x = 1.
    """
    if spent >= 1.0:
        return 1.0
    if spent == 0.0:
        return 0.0
    low, high = 1e-300, 1.0 / spent  # the difference is above zero at first and below at last
    for _ in range(1100):
        middle = 0.5 * (low + high)
        if -np.expm1(-middle) - spent * middle > 0.0:
            low = middle
        else:
            high = middle
        if high - low <= 1e-16 * high:
            break
    return float(np.exp(-high * reserve))


def pool_income(
    scheme: str,
    hashrate: ArrayLike,
    difficulty: ArrayLike,
    seconds: ArrayLike,
    *,
    subsidy_btc: float = 3.125,
    fees_btc: float = 0.0,
    fee: float = 0.0,
    pool_hashrate: float | None = None,
    share_difficulty: float = 1.0,
    reserve_btc: float | None = None,
    cost_btc_per_s: float | None = None,
) -> PoolIncome:
    """Mean and variance of a miner's income, and the bearer's probability of ruin.

    Blocks are a Poisson process of rate ``hashrate / (difficulty * 2**32)``. SOLO pays whole blocks.
    PPLNS pays a miner's part of the pool's blocks (over times that are long against its window). PPS
    pays each share its expected part of the subsidy, FPPS of subsidy and fees; PPS+ pays the subsidy
    per share and the fees as PPLNS.

    Parameters
    ----------
    scheme : {"PPS", "FPPS", "PPS+", "PPLNS", "SOLO"}
    hashrate, difficulty, seconds : array_like
        Of the miner [hash/s], of the network [1], time [s].
    subsidy_btc, fees_btc : float
        New coins, and mean fees, of a block [BTC].
    fee : float
        Part that the pool keeps [1].
    pool_hashrate : float, optional
        Of the whole pool, the miner included; PPLNS and PPS+ need it [hash/s].
    share_difficulty : float
        Difficulty of a share [1].
    reserve_btc : float, optional
        What the bearer of the luck starts with, for `PoolIncome.ruin` [BTC].
    cost_btc_per_s : float, optional
        What the miner spends, for the ruin of a miner under PPLNS and SOLO [BTC/s].

    Returns
    -------
    PoolIncome

    Raises
    ------
    ValueError, TypeError
        Naming the argument, its value and what is allowed.

    References
    ----------
    Rosenfeld, Analysis of Bitcoin Pooled Mining Reward Systems, arXiv:1112.4980, sections 2 and 3;
    Asmussen and Albrecher, Ruin Probabilities, 2010, chapter IV, for the exponent.

    Examples
    --------
    >>> month = pool_income("SOLO", 1e15, 1e14, 30 * 86400)
    >>> round(float(month.mean_btc), 9), round(float(month.std_btc), 9)
    (0.018859282, 0.242765847)
    """
    name = scheme.upper() if isinstance(scheme, str) else scheme
    if name not in SCHEMES:
        raise ValueError(f"scheme is {scheme!r}; allowed: {', '.join(SCHEMES)}")
    rate = amounts("hashrate", hashrate, positive=True)
    hard = amounts("difficulty", difficulty, positive=True)
    time = amounts("seconds", seconds)
    subsidy = finite_number("subsidy_btc", subsidy_btc)
    fees = finite_number("fees_btc", fees_btc)
    kept = finite_number("fee", fee)
    if kept >= 1.0:
        raise ValueError(f"fee is {fee!r}; allowed: at least 0, below 1")
    share = finite_number("share_difficulty", share_difficulty, above=True)
    if np.any(share > hard):
        raise ValueError(f"share_difficulty is {share_difficulty!r}; allowed: at most difficulty")

    blocks = rate * time / (hard * 2.0**32)
    part: Any = 1.0  # of the pool's blocks, for what is paid as they are found
    if name in ("PPLNS", "PPS+"):
        if pool_hashrate is None:
            raise ValueError(f"pool_hashrate is None; allowed with {name}: a number > 0")
        pool = finite_number("pool_hashrate", pool_hashrate, above=True)
        if np.any(rate > pool):
            raise ValueError(f"pool_hashrate is {pool_hashrate!r}; allowed: at least the miner's")
        part = rate / pool

    net = 1.0 - kept
    # what is paid per share varies by the count of shares alone, what is paid per block by blocks
    per_share = {"PPS": subsidy, "FPPS": subsidy + fees, "PPS+": subsidy}.get(name, 0.0)
    per_block = {"PPLNS": subsidy + fees, "SOLO": subsidy + fees, "PPS+": fees}.get(name, 0.0)
    mean = blocks * (per_share + per_block) * net
    variance = (blocks * per_share**2 * (share / hard) + part * blocks * per_block**2) * net**2

    bearer = "miner" if name in ("PPLNS", "SOLO") else "pool"
    ruin = float("nan")
    if reserve_btc is not None:
        reserve = finite_number("reserve_btc", reserve_btc)
        if bearer == "pool":
            ruin = _ruin(reserve / per_share, net) if per_share > 0.0 else float("nan")
        else:
            if cost_btc_per_s is None:
                raise ValueError(f"cost_btc_per_s is None; allowed with {name}: a number >= 0")
            if rate.ndim or hard.ndim:
                raise ValueError("hashrate is an array; allowed with reserve_btc: one number")
            payment = float(part) * per_block * net
            income = float(rate / (hard * 2.0**32)) * per_block * net
            spent = finite_number("cost_btc_per_s", cost_btc_per_s)
            ruin = 1.0 if income == 0.0 else _ruin(reserve / payment, spent / income)
    return PoolIncome(name, mean[()], variance[()], ruin, bearer)
