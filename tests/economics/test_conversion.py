"""What to do with a hall of miners: identities, values by hand, a lattice, what waiting is worth."""

import math
import warnings

import numpy as np
import pytest

from tokenroof import economics as ec
from tokenroof.economics.forward import income_ahead, power_ahead
from tokenroof.economics.hall.values import later
from tokenroof.economics.risk import price_paths

CALM = ec.Uncertainty()
SURE = {"wander": CALM, "rents": CALM, "paths": 100}
WILD = ec.Uncertainty(price_volatility=0.5, supply_response=0.8, price_reversion=0.2, power_volatility=0.3,
                      power_reversion=0.5, jumps_per_year=0.3, jump_up=0.2, jump_down=0.3)  # fmt: skip
RISING = {"site.price_growth": 0.0, "finance.discount_rate": 0.1}


def of(found, kind):
    return next(choice for choice in found.choices if choice.kind == kind)


def test_the_question_of_the_hall():
    """20 MW of S19 XP at $0.05/kWh: off, kept, leased, or converted to H200, B200."""
    found = ec.convert_hall(
        "Antminer S19 XP", power_mw=20, price_per_mwh=50, to=["H200-SXM", "B200-SXM"], paths=4000
    )
    assert [c.kind for c in found.choices] == ["off", "keep", "lease", "convert", "convert"]
    assert [c.name for c in found.choices[3:]] == ["convert to H200-SXM", "convert to B200-SXM"]
    assert found.best.npv == max(c.npv for c in found.choices)
    text = str(found)
    assert (
        found.answer in text
        and len(text.splitlines()) < 60
        and max(map(len, text.splitlines())) <= 120
    )
    for choice in found.choices:
        assert choice.name in text and choice.with_waiting >= choice.npv - 1e-6 * abs(choice.npv)
        assert sum(choice.chances) <= 1.0 + 1e-12
    assert found.waiting >= 0.0 and len(found.to_frame()) == 5
    # what breaks it belongs to mining that never stops, which is worth less than the right to stop
    line = " ".join(found.answer.split())
    for premise in ("Decided now: convert to B200-SXM (", "rent of 3.7 $/GPU-h, 100% rented", "1,710 W a GPU",
                    "56,250 $ a GPU", "5 years", "PUE 1,", "power at 50 $/MWh +2.3% a year"):  # fmt: skip
        assert premise in line
    # a hall is converted first, a use of a meter that stands is not, unless it is told to
    rent = ec.rent_gpus("H200-SXM", 44_175)
    one = ec.same_meter([rent, rent.with_values({"shell.delay_years": 1})], 20, 50).rungs
    assert [rung.months_to_revenue for rung in one] == [1, 13]
    assert {c.rung.months_to_revenue for c in found.choices if c.kind == "convert"} == {13}
    # of the H200 the GPU alone is quoted: times what a share of a server is to the GPU alone
    more = (270e3 / 8 / 25e3 + 450e3 / 8 / 37.5e3) / 2
    notes = dict(found.assumptions)
    assert notes["H200-SXM price"].startswith(f"{31_000 * more:,.0f} $, 31,000 $ alone, times 1.43")
    off = ec.convert_hall("Antminer S19 XP", 20, 90, to=[], paths=100, hashprice=20.0, contract="Riot-AMD",
                          shell_per_mw=5e7).answer  # fmt: skip
    assert off.startswith("Decided now: ") and "20 $/(PH/s day) at 21.5 J/TH" in off
    keep = of(found, "keep")
    assert 0.0 < found.come_what_may < keep.npv and "never stopped" in text
    assert keep.rung.breaks == "site.price_per_mwh"
    dearer = {"power_mw": 20, "price_per_mwh": 50 * keep.rung.breaks_at, "to": [], "paths": 100}
    at_break = ec.convert_hall("Antminer S19 XP", **dearer)
    assert abs(at_break.come_what_may) < 1e-3 * found.come_what_may
    for _, said in found.assumptions:
        assert said in text


