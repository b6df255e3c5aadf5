"""The fewest replicas of each pool that keep a promise, whole ones, found by trying."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["fewest", "settled"]

Counts = tuple[int, ...]


def fewest(
    meets: Callable[[Counts], bool], least: Counts, devices: Sequence[int], most: int
) -> Counts | None:
    """The counts of one pool or two that meet with the fewest devices, of equals with the fewest of the last.

    Parameters
    ----------
    meets : callable
        Whether so many replicas of each pool do; with more of any they go on doing so.
    least : tuple of int
        Below which nothing is tried.
    devices : sequence of int
        Of a replica of each pool [1].
    most : int
        Replicas of a pool at most [1].

    Returns
    -------
    tuple of int, or None
        None where not even `most` of each meet.

    Examples
    --------
    >>> fewest(lambda n: n[0] * n[1] >= 12 and n[1] >= 2, (1, 1), (1, 2), 64)
    (6, 2)
    """
    if not meets((most,) * len(least)):
        return None
    if len(least) == 1:
        return (_first(lambda n: meets((n,)), least[0], most),)
    best: Counts | None = None
    last = _first(lambda n: meets((most, n)), least[1], most)
    while best is None or last * devices[1] + least[0] * devices[0] < _cost(best, devices):
        ahead = _first(lambda n, last=last: meets((n, last)), least[0], most)  # type: ignore[misc]
        if best is None or _cost((ahead, last), devices) < _cost(best, devices):
            best = ahead, last
        if last == most:
            break
        last += 1
    return best


def settled(
    ratio: Callable[[Counts], float],
    short: Callable[[Counts], int | None],
    start: Counts,
    devices: Sequence[int],
    most: int,
) -> Counts | None:
    """From a guess to counts that meet, of which no pool can do with one replica less.

    Parameters
    ----------
    ratio : callable
        What is reached over what is promised: up to 1 meets; infinite where a queue grows.
    short : callable
        Which pool holds up those counts, where that is known; else the one whose growth helps most is grown.
    start : tuple of int
        Where to begin.
    devices : sequence of int
        Of a replica of each pool: the dear ones are taken away first [1].
    most : int
        Replicas of a pool at most [1].

    Returns
    -------
    tuple of int, or None
        None where `most` of a pool that is short do not do.

    Examples
    --------
    >>> found = settled(lambda n: 12 / (n[0] * n[1]), lambda n: None, (1, 2), (1, 2), 64)
    >>> found[0] * found[1] >= 12 > (found[0] - 1) * found[1]
    True
    """
    counts, grew = start, 0
    while ratio(counts) > 1.0:
        pool = short(counts)
        if pool is None:
            each = [_with(counts, k, 1) for k in range(len(counts))]
            pool = min(range(len(counts)), key=lambda k: (ratio(each[k]), devices[k]))
        if counts[pool] >= most:
            return None
        grew += 1
        counts = _with(counts, pool, min(most - counts[pool], 1 if grew < 4 else counts[pool]))
    for pool in sorted(range(len(counts)), key=lambda k: -devices[k]):
        counts = _fewer(ratio, counts, pool)
    return counts


def _fewer(ratio: Callable[[Counts], float], counts: Counts, pool: int) -> Counts:
    """Counts that meet, with as few of one pool as do: looked for from where it stands, in growing steps."""
    good, bad, step = counts[pool], 0, 1
    while good - bad > 1:
        n = good - step if bad == 0 else (good + bad) // 2
        n = max(n, 1)
        if ratio(_with(counts, pool, n - counts[pool])) <= 1.0:
            good, step = n, 2 * step
        else:
            bad = n
    return _with(counts, pool, good - counts[pool])


def _with(counts: Counts, pool: int, more: int) -> Counts:
    return tuple(n + more * (k == pool) for k, n in enumerate(counts))


def _cost(counts: Counts, devices: Sequence[int]) -> int:
    return sum(n * d for n, d in zip(counts, devices, strict=True))


def _first(meets: Callable[[int], bool], low: int, most: int) -> int:
    """The least number from `low` on that meets, known that `most` does."""
    if meets(low):
        return low
    high = low
    while high < most and not meets(high):
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        if meets(middle):
            high = middle
        else:
            low = middle
    return high
