"""One site under productivity demand and under speculation, and its figure."""

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import economics as ec

WORK = ec.demand(4, 2e6, value_per_result=9.0, acceptance=0.5, price_per_mtok=1.5)
CALM = ec.Uncertainty()
WILD = ec.Uncertainty(
    price_volatility=0.6, price_reversion=0.3, jumps_per_year=0.3, jump_up=0.3, jump_down=0.5
)


def test_productivity_by_hand():
    """Every 15 minutes, then every 3, at 83 % less: 2.5 token/s a process grow by 5, the price falls by 29.4."""
    got = ec.two_worlds(WORK, 10_000, 3e5, CALM, years=3)
    rate = 10_000 * 4 * 2e6 / 3600
    np.testing.assert_allclose(got.wanted, rate * np.array([1.0, 5**0.5, 5.0]), rtol=1e-12)
    np.testing.assert_allclose(
        got.price_per_mtok, 1.5 * (0.17 / 5) ** np.array([0.0, 0.5, 1.0]), rtol=1e-12
    )
    np.testing.assert_array_equal(got.sold, np.minimum(got.wanted, 3e7))
    bill = 100 * 8760 * 60.0
    np.testing.assert_allclose(
        got.productivity, got.sold * 31.536 * got.price_per_mtok - bill, rtol=1e-12
    )
    more = ec.two_worlds(WORK, 10_000, 3e5, CALM, years=3, processes_growth=0.5)
    np.testing.assert_allclose(more.wanted / got.wanted, [1.0, 1.5, 2.25], rtol=1e-12)


def test_what_is_not_worth_its_price_is_not_bought():
    dear = ec.demand(
        4, 2e6, value_per_result=9.0, acceptance=0.5, price_per_mtok=2.26
    )  # worth 2.25
    got = ec.two_worlds(dear, 10_000, 3e5, CALM, years=2)
    assert got.sold[0] == 0.0 < got.sold[1]
    assert got.productivity[0] == -100 * 8760 * 60.0
    assert (
        ec.two_worlds(dear, 10_000, 3e5, ec.Uncertainty(can_stop=True), years=2).productivity[0]
        == 0.0
    )


def test_speculation_by_hand():
    """17.5 J/TH earns hashprice / 0.42 of a MWh; the coins halve by the chain's rule."""
    got = ec.two_worlds(WORK, 1.0, 3e5, CALM, hashprice=42.0, years=5, network_growth=0.1, paths=2)
    coins = ec.issuance(5).issued
    np.testing.assert_allclose(got.coins, coins / coins[0], rtol=1e-12)
    assert got.coins[-1] < 0.6
    revenue = 100 * 8760 * 42.0 / 0.42
    want = revenue * got.coins / 1.1 ** np.arange(5) - 100 * 8760 * 60.0
    np.testing.assert_allclose(got.speculation, [want, want], rtol=1e-12)


def test_the_mean_of_the_coins_price_stays():
    got = ec.two_worlds(WORK, 1.0, 3e5, WILD, paths=100_000, price_per_mwh=0.0, years=4)
    sure = ec.two_worlds(WORK, 1.0, 3e5, CALM, paths=1, price_per_mwh=0.0, years=4).speculation[0]
    error = got.speculation.std(axis=0) / np.sqrt(100_000)
    assert (np.abs(got.speculation.mean(axis=0) - sure) < 4.5 * error).all()
    slow = ec.Uncertainty(price_volatility=0.6, price_reversion=0.3, supply_response=1.0)
    follows = ec.two_worlds(WORK, 1.0, 3e5, slow, paths=20_000, years=4)
    alone = ec.two_worlds(
        WORK,
        1.0,
        3e5,
        ec.Uncertainty(price_volatility=0.6, price_reversion=0.3),
        paths=20_000,
        years=4,
    )
    assert (
        follows.speculation[:, 3].std() < alone.speculation[:, 3].std()
    )  # supply takes a part of it
    assert (got.percentile(10) < got.percentile(50)).all() and (
        got.percentile(50) < got.percentile(90)
    ).all()
    assert got.to_frame()["speculation_p50"].tolist() == got.percentile(50).tolist()


def test_the_figure_has_both():
    got = ec.two_worlds(WORK, 10_000, 3e5, WILD)
    figure = tr.plot.two_worlds(got)
    low, high, middle, work = figure.data
    np.testing.assert_allclose(
        np.array([low.y, middle.y, high.y]) * 1e6, [got.percentile(p) for p in (10, 50, 90)]
    )
    np.testing.assert_allclose(np.array(work.y) * 1e6, got.productivity)
    assert work.name == "productivity" and high.fill == "tonexty"
    with pytest.raises(TypeError, match="found is 3; allowed: a TwoWorlds"):
        tr.plot.two_worlds(3)


@pytest.mark.parametrize("call,said", [
    (lambda: ec.two_worlds(3, 1.0, 1.0, CALM), "process is 3; allowed: a Demand"),
    (lambda: ec.two_worlds(WORK, 0.0, 1.0, CALM), "processes is 0.0; allowed"),
    (lambda: ec.two_worlds(WORK, 1.0, -1.0, CALM), "tokens_per_s_per_mw is -1.0; allowed"),
    (lambda: ec.two_worlds(WORK, 1.0, 1.0, 3), "uncertainty is 3; allowed: an Uncertainty"),
    (lambda: ec.two_worlds(WORK, 1.0, 1.0, ec.Uncertainty(power_volatility=0.1)), "power_volatility is 0.1; allowed here: 0"),
    (lambda: ec.two_worlds(WORK, 1.0, 1.0, CALM, years=0), "years is 0; allowed"),
    (lambda: ec.two_worlds(WORK, 1.0, 1.0, CALM, cost=0.0), "cost is 0.0; allowed"),
    (lambda: ec.two_worlds(WORK, 1.0, 1.0, CALM, network_growth=-1), "network_growth is -1; allowed"),
    (lambda: ec.two_worlds(WORK, 1.0, 1.0, CALM, year=3), "unexpected option 'year'"),
    (lambda: ec.two_worlds(WORK, 1.0, 1.0, CALM).percentile(-1), "part is -1; allowed"),
])  # fmt: skip
def test_bad_input_is_named(call, said):
    with pytest.raises((ValueError, TypeError), match=said):
        call()
