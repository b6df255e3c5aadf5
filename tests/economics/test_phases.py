"""A site that is filled by and by, schedules of writing off, the cost of capital."""

import numpy as np
import pytest

from tokenroof import economics as ec

BASE = {"site.power_mw": 10.0, "site.pue": 1.25, "site.price_per_mwh": 50.0, "site.price_growth": 0.0,
        "shell.capex_per_it_mw": 1e6, "computers.capex_per_it_mw": 20e6, "computers.om_share": 0.02,
        "finance.inflation": 0.0, "finance.years": 6, "income.kind": "gpu_hours", "income.price_per_gpu_hour": 3.0}  # fmt: skip
HALVES = {"computers.phases": [(1, 0.5), (3, 1.0)]}


def test_phases_by_hand():
    """8 MW for computers: half of them from the first year on, all from the third; bought the year before."""
    whole, parts = (ec.factory(BASE | more).flow for more in ({}, HALVES))
    filled = np.array([0, 0.5, 0.5, 1, 1, 1, 1])
    for name in ("revenue", "power", "energy_mwh", "output", "operation"):
        assert getattr(parts, name) == pytest.approx(getattr(whole, name) * filled), name
    assert parts.computer_capex.tolist() == pytest.approx([80e6, 0, 80e6, 0, 0, 80e6, 0])
    assert parts.shell_capex.tolist() == whole.shell_capex.tolist()
    assert parts.depreciation.sum() == pytest.approx(parts.capex.sum() - parts.residual.sum())


def test_phases_buy_what_is_sold_by_then():
    """Each phase at the price and with the performance of its own year."""
    grown = {"computers.price_growth": -0.2, "computers.performance_growth": 0.3}
    flow = ec.factory(BASE | HALVES | grown).flow
    assert flow.computer_capex.tolist() == pytest.approx(
        [80e6, 0, 80e6 * 0.64, 0, 0, 80e6 * 0.8**5, 0]
    )
    first = ec.factory(BASE).flow.revenue[1]
    made = [
        0,
        0.5,
        0.5,
        0.5 * (1 + 1.3**2),
        0.5 * (1 + 1.3**2),
        0.5 * (1 + 1.3**2),
        0.5 * (1.3**5 + 1.3**2),
    ]
    assert flow.revenue == pytest.approx(np.array(made) * first)


def test_one_phase_of_all_is_none():
    one, none = (ec.factory(BASE | more) for more in ({"computers.phases": [(1, 1.0)]}, {}))
    assert one.npv == none.npv and one.irr == none.irr


def test_a_lease_and_an_empty_hall_are_filled_too():
    for kind in (
        {"income.kind": "lease", "income.lease_per_mw_year": 1e6},
        {"income.kind": "nothing"},
    ):
        plan = {name: value for name, value in BASE.items() if not name.startswith("income")} | kind
        whole, parts = (ec.factory(plan | more).flow for more in ({}, HALVES))
        assert parts.output == pytest.approx(whole.output * [0, 0.5, 0.5, 1, 1, 1, 1])
        assert parts.revenue == pytest.approx(whole.revenue * [0, 0.5, 0.5, 1, 1, 1, 1])


@pytest.mark.parametrize("method,shares", [
    ("straight", [0.2] * 5), ("macrs3", [0.3333, 0.4445, 0.1481, 0.0741]), ("bonus", [1.0]),
    ("macrs5", [0.2, 0.32, 0.192, 0.1152, 0.1152 + 0.0576]),
    ("macrs7", [0.1429, 0.2449, 0.1749, 0.1249, 1 - 0.1429 - 0.2449 - 0.1749 - 0.1249]),
])  # fmt: skip
def test_schedules_of_writing_off(method, shares):
    """Computers of five years; what is left in the books when they go is written off then."""
    plan = BASE | {"finance.years": 5, "finance.depreciation": method, "shell.capex_per_it_mw": 0.0,
                   "finance.tax_rate": 0.2}  # fmt: skip
    flow = ec.factory(plan).flow
    want = np.zeros(6)
    want[1 : 1 + len(shares)] = shares
    assert flow.depreciation == pytest.approx(160e6 * want)


