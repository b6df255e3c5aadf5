"""What keeps multiprocessors busy, by hand at degrees above 1; rates per device; powers between plug and meter."""

import math

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import kernels
from tokenroof.inference import power, roofline
from tokenroof.inference.power import activity, expert_tiles


def test_expert_tiles_of_ranks():
    """8,192 tokens of 128 experts, 8 each, over 4 ranks that share each expert's width by 2."""
    pairs = 8192 * 8 / 4
    assert expert_tiles(8192.0, 1536.0, 128.0, 8.0, 2.0, 4.0) == pairs / 128 * math.ceil(
        2 * 1536 / 2 / 128
    )
    touched = (
        128 * (1 - (1 - 8 / 128) ** 3) / 4
    )  # three tokens: a row of tiles of each touched expert
    assert expert_tiles(3.0, 1500.0, 128.0, 8.0, 2.0, 4.0) == pytest.approx(
        touched * math.ceil(1500 / 128), rel=1e-12
    )


@pytest.mark.parametrize("operator,arguments,kind,tiles", [
    ("gemm", (129.0, 300.0, 64.0), "gemm", 2 * 3),
    ("attention_decode", (3.0, 600.0, 64.0, 8.0, 128.0, 128.0, 0.0), "attention_decode", 3 * 8 * 3),
    ("attention_decode", (3.0, 600.0, 64.0, 8.0, 128.0, 128.0, 512.0), "attention_decode", 3 * 8 * 2),
    ("attention_decode", (3.0, 200.0, 64.0, 8.0, 128.0, 128.0, 512.0), "attention_decode", 3 * 8 * 1),
    ("mla_decode", (3.0, 600.0, 100.0, 512.0, 64.0), "attention_decode", 3 * 2 * 3),
    ("sparse_decode", (3.0, 9000.0, 130.0, 512.0, 64.0, 2048.0), "attention_decode", 3 * 3 * 8),
    ("attention_prefill", (2.0, 300.0, 0.0, 40.0), "attention_prefill", 2 * 3 * 40),
    ("mla_prefill", (2.0, 300.0, 0.0, 40.0), "attention_prefill", 2 * 3 * 40),
    ("experts", (8192.0, 4096.0, 1536.0, 128.0, 8.0, 3.0, 2.0, 4.0), "experts", 128 * 12),
    ("grouped_gemm", (8192.0, 3072.0, 4096.0, 128.0, 8.0, 4.0), "experts", 128 * 24),
    ("gated_delta_decode", (5.0, 1.0, 2.0, 32.0), "attention_decode", 5 * 32),
    ("mamba2_decode", (5.0, 64.0, 2.0, 32.0), "attention_decode", 5 * 64),
    ("gated_delta_prefill", (2.0, 130.0, 0.0, 0.0, 32.0, 0.0, 0.0, 64.0), "attention_prefill", 2 * 32 * 3),
    ("mamba2_prefill", (2.0, 130.0, 48.0, 0.0, 0.0, 0.0, 0.0, 64.0), "attention_prefill", 2 * 48 * 3),
    ("norm", (77.0,), "attention_decode", 77), ("sampling", (5.0,), "attention_decode", 5),
])  # fmt: skip
def test_tiles_that_keep_a_device_busy(operator, arguments, kind, tiles):
    found = activity(operator, tuple(np.asarray(a) for a in arguments))
    assert found is not None and found[0] == kind and found[1] == pytest.approx(tiles, rel=1e-12)


def test_what_moves_over_links_keeps_nothing_busy():
    assert activity("all_reduce", (1.0, 8.0)) is None


def test_power_of_an_operator_is_that_of_its_uses():
    for one, kind, share in (
        (tr.operators.gemm("H200-SXM", 300, 4096, 4096), "gemm", None),
        (tr.operators.attention_decode("H200-SXM", 5, 3000, 64, 8, 128), "attention_decode", None),
        (tr.operators.all_reduce("H200-SXM", 8, 1e8), "", 0.0),
    ):
        d = tr.device("H200-SXM")
        compute = one.flops / one.time_s / d.peak_of("bf16")
        memory = one.bytes / one.time_s / d.memory_bandwidth if share is None else 0.0
        uses = {}
        if kind:
            tiles = activity(one.operator, one.arguments)[1]
            uses[kind] = kernels.wave_fill(tiles, float(d.sm_count)) * (1.0 - 3e-6 / one.time_s)
        assert one.watts == pytest.approx(
            float(power.board_power(d, compute, memory, **uses)), rel=1e-9
        )


@pytest.mark.parametrize("plan", [tr.Plan(), tr.Plan(tp=8), tr.Plan(tp=4, dp=2)])
def test_a_point_under_the_roof_is_of_one_device(plan):
    """Devices times rate times time is the work of the step."""
    step = tr.decode("H200-SXM", "Llama-3.1-8B", plan, batch=[16, 64], context=2000)
    intensity, rate = roofline.point(step)
    assert rate * step.time_s * plan.devices == pytest.approx(step.flops, rel=1e-12)
    assert intensity * step.bytes == pytest.approx(step.flops, rel=1e-12)
    assert (rate <= roofline.roof("H200-SXM", intensity) * (1 + 1e-12)).all()


def test_roofs_and_their_ridge():
    peak, bandwidth = tr.device("H200-SXM").peak_of("fp8"), tr.device("H200-SXM").memory_bandwidth
    assert roofline.ridge("H200-SXM", "fp8") == pytest.approx(peak / bandwidth)
    assert roofline.roof("H200-SXM", [0.0, 1.0, 1e9], "fp8").tolist() == [0.0, bandwidth, peak]


def test_from_plug_to_meter():
    d = tr.device("B200-SXM")
    nameplate = d.system_power_w - d.tdp_w
    assert power.chassis_power(d, 900.0, 0.5) == pytest.approx(900.0 + 0.5 * nameplate)
    assert power.chassis_power(d, 0.0, 0.0) == 0.0
    assert power.facility_power(800.0, 1.0) == 800.0 and power.facility_power(800.0) == 1000.0
    with pytest.raises(ValueError, match=r"pue is 0.99"):
        power.facility_power(800.0, 0.99)
    each = power.provisioned_power(d)[0]
    assert power.dashboard_power(d, [0.0, 3.0]).tolist() == [0.0, 3.0 * each]
    assert power.idle_power(d.replace(idle_w=0.0)) == 0.0  # nothing is taken for what it is
    assert power.idle_power(d.replace(idle_w=None)) == pytest.approx(0.1 * power.limit(d).mid)
