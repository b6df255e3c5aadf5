"""Factories year by year: figures by hand, identities, every key counts, what is refused."""

import json
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from _effects import derived
from tokenroof import economics as ec

PLAIN = {"site.pue": 1.0, "site.price_growth": 0.0, "finance.inflation": 0.0}
TOKENS = PLAIN | {
    "site.power_mw": 1.0, "site.price_per_mwh": 60.0, "site.use_by_hour": [0.85] * 24,
    "shell.capex_per_it_mw": 40e6, "computers.capex_per_it_mw": 35e6, "computers.om_share": 0.02,
    "income.kind": "tokens", "income.tokens_per_s_per_mw": 1e6, "income.sold_share": 0.6 / 0.85,
    "finance.discount_rate": 0.08,
}  # fmt: skip
HASHES = PLAIN | {
    "site.power_mw": 3.5e-3 * 1.05, "site.pue": 1.05, "site.price_per_mwh": 50.0, "site.availability": 0.95,
    "shell.capex_per_it_mw": 0.0, "computers.capex_per_it_mw": 3400 / 3.5e-3, "computers.om_share": 0.02,
    "computers.life_years": 4, "income.kind": "hashes", "income.joules_per_terahash": 17.5,
    "finance.years": 4, "finance.discount_rate": 0.12,
}  # fmt: skip
LEASE = {"income.kind": "lease", "income.lease_per_mw_year": 1.9e6, "income.price_growth": 0.03}
GPUS = {"income.kind": "gpu_hours", "income.gpu_watts": 2630.0, "income.price_per_gpu_hour": 2.91,
        "computers.capex_per_it_mw": 29e6}  # fmt: skip
KINDS = {"tokens": TOKENS | {"income.price_per_mtok": 1.0}, "hashes": HASHES | {"income.hashprice": 50.0},
         "lease": LEASE, "gpu_hours": GPUS, "nothing": {"income.kind": "nothing"}}  # fmt: skip


def test_forty_billion_with_nothing_on_it():
    """1 GW over 15 years: 304.41 $/MWh in a straight line, 533.47 at 8 %, 600.34 at 10 %."""
    for rate, want in ((0.0, 304.414003044), (0.08, 533.468241717), (0.1, 600.336880764)):
        plan = ec.presets()["keynote-empty"] | {"finance.discount_rate": rate}
        got = ec.factory(plan)
        assert got.levelized_cost_per_mwh == pytest.approx(want, rel=1e-11)
        assert got.levelized_cost == got.levelized_cost_per_mwh and got.unit == "MWh"
        assert got.flow.capex.sum() == pytest.approx(40e9)
        assert got.irr == () and got.payback_years == np.inf


def test_levelised_cost_of_a_token_by_hand():
    """Shell 4,673,182 + computers 8,765,976 + upkeep 700,000 + power 446,760 $ a year over 18,921,600 Mtok."""
    with pytest.warns(
        UserWarning, match=r"price_per_mtok is 0, so that scenario earns nothing by its tokens"
    ):
        got = ec.factory(TOKENS)
    assert got.unit == "Mtok"
    assert got.flow.output[1:] == pytest.approx(18_921_600)
    assert got.flow.power[1:] == pytest.approx(446_760) and got.flow.operation[1:] == pytest.approx(
        700_000
    )
    assert got.levelized_cost == pytest.approx(0.770860693984, rel=1e-11)
    assert (
        got.flow.computer_capex[[0, 5, 10]] == pytest.approx(35e6)
        and got.flow.computer_capex.sum() == 105e6
    )


def test_levelised_cost_of_a_hash_by_hand():
    """200 TH/s, 3,500 W, 3,400 $ over 4 years at 12 %, PUE 1.05, 0.05 $/kWh, 95 % up: 39.17 $/(PH/s day)."""
    with pytest.warns(
        UserWarning, match=r"income\.hashprice is 0, so that scenario earns nothing by its hashes"
    ):
        got = ec.factory(HASHES)
    assert got.unit == "PH/s day"
    assert got.levelized_cost == pytest.approx(39.1718036545, rel=1e-11)
    assert got.levelized_cost_per_mwh == pytest.approx(88.8249515975, rel=1e-11)
    earning = ec.factory(HASHES | {"income.hashprice": got.levelized_cost})
    assert earning.npv == pytest.approx(0.0, abs=1e-9)
    assert earning.irr == pytest.approx((0.12,))
    assert earning.levelized_revenue == pytest.approx(got.levelized_cost)


