"""Rates of return: all of them, or none, of few flows and of many."""

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenroof import _core
from tokenroof import economics as ec


def worth(flows, rate):
    """Net present value to 60 digits, over the sum of the flows' sizes."""
    with localcontext() as context:
        context.prec = 60
        x, value, size = 1 / (1 + Decimal(rate)), Decimal(0), Decimal(0)
        for flow in reversed(np.asarray(flows, float).tolist()):
            value, size = value * x + Decimal(flow), size * x + abs(Decimal(flow))
        return float(value / size)


@pytest.mark.parametrize("months", [12, 720, 3600])
def test_an_annuity_by_its_factor(months):
    for rate in (1e-4, 0.01, 0.35):
        flows = [-(1 - (1 + rate) ** -months) / rate] + [1.0] * months
        assert ec.irr(flows) == pytest.approx((rate,), rel=1e-9)


def test_many_flows_cost_little_more_than_few():
    """Work is counted, as a clock is not to be trusted: numbers looked at, over the flows."""
    rng = np.random.default_rng(18)
    for flows in ([-4e5] + [8e3] * 3600, [-1e6] + [3e4] * 719 + [-5e6], rng.normal(size=3600)):
        rates, looked = _core.rates_of(np.array(flows), None)
        assert rates == ec.irr(flows) and 0 <= looked < 2000 * len(flows)


