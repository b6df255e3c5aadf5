"""Summaries, series, verdicts and spreads of runs, by hand and by identities."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenroof import serving
from tokenroof.serving import SLO, series, spread, summary, verdict

SECOND = 10**9
FIELDS = [
    ("arrival_ns", "i8"), ("scheduled_ns", "i8"), ("first_token_ns", "i8"), ("last_token_ns", "i8"),
    ("input_tokens", "i8"), ("output_tokens", "i8"), ("cached_tokens", "i8"), ("preemptions", "i8"),
    ("status", "U8"),
]  # fmt: skip


def run_of(*rows):
    return np.array([(*row, *(0, 0, "done")[len(row) - 6 :]) for row in rows], FIELDS)


RUN = run_of(
    (0, 0, 1 * SECOND, 3 * SECOND, 100, 5, 50, 1),
    (1 * SECOND, 2 * SECOND, 4 * SECOND, 4 * SECOND, 100, 1),
    (2 * SECOND, 2 * SECOND, 5 * SECOND, 10 * SECOND, 200, 11),
    (3 * SECOND, 0, 0, 0, 500, 9, 0, 0, "rejected"),
    (4 * SECOND, 0, 0, 0, 500, 9, 0, 2, "stuck"),
)


def test_a_long_run_is_many_short_ones():
    """Arrays are worked on piece by piece: the same requests 20,000 times have the same times."""
    many, slo = np.tile(RUN, 20_000), SLO(ttft_s=2.0)
    one, all_ = summary(RUN, slo), summary(many, slo)
    for name in ("ttft_s", "tpot_s", "queue_s", "e2e_s"):
        assert all_[name]["mean"] == pytest.approx(one[name]["mean"]), name
    for name in ("requests", "answered", "rejected", "stuck", "preemptions"):
        assert all_[name] == 20_000 * one[name]
    assert all_["goodput_share"] == pytest.approx(one["goodput_share"])
    for name in ("arrivals", "waiting", "running", "output_tokens"):
        assert series(many, 5.0)[name] == pytest.approx(20_000 * series(RUN, 5.0)[name])


def test_summary_by_hand():
    found = summary(RUN, percentiles=(50, 90), energy_j=60.0)
    assert found["queue_s"] == {"mean": pytest.approx(1 / 3), "p50": 0.0, "p90": pytest.approx(0.8)}
    assert found["ttft_s"] == {"mean": pytest.approx(7 / 3), "p50": 3.0, "p90": 3.0}
    # 2 s over 4 gaps, 5 s over 10; a request of one token has none
    assert found["tpot_s"] == {"mean": 0.5, "p50": 0.5, "p90": 0.5}
    assert found["itl_per_request_s"] == found["tpot_s"]
    assert found["itl_pooled_s"]["mean"] == pytest.approx(7 / 14) and np.isnan(
        found["itl_pooled_s"]["p50"]
    )
    assert found["e2e_s"] == {"mean": pytest.approx(14 / 3), "p50": 3.0, "p90": pytest.approx(7.0)}
    # E2E per token: 0.6, 3, 8/11
    assert found["e2e_per_token_s"]["p50"] == pytest.approx(8 / 11)
    assert found["interactivity_e2e"]["p50"] == pytest.approx(11 / 8)
    assert found["interactivity_e2e"]["p90"] == pytest.approx(1 / (8 / 11 + 0.8 * (3 - 8 / 11)))
    assert (found["requests"], found["answered"], found["rejected"], found["stuck"]) == (5, 3, 1, 1)
    assert found["duration_s"] == 10.0 and found["request_throughput"] == 0.3
    assert found["output_throughput"] == 1.7 and found["input_throughput"] == 40.0
    assert found["total_throughput"] == 41.7
    assert found["cached_share"] == 0.125 and found["preemptions"] == 3
    assert found["joules_per_request"] == 20.0
    assert found["joules_per_output_token"] == pytest.approx(60 / 17)
    assert "goodput" not in found


def test_the_two_definitions_of_the_gap_differ():
    found = summary(run_of((0, 0, 0, 4 * SECOND, 1, 5), (0, 0, 0, 4 * SECOND, 1, 2)))
    assert found["itl_per_request_s"]["mean"] == 2.5  # of requests
    assert found["itl_pooled_s"]["mean"] == 1.6  # of gaps
    found = summary(RUN, gaps_s=[0.1, 0.2, 0.9])
    assert found["itl_pooled_s"]["p50"] == 0.2 and found["itl_pooled_s"]["mean"] == pytest.approx(
        0.4
    )


@pytest.mark.parametrize(
    ("slo", "good"),
    [
        (SLO(ttft_s=1.0), 1), (SLO(ttft_s=3.0), 3), (SLO(tpot_s=0.4), 1), (SLO(tpot_s=0.5), 3),
        (SLO(e2e_s=3.0), 2), (SLO(ttft_s=3.0, e2e_s=3.0), 2), (SLO(ttft_s=0.5), 0),
    ],
)  # fmt: skip
def test_goodput_counts_requests_that_meet_every_bound(slo, good):
    found = summary(RUN, slo)
    assert found["goodput"] == pytest.approx(good / 10.0)
    assert found["goodput_share"] == pytest.approx(good / 5)


def test_a_run_without_answers():
    found = summary(RUN[3:], SLO(ttft_s=1.0), energy_j=1.0)
    assert found["answered"] == 0
    for name in ("ttft_s", "tpot_s", "e2e_s", "itl_pooled_s"):
        assert all(np.isnan(x) for x in found[name].values())
    for name in ("goodput", "joules_per_request", "output_throughput", "duration_s"):
        assert np.isnan(found[name])
    assert found["goodput_share"] == 0.0
    assert len(series(RUN[3:])) == 0 and verdict(RUN[3:]).state == "stable"


@pytest.mark.parametrize(
    ("call", "kind", "says"),
    [
        (lambda: summary([1]), TypeError, "requests is list; allowed: a structured array"),
        (lambda: summary(np.zeros(2)), TypeError, "requests is ndarray"),
        (lambda: summary(RUN[["arrival_ns"]]), ValueError, "no field scheduled_ns"),
        (lambda: summary(RUN, slo=1), TypeError, "slo is 1"),
        (lambda: summary(RUN, slo=SLO(percentile=90.0)), ValueError, "promises nothing; allowed: at least one of ttft_s"),
        (lambda: summary(RUN, percentiles=[101]), ValueError, "percentiles are [101]"),
        (lambda: summary(RUN, percentiles=[-1]), ValueError, "percentiles is -1.0"),
        (lambda: summary(RUN, gaps_s=[-1.0]), ValueError, "gaps_s is -1.0"),
        (lambda: summary(RUN, energy_j=-1.0), ValueError, "energy_j is -1.0"),
        (lambda: series(RUN, 0.0), ValueError, "interval_s is 0.0"),
        (lambda: series(RUN, 1e-9), ValueError, "interval_s is 1e-09; allowed: at most 10**7"),
        (lambda: series(RUN, steps=STEPS, blocks=0), ValueError, "blocks is 0"),
        (lambda: series(RUN, steps=STEPS, joules=[1.0]), ValueError, "joules have shape (1,); allowed: (3,)"),
        (lambda: spread([]), ValueError, "summaries are none"),
        (lambda: spread([{"a": 1}, {"b": 1}]), ValueError, "different names"),
        (lambda: SLO(e2e_s=0), ValueError, "e2e_s is 0"),
    ],
)  # fmt: skip
def test_what_is_refused(call, kind, says):
    with pytest.raises(kind) as error:
        call()
    assert says in str(error.value)


# --- the course of time --------------------------------------------------------------------------------

STEPS = np.array(
    [(0, 2 * SECOND, 8, 1, 2), (2 * SECOND, 3 * SECOND, 2, 1, 1), (4 * SECOND, 10 * SECOND, 5, 0, 1)],
    [("start_ns", "i8"), ("end_ns", "i8"), ("free_blocks", "i8"), ("waiting", "i8"), ("running", "i8")],
)  # fmt: skip


def test_series_by_hand():
    found = series(RUN, 5.0, STEPS, 10, joules=[10.0, 20.0, 60.0])
    assert found["time_s"].tolist() == [2.5, 7.5]
    assert found["arrivals"].tolist() == [0.6, 0.0]
    assert found["waiting"] == pytest.approx([1 / 5, 0.0])
    # (0, 3), (2, 4), (2, 10)
    assert found["running"] == pytest.approx([(3 + 2 + 3) / 5, 1.0])
    assert found["answered"] == pytest.approx([0.4, 0.2])
    # 5 by the second, 1 in the fourth, 1 at the edge and the ten after it
    assert found["output_tokens"] == pytest.approx([6 / 5, 11 / 5])
    # until the next step: 0.2 for 2 s, 0.8 for 2 s, then 0.5
    assert found["kv_share"] == pytest.approx([(0.4 + 1.6 + 0.5) / 5, 0.5])
    # the third step's 60 J over 6 s
    assert found["watts"] == pytest.approx([(10 + 20 + 10) / 5, 50 / 5])
    assert np.isnan(series(RUN, 5.0)["watts"]).all()


def test_series_long_after_the_first_arrival_keep_their_digits():
    """A day of other requests stands before: nothing is a difference of sums over all of them."""
    day = 86_400 * SECOND
    early = [(k, k + 1, k + 2, k + 2, 1, 1) for k in range(0, day, SECOND // 10)]
    late = [(day, day + SECOND, day + 2 * SECOND, day + 4 * SECOND, 100, 5)]
    found = series(run_of(*early, *late), 4.0)
    # forty requests wait a nanosecond each in four seconds, and are answered in another
    assert found["waiting"][-2:] == pytest.approx([1e-8, 0.25], rel=0.01)
    assert found["running"][-2:] == pytest.approx([1e-8, 0.75], rel=0.01)
    assert found["output_tokens"][-2:] == pytest.approx([10.0, 1.25])


@given(st.data())
def test_series_add_up(data):
    n = data.draw(st.integers(1, 30))
    times = st.lists(st.integers(0, 10 * SECOND), min_size=n, max_size=n)
    arrival, wait, prefill, decode = (np.array(data.draw(times)) for _ in range(4))
    tokens = np.array(data.draw(st.lists(st.integers(1, 50), min_size=n, max_size=n)))
    run = np.zeros(n, FIELDS)
    run["arrival_ns"], run["output_tokens"], run["status"] = arrival, tokens, "done"
    run["scheduled_ns"] = arrival + wait
    run["first_token_ns"] = run["scheduled_ns"] + prefill
    run["last_token_ns"] = run["first_token_ns"] + np.where(tokens > 1, decode, 0)
    for interval in (None, 0.7):
        found = series(run, interval)
        length = 2 * found["time_s"][0]
        assert found["arrivals"].sum() * length == pytest.approx(n)
        assert found["answered"].sum() * length == pytest.approx(n)
        assert found["output_tokens"].sum() * length == pytest.approx(tokens.sum())
        # Little's law: what waits and runs, summed over time, is what requests spend
        found_s, spent = summary(run, percentiles=[50]), n * length
        assert found["waiting"].sum() * length == pytest.approx(
            found_s["queue_s"]["mean"] * n, abs=1e-9 * spent
        )
        everyone = (found["waiting"] + found["running"]).sum() * length
        assert everyone == pytest.approx(found_s["e2e_s"]["mean"] * n, abs=1e-9 * spent)


# --- verdicts ------------------------------------------------------------------------------------------


def queue(load, seed, n=8000, servers=1):
    """First come first served, exponential at both ends: the run of a textbook's queue."""
    random = np.random.default_rng(seed)
    arrival = np.cumsum(random.exponential(1.0, n))
    work = random.exponential(load * servers, n)
    free = np.zeros(servers)
    begin = np.empty(n)
    for i in range(n):
        k = int(free.argmin())
        begin[i] = max(arrival[i], free[k])
        free[k] = begin[i] + work[i]
    run = np.zeros(n, FIELDS)
    run["status"], run["output_tokens"], run["input_tokens"] = "done", 2, 1
    for name, at in (
        ("arrival_ns", arrival),
        ("scheduled_ns", begin),
        ("last_token_ns", begin + work),
    ):
        run[name] = np.rint(at * SECOND)
    run["first_token_ns"] = run["scheduled_ns"]
    return run


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("load", "states"), [
    (0.3, ["stable"]), (0.8, ["stable", "backlogged"]), (0.95, ["backlogged", "stable"]),
    (1.0, ["backlogged", "stable"]), (1.2, ["overloaded"]), (2.0, ["overloaded"]),
])  # fmt: skip
def test_a_queue_grows_above_its_capacity_and_not_below(load, states, seed):
    run = queue(load, seed)
    found = verdict(run)
    assert found.state in states
    if found.state == "overloaded":
        half = len(run) / 2  # both walks have variance 1 an arrival: three deviations of their mean
        assert found.growth_per_s == pytest.approx(1.0 - 1.0 / load, abs=3 * (2 / half) ** 0.5)
        assert "the queue grows by" in str(found)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("load", "lengths", "states"), [
    (0.9, (5000, 10000, 20000), {"stable"}), (0.98, (20000,), {"stable", "backlogged"}),
    (1.02, (10000, 20000), {"backlogged", "overloaded"}), (1.1, (20000,), {"overloaded"}),
])  # fmt: skip
def test_verdicts_stay_as_runs_grow_longer(load, lengths, states, seed):
    """A queue of eight in the mean is no backlog where it empties a thousand times."""
    for n in lengths:
        found = verdict(queue(load, seed, n))
        assert found.state in states
        if (load, n) == (0.9, 20000):  # exponential times: load^2 / (1 - load) wait in the mean
            assert found.waiting == pytest.approx(8.1, rel=0.25)


