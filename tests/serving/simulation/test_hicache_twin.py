"""SGLang's blocks in the host's memory: every decision against the plain twin."""

import random

import recorded
import sglang_hosted_pools_twin
import sglang_scenarios as scenarios
import sglang_twin_host as twin
import test_pools_twin as twins
from hypothesis import example, given, reject, settings
from hypothesis import strategies as st
from sglang_twin import Circles
from test_drafts_elsewhere import drafts, options_of
from test_hurried_engines import hurry, patience


def same(trace):
    engine = twin.Engine(trace)
    try:
        decided = engine.run()
    except Circles:
        reject()
    run = scenarios.play(trace, record_steps=True)
    assert recorded.decided(run) == decided["steps"]
    assert recorded.results(run) == decided["results"]
    assert (run.totals["ending"] == "blocked") is decided["stuck"]
    assert run.requests["loaded_tokens"].tolist() == [r.loaded for r in engine.requests]
    found = [run.totals[name] for name in ("loaded_bytes", "stored_bytes", "host_evicted")]
    assert found == [engine.loads.bytes, engine.saves.bytes, engine.tree.lost]
    assert scenarios.play(trace).requests.tobytes() == run.requests.tobytes()


@settings(max_examples=25)
@given(seed=st.integers(0, 10**9))
def test_every_decision_is_the_twin_s(seed):
    same(scenarios.hosted(seed, undeclared=seed % 3 == 0))


@settings(max_examples=10)
@given(seed=st.integers(0, 10**9))
@example(seed=1)
@example(seed=86)
def test_copies_of_what_the_device_has_too_go_first(seed):
    """With write-back, where they are many: the oldest, of leaves last, also those that were cut off."""
    knobs = {"max_running_requests": 5, "radix_eviction_policy": "lru"}
    same(scenarios.hosted(seed, "write_back", (60, 150, 300, 600), **knobs))


@settings(max_examples=20)
@given(seed=st.integers(0, 10**9))
def test_clients_that_give_up(seed):
    trace = hurry(scenarios.hosted(seed), seed, True)
    engine = twin.Hurried(trace)
    try:
        decided = engine.run()
    except Circles:
        reject()
    run = scenarios.play(trace, record_steps=True, **patience(trace))
    assert recorded.decided(run) == decided["steps"]
    assert recorded.results(run) == decided["results"]
    assert run.totals["stored_bytes"] == engine.saves.bytes


@settings(max_examples=20)
@given(seed=st.integers(0, 10**9))
def test_drafts(seed):
    trace = scenarios.hosted(seed, undeclared=seed % 3 == 0, enable_mixed_chunk=False)
    rng = random.Random(seed + 2)
    own = trace["drafting"] = drafts(rng)
    own["states"] = own["method"] in ("mtp", "eagle")
    trace["step_time"]["d"] = rng.choice([0, 1234])
    engine = twin.Engine(trace)
    try:
        decided = engine.run()
    except Circles:
        reject()
    run = scenarios.play(trace, **options_of(trace))
    assert recorded.decided(run) == decided["steps"]
    assert recorded.results(run) == decided["results"]
    assert run.totals["stored_bytes"] == engine.saves.bytes


@settings(max_examples=12)
@given(seed=st.integers(0, 10**9), scaled=st.booleans(), hurried=st.booleans())
def test_prompts_apart_from_answers(seed, scaled, hurried):
    """They have it; of what a batch loads nothing is sent on before its step has run."""
    scene = sglang_hosted_pools_twin.draw(seed, scaled, hurried)
    found = twins.decided(scene, sglang_hosted_pools_twin)
    run = twins.play(scene, record_steps=True)
    twins.check(scene, found, run)
    assert twins.play(scene).requests.tobytes() == run.requests.tobytes()
