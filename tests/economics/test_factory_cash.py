"""The cash of a factory, amount by amount, against a twin that goes year by year."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenroof import economics as ec
from tokenroof import reference

AMOUNTS = ("revenue", "curtailment", "power", "operation", "depreciation", "residual", "capex", "draw",
           "interest", "principal", "tax", "unlevered_tax", "free", "equity")  # fmt: skip
OF_KIND = {
    "nothing": {},
    "tokens": {"income.tokens_per_s_per_mw": st.floats(1e5, 3e6), "income.price_per_mtok": st.floats(0.1, 9),
               "income.sold_share": st.floats(0.1, 1), "income.licence_fee": st.floats(0, 0.5),
               "income.software": st.sampled_from([(), ((2, 1.5),), ((1, 1.1), (4, 2.0))])},
    "lease": {"income.lease_per_mw_year": st.floats(1e5, 3e6), "income.tenant_pays_power": st.booleans(),
              "income.prepaid_share": st.floats(0, 1), "income.tenant_default": st.floats(0, 0.3),
              "income.backstop_share": st.floats(0, 1)},
    "gpu_hours": {"income.gpu_watts": st.floats(500, 3000), "income.price_per_gpu_hour": st.floats(0.5, 5),
                  "income.rented_share": st.floats(0.1, 1)},
    "hashes": {"income.joules_per_terahash": st.floats(10, 40), "income.hashprice": st.floats(20, 90)},
}  # fmt: skip
ANY = {
    "site.power_mw": st.floats(5, 900), "site.pue": st.floats(1, 1.6), "site.idle_power": st.floats(0, 1),
    "site.price_per_mwh": st.floats(20, 150), "site.price_growth": st.floats(-0.1, 0.1),
    "site.demand_charge": st.floats(0, 20), "site.price_by_hour": st.sampled_from([(), (0.5, 1.0, 1.6) * 8]),
    "site.use_by_hour": st.sampled_from([(), (0.2, 0.6, 1.0, 0.9) * 6]),
    "site.curtail_above": st.sampled_from([np.inf, 80.0]), "site.curtailment_income": st.floats(0, 90),
    "site.availability": st.floats(0.8, 1), "shell.capex_per_it_mw": st.floats(0, 2e7),
    "shell.build_years": st.integers(1, 4), "shell.delay_years": st.integers(0, 2),
    "shell.om_share": st.floats(0, 0.1), "shell.residual_share": st.floats(0, 1),
    "computers.capex_per_it_mw": st.floats(1e6, 4e7), "computers.life_years": st.integers(1, 8),
    "computers.price_growth": st.floats(-0.3, 0.2), "computers.performance_growth": st.floats(-0.2, 0.5),
    "computers.phases": st.sampled_from([(), ((1, 0.25), (3, 1.0)), ((2, 0.6),)]),
    "computers.om_share": st.floats(0, 0.1), "computers.residual_share": st.floats(0, 1),
    "income.price_growth": st.floats(-0.3, 0.2), "income.price_course": st.sampled_from([(), ((2, 0.6), (3, 0.9))]),
    "finance.years": st.integers(3, 12), "finance.inflation": st.floats(0, 0.1), "finance.tax_rate": st.floats(0, 0.5),
    "finance.depreciation": st.sampled_from(["straight", "macrs3", "macrs5", "macrs7", "bonus"]),
    "finance.loan_to_cost": st.floats(0, 1), "finance.coupon": st.just(0.0) | st.floats(0.01, 0.2),
    "finance.loan_years": st.integers(1, 14), "finance.unexpired_share": st.sampled_from([1.0, 0.0]) | st.floats(0, 1),
}  # fmt: skip


def compared(values):
    found = ec.factory(values)
    want = reference.factory_cash(found.scenario.values())
    assert len(want) == found.flow.year.size
    # each is a sum of products: roundings of the largest amounts that go into it
    size = 1e-12 * max(abs(row[name]) for row in want for name in AMOUNTS)
    for name in AMOUNTS:
        np.testing.assert_allclose(
            getattr(found.flow, name),
            [row[name] for row in want],
            rtol=1e-12,
            atol=size,
            err_msg=name,
        )
    energy = [row.get("energy_mwh", 0.0) for row in want]
    np.testing.assert_allclose(found.flow.energy_mwh, energy, rtol=1e-12)


@pytest.mark.filterwarnings("ignore:.*legal and odd")
@settings(max_examples=60)
@given(st.sampled_from(sorted(OF_KIND)), st.data())
def test_every_amount_as_the_twin(kind, data):
    keys = ANY | OF_KIND[kind]
    compared(
        {name: data.draw(drawn, label=name) for name, drawn in keys.items()} | {"income.kind": kind}
    )


@pytest.mark.filterwarnings("ignore:.*earns nothing")
@pytest.mark.parametrize("kind", sorted(OF_KIND))
def test_the_defaults_as_the_twin(kind):
    compared({"income.kind": kind})
    compared("keynote-empty")


def test_the_twin_by_hand():
    """200 $ a year on 100 $ that are written off in five, at 40 %: 40 of 100 tokens' worth is tax."""
    values = ec.Scenario().values() | {
        "site.power_mw": 1.0, "site.pue": 1.0, "site.price_per_mwh": 0.0, "shell.capex_per_it_mw": 0.0,
        "computers.capex_per_it_mw": 1000.0, "income.kind": "lease", "income.lease_per_mw_year": 300.0,
        "finance.years": 5, "finance.tax_rate": 0.4, "finance.loan_to_cost": 0.5, "finance.coupon": 0.1,
        "finance.loan_years": 2,
    }  # fmt: skip
    years = reference.factory_cash(values)
    assert [row["free"] for row in years] == pytest.approx([-1000] + [300 - 0.4 * 100] * 5)
    payment = 500 * 0.1 / (1 - 1.1**-2)
    assert [row["interest"] for row in years[1:3]] == pytest.approx([50, 0.1 * (550 - payment)])
    assert years[1]["equity"] == pytest.approx(300 - 0.4 * (100 - 50) - payment)
    assert years[0]["equity"] == pytest.approx(-500)
    years = reference.factory_cash(values | {"finance.loan_years": 10, "finance.coupon": 0.0})
    assert [row["principal"] for row in years] == pytest.approx([0, 50, 50, 50, 50, 300])


def test_every_key_names_its_unit_and_the_source_of_a_default_that_is_a_fact():
    names = [about.name for about in ec.scenario_keys()]
    assert len(set(names)) == len(names) == len(ec.Scenario().values())
    for about in ec.scenario_keys():
        assert about.text[0].isupper() and about.unit and about.allowed
        assert bool(about.source) == bool(about.date)
        schema = ec.scenario_schema()["properties"][about.name.split(".")[0]]["properties"]
        assert about.unit in schema[about.name.split(".")[1]]["description"]
