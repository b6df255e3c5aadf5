"""
What earns most per megawatt-hour costs most before the first one
=================================================================

Four uses of one meter: mine, lease the hall, rent GPUs out, sell tokens. Revenue and
capital climb the ladder together.
"""

import tokenroof as tr
from tokenroof import economics as ec

uses = [
    ec.mine("Antminer S21"),
    ec.lease_shell("Hut 8 River Bend"),
    ec.rent_gpus("H200-SXM", usd_per_gpu=40_000),
    ec.sell_tokens("H200-SXM", "gpt-oss-120b", usd_per_gpu=40_000, interactivity=30.0),
]
ladder = ec.same_meter(uses, power_mw=20, price_per_mwh=50.0)
mine, lease, rent, sell = ladder.rungs
assert (
    mine.revenue_per_mwh
    < lease.revenue_per_mwh
    < rent.revenue_per_mwh
    < sell.revenue_per_mwh
)
assert mine.capex_per_mw < lease.capex_per_mw < rent.capex_per_mw
tr.plot.ladder(ladder).show()
