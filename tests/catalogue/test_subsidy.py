"""New coins of a block by date: halvings that were, and those that ten minutes a block lead to."""

import datetime
from fractions import Fraction

import pytest

from tokenroof.catalogue import market_data
from tokenroof.catalogue.subsidy import halving_expected, subsidy_on
from tokenroof.mining.issuance import subsidy

LAST = datetime.date(2024, 4, 20)  # block 840,000
DAYS = Fraction(210_000 * 600, 86_400)


@pytest.mark.parametrize(
    ("date", "coins"),
    [
        ("2009-01-02", 0.0), ("2009-01-03", 50.0), ("2012-11-27", 50.0), ("2012-11-28", 25.0),
        ("2016-07-09", 12.5), ("2020-05-11", 6.25), ("2024-04-20", 3.125), ("2028-04-16", 3.125),
        ("2028-04-17", 1.5625), ("2028-11", 1.5625), ("2030-11", 1.5625), ("2032-11", 0.78125),
        ("2040-01", 0.390625), ("2040-12", 0.1953125), ("2028-04", (16 * 3.125 + 14 * 1.5625) / 30),
    ],
)  # fmt: skip
def test_of_a_date(date, coins):
    assert subsidy_on(date) == coins


def test_each_expected_halving_is_the_chains():
    for n in range(1, 40):
        day = LAST + datetime.timedelta(days=int(n * DAYS))
        before = (day - datetime.timedelta(days=1)).isoformat()
        height = 840_000 + n * 210_000
        assert round(subsidy_on(day.isoformat()) * 1e8) == subsidy(height)
        assert round(subsidy_on(before) * 1e8) == subsidy(height - 1)
        assert halving_expected(day.isoformat()) == (height, day.isoformat())
    assert halving_expected("2028-04-16") is None and halving_expected("2023-01") is None


def test_a_row_after_it_says_what_it_expects(tmp_path):
    file = tmp_path / "far.csv"
    file.write_text(
        "date,price,difficulty,kind\n2028-03,65000,1e14,estimate\n2028-11,65000,1e14,estimate\n"
    )
    before, after = (q for q in market_data(file).quotes if q.quantity == "btc_hashprice")
    assert after.value == pytest.approx(before.value / 2.0, rel=1e-14)
    assert after.value == pytest.approx(86400 * 1e15 / (1e14 * 2**32) * 1.5625 * 65000, rel=1e-14)
    assert "3.125 BTC a block: " in before.source
    assert "1.5625 BTC a block (halved at block 1,050,000, expected 2028-04-17): " in after.source
