"""The simulator by hand: time lines, invariants, queues in closed form, routers, and what is refused."""

import os
import signal
import threading
import time
import tracemalloc

import numpy as np
import pytest
import recorded
import scenarios
from hypothesis import given
from hypothesis import strategies as st

from tokenroof import kernels, serving
from tokenroof.inference.door import deployment
from tokenroof.serving.simulation import result
from tokenroof.serving.simulation.pooled import POOLED_RECORD
from tokenroof.serving.simulation.result import RECORD
from tokenroof.serving.simulation.vllm import captured_sizes

MS = 1_000_000


def run(requests, step=None, **options):
    names = (
        "replicas",
        "router",
        "signal_age_s",
        "horizon_s",
        "record_steps",
        "threads",
        "progress",
        "path",
    )
    rest = {name: options.pop(name) for name in names if name in options}
    options = {"num_blocks": 10_000, "enable_prefix_caching": False, "loop": "sync", **options}
    version = options.pop("version", "vllm-0.33")
    scheduler = serving.Scheduler.preset(version, **options)
    return serving.simulate(
        None, None, None, requests, scheduler, step_time=step or serving.StepTime(MS), **rest
    )


# --- time lines by hand ---------------------------------------------------------------------------------


def test_one_request_alone():
    """A prompt in two pieces, then a token a step: fixed + per token + per token of the context."""
    load = {"arrival_ns": [5], "input_tokens": 100, "output_tokens": 3}
    found = run(load, serving.StepTime(1000, 10, 1), max_num_batched_tokens=64).requests[0]
    first = 5 + (1000 + 640) + (1000 + 360)
    assert found["first_token_ns"] == first
    assert found["last_token_ns"] == first + (1000 + 10 + 101) + (1000 + 10 + 102)
    assert (found["scheduled_ns"], found["status"], found["output_tokens"]) == (5, "done", 3)


@pytest.mark.parametrize("loop, first", [("sync", 11 * MS), ("async", 12 * MS)])
def test_an_asynchronous_loop_has_fixed_the_next_step_already(loop, first):
    """Who arrives in the tenth step is in the eleventh, or in the one after."""
    load = {"arrival_ns": [0, 9 * MS + 1], "input_tokens": 10, "output_tokens": [50, 1]}
    assert run(load, loop=loop).requests["first_token_ns"][1] == first


def test_parents_and_thinking():
    load = {
        "arrival": 0.0, "input_tokens": 10, "output_tokens": [1, 5, 1], "after": [-1, -1, 0],
        "also_after": [[], [], [1]], "think_ns": [0, 0, 7],
    }  # fmt: skip
    found = run(load).requests
    assert found["last_token_ns"].tolist()[:2] == [MS, 5 * MS]
    assert found["arrival_ns"][2] == 5 * MS + 7


def test_ends_that_the_client_did_not_declare():
    """An asynchronous loop has a step more in flight by then; another request waits for it."""
    load = {"arrival": 0.0, "input_tokens": 10, "output_tokens": 3, "declared_tokens": [9]}
    assert run(load, loop="async").totals["steps"] == 4
    assert run(load, loop="sync").totals["steps"] == 3
    load["declared_tokens"] = [3]
    assert run(load, loop="async").totals["steps"] == 3


# --- what holds at every step -----------------------------------------------------------------------------


@given(seed=st.integers(0, 10**9))
def test_tokens_blocks_and_requests_are_conserved(seed):
    trace = scenarios.draw(seed)
    config = trace["config"]
    found = recorded.play(trace, record_steps=True, horizon_s=100.0)
    steps, entries, requests = found.steps, found.entries, found.requests
    budget = min(config["max_num_batched_tokens"], config.get("max_num_scheduled_tokens") or 2**60)
    assert (np.bincount(entries["step"], entries["tokens"], len(steps)) == steps["tokens"]).all()
    assert (steps["tokens"] <= budget).all() and (steps["running"] <= config["max_num_seqs"]).all()
    assert ((steps["free_blocks"] >= 0) & (steps["free_blocks"] < config["num_blocks"])).all()
    assert (np.diff(steps["scheduled_ns"]) >= 0).all() and (np.diff(steps["start_ns"]) >= 0).all()
    assert (steps["end_ns"][:-1] <= steps["start_ns"][1:]).all()
    busy = (steps["end_ns"] - steps["start_ns"]).sum()
    assert busy == found.totals["busy_ns"] <= max(steps["end_ns"], default=0)
    computed = np.zeros(len(requests), np.int64)
    for _, who, tokens, before in entries.tolist():
        computed[who] = before + tokens
    done = requests["status"] == "done"
    total = requests["input_tokens"] + requests["output_tokens"]
    assert (computed[done] == total[done] - 1).all()
    served = requests[done]
    assert (served["arrival_ns"] <= served["scheduled_ns"]).all()
    assert (served["scheduled_ns"] < served["first_token_ns"]).all()
    assert (served["first_token_ns"] <= served["last_token_ns"]).all()
    if config["policy"] == "fcfs" and not found.totals["preemptions"]:
        order = np.lexsort((np.arange(len(served)), served["arrival_ns"]))
        assert (np.diff(served["scheduled_ns"][order]) >= 0).all()  # nobody is passed


