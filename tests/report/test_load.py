"""Latency under load of the report's devices."""

import numpy as np
import pytest

from tokenroof import plot
from tokenroof.report.load import DEVICES, under_load


@pytest.fixture(scope="module")
def loads():
    pytest.importorskip("pandas")
    return under_load()


@pytest.mark.parametrize("device", DEVICES)
def test_latency_rises_with_load_and_has_one_knee_a_device(loads, device):
    rows = loads.table[loads.table.device == device]
    assert np.allclose(rows.load.iloc[-1], 0.97) and (np.diff(rows.rate_per_device) > 0.0).all()
    for name in ("ttft_p50_s", "ttft_p99_s", "tpot_p99_s", "e2e_p99_s"):
        assert rows[name].iloc[-1] > rows[name].iloc[0], name
    assert (rows.ttft_p99_s > rows.ttft_p50_s).all() and (rows.e2e_p50_s > rows.ttft_p50_s).all()
    (at,) = np.flatnonzero(rows.knee)
    assert 0.3 < rows.load.iloc[at] < 0.9 and rows.percentiles_hold.iloc[at]
    held = rows.percentiles_hold.to_numpy()
    assert held.mean() > 0.85 and rows.load[held].max() > 0.85
    # past the knee the 99th percentile climbs faster than on the whole, before it more slowly
    p99 = rows.ttft_p99_s.to_numpy()
    last, first = np.flatnonzero(held)[[-1, 0]]
    slope = (p99[last] - p99[first]) / (last - first)
    assert (p99[at] - p99[first]) / (at - first) < slope < (p99[last] - p99[at]) / (last - at)
    (said,) = (k for k in loads.knees if k["device"] == device)
    assert (said["rate"], said["share"], said["p99"]) == pytest.approx(
        (rows.rate_per_device.iloc[at], rows.load.iloc[at], p99[at])
    )
    assert said["holds"] == rows.percentiles_hold.iloc[at]


@pytest.mark.parametrize("time", ["ttft", "tpot", "e2e"])
def test_the_figure_draws_both_percentiles_and_the_knee(loads, time):
    curve = loads.curves[1]
    figure = plot.latency([curve], time)
    bold, thin = (t for t in figure.data if t.name == curve.attrs["device"] and t.mode == "lines")
    (mark,) = (t for t in figure.data if t.mode == "markers")
    held = curve.percentiles_hold.values
    for drawn, percentile in ((bold, "p99"), (thin, "p50")):
        want = np.where(held, curve[f"{time}_{percentile}_s"].values, np.nan)
        assert np.array_equal(drawn.y, want, equal_nan=True)
    assert np.allclose(bold.x * curve.attrs["devices"], curve.rate)
    assert mark.y[0] in bold.y and bold.x[list(bold.y).index(mark.y[0])] == mark.x[0]
    # beyond it is dotted, and joined to the last that holds
    beyond = [t for t in figure.data if t.line.dash == "dot" and t.mode == "lines"]
    assert len(beyond) == 2 and np.isfinite(beyond[0].y).sum() == (~held).sum() + 1


@pytest.mark.parametrize("device", ["H200-SXM", "Instinct MI300X"])
def test_at_the_knee_the_simulator_says_the_same(loads, device):
    """Percentiles within 20 %, of 4,000 requests after the first 1,000."""
    from tokenroof import Plan, serving
    from tokenroof.report import load as under

    (knee,) = (k for k in loads.knees if k["device"] == device)
    plan = Plan(tp=under.TENSOR)
    arrivals = serving.poisson(
        knee["rate"] * plan.devices, requests=5000, input_tokens=under.INPUT_TOKENS,
        output_tokens=under.OUTPUT_TOKENS, seed=1,
    )  # fmt: skip
    run = serving.simulate(device, under.MODEL, plan, arrivals)
    ttft = (run.requests["first_token_ns"] - run.requests["arrival_ns"])[1000:] * 1e-9
    assert np.percentile(ttft, 99) == pytest.approx(knee["p99"], rel=0.2)
    assert np.percentile(ttft, 50) == pytest.approx(knee["p50"], rel=0.2)


def test_another_time_is_refused(loads):
    with pytest.raises(ValueError, match="time is 'itl'; allowed: ttft, tpot, e2e"):
        plot.latency(loads.curves, "itl")
