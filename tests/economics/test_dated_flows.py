"""Flows on days, and spreadsheets' convention, beside pyxirr and figures that spreadsheets document."""

import datetime
import math

import numpy as np
import pytest
import pyxirr
from hypothesis import assume, given
from hypothesis import strategies as st

from tokenroof import _core
from tokenroof import economics as ec

DAYS = ["2008-01-01", "2008-03-01", "2008-10-30", "2009-02-15", "2009-04-01"]
FLOWS = [-10_000, 2750, 4250, 3250, 2750]

money = st.floats(-1e6, 1e6).map(lambda x: round(x, 2))
rates = st.floats(-0.5, 5.0)
streams = st.lists(st.tuples(money, st.integers(0, 8000)), min_size=1, max_size=40)


def dated(stream):
    first = datetime.date(2020, 2, 28)
    flows, since = zip(*stream, strict=True)
    return list(flows), [first, *(first + datetime.timedelta(days=d) for d in since[1:])]


def test_figures_of_a_spreadsheets_manual():
    """Microsoft's pages of XNPV, XIRR, NPV and IRR, support.microsoft.com."""
    assert ec.xnpv(0.09, FLOWS, DAYS) == pytest.approx(2086.647602, abs=5e-7)
    assert ec.xirr(FLOWS, DAYS) == pytest.approx((0.373362535,), abs=2e-9)  # which it finds to 1e-8
    assert ec.spreadsheet_npv(0.1, [-10000, 3000, 4200, 6800]) == pytest.approx(1188.44, abs=5e-3)
    assert ec.spreadsheet_npv(0.08, [8000, 9200, 10000, 12000, 14500]) - 40000 == pytest.approx(
        1922.06, abs=5e-3
    )
    assert ec.irr([-70000, 12000, 15000, 18000, 21000, 26000]) == pytest.approx(
        (0.086630948,), abs=5e-9
    )


@given(rates, streams)
def test_present_values_as_pyxirr(rate, stream):
    flows, days = dated(stream)
    size = sum(
        abs(f) * (1 + rate) ** (-(d - days[0]).days / 365) for f, d in zip(flows, days, strict=True)
    )
    want = pyxirr.xnpv(rate, days, flows)
    assert ec.xnpv(rate, flows, days) == pytest.approx(want, rel=1e-9, abs=1e-12 * size)
    plain = sum(abs(f) * (1 + rate) ** -k for k, f in enumerate(flows))
    assert ec.npv(rate, flows) == pytest.approx(
        pyxirr.npv(rate, flows), rel=1e-9, abs=1e-12 * plain
    )
    late = pyxirr.npv(rate, flows, start_from_zero=False)
    assert ec.spreadsheet_npv(rate, flows) == pytest.approx(late, rel=1e-9, abs=1e-12 * plain)


@given(
    st.lists(st.floats(1.0, 1e4), min_size=1, max_size=30),
    st.floats(-0.3, 2.0),
    st.randoms(use_true_random=False),
)
def test_one_rate_as_pyxirr(income, rate, random):
    """Income after an expense has one rate: that at which it was discounted."""
    first = datetime.date(2024, 2, 29)
    days = [first + datetime.timedelta(days=random.randint(1, 7000)) for _ in income]
    spent = sum(
        f * (1 + rate) ** (-(d - first).days / 365) for f, d in zip(income, days, strict=True)
    )
    found = ec.xirr([-spent, *income], [first, *days])
    assert len(found) == 1
    assert found[0] == pytest.approx(rate, rel=1e-9, abs=1e-9)
    theirs = pyxirr.xirr([first, *days], [-spent, *income])
    assume(theirs is not None)
    # theirs stops some 1e-8 short of the rate now and then
    near = found[0] == pytest.approx(theirs, rel=1e-9, abs=1e-9)
    assert near or abs(found[0] - rate) < abs(theirs - rate) < 1e-7
    yearly = ec.irr([-spent, *income])
    assert len(yearly) == 1
    assert yearly[0] == pytest.approx(pyxirr.irr([-spent, *income]), rel=1e-9, abs=1e-9)


