"""Worths and rates of rows of flows: the kernels against their twins, each other, and what must hold."""

import warnings
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tokenroof import _core, reference
from tokenroof import economics as ec

BY_ISA = _core.flow_ufuncs_by_isa()
each_isa = pytest.mark.parametrize("isa", list(BY_ISA))
EPS = 2.0**-53

money = st.floats(-1e6, -1e-3) | st.floats(1e-3, 1e6) | st.just(0.0)
rate = st.floats(-0.9, 20.0)


def steepness(flows, years, rate):
    """Sum of the flows' sizes at a rate over the slope in -log(1 + rate): how far roundings move a root."""
    size, slope = (sum(part) for part in zip(*(
        (abs(c) * (1 + rate) ** -y, c * y * (1 + rate) ** -y) for c, y in zip(flows, years, strict=True)
    ), strict=True))  # fmt: skip
    return size / abs(slope) if slope else np.inf


@each_isa
@given(rate, st.lists(money, min_size=1, max_size=30))
@example(-0.5, [0.0] * 30)
def test_worths_as_the_twins(isa, rate, flows):
    """Each term is off by the roundings of its power: one for each year, and some of the sum."""
    years = [1.5 * k for k in range(len(flows))]
    for name, given_, when in (
        ("npv_each", (rate, flows), range(len(flows))),
        ("xnpv_each", (rate, flows, years), years),
    ):
        size = sum(abs(c) * (1 + rate) ** -y for c, y in zip(flows, when, strict=True))
        got, want = BY_ISA[isa][name](*given_), getattr(reference, name)(*given_)
        assert abs(got - want) <= EPS * (6 + 8 * len(flows) * (1 + abs(np.log1p(rate)))) * size


@each_isa
@given(
    st.lists(st.floats(1e-2, 1e4), min_size=2, max_size=24),
    st.integers(1, 5),
    rate,
    st.sampled_from([1, -1]),
)
def test_rates_of_one_change_as_the_twins(isa, sizes, early, at, sign):
    early = min(early, len(sizes) - 1)
    years = [k * 1.25 + (k > 2) * 0.1 for k in range(len(sizes))]
    for name, when in (("irr_each", range(len(sizes))), ("xirr_each", years)):
        discounted = [c * (1 + at) ** -y for c, y in zip(sizes, when, strict=True)]
        scale = sum(discounted[early:]) / sum(discounted[:early])
        flows = [sign * (-c * scale if k < early else c) for k, c in enumerate(sizes)]
        more = () if name == "irr_each" else (years,)
        got, want = BY_ISA[isa][name](flows, *more), getattr(reference, name)(flows, *more)
        allowed = EPS * (16 + 8 * len(sizes)) * (steepness(flows, when, want) + 1) * (1 + want)
        assert abs(got - want) <= allowed and abs(want - at) <= 4 * allowed
        assert len(_core.rates_of(np.array(flows), np.array(more[0]) if more else None)[0]) == 1


@given(st.lists(money, min_size=2, max_size=9), st.randoms(use_true_random=False))
def test_all_rates_as_the_twin(flows, random):
    """Where the twin's rates are apart, and not within rounding of being none."""
    years = sorted(day / 365 for day in random.sample(range(3300), len(flows)))
    for when in (None, years):
        want = reference.all_rates(flows, when or range(len(flows)))
        got = _core.rates_of(np.array(flows), None if when is None else np.array(when))[0]
        clear = [
            r
            for r in want
            if steepness(flows, when or range(len(flows)), r) < 1e5 and -0.999 < r < 1e6
        ]
        for r in clear:
            assert min(abs(g - r) for g in got) <= 1e-9 * (1 + r)
        if len(clear) == len(want) == len(got):
            np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9)


