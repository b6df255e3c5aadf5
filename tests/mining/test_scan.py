"""The header scan: every hit found, none invented, wherever it lies, on every backend."""

import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from _headers import EVERY, HEADER, HEADERS, VERSION, hash_value, roll_version
from tokenroof import _core, mining, reference

BACKENDS = list(_core.HASH_BACKENDS)
scanning = importlib.import_module("tokenroof.mining.scan")  # the name in `mining` is the function


LANES = {name: lanes for name, (lanes, _) in _core.HASH_BACKENDS.items()}
each_backend = pytest.mark.parametrize("backend", BACKENDS)


@each_backend
@pytest.mark.parametrize("row", HEADERS, ids=lambda row: row["height"])
def test_real_headers(backend, row):
    header = bytes.fromhex(row["header_hex"])
    nonce = int.from_bytes(header[76:], "little")
    first = max(0, min(nonce - 1234, 2**32 - 4000))
    result = mining.scan(row["header_hex"], start=first, count=4000, backend=backend)
    assert result.hits == [(nonce, int.from_bytes(header[:4], "little"))]
    assert result.hashes == 4000 and result.backend == backend


@each_backend
def test_a_hit_in_every_lane_and_at_every_border(backend):
    """Each nonce of six batches in turn is the hash that the target is made of.

    Six batches fill and drain the hybrid's pipeline of four stages; the scan starts at every place of a
    batch, and ends at every place of one.
    """
    lanes = LANES[backend]
    values = [hash_value(n) for n in range(7 * lanes + 8)]
    for nonce in range(6 * lanes):
        first, count = nonce % 7, 6 * lanes + nonce % (lanes + 1)
        if not first <= nonce < first + count:
            continue
        hits = mining.scan(HEADER, first, count, values[nonce], backend=backend, threads=1).hits
        want = [n for n in range(first, first + count) if values[n] <= values[nonce]]
        assert [n for n, _ in hits] == want
        assert nonce in want


@each_backend
def test_a_hit_in_every_lane_of_versions(backend):
    """The same in roll mode: each of two groups of versions, and some that fill no group, by nonces."""
    wide = _core.HASH_BACKENDS[backend][1]
    versions, nonces = 2 * wide + 1, 5
    values = {
        (n, s): hash_value(n, roll_version(VERSION, s))
        for n in range(nonces)
        for s in range(versions)
    }
    for (nonce, step), aim in values.items():
        hits = mining.scan(HEADER, 0, nonces, aim, versions, backend=backend, threads=1).hits
        want = [(n, roll_version(VERSION, s)) for s in range(versions) for n in range(nonces)
                if values[n, s] <= aim]  # fmt: skip
        assert hits == want
        assert (nonce, roll_version(VERSION, step)) in want


@each_backend
def test_nonces_of_a_roll_pass_every_border_of_the_schedules(backend):
    """Schedules are made for up to sixteen nonces at once."""
    wide = max(_core.HASH_BACKENDS[backend][1], 2)
    aim = 2**256 // 40
    for first, count in ((0, 35), (2**32 - 35, 35), (5, 16), (7, 1)):
        hits = mining.scan(HEADER, first, count, aim, wide, backend=backend, threads=1).hits
        want = [(n, v) for v in (roll_version(VERSION, s) for s in range(wide))
                for n in range(first, first + count) if hash_value(n, v) <= aim]  # fmt: skip
        assert hits == want


@each_backend
@pytest.mark.parametrize("threads", [1, 3])
def test_easy_targets_lose_nothing(backend, threads):
    count = 2**14 + 17  # a chunk of the scalar scanner and a bit
    result = mining.scan(
        HEADER, start=5, count=count, target=EVERY, threads=threads, backend=backend
    )
    assert [n for n, _ in result.hits] == list(range(5, 5 + count))
    target = 2**255 // 300
    some = mining.scan(HEADER, count=9000, target=target, threads=threads, backend=backend).hits
    assert [n for n, _ in some] == [n for n in range(9000) if hash_value(n) <= target]
    last = mining.scan(HEADER, start=2**32 - 3, count=3, target=EVERY, backend=backend).hits
    assert [n for n, _ in last] == [2**32 - 3, 2**32 - 2, 2**32 - 1]