def test_without_uncertainty_a_choice_is_its_scenario():
    """One year of conversion; the miners' electricity costs less than they earn, to the end."""
    plan = ec.rent_gpus("H200-SXM", 40_000).with_values({"shell.capex_per_it_mw": 5e6})
    found = ec.convert_hall("Antminer S21", 10, 20.0, [plan], hashprice=50.0, hall=RISING, wait_years=2,
                            miner_years=4, contract="Riot-AMD", conversion_years=2, **SURE)  # fmt: skip
    mining = ec.mine("Antminer S21", 50.0).with_values(
        {"site.power_mw": 10, "site.price_per_mwh": 20.0, "finance.years": 4} | RISING)  # fmt: skip
    assert of(found, "keep").npv == pytest.approx(ec.factory(mining).npv)
    assert found.come_what_may == pytest.approx(ec.factory(mining).npv)
    of_all = {"site.power_mw": 10, "site.price_per_mwh": 20.0, "shell.delay_years": 2,
              "finance.discount_rate": 0.1}  # fmt: skip
    made = plan.with_values(of_all)
    done = of(found, "convert")
    assert done.npv == pytest.approx(ec.factory(made).npv, rel=1e-12)
    assert done.capex == pytest.approx(5e6 * 10 + 40_000 / 1370 * 1e7)
    assert done.rung.months_to_revenue == 25
    leased = ec.lease_shell("Riot-AMD").with_values(of_all)
    assert of(found, "lease").npv == pytest.approx(ec.factory(leased).npv)
    assert of(found, "off").npv == 0.0
    # with the right to wait: the best of the dates, the miners' earnings before it included
    flow = ec.factory(mining).flow.free
    dates = [
        ec.factory(later(made, t)).npv / 1.1**t + sum(flow[k] / 1.1**k for k in range(1, t + 1))
        for t in range(3)
    ]
    assert done.with_waiting == pytest.approx(max(*dates, ec.factory(mining).npv), rel=1e-9)


def test_the_part_book_value_and_resale_by_hand():
    """Tax 0.25; miners that are written off save tax on what they are not sold for."""
    base = {
        "hashprice": 50.0,
        "hall": RISING | {"finance.tax_rate": 0.25},
        "conversion_years": 1,
        **SURE,
    }
    args = ("Antminer S21", 10, 20.0, ["H200-SXM"])
    half = ec.convert_hall(*args, part=0.5, book_value=8e6, resale=2e6, **base)
    none = ec.convert_hall(*args, part=0.5, **base)
    assert of(half, "off").npv == pytest.approx(2e6 + 0.25 * 6e6)
    assert of(half, "off").written_off == 6e6 and of(half, "convert").written_off == 3e6
    writes = (
        0.25 * 8e6 / 5 * sum(1.1**-k for k in range(1, 6))
    )  # what is kept is written off by the year
    assert of(half, "keep").npv - of(none, "keep").npv == pytest.approx(writes)
    more = of(half, "convert").npv - of(none, "convert").npv
    assert more == pytest.approx(0.5 * (2e6 + 0.25 * 6e6) + 0.5 * writes)
    whole = ec.convert_hall(*args, **base)
    assert of(none, "convert").npv == pytest.approx(
        0.5 * of(whole, "convert").npv + 0.5 * of(none, "keep").npv
    )
    assert none.rest == pytest.approx(0.5 * of(none, "keep").npv) and whole.rest == 0.0
    assert of(none, "convert").capex == pytest.approx(0.5 * of(whole, "convert").capex)


def test_miners_that_run_on_earn_while_the_hall_is_built():
    base = {"hashprice": 50.0, "hall": RISING, "conversion_years": 2, **SURE}
    args = ("Antminer S21", 10, 20.0, ["H200-SXM"])
    still, on = (ec.convert_hall(*args, mine_while_building=b, **base) for b in (False, True))
    mining = ec.mine("Antminer S21", 50.0).with_values(
        {"site.power_mw": 10, "site.price_per_mwh": 20.0} | RISING
    )
    flow = ec.factory(mining).flow.free
    earned = flow[1] / 1.1 + flow[2] / 1.21
    assert of(on, "convert").npv - of(still, "convert").npv == pytest.approx(earned)


def test_the_grid_pays_miners_that_stand_still():
    hours = [1.0] * 20 + [4.0] * 4
    keys = {"site.price_by_hour": hours, "site.curtail_above": 100.0}
    paid, free = (
        ec.convert_hall(
            "Antminer S21", 10, 40.0, [], hashprice=50.0, hall=RISING | keys | more, **SURE
        )
        for more in ({"site.curtailment_income": 60.0}, {})
    )
    extra = 10 * 8760 * 4 / 24 * 60.0 * sum(1.1**-k for k in range(1, 6))
    assert of(paid, "keep").npv - of(free, "keep").npv == pytest.approx(extra)


def test_miners_that_do_not_earn_their_power_stand_still():
    found = ec.convert_hall("Antminer S9", 10, 90.0, [], hashprice=30.0, hall=RISING, **SURE)
    assert of(found, "keep").npv == 0.0 and found.come_what_may < 0.0
    assert found.best.kind == "lease" and not math.isinf(of(found, "lease").rung.npv_per_mw)


