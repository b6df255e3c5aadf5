"""The largest amount that meets: bracketed from a guess, then halved."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["largest"]

_FIRST = 1.1
_LEAST = 1e-3  # of the guess


def largest(
    meets: Callable[[float], bool],
    guess: float,
    tolerance: float,
    *,
    whole: bool = False,
    known: float = 0.0,
    most: float = float("inf"),
) -> tuple[float, float]:
    """The largest amount that meets, and the least tried above it that does not.

    Parameters
    ----------
    meets : callable
        Whether an amount meets; what does is taken to go on doing so below.
    guess : float
        Where to begin.
    tolerance : float
        Relative width of what is left between the two.
    whole : bool
        Whole numbers alone.
    known : float
        An amount that meets, if one is known: nothing below it is tried.
    most : float
        Nothing above it is tried.

    Returns
    -------
    tuple of float
        0 and the least that was tried where none meets; `most` and infinity where that does.

    Examples
    --------
    >>> largest(lambda x: x <= 100, 64, 0.01, whole=True)
    (100.0, 101.0)
    """

    def at(x: float) -> float:
        return max(1.0, float(round(x))) if whole else x

    low, high, step = known, 0.0, _FIRST
    x = min(at(max(guess, known * step)), most)
    while not high:
        if x <= low:
            x = low + 1.0
        if meets(x):
            if x >= most:
                return most, float("inf")
            low, x = x, min(at(x * step), most)
        else:
            high = x
        step *= step if step < 2.0 else 1.0
    x, step, least = high, _FIRST, 1.0 if whole else _LEAST * guess
    while not low and high > least:
        x = max(at(x / step), least)
        if meets(x):
            low = x
        else:
            high = x
        step *= step if step < 4.0 else 1.0
    while low and high > low * (1.0 + tolerance) and not (whole and high - low <= 1.0):
        middle = at((low * high) ** 0.5)
        if whole and not low < middle < high:
            middle = low + 1.0
        if meets(middle):
            low = middle
        else:
            high = middle
    return low, high
