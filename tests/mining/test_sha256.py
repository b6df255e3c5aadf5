"""Double SHA-256 on every instruction set, against hashlib, the reference and real headers."""

import gzip
import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from _headers import HEADERS
from _support import BY_ISA, each_isa
from tokenroof import _core, reference


def _hashlib(headers):
    flat = headers.reshape(-1, 80)
    digests = [hashlib.sha256(hashlib.sha256(h.tobytes()).digest()).digest() for h in flat]
    return np.frombuffer(b"".join(digests), np.uint8).reshape(*headers.shape[:-1], 32)


@each_isa
@given(headers=hnp.arrays(np.uint8, st.tuples(st.integers(0, 40), st.just(80))))
def test_against_hashlib(isa, headers):
    assert np.array_equal(BY_ISA[isa]["sha256d"](headers), _hashlib(headers))


@each_isa
def test_any_strides(isa):
    rng = np.random.default_rng(0)
    whole = rng.integers(0, 256, (70, 3, 160), dtype=np.uint8)
    for headers in (whole[..., ::2], whole[::-2, :, :80], whole.transpose(2, 1, 0)[:80].T,
                    np.broadcast_to(whole[0, 0, :80], (65, 80))):  # fmt: skip
        out = np.zeros((*headers.shape[:-1], 64), np.uint8)[..., ::2]
        assert BY_ISA[isa]["sha256d"](headers, out=out) is out
        assert np.array_equal(out, _hashlib(np.ascontiguousarray(headers)))


@each_isa
@pytest.mark.parametrize("row", HEADERS, ids=lambda row: row["height"])
def test_real_headers(isa, row):
    header = np.frombuffer(bytes.fromhex(row["header_hex"]), np.uint8)
    digest = BY_ISA[isa]["sha256d"](header).tobytes()
    assert digest[::-1].hex() == row["hash"]
    assert digest == reference.sha256d(header.tobytes())


@given(message=st.binary(max_size=300))
def test_the_reference_against_hashlib(message):
    assert reference.sha256(message) == hashlib.sha256(message).digest()


def test_vectors_of_the_standard():
    """FIPS 180-4's own: NIST, Secure Hash Standard example values."""
    assert reference.sha256(b"abc").hex().startswith("ba7816bf8f01cfea414140de5dae2223")
    two = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"
    assert reference.sha256(two).hex().startswith("248d6a61d20638b8e5c026930c3e6039")
    assert reference.sha256(b"").hex().startswith("e3b0c44298fc1c149afbf4c8996fb924")


def _vectors(name):
    """NIST's Cryptographic Algorithm Validation Program, byte-oriented SHA-256 (CAVS 11.0, public domain)."""
    path = Path(__file__).parent / "data" / f"SHA256{name}Msg.rsp.gz"
    rows = re.findall(
        r"Len = (\d+)\nMsg = (\w+)\nMD = (\w+)", gzip.decompress(path.read_bytes()).decode()
    )
    return [(bytes.fromhex(text)[: int(bits) // 8], digest) for bits, text, digest in rows]


@each_isa
@pytest.mark.parametrize("name,count", [("Short", 65), ("Long", 64)])
def test_vectors_of_nist(isa, name, count):
    vectors = _vectors(name)
    assert len(vectors) == count
    for message, digest in vectors:
        assert _core.sha256(message, isa).hex() == digest
        if len(message) < 2000:
            assert reference.sha256(message).hex() == digest


@each_isa
def test_every_length_against_hashlib(isa):
    text = bytes(range(256)) * 300
    for length in [*range(300), 4095, 4096, 65535, 76800]:
        assert _core.sha256(text[:length], isa) == hashlib.sha256(text[:length]).digest()
    with pytest.raises(ValueError, match="isa is 'z80'"):
        _core.sha256(b"", "z80")
