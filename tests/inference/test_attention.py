"""Attention by its measured forms: their twins, their limits, and the constants that are shipped."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tokenroof as tr
from _support import BY_ISA, every_isa, same
from tokenroof import _core, reference
from tokenroof.calibrate import SPECS
from tokenroof.catalogue.fits import fits
from tokenroof.records import dtypes

OPERATORS = ("attention_decode", "attention_prefill", "mla_decode", "mla_prefill")
DEVICES = ("H100-SXM", "B300-SXM", "L40S", "Instinct MI300X", "TPU v5p")
CACHES = ("bf16", "fp8", "nvfp4")
batch = st.floats(0, 4096) | st.integers(0, 300).map(float)
length = st.floats(0, 2e5) | st.integers(0, 9000).map(float)
window = st.just(0.0) | st.integers(1, 9000).map(float)


def own(operator):
    """Constants of an operator anywhere within their ranges."""
    return st.fixed_dictionaries({
        name: st.floats(r.low, r.high) for name, r in SPECS[operator].constants.items()
    })  # fmt: skip


def heads(draw):
    kv_heads = draw(st.sampled_from([1, 2, 4, 8, 12]))
    return float(kv_heads * draw(st.sampled_from([1, 2, 5, 8, 16, 48, 128]))), float(kv_heads)


@st.composite
def arguments(draw, operator):
    kv, maths = (float(dtypes.code(draw(st.sampled_from(CACHES)))) for _ in range(2))
    many, few = heads(draw)
    width, other = (float(draw(st.sampled_from([64, 128, 192, 256, 512]))) for _ in range(2))
    rank, rope = 64.0 * draw(st.integers(1, 10)), float(draw(st.sampled_from([0, 64])))
    flag = float(draw(st.booleans()))
    b, n, past = draw(batch), draw(length), draw(length)
    return {
        "attention_decode": (b, n, many, few, width, other, draw(window), kv, flag),
        "attention_prefill": (b, n, past, many, few, width, other, draw(window), kv, maths),
        "mla_decode": (b, n, many, rank, rope, kv, flag),
        "mla_prefill": (b, n, past, many, width, rope, other, rank, flag, maths, kv),
    }[operator]


@pytest.mark.parametrize("operator", OPERATORS)
@given(data=st.data())
@every_isa
def test_equals_the_reference(isa, operator, data):
    device = tr.device(data.draw(st.sampled_from(DEVICES))).pack()
    blocks = {operator: data.draw(own(operator))}
    if operator == "attention_prefill" and data.draw(st.booleans()):
        blocks["attention_decode"] = data.draw(own("attention_decode"))
        blocks[operator]["single"] = 1.0
    record = tr.Calibration(constants=blocks).pack()
    given_ = data.draw(arguments(operator))
    got = BY_ISA[isa][f"{operator}_operator"](device, record, *given_)
    want = getattr(reference, f"{operator}_operator")(device, record, *given_)
    assert same(got, [want[field] for field in _core.OPERATOR_FIELDS])


@pytest.mark.parametrize("operator", OPERATORS)
@given(data=st.data())
@every_isa
def test_bad_sizes_are_nan_and_no_sequences_cost_nothing(isa, operator, data):
    constants = {operator: fits(operator)[0]["constants"]}
    record = tr.Calibration(constants=constants).pack()
    kernel, device = BY_ISA[isa][f"{operator}_operator"], tr.device("H100-SXM").pack()
    some = list(data.draw(arguments(operator)))
    amounts = 3 if "prefill" in operator else 2
    for i in range(amounts):
        for bad in (math.nan, -1.0):
            with np.errstate(all="ignore"):
                assert np.isnan(kernel(device, record, *some[:i], bad, *some[i + 1:])).all()  # fmt: skip
    with np.errstate(under="ignore"):
        assert kernel(device, record, 0.0, *some[1:])[0] == 0.0
    if "prefill" in operator:
        assert kernel(device, record, some[0], 0.0, *some[2:])[0] == 0.0


@given(constants=own("attention_decode"), shape=st.tuples(
    st.integers(1, 512), st.integers(1, 90000), st.integers(1, 90000),
    st.sampled_from([(32, 8), (8, 1), (64, 64), (128, 1)]), st.sampled_from([0, 128, 4096]),
    st.booleans()))  # fmt: skip
def test_longer_contexts_never_take_less(constants, shape):
    n, context, more, (many, few), seen, warm = shape
    fidelity = tr.Calibration(constants={"attention_decode": constants})
    short, long = tr.operators.attention_decode(
        "H200-SXM", n, [context, context + more], many, few, 128, seen, warm=warm, fidelity=fidelity
    ).time_s  # fmt: skip
    assert short <= long * (1 + 1e-12)


@given(constants=own("attention_decode"), n=st.integers(1, 512), context=st.integers(1, 90000))
def test_warm_caches_are_never_slower_and_big_ones_are_cold(constants, n, context):
    def time(n, context, warm):
        fidelity = tr.Calibration(constants={"attention_decode": constants})
        return tr.operators.attention_decode(
            "H200-SXM", n, context, 32, 8, 128, warm=warm, fidelity=fidelity
        ).time_s  # fmt: skip

    assert time(n, context, True) <= time(n, context, False) * (1 + 1e-12)
    assert time(4096, 131072, True) == pytest.approx(time(4096, 131072, False), rel=1e-6)


@given(constants=own("attention_prefill"), n=st.integers(1, 64), tokens=st.integers(2, 20000),
       more=st.integers(1, 9000), past=st.sampled_from([0, 100, 8192]),
       seen=st.sampled_from([0, 128, 4096]))  # fmt: skip
def test_longer_prompts_never_take_less(constants, n, tokens, more, past, seen):
    fidelity = tr.Calibration(constants={"attention_prefill": constants | {"single": 0.0}})
    # as far as the L2 does not decide: activations that fit are read from it
    fidelity.constants["attention_prefill"]["cached"] = 1.0
    short, long = tr.operators.attention_prefill(
        "B200-SXM", n, [tokens, tokens + more], past, 32, 8, 128, seen, fidelity=fidelity
    ).time_s  # fmt: skip
    assert short <= long * (1 + 1e-12)


def test_prompts_of_one_token_are_decodes_where_the_engine_runs_them_so():
    one = tr.operators.attention_prefill("H200-SXM", 64, 1, 4095, 32, 8, 128, engine="vllm")
    decode = tr.operators.attention_decode("H200-SXM", 64, 4096, 32, 8, 128, engine="vllm")
    assert one.time_s == decode.time_s
    trt = tr.operators.attention_prefill("H200-SXM", 64, 1, 4095, 32, 8, 128, engine="trtllm")
    assert trt.time_s > decode.time_s


def test_absorbed_prompts_do_more_work_and_keep_less():
    few, many = (
        tr.operators.mla_prefill("H200-SXM", 1, 512, 32768, 128, fidelity="datasheet", absorbed=a)
        for a in (False, True)
    )
    assert many.flops == pytest.approx(few.flops * (2 * 512 + 64) / (192 + 128))
    assert many.bytes < few.bytes


@pytest.mark.parametrize("operator", OPERATORS)
def test_shipped_constants_stand_within_their_ranges(operator):
    spec, rows = SPECS[operator], fits(operator)
    assert len(rows) >= 17
    for row in rows:
        assert row["constants"].keys() == spec.constants.keys()
        for name, value in row["constants"].items():
            r = spec.constants[name]
            assert r.low * 0.999 <= value <= r.high * 1.001, (row["device"], row["engine"], name)
        assert 0.0 < row["band"] < 0.7 and row["rows"] > 60


@pytest.mark.parametrize("row", fits("attention_decode"),
                         ids=lambda row: f"{row['device']} {row['engine']} {row['dtype']}")  # fmt: skip
def test_the_datasheet_bounds_what_was_fitted(row):
    n, context, kv_heads, seen = np.meshgrid(
        [1, 16, 256, 2048], [1, 300, 8192, 131072], [1, 8], [0, 128]
    )
    for warm in (False, True):
        fitted, best = (
            tr.operators.attention_decode(
                row["device"], n, context, kv_heads * 8, kv_heads, 128, seen, row["dtype"],
                warm=warm, engine=row["engine"], fidelity=fidelity,
            ).time_s
            for fidelity in ("calibrated", "datasheet")
        )  # fmt: skip
        assert (fitted >= best * (1 - 1e-12)).all()


def test_any_device_is_answered_with_a_wider_band():
    def decode(name):
        return tr.operators.attention_decode(name, 64, 4096, 32, 8, 128)

    measured, sibling, stranger = decode("H100-SXM"), decode("H20"), decode("Instinct MI300X")
    assert measured.error_band < sibling.error_band < stranger.error_band
    assert decode("Gaudi 3").time_s > 0  # no count of multiprocessors


def test_the_datasheet_lets_latent_attention_multiply_eight_bits():
    """128 heads on a latent of eight bits: bound by compute at the rate of 16 bits, by memory at that of eight."""
    shape = (512, 8192, 128, 512, 64)
    wide = tr.operators.mla_decode("B200-SXM", *shape, kv_dtype="bf16", fidelity="datasheet")
    narrow = tr.operators.mla_decode("B200-SXM", *shape, kv_dtype="fp8", fidelity="datasheet")
    assert wide.bound == "memory" and narrow.bound == "memory"
    assert narrow.time_s == pytest.approx(narrow.bytes / tr.device("B200-SXM").memory_bandwidth)
    slower = narrow.flops / tr.device("B200-SXM").peak["bf16"]
    assert narrow.time_s < 0.7 * slower


@pytest.mark.parametrize("window", [128, 1024])
@pytest.mark.parametrize("cp", [1, 2])
@pytest.mark.parametrize("fidelity", ["calibrated", "datasheet"])
def test_floating_point_work_of_a_window_is_that_of_its_keys_alone(window, cp, fidelity):
    """What kernels read beyond a window is in bytes and time; FLOPs are 2 H (d + d_v) for each key that is seen."""
    model = tr.model("gpt-oss-20b").replace(window=window)
    layers, keys = (model.window_layers, model.full_layers), (window - 64.0, 40000.0 - 64.0)
    step = [
        tr.decode("H200-SXM", model, tr.Plan(cp=cp), batch=3, context=c, fidelity=fidelity)
        for c in (64.0, 40000.0)
    ]
    pairs = layers[0] * keys[0] + layers[1] * keys[1]
    pair = 2.0 * model.heads * (model.head_dim + model.v_head_dim)
    assert step[1].flops - step[0].flops == pytest.approx(3.0 * pairs * pair, rel=1e-9)
