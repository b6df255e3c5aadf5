"""Points of operators that random draws miss, against the reference: whole skews, nothing to do, depths of splits."""

import inspect
from dataclasses import replace

import numpy as np
import pytest

import tokenroof as tr
from _support import (
    BY_ISA,
    MEASURED,
    OPERATORS,
    STEPS,
    constants_of,
    each_isa,
    loads,
    named,
    within,
)
from tokenroof import _core, kernels, reference
from tokenroof.records import dtypes
from tokenroof.reference.core.roundings import counting

DEVICE = tr.device("H200-SXM").pack()
RECORD = tr.Calibration(
    constants={block: constants_of(block, 11) for block in sorted(MEASURED)}
).pack()
PLAIN = tr.Calibration.ideal().pack()
NAMED = {"weights", "activations", "kv_dtype", "maths_dtype"}
# an ordinary shape of each argument, degrees above 1
SIZES = {
    "tokens": 96.0, "past": 700.0, "batch": 24.0, "context": 3000.0, "ranks": 8.0, "nbytes": 1e7, "window": 512.0,
    "moe_tp": 2.0, "moe_ep": 4.0, "matrices": 3.0, "topk": 8.0, "experts": 128.0, "skew": 0.0, "residual": 1.0,
    "greedy": 0.0, "sequences": 3.0, "zero_experts": 16.0, "streams": 4.0, "ratio": 4.0, "overlap": 1.0,
    "hidden": 4096.0, "intermediate": 1536.0, "heads": 32.0, "kv_heads": 8.0, "head_dim": 128.0,
}  # fmt: skip
NOTHING = ("tokens", "batch", "sequences", "nbytes", "rows", "m")


def _arguments(name):
    return list(inspect.signature(getattr(kernels, name)).parameters)[2:-3]


def _shape(name, **changes):
    sizes = SIZES | changes
    return [
        float(dtypes.code("bf16")) if a in NAMED else sizes.get(a, 640.0) for a in _arguments(name)
    ]


def _check(isa, name, given, record):
    got = BY_ISA[isa][name](DEVICE, record, *given)
    dd = dict(zip(_core.DEVICE_FIELDS, map(float, DEVICE), strict=True))
    cc = dict(zip(_core.CALIBRATION_FIELDS, map(float, record), strict=True))
    with counting():
        answer = getattr(reference, name)(dd, cc, *given)
    want = [answer[f] for f in _core.OPERATOR_FIELDS]
    good = within(got, want)
    if name in ("experts_operator", "grouped_gemm_operator", "latent_experts_operator"):
        # which roof binds may differ where both are equal to the last bits
        good = good[[_core.OPERATOR_FIELDS.index(f) for f in ("time", "flops", "bytes")]]
        binds = [_core.OPERATOR_FIELDS.index(f) for f in ("memory_s", "compute_s")]
        np.testing.assert_allclose(
            got[binds].sum(), sum(float(want[i]) for i in binds), rtol=1e-12, atol=0.0
        )
        assert good.all(), (name, given)
    else:
        assert good.all(), (
            name,
            given,
            dict(zip(_core.OPERATOR_FIELDS, zip(got, want, strict=True), strict=True)),
        )


@each_isa
@pytest.mark.parametrize("record", [PLAIN, RECORD], ids=["plain", "measured"])
@pytest.mark.parametrize("name", OPERATORS)
def test_each_argument_at_its_edges(isa, name, record):
    """Nothing to do, one, and each other argument at 1 and at 2, of an ordinary shape."""
    _check(isa, name, _shape(name), record)
    for argument in _arguments(name):
        if argument in NAMED:
            for kind in ("bf16", "fp8", "fp8_block", "nvfp4", "int4", "mxfp4"):
                given = _shape(name)
                given[_arguments(name).index(argument)] = float(dtypes.code(kind))
                _check(isa, name, given, record)
            continue
        values = [1.0, 2.0, 3.0]
        if argument in NOTHING or argument in (
            "past",
            "context",
            "window",
            "residual",
            "overlap",
            "zero_experts",
        ):
            values.append(0.0)
        if argument == "experts":
            values = [8.0, 9.0, 512.0]
        if argument in ("matrices", "streams", "ratio"):
            values = [2.0, 3.0, 4.0]
        if argument == "topk":
            values = [1.0, 2.0, 128.0]
        if argument == "skew":
            values = [-1.0, 0.0, 0.6, 1.2]
        for value in values:
            _check(isa, name, _shape(name, **{argument: value}), record)


