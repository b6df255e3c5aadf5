"""Experts by their measured form: its twin, routing, its limits, and the constants that are shipped."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tokenroof as tr
from _support import BY_ISA, each_isa, every_isa, same, within
from tokenroof import _core, kernels, reference
from tokenroof.calibrate import SPECS
from tokenroof.catalogue.fits import fits
from tokenroof.inference import constants as _constants
from tokenroof.inference.door import deployment
from tokenroof.records import dtypes
from tokenroof.reference.core.roundings import counting
from tokenroof.reference.inference.routing import Routing, loads

constants = st.fixed_dictionaries({
    "t0": st.floats(0, 1e-4), "compute": st.floats(0.05, 1.0), "memory": st.floats(0.05, 1.0),
    "overlap": st.floats(0, 1 / 3), "stream": st.floats(0.1, 30), "tile": st.sampled_from([64.0, 128.0, 256.0]),
    "tile_loss": st.floats(0, 500), "touched": st.floats(0, 5e-6), "held": st.floats(0, 5e-6),
    "local": st.floats(0.02, 30), "routed": st.floats(0.02, 30), "token": st.floats(0.02, 30),
    "misaligned": st.floats(1, 6), "reread": st.floats(0.05, 30), "parted": st.floats(0, 1e-4),
    "cached": st.floats(1, 10), "resident": st.floats(0.3, 1.5),
})  # fmt: skip
DEVICES = ("H100-SXM", "B300-SXM", "L40S", "Instinct MI300X")
RATES = ("bf16", "fp8", "fp8_block", "nvfp4", "mxfp4", "mxfp4_mxfp8")
LAYERS = st.sampled_from([(256, 8), (128, 8), (8, 2), (16, 1), (384, 6), (160, 8), (512, 10)])
SIZES = st.integers(64, 20000).map(float)
RANKS = st.sampled_from([1.0, 2.0, 4.0, 8.0])
TOKENS = st.integers(1, 40000).map(float) | st.floats(0, 300)


@st.composite
def shapes(draw):
    experts, topk = draw(LAYERS)
    return [draw(SIZES), draw(SIZES), float(experts), float(topk), draw(st.sampled_from([2.0, 3.0])),
            draw(RANKS), draw(RANKS)]  # fmt: skip


@given(own=constants, name=st.sampled_from(DEVICES), dtype=st.sampled_from(RATES), tokens=TOKENS,
       shape=shapes(), warm=st.sampled_from([0.0, 1.0]))  # fmt: skip
@every_isa
def test_balanced_equals_the_reference(isa, own, name, dtype, tokens, shape, warm):
    device, code = tr.device(name).pack(), dtypes.code(dtype)
    record = tr.Calibration(constants={"experts": own}).pack()
    got = BY_ISA[isa]["experts_operator"](device, record, tokens, *shape, -1.0, code, warm)
    want = reference.experts_operator(device, record, tokens, *shape, -1.0, code, warm)
    assert same(got, [want[field] for field in _core.OPERATOR_FIELDS])
    # random routing passes through log1p and expm1, by an ulp or two from libm's
    got = BY_ISA[isa]["experts_operator"](device, record, tokens, *shape, 0.0, code, warm)
    want = reference.experts_operator(device, record, tokens, *shape, 0.0, code, warm)
    np.testing.assert_allclose(
        got, [want[field] for field in _core.OPERATOR_FIELDS], rtol=1e-14, atol=0.0
    )


@given(own=constants, dtype=st.sampled_from(RATES), tokens=st.integers(1, 40000).map(float),
       shape=shapes(), skew=st.floats(0.2, 4))  # fmt: skip
def test_skewed_is_near_the_reference_and_alike_on_every_instruction_set(
    own, dtype, tokens, shape, skew
):
    device, code = tr.device("H200-SXM").pack(), dtypes.code(dtype)
    record = tr.Calibration(constants={"experts": own}).pack()
    with counting():
        want = reference.experts_operator(device, record, tokens, *shape, skew, code, 1.0)
    each = [
        k["experts_operator"](device, record, tokens, *shape, skew, code, 1.0)
        for k in BY_ISA.values()
    ]
    assert all(same(got, each[0]) for got in each)
    amounts = [_core.OPERATOR_FIELDS.index(n) for n in ("time", "flops", "bytes")]
    assert within(each[0][amounts], [want[n] for n in ("time", "flops", "bytes")]).all()


@each_isa
def test_bad_tokens_are_nan_and_none_cost_nothing(isa):
    record = tr.Calibration(constants={"experts": fits("experts")[0]["constants"]}).pack()
    kernel, device = BY_ISA[isa]["experts_operator"], tr.device("H100-SXM").pack()
    shape = (7168, 2048, 256, 8, 3, 1, 8)
    for skew in (0.0, 1.2):
        assert np.isnan(kernel(device, record, math.nan, *shape, skew, 5, 1.0)).all()
        with np.errstate(invalid="ignore"):
            assert np.isnan(kernel(device, record, -1.0, *shape, skew, 5, 1.0)[0])
        assert kernel(device, record, 0.0, *shape, skew, 5, 1.0)[0] == 0.0


@given(own=constants, tokens=st.integers(1, 40000), more=st.integers(1, 4000), shape=shapes())
def test_more_tokens_never_take_less_when_balanced(own, tokens, more, shape):
    hidden, intermediate, experts, topk, matrices, moe_tp, moe_ep = shape
    few, many = tr.operators.experts(
        "H200-SXM", [tokens, tokens + more], hidden, intermediate, experts, topk, moe_tp, moe_ep,
        matrices=matrices, fidelity=tr.Calibration(constants={"experts": own}),
    ).time_s  # fmt: skip
    assert few <= many * (1 + 1e-12)


@given(tokens=st.integers(1, 40000).map(float), layer=LAYERS, ranks=RANKS,
       skew=st.just(0.0) | st.floats(0.2, 4))  # fmt: skip
def test_loads_stay_within_what_there_is(tokens, layer, ranks, skew):
    experts, topk = map(float, layer)
    load = loads(tokens, Routing(experts, topk, ranks, skew), 64.0)
    pairs, local = tokens * topk, experts / ranks
    slack = 1 + 1e-9
    assert pairs / ranks <= load.pairs * slack and load.pairs <= pairs * slack
    assert load.pairs <= tokens * min(local, topk) * slack or skew == 0.0
    assert load.touched <= local * slack and load.touched <= load.pairs * slack
    assert load.pairs / 64.0 <= load.tiles * slack and load.touched <= load.tiles * slack


@pytest.mark.parametrize("skew", [0.8, 1.01, 1.2])
@pytest.mark.parametrize(
    ("tokens", "ranks"), [(256, 1), (256, 8), (4096, 8), (4096, 64), (16384, 2)]
)
def test_loads_are_those_of_random_draws(tokens, ranks, skew):
    """Against the mean of draws from the power law, rounded to whole tokens."""
    experts, topk, rows = 256, 8, 64
    rng = np.random.default_rng(7)
    most, q = 0.8 * tokens, 1.0 - skew
    x = ((most**q - 1.0) * rng.random((400, experts)) + 1.0) ** (1.0 / q)
    counts = np.round(x / x.sum(1, keepdims=True) * tokens * topk).clip(max=tokens)
    groups = counts.reshape(400, ranks, -1)
    busiest = groups[np.arange(400), groups.sum(2).argmax(1)]
    load = loads(
        float(tokens), Routing(float(experts), float(topk), float(ranks), skew), float(rows)
    )
    assert load.pairs == pytest.approx(busiest.sum(1).mean(), rel=0.12)
    assert load.touched == pytest.approx((busiest > 0).sum(1).mean(), rel=0.08)
    assert load.tiles == pytest.approx(np.ceil(busiest / rows).sum(1).mean(), rel=0.15)


def test_no_skew_is_balanced_and_skew_costs_when_ranks_wait():
    layer = (7168, 2048, 256, 8)
    even = tr.operators.experts("H200-SXM", 8192, *layer, moe_ep=16)
    skewed = tr.operators.experts("H200-SXM", 8192, *layer, moe_ep=16, skew=1.2)
    assert even.time_s == tr.operators.experts("H200-SXM", 8192, *layer, moe_ep=16, skew=0).time_s
    assert skewed.time_s > 1.3 * even.time_s
    # few tokens: skewed routing touches fewer experts
    assert tr.operators.experts("H200-SXM", 64, *layer, skew=1.2).bytes < tr.operators.experts(
        "H200-SXM", 64, *layer).bytes  # fmt: skip


def test_experts_without_a_gate_are_known():
    assert tr.operators.layer_matrices(2688, 1856, 128, 6) == 2.0
    assert tr.operators.layer_matrices(7168, 2048, 256, 8) == 3.0
    layer = (2688, 1856, 128, 6)
    known = tr.operators.experts("H200-SXM", 4096, *layer, dtype="bf16")
    gated = tr.operators.experts("H200-SXM", 4096, *layer, dtype="bf16", matrices=3)
    assert known.flops * 1.5 == pytest.approx(gated.flops)


@pytest.mark.parametrize("skew", [-0.1, math.nan, math.inf, 11.0, True])
def test_bad_skew_is_named(skew):
    with pytest.raises(ValueError, match="skew is"):
        tr.operators.experts("H200-SXM", 64, 7168, 2048, 256, 8, skew=skew)


@pytest.mark.parametrize("row", fits("experts"),
                         ids=lambda row: f"{row['device']} {row['engine']} {row['dtype']}")  # fmt: skip
def test_shipped_constants_stand_within_their_ranges_and_below_the_datasheet(row):
    ranges = SPECS["experts"].constants
    assert row["constants"].keys() == ranges.keys()
    for name, value in row["constants"].items():
        if name not in SPECS["experts"].fixed(row["dtype"]):
            assert ranges[name].low * 0.999 <= value <= ranges[name].high * 1.001
    assert row["rows"] > 500 and 0.0 < row["band"] < 0.6
    tokens, moe_ep = np.meshgrid([1.0, 16.0, 100.0, 1024.0, 16384.0], [1.0, 8.0])
    for layer in ((7168, 2048, 256, 8), (4096, 14336, 8, 2), (2048, 768, 128, 8)):
        for skew in (0.0, 1.2):
            fitted, best = (
                tr.operators.experts(row["device"], tokens, *layer, moe_ep=moe_ep, dtype=row["dtype"],
                                     skew=skew, engine=row["engine"], fidelity=fidelity).time_s
                for fidelity in ("calibrated", "datasheet")
            )  # fmt: skip
            assert (fitted >= best * (1 - 1e-12)).all()


def test_with_an_all_to_all_a_rank_handles_the_tokens_of_its_experts_alone():
    """The same tokens per rank: more ranks hold fewer experts each, and none gets slower by much."""
    speed = []
    for ranks in (8, 16, 32, 64):
        plan = tr.Plan(dp=ranks, moe_ep=ranks, weights="fp8_block", kv_cache="fp8", engine="trtllm")
        step = tr.decode("GB200-NVL72", "DeepSeek-V3", plan, batch=64 * ranks, context=2048)
        speed.append(float(step.tokens_per_s / ranks))
    assert speed[0] < speed[1] < speed[2] and speed[3] > 0.95 * speed[2]


@pytest.mark.parametrize("operator", ["gemm", "attention_decode"])
def test_what_comes_from_another_generation_keeps_that_band_whatever_type_it_stands_in_for(
    operator,
):
    a100, h100 = tr.device("A100-SXM4-80GB"), tr.device("H100-SXM")
    for dtype in ("bf16", "fp16", "int8", "fp32"):
        far, near = (_constants.find(operator, d, "vllm", dtype) for d in (a100, h100))
        assert (far is None) == (near is None)
        assert far is None or far.band > max(0.3, 1.5 * near.band)


@given(
    model=st.sampled_from(["Qwen3-235B-A22B", "DeepSeek-V3", "gpt-oss-120b", "Kimi-K2.5", "GLM-4.5", "MiniMax-M2.5"]),
    device=st.sampled_from(["H100-SXM", "B200-SXM", "GB200-NVL72", "L40S", "A100-SXM4-80GB", "MI300X"]),
    engine=st.sampled_from(["vllm", "trtllm", "sglang"]), weights=st.sampled_from(["bf16", "fp8", "fp8_block"]),
    kv=st.sampled_from(["bf16", "fp8"]), tp=st.sampled_from([1, 2, 8]), dp=st.sampled_from([1, 1, 4]),
    batch=st.integers(1, 4096), context=st.integers(1, 200_000),
)  # fmt: skip
def test_no_step_of_a_mixture_is_faster_than_the_datasheet_allows(
    model, device, engine, weights, kv, tp, dp, batch, context
):
    """Serving's routing is uneven and touches fewer experts than even routing: the bound knows it."""
    plan = tr.Plan(tp=tp, dp=dp, weights=weights, kv_cache=kv, engine=engine)
    try:
        plan.check(tr.model(model))
        load = {"batch": float(batch), "context": float(context)}
        calibrated = tr.decode(device, model, plan, **load).time_s
    except ValueError:
        return  # a layout that does not divide this model
    assert calibrated >= tr.decode(device, model, plan, **load, fidelity="datasheet").time_s * (
        1 - 1e-12
    )