@pytest.mark.parametrize(("load", "n", "stable"), [
    (0.8, 500, 12), (0.9, 1000, 11), (0.95, 3000, 11), (1.05, 5000, 0), (1.1, 2000, 0)
])  # fmt: skip
def test_below_capacity_short_runs_are_stable_and_above_it_long_ones_are_not(load, n, stable):
    """Twelve seeds each: of 0.9 six were called backlogged where the length of a row alone counted."""
    states = [verdict(queue(load, seed, n)).state for seed in range(12)]
    assert states.count("stable") >= stable if load < 1.0 else states.count("stable") == stable


def test_a_load_that_rises_over_capacity_late_is_no_stable_one():
    """Three tenths of it first, then 1.1 times it: less in the mean than can be borne, and a queue grows."""
    states = []
    for seed in range(12):
        random = np.random.default_rng(seed)
        gaps = random.exponential(np.repeat([1 / 0.3, 1 / 1.1], 1500))
        arrival, work = np.cumsum(gaps), random.exponential(1.0, 3000)
        ahead = np.cumsum(work) - work
        begin = np.maximum.accumulate(arrival - ahead) + ahead  # Lindley's
        at = np.rint(np.stack([arrival, begin, begin, begin + work]).T * SECOND).astype(np.int64)
        states.append(verdict(run_of(*[(*row, 1, 2) for row in at.tolist()])).state)
    assert "stable" not in states


