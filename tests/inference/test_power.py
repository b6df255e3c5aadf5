"""Board power: known answers, what was fitted, what each name means, bad input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tokenroof as tr
from _support import BY_ISA, each_isa, every_isa
from tokenroof import kernels, reference
from tokenroof.catalogue.fits import fits
from tokenroof.inference import power
from tokenroof.records.calibration import Calibration

share = st.floats(0.0, 2.0)


@given(
    uses=st.tuples(*[share] * 6), fitted=st.booleans(), name=st.sampled_from(["H200-SXM", "L40S"])
)
@every_isa
def test_board_power_equals_the_reference(isa, uses, fitted, name):
    device = tr.device(name)
    record = (
        power.constants_record(power.constants(device).constants) if fitted else Calibration.ideal()
    )
    vectors = [device.pack(), record.pack()]
    got = BY_ISA[isa]["board_power"](*vectors, *uses)
    assert got == reference.board_power(*vectors, *uses)
    assert 0.0 < got <= 1.02 * device.tdp_w


@each_isa
def test_nan_and_negative_uses(isa):
    vectors = [tr.device("H200-SXM").pack(), Calibration.ideal().pack()]
    with np.errstate(all="raise"):
        assert np.isnan(BY_ISA[isa]["board_power"](*vectors, np.nan, *[0.0] * 5))
    with pytest.raises(FloatingPointError), np.errstate(all="raise"):
        BY_ISA[isa]["board_power"](*vectors, -1.0, *[0.0] * 5)


def test_the_rounded_corner_follows_the_twelve_norm():
    p = np.linspace(0.01, 3.0, 500)
    norm = (p**-12 + 1.0) ** (-1.0 / 12.0)
    assert np.abs(kernels.capped_power(p, 1.0) / norm - 1.0).max() < 0.006


def test_waves_of_the_literature():
    for tiles, sms, fill in (
        (108, 108, 1.0),
        (117, 108, 0.541666666667),
        (512, 132, 0.969696969697),
    ):
        assert kernels.wave_fill(float(tiles), float(sms)) == pytest.approx(fill, rel=1e-11)


def test_fitted_boards():
    """Medians of the measured kernels: long products near the limit, decode attention far below it."""
    for name in ("H200-SXM", "B200-SXM"):
        limit = tr.device(name).tdp_w
        assert 0.9 < tr.operators.gemm(name, 8192, 8192, 8192).watts / limit < 1.0
        assert tr.operators.attention_decode(name, 64, 8192, 32, 8, 128).watts < 0.75 * limit
    for row in fits("power"):
        assert row["median"] < 0.06 and row["mape"] < 0.15
    assert power.constants("GB300").near == "generation"


def test_four_powers():
    board = power.board_power("B200-SXM", 0.4, 0.1, gemm=1.0)
    chassis = power.chassis_power("B200-SXM", board)
    assert board < chassis < power.dashboard_power("B200-SXM") == 2170.0
    assert power.facility_power(chassis, 1.2) == pytest.approx(1.2 * chassis)
    # 8 x B200 at 10,401 W from the wall under load (MLPerf v5.1)
    assert 8 * power.chassis_power("B200-SXM", 950.0) == pytest.approx(10401, rel=0.02)


@pytest.mark.parametrize(
    "call,named_",
    [(lambda: power.facility_power(1.0, 0.5), "pue is 0.5"),
     (lambda: power.board_power("H200-SXM", -1.0), "compute_use is -1"),
     (lambda: power.chassis_power("H200-SXM", np.nan), "board_w is nan")],
)  # fmt: skip
def test_bad_input_is_named(call, named_):
    with pytest.raises(ValueError, match=named_):
        call()


def test_watts_bring_their_band_and_every_device_has_a_chassis():
    near, far = (tr.decode(d, "Llama-3.1-8B", tr.Plan()).watts_band for d in ("H200-SXM", "MI300X"))
    assert 0.05 < near < far == tr.operators.gemm("MI300X", 16, 4096, 4096).watts_band
    product = tr.operators.gemm("H200-SXM", 16, 4096, 4096).watts_band
    attention = tr.operators.attention_decode("H200-SXM", 16, 4096, 32, 8, 128).watts_band
    assert product < attention == near == power.band("H200-SXM")
    assert power.band("GB200-NVL72", "experts") == power.band(
        "H200-SXM", "experts"
    )  # not measured on it
    with pytest.raises(ValueError, match="kind is 'mla'; allowed: gemm, attention_decode"):
        power.band("H200-SXM", "mla")
    for device in ("MI300X", "L40S", "RTX 5090"):
        curve = tr.serving.curve(device, "Llama-3.1-8B", concurrency=[1, 64])
        assert (curve.watts < curve.chassis_watts).all() and (
            curve.chassis_watts < curve.facility_watts
        ).all()
        assert curve.attrs["watts_band"] == far


def test_stages_of_a_pipeline_that_wait_rest():
    """One sequence keeps one stage of eight busy; a batch's work is the same however many stages there are."""
    one = tr.decode("H200-SXM", "Llama-3.1-8B", tr.Plan(), batch=[1, 64])
    eight = tr.decode("H200-SXM", "Llama-3.1-8B", tr.Plan(pp=8), batch=[1, 64])
    np.testing.assert_allclose(eight.flops, one.flops, rtol=1e-6)
    assert one.watts[0] < eight.watts[0] < 4.0 * one.watts[0]
    assert eight.watts[1] > 6.0 * one.watts[1]