def test_load_over_time_is_throughput_times_latency():
    """Little's law: requests in the system, by the area under their number, and by their times."""
    load = serving.poisson(40.0, requests=5000, input_tokens=200, output_tokens=50, seed=3)
    found = run(load, serving.StepTime(2 * MS, 5000), loop="async").requests
    events = np.concatenate([found["arrival_ns"], found["last_token_ns"]])
    change = np.repeat([1, -1], len(found))
    order = np.argsort(events, kind="stable")
    inside = np.cumsum(change[order])
    assert inside.min() >= 0 and inside[-1] == 0
    area = int((inside[:-1] * np.diff(events[order])).sum())
    assert area == int((found["last_token_ns"] - found["arrival_ns"]).sum())


@pytest.mark.parametrize("load", [0.3, 0.7, 0.9])
def test_one_server_of_constant_time_waits_as_pollaczek_and_khinchine_say(load):
    """M/D/1: one sequence at a time, a step each; the mean wait is load / (2 (1 - load)) steps."""
    requests = serving.poisson(
        load * 1000.0, requests=400_000, input_tokens=10, output_tokens=1, seed=7
    )
    found = run(requests, max_num_seqs=1).requests
    waits = (found["scheduled_ns"] - found["arrival_ns"]) / MS
    batches = waits.reshape(40, -1).mean(axis=1)  # long enough to be nearly independent
    error = batches.std(ddof=1) / np.sqrt(len(batches))
    assert abs(waits.mean() - load / (2.0 * (1.0 - load))) < 4.0 * error
    assert error < 0.05 * waits.mean()


# --- steps by the kernels ---------------------------------------------------------------------------------


def test_one_request_alone_takes_the_kernels_times():
    """Zero load in closed form: its prompt, then a decode step for each further token."""
    on = deployment("H100-SXM", "Llama-3.1-8B", None, "calibrated")
    scheduler = serving.Scheduler.preset("vllm-0.33", loop="sync", host_ns=1000)
    load = {"arrival": [0.0], "input_tokens": 2048, "output_tokens": 101}
    found = serving.simulate("H100-SXM", "Llama-3.1-8B", None, load, scheduler).requests[0]
    prefill = float(kernels.prefill_time(*on.records, 2048.0, 0.0))
    decode = float(kernels.decode_time(*on.records, 1.0, 2049.0 + np.arange(100)).sum())
    assert found["first_token_s"] == pytest.approx(prefill + 1e-6, rel=0.02)
    tokens = found["last_token_s"] - found["first_token_s"]
    assert tokens == pytest.approx(decode + 100e-6, rel=0.005)


def test_steps_are_padded_to_captured_sizes():
    def tpot(users, **knobs):
        load = {"arrival": np.zeros(users), "input_tokens": 64, "output_tokens": 64}
        found = serving.simulate(
            "H100-SXM", "Llama-3.1-8B", None, load, serving.Scheduler.preset("vllm-0.33", **knobs)
        ).requests
        return float((found["last_token_ns"] - found["first_token_ns"]).mean()) / 63

    assert captured_sizes({"cudagraphs": True, "max_num_seqs": 20, "max_num_batched_tokens": 2048}).tolist() \
        == [1, 2, 4, 8, 16, 24, 32, 40]  # fmt: skip
    padded = [tpot(users) - tpot(users, cudagraphs=False) for users in (8, 9, 120, 121)]
    assert padded[0] == padded[2] == 0.0 and padded[1] > 0.0 and padded[3] > 0.0


# --- many ---------------------------------------------------------------------------------------------------


def test_the_same_bytes_on_any_number_of_threads():
    loads = [
        serving.poisson(100.0, requests=2000, input_tokens=300, output_tokens=40, seed=s)
        for s in range(5)
    ]
    one, two = (run(loads, loop="async", num_blocks=300, threads=n) for n in (1, 2))
    for a, b, load in zip(one, two, loads, strict=True):
        assert a.requests.tobytes() == b.requests.tobytes()
        assert a.requests.tobytes() == run(load, loop="async", num_blocks=300).requests.tobytes()
    assert one[0].requests.tobytes() != one[1].requests.tobytes()