def at_a_second_each(begins):
    """Four hundred requests, one a second, that are scheduled at these seconds."""
    rows = [
        (at * SECOND, b * SECOND, b * SECOND + 1, b * SECOND + 2, 1, 2)
        for at, b in enumerate(begins)
    ]
    return verdict(run_of(*rows))


@pytest.mark.parametrize(
    ("free", "state"),
    [
        ((), "backlogged"),
        ((330,), "backlogged"),
        ((260, 330), "stable"),
        ((100, 395), "backlogged"),
    ],
)
def test_a_backlog_is_a_queue_that_does_not_empty(free, state):
    """Three wait all the time, but for free moments: two of them leave no row of half of the second half."""
    at = np.arange(400)
    begins = at + 3
    for moment in free:
        begins[moment - 2 : moment + 1] = moment
    found = at_a_second_each(begins)
    assert found.state == state and found.waiting == pytest.approx(3.0, abs=0.1)
    for ahead in (0, 1):  # nobody waits when the next is scheduled
        assert at_a_second_each(at + ahead).state == "stable"


@pytest.mark.parametrize(("load", "stable"), [(0.3, True), (0.7, True), (1.05, False)])
def test_many_replicas_have_queues_of_their_own(load, stable):
    """Of forty, somebody always waits at one or another; a backlog is where the queues of most do not empty."""
    runs = [queue(load, seed, 400) for seed in range(40)]
    merged = np.zeros(40 * 400, [*FIELDS, ("replica", "i4")])
    for name, _ in FIELDS:
        merged[name] = np.concatenate([run[name] for run in runs])
    merged["replica"] = np.repeat(np.arange(40), 400)
    found = verdict(merged)
    assert found.waiting > 1.0 and (found.state == "stable") is stable
    if load == 0.3:  # one replica whose queue does not empty, while 39 others wait less together
        late = merged[merged["replica"] == 0]
        late["scheduled_ns"] = late["arrival_ns"] + 30 * SECOND
        others = merged[merged["replica"] > 0]
        assert verdict(np.concatenate([others, late])).state == "backlogged"