def test_rows_are_the_same_on_every_instruction_set_and_in_any_place():
    rng = np.random.default_rng(4)
    rows = rng.normal(size=(67, 9)) * np.exp(rng.normal(size=(67, 9)))
    rows[::3, 0] = -9.0
    rows[::3, 1:] = np.abs(rows[::3, 1:])
    years = np.sort(rng.uniform(0, 9, rows.shape), axis=1)
    rates = rng.uniform(-0.5, 1, 67)
    with np.errstate(invalid="ignore"):
        for name, given_ in (("irr_each", (rows,)), ("xirr_each", (rows, years)),
                             ("npv_each", (rates, rows)), ("xnpv_each", (rates, rows, years))):  # fmt: skip
            want = BY_ISA["generic"][name](*given_)
            for table in BY_ISA.values():
                np.testing.assert_array_equal(table[name](*given_), want)
                one = [table[name](*(a[k] for a in given_)) for k in range(67)]
                np.testing.assert_array_equal(one, want)
                np.testing.assert_array_equal(
                    table[name](*(np.asfortranarray(a)[::-1] for a in given_)), want[::-1]
                )
                out = np.empty(67)
                assert table[name](*given_, out=out) is out
                np.testing.assert_array_equal(out, want)


def test_several_rates_the_one_nearest_to_nothing_is_taken():
    flows = [1.0]
    for root in (-0.5, 0.25, 3.0):
        flows = np.convolve(flows, [-1.0, 1.0 + root])
    assert ec.irr(flows) == pytest.approx((-0.5, 0.25, 3.0), rel=1e-12)
    assert ec.irr_each(flows) == pytest.approx(0.25, rel=1e-12)
    flows = [1.0]
    for root in (-0.1, 0.25, 3.0):
        flows = np.convolve(flows, [-1.0, 1.0 + root])
    assert ec.irr_each(flows) == pytest.approx(-0.1, rel=1e-11)  # one negative root among three
    assert ec.irr(flows)[0] == pytest.approx(-0.1, rel=1e-11)
    assert ec.irr([-1, 2]) == (1.0,) and ec.irr_each([-1, 2]) == 1.0
    assert ec.irr([-1, 0, 0, 8]) == pytest.approx((1.0,), abs=4 * EPS)


@each_isa
@pytest.mark.parametrize("number", [4, 5, 6, 7])
def test_rates_that_lie_close_to_one_another_are_all_found(isa, number):
    """3 % apart: between them a flow is worth a billionth of the flows, still far above their rounding."""
    rates = 0.05 + 0.03 * np.arange(number)
    flows = np.poly(1.0 + rates)
    assert ec.irr(flows) == pytest.approx(tuple(rates), abs=1e-5)
    assert BY_ISA[isa]["irr_each"](flows) == pytest.approx(0.05, abs=1e-5)


def test_days_in_any_order_and_twice():
    want = ec.xirr_each([-100.0, 60.0, 70.0], [0.0, 1.0, 2.5])
    assert ec.xirr_each([-100.0, 70.0, 60.0], [0.0, 2.5, 1.0]) == want
    assert ec.xirr_each([-40.0, 70.0, -60.0, 60.0], [0.0, 2.5, 0.0, 1.0]) == pytest.approx(
        want, abs=4 * EPS
    )
    assert ec.xnpv_each(want, [-100.0, 70.0, 60.0], [0.0, 2.5, 1.0]) == pytest.approx(
        0.0, abs=1e-12
    )


