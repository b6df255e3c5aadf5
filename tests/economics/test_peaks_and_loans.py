"""What a peak costs, loans longer than their plans, and keys that would do nothing: by hand."""

import json

import numpy as np
import pytest

from tokenroof import economics as ec
from tokenroof.economics.scenarios.sections import SECTIONS, Income
from tokenroof.support.formats import plain

PLAIN = {"site.pue": 1.0, "site.price_growth": 0.0, "finance.inflation": 0.0}
LEASE = {"income.kind": "lease", "income.lease_per_mw_year": 1.9e6}
TOKENS = {"income.kind": "tokens", "income.tokens_per_s_per_mw": 1e6, "income.price_per_mtok": 1.0}


def test_the_peak_is_the_most_that_an_hour_takes():
    """10 $/(kW month) of 10 MW: 1.2 M$ a year of all of it, 120,000 $ of each MW that is drawn."""
    plan = PLAIN | {"site.power_mw": 10.0, "site.price_per_mwh": 60.0, "site.demand_charge": 10.0,
                    "income.kind": "nothing"}  # fmt: skip
    half = {"site.use_by_hour": [0.5] * 24}
    day = {
        "site.use_by_hour": [1.0] * 12 + [0.5] * 12,
        "site.price_by_hour": [1.5] * 12 + [0.5] * 12,
    }
    dear = day | {"site.curtail_above": 80.0}  # 90 and 30 $/MWh: the full hours are not run
    for more, want in (
        ({}, 1_200_000), (half, 600_000), (half | {"site.idle_power": 0.2}, 720_000), (day, 1_200_000),
        (dear, 600_000), (day | {"site.curtail_above": 20.0}, 0.0), ({"site.curtail_above": 50.0}, 0.0),
        (half | {"site.availability": 0.5}, 600_000), (dear | {"site.idle_power": 1.0}, 1_200_000),
    ):  # fmt: skip
        without = ec.factory(plan | more | {"site.demand_charge": 0.0}).flow.power
        assert ec.factory(plan | more).flow.power[1:] - without[1:] == pytest.approx(want, abs=1e-6)
    phased = plan | half | {"computers.phases": [[1, 0.25], [3, 1.0]], "site.price_per_mwh": 0.0}
    assert ec.factory(phased).flow.power[1:4] == pytest.approx([150_000, 150_000, 600_000])
    rising = plan | {"site.price_growth": 0.25, "site.curtail_above": 80.0, "finance.years": 3}
    free = ec.factory(rising | {"site.demand_charge": 0.0}).flow.power  # 60, 75, 93.75 $/MWh
    assert ec.factory(rising).flow.power[1:] - free[1:] == pytest.approx(
        [1_200_000, 1_500_000, 0.0]
    )


def test_a_loan_longer_than_the_plan_is_repaid_when_it_ends():
    """500 $ at 10 % over seven years: payments of 102.70275 $, and 447.29725 $ owed in the second year."""
    plan = PLAIN | {
        "site.power_mw": 1.0, "site.price_per_mwh": 0.0, "shell.capex_per_it_mw": 1000.0, "finance.coupon": 0.1,
        "income.kind": "lease", "income.lease_per_mw_year": 300.0, "finance.years": 2, "finance.loan_to_cost": 0.5,
    }  # fmt: skip
    got = ec.factory(plan)
    assert got.scenario.finance.loan_years == 7
    assert got.flow.interest == pytest.approx([0.0, 50.0, 44.729725], abs=1e-5)
    assert got.flow.principal == pytest.approx([0.0, 52.70275, 447.29725], abs=1e-5)
    assert got.debt_cover == pytest.approx(300 / 102.70275, rel=1e-7)
    free = plan | {"finance.coupon": 0.0, "finance.loan_years": 4}
    assert ec.factory(free).flow.principal == pytest.approx([0.0, 125.0, 375.0])
    one = ec.factory(plan | {"finance.years": 1})  # a year's payment, and the rest with it
    assert one.flow.principal == pytest.approx([0.0, 500.0])
    assert one.debt_cover == pytest.approx(300 / 102.70275, rel=1e-7)
    full = ec.factory(plan | {"finance.loan_years": 2}).flow
    assert full.interest + full.principal == pytest.approx([0.0, 288.0952381, 288.0952381])


IDLE = [  # a key, what it is given, what makes it count and what leaves it idle
    ("site.idle_power", 0.3, "site.use_by_hour", [0.5] * 24, []),
    ("site.curtailment_income", 30.0, "site.curtail_above", 80.0, np.inf),
    ("finance.depreciation", "macrs5", "finance.tax_rate", 0.2, 0.0),
    ("finance.coupon", 0.0775, "finance.loan_to_cost", 0.5, 0.0),
    ("finance.loan_years", 7, "finance.loan_to_cost", 0.5, 0.0),
]


