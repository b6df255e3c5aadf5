"""The simulator against a plain twin of the scheduler, and against itself by the other path."""

import random

import numpy as np
import pytest
import recorded
import scenarios
import twin
from hypothesis import given, reject
from hypothesis import strategies as st

SEEDS = st.integers(0, 10**9)


def _decided(trace):
    try:
        return twin.play(trace)
    except twin.Circles:
        reject()


@given(seed=SEEDS)
def test_every_decision_is_the_twin_s(seed):
    trace = scenarios.draw(seed)
    decided = _decided(trace)
    run = recorded.play(trace, record_steps=True)
    cached = trace["config"]["enable_prefix_caching"]
    assert recorded.decided(run, cached) == recorded.wanted(decided["steps"], cached)
    assert recorded.results(run) == decided["results"]
    assert recorded.play(trace).requests.tobytes() == run.requests.tobytes()


@given(seed=SEEDS)
def test_prompts_that_share_nothing_need_not_say_so(seed):
    """The free list by lengths: a preempted request finds as many of its blocks as if each had been there."""
    trace = scenarios.draw(seed, content=False)
    decided = _decided(trace)
    run = recorded.play(trace, content=False)
    assert recorded.results(run) == decided["results"]
    other = recorded.play(trace, content=False, path="sequences")
    assert other.requests.tobytes() == run.requests.tobytes()


@given(seed=SEEDS)
def test_ends_that_nobody_declared(seed):
    """An asynchronous loop has scheduled a step more by the time it sees one."""
    trace = scenarios.draw(seed)
    rng = random.Random(seed)
    for request in trace["requests"]:
        request["declared"] = request["max_tokens"] + rng.choice([0, 0, 1, 2, 50])
    decided = _decided(trace)
    run = recorded.play(trace, record_steps=True)
    cached = trace["config"]["enable_prefix_caching"]
    assert recorded.decided(run, cached) == recorded.wanted(decided["steps"], cached)
    assert recorded.results(run) == decided["results"]
    assert recorded.play(trace).requests.tobytes() == run.requests.tobytes()


@pytest.mark.parametrize("prefix", [True, False])
@pytest.mark.parametrize("loop", ["sync", "async"])
def test_memory_that_is_short_throughout(loop, prefix):
    """Some hundred preemptions by counters, each as by sequences."""
    trace = scenarios.draw(5, content=False)
    rng = np.random.default_rng(1)
    trace["engine"] = {"vllm": "0.33.0", "loop": loop}
    trace["config"] = {
        "max_num_batched_tokens": 256, "max_num_seqs": 64, "block_size": 16, "num_blocks": 120,
        "max_model_len": 1000, "enable_prefix_caching": prefix,
    }  # fmt: skip
    trace["requests"] = [
        {
            "arrival": 0,
            "prompt_tokens": int(rng.integers(1, 120)),
            "max_tokens": int(rng.integers(1, 200)),
        }
        for _ in range(400)
    ]
    fast = recorded.play(trace, content=False)
    slow = recorded.play(trace, content=False, path="sequences")
    assert fast.requests.tobytes() == slow.requests.tobytes()
    assert fast.totals["counted_steps"] > 0.9 * fast.totals["steps"]
    assert slow.totals["counted_steps"] == 0
    assert fast.totals["preemptions"] == slow.totals["preemptions"] > 100
    for name in ("steps", "tokens", "busy_ns", "end_ns", "peak_running", "peak_waiting"):
        assert fast.totals[name] == slow.totals[name]


@pytest.mark.parametrize("version", ["0.33.0", "0.19.0"])
def test_prompts_that_are_found_over_and_over(version):
    """Blocks that leave the middle of the free list, hundreds more than there are: with twins among them."""
    fixed = {
        "max_num_batched_tokens": 64, "max_num_seqs": 3, "max_num_active_seqs": 3, "block_size": 4, "num_blocks": 45,
        "max_model_len": 1000, "enable_prefix_caching": True, "enable_chunked_prefill": True, "policy": "fcfs",
        "long_prefill_token_threshold": 0, "scheduler_reserve_full_isl": True, "watermark": 0.0,
        "long_prefill_token_threshold_adaptive": False, "prefill_schedule_interval": 1,
    }  # fmt: skip
    if version == "0.19.0":
        for name in [*list(fixed)[-3:], "max_num_active_seqs"]:
            del fixed[name]
    trace = {**scenarios.draw(5), "engine": {"vllm": version, "loop": "async"}, "config": fixed}
    rng = random.Random(1)
    trace["requests"] = [
        {"id": i, "arrival": i // 2 * 10**9, "prompt_tokens": 36, "max_tokens": 1 + i % 3,
         "prompt": [[rng.choice([0, 0, 0, 10**6]), 36]]}
        for i in range(120)
    ]  # fmt: skip
    decided = twin.play(trace)
    run = recorded.play(trace, record_steps=True)
    assert recorded.decided(run, True) == recorded.wanted(decided["steps"], True)
    assert recorded.results(run) == decided["results"]
    assert run.requests["cached_total"].sum() > 100 * 32
