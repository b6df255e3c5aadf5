"""Sessions in closed form: what a cache holds between turns, held against the simulator."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tokenroof as tr
from _support import BY_ISA, every_isa
from tokenroof import kernels, reference, serving
from tokenroof.inference.door import deployment
from tokenroof.serving import SessionLoad

FP8 = tr.Plan(weights="fp8", kv_cache="fp8")
TALK = SessionLoad(turns=8, input_tokens=2000, output_tokens=200, think_s=60)


def curve(load=TALK, concurrency=(4,), plan=FP8, **given):
    return serving.session_curve("H200-SXM", "Llama-3.1-8B", plan, load, concurrency, **given)


@given(
    rate=st.floats(1e-3, 1e3), kept=st.floats(0, 1e9), left=st.floats(0, 1e9), gap=st.just(0.0) | st.floats(1e-6, 1e6),
    reach=st.floats(0, 1e6),
)  # fmt: skip
@every_isa
def test_kernels_are_their_twins(isa, rate, kept, left, gap, reach):
    share = BY_ISA[isa]["cache_reached"](gap, reach)
    assert share == pytest.approx(reference.cache_reached(gap, reach), rel=1e-14)
    held = BY_ISA[isa]["cache_held"](rate, kept, left, gap, reach)
    assert held == pytest.approx(reference.cache_held(rate, kept, left, gap, reach), rel=1e-13)


@given(gap=st.floats(0.1, 1e3), reach=st.floats(0.0, 1e4), seed=st.integers(0, 99))
def test_held_is_the_mean_of_the_lesser(gap, reach, seed):
    gaps = np.random.default_rng(seed).exponential(gap, 40_000)
    drawn = np.minimum(gaps, reach)
    error = 5 * drawn.std() / 200 + 1e-9
    assert kernels.cache_held(1.0, 1.0, 0.0, gap, reach) == pytest.approx(drawn.mean(), abs=error)
    assert kernels.cache_reached(gap, reach) == pytest.approx((gaps < reach).mean(), abs=0.0125)


def test_by_hand():
    assert kernels.cache_reached(10.0, 20.0) == pytest.approx(1 - np.exp(-2.0), rel=1e-15)
    assert kernels.cache_reached(0.0, 0.0) == 1.0
    assert kernels.cache_held(2.0, 0.0, 3.0, 5.0, 7.0) == 42.0
    load = SessionLoad(turns=4, input_tokens=100, output_tokens=50, shared_tokens=1000)
    assert load.said.tolist() == [0, 150, 300, 450]
    assert load.prompts.tolist() == [1100, 1250, 1400, 1550] and load.mean_input == 1325
    assert load.ratio == 26.5 and load.most_cached == pytest.approx(1 - 100 / 1325)
    made = load.requests(1.0, 3)
    assert made.input_tokens.tolist() == [1100, 1250, 1400, 1550] * 3


def test_presets():
    assert [p.name for p in serving.presets()] == ["1k/1k", "1k/8k", "8k/1k", "32k/8k", "agentic"]
    assert serving.preset("32K/8K").input_tokens == 32768
    agent = serving.preset("agentic")
    assert agent.sessions.ratio == pytest.approx(133, abs=0.5)
    assert agent.sessions.most_cached == pytest.approx(0.92, abs=5e-4)
    assert agent.input_tokens == agent.sessions.mean_input


@pytest.mark.parametrize(
    ("load", "model", "plan", "concurrency"),
    [
        (TALK, "Llama-3.1-8B", FP8, 2),
        (TALK, "Llama-3.1-8B", FP8, 8),
        (TALK, "Llama-3.1-8B", FP8, 4),
        (SessionLoad(turns=6, input_tokens=3000, output_tokens=300, think_s=120), "Llama-3.1-8B", FP8, 8),
        (SessionLoad(turns=8, input_tokens=800, output_tokens=200, shared_tokens=1000, think_s=20),
         "Llama-3.1-8B", FP8, 16),
        (serving.preset("agentic").sessions, "Llama-3.1-70B", tr.Plan(tp=8, weights="fp8", kv_cache="fp8"), 4),
    ],
)  # fmt: skip
def test_the_simulator_finds_the_same(load, model, plan, concurrency):
    """vLLM's cache, block by block, at the rate that the closed form gives; from the least to the most hits.

    It evicts a session from its end, so that what is left of one still hits: a few points more than a session
    that is held whole or not at all.
    """
    table = serving.session_curve("H200-SXM", model, plan, load, [concurrency])
    sessions = 200 if load.turns > 20 else 1200
    run = serving.simulate(
        "H200-SXM", model, plan, load.requests(float(table.sessions_per_s[0]), sessions, seed=1)
    )
    q = run.requests[run.requests["status"] == "done"]
    low, high = np.quantile(q["first_token_s"], [0.35, 0.7])
    q = q[(q["first_token_s"] > low) & (q["first_token_s"] < high)]
    hits = q["cached_tokens"].sum() / q["input_tokens"].sum()
    assert float(table.hit_share[0]) == pytest.approx(hits, abs=0.06)
    tpot = ((q["last_token_s"] - q["first_token_s"]) / (q["output_tokens"] - 1)).mean()
    assert float(table.tpot_s[0]) == pytest.approx(tpot, rel=0.15)
    turns = (q["last_token_s"] - q["arrival_s"]).mean()
    assert float(table.turn_s[0]) == pytest.approx(turns, rel=0.20)


def test_what_a_session_holds_falls_short_as_more_are_open():
    table = curve(concurrency=[1, 2, 4, 8, 16, 32])
    assert (np.diff(table.hit_share) < 0).all() and (np.diff(table.reach_s) < 0).all()
    assert (np.diff(table.users) > 0).all() and (np.diff(table.ttft_s) > 0).all()
    # Little: users are those in flight and those that think
    gaps = table.sessions_per_s * 7 * 60.0
    assert np.allclose(table.users, table.concurrency + gaps, rtol=0.02)
    assert np.allclose(table.turns_per_s * table.turn_s, table.concurrency, rtol=1e-9)
    # what is held is what a share of gaps leaves there
    held = (
        table.sessions_per_s * TALK.said.sum() * 60.0 * kernels.cache_reached(60.0, table.reach_s)
    )
    assert np.allclose(table.held_tokens, held, rtol=0.02)
    assert np.allclose(
        table.held_bytes, table.held_tokens * 65536, rtol=1e-9
    )  # 32 layers, 8 heads of 128, fp8


@settings(max_examples=25)
@given(
    turns=st.integers(1, 40), tokens=st.integers(50, 4000), output=st.integers(64, 800),
    shared=st.sampled_from([0, 2000]), think=st.floats(0.1, 200.0), users=st.integers(1, 64),
)  # fmt: skip
def test_watts_lie_between_those_at_rest_and_the_limit(turns, tokens, output, shared, think, users):
    load = SessionLoad(turns, tokens, output, shared, think_s=think)
    table = curve(load, [users])
    on = deployment("H200-SXM", "Llama-3.1-8B", FP8)
    terms = kernels.serving_terms(*on.records, users, load.mean_input, output)
    rest = terms[kernels.SERVING_TERMS.index("rest_w")]
    assert rest < float(table.watts[0]) <= on.device.tdp_w


def test_watts_are_the_simulators():
    """As more is found the prompts take less of the time, and watts fall to those of a step that decodes."""
    plan = tr.Plan(tp=4, weights="fp8", kv_cache="fp8")
    drawn = []
    for turns, sessions in ((2, 600), (8, 200)):
        load = SessionLoad(turns=turns, input_tokens=4000, output_tokens=300, think_s=20.0)
        table = serving.session_curve("H200-SXM", "Llama-3.1-70B", plan, load, [32])
        steady = load.requests(float(table.sessions_per_s[0]), sessions, seed=1)
        run = serving.simulate("H200-SXM", "Llama-3.1-70B", plan, steady)
        assert float(table.watts[0]) == pytest.approx(run.energy.watts, rel=0.08)
        drawn.append(float(table.watts[0]))
    assert drawn[1] < drawn[0]


def test_without_anything_to_find_it_is_the_closed_loop():
    alone = SessionLoad(turns=1, input_tokens=1024, output_tokens=256)
    table = curve(alone, [1, 16, 64])
    plain = serving.curve("H200-SXM", "Llama-3.1-8B", FP8, 1024, 256, [1, 16, 64])
    for name in ("ttft_s", "tpot_s", "output_throughput", "batch", "watts"):
        assert np.allclose(table[name], plain[name], rtol=1e-9), name
    assert (table.hit_share == 0).all() and (table.held_tokens == 0).all()


def test_fixed_gaps_are_all_found_or_none():
    talk = SessionLoad(turns=8, input_tokens=2000, output_tokens=200, think_s=60, think="fixed")
    table = curve(talk, [1, 64])
    assert float(table.hit_share[0]) == pytest.approx(talk.most_cached, abs=0.002)
    assert float(table.hit_share[1]) < 0.4


def test_a_tier_below_finds_what_the_devices_lost_for_a_transfer():
    none = curve(concurrency=[16])
    some = curve(concurrency=[16], offload_bytes=5e11, offload_bandwidth=5e10)
    slow = curve(concurrency=[16], offload_bytes=5e11, offload_bandwidth=1e9)
    small = curve(concurrency=[16], offload_bytes=5e10, offload_bandwidth=5e10)
    assert (none.offload_share == 0).all() and float(some.offload_share[0]) > 0.2
    assert float((some.hit_share + some.offload_share)[0]) > float(none.hit_share[0]) + 0.2
    assert float(small.offload_share[0]) < float(some.offload_share[0])
    assert float(some.ttft_s[0]) < float(none.ttft_s[0]) < float(slow.ttft_s[0])
    assert float(some.offload_reach_s[0]) > float(some.reach_s[0])
    assert float(some.users[0]) > float(none.users[0])


@pytest.mark.parametrize("held,bandwidth", [(5e11, 5e9), (5e11, 5e10), (5e10, 1e10), (1e12, 2e8)])
def test_both_tiers_find_what_their_reach_says(held, bandwidth):
    """Hits are the shares of gaps that end within each reach, whatever the bandwidth; more turns, more users."""
    table = curve(concurrency=2.0 ** np.arange(9), offload_bytes=held, offload_bandwidth=bandwidth)
    gap = (table.users - table.concurrency) / (table.sessions_per_s * 7)
    own = np.maximum(TALK.said - 8.0, 0.0).mean() / TALK.mean_input
    above = kernels.cache_reached(gap, table.reach_s)
    either = kernels.cache_reached(gap, table.offload_reach_s)
    assert np.allclose(table.hit_share, above * own, atol=1e-9)
    assert np.allclose(table.hit_share + table.offload_share, either * own, atol=1e-9)
    assert (np.diff(table.users) > 0).all() and (np.diff(table.hit_share) < 0).all()
    assert np.allclose(table.turns_per_s * table.turn_s, table.concurrency, rtol=1e-9)


def test_fixed_gaps_over_a_tier_are_steps_of_one_curve():
    """Users jumped 169, 188, 437, 265 where what is fetched was sought while what hits was."""
    talk = SessionLoad(turns=8, input_tokens=2000, output_tokens=200, think_s=60, think="fixed")
    table = curve(talk, 2.0 ** np.arange(9), offload_bytes=5e10, offload_bandwidth=1e10)
    assert (np.diff(table.users) > 0).all()
    both = table.hit_share + table.offload_share
    assert (np.diff(both) <= 1e-9).all() and float(both[0]) <= talk.most_cached


def test_what_does_not_fit_says_why():
    table = serving.session_curve("H200-SXM", "Llama-3.1-70B", concurrency=[1])
    assert not table.fits.any() and np.isnan(table.ttft_s).all() and "GB" in table.attrs["reason"]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: SessionLoad(turns=0), ValueError, "turns is 0; allowed"),
        (lambda: SessionLoad(input_tokens=0), ValueError, "input_tokens is 0"),
        (lambda: SessionLoad(output_tokens=-1), ValueError, "output_tokens is -1"),
        (lambda: SessionLoad(shared_tokens=-1), ValueError, "shared_tokens is -1"),
        (lambda: SessionLoad(think_s=np.nan), ValueError, "think_s is nan"),
        (lambda: SessionLoad(think="gamma"), ValueError, "think is 'gamma'; allowed: exponential, fixed"),
        (lambda: curve("8k/1k"), ValueError, "load is '8k/1k', whose requests are alone; allowed: 'agentic'"),
        (lambda: curve("agent"), KeyError, "unknown preset 'agent'"),
        (lambda: curve(3), TypeError, "load is 3; allowed"),
        (lambda: curve(block=0), ValueError, "block is 0"),
        (lambda: curve(offload_bytes=1e9), ValueError, "offload_bandwidth is None with offload_bytes above 0"),
        (lambda: curve(offload_bytes=1e9, offload_bandwidth=0), ValueError, "offload_bandwidth is 0"),
        (lambda: curve(offload_bandwidth=1e9), ValueError, "offload_bandwidth is .* with offload_bytes 0"),
        (lambda: curve(offload_bytes=-1), ValueError, "offload_bytes is -1"),
        (lambda: curve(concurrency=[0]), ValueError, "concurrency is"),
    ],
)  # fmt: skip
def test_refusals(call, error, text):
    with pytest.raises(error, match=text):
        call()
