"""Points of operators that random draws miss, against the reference: whole skews, nothing to do, depths of splits."""

import inspect

import numpy as np
import pytest

import tokenroof as tr
from _support import BY_ISA, MEASURED, OPERATORS, constants_of, each_isa, within
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