@each_isa
@pytest.mark.parametrize("skew", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("name", ["experts_operator", "grouped_gemm_operator"])
def test_whole_skews(isa, skew, name):
    """Where sums over ranks of a power become logarithms, or end."""
    assert "skew" in _arguments(name)
    for tokens in (0.0, 1.0, 7.0, 300.0, 20_000.0):
        for ranks in (1.0, 8.0):
            _check(isa, name, _shape(name, skew=skew, tokens=tokens, moe_ep=ranks), RECORD)


@each_isa
@pytest.mark.parametrize("warm", [0.0, 1.0])
@pytest.mark.parametrize("kind", ["bf16", "fp8", "int4"])
def test_products_of_a_few_bytes(isa, kind, warm):
    """What is cold is read in full, however few bytes it is: no L2 of any size saves a part of it."""
    code, slow = float(dtypes.code(kind)), RECORD.copy()
    slow[_core.CALIBRATION_FIELDS.index("gemm.memory")] = (
        1e-9  # of which so few are nearly all the time
    )
    for m, n, k in ((1.0, 1.0, 1.0), (1.0, 2.0, 1.0), (2.0, 1.0, 3.0)):
        _check(isa, "gemm_operator", [m, n, k, code, code, warm], slow)


@each_isa
@pytest.mark.parametrize(
    "k", [64.0, 127.0, 128.0, 129.0, 255.0, 256.0, 512.0, 1023.0, 1024.0, 2048.0]
)
@pytest.mark.parametrize("kind", ["bf16", "fp8_block", "nvfp4"])
def test_depths_of_products(isa, k, kind):
    """Splits of the sum halve it while 64 of each are left; blocks of types share scales."""
    code = float(dtypes.code(kind))
    for m, n in (
        (1.0, 64.0),
        (16.0, 4096.0),
        (64.0, 96.0),
        (128.0, 128.0),
        (300.0, 7168.0),
        (0.0, 64.0),
    ):
        _check(isa, "gemm_operator", [m, n, k, code, code, 0.0], RECORD)
        _check(isa, "gemm_operator", [m, n, k, code, code, 1.0], RECORD)


@each_isa
@pytest.mark.parametrize("name", STEPS)
def test_layers_that_choose_among_no_tokens_are_ordinary_ones(isa, name):
    """An indexer without a number of tokens to choose takes no time, whatever else is known of it."""
    plain = tr.model("Llama-3.1-8B")
    given = replace(plain, sparse_layers=2, index_layers=2, index_heads=4, index_head_dim=128)
    plan = tr.Plan(tp=2).pack()
    load = [8.0, 3000.0, 4.0, 500.0, 100.0][: len(loads(name))]
    a, b = (BY_ISA[isa][name](DEVICE, PLAIN, m.pack(), plan, *load) for m in (plain, given))
    np.testing.assert_allclose(b, a, rtol=1e-14, atol=0.0)
    cached = [BY_ISA[isa]["memory_required"](m.pack(), plan, 8.0, 3000.0) for m in (plain, given)]
    assert cached[0] == cached[1]


# A model of each size that switches something on, where it is the least that does.
LEAST = {
    "DeepSeek-V3": ("q_lora_rank", "kv_lora_rank", "rope_head_dim", "nope_head_dim"),
    "DeepSeek-V3.2": ("index_heads", "index_head_dim", "index_topk", "index_layers", "sparse_layers"),
    "DeepSeek-V4-Pro": ("o_groups", "o_lora_rank", "compress_ratio", "select_ratio", "streams", "stream_mixes"),
    "DeepSeek-V4-Flash": ("compressed_layers",),
    "Llama-4-Scout": ("window_layers", "window", "experts"),
    "MiniMax-M2.5": ("kv_heads", "full_layers", "moe_layers", "topk", "moe_ffn", "qk_norm"),
    "Gemma-4-E4B": ("shared_full_layers", "shared_window_layers", "layer_embedding", "layer_vocab"),
    "Gemma-4-E2B": ("wide_layers", "wide_ffn"),
    "Gemma-3n-E4B": ("laurel_rank",),
    "Qwen3-Next-80B-A3B": ("q_multiplier", "linear_layers", "linear_conv", "shared_ffn"),
    "Qwen3-32B": ("dense_layers", "ffn"),
    "Kimi-K3": ("linear_gate_rank", "moe_latent", "residual_slots"),
    "LongCat-Flash": ("zero_experts",),
    "Nemotron-3.5-Lightning": ("mamba_layers", "mamba_heads", "mamba_groups", "mamba_state", "mamba_conv"),
    "Jamba-v0.1": ("mamba_rank",),
}  # fmt: skip


@pytest.mark.parametrize(
    ("model", "field"), [(m, f) for m, fields in LEAST.items() for f in fields]
)
def test_the_least_size_that_switches_something_on(model, field):
    _steps_are_their_twins(replace(tr.model(model), **{field: 1}), tr.Plan())


@pytest.mark.parametrize("model", LEAST)
def test_every_degree_above_1_in_every_kind_of_model(model):
    _steps_are_their_twins(tr.model(model), tr.Plan(tp=2, cp=2, dp=2, pp=2, moe_ep=2, moe_tp=2))


def _steps_are_their_twins(model, plan):
    packed, plan = model.pack(), plan.pack()
    for name, load in (
        ("decode_step", (24.0, 3000.0)),
        ("prefill_step", (700.0, 900.0)),
        ("mixed_prompts_step", (24.0, 3000.0, 3.0, 700.0, 900.0)),
    ):
        for record in (PLAIN, RECORD):
            vectors = (DEVICE, record, packed, plan)
            got = BY_ISA[_core.ISA][name](*vectors, *load)
            with counting():
                answer = getattr(reference, name)(*named(vectors), *load)
            good = within(got, [answer[f] for f in _core.STEP_FIELDS])
            # which roof binds may differ where both are equal to the last bits
            binds = [_core.STEP_FIELDS.index(f) for f in ("memory_s", "compute_s")]
            total = sum(float(answer[f]) for f in ("memory_s", "compute_s"))
            np.testing.assert_allclose(got[binds].sum(), total, rtol=1e-12, atol=0.0)
            good[binds] = True
            assert good.all(), (name, dict(zip(_core.STEP_FIELDS, got, strict=True)))


@pytest.mark.parametrize(
    ("field", "size"),
    [
        ("window_heads", 16),
        ("window_kv_heads", 4),
        ("window_head_dim", 64),
        ("window_v_head_dim", 64),
    ],
)
def test_layers_with_windows_differ_in_one_size_alone(field, size):
    given, plan = replace(tr.model("Llama-4-Scout"), **{field: size}), tr.Plan(tp=2)
    _steps_are_their_twins(given, plan)
    vectors = (DEVICE, PLAIN, given.pack(), plan.pack())
    assert BY_ISA[_core.ISA]["memory_required"](
        *vectors[2:], 8.0, 3e4
    ) == reference.memory_required(*named(vectors)[2:], 8.0, 3e4)


@each_isa
@pytest.mark.parametrize("ranks", [2.0, 3.0, 8.0])
def test_a_switch_that_adds_is_asked_from_three_ranks_on(isa, ranks):
    """Of two ranks each sends its half to the other: there is nothing to save. Only its share is high here."""
    shares = {name: 0.05 for name in ("one_share", "two_share", "bulk_share")} | {
        "switch_share": 1.0
    }
    constants = {"all_reduce": constants_of("all_reduce", 11) | shares}
    record = tr.Calibration(constants=constants).pack()
    given = [
        {"ranks": ranks, "nbytes": 1e10}.get(a, 1.0) for a in _arguments("all_reduce_operator")
    ]
    _check(isa, "all_reduce_operator", given, record)
