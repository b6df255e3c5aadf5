"""
The price of a token moves a factory's worth more than the price of power
=========================================================================

One assumption at a time from its low to its high end, the others as they are.
"""

import tokenroof as tr
from tokenroof import economics as ec

plan = ec.sell_tokens("H200-SXM", "gpt-oss-120b", usd_per_gpu=40_000)
ranges = {
    "income.price_per_mtok": (0.15, 0.75),
    "income.sold_share": (0.1, 0.6),
    "income.price_growth": (-0.6, 0.0),
    "site.price_per_mwh": (30.0, 120.0),
    "site.pue": (1.0, 1.4),
    "finance.discount_rate": (0.06, 0.14),
    "shell.delay_years": (0, 2),
}
swings = ec.tornado(plan, ranges)
reach = {swing.name: abs(swing.npv_high - swing.npv_low) for swing in swings}
assert reach["income.price_per_mtok"] > 5 * reach["site.price_per_mwh"]
assert set(reach) == set(ranges)
tr.plot.tornado(swings, ec.factory(plan).npv).show()