def test_what_never_ran_still_waits():
    run = queue(0.5, 1, n=2000)
    assert verdict(run).state == "stable"
    run["status"][1000:] = "stuck"
    assert verdict(run).state == "overloaded"
    run["status"][1000:] = "rejected"
    assert verdict(run).state == "stable"


@pytest.mark.parametrize(
    ("running", "free", "short"), [(8, 50, "sequences"), (5, 1, "memory"), (5, 50, "time")]
)
def test_what_is_short(running, free, short):
    steps = np.zeros(100, STEPS.dtype)
    steps["waiting"], steps["running"], steps["free_blocks"] = 3, running, free
    found = verdict(queue(1.5, 1, 3000), steps, max_sequences=8, blocks=100)
    assert found.short == short and str(found).endswith(f"; short of {short}")
    assert verdict(queue(0.2, 1, 3000), steps, 8, 100).short == ""


# --- seeds ---------------------------------------------------------------------------------------------


def test_spread_over_seeds():
    runs = [summary(queue(0.7, seed, 3000)) for seed in range(4)]
    found = spread(runs)
    tails = [run["ttft_s"]["p99"] for run in runs]
    assert found["ttft_s"]["p99"] == pytest.approx(np.mean(tails))
    assert found["ttft_s"]["p99_low"] == min(tails) < max(tails) == found["ttft_s"]["p99_high"]
    assert found["seeds"] == 4 and np.isnan(found["itl_pooled_s"]["p50"])
    alone = spread(runs[:1])
    assert alone["ttft_s"]["p99"] == alone["ttft_s"]["p99_low"] == tails[0]