def test_routers():
    load = serving.poisson(300.0, requests=3000, input_tokens=300, output_tokens=40, seed=1)
    turns = run(load, replicas=3).requests
    assert (turns["replica"] == np.arange(3000) % 3).all() and (turns["status"] == "done").all()
    least = run(load, replicas=3, router="least_loaded").requests
    old = run(load, replicas=3, router="least_loaded", signal_age_s=10.0).requests
    waits = [np.percentile(r["first_token_ns"] - r["arrival_ns"], 99) for r in (least, turns, old)]
    assert waits[0] <= waits[1] and waits[0] <= waits[2]
    # a router that never hears anything counts what it sent
    deaf = run(load, replicas=3, router="least_loaded", signal_age_s=1e6).requests
    assert (np.bincount(deaf["replica"]) == 1000).all()


def test_a_router_that_knows_prefixes_sends_turns_where_they_were():
    load = serving.sessions(8.0, 80, turns=6, seed=2)
    hits = {}
    for router in ("round_robin", "prefix_aware"):
        found = run(load, replicas=4, router=router, enable_prefix_caching=True, num_blocks=50_000)
        assert (found.requests["status"] == "done").all()
        hits[router] = found.requests["cached_tokens"].sum()
    assert hits["prefix_aware"] > 1.5 * hits["round_robin"] > 0


# --- what cannot be, and what has to end --------------------------------------------------------------------


def test_who_can_never_fit_is_named_and_the_rest_is_served():
    load = {"arrival": np.zeros(3), "input_tokens": [50, 5000, 50], "output_tokens": 10}
    found = run(load, num_blocks=101)
    assert found.requests["status"].tolist() == ["done", "rejected", "done"]
    assert found.refused.tolist() == [1]
    # where the engine is told both, it does what the engine does: the head blocks the queue
    stuck = run(load, num_blocks=101, max_model_len=100_000)
    assert stuck.requests["status"].tolist() == ["done", "stuck", "stuck"]
    assert stuck.verdict.state == "stuck"


def test_verdicts():
    def at(rate, **knobs):
        load = serving.poisson(rate, requests=4000, input_tokens=100, output_tokens=20, seed=1)
        return run(load, serving.StepTime(MS, 1000), **knobs).verdict

    assert at(20.0).state == "stable" and at(20.0).short == ""
    over = at(2000.0, max_num_seqs=8)
    assert over.state == "overloaded" and over.short == "sequences"
    assert over.growth_per_s == pytest.approx(2000.0 - 8 / 0.0224, rel=0.15)
    assert at(2000.0, num_blocks=40).short == "memory"
    one = run({"arrival": [0.0], "input_tokens": 100, "output_tokens": 20})
    assert repr(one) == f"<Simulation of 1 request by {one.scheduler.name}: stable>"
    burst = run(
        {"arrival": np.zeros(500), "input_tokens": 100, "output_tokens": 20}, max_num_seqs=8
    )
    assert burst.verdict.state == "backlogged"
    # some wait in the mean and the queue empties each second: arrivals in waves are no backlog
    waves = np.repeat(np.arange(40.0), 50)
    waves = run({"arrival": waves, "input_tokens": 100, "output_tokens": 20}, max_num_seqs=8)
    assert waves.verdict.state == "stable" and waves.verdict.waiting > 2.0
    slow = run(  # waits of some 10^14 ns: their sum is beyond int64
        {"arrival": np.zeros(200_000), "input_tokens": 1, "output_tokens": 1},
        serving.StepTime(10**9), max_num_seqs=1,
    )  # fmt: skip
    assert slow.verdict.state == "backlogged"
    assert slow.verdict.waiting == pytest.approx(100_000, rel=0.01)


def test_a_horizon_ends_it():
    load = {"arrival": np.arange(100) * 1.0, "input_tokens": 10, "output_tokens": 1}
    found = run(load, horizon_s=49.5).requests
    assert (found["status"] == "done").sum() == 50
    assert (found["status"][50:] == "unfinished").all()


def test_engines_that_go_in_circles_end():
    """Two prompts that fit alone, admitted piece by piece, take each other's memory for ever."""
    seeds = [
        s for s in range(1200) if not scenarios.draw(s)["config"]["scheduler_reserve_full_isl"]
    ]
    for seed in seeds[:60]:
        trace = scenarios.draw(
            seed, policy="priority", long_prefill_token_threshold=8, max_num_batched_tokens=16
        )
        trace["config"]["max_num_seqs"] = min(trace["config"]["max_num_seqs"], 16)
        recorded.play(trace)


