"""Pools: random numbers, paths against their reference, Monte Carlo against closed forms."""

from __future__ import annotations

import math
import os
import signal
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from _support import BY_ISA, each_isa, every_isa, same
from tokenroof import _core, mining, reference
from tokenroof.mining.ruin import ruin_ever, ruin_within
from tokenroof.reference.core.special import normals

# Standard errors that a right answer with a fixed seed may be off: some 120 comparisons are made here, and
# the worst of so many exceeds 4.5 once in a thousand sets of seeds.
Z = 4.5
MONTH = 30 * 86400.0


# --- random numbers ------------------------------------------------------------------------------------


def philox(isa, counters, key):
    counters = np.ascontiguousarray(counters, dtype=np.uint32)
    out = np.empty(counters.size, np.uint32)
    _core.philox_words(isa, counters.ravel(), np.array(key, np.uint32), out)
    return out.reshape(counters.shape)


@each_isa
def test_philox_gives_the_published_answers(isa):
    """kat_vectors of Random123, philox4x32 with 10 rounds."""
    ones = 2**32 - 1
    pi = (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344)
    for counter, key, words in (
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((ones,) * 4, (ones,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (pi, (0xA4093822, 0x299F31D0), (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
    ):
        assert tuple(philox(isa, [counter] * 9, key)[8].tolist()) == words
        assert reference.philox(counter, key) == words


word = st.integers(0, 2**32 - 1)


@given(
    counters=st.lists(st.tuples(word, word, word, word), min_size=1, max_size=20),
    key=st.tuples(word, word),
)
@every_isa
def test_philox_equals_its_reference(isa, counters, key):
    got = philox(isa, counters, key)
    assert [tuple(row) for row in got.tolist()] == [reference.philox(c, key) for c in counters]


def variates(isa, u, v, mean):
    out = np.empty((3, u.size))
    _core.variates(isa, u, v, mean, *out)
    return out


@each_isa
def test_normal_and_poisson_numbers(isa):
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(1)
    u, v = (rng.integers(0, 2**52, 20_000) + 0.5) / 2**52, rng.random(20_000)
    u[:3], v[:5] = [0.5 / 2**52, 1 - 0.5 / 2**52, 0.5], [0.125, 0.25, 0.375, 0.0, 1 - 2**-53]
    for mean in (0.0, 0.02, 3.0, 31.99, 32.0, 100.0, 1e4, 1e12):
        first, second, count = variates(isa, u, v, np.full(u.size, mean))
        for a, b in zip(
            (first[:2000], second[:2000]),
            zip(*map(normals, u[:2000].tolist(), v[:2000].tolist()), strict=True),
            strict=True,
        ):
            # radius and angle are right to some ulps each; the radius is below 8.6
            np.testing.assert_allclose(a, b, rtol=0, atol=2e-14)
        at = u if mean < 32.0 else stats.norm.cdf(first)
        want = stats.poisson.ppf(at, mean) if 0 < mean < 1e6 else np.zeros(u.size)
        off = count != want
        if mean < 32.0:
            assert not off[2:].any()  # the first two are 2^-53 from the ends, as the sum is from 1
            assert count[0] == 0 and want[1] - 2 <= count[1] <= want[1] + 5
        elif mean < 1e6:  # scipy searches for longer than it is worth above
            assert off.mean() < 4e-4 and np.abs(count - want).max() <= 1
        if mean >= 1.0:
            assert abs(count.mean() - mean) < Z * math.sqrt(mean / u.size)
    with pytest.raises(ValueError, match="not a contiguous array"):
        _core.variates(isa, u, v[:-1], u, u.copy(), u.copy(), u.copy())


# --- paths ---------------------------------------------------------------------------------------------


def play(model, paths, seed=0, first=0, isa=_core.ISA, threads=1, progress=None):
    packed = np.array([float(model[name]) for name in _core.POOL_FIELDS])
    income, ruin = np.empty(paths), np.empty(paths)
    _core.simulate_pool(isa, packed, seed, first, income, ruin, threads, progress)
    return income, ruin


positive = st.floats(0.01, 10.0)


@st.composite
def pool_models(draw):
    sigma = draw(st.sampled_from([0.0, 0.5, 1.2]))
    model = {
        "horizon_s": draw(st.floats(0.0, 8.0)), "block_rate": draw(positive),
        "share_rate": draw(st.sampled_from([0.0, 3.0, 1e3, 1e6])), "block_gain": draw(positive),
        "fee_gain": draw(st.sampled_from([0.0, 1.0, 0.02])), "share_gain": draw(st.sampled_from([0.0, 1e-3, -2e-3])),
        "fee_scale": draw(positive), "fee_sigma": sigma, "reserve": draw(st.floats(0.0, 5.0) | st.just(math.inf)),
        "cost_rate": draw(st.sampled_from([0.0, 1.0, 30.0])), "window_s": 0.0, "window_shares": 1.0,
        "window_filled": 1.0,
    }  # fmt: skip
    if draw(st.booleans()):
        model |= {
            "window_s": draw(st.floats(0.05, 3.0) | st.floats(8.0, 1e4)), "window_shares": 1e3, "window_filled": float(draw(st.booleans())),
        }  # fmt: skip
    return model


@settings(max_examples=25)
@given(
    model=pool_models(),
    seed=st.integers(0, 2**64 - 1),
    first=st.sampled_from([0, 2**32 - 3, 2**40]),
)
@every_isa
def test_a_path_equals_its_reference(isa, model, seed, first):
    """Logarithms and roots differ by ulps, sums of some hundred events by some hundred of them."""
    income, ruin = play(model, 6, seed, first, isa)
    one = reference.pplns_path if model["window_s"] else reference.pool_path
    for i in range(6):
        want_income, want_ruin = one(model, seed, first + i)
        scale = abs(want_income) + model["share_rate"] * model["horizon_s"] * abs(
            model["share_gain"]
        )
        assert income[i] == pytest.approx(want_income, rel=1e-11, abs=1e-11 * scale)
        if math.isfinite(want_ruin) and math.isfinite(ruin[i]):
            assert ruin[i] == pytest.approx(want_ruin, rel=1e-9, abs=1e-9)
        else:  # a balance of nothing at the end may fall to either side
            assert ruin[i] == want_ruin or min(ruin[i], want_ruin) > 0.999 * model["horizon_s"]


WINDOWED = {
    "horizon_s": 20.0, "block_rate": 1.0, "share_rate": 50.0, "block_gain": 3.0, "fee_gain": 1.0, "share_gain": 1e-3,
    "fee_scale": 0.2, "fee_sigma": 0.8, "reserve": 2.0, "cost_rate": 0.4, "window_s": 2.0, "window_shares": 1e3,
    "window_filled": 1.0,
}  # fmt: skip


@pytest.mark.parametrize("window", [0.0, 2.0, 1e6])
def test_the_same_bits_on_any_number_of_threads_and_any_instruction_set(window):
    model = {**WINDOWED, "window_s": window}
    want = play(model, 1003, seed=7)
    assert np.isfinite(want[1]).any() and np.isinf(want[1]).any()
    for isa in BY_ISA:
        for threads in (1, 2, 5):
            got = play(model, 1003, seed=7, isa=isa, threads=threads)
            assert same(got[0], want[0]) and same(got[1], want[1])
    later = play(model, 500, seed=7, first=400)
    assert same(later[0], want[0][400:900])
    assert not same(play(model, 1003, seed=8)[0], want[0])


# --- against the closed forms --------------------------------------------------------------------------

FARM = {"hashrate": 1e18, "difficulty": 1e14, "seconds": MONTH}


@pytest.mark.parametrize("share_difficulty", [1e6, 1e10])
@pytest.mark.parametrize("party", ["miner", "pool"])
@pytest.mark.parametrize("scheme", mining.SCHEMES)
def test_simulation_agrees_with_the_closed_forms(scheme, party, share_difficulty):
    terms = {**FARM, "fees_btc": 0.4, "fees_std_btc": 0.3, "fee": 0.02, "pool_hashrate": 2e19,
             "share_difficulty": share_difficulty, "party": party}  # fmt: skip
    want = mining.pool_income(scheme, **terms)
    got = mining.simulate_pool(scheme, **terms, paths=20_000, seed=3, threads=2)
    assert abs(got.mean_btc - want.mean_btc) < Z * got.mean_error_btc
    assert abs(got.variance_btc2 - want.variance_btc2) < Z * got.variance_error_btc2
    assert math.isnan(got.ruin) and np.isinf(got.ruin_time_s).all()


@pytest.mark.parametrize(
    "scheme,party,cost,reserve,share_difficulty",
    [("SOLO", "miner", 0.9, 10.0, 1e6), ("PPLNS", "miner", 0.9, 1.0, 1e9), ("PPS", "pool", 0.0, 20.0, 1e8),
     ("FPPS", "pool", 0.0, 20.0, 1e8), ("FPPS", "pool", 0.5, 30.0, 1e6), ("PPS+", "pool", 0.1, 20.0, 1e6),
     ("PPLNS", "pool", 0.9, 0.5, 1e6), ("SOLO", "pool", 0.9, 0.5, 1e6), ("PPS", "miner", 0.999, 0.01, 1e11),
     ("PPS+", "miner", 1.01, 0.5, 1e6)],
)  # fmt: skip
def test_ruin_agrees_with_the_hitting_time_theorem(scheme, party, cost, reserve, share_difficulty):
    terms = {**FARM, "fees_btc": 0.4, "fee": 0.02, "pool_hashrate": 1e19, "share_difficulty": share_difficulty,
             "party": party}  # fmt: skip
    mean = mining.pool_income(scheme, **terms).mean_btc
    terms |= {"reserve_btc": reserve, "cost_btc_per_s": cost * mean / MONTH}
    want = mining.pool_income(scheme, **terms)
    got = mining.simulate_pool(scheme, **terms, paths=20_000, seed=4, threads=2)
    assert 0.005 < want.ruin_in_time < 0.995
    assert abs(got.ruin - want.ruin_in_time) < Z * got.ruin_error
    assert want.ruin_in_time <= want.ruin * (1 + 1e-12)
    assert (got.ruin_time_s[np.isfinite(got.ruin_time_s)] <= MONTH).all()
    # Rosenfeld's first-order bound for who pays per share
    if (scheme, party, cost) == ("FPPS", "pool", 0.0):
        assert want.ruin == pytest.approx(math.exp(-2 * 0.02 * reserve / 3.525), rel=0.01)


def test_ruin_with_random_fees_and_for_ever():
    """After a long time few of those who are ever ruined are not yet."""
    terms = {**FARM, "fees_btc": 2.0, "fees_std_btc": 3.0, "pool_hashrate": 1e19, "fee": 0.1,
             "share_difficulty": 1e8, "party": "pool", "reserve_btc": 20.0, "seconds": 24 * MONTH}  # fmt: skip
    want = mining.pool_income("FPPS", **terms)
    got = mining.simulate_pool("FPPS", **terms, paths=20_000, seed=5, threads=2)
    late = np.isfinite(got.ruin_time_s) & (got.ruin_time_s > 12 * MONTH)
    assert late.sum() < 0.001 * got.paths and math.isnan(want.ruin_in_time)
    assert abs(got.ruin - want.ruin) < Z * got.ruin_error
    steady = mining.pool_income("FPPS", **{**terms, "fees_std_btc": 0.0})
    assert steady.ruin < want.ruin


def test_a_window_that_fills():
    """E = rate * gain * integral of min(t / W, 1)."""
    terms = {**FARM, "pool_hashrate": 1e19, "share_difficulty": 1e6, "window_blocks": 30.0}
    got = mining.simulate_pool("PPLNS", **terms, window_filled=False, paths=20_000, seed=6)
    settled = mining.pool_income("PPLNS", **terms).mean_btc
    window = 30.0 * 1e14 * 2**32 / 1e19
    assert abs(got.mean_btc - settled * (1 - window / 2 / MONTH)) < Z * got.mean_error_btc
    # a window of one share is SOLO by another name: the finder of the block gets it all
    few = mining.pool_income("PPLNS", **{**FARM, "seconds": 1e5 * MONTH}, pool_hashrate=1e19, share_difficulty=1e14,
                             window_blocks=1.0)  # fmt: skip
    solo = mining.pool_income("SOLO", **{**FARM, "seconds": 1e5 * MONTH})
    assert few.variance_btc2 == pytest.approx(
        solo.variance_btc2 * 1.9, rel=1e-4
    )  # and its neighbour's


@pytest.mark.parametrize("window", [1e3, 1e5, 1e7, 1e8])
def test_a_window_longer_than_the_time(window):
    """Its length costs nothing: blocks after the end are not played, and none wait that do not pay."""
    terms = {**FARM, "pool_hashrate": 1e20, "share_difficulty": 1e6, "window_blocks": window}
    want = mining.pool_income("PPLNS", **terms)
    got = mining.simulate_pool("PPLNS", **terms, paths=20_000, seed=17)
    assert abs(got.mean_btc - want.mean_btc) < Z * got.mean_error_btc
    assert abs(got.variance_btc2 - want.variance_btc2) < Z * got.variance_error_btc2
    filling = mining.simulate_pool("PPLNS", **terms, window_filled=False, paths=5_000, seed=17)
    length = window * 1e14 * 2**32 / 1e20
    # a block at t pays for the shares since the start, t / W of a window
    assert abs(filling.mean_btc - want.mean_btc * MONTH / 2 / length) < Z * filling.mean_error_btc


def test_quantiles_of_solo_mining():
    """Counts are Poisson: the quantiles are known."""
    stats = pytest.importorskip("scipy.stats")
    got = mining.simulate_pool("SOLO", **FARM, paths=20_000, seed=9, quantiles=(0.01, 0.5, 0.9))
    blocks = 1e18 * MONTH / (1e14 * 2**32)
    assert got.quantiles_btc.tolist() == (3.125 * stats.poisson.ppf(got.quantiles, blocks)).tolist()
    assert (got.quantiles_error_btc <= 3.125).all()
    counts = np.bincount(np.rint(got.income_btc / 3.125).astype(int), minlength=30)[:15]
    expected = got.paths * stats.poisson.pmf(np.arange(15), blocks)
    keep = expected > 10
    chi = ((counts - expected)[keep] ** 2 / expected[keep]).sum()
    assert stats.chi2.sf(chi, keep.sum()) > 1e-5


def test_hitting_times_sum_to_the_probability_of_ever():
    for spent in (0.5, 0.8, 0.95):
        ever = ruin_ever(7.0, spent, 1.0, 1.0, 0.0, 0.0, 0.0)
        assert ruin_within(7.0, spent, 1.0, 1.0, 1e5) == pytest.approx(ever, rel=1e-10)
    assert ruin_within(7.0, 1.5, 1.0, 1.0, 1e5) == pytest.approx(1.0, rel=1e-10)
    assert (
        ruin_within(7.0, 1.0, 1.0, 1.0, 6.9) == 0.0 and ruin_within(0.0, 1.0, 1.0, 1.0, 1.0) == 1.0
    )
    # no jump in the first stretch: exp(-rate reserve / drift)
    assert ruin_within(7.0, 2.0, 1.0, 100.0, 4.0) == pytest.approx(math.exp(-3.5), rel=1e-12)
    assert (
        ruin_within(1.0, 0.0, 1.0, 1.0, 1e9) == 0.0 and ruin_within(1.0, 1.0, 0.0, 1.0, 2.0) == 1.0
    )
    assert math.isnan(ruin_within(1.0, 1.0, 1.0, 1e-9, 10.0))


# --- the function --------------------------------------------------------------------------------------

LONG = {
    "hashrate": 1e20,
    "difficulty": 1e14,
    "seconds": 400 * MONTH,
    "pool_hashrate": 2e20,
    "share_difficulty": 1e6,
}


@pytest.mark.parametrize("scheme", ["SOLO", "PPLNS"])
def test_ctrl_c_stops_it(scheme):
    """Also inside one path, of a quarter of a million blocks here and an hour in all."""
    timer = threading.Timer(0.15, os.kill, (os.getpid(), signal.SIGINT))
    began = time.process_time()
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        mining.simulate_pool(scheme, **LONG, paths=1_000_000, threads=2)
    timer.join()
    # how soon is a benchmark's matter (bench/ratios.py)
    assert time.process_time() - began < 30


def test_progress_is_told():
    seen = []
    mining.simulate_pool(
        "SOLO",
        **FARM,
        paths=500,
        threads=2,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen[-1] == (500, 500)

    def fail(done, total):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        mining.simulate_pool("SOLO", **FARM, paths=500, progress=fail)


@pytest.mark.parametrize(
    "changes,named",
    [({"scheme": "PROP"}, "scheme is 'PROP'"), ({"hashrate": 0}, "hashrate is 0"), ({"hashrate": [1.0]}, "hashrate is \\[1.0\\]"),
     ({"difficulty": math.nan}, "difficulty is nan"), ({"seconds": -1}, "seconds is -1"), ({"fee": 1.0}, "fee is 1.0"),
     ({"fees_std_btc": 1.0}, "fees_std_btc is 1"), ({"party": "bank"}, "party is 'bank'"), ({"paths": 1}, "paths is 1"),
     ({"paths": 10**12}, "paths is 10+"), ({"progress": 3}, "progress is 3"), ({"paths": 2.5}, "paths is 2.5"), ({"seed": -1}, "seed is -1"), ({"seed": 2**64}, "seed is"),
     ({"threads": 0}, "threads is 0"), ({"threads": 5000}, "threads is 5000"), ({"quantiles": (0.5, 1.5)}, "quantiles has 1.5"),
     ({"window_blocks": 0}, "window_blocks is 0"),
     ({"scheme": "PPLNS", "pool_hashrate": 1e20, "window_blocks": 1e15}, "window_blocks is 1e\\+15, with .* shares"),
     ({"scheme": "PPLNS", "pool_hashrate": 1e20, "window_blocks": 1e7, "seconds": 3e9, "share_difficulty": 1e6},
      "window_blocks is 1e\\+07, with .* blocks of a path that wait"), ({"reserve_btc": -1.0}, "reserve_btc is -1"),
     ({"cost_btc_per_s": math.inf}, "cost_btc_per_s is inf"), ({"scheme": "PPLNS"}, "pool_hashrate is None"),
     ({"pool_hashrate": 1.0}, "pool_hashrate is 1"), ({"seconds": 1e30}, "seconds is 1e\\+30, with .* blocks"),
     ({"scheme": "PPS", "reserve_btc": 1.0, "cost_btc_per_s": 1e-9}, "seconds is .*, with .* shares"),
     ({"scheme": "PPS", "seconds": 1e9}, "share_difficulty is 1, with"), ({"share_difficulty": 1e15}, "share_difficulty is 1e\\+15")],
)  # fmt: skip
def test_bad_arguments_are_named(changes, named):
    with pytest.raises((ValueError, TypeError), match=f"{named}.*allowed"):
        mining.simulate_pool(**{"scheme": "SOLO", **FARM, "paths": 10, **changes})


def test_a_backend_that_is_not_there():
    with pytest.raises(ValueError, match="isa is 'none'; allowed"):
        play(WINDOWED, 3, isa="none")