@each_backend
def test_versions_roll_in_the_bits_of_bip_320(backend):
    version = int.from_bytes(HEADER[:4], "little")
    result = mining.scan(HEADER, count=10, target=EVERY, versions=65536 // 4096, backend=backend)
    rolled = list(dict.fromkeys(v for _, v in result.hits))
    assert len(rolled) == 16 and rolled[0] == version and result.hashes == 160
    assert all((v ^ version) & ~0x1FFFE000 == 0 for v in rolled)
    target = 2**256 // 50
    hits = mining.scan(HEADER, count=500, target=target, versions=5, backend=backend).hits
    want = [(n, v) for v in rolled[:5] for n in range(500) if hash_value(n, v) <= target]
    assert hits == want


@pytest.mark.parametrize("backend", [b for b in BACKENDS if LANES[b] > 1] or BACKENDS)
def test_chunk_borders_lose_nothing(backend):
    """A scan over several chunks of the wide backends, nonces and versions, on several threads."""
    aim = 2**256 // 2**14
    whole = mining.scan(HEADER, 11, 2**17 + 2**16, aim, backend="scalar").hits
    assert mining.scan(HEADER, 11, 2**17 + 2**16, aim, threads=3, backend=backend).hits == whole
    case = {"start": 3, "count": 1500, "target": aim, "versions": 200}
    rolled = mining.scan(HEADER, **case, threads=3, backend=backend)
    assert rolled.hits == mining.scan(HEADER, **case, backend="scalar").hits
    assert rolled.hashes == 300_000 and rolled.mode == "roll" and len(rolled.hits) > 5


@given(start=st.integers(0, 2**32 - 40), count=st.integers(0, 40), bits=st.integers(0, 255))
def test_against_the_reference(start, count, bits):
    target = EVERY >> bits
    for backend in BACKENDS:
        hits = mining.scan(HEADER, start, count, target, threads=1, backend=backend).hits
        assert [n for n, _ in hits] == reference.scan(HEADER, start, count, target)


@given(data=st.data(), header=st.binary(min_size=80, max_size=80), bits=st.integers(0, 12))
def test_any_split_of_a_range_gives_the_same_hits(data, header, bits):
    start = data.draw(st.integers(0, 2**32 - 300))
    count = data.draw(st.integers(1, 300))
    versions = data.draw(st.integers(1, 40))
    cuts = sorted(data.draw(st.sets(st.integers(0, count), max_size=4)) | {0, count})
    backend = data.draw(st.sampled_from(BACKENDS))
    target = EVERY >> bits
    whole = mining.scan(header, start, count, target, versions, threads=1, backend=backend)
    parts = []
    for low, high in pairwise(cuts):
        part = mining.scan(header, start + low, high - low, target, versions, threads=2)
        parts += part.hits
    assert sorted(parts) == sorted(whole.hits)
    assert len(set(whole.hits)) == len(whole.hits) and whole.hashes == count * versions
    first = int.from_bytes(header[:4], "little")
    order = [roll_version(first, s) for s in range(versions)]
    places = [(order.index(v), n) for n, v in whole.hits]
    assert places == sorted(places)


def test_counts_beyond_the_nonces_roll_on():
    """Nonce 2**32 - 1 of a version is followed by nonce 0 of the next."""
    hits = mining.scan(HEADER, 2**32 - 3, 8, EVERY, versions=2).hits
    second = roll_version(VERSION, 1)
    assert hits == [(n, VERSION) for n in range(2**32 - 3, 2**32)] + [(n, second) for n in range(5)]
    seen = []
    got = mining.scan(HEADER, 2**32 - 3, 8, 1, 2, progress=lambda *told: seen.append(told))
    assert got.hashes == 8 and seen[-1] == (8, 8)
    with pytest.raises(ValueError, match="start . count is .*allowed.*versions"):
        mining.scan(HEADER, 1, 2**32, 1)
    with pytest.raises(ValueError, match="start . count is .*allowed: versions"):
        mining.scan(HEADER, 1, 2 * 2**32, 1, versions=2)


@pytest.mark.parametrize(
    "arguments,named",
    [({"header": bytes(79)}, "header has 79 bytes"), ({"header": b""}, "header has 0 bytes"),
     ({"header": "zz"}, "header is 'zz'"), ({"header": 3}, "header is int"), ({"start": -1}, "start is -1"),
     ({"start": 2**32}, "start . count is"), ({"start": 1, "count": 2**32}, "start . count"),
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


_INTERRUPTED = """
import json, resource, sys, time
from tokenroof import mining
mining.scan(bytes(80), count=1000, target=1, backend=sys.argv[1])
print("go", flush=True)
try:
    mining.scan(bytes(80), count=2**32, target=1, versions=65536, threads=1, backend=sys.argv[1])
except KeyboardInterrupt:
    print(json.dumps([time.time(), resource.getrusage(resource.RUSAGE_SELF).ru_utime]), flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT, which only POSIX delivers to a child")
@each_backend
def test_ctrl_c_stops_it_within_50_ms(backend):
    """Of processor time, which other work on the machine does not stretch; the best of three."""
    late = []
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", _INTERRUPTED, backend], stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout.readline().strip() == "go"
            time.sleep(0.3)
            before = _user_seconds(child.pid)
            child.send_signal(signal.SIGINT)
            try:
                out, _ = child.communicate(timeout=30)
            finally:
                child.kill()
        _, used = json.loads(out)
        late.append(used - before)
        if late[-1] < 0.05:
            break
    assert min(late) < 0.05 + 1 / os.sysconf("SC_CLK_TCK")  # that clock ticks


def _user_seconds(pid):
    """Processor time of a process so far, as the kernel counts it [s]."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return int(file.read().rpartition(")")[2].split()[11]) / os.sysconf("SC_CLK_TCK")
    except OSError:
        pytest.skip("no /proc here: reads another process's processor time")


def test_the_backend_can_be_chosen_outside(monkeypatch):
    monkeypatch.setenv("TOKENROOF_HASH_BACKEND", "scalar")
    assert mining.scan(HEADER, count=10, target=1).backend == "scalar"
    monkeypatch.setenv("TOKENROOF_HASH_BACKEND", "abacus")
    with pytest.raises(ValueError, match="backend is 'abacus'"):
        mining.scan(HEADER, count=10, target=1)


def test_a_backend_that_this_processor_lacks_is_refused_with_those_it_has():
    lacking = next(n for n in _core.HASH_BACKENDS_KNOWN if n not in _core.HASH_BACKENDS)
    with pytest.raises(ValueError, match=f"backend is '{lacking}'; allowed here: .*scalar"):
        mining.scan(HEADER, count=10, target=1, backend=lacking)
    with pytest.raises(ValueError, match="scalar"):
        _core.scan(HEADER, 0, 1, bytes(32), 0, 1, 1, lacking, None)


def test_backends_are_measured_and_the_fastest_is_taken(monkeypatch):
    table = mining.backends()
    assert set(table) == {*_core.HASH_BACKENDS_KNOWN, "cuda"} >= {
        "scalar", "avx2", "sha_ni", "avx512", "hybrid", "armv8",
    }  # fmt: skip
    assert table["cuda"]["available"] or table["cuda"]["why"]
    for name, row in table.items():
        if name == "cuda":
            continue
        assert row["available"] == (name in BACKENDS)
        if row["available"]:
            assert row["hashrate"] > 1e4 and row["roll_hashrate"] > 1e4
            assert row["bound"] != row["bound"] or row["bound"] > 0
    monkeypatch.delenv("TOKENROOF_HASH_BACKEND", raising=False)
    best = max(BACKENDS, key=lambda name: table[name]["hashrate"])
    assert mining.scan(HEADER, count=10, target=1).backend == best
    rolling = max(BACKENDS, key=lambda name: table[name]["roll_hashrate"])
    got = mining.scan(HEADER, count=10, target=1, versions=96)
    assert got.backend == rolling and got.mode == "roll"


def test_calibration_hashes_no_more_than_it_needs(monkeypatch):
    """Where its runs agree, six short ones of each scanner and mode; and none the second time it is asked."""
    done = []

    def run(name, nonces, versions):
        done.append((name, versions > 1, nonces * versions))
        return nonces * versions, 1e-8 * nonces * versions

    monkeypatch.setattr(scanning, "_run", run)
    scanning._measured.cache_clear()
    try:
        assert {rates["nonce"] for rates in scanning._rates().values()} == {1e8}
        many = len(done)
        scanning._rates()
    finally:
        scanning._measured.cache_clear()
    assert len(done) == many == 6 * 2 * len(BACKENDS)
    for name in BACKENDS:
        for rolled in (False, True):
            own = [hashes for *case, hashes in done if case == [name, rolled]]
            assert len(own) == 6 and min(own) > 2**9 and max(own) <= 2**13


def test_calibration_ends_where_no_two_runs_agree(monkeypatch):
    """Once its runs took 0.2 s of the processor, as they say themselves; the round that is begun ends."""
    said = []

    def run(name, nonces, versions):
        said.append(0.003 * 0.99 ** len(said))  # ever faster: the two least never agree
        return nonces * versions, said[-1]

    monkeypatch.setattr(scanning, "_run", run)
    scanning._measured.__wrapped__()
    round_ = 2 * len(BACKENDS)
    assert len(said) % round_ == 0
    assert sum(said) > 0.2 >= sum(said[:-round_])


@each_backend
def test_a_run_of_the_calibration_hashes_what_it_says(backend):
    assert scanning._run(backend, 16, 8)[0] == 128
    assert scanning._run(backend, 100, 1)[0] == 100
