"""Random numbers without state: Philox from its paper (Salmon et al., SC'11)."""

from __future__ import annotations

__all__ = ["philox"]

_M = 2**32 - 1


def philox(counter: tuple[int, int, int, int], key: tuple[int, int]) -> tuple[int, int, int, int]:
    """Philox4x32-10: ten rounds of two multiplications, the key stepped in between.

    Examples
    --------
    >>> [hex(word) for word in philox((0, 0, 0, 0), (0, 0))]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    left0, right0, left1, right1 = counter
    k0, k1 = key
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * left0, 2**32)
        high1, low1 = divmod(0xCD9E8D57 * left1, 2**32)
        left0, right0, left1, right1 = high1 ^ right0 ^ k0, low1, high0 ^ right1 ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B9) & _M, (k1 + 0xBB67AE85) & _M
    return left0, right0, left1, right1


def words(index: int, stream: int, path: int, seed: int) -> tuple[int, int, int, int]:
    """Four words of 32 random bits: a draw of a stream of a path.

    Examples
    --------
    >>> hex(words(0, 0, 0, 0)[0])
    '0x6627e8d5'
    """
    return philox((index, stream, path & _M, path >> 32), (seed & _M, seed >> 32))


def uniform_of_word(word: int) -> float:
    """A number inside (0, 1) of 32 random bits and a half.

    Examples
    --------
    >>> uniform_of_word(0) == 2.0**-33, uniform_of_word(2**32 - 1) == 1 - 2.0**-33
    (True, True)
    """
    return (word + 0.5) / 2**32


def uniforms(index: int, stream: int, path: int, seed: int) -> tuple[float, float]:
    """Two numbers inside (0, 1): 52 bits and a half."""
    a, b, c, d = words(index, stream, path, seed)
    return ((a << 20 | b >> 12) + 0.5) / 2**52, ((c << 20 | d >> 12) + 0.5) / 2**52
