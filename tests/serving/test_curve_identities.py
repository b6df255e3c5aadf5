"""What must hold of serving whatever the numbers: Little's law, sums of tokens, joules, bands from their own range."""

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import serving
from tokenroof.inference.door import deployment

ON = ("H200-SXM", "Llama-3.1-70B", tr.Plan(tp=4, dp=2, pp=1, weights="fp8", kv_cache="fp8"))
LOAD = {"input_tokens": 1500.0, "output_tokens": 300.0}


@pytest.fixture(scope="module")
def table():
    return serving.curve(*ON, **LOAD, concurrency=[1, 8, 64, 400], pue=1.3)


def test_tokens_in_and_out(table):
    out, into = table.output_throughput.values, table.input_throughput.values
    assert into / out == pytest.approx(1500.0 / 300.0)
    assert table.total_throughput.values == pytest.approx(into + out)
    assert table.per_device.values * 8 == pytest.approx(out)


def test_littles_law_and_the_times_of_a_request(table):
    """Requests under way are arrivals times the time that each takes."""
    rate = table.output_throughput.values / 300.0
    assert rate * table.latency_s.values == pytest.approx(table.concurrency.values, rel=1e-6)
    assert table.latency_s.values == pytest.approx(
        table.ttft_s.values + 299.0 * table.tpot_s.values, rel=1e-9
    )
    assert table.interactivity.values * table.tpot_s.values == pytest.approx(1.0)
    assert (table.queue_s.values >= 0).all() and (
        table.batch.values <= table.concurrency.values
    ).all()


def test_joules_are_watts_times_seconds(table):
    rate, watts = table.output_throughput.values, table.watts.values
    assert table.output_tokens_per_joule.values * watts == pytest.approx(rate)
    on = deployment(*ON, "calibrated").power
    assert table.chassis_watts.values == pytest.approx(watts + 8 * on.host_w)
    assert table.facility_watts.values == pytest.approx(1.3 * table.chassis_watts.values)
    assert table.provisioned_watts.values == pytest.approx(8 * on.provisioned_w)
    for power, name in (("provisioned", "provisioned_watts"), ("chassis", "chassis_watts"), ("facility", "facility_watts"),
                        ("board", "watts")):  # fmt: skip
        of = serving.curve(*ON, **LOAD, concurrency=[1, 8, 64, 400], power=power, pue=1.3)
        want = of.output_throughput / of[name] * 1e6
        np.testing.assert_allclose(of.output_tokens_per_s_per_mw, want, rtol=1e-12)


def test_a_band_comes_from_its_own_range(table):
    for name, band in (("tpot", table.error_band), ("ttft", table.ttft_error_band)):
        middle = table[f"{name}_s"].values
        assert table[f"{name}_high_s"].values == pytest.approx(middle * (1.0 + band.values))
        assert table[f"{name}_low_s"].values == pytest.approx(middle / (1.0 + band.values))


def test_twice_the_replicas_at_twice_the_load_are_the_same():
    """Every rank's step is what it was: twice the tokens, watts and devices."""
    one = serving.curve(
        "H200-SXM",
        "Llama-3.1-8B",
        tr.Plan(tp=2, engine="ideal"),
        **LOAD,
        concurrency=[16],
        fidelity="datasheet",
    )
    two = serving.curve("H200-SXM", "Llama-3.1-8B", tr.Plan(tp=2, dp=2, engine="ideal"), **LOAD, concurrency=[32],
                        fidelity="datasheet")  # fmt: skip
    assert two.tpot_s.values == pytest.approx(one.tpot_s.values, rel=0.05)
    assert two.per_device.values == pytest.approx(one.per_device.values, rel=0.05)
    assert two.output_throughput.values == pytest.approx(2 * one.output_throughput.values, rel=0.05)
    assert two.watts.values == pytest.approx(2 * one.watts.values, rel=0.05)


@pytest.mark.parametrize("rate", [0.5, 2.0])
def test_open_loops_lose_no_request_below_what_they_answer(rate):
    found = serving.curve(*ON, **LOAD, rate=[rate, 1e4])
    steady, flooded = found.isel(rate=0), found.isel(rate=1)
    assert float(steady.output_throughput) == pytest.approx(rate * 300.0) and bool(steady.stable)
    assert (
        float(steady.input_throughput) == pytest.approx(rate * 1500.0)
        and float(steady.growth_per_s) == 0.0
    )
    assert float(steady.total_throughput) == pytest.approx(rate * 1800.0)
    assert float(steady.per_device) * 8 == pytest.approx(rate * 300.0)
    most = found.attrs["saturation_per_s"]
    assert not bool(flooded.stable) and float(flooded.growth_per_s) == pytest.approx(1e4 - most)
    assert float(flooded.output_throughput) == pytest.approx(most * 300.0)


def test_a_capacity_of_one_request_is_one():
    """An objective that the first request meets and the second does not, of a replica and of a system of one."""
    of = {"input_tokens": 1500.0, "output_tokens": 300.0}
    system = serving.System(both=(*ON[::2], 1))
    for what, model in ((ON[0], ON[1]), (system, ON[1])):
        plan = None if what is system else ON[2]
        two = serving.curve(what, model, plan, **of, concurrency=[1, 2])
        bound = float(two.tpot_s.values.mean())
        assert two.tpot_s.values[0] < bound < two.tpot_s.values[1]
        found = serving.capacity(what, model, plan, serving.SLO(tpot_s=bound), **of)
        assert float(found.concurrency) == 1.0 and float(found.output_throughput) > 0.0
        none = serving.capacity(
            what, model, plan, serving.SLO(tpot_s=0.5 * float(two.tpot_s[0])), **of
        )
        assert float(none.concurrency) == 0.0
