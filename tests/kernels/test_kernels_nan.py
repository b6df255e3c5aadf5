"""NaN in, NaN out, without a spurious flag; and what must hold whatever the numbers are."""

import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tokenroof as tr
from _support import (
    BY_ISA,
    ELEMENTWISE,
    OPERATORS,
    STEPS,
    calibrations,
    devices,
    each_isa,
    every_isa,
    in_domain,
    models,
    plans,
    records,
    same,
)  # fmt: skip
from tokenroof import reference
from tokenroof.inference.door import deployment
from tokenroof.records.calibration import Calibration

SIZES = (1, 7, 8, 9, 255, 257, 5000)
RECORDS = records(
    tr.device("H200-SXM"), Calibration.ideal(), tr.model("Qwen3-235B-A22B"), tr.Plan(tp=8, moe_ep=8)
)


def _ordinary(kernel, n, dtype=np.float64):
    rng = np.random.default_rng(3)
    out = [rng.uniform(2, 3, n).astype(dtype) for _ in range(kernel.nin)]
    if kernel.__name__ == "experts_touched":
        out[1] = out[1] + dtype(5)
    out = in_domain(kernel.__name__, out)
    if "acceptance" in inspect.signature(getattr(tr.kernels, kernel.__name__)).parameters:
        out[0] = out[0] - dtype(2)
    return out