def test_several_rates_and_none_on_days_of_the_calendar():
    yearly = ["2021-01-01", "2022-01-01", "2023-01-01"]  # 365 days each
    assert ec.xirr([-1600, 10000, -10000], yearly) == pytest.approx((0.25, 4.0), rel=1e-9)
    assert ec.xirr([-1600, 1000, -1000], yearly) == ()
    close = ["2021-01-01", "2021-01-02", "2021-01-04"]  # fractions of a year: the rate is large
    assert ec.xirr([-100, 50, 55], close) == pytest.approx((1.05**0 * _daily(),), rel=1e-6)


def _daily():
    return pyxirr.xirr(["2021-01-01", "2021-01-02", "2021-01-04"], [-100, 50, 55])


def test_flows_of_one_day_are_one():
    assert ec.xirr([-60, -40, 110], ["2021-01-01", "2021-01-01", "2022-01-01"]) == pytest.approx(
        (0.1,)
    )


def test_days_may_be_of_any_kind_and_order():
    want = ec.xnpv(0.09, FLOWS, DAYS)
    order = [0, 3, 1, 4, 2]
    assert ec.xnpv(0.09, np.array(FLOWS)[order], np.array(DAYS)[order]) == pytest.approx(
        want, rel=1e-14
    )
    for days in (np.array(DAYS, "datetime64[ns]"), [datetime.date.fromisoformat(d) for d in DAYS],
                 [datetime.datetime.fromisoformat(d) for d in DAYS]):  # fmt: skip
        assert ec.xnpv(0.09, FLOWS, days) == want


@pytest.mark.parametrize("dates,error,said", [
    ([0, 60, 303, 411, 456], TypeError, "allowed: dates"),
    (np.arange(5), TypeError, "allowed: dates"),
    ([True] * 5, TypeError, "allowed: dates"),
    (DAYS[:4], ValueError, r"5 of them"),
    (["2008-13-01", *DAYS[1:]], ValueError, "2008-13-01"),
    (["NaT", *DAYS[1:]], ValueError, "allowed: dates"),
    ([None, *DAYS[1:]], ValueError, "allowed: dates"),
    (["2008-01-01T00:00:00+05:00", *DAYS[1:]], ValueError, "timezones.*allowed: dates"),
    ([*DAYS[:4], datetime.datetime(2009, 4, 1, tzinfo=datetime.UTC)], ValueError, "timezones.*allowed: dates"),
    (DAYS[::-1], ValueError, "has 2008-01-01, before the first, 2009-04-01"),
])  # fmt: skip
def test_days_that_are_none(dates, error, said):
    for call in (lambda: ec.xnpv(0.1, FLOWS, dates), lambda: ec.xirr(FLOWS, dates)):
        with pytest.raises(error, match=said):
            call()


@pytest.mark.parametrize("rate", [-1.0, np.nan, "0.1", True, None])
def test_rates_that_are_none(rate):
    for call in (lambda: ec.xnpv(rate, FLOWS, DAYS), lambda: ec.spreadsheet_npv(rate, FLOWS)):
        with pytest.raises((ValueError, TypeError), match="rate is"):
            call()


@pytest.mark.parametrize(
    "apart", [2.0**-1000, 1e-20, 1e-9, 1e-3, 0.01, 0.1, 1.0, 3.0, 1e3, 1e9, 1e300]
)
def test_rates_do_not_depend_on_the_unit_of_time(apart):
    """Flows that are worth nothing at factors of 1 and 2, of 1.25 and 5: rates where a float holds them."""
    for flows, factors in (
        ([-1.0, 3.0, -2.0], (1.0, 2.0)),
        ([-1600.0, 10000.0, -10000.0], (1.25, 5.0)),
    ):
        years = np.array([0.0, apart, 2.0 * apart])
        got = _core.rates_of(np.array(flows), years)[0]
        logs = [math.log(factor) / apart for factor in factors]
        want = [math.expm1(log) for log in logs if log < 709.0]
        assert got == pytest.approx(
            want, rel=1e-12, abs=4e-16 / apart
        )  # as well as flows have 53 bits
        if want:
            with np.errstate(invalid="ignore"):
                assert float(ec.xirr_each(flows, years)) == got[0]


def test_high_rates_are_as_exact_as_low_ones():
    """(1 + rate)^0.01 is 1.25: 4,909,093,464 a year."""
    assert float(ec.xirr_each([-1.0, 1.25], [0.0, 0.01])) == pytest.approx(
        1.25**100 - 1.0, rel=1e-13
    )
