"""Numbers in another unit: refused with what was meant where they are absurd, warned of where they are odd."""

import re
import warnings

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import economics as ec
from tokenroof import mining, serving
from tokenroof.cli.program import main
from tokenroof.serving import SLO
from tokenroof.support.units import QUANTITIES, check_unit, likely

CARD = {"name": "card", "memory_bandwidth": 4.8e12, "peak": {"bf16": 1e15}}
COSTS = {"income.kind": "nothing"}
WHERE = ("H200-SXM", "Llama-3.1-8B")
SOLD = {"income.kind": "tokens", "income.tokens_per_s_per_mw": 1e6}

REFUSED = {
    "at most 300 s; did you mean 0.5 s (500 ms)?": (
        lambda: SLO(ttft_s=500),
        lambda: serving.frontier(*WHERE, ttft_max=500, devices_max=1),
        lambda: serving.frontier(*WHERE, ttft_max=500, devices_max=1, systems=True),
        lambda: serving.compare(*WHERE[:1] * 2, WHERE[1], ttft_max=500, devices_max=1),
        lambda: ec.compare_per_mwh("Antminer S21", *WHERE, ttft_max=500, market=ec.Market.latest(3.0)),
    ),
    "at most 10 s; did you mean 0.02 s (20 ms)?": (
        lambda: SLO(tpot_s=20), lambda: serving.frontier(*WHERE, tpot_max=20, devices_max=1),
        lambda: serving.beside_lpx("Qwen3-235B-A22B", plans=[], tpot_max=20),
    ),
    "at most 60 s; did you mean 0.07 s (70 ms)?": (lambda: SLO(itl_s=70),),
    "at most 86400 s; did you mean 90 s (90000 ms)?": (lambda: SLO(e2e_s=9e4),),
    "at least 1 %; did you mean 90 (0.9 as a share)?": (lambda: SLO(ttft_s=1, percentile=0.9),),
    "at most 100000, not 700000; did you mean 700 W (700000 mW)?": (
        lambda: tr.Device(**CARD, tdp_w=700_000), lambda: tr.device("H200-SXM").replace(tdp_w=700_000),
    ),
    "at most 1e+15, not 2400000000000000.0; did you mean 2.4e+12 B/s?": (
        lambda: tr.Device(**CARD | {"memory_bandwidth": 2.4e15}),
    ),
    "at least 1e+09, not 4800: is it in another unit, such as GB/s or TB/s; did you mean 4.8e+12 B/s (4800 GB/s)?": (
        lambda: tr.Device(**CARD | {"memory_bandwidth": 4800}),
    ),
    "must be in FLOP/s, at most 1e+18": (lambda: tr.Device(**CARD | {"peak": {"bf16": 1e21}}),),
    "must be in B, at most 1e+15": (lambda: tr.Device(**CARD, memory_bytes=141e18),),
    "at least 10000, not 200.0: is it in another unit, such as TH/s; did you mean 2e+14 hash/s (200 Thash/s)?": (
        lambda: tr.Miner(name="m", hashrate=200.0),
    ),
    "did you mean 20 MW (20000000 W)?": (
        lambda: ec.factory(COSTS | {"site.power_mw": 20e6}),
        lambda: ec.convert_hall("Antminer S19 XP", power_mw=20e6, to=["H200-SXM"], paths=10),
        lambda: ec.same_meter([ec.mine("Antminer S21", 50.0)], power_mw=20e6),
        lambda: ec.Scenario().with_values({"site.power_mw": 20e6}),
    ),
    "at most 20 $/kWh; did you mean 0.05 $/kWh (50 $/MWh)?": (
        lambda: ec.Market.latest(3.0, price_per_kwh=50), lambda: ec.Site(power_w=1e6, price_per_kwh=50),
        lambda: ec.cost_per_mtok(1e5, 1e4, 50.0),
        lambda: mining.margin_per_day("Antminer S21", 50.0, 50.0),
    ),
    "price_volatility is 50; allowed: at most 10 1/sqrt(year); did you mean 0.5 (50 %)?": (
        lambda: ec.Uncertainty(price_volatility=50),
    ),
    "output_error is 15; allowed: at most 10; did you mean 0.15 (15 %)?": (
        lambda: ec.Uncertainty(output_error=15),
    ),
    "difficulty_growth_per_retarget is 30; allowed: at most 3; did you mean 0.3 (30 %)?": (
        lambda: mining.payback("Antminer S21", 3000, 50.0, 0.06, difficulty_growth_per_retarget=30),
    ),
    "did you mean 1.18 (118 %)?": (
        lambda: ec.factory(COSTS | {"site.pue": 118}), lambda: ec.Site(power_w=1e6, pue=118),
    ),
    "did you mean 27.3973 $/h (20000 $/month)?": (
        lambda: ec.factory({"income.kind": "gpu_hours", "income.price_per_gpu_hour": 20_000}),
    ),
}  # fmt: skip
WARNED = {
    "difficulty is 140, which is legal and odd; did you mean 1.4e+14 (140 T)?": (
        lambda: mining.hashprice(140, 90_000), lambda: mining.shutdown_price("Antminer S21", 0.06, 140),
        lambda: mining.expected_time_to_block(2e14, 140), lambda: mining.network_hashrate([140, 150]),
    ),
    "difficulty is 1e+21, which is legal and odd; did you mean 1.39698e+14 (1e+21 hash/s)?": (
        lambda: mining.hashprice(1e21, 90_000),
    ),
    "did you mean 0.3 (30 %)?": (
        lambda: mining.payback("Antminer S21", 3000, 50.0, 0.06, difficulty_growth_per_year=30),
        lambda: mining.payback("Antminer S21", 3000, 50.0, 0.06, hashprice_growth_per_year=30),
        lambda: mining.payback("Antminer S21", 3000, 50.0, 0.06, price_growth_per_year=30),
        lambda: ec.issuance(3, fee_growth=30),
    ),
    "did you mean 0.02 (2 %)?": (
        lambda: mining.payback("Antminer S21", 3000, 50.0, 0.06, difficulty_growth_per_retarget=2),
    ),
    "price_volatility is 5 1/sqrt(year), which is legal and odd; did you mean 0.05 (5 %)?": (
        lambda: ec.Uncertainty(price_volatility=5),
    ),
    "did you mean 0.5 (50 %)?": (
        lambda: ec.Uncertainty(price_reversion=50), lambda: ec.Uncertainty(supply_response=50),
    ),
    "did you mean 0.1 (10 %)?": (lambda: ec.Uncertainty(output_error=10),),
    "usd_per_terahash is 3200 $/(TH/s), which is legal and odd; did you mean 16 $/(TH/s) (3200 $ a machine)?": (
        lambda: ec.mine("Antminer S21", 50.0, usd_per_terahash=3200),
    ),
    "rate is 8 1/year, which is legal and odd; did you mean 0.08 (8 %)?": (
        lambda: ec.crf(8, 15), lambda: ec.npv(8, [-1, 2]), lambda: ec.npv(8, np.array([-1, 2])),
        lambda: ec.levelized_cost([1, 1], [1, 1], 8), lambda: ec.spreadsheet_npv(8, [-1, 2]),
        lambda: ec.xnpv(8, [-1, 2], ["2026-01-01", "2027-01-01"]),
    ),
    "did you mean 0.03 (3 %)?": (lambda: ec.factory(COSTS | {"shell.om_share": 3}),
                                 lambda: ec.factory(COSTS | {"computers.performance_growth": 3})),
    "ttft_s is 200 s, which is legal and odd; did you mean 0.2 s (200 ms)?": (lambda: SLO(ttft_s=200),),
    "tpot_s is 5 s, which is legal and odd; did you mean 0.005 s (5 ms)?": (lambda: SLO(tpot_s=5),),
    "price_per_mwh is 0.05 $/MWh, which is legal and odd; did you mean 50 $/MWh (0.05 $/kWh)?": (
        lambda: ec.factory(COSTS | {"site.price_per_mwh": 0.05}),
        lambda: ec.same_meter([ec.mine("Antminer S21", 50.0)], price_per_mwh=0.05),
    ),
    "did you mean 0.05 $/kWh (5 cent/kWh)?": (lambda: ec.Market.latest(3.0, price_per_kwh=5),),
    "did you mean 0.083 (8.3 %)?": (lambda: ec.factory(COSTS | {"finance.discount_rate": 8.3}),),
    "did you mean 3 $/Mtok (3e-06 $/token)?": (lambda: ec.factory(SOLD | {"income.price_per_mtok": 3e-6}),),
    "did you mean 50 $/(PH/s day) (0.05 $/(TH/s day))?": (
        lambda: ec.factory({"income.kind": "hashes", "income.hashprice": 0.05}),
        lambda: ec.mine("Antminer S21", 0.05),
    ),
    "did you mean 20 MW (20000 kW)?": (lambda: ec.factory(COSTS | {"site.power_mw": 20_000}),),
}  # fmt: skip
PLAIN = (
    lambda: [
        SLO(ttft_s=0.5, tpot_s=0.02, e2e_s=60, itl_s=0.1, percentile=p) for p in (1, 50, 99.9)
    ],
    # power that costs nothing, or is paid for being taken, and hours of a market that are cheap or dear
    lambda: [
        ec.factory(COSTS | {"site.price_per_mwh": p}) for p in (-5.0, -0.05, 0.0, 3.0, 9000.0)
    ],
    lambda: ec.factory(COSTS | {"site.curtail_above": 0.0}),
    lambda: check_unit("price_per_mwh", np.array([0.02, 35.0, -3.0, 0.0])),
    lambda: check_unit("spot_prices_per_kwh", np.array([0.0, 0.03, 9.0])),
    lambda: check_unit("price_per_mwh", np.array([np.inf, np.nan, 0.0])),
    lambda: [SLO(ttft_s=x, tpot_s=x, itl_s=x, e2e_s=x) for x in (1e5, 1e9)],  # no bound at all
    lambda: [tr.Device(**CARD, kind=k) for k in ("gpu", "cpu", "lpu")],
    lambda: tr.Device(**CARD | {"memory_bandwidth": 2.1e16}, kind="wafer", tdp_w=23_000),
    lambda: tr.Miner(name="USB stick", hashrate=3e8, power=2.5),
    lambda: ec.Site(power_w=1e9, pue=1.0),
    lambda: mining.hashprice(1.4e14, 90_000),
    lambda: ec.mine("Antminer S1", 50.0, usd_per_terahash=14_000),
    lambda: ec.mine("Antminer S21", 50.0, usd_per_terahash=16.0),
    lambda: ec.npv(2.0, [-1, 2]),
    # years of growth that were: of 2013's difficulty too, among months that were calmer
    lambda: mining.shutdown_price("Antminer S21", 0.06, [1.0, 1e7, 1.4e14]),
)


