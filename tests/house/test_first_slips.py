"""Slips of a first hour: what is given twice, in another unit, not packed, too large, or as one where several are."""

import warnings

import pytest

import tokenroof as tr
from tokenroof import catalogue
from tokenroof import economics as ec

WHERE = ("H200-SXM", "Llama-3.1-8B")


def test_a_curve_over_users_and_over_a_rate_is_one_too_many():
    with pytest.raises(ValueError, match="concurrency is given beside a rate or a load"):
        tr.serving.curve(*WHERE, concurrency=[1, 2], rate=[1.0])
    assert tr.serving.curve(*WHERE, rate=[1.0]).sizes == {"rate": 1}


def test_a_record_that_is_not_packed_or_another_ones_is_named():
    records = {
        "device": tr.device(WHERE[0]).pack(), "calibration": tr.Calibration.ideal().pack(),
        "model": tr.model(WHERE[1]).pack(), "plan": tr.Plan().pack(), "batch": [1.0, 2.0], "context": 64.0,
    }  # fmt: skip
    many = len(records["model"])
    with pytest.raises(TypeError, match=r"model is a Model; allowed: what its pack\(\) gives"):
        tr.kernels.by_keyword("decode_time", **records | {"model": tr.model(WHERE[1])})
    with pytest.raises(ValueError, match=f"model has the shape .*; allowed: {many} numbers"):
        tr.kernels.by_keyword("decode_time", **records | {"model": records["device"]})
    assert tr.kernels.by_keyword("decode_time", **records).shape == (2,)


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [("power", 85, "power: price_per_kwh is 85; allowed: at most 20 $/kWh; did you mean 0.085"),
     ("rent.H200-SXM", 24_000, "rent.H200-SXM: price_per_gpu_hour is 24000; allowed: at most"),
     ("output.gpt-oss-120b", 6e6, "output.gpt-oss-120b: price_per_mtok is 6000000; allowed: at most")],
)  # fmt: skip
def test_prices_of_a_file_in_another_unit(tmp_path, column, value, said):
    path = tmp_path / "m.csv"
    path.write_text(f"date,{column}\n2026-11,{value}\n")
    with pytest.raises(ValueError, match="m.csv:2:9: ") as caught:
        catalogue.market_data(path)
    assert said in str(caught.value)


def test_a_grid_that_fits_no_memory_has_a_way_out():
    long = range(1, 1_000_000)
    with pytest.raises(MemoryError, match="allowed: chunks=, store= or reduce="):
        tr.sweep(*WHERE, batch=long, context=long)


def test_one_price_that_is_odd_is_said_of_the_price_alone():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ec.convert_hall("Antminer S21", 20, 0.05, to=["H200-SXM"], paths=200)
    assert {str(one.message).split(" is ")[1].split(",")[0] for one in caught} == {"0.05 $/MWh"}


def test_a_scenario_where_several_go_is_quoted_in_part():
    with pytest.raises(TypeError, match=r"characters\); allowed: a sequence of Scenario") as caught:
        ec.same_meter(ec.mine("Antminer S21"), power_mw=20, price_per_mwh=50)
    assert len(str(caught.value)) < 500
