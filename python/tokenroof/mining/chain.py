"""Chains by their rules: what they issue, in all and until when, and when they retarget."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TypedDict, Unpack

from tokenroof.mining.bitcoin import (
    BLOCK_SECONDS,
    COIN,
    RETARGET_BLOCKS,
    TARGET_LIMIT,
    bits_from_target,
    difficulty,
    next_bits,
    target_from_bits,
)
from tokenroof.mining.issuance import (
    HALF,
    decay_ratio,
    first_where,
    paying_eras,
    subsidy,
    sum_of_eras,
    supply,
)
from tokenroof.mining.retarget_spread import mean_over_aim
from tokenroof.support.arguments import check_options, finite_number, flag, shown, whole_number


class ChainRules(TypedDict, total=False):
    """When blocks come and how the difficulty follows; see `Chain`."""

    block_seconds: float
    retarget_blocks: int
    target_limit: int
    off_by_one: bool
    retargets: bool
    easy_after_seconds: float | None
    retarget_from_first: bool


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
    off_by_one : bool
        Whether the time stamps of a period span one interval less than it has blocks, as Bitcoin's do;
        those of Litecoin begin with the last block of the period before.
    retargets : bool
        Whether the difficulty ever changes; on regtest it does not.
    easy_after_seconds : float, optional
        A block so much later than the one before may have the easiest target: 1,200 on Bitcoin's
        testnets, whose periods follow the last block's target nevertheless [s].
    retarget_from_first : bool
        Whether a period starts from the target of the first block of the one before, as on testnet 4.

    Raises
    ------
    ValueError, TypeError
        Naming the field, its value and what is allowed.

    References
    ----------
    Bitcoin Core, GetBlockSubsidy, GetNextWorkRequired and Consensus::Params; BIP 94 for testnet 4;
    Litecoin Core, CalculateNextWorkRequired.

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
    off_by_one: bool = True
    retargets: bool = True
    easy_after_seconds: float | None = None
    retarget_from_first: bool = False

    def __post_init__(self) -> None:
        put = object.__setattr__  # the record is frozen; this only settles the types
        if self.cap is not None:
            put(self, "cap", whole_number("cap", self.cap, 0))
        put(self, "halving_interval", whole_number("halving_interval", self.halving_interval, 1))
        put(self, "initial", whole_number("initial", self.initial, 0))
        put(self, "decay", decay_ratio(self.decay))
        put(self, "block_seconds", finite_number("block_seconds", self.block_seconds, above=True))
        for name in ("off_by_one", "retargets", "retarget_from_first"):
            put(self, name, bool(flag(name, getattr(self, name))))
        least = 1 + self.off_by_one  # a period spans an interval at least
        put(self, "retarget_blocks", whole_number("retarget_blocks", self.retarget_blocks, least))
        if (late := self.easy_after_seconds) is not None:
            put(self, "easy_after_seconds", finite_number("easy_after_seconds", late, above=True))
        limit = whole_number("target_limit", self.target_limit, 1)
        if limit >= 2**256:
            raise ValueError(
                f"target_limit is {shown(self.target_limit)}; allowed: 1 to 2**256 - 1"
            )
        put(self, "target_limit", limit)

    @classmethod
    def with_total(
        cls,
        total: int,
        *,
        halving_interval: int = 210_000,
        decay: Fraction | str | float = HALF,
        **rules: Unpack[ChainRules],
    ) -> Chain:
        """The chain of the largest first subsidy under which no more than `total` is ever issued.

        Parameters
        ----------
        total : int
            All coins [satoshi], at least one for each block of the first era.
        halving_interval, decay, block_seconds, retarget_blocks, target_limit, off_by_one, retargets, \
