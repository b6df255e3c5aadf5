"""Bitcoin: targets and issue byte by byte and block by block, a miner against the network, day by day."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction

from tokenroof.reference.core.ieee import divide, maximum, minimum
from tokenroof.reference.core.roundings import expm1

__all__ = [
    "block_probability",
    "break_even_power_price",
    "difficulty_at_hashprice",
    "miner_margin",
    "next_difficulty",
    "price_at_hashprice",
    "shutdown_hashprice",
    "time_to_block",
]

_DAY = 86400.0
_HASHES = 2.0**32  # of a block, per difficulty

# --- targets and issue ---------------------------------------------------------------------------------


def target_from_bits(bits: int) -> int:
    """Compact form as a base-256 number: first byte its length, then its first three digits."""
    length, *digits = bits.to_bytes(4, "big")
    if digits[0] & 0x80:
        raise ValueError("negative or zero")
    number = bytes(digits) + bytes(max(length - 3, 0))
    value = int.from_bytes(number[:length] if length < 3 else number, "big")
    if value == 0 or value >= 2**256:
        raise ValueError("zero or overflow")
    return value


def bits_from_target(target: int) -> int:
    """The three leading base-256 digits, with a zero in front of a digit that would read as a sign."""
    digits = target.to_bytes((target.bit_length() + 7) // 8, "big")
    if digits[0] & 0x80:
        digits = b"\0" + digits
    return int.from_bytes(bytes([len(digits)]) + (digits + b"\0\0")[:3], "big")


def difficulty(bits: int) -> float:
    """Ratio of the first block's target to this one's."""
    return float(Fraction(target_from_bits(0x1D00FFFF), target_from_bits(bits)))


def work(bits: int) -> int:
    """2**256 / (target + 1), by the complement as the chain's own arithmetic does."""
    target = target_from_bits(bits)
    return (2**256 - 1 - target) // (target + 1) + 1


def retarget(
    bits: int,
    first_time: int,
    last_time: int,
    period: int = 1_209_600,
    limit: int = 0xFFFFFFFF << 192 | (1 << 192) - 1,
) -> int:
    """Two weeks over the time that 2,015 intervals took, at most four times either way."""
    span = last_time - first_time
    if span < period // 4:
        span = period // 4
    if span > period * 4:
        span = period * 4
    return bits_from_target(max(1, min(limit, target_from_bits(bits) * span // period)))


def _era_subsidies(initial: int, decay: Fraction) -> Iterator[int]:
    """Subsidy of each era, until it is zero."""
    exact = Fraction(initial)
    while exact >= 1:
        yield exact.numerator // exact.denominator
        exact *= decay


def subsidy(
    height: int,
    halving_interval: int = 210_000,
    initial: int = 50 * 10**8,
    decay: Fraction = Fraction(1, 2),
    cap: int | None = None,
) -> int:
    """50 coins of 1e8 units, multiplied once per interval and rounded down; at most what a cap leaves."""
    coins = 0
    for era, paid in enumerate(_era_subsidies(initial, decay)):
        if era == height // halving_interval:
            coins = paid
            break
    if cap is not None:
        before = supply(height - 1, halving_interval, initial, decay) if height else 0
        coins = max(0, min(coins, cap - before))
    return coins


def supply(
    height: int,
    halving_interval: int = 210_000,
    initial: int = 50 * 10**8,
    decay: Fraction = Fraction(1, 2),
    cap: int | None = None,
) -> int:
    """Sum of the subsidies of blocks 0 to height, interval by interval; never above a cap."""
    total, first = 0, 0
    for paid in _era_subsidies(initial, decay):
        if first > height:
            break
        last = min(height, first + halving_interval - 1)
        total += (last - first + 1) * paid
        first += halving_interval
    return total if cap is None else min(total, cap)


# --- a miner against the network -----------------------------------------------------------------------


def time_to_block(hashrate: float, difficulty: float) -> float:
    """Hashes of a block over hashes a second, neither of them fewer than none."""
    if hashrate < 0.0 or difficulty < 0.0:
        return math.nan
    return divide(difficulty * _HASHES, abs(hashrate))


def block_probability(hashrate: float, difficulty: float, seconds: float) -> float:
    """Of a Poisson process, the complement of no event."""
    expected = divide(seconds * hashrate, difficulty * _HASHES)
    if math.isnan(expected) or expected < 0.0:
        return math.nan
    return 0.0 - expm1(-expected)


def next_difficulty(difficulty: float, span: float, target_span: float) -> float:
    """A period that took half as long doubles it; quarter and fourfold are the limits."""
    counted = minimum(target_span * 4.0, span)
    return difficulty * divide(target_span, maximum(target_span / 4.0, counted))


def price_at_hashprice(difficulty: float, reward_btc: float, hashprice: float) -> float:
    """Dollars a day over bitcoins a day."""
    blocks = divide(_DAY * 1e15, difficulty * _HASHES)
    return divide(hashprice, blocks * reward_btc)


def difficulty_at_hashprice(reward_btc: float, price_usd: float, hashprice: float) -> float:
    """What a PH/s earned at difficulty 1, over what it earns."""
    blocks = _DAY * 1e15 / _HASHES
    return divide(blocks * reward_btc * price_usd, hashprice)


def _revenue(hashrate: float, hashprice: float, fee: float) -> float:
    """Petahashes a second at the hashprice, less what the pool keeps."""
    return hashprice * (hashrate / 1e15) * (1.0 - fee)


def _kilowatt_hours(watts: float, pue: float) -> float:
    """Joules of a day at 3.6e6 to the kWh."""
    return watts * pue * _DAY / 3.6e6


def miner_margin(
    hashrate: float, watts: float, hashprice: float, price_per_kwh: float, fee: float, pue: float
) -> float:
    """Revenue less power."""
    return _revenue(hashrate, hashprice, fee) - _kilowatt_hours(watts, pue) * price_per_kwh


def break_even_power_price(
    hashrate: float, watts: float, hashprice: float, fee: float, pue: float
) -> float:
    """Revenue over energy."""
    return divide(_revenue(hashrate, hashprice, fee), _kilowatt_hours(watts, pue))


def shutdown_hashprice(
    hashrate: float, watts: float, price_per_kwh: float, fee: float, pue: float
) -> float:
    """Cost of the power over the petahashes a second that are left after the fee."""
    return divide(_kilowatt_hours(watts, pue) * price_per_kwh, hashrate / 1e15 * (1.0 - fee))
