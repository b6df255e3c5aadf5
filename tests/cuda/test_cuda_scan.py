"""The header scan of CUDA devices, its code run on the CPU (tests/cuda/shim), against hashlib and the CPU's scan."""

import pickle
import threading

import pytest
from _shim import in_place_of_the_real_one

from _headers import EVERY, HEADER, HEADERS, VERSION, hash_value, roll_version
from tokenroof import mining
from tokenroof.cuda import module as compiled
from tokenroof.mining import cuda_backend as _cuda_backend

LOST, MEMORY = 719, 2  # cudaErrorLaunchFailure, cudaErrorMemoryAllocation


@pytest.fixture(autouse=True)
def module(monkeypatch):
    found = in_place_of_the_real_one(monkeypatch)
    _cuda_backend._measured.cache_clear()
    return found


def _scan(*arguments, backend="cuda", **more):
    return mining.scan(*arguments, backend=backend, **more)


@pytest.fixture
def small(module, monkeypatch):
    """Room for few hits a launch, so that easy targets overflow it."""

    def use(capacity):
        real = module.scan

        def scan(*arguments):
            return real(*arguments, capacity=capacity)

        monkeypatch.setattr(module, "scan", scan)

    return use


@pytest.mark.parametrize("row", HEADERS, ids=lambda row: row["height"])
def test_real_headers(row):
    header = bytes.fromhex(row["header_hex"])
    nonce = int.from_bytes(header[76:], "little")
    first = max(0, min(nonce - 1234, 2**32 - 4000))
    result = _scan(row["header_hex"], start=first, count=4000)
    assert result.hits == [(nonce, int.from_bytes(header[:4], "little"))]
    assert (result.hashes, result.backend, result.mode) == (4000, "cuda", "nonce")
    assert result.seconds > 0 and result.cpu_seconds > 0


def test_a_hit_at_every_place_of_two_blocks():
    """Each of 600 nonces in turn is the hash that the target is made of: all threads, every border of blocks."""
    values = [hash_value(n) for n in range(600)]
    for nonce in range(600):
        first, count = nonce % 7, 600 - nonce % 7 if nonce % 3 else nonce % 7 + 1
        hits = _scan(HEADER, first, count, values[nonce], backend=f"cuda:{nonce % 2}").hits
        want = [n for n in range(first, first + count) if n < 600 and values[n] <= values[nonce]]
        assert [n for n, _ in hits if n < 600] == want


def test_a_hit_in_every_lane_of_versions():
    """More versions than a block has threads, by a few nonces: the best of each version, and of each nonce."""
    versions, nonces = 300, 7
    values = {
        (n, s): hash_value(n, roll_version(VERSION, s))
        for n in range(nonces)
        for s in range(versions)
    }
    best = {min((v, k) for k, v in values.items() if k[1] == s)[1] for s in range(0, versions, 9)}
    best |= {min((v, k) for k, v in values.items() if k[0] == n)[1] for n in range(nonces)}
    best |= {(0, 0), (nonces - 1, versions - 1), (3, 255), (3, 256)}
    for nonce, step in best:
        aim = values[nonce, step]
        got = _scan(HEADER, 0, nonces, aim, versions, backend="cuda:0")
        want = [(n, roll_version(VERSION, s)) for s in range(versions) for n in range(nonces)
                if values[n, s] <= aim]  # fmt: skip
        assert got.hits == want and got.mode == "roll"
        assert (nonce, roll_version(VERSION, step)) in want


@pytest.mark.parametrize("capacity", [1, 3, 500])
def test_easy_targets_lose_nothing(module, small, capacity):
    small(capacity)
    result = _scan(HEADER, start=5, count=1017, target=EVERY)
    assert [n for n, _ in result.hits] == list(range(5, 1022)) and result.hashes == 1017
    target = 2**255 // 30
    some = _scan(HEADER, count=3000, target=target).hits
    assert [n for n, _ in some] == [n for n in range(3000) if hash_value(n) <= target]
    rolled = _scan(HEADER, 9, 3, EVERY, 257)
    assert rolled.hits == [(n, roll_version(VERSION, s)) for s in range(257) for n in (9, 10, 11)]
    assert rolled.hashes == 771 and rolled.mode == "roll"


