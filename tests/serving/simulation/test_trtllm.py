"""TensorRT-LLM's scheduler: against a plain twin, by hand rule by rule, and what is refused."""

import random

import numpy as np
import pytest
import recorded
import scenarios
import trtllm_twin
from hypothesis import given, reject
from hypothesis import strategies as st
from twin import Circles

import tokenroof as tr
from tokenroof import serving
from tokenroof.serving.simulation.trtllm import captured_sizes

MS = 1_000_000
POLICIES = ("GUARANTEED_NO_EVICT", "MAX_UTILIZATION", "STATIC_BATCH")


def draw(seed, content=True, **fixed):
    """A scenario of vLLM's generator, under knobs of this engine."""
    trace = scenarios.draw(seed, content)
    rng = random.Random(seed + 1)
    size = rng.choice([1, 2, 4, 16])
    longest = max(-(-(r["prompt_tokens"] + r["max_tokens"]) // size) for r in trace["requests"])
    trace["config"] = {
        "max_num_tokens": rng.choice([16, 64, 200, 2048]),
        "max_batch_size": rng.choice([2, 5, 16, 64]),
        "max_seq_len": rng.choice([120, 100000]),
        "capacity_scheduler_policy": rng.choice(POLICIES),
        "enable_prefix_aware_scheduling": rng.random() < 0.7,
        "enable_chunked_prefill": rng.random() < 0.6,
        "context_chunking_policy": rng.choice(["FIRST_COME_FIRST_SERVED", "EQUAL_PROGRESS"]),
        "batch_wait_timeout_iters": rng.choice([0, 0, 3, 20]),
        "batch_wait_max_tokens_ratio": rng.choice([0.0, 0.0, 0.3, 1.0]),
        "tokens_per_block": size,
        "max_tokens": size * rng.randint(longest + 1, 3 * longest + 2),
        "enable_block_reuse": rng.random() < 0.7,
        "enable_partial_reuse": rng.random() < 0.7,
        "copy_on_partial_reuse": rng.random() < 0.7,
        "disable_overlap_scheduler": rng.random() < 0.5,
        **fixed,
    }
    if rng.random() < 0.3:
        for request in trace["requests"]:
            request["declared"] = request["max_tokens"] + rng.choice([0, 0, 1, 2, 9])
    return trace


def play(trace, content=True, **options):
    scheduler = serving.Scheduler.preset("trtllm-1.4", **trace["config"])
    step = serving.StepTime(*(trace["step_time"][name] for name in "abc"))
    return serving.simulate(
        None, None, None, recorded.requests_of(trace, content), scheduler, step_time=step, **options
    )


def decided(trace):
    try:
        return trtllm_twin.play(trace)
    except Circles:
        reject()


@given(seed=st.integers(0, 10**9))
def test_every_decision_is_the_twin_s(seed):
    trace = draw(seed)
    want = decided(trace)
    run = play(trace, record_steps=True)
    cached = trace["config"]["enable_block_reuse"]
    assert recorded.decided(run, cached) == recorded.wanted(want["steps"], cached)
    assert recorded.results(run) == want["results"]
    assert play(trace).requests.tobytes() == run.requests.tobytes()


@given(seed=st.integers(0, 10**9))
def test_counters_decide_the_same(seed):
    """Prompts that share nothing: answers are counted, and blocks are lengths."""
    policy = random.Random(seed).choice(POLICIES)
    trace = draw(seed, content=False, capacity_scheduler_policy=policy, max_num_tokens=200)
    want = decided(trace)
    fast, slow = play(trace, content=False), play(trace, content=False, path="sequences")
    assert recorded.results(fast) == want["results"]
    assert fast.requests.tobytes() == slow.requests.tobytes()
    short = policy == "MAX_UTILIZATION" and fast.totals["counted_steps"] == 0  # played once more
    assert fast.totals["counted_steps"] == fast.totals["steps"] or short
    assert slow.totals["counted_steps"] == 0
    for name in ("steps", "tokens", "busy_ns", "end_ns", "peak_running", "least_free"):
        assert fast.totals[name] == slow.totals[name]


@given(seed=st.integers(0, 10**9))
def test_tokens_blocks_and_requests_are_conserved(seed):
    trace = draw(seed)
    config = trace["config"]
    found = play(trace, record_steps=True, horizon_s=100.0)
    steps, entries, requests = found.steps, found.entries, found.requests
    blocks = config["max_tokens"] // config["tokens_per_block"]
    assert ((steps["free_blocks"] >= 0) & (steps["free_blocks"] <= blocks)).all()
    assert (steps["running"] <= config["max_batch_size"]).all()
    assert (np.bincount(entries["step"], entries["tokens"], len(steps)) == steps["tokens"]).all()
    assert (np.diff(steps["start_ns"]) >= 0).all() and (
        steps["end_ns"][:-1] <= steps["start_ns"][1:]
    ).all()
    busy = (steps["end_ns"] - steps["start_ns"]).sum()
    assert busy == found.totals["busy_ns"] <= max(steps["end_ns"], default=0)
    computed = np.zeros(len(requests), np.int64)
    steady = requests["preemptions"] == 0
    computed[steady] = requests["cached_tokens"][steady]
    for _, who, tokens, before in entries.tolist():
        assert (
            before == computed[who] or not steady[who]
        )  # from where it was, or from what was found
        computed[who] = before + tokens
    done = requests["status"] == "done"
    total = np.minimum(requests["input_tokens"] + requests["output_tokens"], config["max_seq_len"])
    assert (computed[done] >= total[done] - 1).all()  # an end that nobody declared: a step more
    if config["capacity_scheduler_policy"] != "MAX_UTILIZATION":
        assert found.totals["preemptions"] == 0
    passed = config["enable_chunked_prefill"] or (
        config["enable_block_reuse"] and config["enable_prefix_aware_scheduling"]
    )
    if not passed and not found.totals["preemptions"]:
        served = requests[done]
        order = np.lexsort((np.arange(len(served)), served["arrival_ns"]))
        assert (np.diff(served["scheduled_ns"][order]) >= 0).all()


@given(seed=st.integers(0, 10**9))
def test_energy_adds_up_and_each_pays_its_part(seed):
    trace = draw(seed, content=False)
    scheduler = serving.Scheduler.preset("trtllm-1.4", **trace["config"])
    step = serving.StepTime(*trace["step_time"].values(), watts=700.0, idle_watts=80.0)
    load = recorded.requests_of(trace, content=False)
    by_steps, by_counters = (
        serving.simulate(None, None, None, load, scheduler, step_time=step, record_steps=record)
        for record in (True, False)
    )
    joules = by_steps.requests["joules"]
    assert by_counters.requests["joules"] == pytest.approx(joules, rel=1e-9, abs=1e-12)
    assert joules.sum() == pytest.approx(by_steps.energy.busy_j, rel=1e-9)
    assert by_steps.energy.busy_j == pytest.approx(700e-9 * by_steps.totals["busy_ns"], rel=1e-9)


# --- by hand, rule by rule ----------------------------------------------------------------------------------


def run(load, step=None, **knobs):
    rest = {
        name: knobs.pop(name) for name in ("record_steps", "replicas", "router") if name in knobs
    }
    knobs = {
        "tokens_per_block": 10, "max_tokens": 100_000, "enable_block_reuse": False,
        "disable_overlap_scheduler": True, **knobs,
    }  # fmt: skip
    scheduler = serving.Scheduler.preset("trtllm-1.4", **knobs)
    return serving.simulate(
        None, None, None, load, scheduler, step_time=step or serving.StepTime(MS), **rest
    )


def test_blocks_are_kept_to_the_declared_end():
    """10 blocks; 20 + 30 tokens take 5 of them: two at once. Declared to be 80, they run one by one."""
    load = {"arrival": np.zeros(3), "input_tokens": 20, "output_tokens": 30}
    assert run(load, max_tokens=100).requests["scheduled_ns"].tolist() == [0, 0, 30 * MS]
    load["declared_tokens"] = [80, 80, 80]
    assert run(load, max_tokens=100).requests["scheduled_ns"].tolist() == [0, 30 * MS, 60 * MS]
    # the first that does not fit stops those behind it, however small
    load = {"arrival": np.zeros(3), "input_tokens": [20, 60, 5], "output_tokens": [30, 30, 5]}
    assert run(load, max_tokens=100).requests["scheduled_ns"].tolist() == [0, 30 * MS, 30 * MS]


def test_utilisation_first_pauses_the_last_and_computes_it_again():
    """10 blocks: three prompts of 2 start at once, and a third block each; the 11th token of the third pauses it."""
    load = {"arrival": np.zeros(3), "input_tokens": 20, "output_tokens": 25}
    found = run(
        load, max_tokens=100, capacity_scheduler_policy="MAX_UTILIZATION", record_steps=True
    )
    assert found.requests["scheduled_ns"].tolist() == [0, 0, 0]
    assert found.requests["preemptions"].tolist() == [0, 0, 1]
    # blocks: 6 + 3 at the second step; a fourth each at the 12th, when one is free: the last is paused there
    victim = found.preempted[0]
    assert (victim["request"], found.steps["start_ns"][victim["step"]]) == (2, 11 * MS)
    # it waits until the others end at 25 ms, then computes 20 + 11 tokens, and 14 are left
    assert found.requests["last_token_ns"].tolist() == [25 * MS, 25 * MS, 39 * MS]
    again = found.entries[found.entries["request"] == 2]
    assert again["tokens"][again["tokens"] > 1].tolist() == [20, 31]


def test_a_static_batch_takes_nobody_in_between():
    load = {"arrival": [0.0, 0.0015], "input_tokens": 20, "output_tokens": 10}
    assert run(load).requests["scheduled_ns"].tolist() == [0, 2 * MS]
    static = run(load, capacity_scheduler_policy="STATIC_BATCH").requests
    assert static["scheduled_ns"].tolist() == [0, 10 * MS]


def test_prompts_are_whole_unless_they_may_be_cut():
    load = {"arrival": np.zeros(3), "input_tokens": [60, 60, 101], "output_tokens": 1}
    found = run(load, max_num_tokens=100, record_steps=True)
    assert found.requests["status"].tolist() == ["done", "done", "rejected"]
    assert found.steps["tokens"].tolist() == [60, 60]
    cut = run(load, max_num_tokens=95, enable_chunked_prefill=True, record_steps=True)
    # 95: 60 and 30, a multiple of 10; then 30 and 60; then 41
    assert cut.entries["tokens"].tolist() == [60, 30, 30, 60, 41]
    equal = run(
        load, max_num_tokens=95, enable_chunked_prefill=True, record_steps=True,
        context_chunking_policy="EQUAL_PROGRESS",
    )  # fmt: skip
    # 10 to each in turn, three rounds; what is left of 95 is no whole block
    assert equal.entries["tokens"].tolist() == [30, 30, 30, 30, 30, 30, 41]


def test_answers_go_before_prompts_and_beside_them():
    """A step of 50 tokens: 2 answers and a prompt of 48; one of 49 waits for an answer to end."""
    load = {"arrival": [0.0, 0.0, 0.0005], "input_tokens": [20, 20, 48], "output_tokens": [2, 4, 1]}
    assert run(load, max_num_tokens=50).requests["scheduled_ns"][2] == MS
    load["input_tokens"][2] = 49
    assert run(load, max_num_tokens=50).requests["scheduled_ns"][2] == 2 * MS


@pytest.mark.parametrize("aware, hits, first", [(True, 40, 2 * MS), (False, 0, MS)])
def test_a_prompt_waits_for_the_prefix_that_another_computes(aware, hits, first):
    prompt = [np.array([[0, 45]]), np.array([[0, 40], [100, 5]])]
    load = {"arrival": np.zeros(2), "input_tokens": 45, "output_tokens": 1, "prompt": prompt}
    found = run(load, enable_block_reuse=True, enable_prefix_aware_scheduling=aware).requests
    assert found["cached_tokens"].tolist() == [0, hits]
    assert found["first_token_ns"].tolist() == [MS, first]


def test_parts_of_blocks_are_found():
    """40 of 45 tokens are the same: 4 blocks and, of an answered request's last block, 3 tokens more."""
    prompt = [np.array([[0, 45]]), np.array([[0, 43], [100, 2]]), np.array([[0, 45]])]
    load = {
        "arrival": [0.0, 0.01, 0.02], "input_tokens": 45, "output_tokens": 3, "prompt": prompt,
        "output_id": [500, 600, 700],
    }  # fmt: skip
    found = run(load, enable_block_reuse=True).requests
    # the second took the first's last block, and left it with what it wrote there
    assert found["cached_tokens"].tolist() == [0, 43, 43]
    whole = run(load, enable_block_reuse=True, enable_partial_reuse=False).requests
    assert whole["cached_tokens"].tolist() == [0, 40, 40]
    # while the first still runs, its last block is in nobody's reach; a whole one can be copied in part
    load["prompt"][1] = np.array([[0, 37], [100, 8]])
    load["output_tokens"] = [30, 3, 3]
    copied = run(load, enable_block_reuse=True).requests["cached_tokens"].tolist()
    assert copied == [0, 37, 40]
    private = run(load, enable_block_reuse=True, copy_on_partial_reuse=False)
    assert private.requests["cached_tokens"].tolist()[1] == 30


def test_what_was_given_back_first_is_lost_first():
    """12 blocks; A and B leave 4 each; C takes 4 free ones and A's last two: of A two blocks are left."""
    own = [np.array([[i * 1000, 40]]) for i in range(3)] + [np.array([[0, 40], [9000, 1]])]
    load = {
        "arrival": [0.0, 0.01, 0.02, 0.03], "input_tokens": [40, 40, 60, 41], "output_tokens": 1,
        "prompt": [own[0], own[1], np.array([[5000, 60]]), own[3]],
    }  # fmt: skip
    # an answer of one token leaves its prompt alone; each keeps a fifth block to its end that is never taken
    found = run(load, enable_block_reuse=True, max_tokens=120).requests
    assert found["cached_tokens"].tolist() == [0, 0, 0, 20]


def test_prompts_wait_for_more_of_them():
    """While answers go on: 5 steps at most, or until half a step's tokens are there."""
    load = {"arrival": [0.0, 0.0015, 0.0045], "input_tokens": [20, 20, 35], "output_tokens": 40}
    waits = {
        "max_num_tokens": 100,
        "batch_wait_timeout_iters": 5,
        "batch_wait_max_tokens_ratio": 0.5,
    }
    assert run(load).requests["scheduled_ns"].tolist() == [0, 2 * MS, 5 * MS]
    # the second waits in the steps at 2, 3 and 4 ms; at 5 ms the third makes it 1 + 20 + 35
    assert run(load, **waits).requests["scheduled_ns"].tolist() == [0, 5 * MS, 5 * MS]
    load["input_tokens"][2] = 20
    # 41 do not do: after 5 steps both go
    assert run(load, **waits).requests["scheduled_ns"].tolist() == [0, 7 * MS, 7 * MS]
    # nobody answers: no wait
    load = {"arrival": [0.0], "input_tokens": 20, "output_tokens": 1}
    assert run(load, **waits).requests["scheduled_ns"].tolist() == [0]


def test_overlap_fixes_the_next_step_before_it_sees_this_one():
    load = {"arrival_ns": [0, 9 * MS + 1], "input_tokens": 10, "output_tokens": [50, 1]}
    for off, first in ((True, 11 * MS), (False, 12 * MS)):
        assert run(load, disable_overlap_scheduler=off).requests["first_token_ns"][1] == first
    load = {"arrival": 0.0, "input_tokens": 10, "output_tokens": 3, "declared_tokens": [9]}
    assert run(load, disable_overlap_scheduler=False).totals["steps"] == 4
    assert run(load).totals["steps"] == 3


def test_graphs_and_defaults_on_a_device():
    config = serving.Scheduler.preset("trtllm-1.4").config
    assert (config["max_num_tokens"], config["max_batch_size"], config["tokens_per_block"]) == (
        8192,
        2048,
        32,
    )
    assert not config["enable_chunked_prefill"] and config["enable_block_reuse"]
    assert captured_sizes(config).tolist() == [*range(1, 33), 64.0, 128.0]
    padded = config | {"cuda_graph_enable_padding": True, "cuda_graph_max_batch_size": 200}
    assert captured_sizes(padded).tolist() == [1, 2, 4, *range(8, 129, 8), 192]

    def tpot(users, prompt=64, **knobs):
        load = {"arrival": np.zeros(users), "input_tokens": prompt, "output_tokens": 64}
        found = serving.simulate(
            "H100-SXM", "Llama-3.1-8B", tr.Plan(engine="trtllm"), load,
            serving.Scheduler.preset("trtllm-1.4", **knobs) if knobs else None,
        )  # fmt: skip
        assert found.scheduler.name == "trtllm-1.4"
        return (
            float((found.requests["last_token_ns"] - found.requests["first_token_ns"]).mean()) / 63
        )

    more = [tpot(users, cuda_graph_enable_padding=True) - tpot(users) for users in (8, 9, 120, 121)]
    assert more[0] == more[2] == 0.0 and more[1] > 0.0 and more[3] > 0.0
    room = [
        serving.simulate(
            "H100-SXM", "Llama-3.1-8B", tr.Plan(engine="trtllm"),
            {"arrival": [0.0], "input_tokens": 8, "output_tokens": 1},
            serving.Scheduler.preset("trtllm-1.4", free_gpu_memory_fraction=share),
        ).config["num_blocks"]
        for share in (0.9, 0.45)
    ]  # fmt: skip
    assert room[0] == pytest.approx(2 * room[1], abs=1)


def test_loads_routers_and_verdicts():
    load = serving.poisson(300.0, requests=3000, input_tokens=300, output_tokens=40, seed=1)
    turns = run(load, replicas=3).requests
    assert (turns["replica"] == np.arange(3000) % 3).all() and (turns["status"] == "done").all()
    least = run(load, replicas=3, router="least_loaded").requests
    assert (least["status"] == "done").all()
    over = run(load, max_batch_size=4)
    assert over.verdict.state == "overloaded" and over.verdict.short == "sequences"
    turned = serving.sessions(8.0, 40, turns=5, seed=2)
    found = run(
        turned, enable_block_reuse=True, replicas=2, router="prefix_aware", max_tokens=2_000_000
    )
    assert found.summary()["cached_share"] > 0.3
    big = {"arrival": np.zeros(2), "input_tokens": [50, 5000], "output_tokens": 10}
    assert run(big, max_tokens=1000).refused.tolist() == [1]


@pytest.mark.parametrize(
    "knobs, said",
    [
        ({"max_num_seqs": 4}, "max_num_seqs is of vllm-0.33, not of trtllm-1.4"),
        ({"tokens_per_block": 0}, "tokens_per_block is 0; allowed: whole numbers from 1"),
        ({"capacity_scheduler_policy": "LIFO"}, "capacity_scheduler_policy is 'LIFO'; allowed: GUARANTEED_NO_EVICT"),
        ({"free_gpu_memory_fraction": 1.5}, "free_gpu_memory_fraction is 1.5; allowed: numbers from 0"),
        ({"batch_wait_max_tokens_ratio": -0.1}, "batch_wait_max_tokens_ratio is -0.1"),
        ({"enable_block_reuse": 1}, "enable_block_reuse is 1; allowed: True or False"),
        ({"attention_dp_config": {}}, "attention_dp_config is not played by trtllm-1.4"),
    ],
)  # fmt: skip
def test_what_is_refused(knobs, said):
    load = {"arrival": [0.0], "input_tokens": 1, "output_tokens": 1}
    with pytest.raises((ValueError, TypeError), match=said):
        run(load, **knobs)


def test_plans_that_are_refused():
    load = {"arrival": [0.0], "input_tokens": 40, "output_tokens": 1}
    with pytest.raises(ValueError, match="plan has dp=2, whose ranks are not played by trtllm-1.4"):
        serving.simulate(
            "H200-SXM", "Qwen3-30B-A3B", tr.Plan(dp=2, weights="fp8", engine="trtllm"), load
        )