def test_gpu_hours_by_hand():
    """2.63 kW and 2.91 $/h: 9.69 M$ a year and MW, as IREN and Microsoft's contract of 2025-11-03 says (9.7)."""
    flow = ec.factory(GPUS | {"site.power_mw": 200.0, "site.pue": 1.0}).flow
    assert flow.revenue[1] / 200 == pytest.approx(2.91 * 8760 * 1e6 / 2630)
    assert flow.revenue[1] / 200 == pytest.approx(9.7e6, rel=2e-3)
    assert flow.output[1] == pytest.approx(200e6 / 2630 * 8760)


def test_a_lease_escalates_is_prepaid_and_leaves_power_to_the_tenant():
    got = ec.factory(LEASE | {"site.power_mw": 130.0, "site.pue": 1.3, "income.prepaid_share": 0.2,
                              "site.use_by_hour": [0.5] * 24})  # fmt: skip
    rent = 100 * 1.9e6 * 1.03 ** np.arange(15)
    assert got.flow.revenue[2:] == pytest.approx(rent[1:])  # idle hours are the tenant's
    assert got.flow.revenue[:2] == pytest.approx([0.2 * rent[0], 0.8 * rent[0]])
    assert got.flow.power.sum() == 0.0
    own = ec.factory(LEASE | {"income.tenant_pays_power": False})
    assert own.flow.power[1] == pytest.approx(100 * 8760 * 63.6)


def test_building_and_delay_come_before_income():
    got = ec.factory(
        LEASE | {"shell.build_years": 3, "shell.delay_years": 1, "computers.capex_per_it_mw": 1e6}
    )
    mw = got.scenario.it_mw
    assert got.flow.shell_capex == pytest.approx([11.7e6 * mw / 3] * 3 + [0.0] * 16)
    assert got.flow.computer_capex[[3, 8, 13]] == pytest.approx(1e6 * mw)
    assert not got.flow.revenue[:4].any() and got.flow.revenue[4] == pytest.approx(1.9e6 * mw)
    assert got.flow.year.tolist() == [*range(19)]


def test_software_comes_in_steps_and_computers_in_generations():
    base = TOKENS | {"income.price_per_mtok": 1.0}
    plain = ec.factory(base).flow.revenue
    steps = ec.factory(base | {"income.software": [[2, 1.5], [4, 2.0]]}).flow.revenue
    assert steps[1:] / plain[1:] == pytest.approx([1.0, 1.5, 1.5] + [2.0] * 12)
    better = ec.factory(
        base | {"computers.performance_growth": 0.3, "computers.price_growth": -0.1}
    ).flow
    assert better.revenue[1:] / plain[1:] == pytest.approx([1.0] * 5 + [1.3**5] * 5 + [1.3**10] * 5)
    assert better.computer_capex[[5, 10]] == pytest.approx([35e6 * 0.9**5, 35e6 * 0.9**10])


def test_a_day_of_prices_and_curtailment():
    """Half of the day at 20 $/MWh, half at 100: above 80 nothing runs, and the grid pays 30 $/MWh for it."""
    day = {"site.power_mw": 10.0, "site.pue": 1.25, "site.price_growth": 0.0, "site.price_per_mwh": 60.0,
           "site.price_by_hour": [1 / 3] * 12 + [5 / 3] * 12, "income.kind": "hashes", "income.hashprice": 50.0}  # fmt: skip
    always = ec.factory(day).flow
    assert always.energy_mwh[1] == 87_600 and always.power[1] == pytest.approx(87_600 * 60)
    off = ec.factory(day | {"site.curtail_above": 80.0, "site.curtailment_income": 30.0}).flow
    assert off.energy_mwh[1] == 43_800 and off.power[1] == pytest.approx(43_800 * 20)
    assert off.curtailment[1] == pytest.approx(43_800 * 30)
    assert off.revenue[1] == pytest.approx(always.revenue[1] / 2)
    idle = ec.factory(day | {"site.use_by_hour": [0.5] * 24, "site.idle_power": 0.2}).flow
    assert idle.energy_mwh[1] == pytest.approx(87_600 * 0.6) and idle.revenue[1] == pytest.approx(
        always.revenue[1] / 2
    )
    negative = ec.factory(day | {"site.price_per_mwh": -5.0}).flow
    assert negative.power[1] == pytest.approx(-5.0 * 87_600)
    peak = ec.factory(day | {"site.demand_charge": 10.0}).flow
    assert peak.power[1] - always.power[1] == pytest.approx(10_000 * 10.0 * 12)