def test_a_run_of_requests_that_never_fit_is_stuck_and_says_how_many():
    refused = [(at * SECOND, -1, -1, at * SECOND, 10**7, 0, 0, 0, "rejected") for at in range(3)]
    none = verdict(run_of(*refused))
    assert (none.state, none.refused) == ("stuck", 3)
    assert str(none) == "stuck; 3 too long to be served"
    served = [
        (at * SECOND, at * SECOND, at * SECOND + 1, at * SECOND + 2, 10, 2) for at in range(20)
    ]
    some = verdict(run_of(*served, *refused))
    assert (some.state, some.refused) == ("stable", 3)
    assert str(some) == "stable; 3 too long to be served"
    assert str(verdict(run_of(*served))) == "stable"


@pytest.mark.parametrize("loop", ["sync", "async"])
def test_gaps_of_one_user_have_percentiles_where_steps_are_known(loop):
    """One user in closed loop, answers of 6 tokens: five gaps of one step each."""
    from tokenroof.serving.requests import users
    from tokenroof.serving.simulation import Scheduler, StepTime, simulate

    load = users(1, 3, input_tokens=100, output_tokens=6)
    knobs = Scheduler.preset("vllm-0.33", num_blocks=100, loop=loop)
    found = [
        simulate(
            None, None, None, load, knobs, step_time=StepTime(2_000_000), record_steps=kept
        ).summary()
        for kept in (True, False)
    ]
    known, mean = (one["itl_pooled_s"] for one in found)
    assert known == pytest.approx(dict.fromkeys(("mean", "p50", "p90", "p99"), 0.002))
    assert mean["mean"] == pytest.approx(0.002) and np.isnan(mean["p99"])


def test_where_all_give_up_the_verdict_says_how_many():
    """4 a second, none of them served: no queue is left to grow."""
    run = serving.simulate(
        None, None, None,
        {"arrival": np.arange(40) * 0.25, "input_tokens": 100, "output_tokens": 50},
        serving.Scheduler.preset("vllm-0.33", num_blocks=64), step_time=serving.StepTime(10**8),
        timeout_s=1.0,
    )  # fmt: skip
    assert run.summary()["timed_out"] == 40
    said = str(run.verdict)
    assert run.verdict.lost_per_s == pytest.approx(4.0, rel=0.05)
    assert "requests/s are shed or time out" in said and "grows" not in said
