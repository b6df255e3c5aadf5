"""Targets, difficulty, work and retargets, in exact integers."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from tokenroof.support.arguments import is_integer, is_number, shown

#: The easiest target that the main chain allows.
TARGET_LIMIT = 2**224 - 1
#: Difficulty 1: the target of the first block, nBits 1d00ffff.
DIFFICULTY_ONE = 0xFFFF << 208
RETARGET_BLOCKS = 2016
RETARGET_SECONDS = 14 * 24 * 3600
BLOCK_SECONDS = 600
#: Smallest units of a bitcoin.
COIN = 10**8


def _bits(bits: int | str) -> int:
    """nBits as an integer, from an integer or eight hexadecimal digits."""
    if isinstance(bits, str):
        text = bits.removeprefix("0x")
        if len(text) != 8 or any(c not in "0123456789abcdefABCDEF" for c in text):
            raise ValueError(f"bits is {shown(bits[:40])}; allowed: eight hexadecimal digits")
        return int(text, 16)
    if not is_integer(bits):
        raise TypeError(f"bits is {shown(bits)}; allowed: an integer or eight hexadecimal digits")
    if not 0 <= bits < 2**32:
        raise ValueError(f"bits is {shown(bits)}; allowed: 0 to 2**32 - 1")
    return int(bits)


def target_from_bits(bits: int | str) -> int:
    """Target that compact nBits encode, exactly.

    Parameters
    ----------
    bits : int or str
        nBits, or its eight hexadecimal digits.

    Returns
    -------
    int
        The largest hash that meets it.

    Raises
    ------
    ValueError
        If it is negative, zero, or overflows 256 bits, as consensus rejects.

    References
    ----------
    Bitcoin Core, arith_uint256::SetCompact.

    Examples
    --------
    >>> hex(target_from_bits("1b0404cb"))
    '0x404cb000000000000000000000000000000000000000000000000'
    """
    compact = _bits(bits)
    shown = f"bits is {compact:#010x}"
    size, mantissa = compact >> 24, compact & 0x7FFFFF
    if compact & 0x800000 and mantissa:
        raise ValueError(f"{shown}, a negative target; allowed: the sign bit 0x00800000 clear")
    target = mantissa >> 8 * (3 - size) if size <= 3 else mantissa << 8 * (size - 3)
    if mantissa and (
        size > 34 or (mantissa > 0xFF and size > 33) or (mantissa > 0xFFFF and size > 32)
    ):
        raise ValueError(f"{shown}, a target over 256 bits; allowed: targets below 2**256")
    if target == 0:
        raise ValueError(f"{shown}, a target of zero; allowed: targets of 1 or more")
    return target


def bits_from_target(target: int) -> int:
    """Compact nBits of a target, rounded down as consensus does.

    Parameters
    ----------
    target : int
        1 to 2**256 - 1.

    Returns
    -------
    int
        nBits.

    Raises
    ------
    ValueError
        If the target is below 1 or at least 2**256.

    References
    ----------
    Bitcoin Core, arith_uint256::GetCompact.

    Examples
    --------
    >>> hex(bits_from_target(0xffff << 208))
    '0x1d00ffff'
    """
    value = checked_target(target)
    size = (value.bit_length() + 7) // 8
    mantissa = value << 8 * (3 - size) if size <= 3 else value >> 8 * (size - 3)
    if mantissa & 0x800000:  # it would read as a sign
        mantissa >>= 8
        size += 1
    return size << 24 | mantissa


def checked_target(target: int) -> int:
    if not is_integer(target):
        raise TypeError(f"target is {shown(target)}; allowed: an integer")
    if not 1 <= target < 2**256:
        raise ValueError(f"target is {shown(target)}; allowed: 1 to 2**256 - 1")
    return int(target)


def difficulty(bits: int | str) -> float:
    """How many times harder than the first block: (0xffff * 2**208) / target.

    Parameters
    ----------
    bits : int or str
        nBits, or its eight hexadecimal digits.

    Returns
    -------
    float
        [1].

    Examples
    --------
    >>> difficulty("1b0404cb")
    16307.420938523983
    """
    return float(Fraction(DIFFICULTY_ONE, target_from_bits(bits)))


def target_from_difficulty(difficulty: float | Fraction | Decimal) -> int:
    """Target of a difficulty, of a block or of a pool's shares, exactly: floor(0xffff * 2**208 / it).

    Parameters
    ----------
    difficulty : int, float, Fraction or Decimal
        How many times harder than the first block; below 1 easier. A float counts as the number
        that it is, to its last bit [1].

    Returns
    -------
    int
        The largest hash that meets it.

    Raises
    ------
    ValueError, TypeError
        If it is no number above zero, or its target is none of 1 to 2**256 - 1.

    References
    ----------
    Bitcoin Core, GetDifficulty; the Stratum protocol's mining.set_difficulty.

    Examples
    --------
    >>> target_from_difficulty(1) == target_from_bits("1d00ffff")
    True
    >>> from fractions import Fraction
    >>> target_from_difficulty(Fraction(1, 3)) == 3 * target_from_difficulty(1)
    True
    """
    allowed = "allowed: a number > 0 whose target is at least 1 and below 2**256"
    if not is_number(difficulty):
        raise TypeError(f"difficulty is {shown(difficulty)}; {allowed}")
    try:
        exact = int(difficulty) if is_integer(difficulty) else difficulty
        ratio = Fraction(*exact.as_integer_ratio())
    except (ValueError, OverflowError):  # NaN, infinite
        raise ValueError(f"difficulty is {shown(difficulty)}; {allowed}") from None
    if ratio > 0:
        target = int(DIFFICULTY_ONE / ratio)
        if 1 <= target < 2**256:
            return target
    raise ValueError(f"difficulty is {shown(difficulty)}; {allowed}")


def difficulty_of(digest: bytes | bytearray | memoryview | str | int) -> float:
    """Difficulty that a hash meets: (0xffff * 2**208) / the hash, read as a number.

    Parameters
    ----------
    digest : bytes, str or int
        A hash: its 32 bytes as SHA-256 gives them, 64 hexadecimal digits as blocks are named by
        (the bytes backwards, so that zeros lead), or the number.

    Returns
    -------
    float
        The largest difficulty whose target the hash is not above, rounded; infinite for zero [1].

    Raises
    ------
    ValueError, TypeError
        If it is no hash of 256 bits.

    Examples
    --------
    >>> genesis = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"
    >>> round(difficulty_of(genesis), 3)
    2536.426
    """
    allowed = "allowed: 32 bytes, 64 hexadecimal digits or an integer below 2**256"
    if isinstance(digest, str):
        text = digest.strip().removeprefix("0x")
        if len(text) != 64 or any(c not in "0123456789abcdefABCDEF" for c in text):
            raise ValueError(f"digest is {shown(digest[:80])}; {allowed}")
        value = int(text, 16)
    elif isinstance(digest, (bytes, bytearray, memoryview)):
        raw = bytes(digest)
        if len(raw) != 32:
            raise ValueError(f"digest has {len(raw)} bytes; {allowed}")
        value = int.from_bytes(raw, "little")
    elif is_integer(digest):
        value = int(digest)
        if not 0 <= value < 2**256:
            raise ValueError(f"digest is {shown(digest)}; {allowed}")
    else:
        raise TypeError(f"digest is {shown(digest)}; {allowed}")
    return float(Fraction(DIFFICULTY_ONE, value)) if value else float("inf")


def work(bits: int | str) -> int:
    """Expected hashes of a block, as the chain counts it: floor(2**256 / (target + 1)).

    Parameters
    ----------
    bits : int or str
        nBits, or its eight hexadecimal digits.

    Returns
    -------
    int
        [hash].

    References
    ----------
    Bitcoin Core, GetBlockProof.

    Examples
    --------
    >>> work("1d00ffff")
    4295032833
    """
    return 2**256 // (target_from_bits(bits) + 1)


def retarget(bits: int | str, first_time: int, last_time: int) -> int:
    """nBits of the next period.

    Parameters
    ----------
    bits : int or str
        nBits of the period that ends.
    first_time, last_time : int
        Times of the first and the last block of that period: they span 2,015 intervals, the chain's
        known off-by-one [s since 1970].

    Returns
    -------
    int
        nBits.

    Raises
    ------
    ValueError, TypeError
        If `bits` are invalid or a time is no 32-bit number.

    References
    ----------
    Bitcoin Core, CalculateNextWorkRequired.

    Examples
    --------
    >>> hex(retarget("1d00ffff", 1261130161, 1262152739))
    '0x1d00d86a'
    """
    return next_bits(bits, first_time, last_time, Fraction(RETARGET_SECONDS), TARGET_LIMIT)


def next_bits(
    bits: int | str, first_time: int, last_time: int, period: Fraction, limit: int
) -> int:
    """`retarget` of a chain whose periods should take so many seconds, and of its easiest target."""
    times = []
    for name, value in (("first_time", first_time), ("last_time", last_time)):
        if not is_integer(value):
            raise TypeError(f"{name} is {shown(value)}; allowed: an integer")
        if not 0 <= value < 2**32:
            raise ValueError(f"{name} is {shown(value)}; allowed: 0 to 2**32 - 1")
        times.append(int(value))
    span = max(Fraction(period // 4), min(period * 4, Fraction(times[1] - times[0])))
    return bits_from_target(max(1, min(limit, int(target_from_bits(bits) * span / period))))