@pytest.mark.filterwarnings("ignore:income.hashprice is 0")
@pytest.mark.parametrize("volatility,reversion,rented", [(0.4, 0.0, 0.4), (0.5, 0.5, 0.36)])
def test_waiting_to_convert_is_the_recursion_over_a_grid(volatility, reversion, rented):
    """Miners that earn nothing, free power: one price alone, whose expectation is known; Gauss and Hermite."""
    rents = ec.Uncertainty(price_volatility=volatility, price_reversion=reversion)
    plan = ec.rent_gpus("H200-SXM", 31_000).with_values(
        {"shell.capex_per_it_mw": 2e6, "income.rented_share": rented, "site.price_growth": 0.0, "finance.inflation": 0.0})  # fmt: skip
    found = ec.convert_hall("Antminer S9", 1, 0.0, [plan], hashprice=0.0, rents=rents, wander=CALM, wait_years=4,
                            conversion_years=1, paths=60_000, hall=RISING, seed=5)  # fmt: skip
    made = plan.with_values({"site.power_mw": 1, "site.price_per_mwh": 0.0, "shell.delay_years": 1,
                             "finance.discount_rate": 0.1})  # fmt: skip
    flow, rate = ec.factory(made).flow, made.finance.discount_rate
    certain, keep = ec.factory(made).npv, math.exp(-reversion)
    z, w = np.polynomial.hermite_e.hermegauss(60)
    w = w / w.sum()
    x = np.linspace(-6.0, 6.0, 1201)

    def worth(date):
        variance = rents.price_noise**2 * sum(keep ** (2 * k) for k in range(date))
        years = np.flatnonzero(flow.revenue)
        later_on = [np.exp(keep**y * x - keep ** (2 * y) * variance / 2) - 1.0 for y in years]
        return (
            certain
            + sum(
                flow.revenue[y] / (1 + rate) ** y * more
                for y, more in zip(years, later_on, strict=True)
            )
        ) / 1.1**date

    value = np.maximum(worth(4), 0.0)
    for date in range(3, -1, -1):
        ahead = sum(
            wi * np.interp(keep * x + rents.price_noise * zi, x, value)
            for wi, zi in zip(w, z, strict=True)
        )
        value = np.maximum(worth(date), ahead)
    want, done = float(np.interp(0.0, x, value)), of(found, "convert")
    assert done.with_waiting == pytest.approx(want, abs=4 * done.error + 0.005 * want)
    assert done.with_waiting < want + 4 * done.error and want > done.npv


def test_waiting_is_worth_more_where_more_may_happen():
    def waits(**more):
        given = {"hall": RISING, "paths": 8000, "conversion_years": 1, "rents": ec.Uncertainty(price_volatility=0.4),
                 "converted": {"income.rented_share": 0.4}} | more  # fmt: skip
        return of(ec.convert_hall("Antminer S21", 10, 50.0, ["H200-SXM"], **given), "convert")

    base = waits()
    assert waits(rents=ec.Uncertainty(price_volatility=0.8)).with_waiting > base.with_waiting
    assert waits(wait_years=1).with_waiting < base.with_waiting
    assert waits(wait_years=0).with_waiting == pytest.approx(
        max(waits(wait_years=0).npv, of_keep()), rel=0.02
    )


def of_keep():
    found = ec.convert_hall("Antminer S21", 10, 50.0, [], hall=RISING, paths=8000)
    return of(found, "keep").npv


@pytest.mark.parametrize("date,years", [(0, 2), (1, 1), (2, 3)])
def test_what_is_expected_of_a_price_is_its_mean_given_what_is_known(date, years):
    n = 200_000
    income, power, supply = price_paths(WILD, date + years, n, 9)
    now = np.zeros(n) if date == 0 else income[date - 1]
    rivals = np.zeros(n) if date == 0 else supply[date - 1]
    bill = np.zeros(n) if date == 0 else power[date - 1]
    sold = np.exp(income[-1]) / WILD.price_means(date + years)[-1]
    paid = np.exp(power[-1]) / WILD.power_means(date + years)[-1]
    for happened, expected in ((sold, income_ahead(WILD, now, rivals, date, years)),
                               (paid, power_ahead(WILD, bill, date, years))):  # fmt: skip
        for weight in (np.ones(n), now, rivals, bill, now**2):
            off = (happened - expected) * weight
            assert abs(off.mean()) <= 4.5 * off.std() / math.sqrt(n) + 1e-12


