"""A GW by generation and over tiers: what is drawn is what was given."""

import math

import pytest

from tokenroof import economics as ec
from tokenroof import plot

pytest.importorskip("plotly")
ROWS = (
    ec.GwRevenue("Old", {"easy": 4e10, "middle": 7e9, "hard": 0.0}, {"a": 7e9}, 2e10, 3e10, ()),
    ec.GwRevenue(
        "New", {"easy": 5e10, "middle": 1e10, "hard": 1e9}, {"a": 1e10}, 4e10, math.nan, ()
    ),
)


def test_revenue_draws_ranges_middles_best_splits_and_what_is_printed():
    figure = plot.revenue(ROWS, {"Newest": 3e11})
    drawn = {trace.name: trace for trace in figure.data}
    assert list(drawn["middle"].x) == [7e9, 1e10] and list(drawn["middle"].y) == ["Old", "New"]
    assert list(drawn["uncapped split"].x) == [2e10, 4e10]
    assert list(drawn["printed"].x) == [3e10, None, 3e11] and drawn["printed"].y[2] == "Newest"
    # nothing has no place on a log axis, and ranges are not joined
    assert list(drawn["hard to easy"].x) == [None, 4e10, None, 1e9, 5e10, None]
    low, high = (10**end for end in figure.layout.xaxis.range)
    assert low < 1e9 and high > 3e11
    assert list(figure.layout.yaxis.categoryarray) == ["Newest", "New", "Old"]


def test_effects_have_a_row_each_and_a_line_at_what_is_printed():
    effects = [
        ec.Effect("as assumed", "Old", 7e9, 1.0, 7 / 30), ec.Effect("twice as fast", "Old", 1.4e10, 2.0, 14 / 30),
        ec.Effect("as assumed", "New", 1e10, 1.0, math.nan), ec.Effect("twice as fast", "New", 2e10, 2.0, math.nan),
    ]  # fmt: skip
    figure = plot.revenue_effects(effects)
    old, new = figure.data
    assert list(old.x) == [7e9, 1.4e10] and list(new.x) == [1e10, 2e10]
    assert [row[0] for row in old.customdata] == [1.0, 2.0]
    (line,) = figure.layout.shapes
    assert line.x0 == pytest.approx(3e10)


def test_allocation_stacks_power_and_revenue_of_each_split():
    tiers, site = [ec.Tier("a", 3.0), ec.Tier("b", 45.0)], ec.Site(power_w=1e9)
    halves = ec.allocate(site, tiers, [1e6, 1e5], [6e8, 4e7], split=[0.5, 0.5])
    best = ec.allocate(site, tiers, [1e6, 1e5], [6e8, 4e7])
    figure = plot.allocation({"halves": halves, "best": best})
    for i, name in enumerate(("a", "b")):
        power, earned = (t for t in figure.data if t.name == name)
        assert list(power.x) == [halves.power_mw[i], best.power_mw[i]]
        assert list(earned.x) == pytest.approx([halves.revenue[i] / 1e9, best.revenue[i] / 1e9])
    said = [note.text for note in figure.layout.annotations]
    assert said == [f"<b>${s.revenue_per_year / 1e9:.3g} B</b>" for s in (halves, best)]


@pytest.mark.parametrize(("call", "kind", "says"), [
    (lambda: plot.revenue([]), ValueError, "found is empty; allowed: at least one GwRevenue"),
    (lambda: plot.revenue([3]), TypeError, "found has 3; allowed: a sequence of GwRevenue"),
    (lambda: plot.revenue_effects([3]), TypeError, "effects has 3; allowed: a sequence of Effect"),
    (lambda: plot.allocation([]), TypeError, "splits is list; allowed: a mapping"),
    (lambda: plot.allocation({}), ValueError, "splits are none"),
])  # fmt: skip
def test_what_is_refused(call, kind, says):
    with pytest.raises(kind, match=says):
        call()
