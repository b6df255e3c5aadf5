"""Devices next to a measured one: renamed, or with numbers changed by a little."""

import numpy as np
import pytest

import tokenroof as tr
from tokenroof.catalogue.fits import fits
from tokenroof.inference.likeness import (
    ALIKE,
    APART,
    OPERATORS,
    between,
    like_measured,
    likeness,
    measured_name,
)

PLANS = (
    ("Llama-3.1-8B", tr.Plan(weights="fp8", kv_cache="fp8")),
    ("gpt-oss-120b", tr.Plan(tp=2, weights="bf16", experts="mxfp4", engine="trtllm")),
    ("DeepSeek-V3", tr.Plan(tp=8, moe_ep=8, weights="fp8_block", kv_cache="fp8")),
)
MEASURED = sorted({row["device"] for operator in OPERATORS for row in fits(operator)})
BOARDS = (
    "RTX 4090",
    "T4",
    "GB300-NVL72",
    "V100-SXM2-32GB",
    "A100-PCIe-80GB",
    "Instinct MI300X",
    "TPU v6e",
)


def _step(device, model, plan):
    return tr.decode(device, model, plan, batch=[1, 64, 256], context=4096)


@pytest.mark.parametrize("name", MEASURED)
def test_a_name_alone_changes_nothing(name):
    device = tr.device(name)
    mine = device.replace(name="mine", notes="another sticker")
    assert likeness(device) is None
    for model, plan in PLANS:
        for call in (_step, lambda *to: tr.prefill(*to, batch=2, tokens=3000)):
            one, other = call(device, model, plan), call(mine, model, plan)
            for field in ("time_s", "watts", "watts_band", "error_band"):
                np.testing.assert_array_equal(getattr(one, field), getattr(other, field))
            assert other.calibrated_on == f"{one.calibrated_on}; its datasheet is that of {name}"
    product = [tr.operators.gemm(d, 64, 4096, 4096, dtype="bf16") for d in (device, mine)]
    assert product[0].time_s == product[1].time_s and product[0].error_band == product[1].error_band
    assert measured_name(mine) == name


@pytest.mark.parametrize("change", [0.99, 1.001, 1.01])
def test_a_percent_of_bandwidth_changes_a_step_by_at_most_that(change):
    for name in ("H200-SXM", "H100-SXM", "B200-SXM", "GB200-NVL72"):
        device = tr.device(name)
        mine = device.replace(name="mine", memory_bandwidth=device.memory_bandwidth * change)
        for model, plan in PLANS:
            one, other = _step(device, model, plan), _step(mine, model, plan)
            ratio = other.time_s / one.time_s
            low, high = sorted((1.0, 1.0 / change))
            assert ((ratio >= low - 1e-6) & (ratio <= high + 1e-6)).all() and (ratio != 1.0).all()
            assert (np.asarray(other.error_band) > np.asarray(one.error_band)).all()
            assert f"within {max(change, 1 / change) - 1:.1%} of the datasheet of {name}" in (
                other.calibrated_on
            )


def test_nowhere_is_there_a_step_on_the_way_to_the_generations_constants():
    device, (model, plan) = tr.device("H200-SXM"), PLANS[0]

    def at(more):
        mine = device.replace(name="mine", memory_bandwidth=device.memory_bandwidth * (1.0 + more))
        return _step(mine, model, plan)

    for edge in (ALIKE, APART):
        below, above = at(edge - 1e-7), at(edge + 1e-7)
        np.testing.assert_allclose(below.time_s, above.time_s, rtol=1e-4)
        np.testing.assert_allclose(below.error_band, above.error_band, rtol=1e-3)
    times = np.array([at(more).time_s for more in np.linspace(0.0, 0.12, 25)])
    assert (np.diff(times, axis=0) < 0.0).all()
    assert (times[1:] / times[:-1] > 0.975).all()
    assert "40% its constants, the rest its generation's" in at(0.08).calibrated_on
    assert "borrowed from its generation" in at(0.11).calibrated_on


@pytest.mark.parametrize("name", BOARDS)
def test_of_what_has_no_table_a_name_changes_nothing_either(name):
    device, (model, plan) = tr.device(name), PLANS[0]
    one, other = (_step(d, model, plan) for d in (device, device.replace(name="mine")))
    for field in ("time_s", "watts", "error_band"):
        np.testing.assert_array_equal(getattr(one, field), getattr(other, field))


def test_what_kernels_do_not_run_on_does_not_count_and_the_link_for_collectives_alone():
    device = tr.device("H200-SXM")
    for same in ({"tdp_w": 500.0}, {"memory_bytes": 282e9}):
        assert likeness(device.replace(name="mine", **same)).distance == 0.0
    slow = likeness(device.replace(name="mine", link_bandwidth=device.link_bandwidth / 2))
    assert slow.weight == slow.weight_of("gemm") == 1.0 and slow.weight_of("all_reduce") == 0.0
    for other in ({"memory_bandwidth": 9.6e12}, {"sm_count": 66}, {"family": "Blackwell"},
                  {"l2_bytes": None}, {"peak": {"bf16": 1e15}}):  # fmt: skip
        assert likeness(device.replace(name="mine", **other)) is None
    half = likeness(device.replace(name="mine", boost_clock_hz=device.boost_clock_hz * 1.075))
    assert half.weight == pytest.approx(0.5) and measured_name(half.twin.replace(name="x")) == "x"


def test_what_is_asked_of_a_neighbour_is_asked_of_both():
    """By name as by place: of what was fitted on the measured device and of what its generation carries over."""
    asked = []

    @like_measured
    def found(device, first, second="default"):
        asked.append((device.name, first, second))
        return tr.Calibration(constants={"gemm": {"t0": 1.0}})

    device = tr.device("H200-SXM")
    found(
        device.replace(name="mine", memory_bandwidth=device.memory_bandwidth * 1.01),
        1,
        second="given",
    )
    assert asked == [("H200-SXM", 1, "given"), ("mine", 1, "given")]


def test_who_measured_his_own_device_is_like_none():
    mine = tr.device("H200-SXM").replace(name="mine")
    assert likeness(mine).name == "H200-SXM"
    assert likeness(mine.replace(measured={"stream": 4.0e12})) is None


def test_between_two_sets_of_constants():
    near, far = {"a": 1.0, "b": 0.0, "c": 128.0}, {"a": 16.0, "b": 1.0, "c": 128.0}
    assert between(near, far, 1.0) == near
    assert between(near, far, 0.0) == pytest.approx(far)
    assert between(near, far, 0.75) == pytest.approx({"a": 2.0, "b": 0.25, "c": 128.0})
