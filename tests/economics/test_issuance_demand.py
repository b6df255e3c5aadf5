"""Coins by their rule beside tokens by their power; work that runs on tokens."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenroof import economics as ec
from tokenroof import mining
from tokenroof.mining import COIN


def test_a_halving_within_the_year():
    """52,560 blocks a year from 1,040,000 on: 10,000 of 3.125 BTC, the rest of half that."""
    got = ec.issuance(years=2, height=1_040_000)
    assert got.issued[0] == pytest.approx(9_999 * 3.125 + 42_561 * 1.5625)
    assert got.issued[1] == pytest.approx(52_560 * 1.5625)
    assert got.height.tolist() == [1_092_560, 1_145_120]
    assert got.supply[0] == pytest.approx(mining.supply(1_092_560) / COIN)


def test_all_coins_are_issued_and_fees_take_over():
    got = ec.issuance(years=140, first_year=2009, height=0, fees_per_block=0.1)
    assert got.supply[-1] == pytest.approx(20_999_999.9769)
    assert (np.diff(got.supply) >= 0).all() and got.issued[-1] == 0.0
    assert got.issued.sum() == pytest.approx(
        got.supply[-1] - 50.0, rel=1e-6
    )  # the first block's before year 0
    share = got.fees / (got.fees + got.issued)
    assert got.fee_share == pytest.approx(share)
    year = got.fees_take_over
    era = int((year - 2009) * 52_560 / 210_000)
    assert 50.0 / 2**era <= 0.1 + 50.0 / 2 ** (
        era + 1
    )  # 0.1 BTC of fees against 0.0977 BTC of subsidy
    assert ec.issuance(years=3).fees_take_over is None
    assert got.tokens_per_coin[0] == 0.0 and np.isnan(got.tokens_per_coin[-1])


def test_a_fork_of_two_hundred_million():
    fork = mining.Chain.with_total(200_000_000 * COIN)
    got = ec.issuance(years=140, height=0, chain=fork)
    assert got.supply[-1] == pytest.approx(2e8, rel=1e-6)
    plain = ec.issuance(years=140, height=0)
    assert got.supply / plain.supply == pytest.approx(200 / 21, rel=1e-5)


def test_lost_coins():
    got = ec.issuance(years=3, lost=0.2, lost_per_year=0.01)
    start = mining.supply(930_000) / COIN
    left = start * 0.8
    for year in range(3):
        left = (left + got.issued[year]) * 0.99
        assert got.in_use[year] == pytest.approx(left)
    assert (got.in_use < got.supply).all()


def test_tokens_are_bounded_by_the_best_devices_of_their_year():
    got = ec.issuance(
        years=5, first_year=2024, power_mw=500.0, tokens_per_s_per_mw={2027: 3e6, 2025: 1e6}
    )
    assert got.tokens / (500 * 365 * 86400) == pytest.approx([0.0, 1e6, 1e6, 3e6, 3e6])
    assert got.tokens_per_coin == pytest.approx(got.tokens / got.issued)
    assert list(got.to_frame()["year"]) == [2024, 2025, 2026, 2027, 2028]
    grown = ec.issuance(years=3, fees_per_block=0.1, fee_growth=0.5).fees
    assert grown / grown[0] == pytest.approx([1.0, 1.5, 2.25])


def test_fifteen_minutes_then_three_at_83_percent_less():
    before = ec.demand(4, 2e6, value_per_result=3.0, acceptance=0.5, price_per_mtok=0.6)
    assert before.runs_per_year == 35_040 and before.tokens_per_s == pytest.approx(8e6 / 3600)
    assert before.cost_per_year == pytest.approx(
        35_040 * 1.2
    ) and before.cost_per_result == pytest.approx(2.4)
    assert before.value_per_year == pytest.approx(35_040 * 1.5)
    after = before.changed(frequency=5.0, cost=0.17)
    assert after.runs_per_hour == 20.0 and after.tokens_per_run == before.tokens_per_run
    assert after.cost_per_year == pytest.approx(0.17 * before.cost_per_year)
    assert before.price_per_mtok / after.price_per_mtok == pytest.approx(29.4117647059)


@given(
    st.floats(0.1, 100),
    st.floats(1e3, 1e9),
    st.floats(0, 100),
    st.floats(0.01, 1.0),
    st.floats(0, 100),
)
def test_identities_of_demand(often, tokens, value, accepted, price):
    got = ec.demand(often, tokens, value, accepted, price)
    assert got.surplus_per_year == pytest.approx(got.value_per_year - got.cost_per_year)
    at = ec.demand(often, tokens, value, accepted, got.break_even_price_per_mtok)
    assert at.surplus_per_year == pytest.approx(0.0, abs=1e-9 * (at.value_per_year + 1))
    assert got.cost_per_result * accepted * got.runs_per_year == pytest.approx(got.cost_per_year)
    assert got.tokens_per_s * 8760 * 3600 == pytest.approx(got.tokens_per_year)


@pytest.mark.parametrize("call,said", [
    (lambda: ec.issuance(years=0), "years is 0"), (lambda: ec.issuance(years=1.5), "years is 1.5"),
    (lambda: ec.issuance(height=-1), "height is -1"), (lambda: ec.issuance(chain=3), "chain is 3"),
    (lambda: ec.issuance(lost=1.1), "lost is 1.1"), (lambda: ec.issuance(lost_per_year=-1), "lost_per_year is -1"),
    (lambda: ec.issuance(power_mw=0), "power_mw is 0"), (lambda: ec.issuance(fees_per_block=-1), "fees_per_block is"),
    (lambda: ec.issuance(fee_growth=-2), "fee_growth is -2"), (lambda: ec.issuance(first_year="2026"), "first_year is"),
    (lambda: ec.issuance(tokens_per_s_per_mw=3), "tokens_per_s_per_mw is 3"),
    (lambda: ec.issuance(tokens_per_s_per_mw={2026: -1.0}), r"tokens_per_s_per_mw\[2026\] is -1.0"),
    (lambda: ec.issuance(tokens_per_s_per_mw={"a": 1.0}), "year of tokens_per_s_per_mw is 'a'"),
    (lambda: ec.demand(0, 1, 1), "runs_per_hour is 0"), (lambda: ec.demand(1, 0, 1), "tokens_per_run is 0"),
    (lambda: ec.demand(1, 1, -1), "value_per_result is -1"), (lambda: ec.demand(1, 1, 1, 0), "acceptance is 0"),
    (lambda: ec.demand(1, 1, 1, 1, "3"), "price_per_mtok is '3'"),
    (lambda: ec.demand(1, 1, 1).changed(frequency=0), "frequency is 0"),
    (lambda: ec.demand(1, 1, 1).changed(cost=-1), "cost is -1"),
])  # fmt: skip
def test_bad_input_by_name(call, said):
    with pytest.raises((ValueError, TypeError), match=said):
        call()