@pytest.mark.parametrize("fidelity", ["calibrated", "datasheet"])
@pytest.mark.parametrize(
    ("tokens", "held", "topk"), [(1, 128, 8), (8, 256, 8), (64, 128, 4), (40, 8, 2)]
)
def test_random_routing_touches_what_experts_touched_counts(fidelity, tokens, held, topk):
    """In both forms; no skew, or "balanced", is another thing, by its own name."""
    shape = {"hidden": 4096, "intermediate": 1536, "experts": held, "topk": topk, "dtype": "bf16"}

    def weights(skew):
        two = [
            float(
                tr.operators.experts(
                    "H200-SXM", tokens, **{**shape, "intermediate": width}, skew=skew, matrices=3,
                    fidelity=fidelity,
                ).bytes
            )
            for width in (1536, 3072)
        ]  # fmt: skip
        pairs = (
            tokens * topk * 1536 * 2.0 * 4.0
        )  # activations of either product that grow with the width
        return two[1] - two[0], pairs

    random, balanced = weights("random")[0], weights("balanced")[0]
    assert weights(0.0)[0] == balanced
    one = 3 * 4096 * 1536 * 2.0
    touched = float(tr.kernels.experts_touched(tokens, held, topk))
    even = min(held, tokens * topk)
    assert (balanced - random) == pytest.approx((even - touched) * one, rel=1e-9)
    assert random == pytest.approx(touched * one, rel=0.02)