@pytest.mark.parametrize(
    "rates",
    [
        (0.1, 0.2),
        (-0.5, 0.0, 3.0),
        (0.01, 0.05, 0.1, 0.2, 0.5),
        (0.1, 0.100001),
        (-0.9, 1e4),
        (-0.999, 0.2),
    ],
)
def test_several_rates(rates):
    flows = np.array([1.0])
    for rate in rates:
        flows = np.convolve(flows, [-1.0, 1.0 + rate])
    found = ec.irr(flows)
    assert len(found) == len(rates)
    assert found == pytest.approx(rates, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("apart", [1 / 52, 0.1, 7.0])
@pytest.mark.parametrize(
    "rates", [(-0.2, 0.0, 3.0), (-0.2, 0.5, 1.0), (-0.5, -0.2, 9.0, 50.0), (0.1, 0.5)]
)
def test_several_rates_of_flows_that_lie_close_or_far_apart(rates, apart):
    flows = np.array([1.0])
    for rate in rates:
        flows = np.convolve(flows, [-1.0, 1.0 + rate])
    kept = np.flatnonzero(flows)
    found = _core.rates_of(flows[kept], kept * apart)[0]
    want = [(1.0 + rate) ** (1.0 / apart) for rate in rates]
    assert [1.0 + x for x in found] == pytest.approx(want, rel=1e-5)


def test_none_and_touching():
    assert ec.irr([-1600, 1000, -1000]) == () and ec.irr([1, 2, 3]) == () and ec.irr([-5]) == ()
    assert ec.irr([0, 0, 0]) == () and ec.irr([0, 7, 0]) == ()
    assert ec.irr([0, 0, -1, 1.5, 0]) == pytest.approx((0.5,))
    assert ec.irr([1, -2.2, 1.21]) == pytest.approx((0.1,), rel=1e-6)  # twice
    assert ec.irr([1, -3.3, 3.63, -1.331]) == pytest.approx((0.1,), rel=1e-3)  # three times
    assert ec.irr([1, -2.2, 1.21 + 1e-9]) == ()  # just above zero
    low, high = ec.irr([1, -2.2, 1.21 - 1e-9])  # just below
    assert (low, high) == pytest.approx((0.1 - 3.16e-5, 0.1 + 3.16e-5), abs=1e-6)


@pytest.mark.parametrize("apart", [0.25, 1.0])
@pytest.mark.parametrize("start", [1.0, 10.0, 50.0, 200.0])
def test_a_double_rate_of_flows_that_come_late(start, apart):
    """Flows without a rounding, far from year 0: what is lost where they nearly cancel may not hide that they touch."""
    for part in (1 / 2, 1 / 4, 1 / 8, 1 / 32, 11 / 16, 31 / 32):
        flows, years = (
            np.array([1.0, -2 * (1 + part), (1 + part) ** 2]),
            start + apart * np.arange(3),
        )
        found = _core.rates_of(flows, years)[0]
        assert found == pytest.approx(((1 + part) ** (1 / apart) - 1,), rel=1e-6)


def test_flows_of_any_size():
    assert ec.irr([-1, 1e20]) == pytest.approx((1e20,)) and ec.irr(
        [-1e300, 2e300]
    ) == pytest.approx((1.0,))
    assert ec.irr([-1e-300, 2e-300]) == pytest.approx((1.0,))
    assert (
        ec.irr([1e308, -1e-308]) == () == ec.irr([-1e-308, 1e308])
    )  # -1 and infinity, as floats go
    cash = [-1.0] + [0.0] * 5000 + [math.exp(5.001)]
    assert ec.irr(cash) == pytest.approx((math.expm1(0.001),), rel=1e-9)


flow = st.floats(-1e6, -1e-3) | st.floats(1e-3, 1e6) | st.just(0.0)


@given(st.lists(flow, min_size=1, max_size=40))
def test_each_is_a_root_and_none_is_missing(flows):
    found = ec.irr(flows)
    assert list(found) == sorted(set(found))
    for rate in found:
        if -0.99 < rate < 1e6:
            assert abs(worth(flows, rate)) < 1e-9
    grid = np.expm1(np.linspace(-4.0, 8.0, 400))
    signs = np.sign([worth(flows, rate) for rate in grid]) if any(flows) else np.zeros(400)
    for low, high, a, b in zip(grid, grid[1:], signs, signs[1:], strict=False):
        if a * b < 0:
            assert any(low <= rate <= high for rate in found)


@given(st.lists(flow, min_size=2, max_size=12))
def test_against_the_companion_matrix(flows):
    trimmed = np.trim_zeros(np.array(flows))
    roots = np.roots(trimmed[::-1]) if trimmed.size > 1 else np.empty(0)
    clear = np.abs(roots.imag) > 1e-4 * np.abs(roots)
    sure = (roots.imag == 0.0) & (roots.real > 1e-3) & (roots.real < 1e3)
    found = ec.irr(flows)
    if (clear | sure | (roots.real < -1e-9)).all() and np.unique(
        np.round(roots.real, 3)
    ).size == roots.size:
        np.testing.assert_allclose(
            found, np.sort(1.0 / roots[sure & ~clear].real - 1.0), rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize("start", [0.0, 3.0])
def test_many_small_flows_against_one(start):
    """Monthly flows of 1, the last (the first) against the others: its root lies far beyond where two are alike."""
    years = start + np.arange(13) / 12.0
    last = np.array([5.0, *[-1.0] * 11, 1.0])
    roots = np.roots(last[::-1])  # in what a flow gains a month
    gains = np.sort(roots[(abs(roots.imag) < 1e-12) & (roots.real > 0.0)].real)
    assert len(gains) == 2 and gains[1] > 1.99
    late, early = (_core.rates_of(flows, years)[0] for flows in (last, last[::-1].copy()))
    assert np.sort(late) == pytest.approx(np.sort(gains**-12.0 - 1.0), rel=1e-9)
    assert np.sort(early) == pytest.approx(np.sort(gains**12.0 - 1.0), rel=1e-9)


def test_values_at_extreme_rates():
    assert (
        ec.npv(-0.99, [0.0] * 900 + [1.0]) == np.inf and ec.npv(-0.99, [1.0] + [0.0] * 900) == 1.0
    )


@pytest.mark.parametrize("bad", ["12", ["-1", "2"], [True, False], np.array(["2026"], "datetime64[D]"), None,
                                 [[1.0], [2.0]], [], [1, 10**400], [1, float("inf")], [1j], 3.0])  # fmt: skip
def test_flows_that_are_none(bad):
    for call in (lambda: ec.irr(bad), lambda: ec.npv(0.1, bad)):
        with pytest.raises(
            (ValueError, TypeError), match=r"flows(\[[01]\])? is .*; allowed: finite numbers"
        ):
            call()
    with pytest.raises((ValueError, TypeError), match=r"costs(\[[01]\])? is .*; allowed"):
        ec.levelized_cost(bad, [1, 2], 0.1)


@pytest.mark.parametrize("bad", ["0.1", None, True, 1j, float("nan"), 10**400])
def test_rates_that_are_none(bad):
    for call in (
        lambda: ec.npv(bad, [1, 2]),
        lambda: ec.crf(bad, 5),
        lambda: ec.levelized_cost([1], [1], bad),
    ):
        with pytest.raises((ValueError, TypeError), match="rate is .*; allowed: a"):
            call()
    with pytest.raises((ValueError, TypeError), match="net_per_year is .*; allowed: a"):
        ec.payback(1.0, bad)
