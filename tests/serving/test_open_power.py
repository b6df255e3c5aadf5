"""Bands and watts of the open loop: by hand, by a sum over all numbers of requests, against the simulator."""

import numpy as np
import pytest

from tokenroof import serving
from tokenroof.inference.door import deployment
from tokenroof.serving.open_power import drawn, mean_watts
from tokenroof.serving.twin import Shape, Twin, twin_of

WHERE = ("H200-SXM", "Llama-3.1-8B")
SIZES = {"input_tokens": 1000, "output_tokens": 200}


def test_one_place_by_hand():
    """Alone it is busy a share of the time that is its load, whoever waits."""
    prompts = np.array([[0.2, 0.04, 0.008]] * 2)
    one = Twin(np.array([0.0, 0.2]), prompts, {"output": 4.0}, 1.0, 1.0)  # a second a request
    found = mean_watts(one, np.array([100.0, 500.0]), np.array([0.25, 0.75, 1.5]))
    assert found == pytest.approx([200.0, 400.0, 500.0])


def test_two_places_by_a_sum():
    """Of two places: weights 1, r, r^2 h, r^3 h^2, ... with r the offered load and h what each is of the next."""
    two = Twin(np.array([0.0, 1.0, 1.5]), np.zeros((3, 3)), {"output": 1.0}, 2.0, 2.0)
    rate, works = 0.9, (1.0, 0.75)
    weights = [1.0, rate * works[0]]
    while weights[-1] > 1e-18:
        weights.append(weights[-1] * rate * works[1])
    watts = np.array([50.0, 300.0, 400.0])
    want = np.dot(weights, [50.0, 300.0, *[400.0] * (len(weights) - 2)]) / sum(weights)
    assert mean_watts(two, watts, np.array([rate]))[0] == pytest.approx(want, rel=1e-12)


def test_from_rest_to_all_places():
    on = deployment(*WHERE, None, "calibrated")
    twin = twin_of(on, Shape(1000.0, 200.0))
    watts = drawn(on, twin)
    rates = np.array([1e-9, 1.0, 5.0, 10.0, 2.0 * twin.saturation])
    found = mean_watts(twin, watts, rates)
    assert found[0] == pytest.approx(watts[0], rel=1e-6) and found[-1] == watts[-1]
    assert (np.diff(found[:-1]) > 0.0).all()
    many = np.linspace(0.1, 0.99 * twin.saturation, 3000)  # in pieces, the same
    assert mean_watts(twin, watts, many)[[7, 2900]] == pytest.approx(
        [mean_watts(twin, watts, many[[k]])[0] for k in (7, 2900)], rel=1e-12
    )


@pytest.mark.parametrize("rate", [1.0, 6.0])
def test_the_simulator_draws_as_much(rate):
    table = serving.curve(*WHERE, rate=[rate], **SIZES)
    load = serving.poisson(rate, requests=700, seed=1, **SIZES)
    run = serving.simulate(*WHERE, None, load)
    assert float(table.watts[0]) == pytest.approx(run.energy.watts, rel=0.03)


def test_bands_and_powers_as_of_the_closed_loop():
    table = serving.curve(*WHERE, rate=[2.0, 1e4], power="facility", pue=1.5, **SIZES)
    closed = serving.curve(*WHERE, concurrency=[float(table.running[0])], **SIZES)
    here = table.isel(rate=0)
    for name in ("ttft", "tpot"):
        band = float(here["error_band" if name == "tpot" else "ttft_error_band"])
        assert float(here[f"{name}_high_s"]) == pytest.approx(
            float(here[f"{name}_s"]) * (1.0 + band)
        )
        assert float(here[f"{name}_low_s"]) == pytest.approx(
            float(here[f"{name}_s"]) / (1.0 + band)
        )
    assert float(here.error_band) == float(closed.error_band[0])
    assert float(here.ttft_error_band) == float(closed.ttft_error_band[0])
    assert bool(here.beyond) == bool(closed.beyond[0])
    assert float(here.facility_watts) == pytest.approx(1.5 * float(here.chassis_watts))
    assert float(here.provisioned_watts) == float(closed.provisioned_watts[0])
    rate = float(here.output_throughput)
    assert float(here.output_tokens_per_joule) == pytest.approx(rate / float(here.watts))
    assert float(here.output_tokens_per_s_per_mw) == pytest.approx(
        rate / float(here.facility_watts) * 1e6
    )
    assert float(table.watts[1]) > float(table.watts[0]) and np.isnan(float(table.ttft_low_s[1]))
    for name in ("watts", "tpot_high_s", "error_band"):
        assert table[name].attrs["units"] == closed[name].attrs["units"]


def test_a_fleet_s_watts_and_band():
    slo = serving.SLO(ttft_s=0.3)
    found = serving.fleet(*WHERE, None, slo, 1200.0, spare=2, **SIZES)
    on = deployment(*WHERE, None, "calibrated")
    each = 20.0 / found.replicas
    busy = float(serving.curve(*WHERE, rate=[each], **SIZES).watts[0])
    idle = float(drawn(on, twin_of(on, Shape(1000.0, 200.0)))[0])
    assert found.watts == pytest.approx(found.replicas * busy + 2 * idle)
    assert 0.0 <= found.rate_low < found.rate < found.rate_high
    band = found.ttft_error_band  # wider where the load is beyond what was measured
    strict = serving.fleet(*WHERE, None, serving.SLO(ttft_s=0.3 * (1.0 + band)), 1200.0, **SIZES)
    assert strict.rate == pytest.approx(found.rate_high)
    tail = serving.fleet(*WHERE, None, serving.SLO(ttft_s=0.3, percentile=99), 1200.0, **SIZES)
    assert np.isnan([tail.rate_low, tail.rate_high]).all() and tail.watts > 0.0
