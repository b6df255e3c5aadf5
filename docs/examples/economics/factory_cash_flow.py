"""
Where prices halve every year the first years carry a factory
=============================================================

A factory of tokens year by year, with most of them unsold. Money that comes late is
little: prices have fallen, and it is discounted.
"""

import numpy as np

import tokenroof as tr
from tokenroof import economics as ec

tokens = ec.sell_tokens("H200-SXM", "gpt-oss-120b", usd_per_gpu=40_000)
site = {"site.power_mw": 20.0, "income.sold_share": 0.25}
halving = ec.factory(tokens.with_values({**site, "income.price_growth": -0.5}))
steady = ec.factory(tokens.with_values(site))

assert steady.npv > halving.npv
assert halving.payback_years >= steady.payback_years
discount = (1 + halving.scenario.finance.discount_rate) ** -np.asarray(
    halving.flow.year, float
)
assert np.isclose(np.sum(halving.flow.free * discount), halving.npv, rtol=1e-6)
free = halving.flow.free
assert free[0] < 0 < free[1]
assert free[2] > free[-1]
tr.plot.cash_flow(halving).show()
