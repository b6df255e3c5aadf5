"""The header scan: every hit found, none invented, wherever it lies."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tokenroof as tr
from test_sha256 import HEADERS
from tokenroof import _core, mining, reference

BACKENDS = list(_core.HASH_BACKENDS)
HEADER = bytes(range(80))
EVERY = 2**256 - 1


def _value(nonce, version=None, header=HEADER):
    head = header if version is None else version.to_bytes(4, "little") + header[4:]
    raw = head[:76] + nonce.to_bytes(4, "little")
    return int.from_bytes(hashlib.sha256(hashlib.sha256(raw).digest()).digest(), "little")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("row", HEADERS, ids=lambda row: row["height"])
def test_real_headers(backend, row):
    header = bytes.fromhex(row["header_hex"])
    nonce = int.from_bytes(header[76:], "little")
    first = max(0, min(nonce - 1234, 2**32 - 4000))
    result = mining.scan(row["header_hex"], start=first, count=4000, backend=backend)
    assert result.hits == [(nonce, int.from_bytes(header[:4], "little"))]
    assert result.hashes == 4000 and result.backend == backend


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_hit_in_every_lane_and_at_every_border(backend):
    """Each nonce of a range in turn is the only one that meets the target."""
    values = [_value(n) for n in range(100)]
    for nonce, value in enumerate(values):
        first = nonce - nonce % 7
        hits = mining.scan(
            HEADER, start=first, count=33, target=value, backend=backend, threads=1
        ).hits
        want = [n for n in range(first, first + 33) if _value(n) <= value]
        assert [n for n, _ in hits] == want and nonce in want


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("threads", [1, 3])
def test_easy_targets_lose_nothing(backend, threads):
    count = 2**15 + 17  # a chunk and a bit
    result = mining.scan(
        HEADER, start=5, count=count, target=EVERY, threads=threads, backend=backend
    )
    assert [n for n, _ in result.hits] == list(range(5, 5 + count))
    target = 2**255 // 300
    some = mining.scan(HEADER, count=9000, target=target, threads=threads, backend=backend).hits
    assert [n for n, _ in some] == [n for n in range(9000) if _value(n) <= target]
    last = mining.scan(HEADER, start=2**32 - 3, count=3, target=EVERY, backend=backend).hits
    assert [n for n, _ in last] == [2**32 - 3, 2**32 - 2, 2**32 - 1]


@pytest.mark.parametrize("backend", BACKENDS)
def test_versions_roll_in_the_bits_of_bip_320(backend):
    version = int.from_bytes(HEADER[:4], "little")
    result = mining.scan(HEADER, count=10, target=EVERY, versions=65536 // 4096, backend=backend)
    rolled = list(dict.fromkeys(v for _, v in result.hits))
    assert len(rolled) == 16 and rolled[0] == version and result.hashes == 160
    assert all((v ^ version) & ~0x1FFFE000 == 0 for v in rolled)
    target = 2**256 // 50
    hits = mining.scan(HEADER, count=500, target=target, versions=5, backend=backend).hits
    want = [(n, v) for v in rolled[:5] for n in range(500) if _value(n, v) <= target]
    assert hits == want


@given(start=st.integers(0, 2**32 - 40), count=st.integers(0, 40), bits=st.integers(0, 255))
def test_against_the_reference(start, count, bits):
    target = EVERY >> bits
    for backend in BACKENDS:
        hits = mining.scan(HEADER, start, count, target, threads=1, backend=backend).hits
        assert [n for n, _ in hits] == reference.scan(HEADER, start, count, target)


@pytest.mark.parametrize(
    "arguments,named",
    [({"header": bytes(79)}, "header has 79 bytes"), ({"header": b""}, "header has 0 bytes"),
     ({"header": "zz"}, "header is 'zz'"), ({"header": 3}, "header is int"), ({"start": -1}, "start is -1"),
     ({"start": 2**32}, "start . count"), ({"start": 1, "count": 2**32}, "start . count"),
     ({"count": -1}, "count is -1"), ({"count": 1.5}, "count is 1.5"), ({"target": 0}, "target is 0"),
     ({"target": 2**256}, "target is"), ({"target": "x"}, "target is 'x'"), ({"versions": 0}, "versions is 0"),
     ({"versions": 65537}, "versions is 65537"), ({"threads": 0}, "threads is 0"),
     ({"threads": 5000}, "threads is 5000"), ({"backend": "gpu"}, "backend is 'gpu'"),
     ({"progress": 3}, "progress is 3")],
)  # fmt: skip
def test_bad_arguments(arguments, named):
    with pytest.raises((ValueError, TypeError), match=f"{named}.*allowed"):
        mining.scan(**{"header": HEADER, "count": 10, "target": EVERY, **arguments})


def test_a_header_whose_bits_are_no_target():
    with pytest.raises(ValueError, match="bits is 0x00000000"):
        mining.scan(bytes(80), count=1)


def test_progress_and_an_exception_in_it():
    seen = []
    mining.scan(
        HEADER, count=2**22, target=1, progress=lambda done, total: seen.append((done, total))
    )
    assert seen[-1] == (2**22, 2**22)

    def stop(done, total):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        mining.scan(HEADER, count=2**32, target=1, progress=stop)


def test_other_threads_run_meanwhile():
    ticks = []
    done = threading.Event()

    def count():
        while not done.is_set():
            ticks.append(1)
            time.sleep(0.001)

    other = threading.Thread(target=count)
    other.start()
    mining.scan(HEADER, count=2**22, target=1, threads=1)
    done.set()
    other.join()
    assert len(ticks) > 20


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_stops_it():
    code = (
        "import time\nfrom tokenroof import mining\n"
        "mining.scan(bytes(80), count=1000, target=1)\nprint('go', flush=True)\n"
        "try:\n    mining.scan(bytes(80), count=2**32, target=1, versions=65536)\n"
        "except KeyboardInterrupt:\n    print(time.time(), flush=True)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline().strip() == "go"
    time.sleep(0.3)
    sent = time.time()
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=30)
    assert float(out) >= sent  # how soon is a benchmark's matter; a minute would be a hang


def test_the_backend_can_be_chosen_outside(monkeypatch):
    monkeypatch.setenv("TOKENROOF_HASH_BACKEND", "generic")
    assert mining.scan(HEADER, count=10, target=1).backend == "generic"
    monkeypatch.setenv("TOKENROOF_HASH_BACKEND", "abacus")
    with pytest.raises(ValueError, match="backend is 'abacus'"):
        mining.scan(HEADER, count=10, target=1)


def test_backends_are_measured():
    table = mining.backends()
    assert set(table) == set(BACKENDS)
    for row in table.values():
        assert row["available"] and row["hashrate"] > 1e4 and row["bound"] > 0


def test_modelled_hashrates():
    # 132 multiprocessors, 1.98 GHz, 64 lanes over 2,267 instructions: 7.38 GH/s
    assert mining.hashrate("H100-SXM") == pytest.approx(7.38e9, rel=2e-3)
    assert mining.hashrate("Antminer S21") == tr.miner("Antminer S21").hashrate
    with pytest.raises(KeyError, match="unknown device"):
        mining.hashrate("Antminer S2l9")
    with pytest.raises(ValueError, match="unknown; allowed"):
        mining.hashrate(tr.Device(name="x", memory_bandwidth=1e12, peak={"bf16": 1e15}))
    with pytest.raises(TypeError):
        mining.hashrate(3)