@pytest.mark.parametrize("name,value,other,some,none", IDLE)
def test_what_would_do_nothing_is_refused(name, value, other, some, none, tmp_path):
    """Defaults too, where a person writes them; not where the other key is said, or another one changes."""
    said = rf"{name} is .*, which does nothing with {other} left at .*; allowed: {other} too"
    with pytest.raises(ValueError, match=said):
        ec.Scenario().with_values(LEASE | {name: value})
    file = tmp_path / "plan.toml"
    section, _, key = name.partition(".")
    file.write_text(f"[{section}]\n{key} = {json.dumps(value)}\n")
    with pytest.raises(ValueError, match=rf"^{file}: {said}"):
        ec.factory(file)
    plan = ec.Scenario().with_values(LEASE | {name: value, other: some})
    assert plan.with_values({other: none}).with_values({"finance.years": 9}).finance.years == 9
    ends = ec.tornado(
        plan, {other: (none, some), name: (value, value)}
    )  # a range that begins at none
    assert {swing.name for swing in ends} == {name, other}
    assert (
        ec.Scenario().with_values(plan.with_values({other: none}).values()).values()[name] == value
    )


BY_HAND = [  # a key at no default, what makes it count and what leaves it idle
    ("site.idle_power", 0.3, "use_by_hour", (0.5,) * 24, ()),
    ("site.curtailment_income", 30.0, "curtail_above", 80.0, np.inf),
    ("finance.depreciation", "macrs5", "tax_rate", 0.2, 0.0),
    ("finance.coupon", 0.09, "loan_to_cost", 0.5, 0.0),
    ("finance.loan_years", 9, "loan_to_cost", 0.5, 0.0),
]


@pytest.mark.parametrize("name,value,beside,some,none", BY_HAND)
def test_a_scenario_put_together_by_hand_is_refused_alike(name, value, beside, some, none):
    section, _, key = name.partition(".")
    part, other = SECTIONS[section], f"{section}.{beside}"

    def made(at, **more):
        sold = {"income": Income(kind="lease", lease_per_mw_year=1.9e6)}
        return ec.Scenario(**sold, **{section: part(**{key: value, beside: at})}, **more)

    with pytest.raises(
        ValueError,
        match=rf"{name} is .*, which does nothing with {other} left at .*; allowed: {other} too",
    ):
        made(none)
    counts = made(some)
    assert counts.values()[name] == value
    said = made(none, named=frozenset({other}))
    assert counts.with_values({other: none}) == said
    # what its manifest says is read again from JSON, and makes the same
    for plan in (counts, said):
        read = json.loads(json.dumps(plain(ec.run_manifest(plan)["changed"])))
        again = ec.Scenario().with_values(read)
        assert again == plan or none == np.inf
        assert (ec.factory(again).flow.equity == ec.factory(plan).flow.equity).all()
    assert ec.run_manifest(counts)["changed"] == LEASE | {name: value, other: some}
    kept = LEASE if none == np.inf else LEASE | {name: value, other: none}
    assert ec.run_manifest(said)["changed"] == kept


def test_a_manifest_leaves_out_what_comes_after_the_plan():
    course = LEASE | {"finance.years": 5, "income.price_course": ((4, 0.5), (5, 0.4))}
    long = ec.Scenario().with_values(course)
    assert ec.run_manifest(long)["changed"]["income.price_course"] == ((4, 0.5), (5, 0.4))
    short = long.with_values({"finance.years": 3})
    found = ec.run_manifest(short)["changed"]
    assert "income.price_course" not in found
    again = ec.factory(ec.Scenario().with_values(found))
    assert (again.flow.equity == ec.factory(short).flow.equity).all()


@pytest.mark.parametrize("base,name", [(LEASE, "income.price_course"), (TOKENS, "income.software")])
def test_steps_after_the_plan_are_refused(base, name):
    for rows in ([[9, 0.5]], [[6, 0.5], [7, 0.4]]):
        with pytest.raises(
            ValueError, match=f"{name} begins in year [69].* at most finance.years, 5"
        ):
            ec.Scenario().with_values(base | {"finance.years": 5, name: rows})
    long = ec.Scenario().with_values(base | {"finance.years": 5, name: [[5, 0.5], [9, 0.4]]})
    assert long.with_values({"finance.years": 3}).finance.years == 3  # as far as it comes
    assert (
        ec.mine("Antminer S21", 40.0, start="2028-05")
        .with_values({"finance.years": 1})
        .income.price_course
    )
