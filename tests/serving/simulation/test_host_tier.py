"""Blocks in the host's memory: every decision against the plain twin, and what must come out by hand."""

import random

import numpy as np
import pytest
import recorded
import scenarios
import twin
import twin_host
from hypothesis import given, reject, settings
from hypothesis import strategies as st

import tokenroof as tr
from tokenroof import serving

MS = 1_000_000


def hosted(seed):
    """A scenario with memory of the host, of which there is little, or a slow link to it."""
    rng = random.Random(seed)
    trace = scenarios.draw(seed, policy="fcfs", enable_prefix_caching=True)
    size = trace["config"]["block_size"]
    trace["host"] = {
        "blocks": rng.choice([1, 5, 30, 10_000]), "block_bytes": size * rng.choice([1, 1000]),
        "bytes_per_s": rng.choice([0, 10**3, 10**6, 10**9]),
    }  # fmt: skip
    return trace


@settings(max_examples=30)
@given(seed=st.integers(0, 10**9))
def test_every_decision_is_the_twin_s(seed):
    trace = hosted(seed)
    engine = twin_host.Engine(trace)
    try:
        decided = engine.run()
    except twin.Circles:
        reject()
    run = recorded.play(trace, record_steps=True)
    assert recorded.decided(run) == recorded.wanted(decided["steps"])
    assert recorded.results(run) == decided["results"]
    assert run.requests["loaded_tokens"].tolist() == list(engine.loaded.values())
    found = [run.totals[name] for name in ("loaded_bytes", "stored_bytes", "host_evicted")]
    assert found == [engine.loads.bytes, engine.saves.bytes, engine.evicted]
    assert recorded.play(trace).requests.tobytes() == run.requests.tobytes()


# --- by hand ---------------------------------------------------------------------------------------------


def conversation(turns=8, users=6, gap=3.0):
    """Users whose turns go on where the last one ended, one request at a time."""
    rows = []
    for turn in range(turns):
        for user in range(users):
            prompt = [[10**6 * user, 200 + 100 * turn]]
            rows.append({"prompt": np.array(prompt), "input_tokens": 200 + 100 * turn})
    return {
        "arrival": gap * np.arange(len(rows)), "input_tokens": [r["input_tokens"] for r in rows],
        "output_tokens": 20, "prompt": [r["prompt"] for r in rows],
    }  # fmt: skip


def play(load, tier=None, blocks=120, **options):
    scheduler = serving.Scheduler.preset("vllm-0.33", num_blocks=blocks, max_model_len=2000)
    return serving.simulate(
        None, None, None, load, scheduler, step_time=serving.StepTime(MS, 20_000), host_tier=tier,
        **options,
    )  # fmt: skip


def test_no_bytes_are_no_tier():
    load = conversation()
    assert play(load, serving.HostTier(0.0)).requests.tobytes() == play(load).requests.tobytes()


def test_all_the_bytes_there_are_find_what_a_cache_finds_that_never_evicts():
    load = conversation()
    short, whole = play(load), play(load, blocks=100_000)
    tier = play(load, serving.HostTier(np.inf, np.inf, bytes_per_token=1.0))
    assert short.requests["cached_tokens"].sum() < whole.requests["cached_tokens"].sum()
    assert tier.requests["cached_tokens"].tolist() == whole.requests["cached_tokens"].tolist()
    assert (tier.requests["last_token_ns"] == whole.requests["last_token_ns"]).all()
    best = serving.best_hits(load, 100_000)
    assert tier.requests["cached_tokens"].sum() <= best.cached_tokens.sum()


def test_bytes_over_the_link_and_the_time_that_they_take():
    """A megabyte a token: what is found is loaded at the link's pace before the prompt's rest runs."""
    load = conversation()
    found = play(load, serving.HostTier(np.inf, 1e9, bytes_per_token=1e6))
    free = play(load, serving.HostTier(np.inf, np.inf, bytes_per_token=1e6))
    loaded = found.requests["loaded_tokens"]
    assert found.totals["loaded_bytes"] == loaded.sum() * 10**6
    assert found.totals["load_ns"] == found.totals["loaded_bytes"]
    assert found.totals["store_ns"] == found.totals["stored_bytes"]
    waits = found.requests["first_token_ns"] - free.requests["first_token_ns"]
    assert loaded.max() > 0 and (waits == loaded * MS).all()


def test_a_link_that_replicas_share_is_slower_than_one_of_their_own():
    """Two replicas ask at once: one after the other, and both at once."""
    load = conversation(users=8, gap=2.0)
    twice = {
        name: np.repeat(value, 2, axis=0) for name, value in load.items() if name != "output_tokens"
    }
    twice["prompt"] = [one for one in load["prompt"] for _ in range(2)]
    twice["output_tokens"] = 20
    own, shared = (
        play(twice, serving.HostTier(np.inf, 1e9, n, bytes_per_token=1e6), replicas=2)
        for n in (1, 2)
    )
    assert own.totals["loaded_bytes"] == shared.totals["loaded_bytes"] > 0
    more = (shared.requests["first_token_ns"] - own.requests["first_token_ns"]).reshape(-1, 2)
    assert (more.max(axis=1) == own.requests["loaded_tokens"].reshape(-1, 2)[:, 0] * MS).all()
    assert (more.min(axis=1) == 0).all()


def test_of_a_device_by_its_slots_and_its_models_cache():
    load = conversation(turns=2, users=4)
    run = serving.simulate(
        "H100-SXM", "Llama-3.1-8B", None, load, serving.Scheduler.preset("vllm-0.33", num_blocks=30),
        host_tier=serving.HostTier(2**34),
    )  # fmt: skip
    per_token = tr.model("Llama-3.1-8B").kv_bytes_per_token("bf16")
    assert run.totals["loaded_bytes"] == run.requests["loaded_tokens"].sum() * per_token > 0
    assert run.totals["load_ns"] == pytest.approx(run.totals["loaded_bytes"] / 63.015, abs=9)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: serving.HostTier(-1.0), "capacity_bytes is -1"),
        (lambda: serving.HostTier(1.0, 0.0), "bytes_per_s is 0"),
        (lambda: serving.HostTier(1.0, replicas=0), "replicas is 0"),
        (lambda: serving.HostTier(1.0, bytes_per_token=np.nan), "bytes_per_token is nan"),
        (lambda: play(conversation(1, 1), 5.0), "host_tier is 5.0; allowed: a HostTier"),
        (lambda: play(conversation(1, 1), serving.HostTier(1.0)), "bytes_per_token is None"),
        (lambda: play(conversation(1, 1), serving.HostTier(1.0, 1.0, bytes_per_token=9.0)),
         "capacity_bytes is 1; allowed: 0, or at least a block"),
        (lambda: serving.simulate(
            "H100-SXM", "Llama-3.1-8B", tr.Plan(pp=2), conversation(1, 1),
            serving.Scheduler.preset("vllm-0.33", loop="sync"), host_tier=serving.HostTier(1e9)),
         "host_tier is .* with the plan .*; allowed with pp above 1: None"),
        (lambda: serving.simulate(
            serving.disaggregate("H100-SXM", "H100-SXM"), "Llama-3.1-8B", None, conversation(1, 1),
            serving.Scheduler.preset("trtllm-1.4"), host_tier=serving.HostTier(1e9)),
         "which trtllm-1.4 does not play"),
    ],
)  # fmt: skip
def test_what_is_refused(call, says):
    with pytest.raises((ValueError, TypeError), match=says):
        call()
