"""How few hold how much: of pools over blocks, of makers over machines, of buyers over revenue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from tokenroof.support.arguments import as_seed, flag, reals, refuse, share, shown
from tokenroof.support.equality import by_value

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Concentration", "concentration"]

Interval: TypeAlias = "tuple[float, float] | tuple[NDArray[np.float64], NDArray[np.float64]]"
_DRAWS = 4096
_ROUNDING = 1e-9  # by which printed shares may miss their sum


@by_value
@dataclass(frozen=True)
class Concentration:
    """Measures of shares that sum to one.

    Attributes
    ----------
    shares : ndarray
        Of each holder, the largest first [1].
    hhi : float
        Herfindahl-Hirschman index, sum of squares: 1/n to 1; times 10^4 as antitrust prints it [1].
    gini : float
        Gini coefficient: 0 for equal shares, 1 - 1/n for one holder of all [1].
    entropy_bits : float
        Shannon's entropy [bit].
    nakamoto : int
        Least number of holders whose shares reach (or exceed) the threshold [1].
    largest : ndarray
        Share of the largest 1, 2, ... n together [1].
    intervals : dict
        Of counted blocks: (low, high) of ``hhi``, ``gini``, ``entropy_bits``, ``nakamoto``, and arrays of
        both for ``largest``; empty where shares were given.
    """

    shares: NDArray[np.float64]
    hhi: float
    gini: float
    entropy_bits: float
    nakamoto: int
    largest: NDArray[np.float64]
    intervals: dict[str, Interval]

    @property
    def effective_number(self) -> float:
        """Equal holders that would give the same `hhi` [1]."""
        return 1.0 / self.hhi

    @property
    def normalised_hhi(self) -> float:
        """`hhi` from 0 for equal shares to 1 for one holder; 1 if there is only one [1]."""
        n = self.shares.size
        return (self.hhi - 1.0 / n) / (1.0 - 1.0 / n) if n > 1 else 1.0

    @property
    def unbiased_gini(self) -> float:
        """`gini` times n / (n - 1): 1 for one holder of all among others [1]."""
        n = self.shares.size
        return self.gini * n / (n - 1) if n > 1 else 0.0


def concentration(
    shares: ArrayLike | None = None,
    counts: ArrayLike | None = None,
    threshold: float = 0.51,
    strict: bool = False,
    level: float = 0.95,
    seed: int = 0,
) -> Concentration:
    """Herfindahl, Gini and Nakamoto of shares, or of counted blocks with what chance leaves open.

    Parameters
    ----------
    shares : array_like, 1-d, optional
        Part of the whole of each holder [1]: sums to one. A rest of many small holders is given as such;
        leaving it out is an error, as the measures would be of something else.
    counts : array_like, 1-d, optional
        Blocks that each found [1], in place of shares.
    threshold : float
        Share at which holders together rule [1]: 0.51 in Srinivasan and Lee; 0.5 with `strict` in others.
    strict : bool
        Whether the threshold must be exceeded, not only reached.
    level : float
        Probability of the intervals of counts [1].
    seed : int
        Of their random numbers.

    Returns
    -------
    Concentration

    Raises
    ------
    ValueError, TypeError
        If both or neither are given, shares do not sum to one, or a number is out of its range, by name.

    Notes
    -----
    Blocks are found by chance: counts are multinomial, and the intervals are quantiles of 4,096 draws from
    the posterior of the shares, Dirichlet(counts + 1/2) (Jeffreys; Gelman and others, Bayesian Data Analysis,
    3rd edition, 2013, section 3.4).

    References
    ----------
    Srinivasan and Lee, Quantifying Decentralization, 2017: least k of a system; that of a whole with several
    subsystems is the least over them. U.S. Merger Guidelines, 2023, section 2.1: an HHI above 1,800 points is
    highly concentrated.

    Examples
    --------
    >>> found = concentration([0.3, 0.25, 0.15, 0.1, 0.08, 0.05, 0.04, 0.03])
    >>> round(found.hhi, 6), round(found.gini, 6), found.nakamoto
    (0.1964, 0.4075, 2)
    >>> concentration([0.505, 0.495]).nakamoto, concentration([0.505, 0.495], threshold=0.5).nakamoto
    (2, 1)
    >>> counted = concentration(counts=[301, 247, 150, 102, 200])
    >>> low, high = counted.intervals["hhi"]
    >>> low < counted.hhi < high
    True
    """
    limit = share("threshold", threshold)
    beyond = bool(flag("strict", strict))
    if beyond and limit == 1.0:
        raise ValueError("threshold is 1.0 with strict; allowed: below 1, as no shares exceed all")
    inside = share("level", level)
    if inside == 1.0:
        raise ValueError(f"level is {shown(level)}; allowed: above 0, below 1")
    seed = as_seed(seed)
    if (shares is None) == (counts is None):
        both = "both are" if shares is not None else "neither is"
        raise ValueError(f"of shares and counts {both} given; allowed: one of them")
    if counts is None:
        return _measures(_shares(shares), limit, beyond, {})
    blocks = _counts(counts)
    drawn = np.random.default_rng(seed).dirichlet(blocks + 0.5, _DRAWS)
    each = _all(drawn, limit, beyond)
    tails = [0.5 - 0.5 * inside, 0.5 + 0.5 * inside]
    intervals: dict[str, Interval] = {}
    for name, values in each.items():
        low, high = np.quantile(values, tails, axis=0)
        intervals[name] = (low, high) if name == "largest" else (float(low), float(high))
    return _measures(blocks / blocks.sum(), limit, beyond, intervals)


def _shares(value: ArrayLike | None) -> NDArray[np.float64]:
    array = reals("shares", value if value is not None else [])
    if array.ndim != 1 or not array.size:
        raise ValueError(f"shares is {shown(value)}; allowed: numbers in one dimension")
    if abs(array.sum() - 1.0) > _ROUNDING:
        raise ValueError(
            f"shares sum to {array.sum():.12g}; allowed: 1, the rest being given as holders of its own"
        )
    parts: NDArray[np.float64] = array / array.sum()
    return parts


def _counts(value: ArrayLike) -> NDArray[np.float64]:
    array = reals("counts", value)
    allowed = "whole numbers in one dimension, not all 0"
    if array.ndim != 1 or not array.any():
        raise ValueError(f"counts is {shown(value)}; allowed: {allowed}")
    refuse("counts", array, array != np.floor(array), allowed)
    return array


def _all(rows: NDArray[np.float64], limit: float, beyond: bool) -> dict[str, NDArray[np.float64]]:
    """Each measure of each row of shares."""
    n = rows.shape[-1]
    down = -np.sort(-rows, axis=-1)
    largest = np.minimum(np.cumsum(down, axis=-1), 1.0)
    rank = n + 1 - 2.0 * np.arange(1, n + 1)  # of the i-th largest
    with np.errstate(divide="ignore", invalid="ignore"):
        bits = np.where(down > 0.0, -down * np.log2(down), 0.0)
    # what printed decimals add up to differs from the threshold by roundings
    slack = 4.0 * np.finfo(float).eps
    short = largest <= limit + slack if beyond else largest < limit - slack
    return {
        "hhi": np.sum(down * down, axis=-1),
        "gini": np.sum(down * rank, axis=-1) / n,
        "entropy_bits": np.sum(bits, axis=-1),
        "nakamoto": np.minimum(short.sum(axis=-1) + 1.0, n),
        "largest": largest,
    }


def _measures(
    shares: NDArray[np.float64], limit: float, beyond: bool, intervals: dict[str, Interval]
) -> Concentration:
    found = _all(shares[None, :], limit, beyond)
    down = -np.sort(-shares)
    return Concentration(
        down, float(found["hhi"][0]), float(found["gini"][0]), float(found["entropy_bits"][0]),
        int(found["nakamoto"][0]), found["largest"][0], intervals,
    )  # fmt: skip