def test_tax_waits_for_losses_to_be_made_up():
    """A loss of 40 in the first year, then 30 a year: 0, 0, 20, 30, 30 are taxed."""
    flows = ec.factory(PLAIN | {
        "site.power_mw": 1.0, "site.price_per_mwh": 0.0, "shell.capex_per_it_mw": 500.0, "shell.life_years": 5,
        "finance.years": 5, "finance.tax_rate": 0.25, "income.kind": "lease", "income.lease_per_mw_year": 60.0,
        "income.price_growth": 7 / 6 - 1,
    }).flow  # fmt: skip
    income = 60 * (7 / 6) ** np.arange(5) - 100
    owed = np.diff(np.maximum.accumulate(np.maximum(np.cumsum(income), 0)), prepend=0)
    assert flows.unlevered_tax[1:] == pytest.approx(0.25 * owed)
    assert flows.unlevered_tax.sum() == pytest.approx(0.25 * max(np.cumsum(income).max(), 0))
    assert not flows.unlevered_tax[:4].any()


def test_a_loan_at_the_discount_rate_changes_nothing_without_tax():
    base = LEASE | {"finance.discount_rate": 0.0775, "shell.build_years": 2}
    for share in (0.3, 0.85, 1.0):
        got = ec.factory(base | {"finance.loan_to_cost": share})
        assert got.equity_npv == pytest.approx(got.npv, abs=1e-6 * got.flow.capex.sum())
        assert got.flow.principal.sum() == pytest.approx(got.flow.draw.sum())
        assert got.flow.draw.sum() == pytest.approx(share * got.flow.capex.sum())
        assert got.flow.interest[1] == pytest.approx(0.0775 * got.flow.draw[0])  # while building
        served = (got.flow.interest + got.flow.principal)[2:9]
        assert served == pytest.approx(served[0])
        assert got.debt_cover == pytest.approx((got.flow.ebitda[2:9] / served).min())
    assert (
        ec.factory(base).debt_cover == np.inf
        and ec.factory(base).equity_irr == ec.factory(base).irr
    )


values = st.fixed_dictionaries({
    "shell.residual_share": st.floats(0, 1), "computers.residual_share": st.floats(0, 1),
    "computers.life_years": st.integers(1, 9), "finance.years": st.integers(1, 15),
    "finance.depreciation": st.sampled_from(["straight", "macrs3", "macrs5", "macrs7", "bonus"]), "computers.price_growth": st.floats(-0.3, 0.3),
    "shell.build_years": st.integers(1, 4), "finance.tax_rate": st.floats(0, 0.5),
    "finance.loan_to_cost": st.floats(0, 1), "finance.loan_years": st.integers(1, 20),
})  # fmt: skip


@given(values, st.sampled_from(sorted(KINDS)))
def test_identities(changes, kind):
    got = ec.factory(KINDS[kind] | changes)
    f = got.flow
    close = {"rel": 1e-9, "abs": 1e-6}
    assert f.depreciation.sum() == pytest.approx(f.capex.sum() - f.residual.sum(), **close)
    assert f.principal.sum() == pytest.approx(f.draw.sum(), **close)
    assert f.free.sum() - f.equity.sum() == pytest.approx(
        (f.interest + f.tax - f.unlevered_tax).sum(), **close
    )
    assert (f.tax <= f.unlevered_tax.sum() + 1e-6).all() and (f.tax >= -1e-6).all()
    assert f.ebitda + f.power + f.operation + f.licence == pytest.approx(
        f.revenue + f.curtailment, **close
    )
    if f.output.sum():
        bare = ec.npv(got.scenario.finance.discount_rate, f.output) * (
            got.levelized_revenue - got.levelized_cost
        )
        assert bare == pytest.approx(got.npv, rel=1e-9, abs=1e-6 * f.capex.sum() + 1e-9)


