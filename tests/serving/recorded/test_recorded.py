"""Fits on a run: a known truth comes back within its interval, a clock that goes slower is exact, bad runs are refused."""

import numpy as np
import pytest

import tokenroof as tr
from tokenroof.serving import (
    Lengths,
    Scheduler,
    StepTime,
    calibrate_run,
    curve,
    gamma,
    sessions,
    simulate,
    summary,
)
from tokenroof.serving.recorded.dilated import dilated, with_host

WHERE = "H200-SXM", "Llama-3.1-8B", None
VLLM = Scheduler.preset("vllm-0.33")
NAMES = "arrival", "first_token", "last_token", "input_tokens", "output_tokens"


def recorded(factor, host_s, seed, requests=300, noise=0.03, rate=10.0):
    """A run of this truth, with errors of each request and of all requests of a time."""
    load = gamma(
        rate, 0.7, requests=requests, input_tokens=Lengths.lognormal(800, 0.8),
        output_tokens=Lengths.lognormal(150, 0.6), seed=seed,
    )  # fmt: skip
    run = dilated(factor, host_s, *WHERE, load, VLLM, {}).requests
    random = np.random.default_rng(seed)
    drift = np.repeat(random.normal(0.0, noise / 2, 20), -(-requests // 20))[:requests]
    first = (run["first_token_s"] - run["arrival_s"]) * np.exp(
        drift + random.normal(0.0, noise, requests)
    )
    rest = (run["last_token_s"] - run["first_token_s"]) * np.exp(
        drift + random.normal(0.0, noise, requests)
    )
    return {
        "arrival": run["arrival_s"], "first_token": run["arrival_s"] + first,
        "last_token": run["arrival_s"] + first + rest + 1e-9 * (rest > 0.0),
        "input_tokens": run["input_tokens"], "output_tokens": run["output_tokens"],
    }  # fmt: skip


# --- a known truth --------------------------------------------------------------------------------------


def test_the_truth_is_within_the_intervals():
    """With errors of 3 % of each request and 1.5 % of each time.

    The intervals are to hold nine in ten: of 24 truths at least 20 (fewer by chance: one in twelve), and each
    twice as far out (3.3 deviations, one in a thousand).
    """
    held = 0
    for i, (factor, host_s) in enumerate(4 * [(1.3, 1e-3), (0.8, 2e-3), (1.1, 4e-3)]):
        fit = calibrate_run(recorded(factor, host_s, 10 * i + 1), *WHERE)
        for (low, high), truth in ((fit.factor_interval, factor), (fit.host_interval, host_s)):
            held += low <= truth <= high
            assert low - (high - low) / 2 <= truth <= high + (high - low) / 2, fit
        assert fit.factor == pytest.approx(factor, rel=0.06)
        assert fit.host_s == pytest.approx(host_s, abs=6e-4)
        assert fit.factor_interval[1] - fit.factor_interval[0] < 0.2 * factor
    assert held >= 20, held


def test_what_was_simulated_comes_back():
    fit = calibrate_run(recorded(1.25, 1e-3, 5, noise=0.0), *WHERE)
    assert fit.factor == pytest.approx(1.25, rel=0.02) and fit.host_s == pytest.approx(
        1e-3, abs=2e-4
    )
    assert fit.factor_interval[0] <= 1.25 <= fit.factor_interval[1]
    assert fit.host_interval[0] <= 1e-3 <= fit.host_interval[1]


def test_both_sides_beside_what_was_recorded():
    run = recorded(1.4, 1e-3, 3)
    fit = calibrate_run(run, *WHERE)
    rows = {row["what"]: row for row in fit.compare()}
    assert set(rows) >= {"ttft_s p99", "tpot_s p50", "e2e_s mean", "output_throughput"}
    for what in ("tpot_s p50", "e2e_s mean", "e2e_s p90"):
        assert rows[what]["raw_off"] < -0.25 and abs(rows[what]["calibrated_off"]) < 0.05
    outputs = np.array(run["output_tokens"])
    several = outputs > 1
    by_hand = ((run["last_token"] - run["first_token"])[several] / (outputs[several] - 1)).mean()
    assert rows["tpot_s mean"]["recorded"] == pytest.approx(by_hand, rel=1e-6)
    load = gamma(5.0, 1.0, requests=300, input_tokens=300, output_tokens=60)
    sides = fit.simulate(load)
    raw, slower = (summary(side.requests)["tpot_s"]["mean"] for side in sides)
    assert 1.2 * raw < slower < 2.0 * raw
    assert np.array_equal(sides.raw.requests, simulate(*WHERE, load).requests)
    table = fit.curve([2.0, 5.0], 300, 60)
    assert table.side.values.tolist() == ["raw", "calibrated"] and table.rate.values.tolist() == [
        2.0,
        5.0,
    ]
    plain = curve(*WHERE, 300, 60, rate=[2.0, 5.0])
    np.testing.assert_allclose(table.sel(side="raw").ttft_p99_s, plain.ttft_p99_s)
    assert table.output_throughput.sel(side="calibrated").values.tolist() == pytest.approx(
        [120.0, 300.0]
    )
    assert float(table.tpot_s.sel(side="calibrated", rate=5.0)) == pytest.approx(slower, rel=0.1)
    assert "times as long, host" in repr(fit)


# --- a clock that goes slower ----------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [0.5, 2.0, 1.37])
def test_steps_that_take_longer_are_a_slower_clock(factor):
    """A line of step times, which can be multiplied itself, against the dilated clock."""
    load = sessions(3.0, 30, 3, input_tokens=200, output_tokens=30, think_s=0.2)
    line = {"fixed_ns": 8_000_000, "per_token_ns": 40_000, "per_context_token_ns": 100}
    engine = Scheduler.preset("vllm-0.33", num_blocks=4000, host_ns=0)
    steps = {name: round(factor * value) for name, value in line.items()}
    own = simulate(None, None, None, load, engine, step_time=StepTime(**steps))
    same = dilated(factor, 0.0, None, None, None, load, engine, {"step_time": StepTime(**line)})
    for name in ("arrival_ns", "first_token_ns", "last_token_ns"):
        np.testing.assert_allclose(same.requests[name], own.requests[name], atol=2000)
    assert same.requests["preemptions"].tolist() == own.requests["preemptions"].tolist()
    assert same.totals["steps"] == own.totals["steps"]
    assert same.totals["end_ns"] == pytest.approx(own.totals["end_ns"], abs=2000)


def test_the_host_is_added_to_each_step():
    load = {"arrival": [0.0], "input_tokens": 100, "output_tokens": 11}
    plain = simulate(*WHERE, load, VLLM).requests[0]
    more = dilated(1.5, 2e-3, *WHERE, tr.serving.as_requests(load), VLLM, {}).requests[0]
    rest = plain["last_token_s"] - plain["first_token_s"]
    assert more["last_token_s"] - more["first_token_s"] == pytest.approx(
        1.5 * rest + 10 * 2e-3, rel=1e-6
    )
    assert with_host(VLLM, 2e-3).config["host_ns"] == 2_000_000


# --- what is refused -------------------------------------------------------------------------------------


def entries(**changes):
    run = {name: list(np.asarray(values)[:70]) for name, values in GOOD.items()}
    for name, (place, value) in changes.items():
        run[name][place] = value
    return run


GOOD = recorded(1.0, 0.0, 1, requests=80)


@pytest.mark.parametrize(
    ("run", "kind", "says"),
    [
        ({name: list(v)[:20] for name, v in GOOD.items()}, ValueError, "requests are 20, a run too short; allowed: at least 64"),
        ({**GOOD, "output_tokens": np.ones(80)}, ValueError, "output_tokens are above 1 in 0 requests, a run too short"),
        ({k: v for k, v in GOOD.items() if k != "last_token"}, ValueError, "requests have no last_token; allowed"),
        (5, TypeError, "requests is int; allowed: a mapping"),
        ({**GOOD, "arrival": "now"}, TypeError, "arrival is now; allowed: a row of numbers"),
        ({**GOOD, "arrival": GOOD["arrival"][:70]}, ValueError, "requests have lengths .*; allowed: one entry"),
        (entries(arrival=(3, np.nan)), ValueError, r"arrival\[3\] is nan; allowed: finite numbers"),
        (entries(input_tokens=(4, 0)), ValueError, r"input_tokens\[4\] is 0; allowed: whole numbers"),
        (entries(output_tokens=(4, 1.5)), ValueError, r"output_tokens\[4\] is 1.5; allowed"),
        (entries(first_token=(7, -5.0)), ValueError, r"first_token\[7\] is -5; allowed: after its arrival"),
        (entries(last_token=(9, 0.0)), ValueError, r"last_token\[9\] is 0; allowed: after its first_token"),
        (np.zeros(80, [("arrival_ns", "i8")]), ValueError, "requests have no first_token_ns; allowed"),
    ],
)  # fmt: skip
def test_a_run_that_is_refused(run, kind, says):
    with pytest.raises(kind, match=says):
        calibrate_run(run, *WHERE)


@pytest.mark.parametrize(
    ("options", "kind", "says"),
    [
        ({"scheduler": 3}, TypeError, "scheduler is 3; allowed"), ({"progress": 1}, TypeError, "progress is 1; allowed"),
        ({"replicas": 0}, ValueError, "replicas is 0; allowed"), ({"threads": 2}, TypeError, "unexpected option 'threads'"),
        ({"seed": -1}, ValueError, "seed is -1; allowed"), ({"router": "best"}, ValueError, "router is 'best'"),
        ({"signal_age_s": -1.0}, ValueError, "signal_age_s is -1"), ({"fidelity": "best"}, ValueError, "fidelity is 'best'"),
    ],
)  # fmt: skip
def test_options_that_are_refused(options, kind, says):
    with pytest.raises(kind, match=says):
        calibrate_run(GOOD, *WHERE, **options)


def test_a_run_that_tells_nothing_of_the_factor():
    """Errors of a factor of three from one request to the next, over 70 of them."""
    random = np.random.default_rng(0)
    run = {name: np.array(values)[:70] for name, values in GOOD.items()}
    away = np.exp(random.normal(0.0, 2.5, (2, 70)))
    first = (run["first_token"] - run["arrival"]) * away[0]
    rest = (run["last_token"] - run["first_token"]) * away[1]
    run["first_token"] = run["arrival"] + first
    run["last_token"] = run["first_token"] + rest + 1e-6
    with pytest.raises(
        ValueError, match="requests tell the factor between .* alone, a run too short"
    ):
        calibrate_run(run, *WHERE)


def test_a_run_as_a_table():
    pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")
    run = {name: np.asarray(values) for name, values in GOOD.items()}
    want = calibrate_run(run, *WHERE)
    for frame in (pd.DataFrame(run), pl.DataFrame(run)):
        assert calibrate_run(frame, *WHERE).factor == want.factor
    with pytest.raises(ValueError, match="requests have no last_token"):
        calibrate_run(pd.DataFrame(run).drop(columns="last_token"), *WHERE)
    records = {f"{name}_ns": np.rint(1e9 * run[name]) for name in NAMES[:3]}
    records |= {name: run[name] for name in NAMES[3:]} | {"status": ["done"] * 79 + ["left"]}
    again = calibrate_run(pd.DataFrame(records), *WHERE)
    assert again.recorded.size == 79 and again.factor == pytest.approx(want.factor, rel=0.05)


def test_times_in_another_unit_are_asked_for():
    milli = {n: 1e3 * np.asarray(v) if n in NAMES[:3] else v for n, v in GOOD.items()}
    with pytest.raises(ValueError, match=r"s in the middle request: are times in milliseconds\?"):
        calibrate_run(milli, *WHERE)
    nano = {n: 1e9 * np.asarray(v) if n in NAMES[:3] else v for n, v in GOOD.items()}
    with pytest.raises(ValueError, match=r"allowed: seconds \(are they in milli-, micro- or nano"):
        calibrate_run(nano, *WHERE)


def test_a_factor_that_is_no_engines_is_called_odd():
    fit = calibrate_run(GOOD, "B200-SXM", "Llama-3.2-1B", None)
    assert fit.factor > 3.0 and "; ODD: with " in repr(fit)
    assert "ODD" not in repr(calibrate_run(GOOD, *WHERE))


def test_tokens_faster_than_the_weights_are_read_are_no_run_of_that_device():
    """8.03 10^9 parameters of 2 bytes at 4.8 TB/s: 3.1 ms a token (the table is not read whole)."""
    lengths = {"input_tokens": GOOD["output_tokens"], "output_tokens": GOOD["input_tokens"]}
    with pytest.raises(
        ValueError,
        match=r"requests have [12]\.\d+ ms a token .*3\.\d+ ms or more, a step's bound .*the other's",
    ):
        calibrate_run({**GOOD, **lengths}, *WHERE)  # fmt: skip
    with pytest.raises(ValueError, match="ms a token .*is it another device"):
        calibrate_run(GOOD, "H200-SXM", "Llama-3.1-70B", tr.Plan(weights="fp8"))


def test_times_may_have_the_names_of_a_simulations_records():
    pd = pytest.importorskip("pandas")
    want = calibrate_run(GOOD, *WHERE).factor
    named = {f"{n}_s" if n in NAMES[:3] else n: np.asarray(v) for n, v in GOOD.items()}
    rows = np.zeros(80, [(n, v.dtype) for n, v in named.items()])
    for name, values in named.items():
        rows[name] = values
    for given in (named, pd.DataFrame(named), rows):
        assert calibrate_run(given, *WHERE).factor == want
    del named["last_token_s"]
    with pytest.raises(ValueError, match="requests have no last_token; allowed: .*in seconds"):
        calibrate_run(named, *WHERE)
