"""Batches in a pipeline: against the twin with more of them in flight, by hand, and what is refused."""

import numpy as np
import pytest
import recorded
import scenarios
import twin
from hypothesis import given, reject
from hypothesis import strategies as st

import tokenroof as tr
from tokenroof import kernels, serving
from tokenroof.inference.door import deployment

MS = 1_000_000
MODEL = "Llama-3.1-8B"


class Pipeline(twin.Engine):
    """As many batches in flight as stages; in each stage behind the batch before."""

    def __init__(self, trace):
        super().__init__(trace)
        self.depth = trace["stages"]
        self.ends = [0] * self.depth

    def when(self, now, took):
        each = -(-took // self.depth)
        at = start = max(now, self.ends[0])
        for k, end in enumerate(self.ends):
            at = self.ends[k] = max(at, end) + each
        return start, at


def play(trace, **options):
    version = ".".join(trace["engine"]["vllm"].split(".")[:2])
    scheduler = serving.Scheduler.preset(f"vllm-{version}", loop="sync", **trace["config"])
    step = serving.StepTime(*(trace["step_time"][name] for name in "abc"))
    return serving.simulate(
        "H200-SXM", MODEL, tr.Plan(pp=trace["stages"]), recorded.requests_of(trace), scheduler,
        step_time=step, **options,
    )  # fmt: skip


@given(seed=st.integers(0, 10**9))
def test_every_decision_is_the_twin_s(seed):
    trace = scenarios.draw(seed)
    trace["engine"]["loop"], trace["stages"] = "sync", 2 + seed % 3
    try:
        decided = Pipeline(trace).run()
    except twin.Circles:
        reject()
    run = play(trace, record_steps=True)
    cached = trace["config"]["enable_prefix_caching"]
    assert recorded.decided(run, cached) == recorded.wanted(decided["steps"], cached)
    assert recorded.results(run) == decided["results"]
    assert play(trace).requests.tobytes() == run.requests.tobytes()
    assert run.totals["busy_ns"] <= run.totals["end_ns"]


def test_a_batch_follows_another_through_the_stages():
    """4 ms in two stages: the second request enters the first stage when the first has left it."""
    load = {"arrival_ns": [0, 1], "input_tokens": 10, "output_tokens": [3, 1]}
    trace = {"stages": 2, "engine": {"vllm": "0.33.0"}, "step_time": {"a": 4 * MS, "b": 0, "c": 0}}
    scheduler = serving.Scheduler.preset(
        "vllm-0.33", loop="sync", num_blocks=1000, enable_prefix_caching=False
    )
    found = serving.simulate(
        "H200-SXM",
        MODEL,
        tr.Plan(pp=trace["stages"]),
        load,
        scheduler,
        step_time=serving.StepTime(4 * MS),
    ).requests
    # who comes when the loop waits for the batch in flight is seen when that is done
    assert found["first_token_ns"].tolist() == [4 * MS, 8 * MS]
    load["arrival_ns"], load["input_tokens"] = [0, 0], [10, 3000]
    scheduler = serving.Scheduler.preset(
        "vllm-0.33", loop="sync", num_blocks=1000, enable_prefix_caching=False,
        max_num_batched_tokens=1510,
    )  # fmt: skip
    found = serving.simulate(
        "H200-SXM", MODEL, tr.Plan(pp=2), load, scheduler, step_time=serving.StepTime(4 * MS)
    ).requests
    # 10 and 1500 at 0; 1500 behind them, in the first stage at 2 ms; the first's further tokens are not
    # known before 4 ms, and go behind those
    assert found["first_token_ns"].tolist() == [4 * MS, 6 * MS]
    assert found["last_token_ns"].tolist() == [12 * MS, 6 * MS]


def test_a_request_alone_takes_the_kernels_times():
    plan = tr.Plan(pp=2)
    on = deployment("H100-SXM", MODEL, plan, "calibrated")
    load = {"arrival": [0.0], "input_tokens": 992, "output_tokens": 51}
    scheduler = serving.Scheduler.preset("vllm-0.33", loop="sync")
    found = serving.simulate("H100-SXM", MODEL, plan, load, scheduler).requests[0]
    prefill = float(kernels.prefill_time(*on.records, 992.0, 0.0))
    decode = float(kernels.decode_time(*on.records, 1.0, 993.0 + np.arange(50)).sum())
    assert found["first_token_s"] == pytest.approx(prefill, rel=0.02)
    assert found["last_token_s"] - found["first_token_s"] == pytest.approx(decode, rel=0.005)


def test_a_prompt_begins_while_another_is_in_the_last_stage():
    """Two stages of 2 ms, the link of two devices 2 GB/s: 1,500 tokens each are computed at 4 and 6 ms, and cross in
    98.3 ms each, the second beside the first; the answer's pipeline holds both, each in another stage."""
    plan, token = tr.Plan(pp=2), 131072
    on = serving.disaggregate(("H100-SXM", plan), ("H100-SXM", plan), link_bandwidth=1e9, hop_s=0.0)
    load = {"arrival_ns": [0, 0], "input_tokens": 1500, "output_tokens": [3, 2]}
    knobs = {"loop": "sync", "num_blocks": 1000, "enable_prefix_caching": False}
    run = serving.simulate(
        on, MODEL, None, load,
        serving.Scheduler.preset("vllm-0.33", **knobs, max_num_batched_tokens=1500),
        step_time=serving.StepTime(4 * MS), link_sharing="fifo",
    )  # fmt: skip
    a, b = run.requests
    assert [a["prefilled_ns"], b["prefilled_ns"]] == [4 * MS, 6 * MS]
    crossing = 1500 * token // 2
    assert [a["received_ns"], b["received_ns"]] == [4 * MS + crossing, 4 * MS + 2 * crossing]
    assert a["last_token_ns"] == 4 * MS + crossing + 3 * 4 * MS
    assert b["last_token_ns"] == 4 * MS + 2 * crossing + 2 * 4 * MS
    assert run.pools["decode"].totals["steps"] == 5


@pytest.mark.parametrize(
    ("model", "plan", "knobs", "said"),
    [
        (MODEL, {"pp": 2}, {}, "pp=2 and the scheduler loop='async'.*allowed: loop='sync'"),
        ("Qwen3-30B-A3B", {"pp": 2, "dp": 2}, {"loop": "sync"}, "pp=2 and dp=2, which are not played together"),
        (MODEL, {"pp": 2, "engine": "trtllm"}, None, "pp=2, whose stages are not played by trtllm-1.4"),
    ],
)  # fmt: skip
def test_plans_that_are_refused(model, plan, knobs, said):
    load = {"arrival": [0.0], "input_tokens": 4, "output_tokens": 1}
    scheduler = None if knobs is None else serving.Scheduler.preset("vllm-0.33", **knobs)
    with pytest.raises(ValueError, match=said):
        serving.simulate("H100-SXM", model, tr.Plan(**plan), load, scheduler)