def test_the_ends_of_the_nonces():
    hits = _scan(HEADER, start=2**32 - 3, count=3, target=EVERY).hits
    assert [n for n, _ in hits] == [2**32 - 3, 2**32 - 2, 2**32 - 1]
    hits = _scan(HEADER, 2**32 - 3, 8, EVERY, versions=2).hits
    second = roll_version(VERSION, 1)
    assert hits == [(n, VERSION) for n in range(2**32 - 3, 2**32)] + [(n, second) for n in range(5)]
    rolled = _scan(HEADER, 2**32 - 2, 2, EVERY, 256).hits
    assert rolled == [
        (n, roll_version(VERSION, s)) for s in range(256) for n in (2**32 - 2, 2**32 - 1)
    ]
    assert _scan(HEADER, 5, 0, EVERY).hits == []


@pytest.mark.parametrize(
    "versions,count", [(1, 70_001), (5, 3_000), (255, 60), (256, 300), (1000, 130)]
)
def test_as_the_processor(versions, count):
    """Chunks, schedules of more nonces than a launch takes, both devices: the CPU's hits, in its order."""
    aim = 2**256 // 2**9
    want = mining.scan(HEADER, 11, count, aim, versions).hits
    for backend in ("cuda", "cuda:1"):
        got = _scan(HEADER, 11, count, aim, versions, backend=backend)
        assert got.hits == want and len(want) > 20
        assert got.hashes == count * versions
        assert got.mode == ("roll" if versions >= 256 else "nonce") and got.backend == backend


def test_both_kernels_are_run_and_agree(module, monkeypatch):
    """Sums by additions or by multiply-adds: which is faster here is chance, so both are asked."""
    assert {module.scan_variant(0, roll) for roll in (False, True)} <= {0, 1}
    assert set(module.scan_hashes(HEADER, 3, 200, False, 0)) == set(
        module.scan_hashes(HEADER, 3, 200, False, 1)
    )
    for variant in (0, 1):
        nonces = module.scan_hashes(HEADER, 3, 200, False, variant)
        rolled = module.scan_hashes(HEADER, 3, 300, True, variant)
        aim = 2**32 // 8 - 1
        assert nonces == [n for n in range(3, 203) if hash_value(n) >> 224 <= aim]
        assert rolled == [
            s for s in range(300) if hash_value(3, roll_version(VERSION, s)) >> 224 <= aim
        ]


