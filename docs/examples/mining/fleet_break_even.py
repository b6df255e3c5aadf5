"""
The network's hashrate follows the price of a coin, up its own curve of costs
=============================================================================

Miners in order of what a hash costs them: at each price all those run who earn their
power.
"""

import tokenroof as tr
from tokenroof.mining import Tranche, equilibrium

cents = range(3, 10)
fleet = [Tranche("Antminer S19 Pro", 2e6, c / 100, fee=0.02, pue=1.1) for c in cents]
fleet += [Tranche("Antminer S21", 1e6, c / 100, fee=0.02, pue=1.1) for c in cents]
fleet += [Tranche("Antminer S9", 3e6, c / 100, fee=0.02, pue=1.1) for c in cents]
prices = [30_000, 60_000, 120_000]
level = equilibrium(fleet, prices)

assert (level.hashrate[1:] > level.hashrate[:-1]).all()
twice = level.hashrate[1:] / level.hashrate[:-1]
assert (twice < 2.0).all()  # so what a hash earns rises too
assert (level.hashprice[1:] > level.hashprice[:-1]).all()
tr.plot.cost_curve(fleet, prices).show()