@each_isa
def test_what_has_no_answer(isa):
    """NaN and the invalid flag where a NaN is made; silence where one came in."""
    kernels = BY_ISA[isa]
    nan, inf = np.nan, np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(kernels["irr_each"]([-1.0, nan, 2.0]))
        assert np.isnan(kernels["xirr_each"]([-1.0, 2.0], [nan, 1.0]))
        assert np.isnan(kernels["npv_each"](nan, [1.0])) and np.isnan(
            kernels["npv_each"](0.1, [nan])
        )
        assert np.isnan(kernels["xnpv_each"](0.1, [1.0], [nan]))
        assert kernels["npv_each"](0.1, np.empty((2, 0))).tolist() == [0.0, 0.0]
        assert kernels["irr_each"](np.empty((0, 3))).shape == (0,)
        assert kernels["irr_each"]([[-1.0, 2.0]] * 3, axis=1).tolist() == [1.0] * 3
    for call in (lambda: kernels["irr_each"]([1.0, 2.0]), lambda: kernels["irr_each"]([0.0, 0.0]),
                 lambda: kernels["irr_each"]([-1600, 1000, -1000]), lambda: kernels["irr_each"]([-1.0, inf]),
                 lambda: kernels["irr_each"]([5.0]), lambda: kernels["irr_each"](np.empty((1, 0)))[0],
                 lambda: kernels["xirr_each"]([1.0, 2.0], [0.0, 1.0]),
                 lambda: kernels["xirr_each"]([-1.0, 2.0], [0.0, inf]),
                 lambda: kernels["npv_each"](-1.0, [1.0]), lambda: kernels["npv_each"](-2.0, [1.0, 2.0]),
                 lambda: kernels["xnpv_each"](-1.0, [1.0], [0.0])):  # fmt: skip
        with pytest.warns(RuntimeWarning, match="invalid value"):
            assert np.isnan(call())
    with pytest.raises(ValueError, match="core dimension"):
        kernels["xirr_each"]([-1.0, 2.0], [0.0, 1.0, 2.0])
    with pytest.raises(TypeError):
        kernels["irr_each"]([1j, 2.0])


@given(st.lists(money, min_size=2, max_size=12), st.floats(0.0, 2.0), st.floats(0.001, 1.0))
def test_worths_fall_with_the_rate_where_income_comes_late(flows, low, more):
    flows = [-abs(flows[0]), *map(abs, flows[1:])]
    a, b = ec.npv_each([low, low + more], flows)
    assert a >= b and ec.npv(low, [2 * c for c in flows]) == 2 * a


def test_lists_and_arrays_are_the_same_flows():
    """What is plain goes another way than what must be looked at first."""
    flows, days = [-1000, 300.5, 420, 680], ["2024-02-29", "2025-03-01", "2024-12-31", "2028-02-29"]
    array, dates = np.array(flows), np.array(days, "datetime64[D]")
    assert ec.irr(flows) == ec.irr(tuple(flows)) == ec.irr(array) == (float(ec.irr_each(flows)),)
    assert ec.npv(0.1, flows) == ec.npv(0.1, array) == float(ec.npv_each(0.1, flows))
    assert ec.xirr(flows, days) == ec.xirr(array, dates) == ec.xirr(flows, dates.tolist())
    assert ec.xnpv(0.1, flows, days) == ec.xnpv(np.float64(0.1), array, dates)
    years = (dates - dates[0]).astype(float) / 365.0
    assert ec.xirr(flows, days) == (float(ec.xirr_each(flows, years)),)
    assert ec.xnpv(0.1, flows, days) == pytest.approx(
        float(ec.xnpv_each(0.1, flows, years)), rel=1e-15
    )


def test_a_rate_to_sixty_digits():
    """The only rate of a hundred rows, beside a bisection in Decimal."""
    rng = np.random.default_rng(9)
    rows = rng.uniform(1.0, 50.0, (100, 21)).round(2)
    rows[:, 0] *= -rng.uniform(1, 15, 100).round(3)
    found = ec.irr_each(rows)
    with localcontext() as context:
        context.prec = 60
        for row, got in zip(rows[::10].tolist(), found[::10].tolist(), strict=True):
            low, high = Decimal("-0.99"), Decimal(100)
            for _ in range(90):
                middle, worth = (low + high) / 2, Decimal(0)
                for c in reversed(row):
                    worth = worth / (1 + middle) + Decimal(c)
                low, high = (middle, high) if worth > 0 else (low, middle)
            assert abs(got - float(low)) < 40 * EPS * (1 + abs(got))


@pytest.mark.parametrize("flows", [[[-1.0, 2.0], [3.0, 4.0]], [], [[]], 1.0])
@pytest.mark.parametrize("function", [lambda f: ec.npv(0.1, f), ec.irr, lambda f: ec.spreadsheet_npv(0.1, f)],
                         ids=["npv", "irr", "spreadsheet_npv"])  # fmt: skip
def test_rows_of_flows_are_for_the_ufuncs_alone(function, flows):
    with pytest.raises(ValueError, match="flows is .*; allowed: finite numbers in one dimension"):
        function(flows)
