"""Every element-wise kernel against its reference, on every instruction set."""

import inspect
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from _support import (
    BY_ISA,
    DOMAINS,
    ELEMENTWISE,
    OPERATORS,
    STEPS,
    arrays_of,
    each_isa,
    every_isa,
    in_domain,
    parameters,
    same,
    ulps,
    within,
)
from tokenroof import kernels, reference
from tokenroof.reference.core.roundings import counting, error_of

# They take logarithms and exponentials: as near as the reference counts (core/roundings.py).
APPROXIMATE = {
    "experts_touched",
    "block_probability",
    "capital_recovery",
    "cluster_tokens_per_s",
    "double_spend_nakamoto",
    "double_spend_rosenfeld",
    "expected_tokens",
    "fleet_availability",
    "speculative_speedup",
    "speculative_operations",
    "cache_reached",
    "cache_held",
}
# float32: rounding of each operation on the way, beside the one of the float64 answer
FLOAT32_ROUNDINGS = 16

anything = st.floats(allow_nan=True, allow_infinity=True, width=64)
physical = st.floats(1e-12, 1e16) | st.just(0.0) | st.just(1.0)
anything_physical = anything | physical
physical32 = st.floats(np.float32(1e-3).item(), np.float32(1e3).item(), width=32)
# made once: to make a strategy takes longer than to draw from it
shapes_of = cache(lambda count: hnp.mutually_broadcastable_shapes(num_shapes=count, max_side=5))
whole_numbers = cache(lambda low, high: st.integers(low, high).map(float))


def test_every_kernel_has_a_twin_and_documentation():
    for name, function in kernels.by_isa()[next(iter(BY_ISA))].items():
        twin = getattr(reference, name, None)
        assert callable(twin), f"tokenroof.reference has no {name}"
        assert function.__doc__, name
        for section in ("Parameters", "Returns", "References"):
            assert section in function.__doc__, f"{name}: no {section}"
        expected = len(inspect.signature(function).parameters) - 3  # out, where, dtype
        assert function.nin == expected, name
        assert len(inspect.signature(twin).parameters) == function.nin, name
        assert function.__module__ == "tokenroof.kernels"


def test_the_lists_cover_all_kernels():
    rest = {
        "sha256d",
        "serving",
        "serving_terms",
        "serving_of_terms",
        "serving_system",
        "memory_required",
        "board_power",
        "expected_tokens_by_position",
    }
    assert set(ELEMENTWISE) | set(STEPS) | set(OPERATORS) | rest == set(BY_ISA["generic"])


@pytest.mark.parametrize("name", ELEMENTWISE)
@given(data=st.data())
def test_float64_equals_the_reference(name, data):
    """On every instruction set with the same drawn numbers: to draw them, and the reference, take longer."""
    kernel, twin = BY_ISA["generic"][name], getattr(reference, name)
    shapes = data.draw(shapes_of(kernel.nin))
    elements = physical if name in APPROXIMATE else anything_physical
    arrays = [data.draw(arrays_of(np.float64, shape, elements)) for shape in shapes.input_shapes]
    if name in APPROXIMATE and name in DOMAINS:  # the sums of the reference are long
        for i, (low, high, whole) in enumerate(DOMAINS[name]):
            inside = whole_numbers(low, 3 * high) if whole else st.floats(0.0, high)
            arrays[i] = data.draw(arrays_of(np.float64, shapes.input_shapes[i], inside))
    if name == "experts_touched":  # whole experts, of which a token takes some
        arrays[1] = np.minimum(np.floor(arrays[1]) + 1.0, 1e6)
        arrays[2] = np.minimum(arrays[2], 1.0) * arrays[1].min()
    elif name in APPROXIMATE:  # an acceptance, or none
        arrays[0] = np.where(arrays[0] > 1e3, arrays[0], np.minimum(arrays[0], 1.0))
    flat = [a.ravel() for a in np.broadcast_arrays(*arrays)]
    with counting():
        want = [twin(*map(float, row)) for row in zip(*flat, strict=True)]
    assert name in APPROXIMATE or not any(map(error_of, want))
    for isa, kernels_of in BY_ISA.items():
        with np.errstate(all="ignore"):
            got = kernels_of[name](*arrays)
        assert within(got, want).all(), isa


@pytest.mark.parametrize("name", ELEMENTWISE)
@given(data=st.data())
@every_isa
def test_float32_is_the_float64_answer_rounded(isa, name, data):
    if name == "effective_energy_balance" or name == "flops_per_joule":
        elements = st.floats(np.float32(1e-3).item(), 1.0, width=32)  # no difference that cancels
    else:
        elements = physical32
    kernel = BY_ISA[isa][name]
    arrays = [data.draw(arrays_of(np.float32, 9, elements)) for _ in range(kernel.nin)]
    if name == "experts_touched":
        arrays[2] = np.minimum(arrays[1], arrays[2])
    elif name in APPROXIMATE:
        arrays[0] = np.minimum(arrays[0], np.float32(1))
    if "ranks" in parameters(kernels.__dict__[name]):
        arrays[1] = np.ceil(np.abs(arrays[1])) + np.float32(1)
    if name == "effective_energy_balance":
        arrays[1], arrays[3] = arrays[0] * np.float32(2), arrays[3] / np.float32(2)
    if name.startswith("clock_"):  # of boost's at most, and a share
        arrays[0], arrays[-1] = (np.minimum(arrays[i], np.float32(1)) for i in (0, -1))
    if name == "miner_margin":  # a price of power below zero: a sum instead of a difference
        arrays[0] = arrays[0] * np.float32(1e15)
        arrays[3], arrays[4] = -arrays[3], arrays[4] / np.float32(2e3)
    with np.errstate(all="ignore"):
        got = kernel(*arrays)
        want = kernel(*(a.astype(np.float64) for a in arrays)).astype(np.float32)
    assert got.dtype == np.float32
    assert (ulps(got, want) <= FLOAT32_ROUNDINGS).all()


@pytest.mark.parametrize("experts,topk", [(256.0, 8.0), (128.0, 4.0), (8.0, 2.0), (8.0, 8.0)])
@each_isa
def test_experts_touched_against_fifty_digits(isa, experts, topk):
    mpmath = pytest.importorskip("mpmath")
    tokens = np.concatenate([np.arange(0.0, 70.0), [0.25, 1e-9, 300.5, 1e6]])
    got = BY_ISA[isa]["experts_touched"](tokens, experts, topk)
    with mpmath.workdps(50):
        want = np.array(
            [
                float(experts * (1 - (1 - mpmath.mpf(topk) / experts) ** mpmath.mpf(t)))
                for t in tokens
            ]
        )
    assert (ulps(got, want) <= 4).all()


@each_isa
def test_all_instruction_sets_agree_bit_for_bit(isa):
    rng = np.random.default_rng(0)
    for name in ELEMENTWISE:
        kernel = BY_ISA[isa][name]
        arrays = [10.0 ** rng.uniform(-3, 12, 2003) for _ in range(kernel.nin)]
        if name == "experts_touched":
            arrays = [rng.uniform(0, 5000, 2003), np.full(2003, 256.0), rng.uniform(0, 256, 2003)]
        arrays = in_domain(name, arrays)
        if "acceptance" in parameters(getattr(kernels, name)):
            arrays[0] = rng.uniform(0, 1, 2003)
        with np.errstate(invalid="ignore"):  # of fewer ranks than one
            assert same(kernel(*arrays), BY_ISA["generic"][name](*arrays)), name
