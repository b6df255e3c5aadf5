"""What a scan tries: the header, its nonces, and the versions that a mask of bits has."""

from __future__ import annotations

from collections.abc import Iterator

from tokenroof.support.arguments import shown, whole_number

__all__ = ["BIP320_MASK", "checked_mask", "checked_range", "header_bytes", "narrow", "rectangles"]

_NONCES = 2**32  # of a header
BIP320_MASK = 0x1FFFE000
_MOST_VERSIONS = 2**24  # of a scan: the bits of BIP 323, 0x1fffffe0
_DEVICE_VERSIONS = 2**16  # of a CUDA device at once


def header_bytes(header: bytes | bytearray | memoryview | str) -> bytes:
    """The 80 bytes of a block header, from bytes or hexadecimal digits.

    Parameters
    ----------
    header : bytes, bytearray, memoryview or str

    Returns
    -------
    bytes

    Raises
    ------
    ValueError, TypeError
        If there are not 80 bytes, or a digit is not hexadecimal.

    Examples
    --------
    >>> len(header_bytes("00" * 80))
    80
    """
    if isinstance(header, str):
        try:
            raw = bytes.fromhex(header.strip())
        except ValueError:
            raise ValueError(
                f"header is {shown(header[:20])}...; allowed: 160 hexadecimal digits"
            ) from None
    elif isinstance(header, (bytes, bytearray, memoryview)):
        raw = bytes(header)
    else:
        raise TypeError(f"header is {type(header).__name__}; allowed: bytes or hexadecimal text")
    if len(raw) != 80:
        raise ValueError(f"header has {len(raw)} bytes; allowed: 80")
    return raw


def checked_mask(given: int | str) -> int:
    """Bits of a version that may change, from a number or from what a pool sends."""
    if isinstance(given, str):
        digits = given.removeprefix("0x")
        if len(digits) != 8 or any(c not in "0123456789abcdefABCDEF" for c in digits):
            raise ValueError(
                f"version_mask is {shown(given[:40])}; allowed: eight hexadecimal digits"
            )
        return int(digits, 16)
    mask = whole_number("version_mask", given, 0)
    if mask >= 2**32:
        raise ValueError(f"version_mask is {shown(given)}; allowed: 0 to 2**32 - 1")
    return mask


def checked_range(start: int, count: int, versions: int, mask: int) -> tuple[int, int, int]:
    """First nonce, headers and versions of a scan, checked."""
    first, number = whole_number("start", start, 0), whole_number("count", count, 0)
    rolled = whole_number("versions", versions, 1)
    most = min(2 ** mask.bit_count(), _MOST_VERSIONS)
    if rolled > most:
        raise ValueError(
            f"versions is {rolled}; allowed: 1 to {most} in the bits of version_mask {mask:#010x}"
        )
    if first >= _NONCES or (first + number > _NONCES and rolled == 1):
        raise ValueError(
            f"start + count is {first} + {number}; allowed: start below 2**32, and at most 2**32 in "
            "all, or versions above 1 to roll on to"
        )
    if first + number > rolled * _NONCES:
        raise ValueError(f"start + count is {first} + {number}; allowed: versions * 2**32 at most")
    return first, number, rolled


def rectangles(start: int, count: int, versions: int) -> Iterator[tuple[int, int, int, int]]:
    """Rectangles (start, count, first version, versions) that make up a scan, in order."""
    if start + count <= _NONCES:
        yield start, count, 0, versions
        return
    yield start, _NONCES - start, 0, 1
    whole, rest = divmod(start + count - _NONCES, _NONCES)
    if whole:
        yield 0, _NONCES, 1, whole
    if rest:
        yield 0, rest, 1 + whole, 1


def narrow(
    parts: list[tuple[int, int, int, int]],
) -> Iterator[tuple[int, int, int, int]]:
    """The same, with no more versions at once than a device takes."""
    for begin, nonces, step, many in parts:
        for first in range(0, many, _DEVICE_VERSIONS):
            yield begin, nonces, step + first, min(many - first, _DEVICE_VERSIONS)
