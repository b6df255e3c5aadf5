"""Runs that end: whole waves of a batch, and a last one of what is left."""

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import Calibration, kernels
from tokenroof.inference.door import deployment

xr = pytest.importorskip("xarray")

ASK = ("H200-SXM", "Llama-3.1-8B", tr.Plan(weights="fp8", kv_cache="fp8"), 1000, 200)


def _one_wave(users):
    """Seconds in which all of `users` are answered that start together and are not followed."""
    alone = Calibration(constants={"engine": {"together": 1.0}})
    return tr.serving.curve(*ASK, np.atleast_1d(users), fidelity=alone).latency_s.values


def test_one_wave_lasts_as_long_as_its_requests():
    table = tr.serving.curve(*ASK, [16, 64], requests=16)
    np.testing.assert_allclose(table.output_throughput, [16 * 200 / _one_wave(16.0)[0]] * 2)
    assert table.batch.values.tolist() == [
        16.0,
        16.0,
    ]  # more users than requests have nothing to send
    assert "a run of 16 requests" in table.attrs["load"]


@pytest.mark.parametrize("constants", [{"burst": 0.0}, {"burst": 0.4}])
def test_a_wave_of_short_answers_takes_all_its_prompts_and_steps(constants):
    """Of an answer of two tokens the mean request is done long before the last prompt is through."""
    on = Calibration(constants={"engine": {"together": 1.0, **constants}})
    table = tr.serving.curve(*ASK[:3], 4000, 2, [64], fidelity=on)
    d, c, m, p = deployment(*ASK[:3], on).records
    found = dict(
        zip(kernels.SERVING_FIELDS, kernels.serving(d, c, m, p, 64.0, 4000.0, 2.0), strict=True)
    )
    whole = found["step_s"] + found["others_s"]
    assert whole > 1.2 * found["latency"] and found["queue_s"] == 0.0
    assert float(table.latency_s[0]) == pytest.approx(found["latency"], rel=1e-12)
    run = tr.serving.curve(*ASK[:3], 4000, 2, [64], fidelity=on, requests=64)
    assert float(run.output_throughput[0]) == pytest.approx(64 * 2 / whole, rel=1e-12)


def test_the_last_wave_holds_what_is_left():
    table = tr.serving.curve(*ASK, [16], requests=40)
    shared = Calibration(constants={"engine": {"together": 16 / 40}})
    wave, last = (tr.serving.curve(*ASK, [n], fidelity=shared).latency_s.values[0] for n in (16, 8))
    np.testing.assert_allclose(table.output_throughput, 40 * 200 / (2 * wave + last))


def test_a_long_run_is_one_that_goes_on():
    long = tr.serving.curve(*ASK, [16], requests=1_600_000)
    steady = tr.serving.curve(
        *ASK, [16], fidelity=Calibration(constants={"engine": {"together": 0.0}})
    )
    for name in ("ttft_s", "tpot_s", "output_throughput", "watts"):
        np.testing.assert_allclose(long[name], steady[name], rtol=1e-4)


def test_waves_that_do_not_fill_cost_throughput():
    """Of 100 requests 50 at once are two whole waves; 51 leave 49 for a second one that is as long."""
    rates = tr.serving.curve(*ASK, [50, 51, 99, 100], requests=100).output_throughput.values
    assert rates[1] < 1.01 * rates[0] and rates[2] < 0.85 * rates[3]
    assert np.all(
        np.diff(tr.serving.curve(*ASK, [10, 20, 50, 100], requests=100).output_throughput) > 0
    )


def test_memory_makes_waves_too():
    """Where the cache holds fewer than are in flight, waves are of what it holds."""
    device = tr.device("H200-SXM").replace(name="small", memory_bytes=16e9)
    ask = (device, *ASK[1:])
    held = float(tr.serving.curve(*ask, [500]).batch[0])
    assert 5 < held < 400
    run, fits = (
        tr.serving.curve(*ask, [n], requests=400).output_throughput.values for n in (400, held)
    )
    np.testing.assert_allclose(run, fits, rtol=0.2)


@pytest.mark.parametrize("bad", [0, -1, 0.5, float("nan"), [3, 4]])
def test_a_run_of_less_than_a_request_is_refused(bad):
    with pytest.raises(ValueError, match="requests"):
        tr.serving.curve(*ASK, [1], requests=bad)


def test_open_loop_has_no_such_run():
    with pytest.raises(ValueError, match="requests is 10 beside a rate"):
        tr.serving.curve(*ASK, rate=[1.0], requests=10)
