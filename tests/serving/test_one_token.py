"""Answers of one token: there is no time per token after the first, and nothing gives one."""

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import serving
from tokenroof.inference.decouple import prefill_decode
from tokenroof.serving import SLO

WHERE = ("H200-SXM", "Llama-3.1-8B")
PAIR = serving.disaggregate((WHERE[0], None), (WHERE[0], None))


def _per_token(table):
    return [
        name for name in map(str, table.data_vars) if name.startswith(("tpot", "interactivity"))
    ]


@pytest.mark.parametrize(
    ("table", "percentiles"),
    [
        (lambda n: serving.curve(*WHERE, output_tokens=n, concurrency=[1, 8]), 6),
        (lambda n: serving.curve(*WHERE, output_tokens=n, rate=[0.5, 2.0]), 5),
        (lambda n: serving.curve(PAIR, WHERE[1], output_tokens=n, concurrency=[1, 8]), 4),
        (lambda n: serving.capacity(*WHERE, None, SLO(ttft_s=0.5), output_tokens=n), 4),
        (lambda n: serving.capacity(*WHERE, None, SLO(e2e_s=9.0, percentile=90), output_tokens=n), 5),
        (
            lambda n: serving.session_curve(
                *WHERE, load=serving.SessionLoad(turns=2, input_tokens=100, output_tokens=n), concurrency=[4]
            ),
            2,
        ),
    ],
    ids=["closed", "open", "disaggregated", "capacity", "open capacity", "sessions"],
)  # fmt: skip
def test_tables_have_no_time_per_token(table, percentiles):
    one, two = table(1), table(2)
    names = _per_token(one)
    assert len(names) >= percentiles
    assert all(np.isnan(one[name]).all() for name in names)
    assert "one token" in one.attrs["reason"] and two.attrs["reason"] == ""
    for name in ("tpot_s", "interactivity"):
        assert np.isfinite(two[name]).all()
    first = "ttft_s"
    assert np.isfinite(one[first]).all() and (one[first] > 0).all()
    whole = next(n for n in ("latency_s", "e2e_s", "turn_s", first) if n in one)
    assert np.isfinite(one[whole]).all()


@pytest.mark.parametrize(
    "more", [{}, {"tpot_max": 0.02}, {"systems": True, "exclude": ["disaggregated"]}]
)
def test_a_frontier_is_empty_and_says_why(more):
    found = serving.frontier(*WHERE, output_tokens=1, devices_max=1, concurrency=[1, 8], **more)
    assert found.sizes["point"] == 0 and "one token" in found.attrs["reason"]


def test_chips_beside_are_no_offer():
    plan = tr.Plan(tp=8, weights="nvfp4", kv_cache="fp8")
    found = serving.beside_lpx("Qwen3-235B-A22B", plans=[plan], batch=[1], output_tokens=1)
    assert found.sizes["point"] == 0 and "one token" in found.attrs["reason"]


def test_two_systems_have_no_speed_to_be_compared_at():
    for one in (WHERE[0], PAIR):
        with pytest.raises(ValueError, match="one token has no time"):
            serving.compare(one, WHERE[0], WHERE[1], output_tokens=1, devices_max=1)


@pytest.mark.parametrize("name", ["tpot_s", "itl_s"])
@pytest.mark.parametrize("percentile", [None, 99])
def test_an_objective_on_it_is_refused_at_once(name, percentile):
    slo = SLO(**{name: 0.02}, percentile=percentile)
    asked = {"output_tokens": 1}
    said = rf"{name} is 0\.02 with output_tokens 1; allowed: None"
    with pytest.raises(ValueError, match=said):
        serving.capacity(*WHERE, None, slo, prove=True, **asked)
    with pytest.raises(ValueError, match=said):
        serving.tune(*WHERE, None, [SLO(ttft_s=1.0), slo], knobs={}, **asked)
    with pytest.raises(ValueError, match=said):
        serving.fleet(*WHERE, None, slo, 60, prove=True, **asked)
    if name == "tpot_s":
        with pytest.raises(ValueError, match=said):
            serving.capacity(*WHERE, None, slo, **asked)
        with pytest.raises(ValueError, match=said):
            serving.fleet(*WHERE, None, slo, 60, **asked)
        with pytest.raises(ValueError, match=said):
            serving.capacity(PAIR, WHERE[1], None, SLO(tpot_s=0.02), **asked)


def test_pools_apart_in_closed_form():
    how = {"input_tokens": 100, "concurrency": [1.0, 4.0]}
    one, two = (
        prefill_decode(WHERE[1], WHERE[0], WHERE[0], output_tokens=n, **how) for n in (1, 2)
    )
    for x in (one.tpot_s, one.interactivity):
        assert np.isnan(x.low).all() and np.isnan(x.mid).all() and np.isnan(x.high).all()
    assert np.isfinite(two.tpot_s.mid).all() and np.isfinite(one.parts["ttft_s"].mid).all()


def test_simulations():
    load = {"arrival": [0.0, 0.1, 0.2], "input_tokens": 100}
    how = (serving.Scheduler.preset("vllm-0.33", num_blocks=100),)
    clock = {"step_time": serving.StepTime(2_000_000), "record_steps": True}
    one = serving.simulate(None, None, None, load | {"output_tokens": 1}, *how, **clock)
    with pytest.warns(
        UserWarning, match="tpot_s and itl_s bound nothing in goodput: each of the 3 answers"
    ):
        said = one.summary(SLO(tpot_s=1e-6, itl_s=1e-6))
    for name in ("tpot_s", "itl_pooled_s", "itl_per_request_s"):
        assert all(np.isnan(x) for x in said[name].values())
    assert said["goodput_share"] == 1.0  # as `vllm bench serve` counts it
    # of several, those without such a time keep the bound, and nothing is said
    some = serving.simulate(None, None, None, load | {"output_tokens": [1, 3, 3]}, *how, **clock)
    assert some.summary(SLO(tpot_s=1e-6))["goodput_share"] == pytest.approx(1 / 3)
    assert some.summary()["tpot_s"]["mean"] == pytest.approx(0.002)
