"""
Work that buys tokens grows with its use; a coin's site gets what a price gives
===============================================================================

The same megawatts, twice: tokens for a process that runs more often each year at less
cost, and hashes for coins whose price wanders.
"""

import tokenroof as tr
from tokenroof import economics as ec

work = ec.demand(4, 2e6, value_per_result=9.0, acceptance=0.5, price_per_mtok=1.5)
wild = ec.Uncertainty(price_volatility=0.6, jumps_per_year=0.3, jump_down=0.4)
both = ec.two_worlds(work, 20_000, 3e5, wild, paths=1000)

assert both.wanted[-1] > 4 * both.wanted[0]
assert both.price_per_mtok[-1] < both.price_per_mtok[0]
assert (both.percentile(90) >= both.percentile(10)).all()
spread = both.percentile(90) - both.percentile(10)
assert (spread[1:] > 0.2 * both.percentile(50)[1:]).all()
tr.plot.two_worlds(both).show()
