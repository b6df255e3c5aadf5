"""Figures of money: what they draw is what they are given."""

import numpy as np
import pytest

from tokenroof import economics as ec
from tokenroof import plot
from tokenroof.report.money import question

pytest.importorskip("plotly")
PLAN = {
    "income.kind": "lease",
    "income.lease_per_mw_year": 1.9e6,
    "finance.years": 4,
    "site.power_mw": 1.0,
}


def test_the_ladder_draws_revenue_and_break_evens():
    found = ec.same_meter([ec.mine("Antminer S21", 40.0), ec.lease_shell()], price_per_mwh=60.0)
    figure = plot.ladder(found)
    assert list(figure.data[0].x) == [rung.revenue_per_mwh for rung in found.rungs]
    assert list(figure.data[1].x) == [found.rungs[0].break_even_power, None]  # the tenant pays
    assert figure.layout.shapes[0].x0 == 60.0


def test_the_race_joins_its_records():
    miners = ec.race("miners", ["Antminer S9", "Antminer S17 Pro", "Antminer S21", "Antminer S19"])
    figure = plot.arms_race(miners, miners)
    others, records = figure.data[:2]
    assert records.mode == "lines+markers" and others.mode == "markers"
    assert list(records.y) == miners.joules[miners.record].tolist()
    assert [*others.y, *records.y] == [
        *miners.joules[~miners.record],
        *miners.joules[miners.record],
    ]


def test_a_tornado_is_drawn_from_the_plan():
    swings = ec.tornado(PLAN, {"site.pue": (1.0, 1.4), "finance.discount_rate": (0.05, 0.1)})
    certain = ec.factory(PLAN).equity_npv
    low, high = plot.tornado(swings, certain).data
    for bar, ends in ((low, "npv_low"), (high, "npv_high")):
        reached = [x + bar.base for x in bar.x]
        assert reached == pytest.approx([getattr(s, ends) / 1e6 for s in swings])
    assert list(low.y) == [s.name for s in swings]


def test_cash_comes_in_above_and_goes_out_below():
    found = ec.factory(PLAN)
    bars = {trace.name: np.asarray(trace.y) for trace in plot.cash_flow(found).data}
    assert bars["revenue"] == pytest.approx(found.flow.revenue / 1e6)
    assert bars["capex"] == pytest.approx(-found.flow.capex / 1e6)
    assert bars["sum so far"] == pytest.approx(np.cumsum(found.flow.free) / 1e6)
    total = sum(y for name, y in bars.items() if name != "sum so far")
    assert total == pytest.approx(found.flow.free / 1e6)


@pytest.mark.parametrize(
    "change", [{"finance.tax_rate": 0.2}, {"site.demand_charge": 5.0}, {"site.curtail_above": 90.0}]
)
def test_the_page_asks_only_what_is_linear(change):
    plan = ec.mine("Antminer S21", 40.0)
    assert question(ec.same_meter([plan]))["rungs"][0]["kind"] == "hashes"
    with pytest.raises(ValueError, match="allowed: none"):
        question(ec.same_meter([plan.with_values(change)]))
