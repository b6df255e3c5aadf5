"""The highest rate under an objective, and the knobs and plan that reach it, each proved by its own runs."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tokenroof as tr
from tokenroof.serving import (
    SLO,
    Lengths,
    Scheduler,
    StepTime,
    capacity,
    curve,
    gamma,
    sessions,
    simulate,
    token_gaps,
    tune,
)
from tokenroof.serving.tuning.kept import Kept
from tokenroof.serving.tuning.search import largest

WHERE = "H200-SXM", "Llama-3.1-8B", None
SIZES = {"input_tokens": Lengths.lognormal(1000, 1.0), "output_tokens": Lengths.lognormal(100, 0.5)}
QUICK = {**SIZES, "requests": 400, "seeds": 2}
BOTH = [SLO(ttft_s=0.5, percentile=99), SLO(tpot_s=0.015, percentile=90)]


def percentiles(rate, scheduler, seed, plan=None):
    """TTFT p99 and TPOT p90 of a long run, by hand."""
    load = gamma(rate, 1.0, requests=6000, seed=seed, **SIZES)
    run = simulate(*WHERE[:2], plan, load, scheduler).requests[1000:-1000]
    tpot = (run["last_token_s"] - run["first_token_s"]) / np.maximum(run["output_tokens"] - 1, 1)
    return (
        np.percentile(run["first_token_s"] - run["arrival_s"], 99),
        np.percentile(tpot[run["output_tokens"] > 1], 90),
    )


# --- the rate ------------------------------------------------------------------------------------------


def test_the_rate_is_where_runs_of_ones_own_cross_the_bound():
    best = tune(*WHERE, BOTH, **SIZES, seeds=2, tolerance=0.02)
    assert 0.97 * best.refused < best.rate < best.refused
    assert best.expected == pytest.approx(best.rate, rel=0.25)
    below = [percentiles(0.93 * best.rate, best.scheduler, seed) for seed in (7, 8)]
    above = [percentiles(1.1 * best.rate, best.scheduler, seed) for seed in (7, 8)]
    assert all(ttft <= 0.5 and tpot <= 0.015 for ttft, tpot in below)
    assert all(ttft > 0.5 or tpot > 0.015 for ttft, tpot in above)


def test_what_is_proved_stands_beside_it():
    best = tune(*WHERE, BOTH, **QUICK, knobs={})
    proof = best.proof
    assert proof.meets and proof.amount == best.rate and proof.seeds == 2
    assert (
        proof.times["tpot_p90_s_low"] <= proof.times["tpot_p90_s"] <= proof.times["tpot_p90_s_high"]
    )
    assert proof.times["tpot_p90_s_high"] <= 0.015 and proof.times["ttft_p99_s_high"] <= 0.5
    refused = next(t for t in best.trials if t.amount == best.refused)
    assert not refused.meets
    over = refused.times["tpot_p90_s_high"] > 0.015 or refused.times["ttft_p99_s_high"] > 0.5
    assert over or refused.state == "overloaded"
    rows = best.rows()
    assert len(rows) == len(best.trials) and rows[0]["plan"] == "tp1 bf16 kv bf16"


def test_no_other_candidate_reaches_it():
    knobs = {"max_num_batched_tokens": [512, 2048, 16384], "max_num_seqs": [16, 256]}
    best = tune(*WHERE, BOTH, **QUICK, knobs=knobs)
    for tokens in knobs["max_num_batched_tokens"]:
        for seqs in knobs["max_num_seqs"]:
            one = {"max_num_batched_tokens": [tokens], "max_num_seqs": [seqs]}
            alone = tune(*WHERE, BOTH, **QUICK, knobs=one).rate
            assert alone <= best.rate * 1.04
    # 16 and 256 sequences keep the same rate within 1e-4; fewer tokens of a step 9 and 28 % less
    assert best.knobs["max_num_batched_tokens"] == 16384


@pytest.mark.parametrize(
    ("engine", "names", "worse"),
    [
        ("sglang", ("chunked_prefill_size", "max_running_requests", "enable_mixed_chunk",
                    "schedule_conservativeness"), {"max_running_requests": 8}),
        ("trtllm", ("max_num_tokens", "max_batch_size", "enable_chunked_prefill",
                    "capacity_scheduler_policy"), {"max_batch_size": 8}),
        ("vllm", ("max_num_batched_tokens", "max_num_seqs", "long_prefill_token_threshold"),
         {"max_num_seqs": 8}),
    ],
)  # fmt: skip
def test_each_engine_has_knobs_of_its_own_that_are_tried(engine, names, worse):
    ask = {**SIZES, "requests": 100, "seeds": 1, "tolerance": 0.1}
    plan = tr.Plan(engine=engine)
    best = tune(*WHERE[:2], plan, BOTH, **ask)
    assert tuple(best.knobs) == names and best.scheduler.name.startswith(engine)
    tried = {tuple(trial.knobs.values()) for trial in best.trials}
    assert len(tried) >= 18 and best.expected == pytest.approx(best.rate, rel=0.5)
    # given ones are not tried; a scheduler says which engine's
    given = Scheduler.preset(best.scheduler.name, **worse)
    few = tune(*WHERE, BOTH, **ask, scheduler=given)
    assert not set(worse) & set(few.knobs) and 0.0 < few.rate < best.rate


def test_the_closed_form_of_other_engines_is_there_and_not_counted_on():
    for name in ("sglang-0.5.23", "trtllm-1.4"):
        engine = Scheduler.preset(name)
        found = curve(*WHERE, rate=[1.0, 5.0], scheduler=engine)
        assert (found.ttft_s > 0.0).all() and not found.means_hold.any()
        most = capacity(*WHERE, SLO(ttft_s=1.0, percentile=99), output_tokens=50, prove=True,
                        requests=50, seeds=1, scheduler=engine, tolerance=0.2)  # fmt: skip
        assert float(most.simulated_ttft_p99_s) <= 1.0
    # whole answers are set aside: fewer places than where they may be paused
    few = {"max_tokens": 32 * 1000, "max_seq_len": 2**20}
    whole, paused = (
        curve(*WHERE, rate=[30.0], output_tokens=3000, scheduler=Scheduler.preset(
            "trtllm-1.4", capacity_scheduler_policy=policy, **few))
        for policy in ("GUARANTEED_NO_EVICT", "MAX_UTILIZATION")
    )  # fmt: skip
    assert (
        whole.attrs["places"] == 7 and paused.attrs["places"] == 12
    )  # 32,000 / 4,024 and / 2,524.5


def test_plans_are_compared_by_device():
    plans = [tr.Plan(tp=n) for n in (1, 2, 4)]
    loose, tight = SLO(tpot_s=0.05, percentile=90), SLO(tpot_s=0.0045, percentile=90)
    ask = {"output_tokens": 100, "requests": 300, "seeds": 1, "knobs": {}}
    free = tune("H200-SXM", "Llama-3.1-8B", plans, loose, **ask)
    bound = tune("H200-SXM", "Llama-3.1-8B", plans, tight, **ask)
    assert free.plan.tp == 1 and bound.plan.tp > 1
    assert free.per_device == free.rate / free.plan.devices
    singles = [tune("H200-SXM", "Llama-3.1-8B", p, tight, **ask).per_device for p in plans]
    assert bound.per_device >= 0.97 * max(singles)


def test_the_gaps_between_tokens_ask_for_smaller_steps():
    ask = {"input_tokens": 4000, "output_tokens": 100, "requests": 300, "seeds": 1}
    knobs = {"max_num_batched_tokens": [1024, 16384]}
    best = tune(*WHERE, SLO(itl_s=0.06, percentile=99), **ask, knobs=knobs)
    assert best.knobs == {"max_num_batched_tokens": 1024} and best.proof.times["itl_p99_s"] <= 0.06


def test_a_load_of_ones_own():
    """Sessions, whose turns carry what was said."""

    def turns(rate, many, seed):
        return sessions(rate / 4, -(-many // 4), 4, input_tokens=200, output_tokens=40, seed=seed)

    best = tune(*WHERE, SLO(ttft_s=0.2, percentile=90), load=turns, requests=400, seeds=2, knobs={})
    assert best.rate > 1.0 and best.proof.meets


def test_nothing_meets():
    best = tune(*WHERE, SLO(ttft_s=1e-6, percentile=50), **QUICK, knobs={})
    assert best.rate == 0.0 and best.proof is None and best.refused > 0.0
    # what nothing keeps is not looked for with every knob: one load shows it
    best = tune(*WHERE, SLO(ttft_s=1e-4, percentile=99), **QUICK)
    assert (best.rate, len(best.trials), best.trials[0].meets) == (0.0, 1, False)
    never = Scheduler.preset("vllm-0.33", num_blocks=40)
    best = tune(
        *WHERE, SLO(ttft_s=9.0), input_tokens=2000, requests=50, seeds=1, scheduler=never, knobs={}
    )
    assert best.rate == 0.0 and best.trials[0].times["ttft_s"] == np.inf


# --- it can be stopped and goes on ----------------------------------------------------------------------


def test_a_search_that_was_stopped_goes_on(tmp_path):
    path, calls = tmp_path / "runs.jsonl", []

    def stop(done, of):
        calls.append((done, of))
        if len(calls) == 3:
            raise KeyboardInterrupt

    ask = {**QUICK, "knobs": {"max_num_seqs": [32, 256]}}
    whole = tune(*WHERE, BOTH, **ask)
    with pytest.raises(KeyboardInterrupt):
        tune(*WHERE, BOTH, **ask, results=path, progress=stop)
    kept = len(path.read_text().splitlines())
    assert kept == 3 * 2 and calls[0] == (0, 2)
    path.write_bytes(path.read_bytes() + b'{"key": "cut')
    again = tune(*WHERE, BOTH, **ask, results=path)
    assert again.played == whole.played - kept
    assert again.rows() == whole.rows() and again.rate == whole.rate
    assert tune(*WHERE, BOTH, **ask, results=path).played == 0
    other = tune(*WHERE, BOTH, **{**ask, "seeds": [5, 6]}, results=path)
    assert other.played > 0 and other.rate != whole.rate
    row = json.loads(path.read_text().splitlines()[0])
    assert row["plan"] == "tp1 bf16 kv bf16" and row["amount"] == whole.trials[0].amount


@pytest.mark.parametrize("line", [b"12\n", b"{}\n", b'{"key": 1, "found": {}}\n', b"\xff\n{}"])
def test_a_file_of_something_else_is_refused(tmp_path, line):
    path = tmp_path / "runs.jsonl"
    path.write_bytes(line)
    with pytest.raises(ValueError, match=r"runs.jsonl, line 1: .*; allowed: lines that an earlier"):
        Kept(path)
    assert path.read_bytes() == line


def test_a_folder_that_is_not_there_is_found_before_anything_is_played(tmp_path):
    with pytest.raises(FileNotFoundError):
        tune(*WHERE, BOTH, **QUICK, results=tmp_path / "no" / "runs.jsonl")


# --- the search by itself ------------------------------------------------------------------------------


@given(
    limit=st.floats(1e-3, 1e6), guess=st.floats(1e-2, 1e5), tolerance=st.sampled_from([0.3, 0.02, 1e-4])
)  # fmt: skip
def test_the_search_brackets_any_limit(limit, guess, tolerance):
    low, high = largest(lambda x: x <= limit, guess, tolerance)
    if low:
        assert low <= limit < high <= low * (1.0 + tolerance)
    else:
        assert high > limit and limit < 1e-2 * guess


@given(limit=st.integers(0, 10**6), guess=st.integers(1, 10**6), most=st.integers(1, 10**6))
def test_the_search_over_whole_numbers(limit, guess, most):
    low, high = largest(lambda x: x <= limit, guess, 1e-9, whole=True, most=most)
    assert low == min(limit, most)
    assert high == (np.inf if limit >= most else limit + 1)


def test_nothing_below_what_is_known_is_tried():
    tried = []
    assert largest(lambda x: tried.append(x) or x <= 100, 1.0, 0.01, known=50.0)[0] > 99
    assert min(tried) > 50


# --- gaps ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", ["sync", "async"])
@pytest.mark.parametrize("blocks", [24, 1000])
def test_gaps_by_hand(loop, blocks):
    """Step by step, with victims that are computed again where memory is short."""
    engine = Scheduler.preset("vllm-0.33", num_blocks=blocks, loop=loop, max_num_batched_tokens=64)
    load = {
        "arrival": np.arange(8) * 0.003,
        "input_tokens": [100, 30, 70, 1, 90, 16, 33, 64],
        "output_tokens": [30, 60, 1, 40, 25, 70, 2, 9],
    }
    run = simulate(
        None, None, None, load, engine, step_time=StepTime(10**6, 10**4), record_steps=True
    )
    assert (run.totals["preemptions"] > 0) == (blocks == 24)
    expected = []
    for request in range(8):
        known, times = run.requests["input_tokens"][request], []
        for entry in run.entries[run.entries["request"] == request]:
            if entry["before"] + entry["tokens"] >= known:
                known = entry["before"] + entry["tokens"] + 1
                times.append(run.steps["end_ns"][entry["step"]])
        expected += np.diff(times).tolist()
    found = token_gaps(run)
    assert (1e9 * found).round().astype(int).tolist() == expected
    if blocks == 1000:
        assert len(found) == sum(load["output_tokens"]) - 8
        whole = run.requests["last_token_ns"] - run.requests["first_token_ns"]
        assert found.sum() == pytest.approx(1e-9 * whole.sum())
        some = token_gaps(run, np.array([1, 3]))
        assert len(some) == 59 + 39
    with pytest.raises(ValueError, match="run has no steps; allowed"):
        token_gaps(simulate(None, None, None, load, engine, step_time=StepTime(10**6)))


# --- what is refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "kind", "says"),
    [
        ({"slo": 1.0}, TypeError, "slo is 1.0; allowed: an SLO, or a list"),
        ({"slo": []}, TypeError, r"slo is \[\]; allowed"),
        ({"slo": SLO()}, ValueError, "slo has neither ttft_s"),
        ({"slo": SLO(ttft_s=1.0, sure=True)}, ValueError, "sure is True"),
        ({"plan": "tp8"}, TypeError, "plan is 'tp8'; allowed: a Plan, a list"),
        ({"plan": []}, TypeError, r"plan is \[\]; allowed"),
        ({"knobs": {"max_num_seq": [1]}}, ValueError, "max_num_seq is not played by vllm-0.33"),
        ({"knobs": {"max_num_seqs": [0]}}, ValueError, "max_num_seqs is 0; allowed"),
        ({"knobs": {"max_num_seqs": 8}}, TypeError, r"knobs\['max_num_seqs'\] is 8; allowed: a list"),
        ({"knobs": {"max_num_seqs": list(range(1, 20_000))}}, ValueError, "19999 combinations; allowed"),
        ({"knobs": [1]}, TypeError, r"knobs is \[1\]; allowed: a mapping"),
        ({"scheduler": "vllm"}, TypeError, "scheduler is 'vllm'; allowed: a Scheduler"),
        ({"tolerance": 0.0}, ValueError, "tolerance is 0.0; allowed"),
        ({"progress": 1}, TypeError, "progress is 1; allowed: a function"),
        ({"requests": 0}, ValueError, "requests is 0; allowed"),
        ({"seeds": []}, TypeError, r"seeds is \[\]; allowed"), ({"seeds": 0}, ValueError, "seeds is 0; allowed"),
        ({"seeds": [1, -1]}, ValueError, r"seeds\[1\] is -1; allowed"), ({"seeds": "12"}, TypeError, "seeds is '12'"),
        ({"seeds": [1, 1]}, ValueError, r"seeds are \[1, 1\]; allowed: each once"),
        ({"burstiness": 0.0}, ValueError, "burstiness is 0.0; allowed"),
        ({"input_tokens": 0}, ValueError, "input_tokens is 0; allowed"),
        ({"load": 5}, TypeError, "load is 5; allowed: a function"),
        ({"load": lambda *a: None}, TypeError, r"load\(1, 1000, 0\) is NoneType; allowed: Requests"),
        ({"load": lambda *a: gamma(1.0, 1.0, requests=9)}, ValueError, r"load\(1, 1000, 0\) has 9 requests; allowed"),
        ({"load": lambda *a: None, "burstiness": 2.0}, ValueError, "load and burstiness; allowed: one"),
        ({"rate": 5.0}, TypeError, "unexpected option 'rate'; allowed: input_tokens"),
        ({"fidelity": "best"}, ValueError, "fidelity is 'best'"),
    ],
)  # fmt: skip
def test_what_is_refused(options, kind, says):
    ask = {"plan": None, "slo": SLO(ttft_s=1.0), **options}
    with pytest.raises(kind, match=says):
        tune("H200-SXM", "Llama-3.1-8B", ask.pop("plan"), ask.pop("slo"), **ask)