@given(st.floats(0.1, 10.0), st.sampled_from([
    ("tokens", "income.price_per_mtok"), ("tokens", "income.tokens_per_s_per_mw"), ("hashes", "income.hashprice"),
    ("lease", "income.lease_per_mw_year"), ("gpu_hours", "income.price_per_gpu_hour"),
]))  # fmt: skip
def test_revenue_is_linear_in_price_and_rate(factor, kind_and_key):
    kind, name = kind_and_key
    base = KINDS[kind]
    one, more = ec.factory(base).flow, ec.factory(base | {name: base[name] * factor}).flow
    assert more.revenue == pytest.approx(one.revenue * factor)
    assert more.power.tolist() == one.power.tolist()


@given(st.floats(0.0, 0.4), st.floats(1e-3, 0.4))
def test_present_value_falls_with_the_rate(rate, more):
    at = [ec.factory(LEASE | {"finance.discount_rate": r}).npv for r in (rate, rate + more)]
    assert at[1] < at[0]


def test_payback_within_a_year():
    got = ec.factory(PLAIN | {"site.power_mw": 1.0, "shell.capex_per_it_mw": 250.0, "income.kind": "lease",
                              "income.lease_per_mw_year": 100.0})  # fmt: skip
    assert got.payback_years == 2.5
    assert got.real_irr == pytest.approx(got.irr)
    dearer = ec.factory(LEASE)
    assert (1 + dearer.real_irr[0]) * 1.025 == pytest.approx(1 + dearer.irr[0])
    assert dearer.real_cash[3] == pytest.approx(dearer.flow.free[3] / 1.025**3)


def test_beside_business_as_usual():
    mine, lease = ec.factory(HASHES | {"income.hashprice": 60.0}), ec.factory(LEASE)
    more = lease.against(mine)
    assert more.size == lease.flow.free.size
    assert more.sum() == pytest.approx(lease.flow.free.sum() - mine.flow.free.sum())
    assert (mine.against(lease) == -more).all()


