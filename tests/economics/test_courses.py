"""Prices as they were, and what a course of them does to a scenario."""

from datetime import date

import numpy as np
import pytest

from tokenroof import economics as ec
from tokenroof.economics.courses import year_of
from tokenroof.economics.scenarios.premises import course_of, premises


def test_the_rent_of_an_h100_fell_and_rose_again():
    """2.99 in October 2024, 1.70 a year later, 2.60 in June 2026, which still counts in October."""
    got = dict(ec.price_course())
    assert list(got) == [1, 2, 3] and got[1] == 1.0
    assert got[2] == pytest.approx(1.70 / 2.99) and got[3] == pytest.approx(2.60 / 2.99)
    assert got[1] > got[3] > got[2]


def test_between_quotes_logarithms_run_straight():
    """Hashprice: 2021-07-24, -08-07, -10-24 ... until mid-2026, by the year from the first quote."""
    got = ec.price_course("btc_hashprice", "Bitcoin", since="2024-05-29")
    assert got[0] == (1, 1.0) and [year for year, _ in got] == [1, 2, 3]
    start = year_of("2024-05-29")
    before, after = year_of("2024-10-07"), year_of("2025-07-08")
    # an anniversary lies between two quotes of 45.92 and 52, but for those without fees in between
    assert got[1][1] * 53.0 == pytest.approx(
        45.92 * (52 / 45.92) ** ((start + 1 - before) / (after - before)), rel=0.12
    )


@pytest.mark.parametrize("day,year", [
    ("2024", 2024.5), ("2024-H1", 2024.25), ("2024-Q4", 2024.875), ("2024-01", 2024 + 1 / 24),
    ("2024-12-31", 2024 + (11 + 30.5 / 31) / 12),
])  # fmt: skip
def test_dates(day, year):
    assert year_of(day) == pytest.approx(year)


def test_a_course_moves_the_price_and_nothing_else():
    plan = ec.rent_gpus("H100-SXM", 30_000)
    flat, moved = (
        ec.factory(plan.with_values({"income.price_course": rows})).flow
        for rows in ((), ec.price_course())
    )
    factors = np.array([dict(ec.price_course()).get(year, 2.60 / 2.99) for year in range(1, 6)])
    assert moved.revenue[1:] == pytest.approx(flat.revenue[1:] * factors)
    assert moved.revenue[2] < moved.revenue[3]
    for name in ("power", "energy_mwh", "output", "capex", "operation"):
        assert np.array_equal(getattr(moved, name), getattr(flat, name))
    grown = ec.factory(
        plan.with_values({"income.price_course": [(2, 0.5)], "income.price_growth": 0.1})
    ).flow
    assert grown.revenue[1:4] == pytest.approx(flat.revenue[1:4] * [1.0, 0.55, 0.605])


def test_halvings_of_a_hashprice_by_hand():
    """506 days from 2026-11-28 to the expected 2028-04-17, and to the one after it 1,458 more."""
    got = dict(ec.halving_course("2026-11-28", 9))
    second, sixth = (
        (141 + 224 / 2) / 365,
        (139 / 2 + 226 / 4) / 365,
    )  # 1,964 days are 5 years and 139
    assert got == pytest.approx({2: second, 3: 0.5, 6: sixth, 7: 0.25})
    fees = dict(ec.halving_course("2026-11-28", 3, fees_share=0.1))
    assert fees == pytest.approx({2: 0.9 * second + 0.1, 3: 0.55})
    assert dict(ec.halving_course("2028-04-17", 1)) == {}  # it has come: the hashprice has it
    assert dict(ec.halving_course("2028-04-16", 1)) == pytest.approx({1: (1 + 364 / 2) / 365})
    assert ec.halving_course(date(2026, 11, 15)) == ec.halving_course("2026-11")


def test_a_mine_with_a_start_earns_less_after_the_halving_and_says_so():
    plan, dated = ec.mine("Antminer S21", 40.67), ec.mine("Antminer S21", 40.67, start="2026-11-28")
    flat, halved = ec.factory(plan).flow.revenue, ec.factory(dated).flow.revenue
    factors = [1.0, 253 / 365, 0.5, 0.5, 0.5]
    assert halved[1:] == pytest.approx(flat[1:] * factors)
    assert dated.income.price_course == ec.halving_course("2026-11-28")
    bare, said = premises(plan), premises(dated)
    assert (
        "40.67 $/(PH/s day) at 17.5 J/TH, constant, no halving (the next is expected 2028-04)"
        in bare
    )
    assert "17.5 J/TH, 0.693 times from year 2 on, 0.5 times from year 3 on, machines" in said
    assert "halving" not in said
    falls = premises(plan.with_values({"income.price_growth": -0.1}))
    assert "-10.0% a year, no halving" in falls and "constant" not in falls
    hall = ec.convert_hall("Antminer S21", to=[], hashprice=40.67, paths=100)
    assert "40.67 $/(PH/s day), constant, no halving (the next is expected 2028-04)" in str(hall)
    keys = {"income.price_course": ec.halving_course("2026-11-28")}
    less = ec.convert_hall("Antminer S21", to=[], hashprice=40.67, paths=100, hall=keys)
    assert "40.67 $/(PH/s day), 0.693 times from year 2 on" in str(less)
    assert less.come_what_may < hall.come_what_may
    rent = ec.rent_gpus("H100-SXM", 30_000).with_values({"income.price_course": ec.price_course()})
    assert (
        "rented, 1 times from year 1 on, 0.569 times from year 2 on, 0.87 times from year 3 on"
        in premises(rent)
    )