def test_in_a_step_launches_are_their_own_and_no_gaps():
    """Tables time all kernels of experts but the router together: their t0 per layer stands for the gaps."""
    known = next(
        r["constants"]
        for r in fits("experts")
        if (r["device"], r["engine"], r["dtype"]) == ("H200-SXM", "vllm", "fp8_block")
    )

    def launches(types, t0, gap):
        own = tr.Calibration(constants={
            "experts": known | {"t0": t0}, "engine": {"kernel_gap": gap, "collective_gap": 0.0},
        })  # fmt: skip
        plan = tr.Plan(tp=8, moe_ep=8, weights=types, kv_cache="fp8")
        step = tr.decode("H200-SXM", "Qwen3-235B-A22B", plan, batch=4, context=1024, fidelity=own)
        return step.breakdown()["cause"]["launch"]

    assert launches("fp8_block", 2e-3, 0.0) - launches("fp8_block", 0.0, 0.0) == pytest.approx(
        94 * 2e-3
    )

    def waiting(types, fidelity="calibrated", model="Qwen3-235B-A22B"):
        plan = tr.Plan(
            tp=8, moe_ep=8 if model == "Qwen3-235B-A22B" else None, weights=types, kv_cache="fp8"
        )
        terms = kernels.serving_terms(
            *deployment("H200-SXM", model, plan, fidelity).records, 1.0, 64.0, 1.0
        )
        many, gaps = (float(terms[kernels.SERVING_TERMS.index(n)]) for n in ("kernels", "waiting"))
        return many, gaps

    # top-k, permutation, experts and sum of 94 layers; narrowing where activations are narrow
    for types, each in (("bf16", 4), ("fp8_block", 5)):
        many, gaps = waiting(types)
        assert many - gaps == 94 * each
        differs = launches(types, 0.0, 1e-3) - launches(types, 0.0, 0.0)
        assert differs == pytest.approx(1e-3 * gaps, rel=1e-9)
    for many, gaps in (waiting("bf16", "datasheet"), waiting("bf16", model="Llama-3.1-8B")):
        assert many == gaps


