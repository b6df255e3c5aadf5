"""Splits of a site's power by hand: what they earn, cost, and keep."""

import numpy as np
import pytest

from tokenroof import economics as ec

TIERS = (ec.Tier("a", 3.0), ec.Tier("b", 45.0))
SITE = ec.Site(power_w=500e6)


def test_the_keynotes_medium_and_high_tiers_sum_to_the_revenue():
    """1 GW in four equal parts: what demand does not take earns nothing, in every view of it."""
    tiers, supply = ec.gtc2026_tiers(), [2e6, 1.2e6, 7e5, 1.2e5, 3e4]
    site = ec.Site(power_w=1e9, pue=1.25, utilization=0.8)
    split, demand = [0.25, 0.25, 0.25, 0.25, 0.0], [1e9, 1e8, 1e8, 1e7, 1e6]
    got = ec.allocate(site, tiers, supply, demand, split=split)
    want = sum(0.8 * 31.536 * price * min(200.0 * rate, most)
               for price, rate, most in zip([0.0, 3.0, 6.0, 45.0, 150.0], supply, demand, strict=True)
               if rate != 3e4)  # fmt: skip
    assert got.revenue_per_year == pytest.approx(want, rel=1e-12)
    assert got.to_frame()["revenue_per_year"].sum() == pytest.approx(want, rel=1e-12)
    assert got.power_mw.sum() == pytest.approx(800.0)
    assert got.marginal_value == 0.0  # every tier that earns has more power than demand


def test_overhead_and_idle_time_cost_what_they_should():
    args = (TIERS, [1.2e6, 1.2e5], [3e8, 3.6e7])
    whole = ec.allocate(ec.Site(power_w=500e6), *args)
    behind = ec.allocate(ec.Site(power_w=625e6, pue=1.25), *args)
    np.testing.assert_allclose(behind.power_mw, whole.power_mw, rtol=1e-12)
    half = ec.allocate(ec.Site(power_w=500e6, utilization=0.5), *args)
    np.testing.assert_allclose(half.revenue, whole.revenue / 2, rtol=1e-12)
    assert half.marginal_value == whole.marginal_value / 2
    assert ec.Site(power_w=1e6, pue=1.5, price_per_kwh=0.1).cost_per_it_mwh == pytest.approx(150.0)