def test_premises_say_three_changes_of_a_price_and_how_many_more_until_the_end():
    rows = [(2, 8.0), (3, 0.9), (4, 0.8), (5, 0.7), (6, 0.6)]
    plan = ec.rent_gpus("H100-SXM", 30_000).with_values({"income.price_course": rows})
    course = "8 times from year 2 on, 0.9 times from year 3 on, 0.8 times from year 4 on"
    for years, more in ((4, ""), (5, ", 1 change more"), (9, ", 2 changes more")):
        said = premises(plan.with_values({"finance.years": years}))
        assert f"{course}{more}, " in said and ("more" in said) is bool(more)


def test_premises_say_a_change_in_the_last_year_and_none_after_it():
    """By the year of a row, not by its factor."""
    rows = [(2, 8.0), (5, 0.9), (6, 0.8)]
    plan = ec.rent_gpus("H100-SXM", 30_000).with_values({"income.price_course": rows})
    for years, said in ((6, "8 times from year 2 on, 0.9 times from year 5 on, 0.8 times from year 6 on"),
                        (5, "8 times from year 2 on, 0.9 times from year 5 on"), (4, "8 times from year 2 on")):  # fmt: skip
        assert course_of(plan.with_values({"finance.years": years})) == said


def test_what_machines_cost_stands_in_what_a_plan_stands_on():
    assert "machines stand already, at 0 $" in premises(ec.mine("Antminer S21", 50.0))
    assert "machines at 16 $/(TH/s)" in premises(ec.mine("Antminer S21", 50.0, 16.0))
    ladder = ec.same_meter([ec.mine("Antminer S21", 50.0), ec.rent_gpus("H200-SXM", 31_000)])
    assert "machines stand already, at 0 $" in str(ladder) and "31,000 $ a GPU" in str(ladder)
    assert "machines" not in premises(ec.lease_shell())
    own = ec.Scenario().with_values({"income.kind": "tokens", "income.tokens_per_s_per_mw": 1e6,
                                     "income.price_per_mtok": 1.0, "computers.capex_per_it_mw": 3e7})  # fmt: skip
    assert "machines at 30 M$ by MW of computers" in premises(own)


def test_a_rung_says_which_years_lose_and_how_much():
    """The hashprice halves with the chain, power does not: what stopping would save is not in the plan."""
    mine = ec.mine("Antminer S21 XP", 28.68, 16.0, start="2026-11")
    (rung,) = ec.same_meter([mine], 20, 55).rungs
    lost = rung.factory.flow.ebitda[[3, 4, 5]]
    assert (lost < 0).all() and (rung.factory.flow.ebitda[1:3] > 0).all()
    assert (
        f"at a loss of {-lost.sum() / 1e6:.3g} M$ before tax in year 3 to 5: not stopped"
        in rung.premises
    )
    (earns,) = ec.same_meter([mine], 20, 5).rungs
    assert "loss" not in earns.premises


def test_the_price_of_tokens_says_what_it_is_made_of_while_it_is():
    sold = ec.sell_tokens("H200-SXM", "gpt-oss-120b", 31_000, interactivity=40, input_tokens=2048)
    assert sold.income.price_per_mtok == pytest.approx(0.6 + 0.15 * 2048 / 1024)
    said = premises(sold)
    assert "0.9 $/Mtok of answers (0.6 + 0.15 x 2048/1024 for prompts)" in said
    assert "sold at 40 token/s to each user" in said
    dearer = premises(sold.with_values({"income.price_per_mtok": 2.0}))
    assert "2 $/Mtok, 60%" in dearer and "40 token/s" in dearer
    slower = premises(sold.with_values({"income.tokens_per_s_per_mw": 1e6}))
    assert "for prompts" in slower and "to each user" not in slower


def test_paths_wander_about_the_course():
    plan = ec.rent_gpus("H100-SXM", 30_000).with_values({"income.price_course": ec.price_course()})
    got = ec.risk(plan, ec.Uncertainty(price_volatility=0.4, price_reversion=0.5), paths=100_000)
    assert got.mean == pytest.approx(got.certain, abs=4.5 * got.mean_error)


@pytest.mark.parametrize("call,said", [
    (lambda: ec.price_course("gpu_houre"), "did you mean"),
    (lambda: ec.price_course("gpu_hour_index", "Z80"), "item of gpu_hour_index"),
    (lambda: ec.price_course(since="2026-05"), "since is '2026-05'"),
    (lambda: ec.factory({"income.price_course": [(2, 0.0)]}), "income.price_course"),
    (lambda: ec.factory({"income.price_course": [(2, 1.0), (2, 1.0)]}), "years ascending"),
])  # fmt: skip
def test_bad_input_by_name(call, said):
    with pytest.raises((ValueError, TypeError, KeyError), match=said):
        call()


@pytest.mark.parametrize("given,said", [
    (("gpu_hour_indx",), "did you mean 'gpu_hour_index'"), (({"a": 1},), "quantity is {'a': 1}; allowed: text"),
    (("gpu_hour_index", 3), "item is 3; allowed: text"), (("gpu_hour_index", "H100", 2024), "since is 2024; allowed: text"),
    (("gpu_hour_index", "H100", "yesterday"), "since is 'yesterday'; allowed: YYYY"),
    (("gpu_hour_index", "H100", "01/02/2024"), "since is '01/02/2024'; allowed: YYYY"),
    (("gpu_hour_index", "H100", "2024-13"), "since is '2024-13'; allowed: YYYY"),
    (("gpu_hour_index", "H100", "2090-01"), "leaves 0 quotes"),
])  # fmt: skip
def test_courses_of_nothing(given, said):
    with pytest.raises((ValueError, TypeError, KeyError), match=said):
        ec.price_course(*given)
