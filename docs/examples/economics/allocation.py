"""
A quarter for each tier earns less than power that follows the last megawatt's worth
====================================================================================

A site's power over five tiers with as much demand as there is: a fixed split, and the
optimum, with the price of the next megawatt.
"""

import numpy as np

import tokenroof as tr
from tokenroof import economics as ec

site, tiers = ec.Site(power_w=1e9), ec.gtc2026_tiers()
supply = [2e6, 1.2e6, 7e5, 1.2e5, 3e4]  # token/s of a MW
demand = [2e8, 6e8, 1.4e8, 3.6e7, 3e6]  # token/s
even = ec.allocate(site, tiers, supply, demand, split=[0.25, 0.25, 0.25, 0.25, 0])
best = ec.allocate(site, tiers, supply, demand)
more = ec.allocate(ec.Site(power_w=1.001e9), tiers, supply, demand)

assert best.revenue_per_year > 1.1 * even.revenue_per_year
assert np.isclose(best.power_mw.sum(), 1000)
gained = more.revenue_per_year - best.revenue_per_year
assert np.isclose(gained, best.marginal_value, rtol=1e-6)
tr.plot.allocation({"a quarter each": even, "the optimum": best}).show()
