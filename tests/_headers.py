"""Block headers to hash: real ones, one of round numbers, and what hashlib says of them."""

import csv
import hashlib
from pathlib import Path

HEADERS = list(csv.DictReader(
    (Path(__file__).parent / "mining" / "data" / "bitcoin_headers.csv").read_text().splitlines()
))  # fmt: skip
HEADER = bytes(range(80))
EVERY = 2**256 - 1
VERSION = int.from_bytes(HEADER[:4], "little")


def roll_version(version, step):
    """BIP 320: the sixteen bits from bit 13 on count."""
    bits = ((version >> 13) + step) & 0xFFFF
    return version & ~0x1FFFE000 | bits << 13


def hash_value(nonce, version=None, header=HEADER):
    """The hash of a header with this nonce, and this version, as a number."""
    head = header if version is None else version.to_bytes(4, "little") + header[4:]
    raw = head[:76] + nonce.to_bytes(4, "little")
    return int.from_bytes(hashlib.sha256(hashlib.sha256(raw).digest()).digest(), "little")
