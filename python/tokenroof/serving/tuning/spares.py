"""Replicas to spare for those that fail: of one pool, and of several that are needed together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tokenroof import kernels
from tokenroof.support.arguments import share, shown, whole_number

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MOST_SPARES", "replicas_for", "spares", "spares_of_pools"]

MOST_SPARES = 4096
_ROUNDED = 1.0 - 1e-14  # a target that is met exactly, but for roundings
_MOST = 10**9  # replicas that anybody may need


def replicas_for(demand: float, rate: float) -> int:
    """The fewest that take a demand, each a rate of it [1/s].

    Raises
    ------
    ValueError
        For a demand beyond what 10**9 of them take.
    """
    if demand / rate > _MOST:
        raise ValueError(
            f"requests_per_minute is {shown(60.0 * demand)}; allowed: at most {60.0 * _MOST * rate:.6g}, "
            f"which {_MOST:,} at {rate:.4g} requests/s each take"
        )
    return max(1, int(np.ceil(demand / rate * (1.0 - 1e-12))))


def spares(needed: int, availability: float, target: float) -> int:
    """Replicas beyond those needed, so that enough are up for a share of the time.

    Parameters
    ----------
    needed : int
        Replicas that have to be up [1].
    availability : float
        Share of the time that one is up, whatever the others do [1].
    target : float
        Share of the time that `needed` are to be up [1].

    Returns
    -------
    int

    Raises
    ------
    ValueError, TypeError
        For an argument that is not allowed, or where 4,096 are not enough.

    References
    ----------
    Barlow, Proschan, Mathematical Theory of Reliability, 1965: k-out-of-n systems.

    Examples
    --------
    >>> [spares(2, 0.9, target) for target in (0.8, 0.95, 0.99)]  # 0.81, 0.972, 0.9963
    [0, 1, 2]
    """
    most = whole_number("needed", needed, 1, _MOST)
    up, least = share("availability", availability), share("target", target)
    if least >= 1.0 > up:
        raise ValueError(
            f"target is {shown(target)} with availability {shown(availability)}; allowed: above 0, below 1, "
            "as no number of spares is enough all of the time"
        )
    found = _least(most, up, least)
    if found is not None:
        return found
    reached = float(kernels.fleet_availability(up, float(most), float(MOST_SPARES)))
    raise ValueError(
        f"target is {shown(target)}; allowed with availability {shown(availability)} and {needed} "
        f"needed: at most {reached:.6g}, which {MOST_SPARES} spares reach"
    )


def spares_of_pools(
    needed: Sequence[int], availability: Sequence[float], devices: Sequence[int], target: float
) -> tuple[int, ...]:
    """Replicas beyond those needed of one pool or two, so that all pools have enough for a share of the time.

    Pools fail by themselves, so that shares multiply; of all spares that reach it those with the fewest
    devices.

    Parameters
    ----------
    needed, devices : sequence of int
        Replicas of each pool that have to be up, and the devices of one [1].
    availability : sequence of float
        Share of the time that a replica of each pool is up [1].
    target : float
        Share of the time that all pools are to have enough [1].

    Returns
    -------
    tuple of int

    Raises
    ------
    ValueError, TypeError
        As `spares`.

    Examples
    --------
    >>> spares_of_pools([1, 1], [0.9, 0.9], [1, 4], 0.95)  # 0.999 * 0.99: two of the cheap one
    (1, 1)
    >>> spares_of_pools([1, 1], [0.9, 0.9], [1, 4], 0.985)
    (2, 1)
    """
    if len(needed) == 1:
        return (spares(needed[0], availability[0], target),)
    spares(needed[1], availability[1], target)  # each alone has to reach it
    first = spares(needed[0], availability[0], target)
    best: tuple[int, ...] | None = None
    for many in range(first, MOST_SPARES + 1):
        if best is not None and many * devices[0] >= best[0] * devices[0] + best[1] * devices[1]:
            break
        reached = float(kernels.fleet_availability(availability[0], float(needed[0]), float(many)))
        more = _least(needed[1], availability[1], target / reached)
        if more is None:
            continue
        cost = many * devices[0] + more * devices[1]
        if best is None or cost < best[0] * devices[0] + best[1] * devices[1]:
            best = many, more
        if reached >= 1.0:  # further ones add nothing
            break
    if best is None:
        raise ValueError(
            f"target is {shown(target)}; allowed with availability {shown(tuple(availability))} and "
            f"{tuple(needed)} needed: less, as {MOST_SPARES} spares do not reach it"
        )
    return best


def _least(needed: int, availability: float, least: float) -> int | None:
    """Spares of a pool that bring it to a share of the time; None where that is more than all of it."""
    for many in (64, MOST_SPARES):
        found = kernels.fleet_availability(availability, float(needed), np.arange(many + 1.0))
        enough = found >= least * _ROUNDED
        if enough[-1]:
            return int(np.argmax(enough))
    return None
