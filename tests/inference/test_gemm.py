"""Matrix products by their measured form: its twin, its limits, and the constants that are shipped."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tokenroof as tr
from _support import BY_ISA, each_isa, same
from tokenroof import _core, reference
from tokenroof.calibrate import SPECS
from tokenroof.catalogue.fits import fits
from tokenroof.records import dtypes

SIZES = st.integers(1, 70000).map(float)
constants = st.fixed_dictionaries({
    "t0": st.floats(0, 1e-4), "compute": st.floats(0.05, 1.1), "memory": st.floats(0.1, 1.1),
    "overlap": st.floats(0, 1 / 3), "wave": st.floats(0, 1), "prologue": st.floats(0, 2000),
    "tile_loss": st.floats(0, 3e4), "stream": st.floats(0.5, 30), "latency": st.floats(0, 1e-8), "split": st.floats(0, 1e-5),
    "quantise": st.floats(0.05, 2), "quantise_row": st.floats(0, 2e4), "quantise_step": st.sampled_from([1.0, 1000.0, 2048.0]),
    "cached": st.floats(1, 8), "resident": st.floats(0.02, 2), "tiles": st.sampled_from([0.0, 1.0]),
})  # fmt: skip
DEVICES = ("H100-SXM", "B300-SXM", "L40S", "Instinct MI300X", "TPU v5p")
RATES = ("bf16", "fp8", "fp8_block", "nvfp4", "mxfp4", "int4")


@each_isa
@given(own=constants, name=st.sampled_from(DEVICES), dtype=st.sampled_from(RATES),
       m=st.floats(0, 1e5) | st.integers(0, 300).map(float), n=SIZES, k=SIZES, warm=st.sampled_from([0.0, 1.0]))  # fmt: skip
def test_equals_the_reference(isa, own, name, dtype, m, n, k, warm):
    device, code = tr.device(name).pack(), dtypes.code(dtype)
    record = tr.Calibration(constants={"gemm": own}).pack()
    got = BY_ISA[isa]["gemm_operator"](device, record, m, n, k, code, code, warm)
    want = reference.gemm_operator(device, record, m, n, k, code, code, warm)
    assert same(got, [want[field] for field in _core.OPERATOR_FIELDS])


@each_isa
def test_bad_rows_are_nan_and_no_rows_cost_nothing(isa):
    record = tr.Calibration(constants={"gemm": fits("gemm")[0]["constants"]}).pack()
    kernel, device = BY_ISA[isa]["gemm_operator"], tr.device("H100-SXM").pack()
    assert np.isnan(kernel(device, record, math.nan, 64, 64, 2, 2, 0)).all()
    with np.errstate(invalid="ignore"):
        assert np.isnan(kernel(device, record, -1.0, 64, 64, 2, 2, 0)).all()
    nothing = kernel(device, record, 0.0, 64, 64, 2, 2, 0)
    assert nothing[0] == 0.0


@given(own=constants, m=st.integers(1, 40000), more=st.integers(1, 4000), n=SIZES, k=SIZES)
def test_more_rows_never_take_less(own, m, more, n, k):
    fidelity = tr.Calibration(constants={"gemm": own})
    few, many = tr.operators.gemm("H200-SXM", [m, m + more], n, k, fidelity=fidelity).time_s
    assert few <= many * (1 + 1e-12)


@pytest.mark.parametrize("row", fits("gemm"),
                         ids=lambda row: f"{row['device']} {row['engine']} {row['dtype']}")  # fmt: skip
def test_shipped_constants_stand_within_their_ranges_and_below_the_datasheet(row):
    ranges = SPECS["gemm"].constants
    assert row["constants"].keys() == ranges.keys()
    for name, value in row["constants"].items():
        if name in SPECS["gemm"].fixed(row["dtype"]):
            continue
        assert ranges[name].low * 0.999 <= value <= ranges[name].high * 1.001
    assert row["rows"] > 1000 and 0.0 < row["band"] < 0.5
    m, n, k = np.meshgrid([1, 16, 100, 1024, 8192], [128, 4096, 28672], [128, 4096, 16384])
    fitted, best = (
        tr.operators.gemm(row["device"], m, n, k, row["dtype"], row["engine"], fidelity).time_s
        for fidelity in ("calibrated", "datasheet")
    )
    assert (fitted >= best * (1 - 1e-12)).all()


def test_any_device_is_answered_with_a_wider_band():
    measured = tr.operators.gemm("H100-SXM", 64, 4096, 4096)
    sibling = tr.operators.gemm("H20", 64, 4096, 4096)
    stranger = tr.operators.gemm("Instinct MI300X", 64, 4096, 4096)
    assert measured.error_band < sibling.error_band < stranger.error_band
    assert "H100-SXM" in measured.calibrated_on and "H100-SXM" in sibling.calibrated_on
    assert tr.operators.gemm("Gaudi 3", 64, 4096, 4096).time_s > 0  # no count of multiprocessors
