"""How many coins a block brings, and all before it together: eras summed exactly."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache

import numpy as np

from tokenroof.mining.bitcoin import COIN
from tokenroof.support.arguments import shown, whole_number

#: What Bitcoin's subsidy is multiplied by after each era.
HALF = Fraction(1, 2)

# Eras that a sum walks through; it takes a second for so many, and Bitcoin has 33.
_MOST_ERAS = 2**20
# Text that Fraction reads, but for exponents that fill the memory.
_RATIO = re.compile(r"\s*[\d./]{1,400}(?:[eE][-+]?\d{1,3})?\s*", re.ASCII)


def decay_ratio(value: object) -> Fraction:
    """A ratio from 0 to 1; a float is the decimal that it prints as, so 0.9 is 9/10."""
    allowed = "allowed: a ratio from 0 to 1, as a number, a Fraction or text such as '1/2'"
    if isinstance(value, np.number):
        value = value.item()
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, str, Fraction)):
        raise TypeError(f"decay is {shown(value)}; {allowed}")
    if isinstance(value, str) and not _RATIO.fullmatch(value):
        raise ValueError(f"decay is {shown(value[:40])}; {allowed}")
    try:
        ratio = Fraction(value) if isinstance(value, (int, Fraction)) else Fraction(str(value))
    except (ValueError, ZeroDivisionError):  # also NaN and infinity
        raise ValueError(f"decay is {shown(value)}; {allowed}") from None
    if not 0 <= ratio <= 1:
        raise ValueError(f"decay is {shown(value)}; {allowed}")
    return ratio


def era_subsidy(initial: int, decay: Fraction, era: int) -> int:
    """floor(initial * decay**era), exactly."""
    p, q = decay.numerator, decay.denominator
    if initial == 0 or era == 0 or p == q:
        return initial
    if 2 * p == q:
        return initial >> era
    if era * q.bit_length() <= 4096 + 2 * initial.bit_length():
        return int(initial * p**era // q**era)
    # Bounds of the power in fixed point instead of its thousands of digits. q**era exceeds `initial`
    # here, so the product is no integer and the bounds fall on one side of it once fine enough.
    bits = initial.bit_length() + era.bit_length() + 64
    while True:
        low = high = 1 << bits
        base_low, base_high = (p << bits) // q, -((-p << bits) // q)
        left = era
        while left:
            if left & 1:
                low, high = low * base_low >> bits, -(-high * base_high >> bits)
            base_low, base_high = base_low * base_low >> bits, -(-base_high * base_high >> bits)
            left >>= 1
        if initial * low >> bits == initial * high >> bits:
            return initial * low >> bits
        bits *= 2


def first_where(condition: Callable[[int], bool], low: int) -> int:
    """The least n >= low that meets a condition which holds from there on."""
    step = 1
    while not condition(low + step - 1):
        low, step = low + step, 2 * step
    high = low + step - 1
    while low < high:
        middle = (low + high) // 2
        if condition(middle):
            high = middle
        else:
            low = middle + 1
    return low


@lru_cache(maxsize=256)
def paying_eras(initial: int, decay: Fraction) -> int | None:
    """Eras whose subsidy is not zero; None if there is no end to them."""
    if initial == 0:
        return 0
    if decay == 1:
        return None
    if decay == HALF:
        return initial.bit_length()
    return first_where(lambda era: era_subsidy(initial, decay, era) == 0, 1)


@lru_cache(maxsize=1024)
def sum_of_eras(initial: int, decay: Fraction, eras: int) -> int:
    """Sum of floor(initial * decay**e) over e below `eras`."""
    if decay == 1 or initial == 0:
        return eras * initial
    if eras > _MOST_ERAS:
        last = paying_eras(initial, decay)
        eras = eras if last is None else min(eras, last)
        if eras > _MOST_ERAS:
            raise ValueError(
                f"decay is {str(decay)[:60]}, under which this sums {eras} eras; "
                f"allowed: ratios of at most {_MOST_ERAS} eras"
            )
    p, q = decay.numerator, decay.denominator
    # fixed point from below and from above: the errors grow by a unit per era and stay under 2**-64
    bits = eras.bit_length() + 64
    low = high = initial << bits
    total = 0
    for era in range(eras):
        coins = low >> bits
        if coins != high >> bits:
            coins = era_subsidy(initial, decay, era)
        if coins == 0:
            break
        total += coins
        low, high = low * p // q, -(-high * p // q)
    return total


def _issued(blocks: int, interval: int, initial: int, decay: Fraction) -> int:
    """Coins of the first `blocks` blocks without a cap [satoshi]."""
    eras, rest = divmod(blocks, interval)
    whole = interval * sum_of_eras(initial, decay, eras)
    return whole + (rest * era_subsidy(initial, decay, eras) if rest else 0)


def subsidy(
    height: int,
    cap: int | None = None,
    halving_interval: int = 210_000,
    initial: int = 50 * COIN,
    decay: Fraction | str | float = HALF,
) -> int:
    """New coins of a block.

    Parameters
    ----------
    height : int
        Height of the block.
    cap : int, optional
        A limit on all coins ever issued: the block that would pass it gets the rest [satoshi].
    halving_interval : int
        Blocks of an era, between halvings.
    initial : int
        Subsidy of the first blocks [satoshi].
    decay : Fraction, str, int or float
        Ratio from 0 to 1 of an era's subsidy to that of the era before, as a number or text such as
        "2/3"; a float is the decimal that it prints as. Era e pays floor(initial * decay**e).

    Returns
    -------
    int
        [satoshi].

    Raises
    ------
    ValueError, TypeError
        If one is out of range; with a cap, also if more than 2**20 eras had to be summed.

    References
    ----------
    Bitcoin Core, GetBlockSubsidy.

    Examples
    --------
    >>> subsidy(840_000)
    312500000
    >>> subsidy(840_000, decay="2/3")
    987654320
    """
    h = whole_number("height", height, 0)
    interval = whole_number("halving_interval", halving_interval, 1)
    start, ratio = whole_number("initial", initial, 0), decay_ratio(decay)
    coins = era_subsidy(start, ratio, h // interval)
    if cap is None:
        return coins
    left = whole_number("cap", cap, 0) - _issued(h, interval, start, ratio)
    return max(0, min(coins, left))


def supply(
    height: int,
    cap: int | None = None,
    halving_interval: int = 210_000,
    initial: int = 50 * COIN,
    decay: Fraction | str | float = HALF,
) -> int:
    """Coins issued by blocks 0 to `height`; parameters as in `subsidy`.

    Parameters
    ----------
    height : int
        The last block that counts.
    cap, halving_interval, initial, decay : optional
        As in `subsidy`: another coin's rule.

    Returns
    -------
    int
        [satoshi].

    Raises
    ------
    ValueError, TypeError
        If one is out of range, or if more than 2**20 eras had to be summed.

    Examples
    --------
    >>> supply(6_930_000)
    2099999997690000
    """
    h = whole_number("height", height, 0)
    interval = whole_number("halving_interval", halving_interval, 1)
    total = _issued(h + 1, interval, whole_number("initial", initial, 0), decay_ratio(decay))
    return total if cap is None else min(total, whole_number("cap", cap, 0))