def test_ranks_that_hold_some_of_the_experts_each_launch_with_the_picking_of_their_tokens():
    """`parted` counts per layer where moe_ep is above 1, and there alone; constants without it have none."""
    known = {name: 0.0 if name == "parted" else value for name, value in
             fits("experts")[0]["constants"].items()}  # fmt: skip
    layer = (2880, 2880, 128, 4)

    def seconds(parted, moe_tp, moe_ep):
        own = tr.Calibration(constants={"experts": known | parted}, whole=True)
        return float(
            tr.operators.experts("H200-SXM", 8, *layer, moe_tp, moe_ep, fidelity=own).time_s
        )

    for moe_tp, moe_ep in ((1, 1), (8, 1), (1, 8), (2, 4)):
        more = seconds({"parted": 3e-5}, moe_tp, moe_ep) - seconds({"parted": 0.0}, moe_tp, moe_ep)
        assert more == pytest.approx(3e-5 if moe_ep > 1 else 0.0, rel=1e-9, abs=1e-15)
    older = {name: value for name, value in known.items() if name != "parted"}
    without = tr.Calibration(constants={"experts": older}, whole=True)
    same_as = tr.operators.experts("H200-SXM", 8, *layer, 1, 8, fidelity=without)
    assert float(same_as.time_s) == seconds({"parted": 0.0}, 1, 8)


