"""Runs that a horizon cuts: what was played is judged, and too little of it proves nothing."""

import json

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import serving
from tokenroof.cli import main
from tokenroof.serving import SLO, StepTime, poisson, replicate, simulate, summary, verdict
from tokenroof.serving.tuning.proof import Candidate

SECOND = 10**9
FIELDS = [
    (name, "i8")
    for name in (
        "arrival_ns", "scheduled_ns", "first_token_ns", "last_token_ns", "input_tokens", "output_tokens",
    )
] + [("status", "U10")]  # fmt: skip
# 4 places, 10 ms a token: answers of 100 tokens take a second, and 4 of them are borne in one
KNOBS = serving.Scheduler.preset("vllm-0.33", num_blocks=10_000, loop="sync", max_num_seqs=4)
LINE = {"step_time": StepTime(10_000_000)}


def played(rate, many, outputs, **options):
    load = {"arrival": np.arange(many) / rate, "input_tokens": 10, "output_tokens": outputs}
    return simulate(None, None, None, load, KNOBS, **LINE, **options)


@pytest.mark.parametrize("horizon", [1.0, 4.0, 9.0])
def test_a_queue_that_grows_before_anybody_is_answered_is_one(horizon):
    run = played(50.0, 2000, 1000, horizon_s=horizon)
    found, counts = run.verdict, run.summary()
    assert counts["answered"] == 0 and found.unfinished == counts["unfinished"]
    assert counts["unfinished"] == pytest.approx(50 * horizon, abs=1.5)
    assert counts["unfinished"] + counts["not_come"] == 2000
    assert found.state == "overloaded" and found.growth_per_s == pytest.approx(50.0, rel=0.05)
    assert str(found).endswith(f"; {found.unfinished} unfinished")


@pytest.mark.parametrize(
    ("horizon", "state"), [(0.9, "unknown"), (1.4, "unknown"), (2.5, "stable"), (40.0, "stable")]
)
def test_a_load_that_is_borne_is_not_known_to_be_before_half_are_answered(horizon, state):
    """Those in service are not in the queue: of a second's answers as many always are."""
    found = played(3.0, 1000, 100, horizon_s=horizon).verdict
    assert found.state == state and found.short == "" and found.waiting < 1.0
    assert found.unfinished in (2, 3, 4)
    assert played(3.0, 100, 100).verdict.unfinished == 0


def test_a_run_to_which_few_came_says_nothing():
    assert played(3.0, 1000, 1, horizon_s=1e-9).verdict.state == "unknown"
    done = played(3.0, 1000, 1, horizon_s=0.6)  # both were answered
    assert done.summary()["answered"] == 2 and done.verdict.state == "unknown"


def test_many_at_once_are_a_backlog_where_they_wait():
    load = {"arrival": np.zeros(100), "input_tokens": 10, "output_tokens": 100}
    run = simulate(None, None, None, load, KNOBS, **LINE, horizon_s=3.5)
    assert run.verdict.state == "backlogged" and run.verdict.unfinished == 88


def record(lost):
    """400 requests, one a second, all scheduled as they come, of which one of so many never ends."""
    run = np.zeros(400, FIELDS)
    run["arrival_ns"] = run["scheduled_ns"] = np.arange(400) * SECOND
    run["last_token_ns"] = run["arrival_ns"] + SECOND // 2
    run["status"], run["output_tokens"] = "done", 2
    kept = np.arange(400) % lost == 0
    run["status"][kept], run["last_token_ns"][kept] = "unfinished", -1
    return run