easy_after_seconds, retarget_from_first
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
        check_options("with_total", rules, ChainRules)
        interval, ratio = whole_number("halving_interval", halving_interval, 1), decay_ratio(decay)
        limit = whole_number("total", total, interval)
        if ratio == 1:
            raise ValueError(f"decay is {shown(decay)}; allowed with a total: a ratio below 1")

        def passes(initial: int) -> bool:
            return interval * sum_of_eras(initial, ratio, paying_eras(initial, ratio) or 0) > limit

        # without rounding down it would be this; rounding leaves room for a little more
        least = int(limit * (1 - ratio) // interval)
        return cls(None, interval, first_where(passes, least) - 1, ratio, **rules)

    @property
    def retarget_seconds(self) -> float:
        """Time between changes of the difficulty that it aims at [s]."""
        return self.block_seconds * self.retarget_blocks

    @property
    def least_difficulty(self) -> float:
        """Difficulty of the easiest target [1].

        Examples
        --------
        >>> Chain().least_difficulty, Chain(target_limit=2**255 - 1).least_difficulty < 1e-9
        (1.0, True)
        """
        return difficulty(bits_from_target(self.target_limit))

    @property
    def mean_block_seconds(self) -> float:
        """Mean time between blocks at a constant hashrate [s].

        A period's time stamps span one interval less than it has blocks, and a period that was found by luck
        in less time makes the next one longer by more than an unlucky one makes it shorter. The mean of
        the inverse of n intervals takes away one more: a period that aims at T takes T / 2014 a block
        on Bitcoin, and T / 2015 without the off-by-one. Short periods are held by the factor of four.

        NaN where the rules alone do not say: without retargets, and with testnet's easy blocks.

        Examples
        --------
        >>> round(Chain().mean_block_seconds, 4), round(Chain(off_by_one=False).mean_block_seconds, 4)
        (600.5958, 600.2978)
        """
        if not self.retargets or self.easy_after_seconds is not None:
            return math.nan
        return self.retarget_seconds * mean_over_aim(self.retarget_blocks - self.off_by_one)

    def retarget(
        self, bits: int | str, first_time: int, last_time: int, first_bits: int | str | None = None
    ) -> int:
        """nBits of the next period, by Bitcoin's rule with this chain's period; see `retarget`.

        Without the off-by-one, `first_time` is that of the last block of the period before. `first_bits` are
        those of the period's first block, from which a chain with `retarget_from_first` starts.

        Raises
        ------
        ValueError, TypeError
            If one is out of range, or `first_bits` are missing.

        Examples
        --------
        >>> fast = Chain(block_seconds=150, target_limit=2**236 - 1)
        >>> hex(fast.retarget("1d00ffff", 0, 151_200))
        '0x1c7fff80'
        >>> testnet4 = Chain(easy_after_seconds=1200, retarget_from_first=True)
        >>> hex(testnet4.retarget("1d00ffff", 0, 1_209_600, first_bits="1b0404cb"))
        '0x1b0404cb'
        """
        if self.retarget_from_first:
            if first_bits is None:
                raise ValueError(
                    "first_bits is None; allowed on this chain: nBits of the first block"
                )
            target_from_bits(bits)  # that of the last block is checked, though it does not count
            bits = first_bits
        period = Fraction(self.block_seconds) * self.retarget_blocks
        new = next_bits(bits, first_time, last_time, period, self.target_limit)
        return new if self.retargets else bits_from_target(target_from_bits(bits))

    def allowed_bits(self, bits: int | str, seconds_later: float) -> int:
        """nBits of a block within a period, so long after the one before it.

        Parameters
        ----------
        bits : int or str
            Those of the period: of its last block that was not an easy one.
        seconds_later : float
            By the two blocks' time stamps, below zero too [s].

        Returns
        -------
        int
            The easiest target's after `easy_after_seconds`, else the period's.

        Examples
        --------
        >>> testnet = Chain(easy_after_seconds=1200)
        >>> [hex(testnet.allowed_bits("1b0404cb", seconds)) for seconds in (1200, 1201)]
        ['0x1b0404cb', '0x1d00ffff']
        """
        later = finite_number("seconds_later", seconds_later, -math.inf)
        easy = self.easy_after_seconds is not None and later > self.easy_after_seconds
        return bits_from_target(self.target_limit if easy else target_from_bits(bits))

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
        ratio = decay_ratio(self.decay)
        eras = paying_eras(self.initial, ratio)
        if eras is None:
            return self.cap
        coins = self.halving_interval * sum_of_eras(self.initial, ratio, eras)
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
        return first_where(lambda height: self.supply(height) >= total, 0) if total else -1