def test_experts_that_fit_the_l2_are_read_from_it_where_benchmarks_repeat_them():
    """Their weights alone, by the sixth power of their bytes over what stays; a step's are cold."""
    known = fits("experts")[0]["constants"]
    known |= {"cached": 4.0, "resident": 0.5, "reread": 30.0, "overlap": 1e-9, "t0": 0.0, "touched": 0.0,
              "held": 0.0, "tile_loss": 0.0, "memory": 0.8, "stream": 1e9, "misaligned": 1.0}  # fmt: skip
    device, code = tr.device("L40S"), dtypes.code("bf16")
    place = dict(zip(_core.OPERATOR_FIELDS, range(99), strict=False))
    record = tr.Calibration(constants={"experts": known}).pack()

    def seconds(tokens, warm, field="memory_s"):
        shape = (tokens, 1024.0, 512.0, 64.0, 1.0, 3.0, 1.0, 1.0, -1.0, code)
        return kernels.experts_operator(device.pack(), record, *shape, warm)[place[field]]

    each = 3 * 1024 * 512 * 2
    for tokens in (4.0, 8.0, 32.0):
        cold = each * tokens / (0.8 * device.memory_bandwidth)
        saved = 0.75 / (1.0 + (each * tokens / (0.5 * device.l2_bytes)) ** 6)
        assert seconds(tokens, 0.0) - seconds(tokens, 1.0) == pytest.approx(saved * cold, rel=1e-6)
    own = tr.Calibration(constants={"experts": known}, whole=True)
    asked = tr.operators.experts("L40S", 8, 1024, 512, 64, 1, dtype="bf16", fidelity=own)
    assert float(asked.time_s) == seconds(8.0, 0.0, "time")
    older = {name: x for name, x in known.items() if name not in ("cached", "resident")}
    record = tr.Calibration(constants={"experts": older}).pack()  # constants of no L2
    assert seconds(8.0, 1.0) == seconds(8.0, 0.0)


def test_mxfp4_launches_of_both_layouts_are_those_of_their_tables():
    """vLLM's Triton kernels on Hopper, a token in the median: 37 us split by width, 67 with experts parted."""
    for device in ("H100-SXM", "H200-SXM"):
        whole, parted = (
            float(tr.operators.experts(device, 1, 2880, 2880, 32, 4, *shape, dtype="mxfp4", engine="vllm").time_s)
            for shape in ((32, 1), (1, 32))
        )  # fmt: skip
        assert whole == pytest.approx(37e-6, rel=0.05)
        assert parted - whole == pytest.approx(30e-6, rel=0.25)
