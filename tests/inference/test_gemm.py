"""Matrix products by their measured form: its twin, its limits, and the constants that are shipped."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tokenroof as tr
from _support import BY_ISA, each_isa, every_isa, same
from tokenroof import _core, reference
from tokenroof.calibrate import SPECS
from tokenroof.calibrate.fitting import device_bound
from tokenroof.calibrate.tables import Table
from tokenroof.catalogue.fits import fits
from tokenroof.inference.carried import carried, geometric_mean
from tokenroof.inference.constants import find
from tokenroof.records import dtypes

SIZES = st.integers(1, 70000).map(float)
constants = st.fixed_dictionaries({
    "t0": st.floats(0, 1e-4), "compute": st.floats(0.05, 1.1), "joule": st.floats(0, 2e-11), "memory": st.floats(0.1, 1.1),
    "overlap": st.floats(0, 1 / 3), "wave": st.floats(0, 1), "fill": st.floats(0, 3), "issue": st.floats(0, 10),
    "stream": st.floats(4, 256), "latency": st.floats(0, 20), "split": st.floats(0, 1e-5),
    "quantise": st.floats(0.05, 2), "quantise_row": st.floats(0, 2e4), "quantise_step": st.sampled_from([1.0, 1000.0, 2048.0]),
    "cached": st.floats(1, 8), "resident": st.floats(0.02, 2), "tiles": st.sampled_from([0.0, 1.0]),
})  # fmt: skip
DEVICES = (
    "H100-SXM",
    "B300-SXM",
    "L40S",
    "P100-SXM2",
    "Apple M4 Max",
    "Instinct MI300X",
    "TPU v5p",
)
RATES = ("bf16", "fp8", "fp8_block", "nvfp4", "mxfp4", "int4")


@given(own=constants, name=st.sampled_from(DEVICES), dtype=st.sampled_from(RATES),
       m=st.floats(0, 1e5) | st.integers(0, 300).map(float), n=SIZES, k=SIZES, warm=st.sampled_from([0.0, 1.0]))  # fmt: skip
@every_isa
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


# Published 4-bit decoding on an RTX 3090 (Marlin kernels, Llama-3.1-8B, one sequence): about 9 ms a token.
def test_four_bits_on_an_rtx_3090_are_bound_by_its_bandwidth():
    step = {
        weights: tr.decode(
            "RTX 3090", "Llama-3.1-8B", tr.Plan(weights=weights), batch=1, context=1024
        )
        for weights in ("int4", "bf16")
    }
    assert step["int4"].time_s == pytest.approx(9e-3, rel=0.2)
    assert str(step["int4"].bound) == "memory"
    assert step["bf16"].time_s / step["int4"].time_s > 2.5  # 3.2 of bytes, less the launches


FEW_FLOPS = ("RTX 3090", "RTX 4090", "H20", "P100-SXM2", "V100-SXM2-32GB", "Jetson AGX Thor",
             "GB10 (DGX Spark)", "Apple M1 Ultra", "Apple M4 Max", "A100-SXM4-80GB", "L4")  # fmt: skip


@pytest.mark.parametrize("engine", ["vllm", "trtllm", "sglang"])
@pytest.mark.parametrize("name", FEW_FLOPS)
def test_four_bits_buy_what_the_bandwidth_gives_at_one_row(name, engine):
    n, k = np.array([4096, 14336, 28672, 4096]), np.array([4096, 4096, 4096, 14336])
    time = {
        weights: tr.operators.gemm(name, 1, n, k, weights, engine)
        for weights in ("int4", "mxfp4", "bf16")
    }
    launch = _core.OPERATOR_FIELDS.index("launch_s")
    bare = {weights: found.time_s - found.fields[..., launch] for weights, found in time.items()}
    bytes_of = {"int4": 0.5 + 2 / 128, "mxfp4": 0.5 + 1 / 32}
    for weights, stored in bytes_of.items():
        assert (bare["bf16"] / bare[weights] > 0.8 * 2.0 / stored).all()
        assert (time[weights].bound == "memory").all()


@pytest.mark.parametrize("rows", [2, 4, 8])
@pytest.mark.parametrize("name", ["RTX 3090", "RTX 4090", "H20", "Jetson AGX Thor", "L4"])
def test_a_few_rows_cost_what_one_does_on_tensor_cores(name, rows):
    few, one = tr.operators.gemm(name, [rows, 1], 14336, 4096, "int4").time_s
    assert few < 1.25 * one


def test_vector_units_take_two_slots_a_weight():
    # nothing but arithmetic: one multiprocessor's share of 1e12 FLOP/s of vector units, 64 columns a tile
    device = tr.Device(name="slow", memory_bandwidth=1e15, memory_bytes=1e12, sm_count=10,
                       peak={"fp32": 1e12, "bf16": 4e12}, boost_clock_hz=1e9)  # fmt: skip
    own = dict.fromkeys(SPECS["gemm"].constants, 0.0)
    own |= {"compute": 1.0, "memory": 1.0, "stream": 1e9, "quantise": 1.0, "quantise_step": 1.0,
            "cached": 1.0, "resident": 1.0, "split": 1.0}  # fmt: skip
    kernel = BY_ISA[next(iter(BY_ISA))]["gemm_operator"]
    code = dtypes.code("bf16")
    record = tr.Calibration(constants={"gemm": own}).pack()
    one = kernel(device.pack(), record, 1.0, 6400.0, 1000.0, code, code, 0.0)[0]
    assert one == pytest.approx(6400 * 1000 * 4 / 1e12, rel=1e-3)
    # eight rows on tensor cores, whatever the rows are
    two = kernel(device.pack(), record, 8.0, 6400.0, 1000.0, code, code, 0.0)[0]
    assert two == pytest.approx(8 * 6400 * 1000 * 2 / 4e12, rel=1e-3)


def test_what_a_limit_in_watts_leaves():
    # 2 J x 1e12 FLOP/s: twice the limit at full clock, of which the fourth powers leave (1 + 2^2)^(-1/4)
    chip = {"memory_bandwidth": 1e15, "memory_bytes": 1e12, "sm_count": 1, "peak": {"fp32": 1e9, "bf16": 1e12},
            "boost_clock_hz": 1e9}  # fmt: skip
    own = dict.fromkeys(SPECS["gemm"].constants, 0.0)
    own |= {"compute": 1.0, "memory": 1.0, "stream": 1e9, "quantise": 1.0, "quantise_step": 1.0,
            "cached": 1.0, "resident": 1.0, "split": 1.0, "joule": 2e-10}  # fmt: skip
    kernel, code = BY_ISA[next(iter(BY_ISA))]["gemm_operator"], dtypes.code("bf16")
    record = tr.Calibration(constants={"gemm": own}).pack()
    for watts, share in ((100.0, 5**-0.25), (None, 1.0), (1e5, 1.0), (25.0, 65**-0.25)):
        device = tr.Device(name="hot", tdp_w=watts, **chip)
        time = kernel(device.pack(), record, 4096.0, 4096.0, 4096.0, code, code, 0.0)[0]
        assert 2 * 4096**3 / time / 1e12 == pytest.approx(share, rel=1e-3)


# Published block-FP8 kernels on an H20 reach 0.82-0.90 of its peak from 1,024 rows on.
@pytest.mark.parametrize("rows", [1024, 2048, 4096, 8192])
@pytest.mark.parametrize(
    ("n", "k"), [(7168, 16384), (18432, 7168), (7168, 18432), (24576, 7168), (4096, 7168)]
)
def test_block_fp8_on_an_h20(rows, n, k):
    h20 = tr.operators.gemm("H20", rows, n, k, "fp8_block").time_s
    h100 = tr.operators.gemm("H100-SXM", rows, n, k, "fp8_block").time_s
    share = 2.0 * rows * n * k / h20 / 2.96e14
    assert 0.8 < share < 0.93
    assert 2.0 * rows * n * k / h100 / 1.9789e15 < 0.7


def test_constants_carry_over_by_what_limits_a_tile():
    rows = [r for r in fits("gemm") if (r["engine"], r["dtype"]) == ("vllm", "bf16")]
    hopper = [r for r in rows if r["device"].startswith("H")]
    assert len(hopper) == 2
    # the same multiprocessors: their own constants
    for name in ("H20", "H800-SXM", "H100-PCIe"):
        assert carried("gemm", hopper, tr.device(name), "bf16") == geometric_mean(
            r["constants"] for r in hopper
        )
    # other multiprocessors: the share of the peak that the limit left, and clocks in step with its units
    found = carried("gemm", hopper[:1], tr.device("A100-SXM4-80GB"), "bf16")
    known, h100 = hopper[0]["constants"], tr.device("H100-SXM")
    assert hopper[0]["device"] == "H100-SXM" and found["joule"] == 0.0
    over = known["joule"] * 9.894e14 / 700.0
    assert found["compute"] == pytest.approx((1.0 + over**2) ** -0.25)
    operations = {d: tr.device(d).peak["bf16"] / tr.device(d).sm_count / tr.device(d).boost_clock_hz
                  for d in ("H100-SXM", "A100-SXM4-80GB")}  # fmt: skip
    ratio = operations["H100-SXM"] / operations["A100-SXM4-80GB"]
    assert found["fill"] == pytest.approx(known["fill"] * ratio)
    assert found["issue"] == pytest.approx(known["issue"] * ratio)
    moved = (h100.memory_bandwidth / 132 / 1.98e9) / (2.039e12 / 108 / 1.41e9)
    assert found["latency"] == pytest.approx(known["latency"] * moved)
    assert {n: found[n] for n in ("stream", "memory", "t0", "wave")} == {
        n: known[n] for n in ("stream", "memory", "t0", "wave")
    }
    # a type that stands in takes its watts at its own peak
    narrow = carried("gemm", hopper[:1], h100, "fp8")
    assert narrow["joule"] * 1.9789e15 == pytest.approx(known["joule"] * 9.894e14)
    # without a limit, the share
    assert (
        carried("gemm", hopper[:1], h100.replace(tdp_w=None), "bf16")["compute"] == found["compute"]
    )


def test_leaving_a_device_out_is_better_than_a_share_of_the_peak():
    """Before, with one share of the peak: 0.090 on average within a generation, 0.097 for block FP8."""
    rows = [r for r in fits("gemm") if "mape_generation" in r]
    rows = [
        r for r in rows if (r["engine"], r["dtype"]) != ("vllm", "fp8_block")
    ]  # not fitted before
    assert len(rows) >= 31
    assert np.mean([r["mape_generation"] for r in rows]) < 0.083
    blocks = [r["mape_generation"] for r in rows if r["dtype"] == "fp8_block"]
    assert np.mean(blocks) < 0.085


# DeepGEMM on an H800 (deepseek-ai/DeepGEMM, pull requests 73 and 81, 2025): FLOP/s of products alone, of its
# releases' slowest and fastest tiles. Here the activations are narrowed besides.
@pytest.mark.parametrize(("m", "n", "k", "slow", "fast"), [
    (4096, 24576, 1536, 999e12, 1204e12), (4096, 7168, 2048, 1031e12, 1204e12),
    (4096, 7168, 16384, 1404e12, 1500e12), (4096, 4096, 7168, 1304e12, 1377e12),
])  # fmt: skip
def test_block_fp8_on_an_h800(m, n, k, slow, fast):
    device = tr.device("H800-SXM")
    found = find("gemm", device, "vllm", "fp8_block").constants
    time = tr.operators.gemm(device, m, n, k, "fp8_block").time_s
    narrowing = (
        m * (k + found["quantise_row"]) * 3.0 / (found["quantise"] * device.memory_bandwidth)
    )
    rate = 2.0 * m * n * k / (time - narrowing)
    assert slow / 1.2 < rate < fast * 1.2


def test_rows_on_the_hosts_time_do_not_count():
    """Of vLLM's block FP8 short rows take the host: the long ones say four constants, TensorRT-LLM's the rest."""
    free = {"joule", "issue", "fill", "quantise"}
    rows = {
        (r["device"], r["engine"]): r["constants"]
        for r in fits("gemm")
        if r["dtype"] == "fp8_block"
    }
    both = [name for name, engine in rows if engine == "vllm"]
    assert {"H100-SXM", "H200-SXM"} <= set(both)
    for name in both:
        own, other = rows[name, "vllm"], rows[name, "trtllm"]
        assert {n for n in own if own[n] != other[n]} <= free and own["joule"] != other["joule"]
    spec = SPECS["gemm"]
    shapes = {n: np.full(5000, 128.0) for n in "mnk"} | {
        "dtype": np.full(5000, "fp8_block", object)
    }
    table = Table(shapes, np.r_[np.full(3900, 6e-5), np.full(1100, 2e-4)])
    assert len(device_bound(spec, "vllm", "fp8_block", table)) == 1100
    assert len(device_bound(spec, "trtllm", "fp8_block", table)) == 5000
    few = table.where(np.arange(5000) < 4800)
    assert len(device_bound(spec, "vllm", "fp8_block", few)) == 0
    shapes["n"][0], shapes["k"][1], shapes["m"][2] = 192.0, 64.0, 100.0
    assert spec.rows("vllm", shapes).nonzero()[0][0] == 2


def test_experts_carry_over_as_products_do():
    rows = [r for r in fits("experts") if r["device"] == "H100-SXM" and r["dtype"] == "fp8_block"][
        :1
    ]
    known = rows[0]["constants"]
    assert carried("experts", rows, tr.device("H100-SXM"), "fp8_block") == known
    h20 = carried("experts", rows, tr.device("H20"), "fp8_block")
    # (2.96e14 FLOP/s / 400 W) over (1.9789e15 / 700 W), and bytes/s of a multiprocessor as they are
    over = (known["compute"] ** -4 - 1.0) ** 0.5 * (2.96 / 4.0) / (19.789 / 7.0)
    assert h20["compute"] == pytest.approx((1.0 + over**2) ** -0.25)
    assert h20["stream"] == pytest.approx(known["stream"] * (3.35 / 132) / (4.0 / 78))
    assert {n: x for n, x in h20.items() if n not in ("compute", "stream")} == {
        n: x for n, x in known.items() if n not in ("compute", "stream")
    }
    # another generation: as they are
    assert carried("experts", rows, tr.device("B200-SXM"), "fp8_block") == known


def test_activations_of_one_scale_come_narrow():
    """The kernel before writes them in FP8: no kernel of its own narrows them in a step, nothing is read again."""
    own = tr.Calibration(constants={"engine": {"kernel_gap": 1e-3, "collective_gap": 0.0}})

    def launches(weights):
        plan = tr.Plan(weights=weights, kv_cache="fp8")
        step = tr.decode("H200-SXM", "Llama-3.1-8B", plan, batch=1, context=64, fidelity=own)
        return step.breakdown()["cause"]["launch"]

    # 32 layers with two blocks of two products each
    assert launches("fp8_block") - launches("fp8") == pytest.approx(128e-3, rel=1e-9)
    assert launches("fp8") == launches("bf16")

    def bytes_a_token(weights):
        plan = tr.Plan(weights=weights, kv_cache="fp8")
        steps = [
            tr.prefill("H200-SXM", "Llama-3.1-8B", plan, tokens=n, fidelity="datasheet")
            for n in (256, 512)
        ]
        return (steps[1].bytes - steps[0].bytes) / 256.0

    # inner sizes of a layer's products: attention's two, the MLP's two; a value is read in 16 bits, written in 8
    assert bytes_a_token("fp8_block") - bytes_a_token("fp8") == pytest.approx(
        32 * 3.0 * (3 * 4096 + 14336), rel=1e-9
    )
    # alone it is as tables have it
    alone = tr.operators.gemm("H200-SXM", 512, 4096, 4096, "fp8", fidelity="datasheet").bytes
    assert alone == 4096.0**2 + 512 * 4096 * (1.0 + 3.0 + 2.0)
