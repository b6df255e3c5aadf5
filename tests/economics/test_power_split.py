"""Splits of power: the kernel against its twin, HiGHS, and the conditions of an optimum."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tokenroof import economics as ec
from tokenroof import reference
from tokenroof.economics.power_split import split_power
from tokenroof.economics.tier_uses import column

TWO, HALF = (ec.Tier("a", 3.0), ec.Tier("b", 45.0)), ec.Site(power_w=500e6)
worth = st.sampled_from([0.0, 1.0, 2.0, 3.0]) | st.floats(0.0, 1e9)
fall = st.sampled_from([0.0, 0.0, 0.5]) | st.floats(1e-6, 1e6)
width = st.sampled_from([0.0, 1.0, 10.0, np.inf]) | st.floats(0.0, 1e4)


@st.composite
def rows(draw, falls=fall):
    n = draw(st.integers(0, 8))
    value, slope, low, room = (
        np.array([draw(each) for _ in range(n)])
        for each in (worth, falls, st.floats(0.0, 10.0), width)
    )
    low = np.where(draw(st.booleans()), low, 0.0)
    return (
        value,
        slope,
        low,
        low + room,
        float(low.sum() + draw(st.sampled_from([0.0, 1.0]) | st.floats(0.0, 1e5))),
    )


@settings(max_examples=400)
@given(rows())
def test_the_kernel_equals_its_twin(row):
    *arrays, power = row
    x, price = split_power(*arrays, power)
    want, at = reference.power_split(*(a.tolist() for a in arrays), power)
    assert x.tolist() == want and price == at


@settings(max_examples=200)
@example(
    (
        *map(np.array, ([536870913.0], [0.5], [1.3767851625137983], [2.3767851625137983])),
        1.3767851625137983,
    )
)
@example((*map(np.array, ([5.0, 5.0], [0.0, 1.5], [0.0, 0.0], [1.0, 1.0])), 1.0))
@given(rows())
def test_it_is_an_optimum(row):
    """Karush, Kuhn and Tucker: no use would give up a MW for what another earns with it."""
    value, slope, low, high, power = row
    x, price = split_power(value, slope, low, high, power)
    scale = 1e-9 * (1.0 + power + low.sum())
    assert (x >= low - scale).all() and (x <= high + scale).all() and x.sum() <= power + scale
    next_mw = value - slope * x
    tight = 1e-6 * (1.0 + np.abs(value) + slope * (x + scale))
    assert price >= 0.0
    if price > 0.0:
        assert x.sum() == pytest.approx(power, rel=1e-6, abs=1e-6)
    for i in range(x.size):
        if x[i] > low[i] + scale:  # takes some: worth at least the price
            assert next_mw[i] >= price - tight[i]
        if x[i] < high[i] - scale:  # would take more: worth at most the price
            assert next_mw[i] <= price + tight[i]


site_mw = st.floats(1.0, 1e3)


@st.composite
def sites(draw):
    n = draw(st.integers(1, 6))
    tiers = [ec.Tier(str(i), draw(st.floats(0.0, 100.0))) for i in range(n)]
    supply = [draw(st.floats(1e3, 1e6)) for _ in range(n)]
    demand = [draw(st.sampled_from([np.inf]) | st.floats(1e6, 1e9)) for _ in range(n)]
    steps = st.lists(st.floats(1e6, 1e8), min_size=1, max_size=3)
    curves = [
        None if draw(st.booleans()) else ec.DemandCurve(
            steps=[(w, draw(st.just(100.0 / 2**k))) for k, w in enumerate(draw(steps))])
        for _ in range(n)
    ]  # fmt: skip
    site = ec.Site(
        power_w=draw(site_mw) * 1e6,
        pue=draw(st.floats(1.0, 2.0)),
        utilization=draw(st.floats(0.1, 1.0)),
    )
    return site, tiers, supply, demand, curves


@settings(max_examples=60, deadline=None)
@given(sites(), st.data())
def test_highs_and_the_knapsack_agree_and_no_split_beats_them(case, data):
    site, tiers, supply, demand, curves = case
    best = ec.allocate(site, tiers, supply, demand, curves=curves)
    mix = ec.best_mix(site, tiers, [supply], demand=demand, curves=curves)
    assert mix.revenue_per_year == pytest.approx(best.revenue_per_year, rel=1e-7, abs=1e-3)
    for _ in range(3):
        parts = np.array([data.draw(st.floats(0.0, 1.0)) for _ in tiers])
        shares = parts / max(parts.sum(), 1.0)
        fixed = ec.allocate(site, tiers, supply, demand, curves=curves, split=shares)
        assert best.revenue_per_year >= fixed.revenue_per_year * (1.0 - 1e-12)
    even = ec.allocate(
        site, tiers, supply, demand, curves=curves, split=np.full(len(tiers), 1 / len(tiers))
    )
    assert best.revenue_per_year >= even.revenue_per_year * (1.0 - 1e-12)


TIERS = [ec.Tier("Free", 0.0), ec.Tier("Medium", 3.0), ec.Tier("High", 6.0), ec.Tier("Premium", 45.0),
         ec.Tier("Ultra", 150.0)]  # fmt: skip
SUPPLY = [2e6, 1.2e6, 7e5, 1.2e5, 3e4]
DEMAND = [2e8, 3e8, 1.4e8, 3.6e7, 3e6]


def test_the_quarters_lose_what_the_worked_example_says():
    for power, fixed, best, lost in ((1000, 97446240000, 120152160000, 0.188976377953),
                                     (500, 52034400000, 78524640000, 0.33734939759)):  # fmt: skip
        site = ec.Site(power_w=power * 1e6)
        got = ec.allocate(
            site, TIERS, SUPPLY, DEMAND, split=[0.25, 0.25, 0.25, 0.25, 0.0]
        ).revenue_per_year
        want = ec.allocate(site, TIERS, SUPPLY, DEMAND).revenue_per_year
        assert got == pytest.approx(fixed, rel=1e-12) and want == pytest.approx(best, rel=1e-12)
        assert 1.0 - got / want == pytest.approx(lost, rel=1e-10)


def test_elastic_demand_of_the_worked_example():
    site = ec.Site(power_w=1e9)
    tiers = [ec.Tier("a", 6.0), ec.Tier("b", 60.0)]
    curves = [ec.DemandCurve(slope=7.5e-9), ec.DemandCurve(slope=7.5e-7)]
    got = ec.allocate(site, tiers, [5e5, 1e5], curves=curves)
    np.testing.assert_allclose(got.power_mw, [640.0, 360.0], rtol=1e-12)
    assert got.marginal_value == pytest.approx(18921600.0, rel=1e-12)
    alone = ec.allocate(ec.Site(power_w=1e10), tiers, [5e5, 1e5], curves=curves)
    np.testing.assert_allclose(alone.power_mw, [800.0, 400.0], rtol=1e-12)
    assert alone.marginal_value == 0.0
    for power, x in zip((got, alone), (got.power_mw, alone.power_mw), strict=True):
        want = sum(31.536e6 * c.revenue_per_s(t.price_per_mtok, r * mw)
                   for c, t, r, mw in zip(curves, tiers, [5e5, 1e5], x, strict=True))  # fmt: skip
        assert power.revenue_per_year == pytest.approx(want, rel=1e-12)
    steps = ec.best_mix(site, tiers, [[5e5, 1e5]], curves=curves)
    np.testing.assert_allclose(steps.power_mw[0], [640.0, 360.0], atol=1000 / 256)
    assert steps.revenue_per_year == pytest.approx(got.revenue_per_year, rel=1e-4)


def test_shadow_prices_are_what_one_more_earns():
    site, args = (
        ec.Site(power_w=625e6, pue=1.25, utilization=0.8),
        (TIERS, SUPPLY, DEMAND, [50, 0, 0, 0, 0]),
    )
    got = ec.allocate(site, *args)
    more = ec.allocate(ec.Site(power_w=626.25e6, pue=1.25, utilization=0.8), *args)
    assert more.revenue_per_year - got.revenue_per_year == pytest.approx(
        got.marginal_value, rel=1e-9
    )
    for i in range(5):
        wider = np.array(DEMAND)
        wider[i] += SUPPLY[i]  # one MW
        earned = (
            ec.allocate(site, TIERS, SUPPLY, wider, args[3]).revenue_per_year - got.revenue_per_year
        )
        assert earned == pytest.approx(got.cap_value[i], abs=1.0)
    held = ec.allocate(site, *args[:3], [51, 0, 0, 0, 0]).revenue_per_year
    assert got.revenue_per_year - held == pytest.approx(got.floor_cost[0], rel=1e-9)


def test_less_than_a_token_a_second_is_a_supply():
    site, tiers = ec.Site(power_w=1e6), [ec.Tier("a", 1.0)]
    one, half, none = (
        ec.best_mix(site, tiers, [[rate]]).revenue_per_year for rate in (1.0, 0.5, 0.0)
    )
    assert one > 0.0 == none and half == pytest.approx(0.5 * one)
    with pytest.raises(ValueError, match="supply"):
        ec.best_mix(site, tiers, [[-0.5]])


def test_a_number_for_each_tier_may_be_nothing_and_without_end_where_that_is_the_default():
    assert column("split", [0.0, 0.5], 0.0, 2).tolist() == [0.0, 0.5]
    assert column("demand", [0.0, np.inf], np.inf, 2).tolist() == [0.0, np.inf]
    assert column("floors", None, 0.25, 2).tolist() == [0.25, 0.25]
    for bad, default in ((-1e-300, 0.0), (np.nan, np.inf), (np.inf, 0.0)):
        with pytest.raises(ValueError, match="finite numbers >= 0"):
            column("split", [0.5, bad], default, 2)


def test_a_mix_keeps_to_devices_and_memory_and_prices_them():
    site, tiers = ec.Site(power_w=1e8), [ec.Tier("a", 3.0), ec.Tier("b", 45.0)]
    old, new = [1e5, 2e4], [3e5, 1e5]
    given = {"demand": [1e9, 4e6], "devices_per_mw": [[500, 500], [300, 300]], "devices_max": [1e9, 24e3],
             "memory_per_mw": [[2.0, 2.0], [3.0, 3.0]], "memory_max": 250.0}  # fmt: skip
    got = ec.best_mix(site, tiers, [old, new], **given)
    # new 80 MW, demand of b takes 40 of them; memory: 2 old + 3 * 80 <= 250 leaves 5 MW of the old
    np.testing.assert_allclose(got.power_mw, [[5, 0], [40, 40]], atol=1e-6)
    year = 31.536
    np.testing.assert_allclose(
        got.revenue, [year * 3 * (5e5 + 40 * 3e5), year * 45 * 4e6], rtol=1e-9
    )
    assert got.power_value == 0.0  # memory is what is short
    for name, value, step in (
        ("memory_max", got.memory_value, 1.0),
        ("devices_max", got.device_value[1], 300.0),
    ):
        more = dict(given)
        more[name] = 251.0 if name == "memory_max" else [1e9, 24e3 + step]
        earned = (
            ec.best_mix(site, tiers, [old, new], **more).revenue_per_year - got.revenue_per_year
        )
        assert earned == pytest.approx(step * value, rel=1e-6)
    wider = ec.best_mix(site, tiers, [old, new], **given | {"demand": [1e9, 4e6 + 1e4]})
    assert wider.revenue_per_year - got.revenue_per_year == pytest.approx(
        1e4 * got.demand_value[1], rel=1e-6
    )
    floor = ec.best_mix(site, tiers, [old, new], **given | {"floors": [0.0, 41.0]})
    assert floor.power_mw[:, 1].sum() == pytest.approx(41.0) and floor.floor_cost[1] > 0.0
    assert got.to_frame()["power_mw"].sum() == pytest.approx(85.0)


def test_sensitivity_names_each_input():
    site = ec.Site(power_w=625e6, pue=1.25, utilization=0.8)
    found = {
        one.name: one
        for one in ec.allocation_sensitivity(site, TIERS, SUPPLY, DEMAND, [50, 0, 0, 0, 0])
    }
    assert {
        "power",
        "pue",
        "utilization",
        "price of Ultra",
        "supply of High",
        "demand of Premium",
        "floor of Free",
    } <= {*found}
    assert "price of Free" not in found
    base = ec.allocate(site, TIERS, SUPPLY, DEMAND, [50, 0, 0, 0, 0])
    assert found["power"].elasticity > 0.0 > found["pue"].elasticity
    assert found["utilization"].low == pytest.approx(0.9 * base.revenue_per_year)
    ultra = found["price of Ultra"]
    assert (
        ultra.high - ultra.base == pytest.approx(0.1 * base.revenue[4])
        and ultra.base == base.revenue_per_year
    )
    swings = [one.swing for one in ec.allocation_sensitivity(site, TIERS, SUPPLY, DEMAND)]
    assert swings == sorted(swings, reverse=True)


A = [ec.Tier("a", 3.0)]
S = ec.Site(power_w=1e6)


@pytest.mark.parametrize("call,said", [
    (lambda: ec.DemandCurve(), "steps is .. and slope is None; allowed: one of them"),
    (lambda: ec.DemandCurve(steps=[(1, 2)], slope=1.0), "allowed: one of them"),
    (lambda: ec.DemandCurve(steps=[(1, 2), (1, 3)]), r"steps\[1\]\[1\] is 3; allowed: at most 2"),
    (lambda: ec.DemandCurve(steps=[(0, 2)]), r"steps\[0\]\[0\] is 0.0; allowed"),
    (lambda: ec.DemandCurve(steps=["ab"]), r"steps\[0\] is 'ab'; allowed"),
    (lambda: ec.DemandCurve(slope=-1.0), "slope is -1.0; allowed"),
    (lambda: ec.allocate(S, A, [1.0], curves=3), "curves is 3; allowed: a DemandCurve or None for each"),
    (lambda: ec.allocate(S, A, [1.0], curves=[]), "curves has 0 entries; allowed: one for each of 1"),
    (lambda: ec.allocate(S, A, [1.0], curves=[3]), r"curves\[0\] is 3; allowed"),
    (lambda: ec.best_mix(3, A, [[1.0]]), "site is 3; allowed: a Site"),
    (lambda: ec.best_mix(S, A, [1.0]), "supply has shape .1,.; allowed: a row for each generation, 1 number"),
    (lambda: ec.best_mix(S, A, [["x"]]), "supply is .*'x'.*; allowed: numbers >= 0 by generation"),
    (lambda: ec.best_mix(S, A, [[-1.0]]), r"supply is -1; allowed: finite numbers >= 0"),
    (lambda: ec.best_mix(S, A, [[1.0]], devices_max=[3]), "devices_per_mw is None with devices_max"),
    (lambda: ec.best_mix(S, A, [[1.0]], memory_per_mw=[[3]]), "memory_max is None with memory_per_mw"),
    (lambda: ec.best_mix(S, A, [[1.0]], memory_per_mw=[[3], [3]], memory_max=1), "memory_per_mw has shape .2, 1.; allowed: 1 row"),
    (lambda: ec.best_mix(S, A, [[1.0]], memory_per_mw=[[3]], memory_max=-1), "memory_max is -1; allowed"),
    (lambda: ec.best_mix(S, A, [[1.0]], floors=[2.0]), "limits leave nothing"),
    (lambda: ec.best_mix(S, A, [[1.0]], floor=[2.0]), "unexpected option 'floor'"),
    (lambda: ec.allocation_sensitivity(S, A, [1.0], change=1.0), "change is 1.0; allowed: above 0, below 1"),
])  # fmt: skip
def test_bad_input_is_named(call, said):
    with pytest.raises((ValueError, TypeError), match=said):
        call()


@pytest.mark.parametrize("split,short", [([0.0, 1.0], "split gives a 0 MW; allowed: at least its floor of 100 MW"),
                                         ([0.1, 0.9], "split gives a 50 MW")])  # fmt: skip
def test_a_split_keeps_the_floors(split, short):
    with pytest.raises(ValueError, match=short):
        ec.allocate(HALF, TWO, [1e6, 1e6], floors=[100.0, 0.0], split=split)
    ec.allocate(HALF, TWO, [1e6, 1e6], floors=[100.0, 0.0], split=[0.2, 0.8])


def test_a_fixed_splits_next_megawatt_is_worth_what_it_earns():
    demand = [1e8, np.inf]
    got = ec.allocate(HALF, TWO, [1e6, 1e5], demand, split=[0.5, 0.5])
    more = ec.allocate(ec.Site(power_w=501e6), TWO, [1e6, 1e5], demand, split=[0.5, 0.5])
    assert more.revenue_per_year - got.revenue_per_year == pytest.approx(got.marginal_value)
