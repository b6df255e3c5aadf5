"""The network seen from a miner: waits for blocks, its hashrate, what a hash earns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import kernels
from tokenroof.mining.bitcoin import BLOCK_SECONDS
from tokenroof.mining.inputs import number_or_array, reals, reward_of
from tokenroof.support.arguments import check_shapes, finite_number, shown, whole_number
from tokenroof.support.equality import by_value
from tokenroof.support.labels import keeps_labels

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

# The tail sums below take the root of so many steps, and lose as many digits as it has.
_MOST_BLOCKS = 10**9


def _kernel(name: str, **arguments: Any) -> float | NDArray[np.float64]:
    check_shapes(**arguments)
    return number_or_array(getattr(kernels, name)(*arguments.values()))


# --- waits ---------------------------------------------------------------------------------------------


@keeps_labels
def expected_time_to_block(hashrate: ArrayLike, difficulty: ArrayLike) -> Any:
    """Mean time until a miner finds a block: difficulty * 2**32 / hashrate [s].

    The wait is exponential, whatever the time already spent. 2**32 stands for 2**256 / (target + 1) at
    difficulty 1, which is larger by 1.5e-5.

    Parameters
    ----------
    hashrate : array_like
        [hash/s].
    difficulty : array_like
        [1].

    Returns
    -------
    float or ndarray
        [s].

    Raises
    ------
    ValueError, TypeError
        If one is not above zero.

    Examples
    --------
    >>> expected_time_to_block(100e12, 1e14)
    4294967296.0
    """
    return _kernel(
        "time_to_block",
        hashrate=reals("hashrate", hashrate, above=True),
        difficulty=reals("difficulty", difficulty, above=True),
    )


@keeps_labels
def block_probability(hashrate: ArrayLike, difficulty: ArrayLike, seconds: ArrayLike) -> Any:
    """Probability that a miner finds a block within a time: 1 - exp(-seconds / mean wait) [1].

    Parameters
    ----------
    hashrate, difficulty : array_like
        As in `expected_time_to_block`.
    seconds : array_like
        [s].

    Returns
    -------
    float or ndarray
        [1].

    Raises
    ------
    ValueError, TypeError
        Naming the argument, its value and what is allowed.

    References
    ----------
    Nakamoto, Bitcoin, 2008, section 11: blocks arrive as a Poisson process.

    Examples
    --------
    >>> round(block_probability(1e15, 1e14, 365 * 86400), 6)
    0.070795
    """
    return _kernel(
        "block_probability",
        hashrate=reals("hashrate", hashrate),
        difficulty=reals("difficulty", difficulty, above=True),
        seconds=reals("seconds", seconds),
    )


@keeps_labels
def time_to_block_quantile(
    hashrate: ArrayLike, difficulty: ArrayLike, probability: ArrayLike
) -> float | NDArray[np.float64]:
    """Time within which a miner finds a block with a probability; the inverse of `block_probability` [s].

    Parameters
    ----------
    hashrate, difficulty : array_like
        As in `expected_time_to_block`.
    probability : array_like
        At least 0, below 1 [1].

    Returns
    -------
    float or ndarray
        [s].

    Raises
    ------
    ValueError, TypeError
        Naming the argument, its value and what is allowed.

    Examples
    --------
    >>> round(time_to_block_quantile(1e15, 1e14, 0.5) / 86400 / 365, 3)
    9.44
    """
    part = reals("probability", probability, below=1.0)
    mean = np.asarray(expected_time_to_block(hashrate, difficulty))
    check_shapes(difficulty=mean, probability=part)
    return number_or_array(mean * -np.log1p(-part))


# --- hashrate ------------------------------------------------------------------------------------------


@keeps_labels
def network_hashrate(difficulty: ArrayLike, block_seconds: ArrayLike = BLOCK_SECONDS) -> Any:
    """Hashrate at which blocks are so far apart: difficulty * 2**32 / block_seconds [hash/s].

    Parameters
    ----------
    difficulty : array_like
        [1].
    block_seconds : array_like
        Mean time between blocks, seen or aimed at [s].

    Returns
    -------
    float or ndarray
        [hash/s].

    Raises
    ------
    ValueError, TypeError
        If one is not above zero.

    Examples
    --------
    >>> round(network_hashrate(1.4647e14) / 1e18, 2)
    1048.47
    """
    return _kernel(
        "time_to_block",
        block_seconds=reals("block_seconds", block_seconds, above=True),
        difficulty=reals("difficulty", difficulty, above=True),
    )


@by_value
@dataclass(frozen=True)
class HashrateEstimate:
    """A hashrate, and how far the luck of the blocks leaves it open.

    Attributes
    ----------
    hashrate : float
        Expected hashes of the blocks that were found, over the time [hash/s].
    low, high : float
        Confidence interval [hash/s].
    blocks : int
        Blocks that were found.
    confidence : float
        Least probability that such an interval holds the true hashrate [1].
    """

    hashrate: float
    low: float
    high: float
    blocks: int
    confidence: float

    def __str__(self) -> str:
        e = 1e18
        return (
            f"{self.hashrate / e:.4g} EH/s, {100.0 * self.confidence:.15g}% between {self.low / e:.4g} "
            f"and {self.high / e:.4g}"
        )


def hashrate_from_blocks(
    blocks: int, seconds: float, difficulty: float, confidence: float = 0.95
) -> HashrateEstimate:
    """Hashrate of whoever found so many blocks, with its confidence interval.

    Blocks are Poisson: the interval is the exact one, of the means under which so many blocks or more,
    or so many or fewer, have a probability of (1 - confidence) / 2.

    Parameters
    ----------
    blocks : int
        Found in a span of time that was chosen beforehand, not one that ends with a block.
    seconds : float
        That span [s].
    difficulty : float
        Mean difficulty of the span [1].
    confidence : float
        Above 0, below 1 [1].

    Returns
    -------
    HashrateEstimate
        With its interval [hash/s].

    Raises
    ------
    ValueError, TypeError
        Naming the argument, its value and what is allowed.

    References
    ----------
    Garwood, Fiducial limits for the Poisson distribution, Biometrika 28, 1936.

    Examples
    --------
    >>> print(hashrate_from_blocks(151, 86400, 13912524048945.9))
    104.4 EH/s, 95% between 88.44 and 122.5
    """
    found = whole_number("blocks", blocks, 0)
    if found > _MOST_BLOCKS:
        raise ValueError(f"blocks is {found}; allowed: an integer from 0 to {_MOST_BLOCKS}")
    span = finite_number("seconds", seconds, above=True)
    hard = finite_number("difficulty", difficulty, above=True)
    sure = finite_number("confidence", confidence, above=True)
    if sure >= 1.0:
        raise ValueError(f"confidence is {shown(confidence)}; allowed: above 0, below 1")
    one = float(kernels.time_to_block(span, hard))
    tail = 0.5 * (1.0 - sure)
    low = _gamma_quantile(found, tail, upper=False) if found else 0.0
    return HashrateEstimate(
        found * one, low * one, _gamma_quantile(found + 1, tail, upper=True) * one, found, sure
    )


def _gamma_tails(a: float, x: float) -> tuple[float, float]:
    """Regularised incomplete gamma functions P(a, x) and Q(a, x) (DLMF 8.7.1, 8.9.2 by Lentz)."""
    density = math.exp(a * math.log(x) - x - math.lgamma(a))  # x times it
    if x < a + 1.0:
        term = total = 1.0 / a
        k = a
        while term > 1e-17 * total:
            k += 1.0
            term *= x / k
            total += term
        return density * total, 1.0 - density * total
    b = x + 1.0 - a
    c, d = 1e300, 1.0 / b
    fraction, change, i = d, 0.0, 0
    while abs(change - 1.0) > 1e-16 and i < 10_000_000:
        i += 1
        step = -i * (i - a)
        b += 2.0
        d = 1.0 / (step * d + b)
        c = b + step / c
        change = d * c
        fraction *= change
    return 1.0 - density * fraction, density * fraction


def _gamma_quantile(a: int, tail: float, *, upper: bool) -> float:
    """The x beyond which (or, not `upper`, before which) a gamma of shape `a` has this probability."""
    z = NormalDist().inv_cdf(tail)
    ninth = 1.0 / (9.0 * a)
    guess = a * (1.0 - ninth + (-z if upper else z) * math.sqrt(ninth)) ** 3  # Wilson and Hilferty
    x, low, high = max(guess, 1e-3 * a * tail), 0.0, math.inf
    for _ in range(200):
        below, above = _gamma_tails(a, x)
        miss = tail - above if upper else below - tail  # grows with x
        if miss == 0.0:
            return x
        low, high = (low, x) if miss > 0.0 else (x, high)
        slope = math.exp((a - 1.0) * math.log(x) - x - math.lgamma(a))
        better = x - miss / slope if slope > 0.0 else math.inf
        if not low < better < high:
            better = 0.5 * (low + high) if high < math.inf else 2.0 * x
        if abs(better - x) <= 4e-16 * x:
            return better
        x = better
    return x


# --- revenue -------------------------------------------------------------------------------------------


@keeps_labels
def hashprice(
    difficulty: ArrayLike,
    price: ArrayLike,
    subsidy_btc: ArrayLike = 3.125,
    fees_btc: ArrayLike = 0.0,
) -> float | NDArray[np.float64]:
    """Expected revenue of one PH/s over a day [$/(PH/s day)].

    Parameters
    ----------
    difficulty : array_like
        [1].
    price : array_like
        Price of a bitcoin [$].
    subsidy_btc, fees_btc : array_like
        New coins and fees of a block [BTC].

    Returns
    -------
    float or ndarray
        [$/(PH/s day)].

    Raises
    ------
    ValueError, TypeError
        If difficulty or price are not above zero, or subsidy or fees below it.

    References
    ----------
    Luxor's definition of hashprice.

    Examples
    --------
    >>> round(hashprice(1e14, 1e5, fees_btc=0.05), 6)
    63.870102
    """
    return _kernel(
        "hashprice_usd",
        difficulty=reals("difficulty", difficulty, above=True),
        subsidy_btc=reward_of(subsidy_btc, fees_btc, above=False),
        price=reals("price", price, above=True),
    )