def test_earlier_writing_off_is_worth_more():
    worth = [ec.factory(BASE | {"finance.tax_rate": 0.25, "finance.depreciation": method}).npv
             for method in ("straight", "macrs7", "macrs5", "macrs3", "bonus")]  # fmt: skip
    assert worth[0] < worth[2] < worth[3] < worth[4] and worth[1] < worth[2]


def test_cost_of_a_terahash():
    found = ec.factory(ec.mine("Antminer S21", 40.0, 16.0))
    assert found.levelized_cost_per_terahash * 1e3 * 86400 == pytest.approx(found.levelized_cost)
    assert np.isnan(ec.factory(BASE).levelized_cost_per_terahash)


def test_a_tenant_may_stop_paying_and_a_third_party_stand_in():
    """A tenth of the tenants leaves each year: 1, 0.9, 0.81 of the rent, and half of what is missing."""
    plan = {"income.kind": "lease", "income.lease_per_mw_year": 1e6, "finance.years": 3, "site.pue": 1.0,
            "site.power_mw": 1.0}  # fmt: skip
    alone = ec.factory(plan | {"income.tenant_default": 0.1}).flow.revenue
    assert alone.tolist() == pytest.approx([0, 1e6, 0.9e6, 0.81e6])
    held = ec.factory(
        plan | {"income.tenant_default": 0.1, "income.backstop_share": 0.5}
    ).flow.revenue
    assert held.tolist() == pytest.approx([0, 1e6, 0.95e6, 0.905e6])
    sure = ec.factory(plan | {"income.tenant_default": 0.1, "income.backstop_share": 1.0})
    assert sure.npv == pytest.approx(ec.factory(plan).npv)
    terms = ec.lease_shell("TeraWulf-Fluidstack Lake Mariner")
    assert terms.income.backstop_share == pytest.approx(1.8 / 3.7)
    assert ec.lease_shell("Hut 8 River Bend").income.backstop_share == 0.0
    risky = terms.with_values({"income.tenant_default": 0.05})
    bare = risky.with_values({"income.backstop_share": 0.0})
    assert ec.factory(bare).npv < ec.factory(risky).npv < ec.factory(terms).npv


def test_cost_of_capital():
    assert ec.wacc(0.15, 0.0775, 0.0, 0.3) == 0.15 and ec.wacc(
        0.15, 0.08, 1.0, 0.25
    ) == pytest.approx(0.06)
    assert ec.wacc(0.2, 0.1, 0.5, 0.4) == pytest.approx(0.13)


@pytest.mark.parametrize("call,said", [
    (lambda: ec.factory(BASE | {"computers.phases": [(1, 1.2)]}), "computers.phases"),
    (lambda: ec.factory(BASE | {"computers.phases": [(1, 0.8), (2, 0.4)]}), "parts that do not fall"),
    (lambda: ec.factory(BASE | {"computers.phases": [(1, 0.5), (9, 1.0)]}), "year 9; allowed: at most finance.years, 6"),
    (lambda: ec.factory(BASE | {"finance.depreciation": "macrs9"}), "finance.depreciation is 'macrs9'"),
    (lambda: ec.wacc(-0.1, 0.1, 0.5), "equity_rate is -0.1"), (lambda: ec.wacc(0.1, 0.1, 1.5), "debt_share is 1.5"),
    (lambda: ec.wacc(0.1, -0.1, 0.5), "debt_rate is -0.1"), (lambda: ec.wacc(0.1, 0.1, 0.5, 2.0), "tax_rate is 2"),
])  # fmt: skip
def test_bad_input_by_name(call, said):
    with pytest.raises((ValueError, TypeError), match=said):
        call()
