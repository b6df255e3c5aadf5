"""Clients that give up, queues that are full, and priorities: against the plain twin, by hand, by invariants."""

import random

import numpy as np
import pytest
import recorded
import scenarios
import twin
import twin_overload
from hypothesis import given, reject
from hypothesis import strategies as st

from tokenroof import serving
from tokenroof.serving.requests.priorities import prioritised

SEEDS = st.integers(0, 10**9)
MS = 1_000_000


def draw(seed):
    """A scenario of `scenarios`, with patience and caps of about what it takes to matter."""
    trace = scenarios.draw(seed)
    rng = random.Random(seed + 1)
    trace["engine"]["vllm"] = "0.33.0"
    step = trace["step_time"]["a"]
    overload = {}
    for name in ("timeout", "queue_timeout"):
        if rng.random() < 0.6:
            overload[name] = rng.randint(1, 40 * step)
    if rng.random() < 0.5:
        overload["requests"] = rng.randint(1, 8)
    if rng.random() < 0.5:
        overload["tokens"] = rng.randint(1, 400)
    return trace | {"overload": overload}


def play(trace, **options):
    given = trace["overload"]
    knobs = {"requests": "max_num_queued_reqs", "tokens": "max_num_queued_tokens"}
    config = trace["config"] | {knob: given[k] for k, knob in knobs.items() if k in given}
    for name in ("timeout", "queue_timeout"):
        if name in given:
            options[f"{name}_s"] = given[name] * 1e-9
    return recorded.play(trace | {"config": config}, **options)


@given(seed=SEEDS)
def test_every_decision_is_the_twin_s(seed):
    trace = draw(seed)
    try:
        decided = twin_overload.play(trace)
    except twin.Circles:
        reject()
    run = play(trace, record_steps=True)
    cached = trace["config"]["enable_prefix_caching"]
    assert recorded.results(run) == decided["results"]
    assert recorded.decided(run, cached) == recorded.wanted(decided["steps"], cached)
    for path in ("counters", "sequences"):
        assert play(trace, path=path).requests.tobytes() == run.requests.tobytes()


@given(seed=SEEDS)
def test_all_requests_end_once_and_blocks_come_back(seed):
    trace = draw(seed)
    found = play(trace, record_steps=True)
    requests = found.requests
    status = requests["status"]
    assert np.isin(status, ("done", "rejected", "shed", "timed_out", "stuck", "unfinished")).all()
    summary = found.summary()
    kinds = ("answered", "rejected", "shed", "timed_out", "stuck")
    assert sum(summary[name] for name in kinds) + (status == "unfinished").sum() == len(requests)
    late = requests[status == "timed_out"]
    assert (late["last_token_ns"] > late["arrival_ns"]).all()
    shed = requests[status == "shed"]
    assert (shed["scheduled_ns"] == -1).all() and (
        shed["last_token_ns"] >= shed["arrival_ns"]
    ).all()
    limits = trace["overload"]
    done = requests[status == "done"]
    took = done["last_token_ns"] - done["arrival_ns"]
    waited = done["scheduled_ns"] - done["arrival_ns"]
    assert (took <= limits.get("timeout", 2**62)).all()
    assert (waited <= limits.get("queue_timeout", 2**62)).all()
    free = found.steps["free_blocks"]
    assert ((free >= 0) & (free < trace["config"]["num_blocks"])).all()


def simulate(load, step_ns=MS, knobs=None, **options):
    knobs = {"num_blocks": 1000, "enable_prefix_caching": False, "loop": "sync"} | (knobs or {})
    scheduler = serving.Scheduler.preset("vllm-0.33", **knobs)
    return serving.simulate(
        None, None, None, load, scheduler, step_time=serving.StepTime(step_ns), **options
    )


def test_a_client_gives_up_while_it_waits_and_while_it_runs():
    """One at a time, 1 ms a step: the first runs out of time after 4 tokens, the second before it starts."""
    load = {"arrival": np.zeros(3), "input_tokens": 10, "output_tokens": [9, 9, 1]}
    found = simulate(load, knobs={"max_num_seqs": 1}, timeout_s=4.5e-3, queue_timeout_s=4.2e-3)
    assert found.requests["status"].tolist() == ["timed_out"] * 3
    assert found.requests["last_token_ns"].tolist() == [4_500_000, 4_200_000, 4_200_000]
    assert found.requests["output_tokens"].tolist() == [4, 0, 0]
    load["arrival"] = [0.0, 1e-3, 1e-3]
    found = simulate(load, knobs={"max_num_seqs": 1}, timeout_s=4.5e-3)
    assert found.requests["status"].tolist() == ["timed_out", "timed_out", "timed_out"]
    # the place is free when the step that ran at the time has ended
    assert found.requests["scheduled_ns"].tolist() == [0, 5 * MS, -1]
    # an answer that ends in time, to the nanosecond, is one
    exact = simulate({"arrival": [0.0], "input_tokens": 1, "output_tokens": 4}, timeout_s=4e-3)
    assert exact.requests["status"].tolist() == ["done"]


def test_blocks_of_who_gave_up_are_free():
    load = {"arrival": [0.0, 1e-3], "input_tokens": [80, 80], "output_tokens": [40, 2]}
    knobs = {"num_blocks": 14, "block_size": 10}
    waits = simulate(load, knobs=knobs)
    assert waits.requests["scheduled_ns"][1] >= 20 * MS
    gone = simulate(load, knobs=knobs, timeout_s=10e-3)
    assert gone.requests["status"].tolist() == ["timed_out", "timed_out"]
    gone = simulate(load | {"arrival": [0.0, 5e-3]}, knobs=knobs, timeout_s=10e-3)
    assert gone.requests["status"].tolist() == ["timed_out", "done"]
    assert gone.requests["scheduled_ns"][1] == 10 * MS


