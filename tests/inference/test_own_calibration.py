"""A calibration of one's own stands on top of the device's: what it leaves out is the device's."""

import numpy as np
import pytest

import tokenroof as tr

DEVICE, MODEL, PLAN = "H200-SXM", "Qwen3-30B-A3B", tr.Plan(tp=2, weights="fp8", kv_cache="fp8")
LOAD = {"batch": [1, 64], "context": 4096}
OPERATORS = ["gemm", "attention_decode", "experts", "all_reduce"]


def row(operator):
    """The constants that the device has for the operator in this plan."""
    return tr.calibration.resolve("calibrated", tr.device(DEVICE), PLAN).constants[operator]


def decode(fidelity="calibrated", device=DEVICE):
    return tr.decode(device, MODEL, PLAN, fidelity=fidelity, **LOAD)


@pytest.mark.parametrize("operator", OPERATORS)
def test_the_device_s_own_constants_on_top_of_themselves_change_nothing(operator):
    own = tr.Calibration(constants={operator: row(operator)})
    plain, on_top = decode(), decode(own)
    np.testing.assert_array_equal(on_top.time_s, plain.time_s)
    np.testing.assert_array_equal(on_top.watts, plain.watts)
    assert on_top.error_band == plain.error_band
    assert on_top.calibration.ttft_band == plain.calibration.ttft_band
    assert on_top.calibrated_on.startswith(f"{operator}: constants of the caller's own; the rest: ")
    assert plain.calibrated_on in on_top.calibrated_on


@pytest.mark.parametrize("operator, group", [
    ("gemm", "projection"), ("attention_decode", "attention"), ("experts", "experts"),
    ("all_reduce", "collective"),
])  # fmt: skip
def test_one_operator_changes_itself_alone(operator, group):
    slow = ("memory", "one_share", "two_share", "bulk_share", "switch_share")
    half = {name: 0.5 * value for name, value in row(operator).items() if name in slow}
    plain, on_top = decode(), decode(tr.Calibration(constants={operator: half}))
    assert (on_top.time_s > plain.time_s).all()
    before, after = plain.breakdown()["operator"], on_top.breakdown()["operator"]
    changed = {g for g in before if not np.allclose(before[g], after[g], rtol=1e-12, atol=0.0)}
    assert group in changed and changed <= {group, *(("mlp", "head") if operator == "gemm" else ())}


def test_every_door_takes_it_the_same_way():
    own = tr.Calibration(constants={"gemm": row("gemm")})
    ask = {"concurrency": [8], "input_tokens": 512, "output_tokens": 64}
    plain = tr.serving.curve(DEVICE, MODEL, PLAN, **ask)
    on_top = tr.serving.curve(DEVICE, MODEL, PLAN, fidelity=own, **ask)
    for name in ("ttft_s", "tpot_s"):
        np.testing.assert_array_equal(on_top[name], plain[name])
    swept = [
        tr.sweep([DEVICE], [MODEL], [PLAN], batch=[8], fidelity=f) for f in ("calibrated", own)
    ]
    np.testing.assert_array_equal(swept[1].time_s, swept[0].time_s)
    other = tr.operators.attention_decode(DEVICE, 8, 1000, 32, 8, 128, fidelity=own)
    same = tr.operators.attention_decode(DEVICE, 8, 1000, 32, 8, 128)
    assert other.time_s == same.time_s and other.error_band == same.error_band
    assert other.calibrated_on == same.calibrated_on


def test_a_band_follows():
    constants = row("gemm")
    wide = tr.Calibration(constants={"gemm": constants}, error_band=0.9, calibrated_on="bench 7")
    assert decode(wide).error_band == 0.9  # the widest of its parts
    assert tr.operators.gemm(DEVICE, 8, 512, 512, "fp8", fidelity=wide).error_band == 0.9
    assert (
        tr.operators.gemm(DEVICE, 8, 512, 512, "fp8", fidelity=wide).calibrated_on
        == "gemm: bench 7"
    )
    narrow = wide.replace(error_band=0.01)
    assert decode(narrow).error_band == decode().error_band
    everything = narrow.replace(constants={"gemm": constants, "engine": {"kernel_gap": 1e-6}})
    assert decode(everything).error_band == 0.01


def test_resolved_and_whole_calibrations_stay_as_they_are():
    step = decode()
    again = decode(step.calibration)
    assert again.calibration is step.calibration
    np.testing.assert_array_equal(again.time_s, step.time_s)
    bare = tr.Calibration(constants={"gemm": row("gemm")}, whole=True)
    assert (decode(bare).time_s < step.time_s).all()
    assert np.isnan(decode(bare).error_band)
    sheet = decode("datasheet")
    np.testing.assert_array_equal(decode(sheet.calibration).time_s, sheet.time_s)


def test_bf16_products_of_a_bf16_step_are_all_of_them():
    constants = row("gemm")
    own = tr.Calibration(constants={"gemm": constants})
    both = tr.Calibration(constants={"gemm": constants, "gemm16": constants})
    one, two = (tr.decode(DEVICE, MODEL, fidelity=c).time_s for c in (own, both))
    assert one == two


def test_bands_notes_and_ranges_of_a_calibration_of_ones_own_count():
    """What a caller says of an operator's fit is what its results say, and a step's are no surer."""
    rows = row("gemm")
    own = tr.Calibration(constants={"gemm": rows}, operator_bands={"gemm": 0.9},
                         operator_notes={"gemm": "by hand"}, fitted={"concurrency": (2.0, 3.0)})  # fmt: skip
    one = tr.operators.gemm(DEVICE, 64, 4096, 4096, fidelity=own)
    assert float(np.max(one.error_band)) == 0.9 and "gemm (by hand)" in one.calibrated_on
    step = decode(own)
    assert step.error_band >= 0.9 and "gemm (by hand)" in step.calibrated_on
    served = tr.serving.curve(DEVICE, "Llama-3.1-8B", concurrency=[2, 64], fidelity=own)
    assert "concurrency" in served.attrs["beyond"]
    # a band of an operator whose constants are not given says nothing
    other = tr.Calibration(constants={"gemm": rows}, operator_bands={"experts": 5.0})
    assert decode(other).error_band < 1.0
    with pytest.raises(ValueError, match=r"operator_bands\['gem'\] is 0.1; allowed"):
        tr.Calibration(operator_bands={"gem": 0.1})
