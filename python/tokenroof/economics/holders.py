"""What dated shares leave open of concentration: its least and its most."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tokenroof.catalogue.held import Holding, holdings
from tokenroof.support.arguments import flag, share
from tokenroof.support.equality import by_value

__all__ = ["ConcentrationBounds", "concentration_bounds"]

_SLACK = 1e-12


@by_value
@dataclass(frozen=True)
class ConcentrationBounds:
    """Least and most concentration that printed shares allow.

    Attributes
    ----------
    of, date, source : str
    hhi : (float, float)
        Herfindahl-Hirschman index [1].
    nakamoto : (int, int)
        Least number of holders that reach the threshold [1]; the first where shares are most concentrated.
    named : float
        Share of those that are named [1].
    """

    of: str
    date: str
    source: str
    hhi: tuple[float, float]
    nakamoto: tuple[int, int]
    named: float


def concentration_bounds(
    of: str | Holding | None = None, threshold: float = 0.51, strict: bool = False
) -> tuple[ConcentrationBounds, ...]:
    """The least and the most concentration of the catalogue's dated shares, oldest first.

    At the least, holders under one name share alike and what is not named is many small ones. At the most,
    one under each name has nearly all of it, and what is not named is in as few hands as may be: each as
    large as the smallest that is named, where those are the largest.

    Parameters
    ----------
    of : str or Holding, optional
        "pools", "miner makers", "buyers of NVIDIA"; all if None.
    threshold : float
        Share at which holders together rule [1].
    strict : bool
        Whether it must be exceeded, not only reached.

    Returns
    -------
    tuple of ConcentrationBounds

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name or a number out of its range.

    Examples
    --------
    >>> (buyers,) = concentration_bounds("buyers of NVIDIA")
    >>> round(1e4 * buyers.hhi[0]), round(1e4 * concentration_bounds("miner makers")[-1].hhi[0])
    (720, 6953)
    """
    limit, beyond = share("threshold", threshold), bool(flag("strict", strict))
    if beyond and limit == 1.0:
        raise ValueError("threshold is 1.0 with strict; allowed: below 1, as no shares exceed all")
    given = (of,) if isinstance(of, Holding) else holdings(of)
    return tuple(_bounds(one, limit, beyond) for one in given)


def _bounds(one: Holding, limit: float, beyond: bool) -> ConcentrationBounds:
    even = [part / k for _, k, part in one.shares for _ in range(k)]
    whole = [part for _, _, part in one.shares]
    # who is not named holds no more than who is, where the named ones are the largest
    cap = one.rest if one.others_may_exceed else min(min(even), one.rest)
    if any(k > 1 for _, k, _ in one.shares) and not one.others_may_exceed:
        cap = min(max(whole), one.rest)  # the smallest of a group may be of any size
    pieces = _pieces(one.rest, cap)
    most = sorted([*whole, *pieces], reverse=True)
    least = sorted(even, reverse=True)
    return ConcentrationBounds(
        one.of, one.date, one.provenance.source,
        (sum(x * x for x in even), sum(x * x for x in most)),
        (_rulers(most, limit, beyond), _rulers(least, limit, beyond)), 1.0 - one.rest,
    )  # fmt: skip


def _pieces(rest: float, cap: float) -> list[float]:
    """The rest in as few hands as may be."""
    if cap <= 0.0:
        return []
    full = math.floor(rest / cap + _SLACK)
    left = rest - full * cap
    return [cap] * full + ([left] if left > _SLACK else [])


def _rulers(shares: list[float], limit: float, beyond: bool) -> int:
    """How many of the largest reach the limit; of many small ones at least one more than are named."""
    total = 0.0
    for k, part in enumerate(shares, 1):
        total += part
        if total > limit + _SLACK or (not beyond and total >= limit - _SLACK):
            return k
    return len(shares) + 1
