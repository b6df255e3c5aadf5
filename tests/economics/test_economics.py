"""Money, against worked examples, linear programming and the market's own figures."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tokenroof as tr
from tokenroof import economics as ec
from tokenroof import kernels


def test_names_that_are_handed_out():
    assert dir(ec) == sorted(ec.__all__)
    assert all(hasattr(ec, name) for name in ec.__all__)


def test_annuities():
    """Short, Packey, Holt 1995."""
    for rate, years, want in (
        (0, 15, 0.0666666666666667), (0.05, 15, 0.0963422876092443), (0.08, 15, 0.11682954493602),
        (0.1, 15, 0.131473776887372), (0.08, 5, 0.250456454566836), (0.1, 4, 0.315470803706098),
        (0.12, 6, 0.243225718424629),
    ):  # fmt: skip
        assert ec.crf(rate, years) == pytest.approx(want, rel=1e-13)
    assert ec.crf(1e-12, 10) == pytest.approx(0.1, rel=1e-10)


@pytest.mark.parametrize(
    "rate,want", [(0.0, 304.414003044), (0.08, 533.468241717), (0.1, 600.336880764)]
)
def test_the_keynotes_factory(rate, want):
    site = ec.Site(power_w=1e9, capex=40e9, life_years=15, discount_rate=rate)
    assert site.capital_per_mwh == pytest.approx(want, rel=1e-11)
    assert site.cost_per_mwh == pytest.approx(want, rel=1e-11)


def test_present_value_and_returns():
    flows = [-1000, 300, 420, 680]
    assert ec.npv(0.1, flows) == pytest.approx(130.728775356874, rel=1e-13)
    assert ec.irr(flows) == pytest.approx((0.163405600689,), rel=1e-11)
    assert ec.irr([-1600, 10000, -10000]) == pytest.approx((0.25, 4.0), rel=1e-9)
    gpu = [-30000] + [12330] * 5
    assert ec.npv(0.1, gpu) == pytest.approx(16740.40086681, rel=1e-12)
    assert ec.irr(gpu) == pytest.approx((0.3005319480366,), rel=1e-10)
    assert ec.payback(30000, 12330) == pytest.approx(2.43309002433, rel=1e-11)
    assert ec.payback(1, 0) == np.inf and ec.payback(1, -3) == np.inf
    assert ec.irr([1, 1]) == ()


@given(
    st.lists(st.floats(-1e6, -1e-6) | st.floats(1e-6, 1e6) | st.just(0.0), min_size=2, max_size=6)
)
def test_returns_are_roots(flows):
    for rate in ec.irr(flows):
        if -0.9 < rate < 1e6:
            scale = sum(abs(f) / (1 + rate) ** k for k, f in enumerate(flows))
            assert abs(ec.npv(rate, flows)) <= 1e-5 * max(scale, 1e-300)


def test_levelised_cost_of_tokens():
    capital = 40e6 * ec.crf(0.08, 15) + 35e6 * ec.crf(0.08, 5)
    energy = 0.06 * 0.85 * 1000 * 8760
    assert capital + 0.02 * 35e6 + energy == pytest.approx(14585917.70728, rel=1e-12)
    assert (capital + 0.7e6 + energy) / (0.6 * 31536000) == pytest.approx(0.770860693984, rel=1e-11)
    rising = 1.0 + 0.1 * np.arange(5)
    output = np.concatenate([[0], rising])
    costs = np.concatenate([[35e6], np.full(5, 6e6)])
    got = ec.levelized_cost(costs, output, 0.08)
    assert got == pytest.approx(ec.npv(0.08, costs) / ec.npv(0.08, output))
    with pytest.raises(ValueError, match="allowed"):
        ec.levelized_cost([1, 1], [0, 0], 0.1)
    with pytest.raises(ValueError, match="differ in length"):
        ec.levelized_cost([1, 1, 1], [0, 1], 0.1)


def test_the_common_meter():
    assert ec.revenue_per_mwh(1e6, 2.0) == 7200.0
    mining = kernels.mining_revenue_per_mwh
    assert mining(50.0, 17.5, 1.05) == pytest.approx(113.378684807, rel=1e-11)
    assert mining(63.8701021671295, 20.0, 1.0) == pytest.approx(133.062712848, rel=1e-11)
    for efficiency, printed in ((17, 96.8873), (22, 74.8674), (31.5, 52.2884)):
        assert mining(39.53, efficiency, 1.0) == pytest.approx(printed, abs=5e-5)
    assert kernels.hashprice_usd(1e14, 3.175, 1e5) == pytest.approx(63.8701021671295, rel=1e-14)
    for difficulty, subsidy, fee, price, printed in (
        (1.367e13, 6.25, 0.0126, 33806, 0.314895205504), (1.45e13, 6.25, 0.0134, 43629, 0.383442320338),
        (2.008e13, 6.25, 0.0107, 60028, 0.379923410257), (1.4647e14, 3.125, 0.0055, 91132, 0.0393297635439),
    ):  # fmt: skip
        got = kernels.hashprice_usd(difficulty, subsidy / (1 - fee), price) / 1000
        assert got == pytest.approx(printed, rel=1e-11)


TIERS = [ec.Tier("Free", 0.0), ec.Tier("Medium", 3.0), ec.Tier("High", 6.0), ec.Tier("Premium", 45.0),
         ec.Tier("Ultra", 150.0)]  # fmt: skip
SUPPLY = [2e6, 1.2e6, 7e5, 1.2e5, 3e4]
DEMAND = [2e8, 3e8, 1.4e8, 3.6e7, 3e6]


@pytest.mark.parametrize(
    "power,floor,x,revenue,marginal",
    [(500, 0, [0, 0, 100, 300, 100], 78524640000, 132451200),
     (1000, 0, [0, 250, 200, 300, 100], 120152160000, 0),
     (500, 50, [50, 0, 50, 300, 100], 71902080000, 132451200)],
)  # fmt: skip
def test_allocation_of_power(power, floor, x, revenue, marginal):
    site = ec.Site(power_w=power * 1e6)
    floors = [floor, 0, 0, 0, 0]
    got = ec.allocate(site, TIERS, SUPPLY, DEMAND, floors)
    np.testing.assert_allclose(got.power_mw, x, rtol=1e-12)
    assert got.revenue_per_year == pytest.approx(revenue, rel=1e-12)
    assert got.marginal_value == pytest.approx(marginal, rel=1e-12)
    assert got.to_frame().shape == (5, 6)
    best = 132451200 if marginal else 0.0
    mu = [0, 113529600 - best, 132451200 - best, 170294400 - best, 141912000 - best]
    np.testing.assert_allclose(
        got.cap_value, [0, *np.maximum(mu[1:], 0.0)] if marginal == 0 else [0, 0, 0, *mu[3:]]
    )
    assert got.floor_cost[0] == pytest.approx(marginal)


def test_a_fixed_split_earns_less():
    for power, want in ((1000, 97446240000), (500, 52034400000)):
        site = ec.Site(power_w=power * 1e6)
        got = ec.allocate(site, TIERS, SUPPLY, DEMAND, split=[0.25, 0.25, 0.25, 0.25, 0])
        assert got.revenue_per_year == pytest.approx(want, rel=1e-12)


@given(
    st.lists(
        st.tuples(st.floats(0, 200), st.floats(1e3, 1e7), st.floats(0, 1e9)), min_size=1, max_size=6
    ),
    st.floats(1e6, 2e9),
)
def test_allocation_against_linear_programming(rows, power):
    optimize = pytest.importorskip("scipy.optimize")
    tiers = [ec.Tier(str(i), price) for i, (price, _, _) in enumerate(rows)]
    supply, demand = [r[1] for r in rows], [r[2] for r in rows]
    got = ec.allocate(ec.Site(power_w=power), tiers, supply, demand)
    caps = [d / s for s, d in zip(supply, demand, strict=True)]
    want = optimize.linprog(-got.value / 1e9, A_ub=[[1.0] * len(rows)], b_ub=[power / 1e6],
                            bounds=[(0, c) for c in caps], method="highs")  # fmt: skip
    assert got.revenue_per_year == pytest.approx(-want.fun * 1e9, rel=1e-6, abs=1e-3)
    assert got.power_mw.sum() <= power / 1e6 * (1 + 1e-12)


def test_tiers_of_the_keynote():
    tiers = ec.gtc2026_tiers()
    assert [t.name for t in tiers] == ["Free", "Medium", "High", "Premium", "Ultra"]
    assert [t.price_per_mtok for t in tiers] == [0, 3, 6, 45, 150]
    assert [t.interactivity for t in tiers] == [None, None, None, 400.0, None]
    assert all(t.provenance["price_per_mtok"].source for t in tiers)


def test_cost_per_mtok():
    assert ec.cost_per_mtok(1000.0, 3600.0, 0.1, cost_per_hour=3.6) == pytest.approx(1.1)
    # the energy alone of 1e6 token/s from a MW at 0.06 $/kWh, 60 % used at load factor 0.85
    assert ec.cost_per_mtok(6e5, 0.85e6, 0.06) == pytest.approx(0.0236111111111, rel=1e-11)
    # facility power over IT power is on the electricity alone
    assert ec.cost_per_mtok(1e3, 3.6e3, 0.1, 3.6, pue=1.5) == pytest.approx(1.15, rel=1e-12)


@pytest.mark.parametrize(
    "watts, price, hourly", [(700.0, 0.1, 0.0), (0.0, 0.1, 2.0), (700.0, 0.1, 2.0)]
)
def test_cost_where_nothing_is_sold(watts, price, hourly):
    """A part that costs nothing makes no NaN of one that costs something, as 1 / 0 + 0 / 0 would."""
    with (
        np.errstate(divide="raise", invalid="raise"),
        pytest.raises(FloatingPointError, match="divide"),
    ):
        ec.cost_per_mtok(0.0, watts, price, hourly)
    with np.errstate(divide="ignore", invalid="raise"):
        assert ec.cost_per_mtok(0.0, watts, price, hourly) == np.inf
    with np.errstate(divide="raise", invalid="ignore"):
        assert np.isnan(ec.cost_per_mtok(0.0, 0.0, price))


def test_mining_against_inference():
    got = ec.compare_per_mwh("Antminer S21", "H200-SXM", "gpt-oss-120b")
    s21 = tr.miner("Antminer S21")
    want = kernels.mining_revenue_per_mwh(
        got.market.hashprice, s21.power / s21.hashrate * 1e12, 1.03
    )
    assert got.mining == want
    assert got.inference > got.mining > 0 and got.interactivity >= 30
    assert got.market.date and len(got.market.notes) == 5
    frame = got.to_frame()
    assert list(frame["use"]) == ["mining", "inference"]
    # nothing that is fast enough, or that fits: no number
    impossible = ec.compare_per_mwh("Antminer S21", "T4", "DeepSeek-V3", tr.Plan())
    assert np.isnan(impossible.inference)
    given = ec.Market(hashprice=50.0, price_per_mtok=2.0)
    one = ec.compare_per_mwh(
        "Antminer S21", "H200-SXM", "Llama-3.1-8B", tr.Plan(weights="fp8"), given
    )
    two = ec.compare_per_mwh("Antminer S21", "H200-SXM", "Llama-3.1-8B", tr.Plan(weights="fp8"),
                             given.replace(price_per_mtok=4.0))  # fmt: skip
    assert two.inference == pytest.approx(2 * one.inference) and "tp1" in one.plan


def test_tokens_of_the_comparison_keep_to_the_pages_longest_wait():
    """One rule for the page and the comparison: what makes a user wait longer is not sold."""
    from tokenroof.report import data

    ask = ("Antminer S21", "H200-SXM", "Llama-3.3-70B")
    load = {"input_tokens": 32768.0, "output_tokens": 2048.0}  # long enough that some wait longer
    default = ec.compare_per_mwh(*ask, interactivity=3.0, **load)
    assert data.TTFT_MAX == tr.serving.LONGEST_WAIT == 10.0
    same = ec.compare_per_mwh(*ask, interactivity=3.0, ttft_max=data.TTFT_MAX, **load)
    patient = ec.compare_per_mwh(*ask, interactivity=3.0, ttft_max=None, **load)
    assert same == default and default.ttft_s <= 10.0 < patient.ttft_s
    assert default.inference < patient.inference and default.concurrency < patient.concurrency
    front = tr.serving.frontier(*ask[1:], **load, ttft_max=10.0)
    best = front.output_tokens_per_s_per_mw.where(front.interactivity >= 3.0).max()
    billed = default.market.price_per_mtok + 16 * default.market.price_per_mtok_input
    want = kernels.token_revenue_per_mwh(0.6 * best, billed)
    assert default.inference == pytest.approx(float(want))
    assert np.isnan(ec.compare_per_mwh(*ask, ttft_max=1e-9).inference)
    with pytest.raises(ValueError, match="ttft_max is 0; allowed: a positive number, or None"):
        ec.compare_per_mwh(*ask, ttft_max=0)


@pytest.mark.parametrize(
    "model,into,out",
    [("gpt-oss-120b", 0.15, 0.6), ("gpt-oss-20b", 0.1, 0.5), ("DeepSeek-R1", 0.55, 2.19),
     ("Llama-3.3-70B", 0.1, 0.32), ("kimi k2", 0.57, 2.3)],
)  # fmt: skip
def test_tokens_cost_what_the_catalogue_quotes_of_their_model(model, into, out):
    for named in (model, tr.model(model)):
        market = ec.Market.latest(named)
        assert (market.price_per_mtok_input, market.price_per_mtok) == (into, out)
    plan = tr.Plan(tp=8, weights="fp8", kv_cache="fp8")
    by_default = ec.compare_per_mwh("Antminer S19 XP", "H200-SXM", model, plan, input_tokens=2048)
    output = ec.compare_per_mwh("Antminer S19 XP", "H200-SXM", model, plan,
                                ec.Market.latest(out), input_tokens=2048)  # fmt: skip
    assert by_default.market == market
    # two tokens of input to one of output
    assert by_default.inference == pytest.approx(output.inference * (out + 2 * into) / out)


def test_the_report_and_the_comparison_have_the_same_prices():
    from tokenroof.catalogue import latest
    from tokenroof.report.data import MODELS

    for model in MODELS:
        into, out = ec.token_quotes(model)
        assert into.region == out.region
        assert into == latest("api_price_input", into.region)
        assert out == latest("api_price_output", out.region)


@pytest.mark.parametrize(("model", "into", "out", "date"), [
    ("DeepSeek-V4-Pro", 1.32, 3.96, "2026-10-27"), ("Kimi-K2.6", 0.95, 4.0, "2026-07-02"),
    ("GLM-5.2", 1.4, 4.4, "2026-07-02"), ("Llama-4-Scout", 0.18, 0.59, "2026-08-21"),
])  # fmt: skip
def test_prices_of_2026_have_a_date_and_a_source(model, into, out, date):
    found = ec.token_quotes(model)
    assert [(quote.value, quote.date, quote.kind) for quote in found] == [
        (into, date, "press"),
        (out, date, "press"),
    ]
    assert found[0].region == found[1].region
    assert found[0].source == found[1].source


def test_every_model_that_has_a_price_is_quoted_by_its_whole_name():
    from tokenroof.catalogue import quotes
    from tokenroof.economics.prices import _QUOTED

    for kind in ("api_price_input", "api_price_output"):
        regions = {quote.region for quote in quotes(kind)}
        assert regions >= set(_QUOTED.values())
    for model, item in _QUOTED.items():
        assert {quote.region for quote in ec.token_quotes(model)} == {item}


def test_prices_of_tokens_that_are_given():
    for market in (ec.Market.latest(2.0), ec.Market.latest(price_per_mtok=2.0)):
        assert (market.price_per_mtok_input, market.price_per_mtok) == (0.0, 2.0)
    assert ec.Market.latest().price_per_mtok == 3.0
    mixed = ec.Market.latest("gpt-oss-120b", price_per_mtok=1.0)
    assert (mixed.price_per_mtok_input, mixed.price_per_mtok) == (0.15, 1.0)
    mixed = ec.Market.latest("gpt-oss-120b", price_per_mtok_input=0.0)
    assert (mixed.price_per_mtok_input, mixed.price_per_mtok) == (0.0, 0.6)
    changed = mixed.replace(price_per_mtok=4.0)
    assert changed.price_per_mtok == 4.0 and changed.notes[-1] == "price_per_mtok 4.0, given"
    with pytest.raises(ValueError, match="whose price the catalogue lacks .*; allowed: market="):
        ec.compare_per_mwh("Antminer S21", "H200-SXM", "Llama-3.1-8B")
    with pytest.raises(KeyError, match="did you mean 'gpt-oss-120b'"):
        ec.Market.latest("gpt-oss-121b")
    for bad in (True, [1], None, "nan"):
        with pytest.raises((TypeError, KeyError, ValueError)):
            ec.Market.latest(bad, price_per_mtok=None if bad is not None else -1.0)
    with pytest.raises(ValueError, match="one of the two"):
        ec.Market.latest(2.0, price_per_mtok=2.0)


@pytest.mark.parametrize(
    "make,named",
    [(lambda: ec.Site(power_w=0), "power_w is 0"), (lambda: ec.Site(power_w=1, pue=0.9), "pue is 0.9"),
     (lambda: ec.Site(power_w="1"), "power_w is '1'"), (lambda: ec.Site(power_w=1, utilization=1.5), "utilization"),
     (lambda: ec.Tier("x", -1.0), "price_per_mtok is -1"), (lambda: ec.Tier("", 1.0), "name is ''"),
     (lambda: ec.Tier("x", 1.0, interactivity=0.0), "interactivity is 0"),
     (lambda: ec.crf(-0.1, 5), "rate is -0.1"), (lambda: ec.crf(0.1, 0), "years is 0"),
     (lambda: ec.npv(-1.0, [1]), "rate is -1"), (lambda: ec.npv(0.1, [float("nan")]), "flows is nan"),
     (lambda: ec.payback(-1, 1), "capex is -1"),
     (lambda: ec.allocate(ec.Site(power_w=1e6), TIERS, [1]), "supply has shape"),
     (lambda: ec.allocate(ec.Site(power_w=1e6), TIERS, [-1] * 5), r"supply\[0\] is -1"),
     (lambda: ec.allocate(ec.Site(power_w=1e6), TIERS, SUPPLY, floors=[9] * 5), "floors is"),
     (lambda: ec.allocate(ec.Site(power_w=1e6), TIERS, SUPPLY, split=[1] * 5), "split sums"),
     (lambda: ec.Market(hashprice=-1, price_per_mtok=1), "hashprice is -1"),
     (lambda: ec.compare_per_mwh("Antminer S21", "H200-SXM", "Llama-3.1-8B", interactivity=0), "interactivity"),
     (lambda: ec.compare_per_mwh("Antminer S21", "H200-SXM", "Llama-3.1-8B", market=3), "market is 3")],
)  # fmt: skip
def test_bad_input_is_named(make, named):
    with pytest.raises((ValueError, TypeError), match=f"{named}"):
        make()


def test_unknown_names():
    for arguments in (("Antminer X", "H200-SXM", "gpt-oss-120b"), ("Antminer S21", "H20O", "gpt-oss-120b"),
                      ("Antminer S21", "H200-SXM", "gpt-oss-121b")):  # fmt: skip
        with pytest.raises(KeyError, match="did you mean"):
            ec.compare_per_mwh(*arguments)