def test_progress_and_an_exception_in_it():
    seen = []
    _scan(HEADER, count=20_000, target=1, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (20_000, 20_000)

    def stop(done, total):
        raise KeyboardInterrupt if done else RuntimeError

    with pytest.raises((KeyboardInterrupt, RuntimeError)):
        _scan(HEADER, count=2**32, target=1, progress=stop)


def test_a_chunk_is_short(module):
    """What a stop waits for: launches in flight end within 50 ms."""
    module.shim.log()
    told = []

    def stop(done, total):
        told.append(threading.active_count())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _scan(HEADER, count=2**32, target=1, backend="cuda:0", progress=stop)
    launches = [what for what, _ in module.shim.log() if what == "launch"]
    assert 3 < len(launches) < 4000 and told  # many short ones by then


@pytest.mark.parametrize(
    "call", ["launch", "cudaEventSynchronize", "cudaMemcpyAsync", "cudaMemsetAsync"]
)
def test_a_device_lost_in_the_middle_loses_no_hit(module, call):
    aim = EVERY >> 6
    _scan(HEADER, 0, 100, aim)  # variants are chosen
    module.shim.fail(call, LOST, after=9)
    with pytest.raises(mining.ScanError, match="device 0.*unspecified launch failure") as failed:
        _scan(HEADER, 0, 10**6, aim, backend="cuda:0")
    error = failed.value
    assert 0 < error.hashes < 10**6
    found = [n for n, _ in error.hits]
    assert found and found == sorted(found)
    # chunks end in the order of the nonces on one device
    assert found == [n for n in range(error.hashes) if hash_value(n) <= aim]
    assert _scan(HEADER, 0, 50, aim).hashes == 50  # the next call works
    assert module.shim.used(0) == 0
    again = pickle.loads(pickle.dumps(error))
    assert (again.hits, again.hashes, str(again)) == (error.hits, error.hashes, str(error))


def test_a_device_lost_in_a_later_version_keeps_the_earlier(module):
    _scan(HEADER, 0, 10, 1)
    module.shim.fail("launch", LOST, after=1)
    with pytest.raises(mining.ScanError) as failed:
        _scan(HEADER, 2**32 - 3, 8, EVERY, versions=2, backend="cuda:0")
    assert (2**32 - 3, VERSION) in failed.value.hits and failed.value.hashes >= 3


def test_memory_of_a_device_that_is_full(module):
    _scan(HEADER, 0, 10, 1)
    module.shim.set(memory=1000)
    with pytest.raises(MemoryError, match="out of memory"):
        _scan(HEADER, 0, 10, 1)
    module.shim.set()
    assert _scan(HEADER, 0, 10, 1).hashes == 10
    module.shim.fail("cudaMalloc", MEMORY, after=1)
    with pytest.raises(MemoryError, match="out of memory"):
        _scan(HEADER, 0, 10, 1, 256, backend="cuda:0")
    assert module.shim.used(0) == module.shim.used(1) == 0


def test_why_not(module, monkeypatch):
    module.shim.set(driver=0)
    with pytest.raises(ValueError, match="backend is 'cuda'; not allowed here: no NVIDIA driver"):
        _scan(HEADER, 0, 10, 1)
    row = mining.backends()["cuda"]
    assert row == {"available": False, "why": "no NVIDIA driver was found (libcuda.so.1)"}
    module.shim.set(devices=1, capability=70)
    with pytest.raises(ValueError, match="not allowed here: no device of compute capability 7.5"):
        _scan(HEADER, 0, 10, 1, backend="cuda:0")
    module.shim.set()
    for bad in ("cuda:2", "cuda:", "cuda:x", "cuda:-1"):
        with pytest.raises(
            ValueError, match=f"backend is '{bad}'; allowed here: 'cuda', 'cuda:0', 'cuda:1'"
        ):
            _scan(HEADER, 0, 10, 1, backend=bad)
    monkeypatch.setattr(
        compiled, "load", lambda: (None, "built without CUDA: no CUDA compiler was found")
    )
    assert mining.backends()["cuda"]["why"].startswith("built without CUDA")


def test_backends_measure_it(module):
    row = mining.backends()["cuda"]
    assert row["available"] and row["roll_lanes"] == 256
    for prefix in ("", "roll_"):
        assert row[f"{prefix}hashrate"] > 1e4 and row[f"{prefix}binds"] == "integer"
    # two devices of four multiprocessors at 1 GHz
    assert row["bound"] == pytest.approx(8e9 / (1818 / 64))
    module.shim.fail("launch", LOST)
    _cuda_backend._measured.cache_clear()
    assert "launch failure" in mining.backends()["cuda"]["why"]


def test_chosen_outside(monkeypatch):
    monkeypatch.setenv("TOKENROOF_HASH_BACKEND", "cuda")
    assert mining.scan(HEADER, count=10, target=1).backend == "cuda"
    monkeypatch.delenv("TOKENROOF_HASH_BACKEND")
    assert mining.scan(HEADER, count=10, target=1).backend != "cuda"  # only where it is asked for


@pytest.mark.parametrize(
    "arguments,named",
    [({"header": bytes(79)}, "header has 79 bytes"), ({"start": -1}, "start is -1"), ({"start": 2**32}, "start . count is"),
     ({"count": -1}, "count is -1"), ({"target": 0}, "target is 0"), ({"versions": 65537}, "versions is 65537"),
     ({"progress": 3}, "progress is 3")],
)  # fmt: skip
def test_bad_arguments(arguments, named):
    with pytest.raises((ValueError, TypeError), match=f"{named}.*allowed"):
        mining.scan(
            **{"header": HEADER, "count": 10, "target": EVERY, "backend": "cuda", **arguments}
        )


def test_bad_arguments_of_the_module(module):
    good = {
        "header": HEADER,
        "start": 0,
        "count": 1,
        "target": bytes(32),
        "step": 0,
        "versions": 1,
        "devices": [0],
    }
    for name, value in [("header", b""), ("target", b""), ("count", 2**33), ("versions", 0), ("devices", []),
                        ("capacity", 0)]:  # fmt: skip
        with pytest.raises(ValueError, match=name if name != "count" else "count"):
            module.scan(**{**good, name: value})