BIASED = {  # keys that count only beside others
    "site.curtail_above": ({"site.price_by_hour": [0.5, 1.5] * 12}, 70.0),
    "site.curtailment_income": ({"site.price_by_hour": [0.5, 1.5] * 12, "site.curtail_above": 70.0}, 10.0),
    "site.idle_power": ({"site.use_by_hour": [0.5] * 24}, 0.3),
    "site.price_by_hour": ({"site.use_by_hour": [0.5, 1.0] * 12}, [1.2, 0.8] * 12),
    "site.use_by_hour": ({}, [0.5] * 24),
    "finance.depreciation": ({"finance.tax_rate": 0.2}, "macrs5"),
    "finance.coupon": ({"finance.loan_to_cost": 0.5}, 0.05),
    "finance.loan_years": ({"finance.loan_to_cost": 0.5}, 5),
    "finance.years": ({}, 12), "finance.loan_to_cost": ({}, 0.5), "finance.tax_rate": ({}, 0.2),
    "finance.unexpired_share": ({"finance.years": 12}, 0.25),
    "shell.life_years": ({}, 20), "shell.residual_share": ({}, 0.3), "computers.residual_share": ({}, 0.3),
    "shell.build_years": ({}, 2), "shell.delay_years": ({}, 1), "computers.life_years": ({}, 4),
    "site.pue": ({}, 1.5), "site.availability": ({}, 0.9), "income.kind": ({}, "nothing"),
    "income.sold_share": ({}, 0.5), "income.licence_fee": ({}, 0.1), "income.price_course": ({}, ((2, 1.5),)),
    "computers.phases": ({}, ((1, 0.5), (2, 1.0))), "income.tenant_default": ({}, 0.1),
    "income.backstop_share": ({"income.tenant_default": 0.1}, 0.5), "income.software": ({}, [[2, 1.1]]),
    "income.tenant_pays_power": ({}, False), "income.prepaid_share": ({}, 0.2), "income.rented_share": ({}, 0.5),
    "income.joules_per_terahash": ({}, 30.0),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*lease_per_mw_year is 0")
@pytest.mark.parametrize("about", ec.scenario_keys(), ids=lambda about: about.name)
def test_every_key_has_an_effect(about):
    base = dict(KINDS[about.of or ("gpu_hours" if about.name != "income.kind" else "nothing")])
    also, value = BIASED.get(about.name, ({}, None))
    before = ec.factory(base | also)
    first = before.scenario.values()[about.name]
    if about.name == "income.kind":
        value = "lease"
    if about.name == "income.contract_years":  # which bounds another
        with pytest.raises(ValueError, match="at most income.contract_years"):
            ec.factory(base | {about.name: 3, "finance.years": 4})
        return
    value = first * 1.5 + 0.125 if value is None else value
    after = ec.factory(base | also | {about.name: value})
    assert after.scenario.values()[about.name] != first

    def numbers(found):
        table = derived(found) | {
            name: getattr(found, name) for name in ("npv", "equity_npv", "irr", "equity_irr")
        }
        table |= {"flow": found.flow.free.tolist(), "equity": found.flow.equity.tolist()}
        return json.dumps(table, default=str)

    assert numbers(after) != numbers(before)


def test_a_file_is_copied_and_changed(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('name = "hall"\n[site]\npower_mw = 20\n[income]\nkind = "hashes"\nhashprice = 38.5\n'
                    "software = []\n[finance]\nyears = 5\n")  # fmt: skip
    got = ec.factory(file)
    assert got.scenario.name == "hall" and got.scenario.site.power_mw == 20.0
    assert got.flow.free.tolist() == ec.factory(str(file)).flow.free.tolist()
    assert ec.Scenario.from_toml(file).with_values({"finance.years": 6}).finance.years == 6


@pytest.mark.parametrize("text,said", [
    ("[site]\npower = 20", r"no key 'site.power'; did you mean site.power_mw"),
    ("[site]\nqqq = 20", r"no key 'site.qqq'; allowed: site\.[a-z_]+(, site\.[a-z_]+)*$"),
    ("[sight]\npower_mw = 20", r"no key 'sight'; did you mean site"),
    ("[site]\npower_mw = 0", r"site.power_mw is 0; allowed: a finite number > 0"),
    ("[site]\npower_mw = true", r"site.power_mw is True; allowed"),
    ('[site]\npower_mw = "20"', r"site.power_mw is '20'; allowed"),
    ("[site]\npower_mw = -20", r"site.power_mw is -20; allowed: a finite number > 0 and <= 100000$"),
    ("[site]\npower_mw = nan", r"site.power_mw is nan"), ("[site]\npower_mw = inf", r"site.power_mw is inf"),
    ("[site]\npue = 0.9", r"site.pue is 0.9; allowed: a finite number >= 1"),
    ("[site]\nuse_by_hour = [0.5]", r"allowed: 24 numbers, one for each hour"),
    ("[site]\nuse_by_hour = 0.5", r"site.use_by_hour is 0.5"),
    ("[site]\navailability = 1.1", r"site.availability is 1.1; allowed: a finite number > 0 and <= 1"),
    ("[finance]\nyears = 7.5", r"finance.years is 7.5; allowed: an integer >= 1 and <= 100"),
    ("[finance]\nyears = 16", r"finance.years is 16; allowed: at most shell.life_years, which is 15"),
    ('[income]\nkind = "lease"\ntenant_pays_power = 1', r"income.tenant_pays_power is 1; allowed: true or false"),
    ('[income]\nkind = "lease"\ncontract_years = 10', r"finance.years is 15; allowed: at most income.contract_years, wh"),
    ('[income]\nkind = "gold"', r"income.kind is 'gold'; allowed: nothing, tokens, lease, gpu_hours, hashes"),
    ('[income]\nkind = "lease"\nhashprice = 40', r"income.hashprice is 40.0, which counts for income.kind 'hashes'"),
    ('[income]\nkind = "tokens"\nsoftware = [[2, 1.5], [1, 2]]', r"allowed: rows of \[year, factor\]"),
    ('[income]\nkind = "tokens"\nsoftware = [[2, 0]]', r"income.software is"),
    ('[income]\nkind = "tokens"\nsoftware = [[2]]', r"income.software is"),
    ("site = 3", r"site is 3; allowed: a table of its keys"), ("name = 3", r"name is 3; allowed: text"),
    ("[site", r"the file is not TOML"), ("[site]\npower_mw = 1e16", "site.power_mw is 1e.16; allowed"),
    ("[finance]\ndiscount_rate = 11", r"discount_rate is 11; allowed: a finite number >= -0.1 and <= 10"),
])  # fmt: skip
def test_what_a_file_may_not_say(tmp_path, text, said):
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises((ValueError, TypeError), match=said) as caught:
        ec.factory(file)
    assert str(caught.value).startswith(f"{file}: ")


def test_bad_scenarios_by_name():
    for what, error, said in ((3, TypeError, "scenario is 3"), ({"site.pwr": 1}, KeyError, "no key 'site.pwr'"),
                               ("nowhere.toml", OSError, "nowhere")):  # fmt: skip
        with pytest.raises(error, match=said):
            ec.factory(what)
    for name, said in (("foo.bar", r"allowed: site\.\*, shell\.\*, [^ ]*, [^ ]*, finance\.\*"),
                       ("foo.power_mw", r"did you mean site.power_mw\?")):  # fmt: skip
        with pytest.raises(KeyError, match=f"no key '{name}'; {said}"):
            ec.factory({name: 1})
    with pytest.raises(TypeError, match="site is 3; allowed: a Power"):
        ec.Scenario(site=3)


@pytest.mark.parametrize("given", [
    LEASE | {"income.lease_per_mw_year": 0.0}, TOKENS | {"income.price_per_mtok": 0.0},
    GPUS | {"income.rented_share": 0.0}, GPUS | {"income.price_per_gpu_hour": 0.0}, HASHES,
    TOKENS | {"income.price_per_mtok": 2.0, "income.sold_share": 0.0}, {}, {"site.power_mw": 20.0},
])  # fmt: skip
def test_a_scenario_without_income_says_what_is_missing(tmp_path, given):
    """By name, whichever way it came; what says that it sells nothing, or is paid to stand still, is believed."""
    kind = given.get("income.kind")
    zeros = [name for name, value in given.items() if value == 0.0 and name.startswith("income.")]
    names = zeros or (
        ["income.kind is left at 'nothing'"] if kind is None else ["income.hashprice is 0"]
    )
    plan = ec.Scenario().with_values(given)
    file = tmp_path / "plan.toml"
    file.write_text("".join(
        f"{name} = {json.dumps(value)}\n" for name, value in given.items()
    ))  # fmt: skip
    for asked in (given, plan, file):
        with pytest.warns(UserWarning, match="earns nothing") as said:
            ec.factory(asked)
        assert len(said) == 1 and all(name in str(said[0].message) for name in names)
    said_so = {} if kind else {"income.kind": "nothing"}
    paid = {"site.curtail_above": 30.0, "site.curtailment_income": 5.0}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if not kind:
            ec.factory(given | said_so)
        ec.factory(given | paid)
        ec.factory("keynote-empty")


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda x: x.encode()))
def test_any_bytes_are_a_scenario_or_an_error(tmp_path_factory, raw):
    file = tmp_path_factory.getbasetemp() / "fuzz.toml"
    file.write_bytes(raw)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of what has no income
            ec.factory(file)
    except (ValueError, TypeError) as error:
        assert "allowed" in str(error) or "did you mean" in str(error)


def test_export_has_its_assumptions_on_top(tmp_path):
    got = ec.factory(LEASE)
    got.to_csv(tmp_path / "out.csv")
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[0] == "site.power_mw,100.0,MW"
    assert lines[len(ec.scenario_keys())].startswith("manifest.version,")
    gap = lines.index("")
    assert len(lines) == gap + 2 + got.flow.year.size
    head = lines[gap + 1].split(",")
    last = dict(zip(head, map(float, lines[-1].split(",")), strict=True))
    assert last["free"] == got.flow.free[-1] and last["year"] == 15
    frame = got.to_frame()
    assert frame["free"].tolist() == got.flow.free.tolist() and list(frame.columns) == head