def test_later_by_hand():
    plan = ec.rent_gpus("H200-SXM", 30_000).with_values(
        {"site.price_growth": 0.1, "computers.price_growth": -0.2, "income.price_growth": -0.1,
         "computers.performance_growth": 0.3, "finance.inflation": 0.05, "shell.capex_per_it_mw": 1e6,
         "site.price_per_mwh": 40.0})  # fmt: skip
    moved = later(plan, 2)
    assert moved.site.price_per_mwh == pytest.approx(40.0 * 1.21)
    assert moved.shell.capex_per_it_mw == pytest.approx(1e6 * 1.1025)
    assert moved.computers.capex_per_it_mw == pytest.approx(plan.computers.capex_per_it_mw * 0.64)
    assert moved.income.price_per_gpu_hour == pytest.approx(
        plan.income.price_per_gpu_hour * (0.9 * 1.3) ** 2
    )
    assert later(plan, 0) == plan


GOOD = ("Antminer S21", 10.0, 50.0, ["H200-SXM"])


@pytest.mark.parametrize("place,given,said", [
    (0, "Antminer S12", "did you mean"), (1, 0.0, "power_mw is 0"), (2, "x", "price_per_mwh is 'x'"),
    (3, "H200-SXM", "to is 'H200-SXM'"), (3, ["H20O"], "did you mean"), (3, ["H20"], "H20"), (3, 3, "to is 3"),
])  # fmt: skip
def test_bad_arguments_by_name(place, given, said):
    call = list(GOOD)
    call[place] = given
    with pytest.raises((ValueError, TypeError, KeyError), match=said):
        ec.convert_hall(*call, paths=100)


@pytest.mark.parametrize("given,said", [
    ({"part": 0.0}, "part is 0"), ({"part": 1.1}, "part is 1.1"), ({"miner_years": 0}, "miner_years is 0"),
    ({"wait_years": 6}, "wait_years is 6"), ({"conversion_years": -1}, "conversion_years is -1"),
    ({"book_value": -1}, "book_value is -1"), ({"resale": -1}, "resale is -1"), ({"paths": 3}, "paths is 3"),
    ({"seed": -1}, "seed is -1"), ({"mine_while_building": 1}, "mine_while_building is 1"),
    ({"wander": 3}, "wander is 3"), ({"rents": 3}, "rents is 3"), ({"hall": 3}, "hall is 3"),
    ({"hall": {"site.pu": 1}}, "did you mean site.pue"), ({"converted": {"site.pu": 1}}, "did you mean site.pue"),
    ({"converted": {"income.sold_share": 0.5}}, "converted has .'income.sold_share'"),
    ({"shell_per_mw": -1}, "shell_per_mw is -1"), ({"usd_per_gpu": 3}, "usd_per_gpu is 3"),
    ({"usd_per_gpu": {"H200-SXM": -1}}, "usd_per_gpu is -1"), ({"contract": "Nobody"}, "unknown deal 'Nobody'"),
    ({"contract": "iren-microsoft"}, "allowed: a shell"), ({"parts": 1}, "unexpected option 'parts'"),
])  # fmt: skip
def test_bad_options_by_name(given, said):
    with pytest.raises((ValueError, TypeError, KeyError), match=said):
        ec.convert_hall(*GOOD, **{"paths": 100} | given)


def test_a_device_without_a_price_needs_one():
    with pytest.raises(ValueError, match="usd_per_gpu has no Instinct MI355X"):
        ec.convert_hall(*GOOD[:3], ["Instinct MI355X"])
    given = ec.convert_hall(
        *GOOD[:3], ["Instinct MI355X"], usd_per_gpu={"Instinct MI355X": 30_000}, paths=100
    )
    assert of(given, "convert").capex > 0


@pytest.mark.parametrize("name", ["resale", "book_value"])
def test_sums_that_no_hall_is_worth_are_refused(name):
    with pytest.raises(ValueError, match=rf"{name} is 1e\+308; allowed: at most 1e\+15 \$"):
        ec.convert_hall("S21", paths=200, **{name: 1e308})
    most = ec.convert_hall("S21", paths=200, **{name: 1e15})
    assert all(np.isfinite(choice.npv) for choice in most.choices)


def test_a_hashprice_in_another_unit_is_odd_wherever_it_is_given():
    """Of an EH/s it is a thousandfold, of a TH/s a thousandth."""
    meant = r"hashprice is 38500 \$/\(PH/s day\), which is legal and odd; did you mean 38.5 \$/\(PH/s day\) "
    meant += r"\(38500 \$/\(EH/s day\)\)"
    with pytest.warns(UserWarning, match=meant):
        ec.mine("S21", hashprice=38500)
    with pytest.warns(UserWarning, match=meant):
        ec.Scenario().with_values({"income.kind": "hashes", "income.hashprice": 38500.0})
    with pytest.warns(
        UserWarning, match=r"legal and odd; did you mean 38.5 .*0.0385 \$/\(TH/s day\)"
    ):
        ec.mine("S21", hashprice=0.0385)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ec.mine("S21", hashprice=4_000)  # as at the end of 2017
