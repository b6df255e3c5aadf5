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


@pytest.mark.parametrize("bad", [1e308, 2.0**53 * (1 + 2.0**-52)])
@pytest.mark.parametrize(
    ("ask", "name"),
    [(tr.decode, "batch"), (tr.decode, "context"), (tr.prefill, "tokens"), (tr.prefill, "past"),
     (tr.mixed, "past"), (tr.sweep, "context")],
)  # fmt: skip
def test_a_load_beyond_what_is_counted_is_refused(ask, name, bad):
    with pytest.raises(ValueError, match=rf"{name}\[1\] is .*; allowed: at most 2\*\*53"):
        ask(*WHERE, **{name: [1.0, bad]})
    most = ask(*WHERE, **{name: [1.0, 2.0**53]}).time_s
    assert (most > 0.0).any()


def test_more_tokens_than_the_model_takes_are_said():
    most = tr.model(WHERE[1]).context_max
    said = f"beyond its context_max of {most:,}>"
    assert repr(tr.decode(*WHERE, context=most + 1)).endswith(f", {said}")
    assert repr(tr.decode(*WHERE, context=[1, most, most + 1])).endswith(f", 1 of 3 {said}")
    assert repr(tr.prefill(*WHERE, tokens=most, past=[0, 1])).endswith(f", 1 of 2 {said}")
    for within in (tr.decode(*WHERE, context=most), tr.prefill(*WHERE, tokens=most)):
        assert "context_max" not in repr(within)
    unknown = tr.model(WHERE[1]).replace(context_max=0)
    assert "context_max" not in repr(tr.decode(WHERE[0], unknown, context=10**6))


@pytest.mark.parametrize(
    ("given", "said"),
    [({"batch": [1, 2, 1]}, r"batch\[2\] is 1, as batch\[0\]"),
     ({"context": [8.5, 8.5]}, r"context\[1\] is 8.5, as context\[0\]"),
     ({"devices": ["L4", "L4"]}, r"devices\[1\] is L4, as devices\[0\]"),
     ({"models": ["GPT-2", tr.model("GPT-2")]}, r"models\[1\] is GPT-2, as"),
     ({"plans": [tr.Plan(), tr.Plan(tp=2), tr.Plan()]}, r"plans\[2\] is tp1 bf16 kv bf16, as plans\[0\]")],
)  # fmt: skip
def test_a_coordinate_of_a_sweep_stands_once(given, said):
    with pytest.raises(ValueError, match=f"{said}.*; allowed: each once"):
        tr.sweep(**{"devices": WHERE[0], "models": WHERE[1], **given})


def test_more_users_than_are_simulated_are_refused():
    with pytest.raises(ValueError, match=r"concurrency\[1\] is 1e\+30; allowed: at most 2\*\*28"):
        tr.serving.curve(*WHERE, concurrency=[1, 1e30])
    most = tr.serving.curve(*WHERE, concurrency=[2**28])
    assert most.ttft_s.item() > 1e6


def test_an_operator_that_there_is_not_is_named_with_its_likes():
    with pytest.raises(
        KeyError, match=r"^operator is 'gem'; did you mean 'gemm'\? allowed: gemm, "
    ):
        tr.calibrate.read_operator("gem", "gemm.csv", WHERE[0])


def test_a_store_is_opened_without_a_warning(tmp_path):
    xarray, store = pytest.importorskip("xarray"), tmp_path / "steps.zarr"
    pytest.importorskip("zarr")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kept = tr.sweep(*WHERE, batch=[1, 2], store=store)
        opened = xarray.open_zarr(store)
        assert (opened.time_s.values == kept.time_s.values).all()
