"""SHA-256 as FIPS 180-4 defines it, one word at a time."""

from __future__ import annotations

from math import isqrt

__all__ = ["scan", "sha256", "sha256d"]

_MASK = 0xFFFFFFFF


def _primes(count: int) -> list[int]:
    found: list[int] = []
    candidate = 2
    while len(found) < count:
        if all(candidate % p for p in found):
            found.append(candidate)
        candidate += 1
    return found


def _cube_root(n: int) -> int:
    """floor(n ** (1/3)) in integers."""
    x = 1 << -(-n.bit_length() // 3)
    while True:
        y = (2 * x + n // (x * x)) // 3
        if y >= x:
            return x
        x = y


# 4.2.2 and 5.3.3: the first 32 bits of the fractional parts of cube and square roots of primes
_K = [_cube_root(p << 96) & _MASK for p in _primes(64)]
_H = [isqrt(p << 64) & _MASK for p in _primes(8)]


def _rotr(x: int, n: int) -> int:
    return (x >> n | x << (32 - n)) & _MASK


def _block(state: list[int], block: bytes) -> list[int]:
    """6.2.2: the hash computation for one block of 64 bytes."""
    w = [int.from_bytes(block[i : i + 4], "big") for i in range(0, 64, 4)]
    for t in range(16, 64):
        s0 = _rotr(w[t - 15], 7) ^ _rotr(w[t - 15], 18) ^ w[t - 15] >> 3
        s1 = _rotr(w[t - 2], 17) ^ _rotr(w[t - 2], 19) ^ w[t - 2] >> 10
        w.append((s1 + w[t - 7] + s0 + w[t - 16]) & _MASK)
    a, b, c, d, e, f, g, h = state
    for t in range(64):
        sum1 = _rotr(e, 6) ^ _rotr(e, 11) ^ _rotr(e, 25)
        t1 = h + sum1 + (e & f ^ ~e & g) + _K[t] + w[t]
        sum0 = _rotr(a, 2) ^ _rotr(a, 13) ^ _rotr(a, 22)
        t2 = sum0 + (a & b ^ a & c ^ b & c)
        a, b, c, d, e, f, g, h = (t1 + t2) & _MASK, a, b, c, (d + t1) & _MASK, e, f, g
    return [(x + y) & _MASK for x, y in zip(state, (a, b, c, d, e, f, g, h), strict=True)]


def sha256(message: bytes) -> bytes:
    """SHA-256 of a message.

    Examples
    --------
    >>> sha256(b"abc").hex()[:16]
    'ba7816bf8f01cfea'
    """
    padded = (
        message + b"\x80" + bytes(-(len(message) + 9) % 64) + (8 * len(message)).to_bytes(8, "big")
    )
    state = _H
    for i in range(0, len(padded), 64):
        state = _block(state, padded[i : i + 64])
    return b"".join(x.to_bytes(4, "big") for x in state)


def sha256d(header: bytes) -> bytes:
    """Double SHA-256, in wire order."""
    return sha256(sha256(header))


def scan(header: bytes, start: int, count: int, target: int) -> list[int]:
    """Nonces whose double hash, read as a little-endian number, is at most the target."""
    found = []
    for nonce in range(start, start + count):
        digest = sha256d(header[:76] + nonce.to_bytes(4, "little"))
        if int.from_bytes(digest, "little") <= target:
            found.append(nonce)
    return found