@pytest.mark.parametrize(
    ("said", "ask"), [(said, ask) for said, asks in REFUSED.items() for ask in asks]
)
def test_what_no_such_thing_can_be_is_refused_with_what_was_meant(said, ask):
    with pytest.raises(ValueError, match=re.escape(said)) as error:
        ask()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("said", "ask"), [(said, ask) for said, asks in WARNED.items() for ask in asks]
)
def test_what_is_legal_but_odd_brings_a_warning_that_points_here(said, ask):
    with pytest.warns(UserWarning, match=re.escape(said)) as found:
        ask()
    assert all(each.filename == __file__ for each in found if said in str(each.message))


@pytest.mark.parametrize("ask", PLAIN)
def test_what_is_plausible_is_silent(ask):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ask()


def test_doors_for_files_and_options_are_the_same(tmp_path, capsys):
    card = tmp_path / "card.toml"
    card.write_text('memory_bandwidth = 2.4e15\npeak = {bf16 = 1e15}\nkind = "gpu"\n')
    with pytest.raises(ValueError, match=r"card\.toml: .*did you mean 2\.4e\+12 B/s"):
        tr.device(card)
    plan = tmp_path / "plan.toml"
    plan.write_text('[site]\npower_mw = 20e6\n[income]\nkind = "nothing"\n')
    with pytest.raises(ValueError, match=r"plan\.toml: site\.power_mw is .*did you mean 20 MW"):
        ec.factory(plan)
    for words, said in (
        (("curve", str(card), "GPT-2"), "did you mean 2.4e+12 B/s?"),
        (("economics", "--scenario", str(plan)), "did you mean 20 MW"),
        (("economics", "--set", "site.power_mw=20e6"), "did you mean 20 MW"),
        (("frontier", *WHERE, "--ttft-max", "500"), "did you mean 0.5 s (500 ms)?"),
        (("capacity", *WHERE, "--slo-ttft", "500"), "did you mean 0.5 s (500 ms)?"),
        (("capacity", *WHERE, "--slo-ttft", "0.5@0.9"), "did you mean 90 (0.9 as a share)?"),
        (("tune", *WHERE, "--slo-tpot", "20"), "did you mean 0.02 s (20 ms)?"),
    ):
        assert main(words) == 2
        assert said in capsys.readouterr().err


