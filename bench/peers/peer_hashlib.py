"""hashlib: double SHA-256 of headers, with a copied midstate."""

import hashlib
import struct

import timing

timing.work()
first, tail, count = hashlib.sha256(bytes(64)), bytes(12), 30_000


def scan():
    for nonce in range(count):
        h = first.copy()
        h.update(tail + struct.pack("<I", nonce))
        if int.from_bytes(hashlib.sha256(h.digest()).digest(), "little") <= 1:
            raise AssertionError


timing.say({"headers_rate": count / timing.least(scan)})
