"""Capital, a cluster's throughput, curtailment and trends: kernels beside their twins, sources and each other."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tokenroof import _core, kernels, reference
from tokenroof import economics as ec

BY_ISA = _core.flow_ufuncs_by_isa()
points = st.lists(
    st.tuples(st.floats(1990.0, 2040.0), st.floats(1e-12, 1e12)), min_size=3, max_size=30
)


@given(points)
def test_a_line_equals_its_twin(rows):
    years, amounts = map(list, zip(*rows, strict=True))
    away = np.array(years) - np.mean(years)
    spread = float(away @ away)
    assume(spread > 1e-3)
    want = (
        reference.log_slope_each(years, amounts),
        reference.log_slope_error_each(years, amounts),
    )
    # sums of n logarithms of 28 at most, over the spread of the years: some roundings each
    n, eps = len(years), np.finfo(float).eps
    off = 64.0 * n * 28.0 * eps / math.sqrt(spread)
    # the mean year is off by n roundings of 2040: what is left of each point by as much of the slope
    aside = off + abs(want[0]) * 2040.0 * n * eps * math.sqrt(n / (n - 2) / spread)
    for table in BY_ISA.values():
        got = table["log_slope_each"](years, amounts), table["log_slope_error_each"](years, amounts)
        assert got[0] == pytest.approx(want[0], rel=1e-11, abs=off)
        assert got[1] == pytest.approx(want[1], rel=1e-11, abs=aside)
        assert [table["log_slope_each"](years, amounts)] == [
            BY_ISA["generic"]["log_slope_each"](years, amounts)
        ]


def test_a_line_by_hand():
    """Halves each second year, but for one that is a factor of 2 off: y = 0, -1, -1, -3 (log2), t = 0, 2, 4, 6."""
    t, bits = [0.0, 2.0, 4.0, 6.0], np.array([0.0, -1.0, -1.0, -3.0])
    table = BY_ISA[_core.ISA]
    slope = float(table["log_slope_each"](t, 2.0**bits))
    assert slope / math.log(2.0) == pytest.approx(-0.45)  # (-3*0 + 1 - 1 - 9) / 20
    rest = bits - bits.mean() + 0.45 * (np.array(t) - 3.0)
    want = math.log(2.0) * math.sqrt(float(rest @ rest) / 2.0 / 20.0)
    assert float(table["log_slope_error_each"](t, 2.0**bits)) == pytest.approx(want)
    rows = table["log_slope_each"](t, np.stack([2.0**bits, np.exp(np.array(t))]))
    assert rows == pytest.approx([slope, 1.0], rel=1e-13)
    with pytest.warns(RuntimeWarning, match="invalid value"):
        assert np.isnan(table["log_slope_each"](t, [1.0, -1.0, 2.0, 3.0]))
    race = ec.race("miners")
    at, joules = race.released[race.record], race.joules[race.record]
    assert race.halving_years()[0] == pytest.approx(
        -math.log(2.0) / np.polyfit(at, np.log(joules), 1)[0]
    )


@given(st.floats(1e-9, 3.0), st.integers(1, 60))
def test_payments_of_a_dollar_are_worth_a_dollar(rate, years):
    paid = float(kernels.capital_recovery(rate, years))
    assert sum(paid * (1.0 + rate) ** -k for k in range(1, years + 1)) == pytest.approx(
        1.0, rel=1e-12
    )
    assert ec.crf(rate, years) == paid and kernels.capital_recovery(0.0, years) == 1.0 / years
    assert paid >= max(rate, 1.0 / years) * (1.0 - 1e-15)


@given(st.integers(1, 2**20), st.floats(0.0, 0.04), *[st.floats(1.0, 1e5)] * 4)
def test_a_cluster_is_no_faster_than_its_devices(devices, overhead, into, out, reads, writes):
    got = float(kernels.cluster_tokens_per_s(devices, overhead, into, out, reads, writes))
    one = float(kernels.cluster_tokens_per_s(1, overhead, into, out, reads, writes))
    assert min(reads, writes) * (1.0 - 1e-14) <= one <= max(reads, writes) * (1.0 + 1e-14)
    assert got == pytest.approx(devices * one * (1.0 - overhead * math.log2(devices)), rel=1e-12)
    found = ec.lcoi(devices, 3e4, 1e3, reads, writes, prompt_tokens=into, answer_tokens=out,
                    overhead=overhead, utilization=1.0)  # fmt: skip
    assert found.tokens_per_year == pytest.approx(got * 3600 * 8760, rel=1e-14)


@given(
    st.floats(0.1, 1e4),
    st.floats(0.0, 0.9),
    st.floats(1e3, 1e8),
    st.floats(0.0, 500.0),
    st.floats(-50.0, 5e3),
)
def test_above_its_price_a_service_earns_more_by_not_running(sold, fee, watts, paid, price):
    limit = float(kernels.curtailment_price(sold, fee, watts, paid))
    assume(abs(price - limit) > 1e-9 * (abs(price) + abs(limit) + paid + 1.0))
    running, off = sold * (1.0 - fee) - watts / 1e6 * price, watts / 1e6 * paid
    assert (price > limit) == (running < off)
    chat = ec.Service(name="chat", devices=1.0, output_tokens_per_s=sold * 1e6 / 3600, price_per_mtok=1.0,
                      watts=watts, idle_watts=0.0, use=1.0, licence_fee=fee)  # fmt: skip
    got = ec.hourly_profit([chat], price, curtail="at_loss", curtailment_income=paid)
    assert bool(got.running[0, 0]) == (running >= off)
    assert got.profit[0] == pytest.approx(max(running, off), rel=1e-9, abs=1e-9)
