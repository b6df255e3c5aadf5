"""Bitcoin's targets and issue, byte by byte and block by block."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction


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