@pytest.mark.parametrize(
    "knobs, said",
    [
        ({"max_num_seqs": 0}, "max_num_seqs is 0; allowed: whole numbers from 1"),
        ({"watermark": 1.0}, "watermark is 1.0; allowed: numbers from 0 to below 1"),
        ({"policy": "lpm"}, "policy is 'lpm'; allowed: fcfs, priority"),
        ({"enable_chunked_prefill": 1}, "enable_chunked_prefill is 1; allowed: True or False"),
        ({"speculative_config": {}}, "speculative_config is not played by vllm-0.33"),
        ({"version": "vllm-0.19", "watermark": 0.1}, "watermark is of vllm-0.33, not of vllm-0.19"),
        ({"version": "vllm-0.5"}, "preset is 'vllm-0.5'; allowed: vllm-0.33, vllm-0.19"),
        ({"router": "random"}, "router is 'random'; allowed: round_robin"),
        ({"replicas": 0}, "replicas is 0; allowed: an integer from 1 to 65536"),
        ({"router": "prefix_aware", "signal_age_s": 1.0}, "signal_age_s is 1.0"),
    ],
)  # fmt: skip
def test_what_is_refused(knobs, said):
    load = {"arrival": [0.0], "input_tokens": 1, "output_tokens": 1}
    with pytest.raises((ValueError, TypeError), match=said):
        run(load, **knobs)


def test_plans_and_traces_that_are_refused():
    load = {"arrival": [0.0], "input_tokens": 40, "output_tokens": 1}
    hashed = load | {"block_hashes": [np.array([1, 2])], "hash_block": 24}
    with pytest.raises(ValueError, match=r"hash_block is 24; allowed: a multiple of .* \(16\)"):
        run(hashed)
    with pytest.raises(ValueError, match="leaves no memory for KV blocks"):
        serving.simulate("H100-SXM", "Llama-3.1-70B", None, load)
    with pytest.raises(TypeError, match="unexpected option 'rooter'"):
        serving.simulate(None, None, None, load, rooter="x")


def test_a_request_keeps_less_than_200_bytes():
    n = 20_000
    load = serving.poisson(30.0, requests=n, input_tokens=500, output_tokens=200)
    run({"arrival": [0.0], "input_tokens": 1, "output_tokens": 1})  # imports
    tracemalloc.start()
    found = run(load)
    kept, most = (used / n for used in tracemalloc.get_traced_memory())
    tracemalloc.stop()
    assert len(found.requests) == n and found.requests.dtype.itemsize == 144
    assert kept < 160 and most < 260  # while records are made of what the run wrote, 65 bytes each
    assert POOLED_RECORD.itemsize <= 200


def test_ctrl_c_and_progress():
    n = 300_000
    load = {"arrival": np.arange(n) * 1.0, "input_tokens": 10, "output_tokens": 2000}
    told, late = [], []
    while len(late) < 5 and min(late, default=1.0) >= 0.05:
        sent = []

        def interrupt(sent=sent):
            sent.append(time.process_time())
            os.kill(os.getpid(), signal.SIGINT)

        timer = threading.Timer(0.35, interrupt)
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            run(load, loop="async", progress=lambda *a: told.append(a))
        late.append(time.process_time() - sent[0])
        timer.join()
    assert min(late) < 0.05  # of processor time, which other work on the machine does not stretch
    assert told and all(total == n and 0 <= served <= n for served, total in told)


# --- records as they are laid out -------------------------------------------------------------------------


def test_records_of_another_layout_are_not_written(monkeypatch):
    """Fields that lie elsewhere than where rows are written are named."""
    fields = list(RECORD.descr)
    moved = [fields[1], fields[0], *fields[2:]]
    monkeypatch.setattr(result, "RECORD", np.dtype(moved))
    with pytest.raises(TypeError, match="arrival_ns is not at byte 0"):
        run({"arrival": [0.0], "input_tokens": 1, "output_tokens": 1})


@pytest.mark.parametrize("threads", [1, 2])
def test_runs_that_follow_one_another_have_rows_of_their_own(threads):
    """A thread's room for results serves its next run, longer or shorter, of which nothing is left."""
    loads = [
        {"arrival": np.arange(n) * 0.002, "input_tokens": 10 + n, "output_tokens": 3}
        for n in (5, 50, 1, 20)
    ]
    loads.append({"arrival": [0.0], "input_tokens": 100_000, "output_tokens": 1})  # does not fit
    together = run(loads, threads=threads, num_blocks=100)
    for load, found in zip(loads, together, strict=True):
        assert found.requests.tobytes() == run(load, num_blocks=100).requests.tobytes()
    rows = together[-1].requests[0]
    assert (rows["status"], rows["first_token_ns"]) == ("rejected", -1)
    assert np.isnan(rows["first_token_s"]) and np.isnan(rows["joules"])