def test_a_full_queue_refuses_and_the_urgent_take_a_place():
    load = {
        "arrival_ns": [0, 1, 2, 3, 4], "input_tokens": 10, "output_tokens": 2,
        "priority": [1, 2, 2, 1, 3],
    }  # fmt: skip
    knobs = {"max_num_seqs": 1, "max_num_queued_reqs": 2}
    plain = simulate(load, knobs=knobs)
    assert plain.requests["status"].tolist() == ["done", "done", "done", "shed", "shed"]
    ranked = simulate(load, knobs=knobs | {"policy": "priority"})
    assert ranked.requests["status"].tolist() == ["done", "done", "shed", "done", "shed"]
    assert ranked.requests["last_token_ns"][2:].tolist() == [3, 4 * MS, 4]
    assert ranked.requests["priority"].tolist() == load["priority"]
    tokens = simulate(load, knobs={"max_num_seqs": 1, "max_num_queued_tokens": 29})
    assert tokens.requests["status"].tolist() == ["done", "done", "done", "shed", "shed"]


def test_turns_whose_parent_gave_up_still_come():
    load = {
        "arrival": [0.0, 0.0], "input_tokens": 10, "output_tokens": [50, 1], "after": [-1, 0],
        "think_ns": [0, 7],
    }  # fmt: skip
    found = simulate(load, timeout_s=10e-3).requests
    assert found["arrival_ns"][1] == 10 * MS + 7 and found["status"][1] == "done"


def test_losses_are_in_the_verdict_and_in_goodput():
    load = serving.poisson(2000.0, requests=4000, input_tokens=100, output_tokens=20, seed=1)
    slo = serving.SLO(ttft_s=1.0)
    for knobs, options in (({"max_num_queued_reqs": 50}, {}), ({}, {"queue_timeout_s": 0.1})):
        found = simulate(load, knobs={"max_num_seqs": 8} | knobs, **options)
        assert found.verdict.state == "overloaded" and "are shed or time out" in str(found.verdict)
        assert found.verdict.lost_per_s == pytest.approx(2000.0 - 8 / 0.020, rel=0.1)
        summary = found.summary(slo)
        assert summary["goodput_share"] == pytest.approx(summary["answered"] / 4000.0)
    easy = serving.poisson(100.0, requests=4000, input_tokens=100, output_tokens=20, seed=1)
    found = simulate(easy, knobs={"max_num_queued_reqs": 50}, queue_timeout_s=0.1)
    assert found.verdict.state == "stable" and found.verdict.lost_per_s == 0.0


def test_classes_of_priority():
    load = serving.poisson(450.0, requests=20_000, input_tokens=100, output_tokens=20, seed=1)
    ranked = prioritised(load, {0: 0.25, 5: 0.75}, seed=3)
    share = np.mean(ranked.priority == 0)
    assert set(ranked.priority) == {0, 5} and abs(share - 0.25) < 0.02
    assert np.array_equal(ranked.priority, prioritised(load, {5: 3, 0: 1}, seed=3).priority)
    assert (prioritised(load, {0: 1, 5: 1}, seed=4).priority != ranked.priority).any()
    found = simulate(ranked, knobs={"max_num_seqs": 8, "policy": "priority"})
    by_class = found.by_priority()
    assert list(by_class) == [0, 5]
    assert by_class[0]["queue_s"]["p90"] < 0.02 < by_class[5]["queue_s"]["p90"]
    assert sum(one["requests"] for one in by_class.values()) == 20_000
    fcfs = simulate(ranked, knobs={"max_num_seqs": 8}).by_priority()
    assert fcfs[0]["queue_s"]["p90"] > 0.02


@pytest.mark.parametrize(
    "call, said",
    [
        (lambda: simulate({"arrival": [0.0], "input_tokens": 1, "output_tokens": 1}, timeout_s=0.0),
         "timeout_s is 0.0; allowed"),
        (lambda: simulate({"arrival": [0.0], "input_tokens": 1, "output_tokens": 1}, queue_timeout_s=-1.0),
         "queue_timeout_s is -1.0; allowed"),
        (lambda: serving.Scheduler.preset("vllm-0.33", max_num_queued_reqs=0),
         "max_num_queued_reqs is 0; allowed: whole numbers from 1"),
        (lambda: serving.Scheduler.preset("vllm-0.19", max_num_queued_tokens=5),
         "max_num_queued_tokens is of vllm-0.33, not of vllm-0.19"),
        (lambda: prioritised({"arrival": [0.0], "input_tokens": 1, "output_tokens": 1}, {}),
         "shares are {}; allowed: at least one priority"),
        (lambda: prioritised({"arrival": [0.0], "input_tokens": 1, "output_tokens": 1}, {0: -1.0}),
         "shares of priority 0 is -1.0; allowed"),
        (lambda: prioritised({"arrival": [0.0], "input_tokens": 1, "output_tokens": 1}, {0.5: 1.0}),
         "priority is 0.5; allowed: whole numbers from -2147483648 to 2147483647"),
    ],
)  # fmt: skip
def test_what_is_refused(call, said):
    with pytest.raises((ValueError, TypeError), match=said):
        call()


def test_a_system_in_a_models_place_is_told_in_a_line():
    load = serving.poisson(5.0, requests=3, input_tokens=9, output_tokens=3)
    system = serving.disaggregate("H100-SXM", "H100-SXM", model="Llama-3.1-8B")
    with pytest.raises(TypeError, match="model is System.*; allowed: a name or a Model") as refused:
        serving.simulate("H100-SXM", system, None, load)
    assert len(str(refused.value)) < 120