@pytest.mark.parametrize(
    ("lost", "state"), [(2, "unknown"), (4, "unknown"), (5, "stable"), (20, "stable")]
)
def test_ever_more_in_service_are_no_balance(lost, state):
    """By 200 / lost over the second half, in which a walk of as many arrivals is 3 sqrt(200) = 42."""
    found = verdict(record(lost))
    assert (found.state, found.unfinished) == (state, 400 // lost)


def test_who_gave_up_is_in_service_no_more():
    run = record(2)
    kept = run["status"] == "unfinished"
    run["status"][kept], run["last_token_ns"][kept] = "timed_out", run["arrival_ns"][kept] + SECOND
    run["status"][-1] = "unfinished"
    assert verdict(run).state == "overloaded"  # who is lost is growth, cut or not
    assert verdict(run[run["status"] != "timed_out"]).state == "stable"


def test_who_has_not_come_is_in_no_share():
    run = record(5)
    absent = run.copy()
    absent["status"], absent["arrival_ns"] = "unfinished", -1
    both, slo = np.concatenate((run, absent)), SLO(ttft_s=10.0**9)
    one, two = summary(run, slo), summary(both, slo)
    assert (two["requests"], two["unfinished"], two["not_come"]) == (800, 80, 400)
    assert one["goodput_share"] == two["goodput_share"] == 0.8
    assert str(verdict(both)) == str(verdict(run))


def test_prompts_and_answers_apart():
    """A tenth of an answer's time is played, then many times it."""
    pool = serving.Pool("H100-SXM", tr.Plan(), 1)
    system = serving.System(prefill=pool, decode=pool)
    load = poisson(2.0, requests=300, input_tokens=1000, output_tokens=200, seed=1)
    runs = [simulate(system, "Llama-3.1-8B", None, load, horizon_s=h) for h in (2.0, 60.0)]
    assert [run.verdict.state for run in runs] == ["unknown", "stable"]
    assert all(run.verdict.unfinished > 0 for run in runs)
    flood = poisson(300.0, requests=900, input_tokens=1000, output_tokens=200, seed=1)
    found = simulate(system, "Llama-3.1-8B", None, flood, horizon_s=2.0).verdict
    assert found.state == "overloaded" and found.short == "prefill"


def test_replications_and_proofs_know_what_is_not_known():
    def load(seed):
        return poisson(3.0, requests=100, input_tokens=10, output_tokens=100, seed=seed)

    runs = replicate(None, None, None, load, 2, KNOBS, simulation={**LINE, "horizon_s": 0.5})
    names = runs.state.attrs["flag_meanings"].split()
    assert [names[int(k)] for k in runs.state] == ["unknown", "unknown"]
    assert names.index("unknown") == 4  # stores that were written before mean what they meant


class Half(Candidate):
    """No replica: rows of runs alone are judged."""

    def __init__(self):
        self.objectives, self.knobs = [], {}
        self.on = type("On", (), {"label": "p", "devices": 1})()
        self.asked = type("Asked", (), {"own": False, "closed": False})()


@pytest.mark.parametrize(
    ("states", "worst"),
    [(("stable", "stable"), "stable"), (("unknown", "stable"), "unknown"),
     (("unknown", "overloaded"), "overloaded"), (("unknown", "backlogged"), "backlogged")],
)  # fmt: skip
def test_what_is_not_known_is_not_proven(states, worst):
    rows = [{"times": {}, "state": state, "short": "", "pace": 1.0} for state in states]
    trial = Half()._trial(1.0, rows)
    assert (trial.state, trial.meets) == (worst, worst == "stable")


def test_the_command_says_who_is_unfinished(capsys):
    words = [
        "simulate",
        "H200-SXM",
        "Llama-3.1-8B",
        "--rate",
        "500",
        "--requests",
        "900",
        "--horizon",
        "0.5",
    ]
    assert main(words) == 1
    said = capsys.readouterr().out
    assert "at the horizon: 0 answered, 230 unfinished, 670 not come yet" in said
    assert "verdict: overloaded: the queue grows by" in said
    assert main([*words, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["verdict"], found["unfinished"], found["not_come"]) == ("overloaded", 230, 670)
    assert main([*words[:3], "--rate", "5", "--requests", "5", "--output-tokens", "9"]) == 0
    assert "horizon" not in capsys.readouterr().out