@each_isa
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise(isa, name, dtype):
    kernel = BY_ISA[isa][name]
    for n in SIZES:
        base = _ordinary(kernel, n, dtype)
        for i in range(kernel.nin):
            arrays = [a.copy() for a in base]
            arrays[i][n // 2] = np.nan
            with np.errstate(all="raise"):
                contiguous = kernel(*arrays)
                strided = kernel(*(np.repeat(a, 2)[::2] for a in arrays))
                one = kernel(*(a if j == i else a[n // 2] for j, a in enumerate(arrays)))
                with np.errstate(invalid="ignore"):  # in place the inputs are gone
                    kept = arrays[i].copy()
                    in_place = kernel(
                        *(kept if j == i else a for j, a in enumerate(arrays)), out=kept
                    )
            assert np.isnan(contiguous[n // 2]) and np.isnan(one[n // 2])
            assert np.isnan(contiguous).sum() == 1
            assert same(contiguous, strided) and same(contiguous, in_place)


@each_isa
def test_flags_reach_errstate(isa):
    kernels = BY_ISA[isa]
    with pytest.raises(FloatingPointError, match="divide by zero"), np.errstate(all="raise"):
        kernels["ridge_point"](1.0, 0.0)
    with pytest.raises(FloatingPointError, match="invalid"), np.errstate(all="raise"):
        kernels["ridge_point"](0.0, 0.0)
    with pytest.raises(FloatingPointError, match="invalid"), np.errstate(all="raise"):
        kernels["attainable"](1.0, np.inf, 0.0)


@each_isa
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", [
    "all_gather", "reduce_scatter", "all_to_all", "all_reduce", "all_reduce_ring", "all_reduce_one_shot",
    "all_reduce_two_shot",
])  # fmt: skip
def test_fewer_ranks_than_one_are_an_invalid_operation(isa, name, dtype):
    kernel, twin = BY_ISA[isa][name], getattr(reference, name)
    for bad in (0.0, -0.0, 0.999, -1.0, -1e30, -np.inf):
        for n in (1, 9, 600):
            ranks = np.full(n, 2.0, dtype)
            ranks[n // 2] = bad
            given = (dtype(1e6), ranks, dtype(1e-5), dtype(1e9))
            with pytest.raises(FloatingPointError, match="invalid"), np.errstate(all="raise"):
                kernel(*given)
            with np.errstate(invalid="ignore"):
                assert np.flatnonzero(np.isnan(kernel(*given))).tolist() == [n // 2]
        assert np.isnan(twin(1e6, bad, 1e-5, 1e9))
    with np.errstate(all="raise"):
        assert kernel(dtype(1e6), dtype(1.0), dtype(1e-5), dtype(1e9)) == 0.0
    assert twin(1e6, 1.0, 1e-5, 1e9) == 0.0


@each_isa
def test_underflow_reaches_errstate_where_the_answer_is_the_number_that_underflows(isa):
    kernels = BY_ISA[isa]
    for bandwidth in (1e-300, np.array([1e-300, np.nan]), np.array([1e-300] * 300)):
        with pytest.raises(FloatingPointError, match="underflow"), np.errstate(all="raise"):
            kernels["attainable"](1.0, bandwidth, 1e-300)
    # an invalid operation elsewhere does not hide it
    with (
        pytest.raises(FloatingPointError, match="underflow"),
        np.errstate(under="raise", invalid="ignore"),
    ):
        kernels["attainable"](1.0, np.array([np.inf, 1e-300]), np.array([0.0, 1e-300]))
    # in a step it is a part that fades beside the rest
    with np.errstate(all="raise"):
        kernels["decode_time"](*RECORDS, 1e-200, 1e-200)


@each_isa
@pytest.mark.parametrize("name", STEPS)
def test_steps(isa, name):
    kernel = BY_ISA[isa][name]
    for n in SIZES:
        rng = np.random.default_rng(n)
        base = [np.floor(rng.uniform(1, 500, n)) for _ in range(kernel.nin - 4)]
        clean = kernel(*RECORDS, *base)
        for i in range(len(base)):
            arrays = [a.copy() for a in base]
            arrays[i][n // 2] = np.nan
            with np.errstate(all="raise"):
                got = kernel(*RECORDS, *arrays)
            wrong = np.isnan(got) if got.ndim == 1 else np.isnan(got).all(axis=-1)
            assert wrong[n // 2] and wrong.sum() == 1
            rest = np.arange(n) != n // 2
            assert same(got[rest], clean[rest])
            arrays[i][n // 2] = -1.0
            with pytest.raises(FloatingPointError, match="invalid"), np.errstate(all="raise"):
                kernel(*RECORDS, *arrays)
            with np.errstate(invalid="ignore"):
                assert np.isnan(np.atleast_1d(kernel(*RECORDS, *arrays))[n // 2]).all()


@each_isa
@pytest.mark.parametrize("name", OPERATORS)
def test_operators(isa, name):
    kernel = BY_ISA[isa][name]
    codes = {"gemm_operator": 2, "experts_operator": 2, "attention_decode_operator": 2,
             "attention_prefill_operator": 2, "mla_decode_operator": 2,
             "mla_prefill_operator": 3, "sparse_decode_operator": 1, "sparse_prefill_operator": 2,
             "grouped_gemm_operator": 1, "rotary_operator": 1, "quantise_operator": 1}.get(name, 0)  # fmt: skip
    sizes = [4.0] * (kernel.nin - 2 - codes)
    for i in range(len(sizes)):
        arguments = [*sizes, *[2.0] * codes]
        arguments[i] = np.nan
        with np.errstate(all="raise"):
            got = kernel(*RECORDS[:2], *arguments)
        # a window of NaN is a window that nothing is compared with; all else makes the time NaN
        # absorbed latent attention has no widths of expanded heads
        unused = {"attention": (len(sizes) - 1,), "mla_prefill": (4, 6)}
        if not any(name.startswith(k) and i in places for k, places in unused.items()):
            assert np.isnan(got[0]), (name, i)


@each_isa
def test_the_table_of_counts_gives_the_same_bits(isa):
    """Whole-number batches of 4,096 and more are looked up; a mixed step never is."""
    kernels = BY_ISA[isa]
    rng = np.random.default_rng(5)
    batch = rng.integers(0, 1000, 20_003).astype(float)
    context = rng.uniform(0, 1e5, batch.size)
    direct = kernels["mixed_time"](*RECORDS, batch, context, 0.0, 0.0)
    assert same(kernels["decode_time"](*RECORDS, batch, context), direct)
    assert same(BY_ISA["generic"]["decode_time"](*RECORDS, batch, context), direct)
    backwards = np.empty(2 * batch.size)[::2]
    kernels["decode_time"](*RECORDS, batch[::-1], context[::-1], out=backwards)
    assert same(backwards[::-1], direct)
    assert same(kernels["decode_time"](*RECORDS, batch + 0.5, context),
                kernels["mixed_time"](*RECORDS, batch + 0.5, context, 0.0, 0.0))  # fmt: skip
    context[77], batch[78] = -1.0, 8191.0
    with pytest.raises(FloatingPointError), np.errstate(all="raise"):
        kernels["decode_time"](*RECORDS, batch, context)


@each_isa
@pytest.mark.parametrize(("engine", "layout"), [
    ("trtllm", {"tp": 8}), ("vllm", {"tp": 2, "dp": 4, "pp": 2, "moe_ep": 8}), ("vllm", {"tp": 4, "pp": 2}),
])  # fmt: skip
@pytest.mark.parametrize("model", ["Llama-3.1-70B", "Qwen3-235B-A22B", "DeepSeek-V3"])
def test_products_of_batches_of_any_size_are_looked_up_to_the_same_bits(isa, engine, layout, model):
    """Products see whole rows: 4,096 batches and more share a table of them; a mixed step never does."""
    dense = {"moe_ep"} if model.startswith("Llama") else set()
    plan = tr.Plan(
        weights="fp8", engine=engine, **{k: v for k, v in layout.items() if k not in dense}
    )
    packed = deployment("H200-SXM", model, plan, "calibrated").records
    rng = np.random.default_rng(6)
    batch, context = rng.uniform(0, 3000, 20_003), rng.uniform(0, 1e5, 20_003)
    batch[:6] = 0.0, 1e-9, 1.0, np.nextafter(256.0, 257.0), np.nextafter(256.0, 255.0), 2999.5
    kernels = BY_ISA[isa]
    direct = kernels["mixed_time"](*packed, batch, context, 0.0, 0.0)
    assert same(kernels["decode_time"](*packed, batch, context), direct)
    batch[[7, 5000]], context[9] = (np.nan, -3.5), np.nan
    with np.errstate(invalid="ignore"):
        got = kernels["decode_time"](*packed, batch, context)
    assert np.flatnonzero(np.isnan(got)).tolist() == [7, 9, 5000]


@given(
    d=devices(), c=calibrations(), m=models(), p=plans(), load=st.tuples(*[st.floats(1, 1e5)] * 3)
)
@every_isa
def test_laws_of_a_step(isa, d, c, m, p, load):
    kernels, (batch, context, tokens) = BY_ISA[isa], load
    r = records(d, c, m, p)
    if np.isnan(d.pack()).any() and not np.isfinite(kernels["decode_time"](*r, 1.0, 1.0)):
        return  # a type that this device has no unit for
    time = kernels["decode_time"](*r, batch, context)
    assert time > 0
    # the edges of a mixed step
    assert kernels["mixed_time"](*r, batch, context, 0.0, 0.0) == time
    assert kernels["mixed_time"](*r, 0.0, 0.0, tokens, 7.0) == kernels["prefill_time"](
        *r, tokens, 7.0
    )
    assert kernels["prompts_time"](*r, 1.0, tokens, 7.0) == kernels["prefill_time"](*r, tokens, 7.0)
    # parts sum to the whole
    fields = dict(
        zip(tr.kernels.STEP_FIELDS, kernels["decode_step"](*r, batch, context), strict=True)
    )
    causes = sum(fields[f"{k}_s"] for k in ("memory", "compute", "launch", "communication"))
    groups = sum(fields[f"{k}_s"] for k in (
        "projection", "attention", "linear_attention", "mlp", "experts", "elementwise", "head",
        "collective", "overhead"))  # fmt: skip
    assert fields["time"] == time
    np.testing.assert_allclose([causes, groups], time, rtol=1e-12)
    assert 0 < fields["watts"] <= d.tdp_w * p.devices * (1 + 1e-12)
    # without a cap, under which a kernel that traffic binds stays so at any clock
    p = p.replace(power_cap_w=None)
    r = records(d, c, m, p)
    free = kernels["decode_time"](*r, batch, context)
    assert free <= time * (1 + 1e-12)
    time = free
    # more work takes no less time
    assert kernels["decode_time"](*r, 2 * batch, context) >= time * (1 - 1e-12)
    assert kernels["decode_time"](*r, batch, 2 * context) >= time * (1 - 1e-12)
    assert kernels["mixed_time"](*r, batch, context, tokens, 0.0) >= time * (1 - 1e-12)
    # a faster device takes no more
    faster = records(d.replace(memory_bandwidth=2 * d.memory_bandwidth), c, m, p)
    assert kernels["decode_time"](*faster, batch, context) <= time * (1 + 1e-12)
    # datasheet values bound it from below
    ideal = records(d, Calibration.ideal(), m, p)
    assert kernels["decode_time"](*ideal, batch, context) <= time * (1 + 1e-12)
