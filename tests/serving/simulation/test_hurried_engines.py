"""Clients that give up at SGLang and TensorRT-LLM, and SGLang's full queue: against the plain twins, and by hand."""

import random

import hurried_twins
import pytest
import recorded
import sglang_scenarios
import test_trtllm
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from sglang_twin import Circles as SglangCircles
from twin import Circles

from tokenroof import serving

SEEDS = st.integers(0, 10**9)
FEW = settings(max_examples=40)
MS = 1_000_000


def hurry(trace, seed, capped):
    """Patience, and a queue, of about what it takes to matter."""
    rng = random.Random(seed + 7)
    overload = {}
    for name in ("timeout", "queue_timeout"):
        if rng.random() < 0.7:
            overload[name] = rng.randint(1, 40 * trace["step_time"]["a"])
    if capped and rng.random() < 0.6:
        overload["requests"] = rng.randint(1, 8)
        trace["config"]["max_queued_requests"] = overload["requests"]
    return trace | {"overload": overload}


def patience(trace):
    return {
        f"{name}_s": trace["overload"][name] * 1e-9
        for name in ("timeout", "queue_timeout")
        if name in trace["overload"]
    }


@FEW
@given(seed=SEEDS)
def test_every_decision_of_sglang(seed):
    trace = hurry(sglang_scenarios.draw(seed, undeclared=seed % 3 == 0), seed, True)
    try:
        want = hurried_twins.Sglang(trace).run()
    except SglangCircles:
        reject()
    run = sglang_scenarios.play(trace, record_steps=True, **patience(trace))
    assert recorded.decided(run) == want["steps"]
    assert recorded.results(run) == want["results"]
    assert (
        sglang_scenarios.play(trace, **patience(trace)).requests.tobytes() == run.requests.tobytes()
    )


@FEW
@given(seed=SEEDS)
def test_every_decision_of_tensorrt_llm(seed):
    trace = hurry(test_trtllm.draw(seed), seed, False)
    try:
        want = hurried_twins.Trtllm(trace).run()
    except Circles:
        reject()
    run = test_trtllm.play(trace, record_steps=True, **patience(trace))
    cached = trace["config"]["enable_block_reuse"]
    assert recorded.results(run) == want["results"]
    assert recorded.decided(run, cached) == recorded.wanted(want["steps"], cached)
    assert test_trtllm.play(trace, **patience(trace)).requests.tobytes() == run.requests.tobytes()


def simulate(load, engine, timeout_s=None, queue_timeout_s=None, **knobs):
    memory = {"max_total_tokens": 8192} if "sglang" in engine else {"max_tokens": 8192}
    return serving.simulate(
        None, None, None, load, serving.Scheduler.preset(engine, **memory, **knobs),
        step_time=serving.StepTime(MS), timeout_s=timeout_s, queue_timeout_s=queue_timeout_s,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("engine", "sync"),
    [("sglang-0.5.23", "disable_overlap_schedule"), ("trtllm-1.4", "disable_overlap_scheduler")],
)
def test_a_step_more_is_played_for_who_gave_up(engine, sync):
    """After 10.5 ms its eleventh step runs, it is told when that has ended, and leaves after the next."""
    load = {"arrival": [0.0], "input_tokens": 10, "output_tokens": 50}
    run = simulate(load, engine, timeout_s=10.5e-3, **{sync: True})
    assert run.requests["status"].tolist() == ["timed_out"]
    assert run.requests["output_tokens"].tolist() == [10]
    assert run.requests["last_token_ns"].tolist() == [10_500_000]
    assert run.totals["steps"] == 12 and run.totals["end_ns"] == 12 * MS
    ends = simulate(load, engine, timeout_s=50e-3, **{sync: True})
    assert ends.requests["status"].tolist() == ["done"]


@pytest.mark.parametrize("engine", ["sglang-0.5.23", "trtllm-1.4"])
def test_who_waits_makes_room_for_who_came_later(engine):
    load = {"arrival_ns": [0, 1, 5 * MS + 2], "input_tokens": 10, "output_tokens": [8, 8, 2]}
    one = {"max_running_requests": 1} if "sglang" in engine else {"max_batch_size": 1}
    run = simulate(load, engine, queue_timeout_s=4e-3, **one)
    assert run.requests["status"].tolist() == ["done", "timed_out", "done"]
    assert run.requests["last_token_ns"][1] == 4 * MS + 1


def test_sglang_s_queue_is_full_and_the_urgent_take_a_place():
    load = {
        "arrival_ns": [0, 1, 2, 3, 4], "input_tokens": 10, "output_tokens": 2,
        "priority": [1, 2, 2, 1, 3],
    }  # fmt: skip
    knobs = {"max_running_requests": 1, "max_queued_requests": 2}
    plain = simulate(load, "sglang-0.5.23", **knobs)
    assert plain.requests["status"].tolist() == ["done", "done", "done", "shed", "shed"]
    knobs |= {"enable_priority_scheduling": True, "schedule_low_priority_values_first": True}
    ranked = simulate(load, "sglang-0.5.23", **knobs)
    assert ranked.requests["status"].tolist() == ["done", "done", "shed", "done", "shed"]
    knobs["schedule_low_priority_values_first"] = False
    ranked = simulate(load, "sglang-0.5.23", **knobs)
    assert ranked.requests["status"].tolist() == ["done", "done", "shed", "shed", "done"]
    assert ranked.requests["last_token_ns"][2:4].tolist() == [4, 3]  # of equals who came last
