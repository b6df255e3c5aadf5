"""Services together, by hour and by year: against the estimator's definition, by hand, identities."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenroof import economics as ec

CHAT = {"name": "chat", "devices": 10.0, "output_tokens_per_s": 1000.0, "price_per_mtok": 4.0, "watts": 1500.0,
        "idle_watts": 500.0, "use": (0.0, 0.25, 1.0), "licence_fee": 0.3, "cost_per_hour": 1.0}  # fmt: skip
BULK = {"name": "bulk", "devices": 4.0, "output_tokens_per_s": 2000.0, "price_per_mtok": 0.05, "watts": 1500.0,
        "input_tokens_per_s": 8000.0, "price_per_mtok_input": 0.01, "capex": 30e3}  # fmt: skip
PRICES = [-20.0, 50.0, 400.0]


def test_by_hand():
    got = ec.hourly_profit([ec.Service(**CHAT), ec.Service(**BULK)], PRICES, pue=1.25)
    full = 10 * 3600 * 1000 * 4.0 / 1e6
    np.testing.assert_allclose(got.revenue[0], [0.0, 0.25 * full, full], rtol=1e-14)
    np.testing.assert_allclose(got.licence[0], 0.3 * got.revenue[0], rtol=1e-14)
    watts = 1.25 * 10 * np.array([500.0, 750.0, 1500.0])
    np.testing.assert_allclose(got.meter_w[0], watts, rtol=1e-14)
    np.testing.assert_allclose(got.power[0], watts / 1e6 * PRICES, rtol=1e-14)
    np.testing.assert_allclose(got.cost[0], 10.0)
    bulk = 4 * 3600 * (2000 * 0.05 + 8000 * 0.01) / 1e6
    np.testing.assert_allclose(got.revenue[1], bulk, rtol=1e-14)
    want = got.revenue - got.licence - got.power - got.cost
    np.testing.assert_allclose(got.profit, want, rtol=1e-13)
    assert got.profit_per_year == pytest.approx(8760 / 3 * want.sum(), rel=1e-13)
    assert sum(got.by_service.values()) == pytest.approx(got.profit_per_year, rel=1e-13)
    assert got.energy_mwh_per_year == pytest.approx(8760 / 3 * got.meter_w.sum() / 1e6, rel=1e-13)
    assert got.profit_per_mwh == pytest.approx(got.profit_per_year / got.energy_mwh_per_year)


@given(
    st.floats(0.1, 1e4),
    st.floats(0.0, 20.0),
    st.floats(0.0, 1.0),
    st.floats(0.0, 1.0),
    st.floats(-50.0, 300.0),
)
def test_at_one_load_it_is_the_estimators_definition(rate, price, sold, fee, mwh):
    """All-in watts at any load, one price of power: `profit`, with the electricity in its cost."""
    one = ec.Service(name="a", devices=1.0, output_tokens_per_s=rate, price_per_mtok=price, watts=1370.0,
                     idle_watts=1370.0, use=sold, licence_fee=fee, cost_per_hour=1.17)  # fmt: skip
    got = ec.hourly_profit([one], mwh)
    cost = 1.17 + 1370.0 / 1e6 * mwh
    want = ec.profit(rate, price, max(cost, 0.0), 1370.0, utilization=sold, licence_fee=fee)
    assert got.profit[0, 0] == pytest.approx(
        want.profit + max(cost, 0.0) - cost, rel=1e-12, abs=1e-12
    )
    gw = 1e9 / 1370.0
    assert gw * got.profit_per_year == pytest.approx(want.profit_per_gw_year + (max(cost, 0.0) - cost) * gw * 8760,
                                                     rel=1e-9, abs=1e-3)  # fmt: skip


def test_the_estimators_worked_hour_to_the_cent():
    """1,000 token/s at 4 $/Mtok on an H100 of July 2026: 8.64 $ sold, 2.59 to the owner, 4.88 left."""
    hour = ec.Service(name="H100", devices=1.0, output_tokens_per_s=1000.0, price_per_mtok=4.0, watts=1370.0,
                      use=0.6, licence_fee=0.3, cost_per_hour=1.17)  # fmt: skip
    got = ec.hourly_profit([hour], 0.0)
    assert (
        round(got.revenue[0, 0], 2),
        round(got.licence[0, 0], 2),
        round(got.profit[0, 0], 2),
    ) == (8.64, 2.59, 4.88)


def test_curtailment():
    services = [ec.Service(**CHAT), ec.Service(**BULK)]
    above = ec.hourly_profit(services, PRICES, curtail=100.0, curtailment_income=30.0)
    assert above.running.tolist() == [[True, True, False]] * 2
    assert (
        above.revenue[:, 2].tolist()
        == above.power[:, 2].tolist()
        == above.meter_w[:, 2].tolist()
        == [0.0, 0.0]
    )
    assert above.curtailment[:, 2].tolist() == pytest.approx(
        [10 * 1500 / 1e6 * 30, 4 * 1500 / 1e6 * 30]
    )
    assert above.cost[0, 2] == 10.0  # rent runs on
    at_loss = ec.hourly_profit(services, PRICES, curtail="at_loss", curtailment_income=30.0)
    bulk = 4 * 3600 * 180 / 1e6
    # of an hour's margin: bulk earns 2.592 $, and draws 6 kW; chat of the first hour is paid for what it draws
    assert at_loss.running[1].tolist() == [bulk - 0.006 * p >= 0.006 * 30 for p in PRICES]
    assert at_loss.running[0].tolist() == [0.0 + 0.005 * 20 >= 0.005 * 30, True, True]
    for rule in ("never", 100.0, 0.0):
        other = ec.hourly_profit(services, PRICES, curtail=rule, curtailment_income=30.0)
        assert at_loss.profit_per_year >= other.profit_per_year


def test_an_offers_own_watts():
    tier = ec.Tier("chat", 0.6, interactivity=60.0, model="gpt-oss-20b", context=2048)
    (offer,) = ec.deliver(["H200-SXM"], [tier]).of("H200-SXM")
    got = ec.Service.of(offer, 2.0, use=0.5)
    assert got.devices == 2.0 * offer.devices_per_mw and got.price_per_mtok == 0.6
    assert got.devices * got.output_tokens_per_s == pytest.approx(2.0 * offer.tokens_per_s_per_mw)
    assert (
        0.0 < got.idle_watts < got.watts < 1e6 / offer.devices_per_mw
    )  # by load, below what is set aside
    (gone,) = ec.deliver(["H200-SXM"], [ec.Tier("x", 1.0, 1e6, "gpt-oss-20b", 2048)]).of("H200-SXM")
    with pytest.raises(ValueError, match="offer is not reached: x .*; allowed: one that is"):
        ec.Service.of(gone, 2.0)


def test_years():
    services = [ec.Service(**BULK | {"price_per_mtok": 4.0})]
    first = ec.hourly_profit(services, PRICES).profit_per_year
    flat = ec.profit_over_years(services, PRICES, years=3, discount_rate=0.1, residual_share=0.1)
    np.testing.assert_allclose(flat.flows, [-120e3, first, first, first + 12e3], rtol=1e-12)
    assert (
        flat.npv == pytest.approx(ec.npv(0.1, flat.flows))
        and flat.running_share.tolist() == [1.0] * 3
    )
    assert flat.payback_years == pytest.approx(120e3 / first)
    assert ec.npv(flat.irr, flat.flows) == pytest.approx(0.0, abs=1e-3)
    grown = ec.profit_over_years(services, PRICES, years=2, token_price_growth=-0.5, power_price_growth=0.1,
                                 throughput_growth=0.3)  # fmt: skip
    cheaper = ec.Service(
        **BULK | {"price_per_mtok": 2.0 * 1.3, "price_per_mtok_input": 0.005 * 1.3}
    )
    want = ec.hourly_profit([cheaper], [1.1 * p for p in PRICES]).profit_per_year
    assert grown.flows[2] == pytest.approx(want, rel=1e-12)
    poor = ec.Service(**BULK | {"price_per_mtok": 0.0, "price_per_mtok_input": 0.0})
    lost = ec.profit_over_years([poor], 50.0, curtail="at_loss")
    assert (
        lost.payback_years == np.inf
        and lost.running_share.tolist() == [0.0] * 5
        and lost.irr is None
    )


def test_ranges():
    services = [ec.Service(**CHAT)]
    sure = ec.profit_range(services, PRICES, draws=3)
    base = ec.hourly_profit(services, PRICES).profit_per_year
    np.testing.assert_allclose(sure.profits, base, rtol=1e-12)
    found = ec.profit_range(services, PRICES, token_price_sigma=0.4, draws=20000)
    sold = ec.hourly_profit(services, PRICES)
    kept = 8760 / 3 * float((sold.revenue - sold.licence).sum())
    spread = kept * np.sqrt(np.expm1(0.16))  # of a lognormal of mean 1
    assert found.mean == pytest.approx(base, abs=4 * spread / np.sqrt(20000))
    assert found.profits.std() == pytest.approx(spread, rel=0.05)
    assert found.percentile(50) == pytest.approx(base - kept * (1 - np.exp(-0.08)), rel=0.02)
    assert found.percentile(10) < found.percentile(50) < found.percentile(90)
    assert found.loss == np.mean(found.profits < 0.0)
    again = ec.profit_range(services, PRICES, token_price_sigma=0.4, draws=20000)
    np.testing.assert_array_equal(found.profits, again.profits)
    assert ec.profit_range(services, PRICES, power_price_sigma=0.4, draws=500).profits.std() > 0.0
    # who may stop loses less
    poor = [ec.Service(**BULK)]
    stops = ec.profit_range(poor, PRICES, token_price_sigma=1.0, curtail="at_loss")
    assert (
        stops.profits >= ec.profit_range(poor, PRICES, token_price_sigma=1.0).profits - 1e-9
    ).all()


@pytest.mark.parametrize("call,said", [
    (lambda: ec.Service(**CHAT | {"devices": 0.0}), "devices is 0.0; allowed"),
    (lambda: ec.Service(**CHAT | {"idle_watts": 1501.0}), "idle_watts is 1501.0; allowed: at most watts, 1500.0"),
    (lambda: ec.Service(**CHAT | {"use": 1.1}), "use is 1.1; allowed: from 0 to 1"),
    (lambda: ec.Service(**CHAT | {"use": "x"}), "use is 'x'; allowed"),
    (lambda: ec.Service(**CHAT | {"price_per_mtok": -1.0}), "price_per_mtok is -1.0; allowed"),
    (lambda: ec.Service(**CHAT | {"licence_fee": 1.5}), "licence_fee is 1.5; allowed"),
    (lambda: ec.Service(**CHAT | {"name": ""}), "name is ''; allowed: text"),
    (lambda: ec.Service.of(3, 1.0), "offer is 3; allowed: an Offer"),
    (lambda: ec.hourly_profit([], 1.0), r"services is \[\]; allowed"),
    (lambda: ec.hourly_profit([3], 1.0), "services has 3; allowed: a Service"),
    (lambda: ec.hourly_profit([ec.Service(**CHAT)] * 2, 1.0), "services has chat 2 times; allowed"),
    (lambda: ec.hourly_profit([ec.Service(**CHAT)], [1.0, 2.0]), "use and price_per_mwh have 2, 3 hours; allowed"),
    (lambda: ec.hourly_profit([ec.Service(**BULK)], [[1.0]]), "price_per_mwh has shape .1, 1.; allowed"),
    (lambda: ec.hourly_profit([ec.Service(**BULK)], ["x"]), "price_per_mwh is 'x'; allowed"),
    (lambda: ec.hourly_profit([ec.Service(**BULK)], 1.0, curtail="often"), "curtail is 'often'; allowed: 'never'"),
    (lambda: ec.hourly_profit([ec.Service(**BULK)], 1.0, curtail=np.inf), "curtail is inf; allowed"),
    (lambda: ec.hourly_profit([ec.Service(**BULK)], 1.0, pue=0.9), "pue is 0.9; allowed"),
    (lambda: ec.hourly_profit([ec.Service(**BULK)], 1.0, curtailment_income=-1), "curtailment_income is -1; allowed"),
    (lambda: ec.hourly_profit([ec.Service(**BULK)], 1.0, pua=1), "unexpected option"),
    (lambda: ec.profit_over_years([ec.Service(**BULK)], 1.0, discount_rate=-1.0), "discount_rate is -1.0; allowed"),
    (lambda: ec.profit_over_years([ec.Service(**BULK)], 1.0, years=0), "years is 0; allowed"),
    (lambda: ec.profit_range([ec.Service(**BULK)], 1.0, draws=0), "draws is 0; allowed"),
    (lambda: ec.profit_range([ec.Service(**BULK)], 1.0, seed=-1), "seed is -1; allowed"),
    (lambda: ec.profit_range([ec.Service(**BULK)], 1.0, throughput_sigma=-1), "throughput_sigma is -1; allowed"),
    (lambda: ec.profit_range([ec.Service(**BULK)], 1.0).percentile(101), "part is 101; allowed: from 0 to 100"),
])  # fmt: skip
def test_bad_input_is_named(call, said):
    with pytest.raises((ValueError, TypeError), match=said):
        call()
