"""The simulation of pools on CUDA devices, its code run on the CPU (tests/cuda/shim): the processor's bits."""

import numpy as np
import pytest
from _shim import in_place_of_the_real_one
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tokenroof import _core
from tokenroof.mining import simulate_pool

CASES = {
    "solo": ("SOLO", {}),
    "fees at random": ("SOLO", {"fees_btc": 0.1, "fees_std_btc": 0.2}),
    "pps": ("PPS", {"share_difficulty": 1e6}),
    "pps with reserve": ("PPS", {"share_difficulty": 1e11, "reserve_btc": 0.5, "cost_btc_per_s": 1e-5}),
    "fpps": ("FPPS", {"fees_btc": 0.1, "share_difficulty": 1e6}),
    "pps+": ("PPS+", {"fees_btc": 0.2, "fees_std_btc": 0.1, "share_difficulty": 1e7, "reserve_btc": 1.0,
                      "cost_btc_per_s": 1e-5, "pool_hashrate": 2e19}),
    "pplns": ("PPLNS", {"pool_hashrate": 2e19, "share_difficulty": 1e8, "reserve_btc": 1.0, "cost_btc_per_s": 1e-5}),
    "pplns, empty window": ("PPLNS", {"pool_hashrate": 5e19, "share_difficulty": 1e9, "window_filled": False}),
    "a pool": ("FPPS", {"party": "pool", "pool_hashrate": 2e19, "reserve_btc": 20.0, "share_difficulty": 1e6}),
}  # fmt: skip


@pytest.fixture(autouse=True)
def module(monkeypatch):
    return in_place_of_the_real_one(monkeypatch)


def both(scheme, paths, **more):
    case = {"hashrate": 1e18, "difficulty": 1e14, "seconds": 20 * 86400, "paths": paths, **more}
    return simulate_pool(scheme, device="cuda", **case), simulate_pool(scheme, **case)


def same(got, want):
    assert np.array_equal(got.income_btc.view(np.uint64), want.income_btc.view(np.uint64))
    assert np.array_equal(got.ruin_time_s.view(np.uint64), want.ruin_time_s.view(np.uint64))
    assert got.mean_btc == want.mean_btc and (got.quantiles_btc == want.quantiles_btc).all()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("seed", [0, 2**64 - 1])
def test_bit_for_bit(name, seed):
    scheme, more = CASES[name]
    got, want = both(scheme, 700, seed=seed, **more)
    same(got, want)
    assert len(np.unique(got.income_btc)) > 5


@given(
    scheme=st.sampled_from(["SOLO", "PPS", "FPPS", "PPS+", "PPLNS"]), seed=st.integers(0, 2**64 - 1),
    paths=st.integers(2, 150), seconds=st.floats(1.0, 3e6), share=st.floats(1e5, 1e12), fees=st.floats(0.0, 1.0),
    spread=st.floats(0.0, 1.0), window=st.floats(0.1, 6.0),
)  # fmt: skip
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_pool(scheme, seed, paths, seconds, share, fees, spread, window):
    got, want = both(scheme, paths, seed=seed, seconds=seconds, share_difficulty=share, fees_btc=fees,
                     fees_std_btc=spread * fees, window_blocks=window, pool_hashrate=2e18)  # fmt: skip
    same(got, want)


def test_many_launches_and_progress(module):
    seen = []
    got = simulate_pool("SOLO", 1e18, 1e14, 86400.0, paths=60_000, seed=3, device="cuda:1",
                        progress=lambda done, total: seen.append((done, total)))  # fmt: skip
    want = simulate_pool("SOLO", 1e18, 1e14, 86400.0, paths=60_000, seed=3)
    same(got, want)
    assert seen[-1] == (60_000, 60_000)
    assert sum(what == "launch" for what, _ in module.shim.log()) > 2
    assert module.shim.used(1) == 0


def test_rings_that_fill_the_memory(module):
    """Many blocks in a window need room for them in each thread."""
    case = {
        "pool_hashrate": 5e20,
        "share_difficulty": 1e9,
        "window_blocks": 3000.0,
        "paths": 40,
        "seed": 1,
    }
    got, want = both("PPLNS", **case)
    same(got, want)
    module.shim.set(memory=1 << 18)
    with pytest.raises(MemoryError, match="out of memory"):
        both("PPLNS", **case)
    assert module.shim.used(0) == 0


def test_stops_and_failures(module):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate_pool("SOLO", 1e21, 1e11, 86400.0 * 30, paths=10**6, device="cuda", progress=stop)
    module.shim.fail("launch", 719, after=1)
    with pytest.raises(module.CudaError, match="launching a kernel: unspecified launch failure"):
        simulate_pool("SOLO", 1e18, 1e14, 86400.0, paths=60_000, device="cuda")
    assert simulate_pool("SOLO", 1e18, 1e14, 86400.0, paths=10, device="cuda").paths == 10
    assert module.shim.used(0) == module.shim.used(1) == 0


def test_bad_devices(module):
    for bad, error in (
        ("gpu", ValueError),
        (3, TypeError),
        ("cuda:7", ValueError),
        ("cuda:", ValueError),
    ):
        with pytest.raises(error, match="device is .*allowed"):
            simulate_pool("SOLO", 1e18, 1e14, 86400.0, paths=10, device=bad)
    module.shim.set(driver=0)
    with pytest.raises(ValueError, match="device is 'cuda'; not allowed here: no NVIDIA driver"):
        simulate_pool("SOLO", 1e18, 1e14, 86400.0, paths=10, device="cuda")
    module.shim.set()
    good = np.zeros(len(_core.POOL_FIELDS))
    with pytest.raises(ValueError, match="model is not a contiguous array"):
        module.simulate_pool(good[:-1].copy(), 0, 0, np.zeros(3), np.zeros(3), 0)
    with pytest.raises(ValueError, match="ruin_time is not a contiguous array"):
        module.simulate_pool(good, 0, 0, np.zeros(3), np.zeros(2), 0)
