"""The market by month and by period: without holes, and as the chain says."""

from itertools import pairwise

import pytest

from tokenroof import mining
from tokenroof.catalogue import latest, quotes


def test_the_history_has_no_holes_since_2021():
    months = mining.market_history().months
    said = f"<MarketHistory of {len(months)} months, {months[0]} to {months[-1]}>"
    assert repr(mining.market_history()) == said
    since = [f"{year}-{month:02}" for year in range(2021, 2027) for month in range(1, 13)]
    assert months[months.index("2021-10") :] == tuple(since[9 : since.index("2026-06") + 1])
    history = mining.market_history()
    at = history.months.index("2022-01")
    assert (history.dates[at], history.price[at], history.difficulty[at]) == (
        "2022-01",
        41114.42,
        2.515004e13,
    )
    assert history.fees_btc[at] == 0.0769 and history.subsidy_btc[at] == 6.25


def test_difficulties_of_periods_are_those_of_the_chain():
    """Each follows from the one before within the factor of four, and is one that nBits can say."""
    periods = quotes("btc_difficulty_of_period")
    assert len(periods) == 122 and periods[0].region == "from block 709632"
    blocks = [int(q.region.removeprefix("from block ")) for q in periods]
    assert blocks == list(range(352 * 2016, 474 * 2016, 2016))
    days = [q.date for q in periods]
    assert days == sorted(days)
    for before, after in pairwise(periods):
        assert 0.25 <= after.value / before.value <= 4.0
    for quote in periods:  # what nBits say, to the digits of a float
        bits = mining.bits_from_target(mining.target_from_difficulty(quote.value))
        near = [mining.difficulty(bits + up) for up in (0, 1)]
        assert min(abs(value / quote.value - 1.0) for value in near) < 1e-15
    # the months' means are made of them
    monthly = {q.date: q.value for q in quotes("btc_difficulty") if len(q.date) == 7}
    for month in ("2023-05", "2025-02"):
        of = [q.value for q in periods if q.date[:7] == month]
        assert min(of) * 0.9 < monthly[month] < max(of) * 1.1


def test_the_newest_market_is_of_june_2026():
    newest = latest("btc_hashprice")
    assert (newest.value, newest.date) == (28.68, "2026-06-26")
    history = mining.market_history()  # with half a month's fees and a fall of the price within it
    assert history.hashprice[history.months.index("2026-06")] == pytest.approx(28.68, rel=0.1)
    price = {q.date: q.value for q in quotes("btc_price")}
    assert (price["2026-07"], price["2026-08"]) == (64309.35, 65257.35)
    rate = {q.date: q.value for q in quotes("btc_hashrate")}
    for month in (
        "2021-11",
        "2023-01",
        "2025-03",
    ):  # what the difficulty says, within the luck of a month
        hard = next(q.value for q in quotes("btc_difficulty") if q.date == month)
        assert rate[month] == pytest.approx(mining.network_hashrate(hard) / 1e18, rel=0.075)


def market_file(folder, text):
    path = folder / "own.csv"
    path.write_text(text)
    return path


def test_a_file_without_fees_has_those_that_its_hashprice_stands_for(tmp_path):
    bare = mining.hashprice(1.3e14, 64000.0, 3.125)
    path = market_file(
        tmp_path, f"date,price,difficulty,hashprice\n2026-09-10,64000,1.3e14,{1.04 * bare!r}\n"
    )
    history = mining.market_history(market=path)
    at = history.months.index("2026-09")
    assert history.fees_btc[at] == pytest.approx(0.04 * 3.125, rel=1e-12)
    assert history.hashprice[at] == pytest.approx(1.04 * bare, rel=1e-12)
    given = market_file(
        tmp_path,
        f"date,price,difficulty,hashprice,fees\n2026-09-10,64000,1.3e14,{1.04 * bare!r},0.05\n",
    )
    assert mining.market_history(market=given).fees_btc[at] == 0.05
    without = market_file(tmp_path, "date,price,difficulty\n2026-09-10,64000,1.3e14\n")
    assert mining.market_history(market=without).fees_btc[at] == 0.0


def test_a_hashprice_below_its_own_price_and_difficulty_is_named(tmp_path):
    bare = mining.hashprice(1.3e14, 64000.0, 3.125)
    path = market_file(
        tmp_path, f"date,price,difficulty,hashprice\n2026-09-10,64000,1.3e14,{0.9 * bare!r}\n"
    )
    with pytest.warns(UserWarning, match="hashprice of 2026-09-10 is .* without any fee"):
        history = mining.market_history(market=path)
    assert history.fees_btc[history.months.index("2026-09")] == 0.0