def test_the_schema_and_the_keys_of_scenarios_have_the_same_ends():
    known = {about.name: about for about in ec.scenario_keys()}
    assert known["site.power_mw"].high == QUANTITIES["power_mw"].high == 1e5
    assert "<= 100000" in known["site.power_mw"].allowed
    assert ec.scenario_schema()["properties"]["site"]["properties"]["power_mw"]["maximum"] == 1e5


@pytest.mark.parametrize("name", QUANTITIES)
def test_the_table_agrees_with_itself(name):
    of = QUANTITIES[name]
    low, high = of.usual
    assert of.low <= of.odd[0] <= of.odd[1] and (of.odd[1] <= of.high or np.isinf(of.odd[1]))
    assert low >= max(of.low, of.odd[0]) and (high <= min(of.high, of.odd[1]) or not of.slips)
    for value in (low, high):
        if 0.0 < value < np.inf:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                check_unit(name.rpartition(".")[2], value, name.rpartition(".")[0])
    for unit, factor in of.slips:  # what was meant is what it says
        given = (low * max(high, low)) ** 0.5 / factor
        assert factor > 0.0 and ("did you mean" in likely(of, given)), unit


def test_of_several_each_may_be_odd_but_not_all_and_none_may_be_absurd():
    with pytest.warns(UserWarning, match=r"price_per_mwh is 0\.05"):
        check_unit("price_per_mwh", np.array([0.0, 0.05, 0.06]))
    with pytest.raises(
        ValueError, match=r"price_per_mwh\[1\] is -90000; allowed: at least -20000 \$/MWh"
    ):
        check_unit("price_per_mwh", np.array([50.0, -9e4]))
    with pytest.raises(
        ValueError, match="price_per_mwh is -90000; allowed"
    ):  # alone it has no place
        check_unit("price_per_mwh", np.array([-9e4]))
    check_unit("a name that nobody knows", 1e300)
