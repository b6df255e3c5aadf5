"""Step and operator kernels against the reference, over random records and loads."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import tokenroof as tr
from _support import (  # fmt: skip
    BY_ISA,
    MEASURED,
    OPERATORS,
    STEPS,
    calibrations,
    constants_of,
    devices,
    each_isa,
    every_isa,
    loads,
    models,
    named,
    parameters,
    plans,
    records,
    within,
)
from tokenroof import _core, kernels, reference
from tokenroof.records.calibration import Calibration
from tokenroof.records.model import Model
from tokenroof.reference.core.roundings import counting, error_of

setup = st.tuples(devices(), calibrations(), models(), plans())


@pytest.mark.parametrize("name", STEPS)
@given(setup=setup, data=st.data())
@every_isa
def test_step_kernels(isa, name, setup, data):
    vectors = records(*setup)
    load = [data.draw(s) for s in loads(name)]
    with np.errstate(all="ignore"):
        got = np.atleast_1d(BY_ISA[isa][name](*vectors, *load))
    with counting():
        answer = getattr(reference, name)(*named(vectors), *load)
    fields = _core.STEP_FIELDS if name.endswith("_step") else ("time",)
    want = [answer[f] for f in fields] if name.endswith("_step") else [answer]
    good = within(got, want)
    # which roof binds may differ where both are equal to the last bits
    causes = [i for i, f in enumerate(fields) if f in ("memory_s", "compute_s")]
    if setup[2].experts and causes and not good.all():
        assert math.isclose(sum(got[causes]), sum(want[i] for i in causes), rel_tol=1e-14)
        good[causes] = True
    assert good.all(), dict(zip(fields, zip(got, want, strict=True), strict=True))
    assert setup[2].experts or not any(map(error_of, want))


@pytest.mark.parametrize("name", [name for name in STEPS if name.endswith("_step")])
@settings(max_examples=15)
@given(setup=setup, data=st.data(), seed=st.integers(0, 2**32))
@every_isa
def test_loads_side_by_side_have_the_numbers_of_each_alone(isa, name, setup, data, seed):
    """Lanes of vectors, and the last few one at a time; loads that are none among them."""
    vectors, rng = records(*setup), np.random.default_rng(seed)
    values = [[0.0, -1.0, *(data.draw(s) for _ in range(4))] for s in loads(name)]
    some = [rng.choice(each, 19) for each in values]
    with np.errstate(all="ignore"):
        together = BY_ISA[isa][name](*vectors, *some)
        alone = [BY_ISA[isa][name](*vectors, *load) for load in zip(*some, strict=True)]
    assert np.array_equal(together, alone, equal_nan=True)


@given(setup=setup, batch=st.floats(0, 1e5), context=st.floats(0, 1e6))
@every_isa
def test_memory_required(isa, setup, batch, context):
    _, _, m, p = records(*setup)
    _, _, model, plan = named(records(*setup))
    got = BY_ISA[isa]["memory_required"](m, p, batch, context)
    assert got == reference.memory_required(model, plan, batch, context)


_ARGUMENTS = {
    "tokens": st.floats(0, 1e5), "past": st.floats(0, 1e5), "batch": st.floats(0, 1e4),
    "context": st.floats(0, 1e6), "ranks": st.sampled_from([1.0, 2.0, 8.0, 72.0, 128.0]),
    "nbytes": st.floats(0, 1e12), "window": st.sampled_from([0.0, 128.0, 4096.0]),
    "moe_tp": st.sampled_from([1.0, 2.0]), "moe_ep": st.sampled_from([1.0, 8.0]),
    "matrices": st.sampled_from([2.0, 3.0]), "topk": st.sampled_from([1.0, 8.0]),
    "experts": st.sampled_from([8.0, 256.0]), "skew": st.sampled_from([-1.0, 0.0, 0.6, 1.2]),
    "residual": st.sampled_from([0.0, 1.0]), "greedy": st.sampled_from([0.0, 1.0]),
    "sequences": st.floats(0, 1e4), "zero_experts": st.sampled_from([0.0, 256.0]),
    "streams": st.sampled_from([2.0, 4.0]), "ratio": st.sampled_from([4.0, 128.0]),
    "overlap": st.sampled_from([0.0, 1.0]),
}  # fmt: skip
_COUNT = st.integers(1, 20000).map(float)
_CODES = {"weights", "activations", "kv_dtype", "maths_dtype"}


@pytest.mark.parametrize("name", OPERATORS)
@given(device=devices(), calibration=calibrations(), data=st.data())
@every_isa
def test_operator_kernels(isa, name, device, calibration, data):
    arguments = [
        float(data.draw(st.integers(0, len(_core.DTYPES) - 1)))
        if a in _CODES
        else data.draw(_ARGUMENTS.get(a, _COUNT))
        for a in parameters(getattr(kernels, name))[2:-3]
    ]
    d, c = device.pack(), calibration.pack()
    got = BY_ISA[isa][name](d, c, *arguments)
    dd = dict(zip(_core.DEVICE_FIELDS, map(float, d), strict=True))
    cc = dict(zip(_core.CALIBRATION_FIELDS, map(float, c), strict=True))
    with counting():
        answer = getattr(reference, name)(dd, cc, *arguments)
    want = [answer[f] for f in _core.OPERATOR_FIELDS]
    if name in ("experts_operator", "grouped_gemm_operator", "latent_experts_operator"):
        assume(not np.isclose(float(want[3] + want[4]), 0.0))
    else:
        assert not any(map(error_of, want))
    assert within(got, want).all()


@each_isa
@pytest.mark.parametrize("wide", [{}, {"attention": 0.25, "mlp": 0.5, "shared_experts": 0.75}])
@pytest.mark.parametrize("measured", [False, True])
def test_a_model_with_every_kind_of_layer(isa, measured, wide):
    """It fills the lists of terms: nothing may be written beyond them."""
    model = Model(
        name="all", hidden=1024, vocab=32000, layers=64, heads=16, kv_heads=16, head_dim=192, v_head_dim=128,
        kv_lora_rank=512, q_lora_rank=512, rope_head_dim=64, nope_head_dim=128, full_layers=16, window_layers=16,
        window=512, index_heads=8, index_head_dim=128, index_topk=512, linear_layers=16, linear_key_heads=16,
        linear_key_dim=128, linear_value_heads=16, linear_value_dim=128, linear_conv=4, linear_gate_rank=128,
        mamba_layers=16, mamba_heads=16, mamba_head_dim=64, mamba_groups=8, mamba_state=128, mamba_conv=4,
        dense_layers=16, ffn=4096, moe_layers=48, experts=64, topk=4, moe_ffn=1024, shared_ffn=1024,
    )  # fmt: skip
    plan = tr.Plan(tp=2, dp=2, pp=2, cp=2, moe_ep=4, weights="fp8", kv_cache="fp8", wide=wide)
    constants = {block: constants_of(block, 7) for block in MEASURED} if measured else {}
    vectors = records(tr.device("H200-SXM"), Calibration(constants=constants), model, plan)
    load = (64.0, 2000.0, 3.0, 4000.0, 100.0)
    got = BY_ISA[isa]["mixed_prompts_step"](*vectors, *load)
    with counting():
        want = reference.mixed_prompts_step(*named(vectors), *load)
    assert within(got, [want[f] for f in _core.STEP_FIELDS]).all()


@pytest.mark.parametrize("name", ["Llama-3.1-70B", "DeepSeek-V3.2", "gpt-oss-120b",
                                  "Qwen3-Next-80B-A3B", "Nemotron-3-Nano"])  # fmt: skip
@each_isa
def test_real_models(isa, name):
    device = tr.device("H200-SXM")
    vectors = records(
        device, tr.calibration.estimate(device), tr.model(name), tr.Plan(tp=2, weights="fp8")
    )
    batch, context = np.arange(1.0, 40.0), np.linspace(10, 90000, 39)
    got = BY_ISA[isa]["decode_time"](*vectors, batch, context)
    with counting():
        want = [reference.decode_time(*vectors, b, x) for b, x in zip(batch, context, strict=True)]
    assert within(got, want).all()
