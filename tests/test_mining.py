"""The header scan: every hit found, none invented, wherever it lies."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
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


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT, which only POSIX delivers to a child")
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


def test_pools_as_published():
    """Rosenfeld 2011: a PH/s for 30 days at difficulty 1e14."""
    case = {"hashrate": 1e15, "difficulty": 1e14, "seconds": 30 * 86400}
    solo = mining.pool_income("SOLO", **case)
    assert solo.mean_btc == pytest.approx(0.018859282136, rel=1e-10)
    assert solo.std_btc == pytest.approx(0.242765847423, rel=1e-11)
    assert solo.relative_std == pytest.approx(12.8724861144, rel=1e-10)
    pplns = mining.pool_income("PPLNS", **case, pool_hashrate=1e20)
    # as if shares were without number; those of difficulty 1 add 7.5e-10
    assert pplns.std_btc == pytest.approx(0.000767693015957, rel=1e-9)
    assert pplns.relative_std == pytest.approx(0.0407063752704, rel=1e-9)
    assert pplns.std_btc > 0.000767693015957 * (1 + 7e-10)
    pps = mining.pool_income("PPS", **case, share_difficulty=1e6)
    assert pps.std_btc == pytest.approx(2.42765847423e-05, rel=1e-11)
    assert pps.mean_btc == solo.mean_btc == pplns.mean_btc
    assert (solo.bearer, pps.bearer) == ("miner", "pool")
    fees = {**case, "fees_btc": 0.1, "fee": 0.02}
    full, plus = (mining.pool_income(s, **fees, pool_hashrate=1e20) for s in ("FPPS", "PPS+"))
    assert full.mean_btc == pytest.approx(plus.mean_btc) == solo.mean_btc * 3.225 / 3.125 * 0.98
    assert mining.pool_income("pps", **fees).mean_btc == pytest.approx(solo.mean_btc * 0.98)
    assert plus.variance_btc2 > full.variance_btc2
    many = mining.pool_income("SOLO", [1e15, 2e15], 1e14, 86400)
    assert many.mean_btc.shape == (2,)


@pytest.mark.parametrize(
    "fee,delta,blocks",
    [(0.05, 0.001, 66.7552500909), (0.01, 0.001, 343.081320609), (0.02, 1e-6, 340.767077241)],
)
def test_ruin_of_a_pool_that_pays_per_share(fee, delta, blocks):
    got = mining.pool_income("PPS", 1e15, 1e14, 1, fee=fee, reserve_btc=3.125 * blocks)
    assert got.ruin == pytest.approx(delta, rel=1e-8)
    miner = mining.pool_income("SOLO", 1e15, 1e14, 1, reserve_btc=3.125 * blocks,
                               cost_btc_per_s=(1 - fee) * 1e15 / (1e14 * 2**32) * 3.125)  # fmt: skip
    assert miner.ruin == pytest.approx(delta, rel=1e-8)


def test_ruin_at_its_edges():
    def ruin(cost, reserve):
        return mining.pool_income(
            "SOLO", 1e15, 1e14, 1, reserve_btc=reserve, cost_btc_per_s=cost
        ).ruin

    income = 1e15 / (1e14 * 2**32) * 3.125
    assert ruin(income, 1e9) == ruin(2 * income, 1e9) == 1.0
    assert ruin(0.0, 0.0) == 0.0 and ruin(income / 2, 0.0) == 1.0
    assert ruin(income / 2, 10.0) < ruin(income / 2, 5.0) < 1.0
    # against playing it: exponential waits, a fixed payment, spending in between
    rng = np.random.default_rng(7)
    ruined = 0
    for _ in range(4000):
        left = 6.25
        for wait in rng.exponential(3.125 / income, 200):
            left -= wait * 0.8 * income
            if left < 0:
                ruined += 1
                break
            left += 3.125
    assert ruined / 4000 == pytest.approx(ruin(0.8 * income, 6.25), abs=0.03)


@pytest.mark.parametrize(
    "changes,named",
    [({"scheme": "PROP"}, "scheme is 'PROP'"), ({"scheme": None}, "scheme is None"),
     ({"hashrate": 0}, "hashrate is 0"), ({"difficulty": -1}, "difficulty is -1"),
     ({"seconds": -1}, "seconds is -1"), ({"fee": 1.0}, "fee is 1.0"), ({"fees_btc": -1}, "fees_btc is -1"),
     ({"share_difficulty": 0}, "share_difficulty is 0"), ({"share_difficulty": 1e15}, "share_difficulty is"),
     ({"scheme": "PPLNS"}, "pool_hashrate is None"), ({"scheme": "PPLNS", "pool_hashrate": 1}, "pool_hashrate is 1"),
     ({"reserve_btc": -1}, "reserve_btc is -1"), ({"reserve_btc": 1}, "cost_btc_per_s is None")],
)  # fmt: skip
def test_bad_pool_arguments(changes, named):
    base = {"scheme": "SOLO", "hashrate": 1e15, "difficulty": 1e14, "seconds": 1.0}
    with pytest.raises((ValueError, TypeError), match=f"{named}.*allowed"):
        mining.pool_income(**{**base, **changes})


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
