"""Chains by their rules: how many coins a block brings, how many there are in all, when it retargets."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np

from tokenroof.mining.bitcoin import (
    BLOCK_SECONDS,
    COIN,
    RETARGET_BLOCKS,
    TARGET_LIMIT,
    next_bits,
    whole_number,
)
from tokenroof.support.arguments import finite_number

#: What Bitcoin's subsidy is multiplied by after each era.
HALF = Fraction(1, 2)

# Eras that a sum walks through; it takes a second for so many, and Bitcoin has 33.
_MOST_ERAS = 2**20
# Text that Fraction reads, but for exponents that fill the memory.
_RATIO = re.compile(r"\s*[\d./]{1,400}(?:[eE][-+]?\d{1,3})?\s*", re.ASCII)


def _decay(value: object) -> Fraction:
    """A ratio from 0 to 1; a float is the decimal that it prints as, so 0.9 is 9/10."""
    allowed = "allowed: a ratio from 0 to 1, as a number, a Fraction or text such as '1/2'"
    if isinstance(value, np.number):
        value = value.item()
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, str, Fraction)):
        raise TypeError(f"decay is {value!r}; {allowed}")
    if isinstance(value, str) and not _RATIO.fullmatch(value):
        raise ValueError(f"decay is {value[:40]!r}; {allowed}")
    try:
        ratio = Fraction(value) if isinstance(value, (int, Fraction)) else Fraction(str(value))
    except (ValueError, ZeroDivisionError):  # also NaN and infinity
        raise ValueError(f"decay is {value!r}; {allowed}") from None
    if not 0 <= ratio <= 1:
        raise ValueError(f"decay is {value!r}; {allowed}")
    return ratio


def _era_subsidy(initial: int, decay: Fraction, era: int) -> int:
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


def _first(condition: Callable[[int], bool], low: int) -> int:
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
def _eras(initial: int, decay: Fraction) -> int | None:
    """Eras whose subsidy is not zero; None if there is no end to them."""
    if initial == 0:
        return 0
    if decay == 1:
        return None
    if decay == HALF:
        return initial.bit_length()
    return _first(lambda era: _era_subsidy(initial, decay, era) == 0, 1)


@lru_cache(maxsize=1024)
def _sum_of_eras(initial: int, decay: Fraction, eras: int) -> int:
    """Sum of floor(initial * decay**e) over e below `eras`."""
    if decay == 1 or initial == 0:
        return eras * initial
    if eras > _MOST_ERAS:
        last = _eras(initial, decay)
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
            coins = _era_subsidy(initial, decay, era)
        if coins == 0:
            break
        total += coins
        low, high = low * p // q, -(-high * p // q)
    return total


def _issued(blocks: int, interval: int, initial: int, decay: Fraction) -> int:
    """Coins of the first `blocks` blocks without a cap [satoshi]."""
    eras, rest = divmod(blocks, interval)
    whole = interval * _sum_of_eras(initial, decay, eras)
    return whole + (rest * _era_subsidy(initial, decay, eras) if rest else 0)


def subsidy(
    height: int,
    cap: int | None = None,
    halving_interval: int = 210_000,
    initial: int = 50 * COIN,
    decay: Fraction | str | float = HALF,
) -> int:
    """New coins of a block [satoshi].

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
    h, interval = (
        whole_number("height", height, 0),
        whole_number("halving_interval", halving_interval, 1),
    )
    start, ratio = whole_number("initial", initial, 0), _decay(decay)
    coins = _era_subsidy(start, ratio, h // interval)
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
    """Coins issued by blocks 0 to `height` [satoshi]; parameters as in `subsidy`.

    Raises
    ------
    ValueError, TypeError
        If one is out of range, or if more than 2**20 eras had to be summed.

    Examples
    --------
    >>> supply(6_930_000)
    2099999997690000
    """
    h, interval = (
        whole_number("height", height, 0),
        whole_number("halving_interval", halving_interval, 1),
    )
    total = _issued(h + 1, interval, whole_number("initial", initial, 0), _decay(decay))
    return total if cap is None else min(total, whole_number("cap", cap, 0))


@dataclass(frozen=True)
class Chain:
    """The rules by which a chain issues coins; by default Bitcoin's.

    A `cap` only cuts the issue off: the subsidies before it stay as they are, and a cap above what
    they come to changes nothing. `Chain.with_total` instead scales the subsidies so that they come to
    a given total.

    Parameters
    ----------
    cap : int, optional
        A limit on all coins ever issued: the block that would pass it gets the rest [satoshi].
    halving_interval : int
        Blocks of an era.
    initial : int
        Subsidy of the first era's blocks [satoshi].
    decay : Fraction, str, int or float
        Ratio from 0 to 1 of an era's subsidy to that of the era before, kept as a Fraction; a float
        is the decimal that it prints as. Era e pays floor(initial * decay**e); 1 pays for ever.
    block_seconds : float
        Time between blocks that the difficulty aims at [s].
    retarget_blocks : int
        Blocks between changes of the difficulty, 2 or more for Bitcoin's rule.
    target_limit : int
        The easiest target.

    Raises
    ------
    ValueError, TypeError
        Naming the field, its value and what is allowed.

    References
    ----------
    Bitcoin Core, GetBlockSubsidy and Consensus::Params.

    Examples
    --------
    >>> Chain().total(), Chain().last_subsidy_height()
    (2099999997690000, 6929999)
    >>> fork = Chain.with_total(200_000_000 * COIN)
    >>> fork.initial, fork.total()
    (47619047625, 19999999999770000)
    """

    cap: int | None = None
    halving_interval: int = 210_000
    initial: int = 50 * COIN
    decay: Fraction | str | float = HALF
    block_seconds: float = BLOCK_SECONDS
    retarget_blocks: int = RETARGET_BLOCKS
    target_limit: int = TARGET_LIMIT

    def __post_init__(self) -> None:
        put = object.__setattr__  # the record is frozen; this only settles the types
        if self.cap is not None:
            put(self, "cap", whole_number("cap", self.cap, 0))
        put(self, "halving_interval", whole_number("halving_interval", self.halving_interval, 1))
        put(self, "initial", whole_number("initial", self.initial, 0))
        put(self, "decay", _decay(self.decay))
        put(self, "block_seconds", finite_number("block_seconds", self.block_seconds, above=True))
        put(self, "retarget_blocks", whole_number("retarget_blocks", self.retarget_blocks, 2))
        limit = whole_number("target_limit", self.target_limit, 1)
        if limit >= 2**256:
            raise ValueError(f"target_limit is {self.target_limit!r}; allowed: 1 to 2**256 - 1")
        put(self, "target_limit", limit)

    @classmethod
    def with_total(
        cls,
        total: int,
        *,
        halving_interval: int = 210_000,
        decay: Fraction | str | float = HALF,
        block_seconds: float = BLOCK_SECONDS,
        retarget_blocks: int = RETARGET_BLOCKS,
        target_limit: int = TARGET_LIMIT,
    ) -> Chain:
        """The chain of the largest first subsidy under which no more than `total` is ever issued.

        Parameters
        ----------
        total : int
            All coins [satoshi], at least one for each block of the first era.
        halving_interval, decay, block_seconds, retarget_blocks, target_limit
            As of a `Chain`; `decay` below 1.

        Raises
        ------
        ValueError, TypeError
            If one is out of range; naming `decay`, if the issue takes more than 2**20 eras.

        Examples
        --------
        >>> Chain.with_total(2_099_999_997_690_000).initial
        5000000000
        """
        interval, ratio = whole_number("halving_interval", halving_interval, 1), _decay(decay)
        limit = whole_number("total", total, interval)
        if ratio == 1:
            raise ValueError(f"decay is {decay!r}; allowed with a total: a ratio below 1")

        def passes(initial: int) -> bool:
            return interval * _sum_of_eras(initial, ratio, _eras(initial, ratio) or 0) > limit

        # without rounding down it would be this; rounding leaves room for a little more
        least = int(limit * (1 - ratio) // interval)
        return cls(
            None, interval, _first(passes, least) - 1, ratio, block_seconds, retarget_blocks,
            target_limit,
        )  # fmt: skip

    @property
    def retarget_seconds(self) -> float:
        """Time between changes of the difficulty that it aims at [s]."""
        return self.block_seconds * self.retarget_blocks

    @property
    def mean_block_seconds(self) -> float:
        """Time between blocks at a constant hashrate [s].

        A period's time stamps span one interval less than it has blocks, so the difficulty settles
        where blocks take longer than it aims at: on Bitcoin by 1 in 2,015.

        Examples
        --------
        >>> round(Chain().mean_block_seconds, 4)
        600.2978
        """
        return self.retarget_seconds / (self.retarget_blocks - 1)

    def retarget(self, bits: int | str, first_time: int, last_time: int) -> int:
        """nBits of the next period, by Bitcoin's rule with this chain's period; see `retarget`.

        Examples
        --------
        >>> fast = Chain(block_seconds=150, target_limit=2**236 - 1)
        >>> hex(fast.retarget("1d00ffff", 0, 151_200))
        '0x1c7fff80'
        """
        period = Fraction(self.block_seconds) * self.retarget_blocks
        return next_bits(bits, first_time, last_time, period, self.target_limit)

    def subsidy(self, height: int) -> int:
        """New coins of the block at `height` [satoshi].

        Examples
        --------
        >>> Chain(cap=60 * COIN).subsidy(1)
        1000000000
        """
        return subsidy(height, self.cap, self.halving_interval, self.initial, self.decay)

    def supply(self, height: int) -> int:
        """Coins issued by blocks 0 to `height` [satoshi].

        Examples
        --------
        >>> Chain(decay=1).supply(10**12)
        5000000000005000000000
        """
        return supply(height, self.cap, self.halving_interval, self.initial, self.decay)

    def total(self) -> int | None:
        """All coins that are ever issued [satoshi]; None if there is no end to them.

        Examples
        --------
        >>> Chain(cap=1000 * COIN).total()
        100000000000
        """
        ratio = _decay(self.decay)
        eras = _eras(self.initial, ratio)
        if eras is None:
            return self.cap
        coins = self.halving_interval * _sum_of_eras(self.initial, ratio, eras)
        return coins if self.cap is None else min(coins, self.cap)

    def last_subsidy_height(self) -> int | None:
        """Height of the last block with new coins; -1 if none has any, None if all have.

        Examples
        --------
        >>> Chain(cap=1000 * COIN, decay=1).last_subsidy_height()
        19
        """
        total = self.total()
        if total is None:
            return None
        return _first(lambda height: self.supply(height) >= total, 0) if total else -1
