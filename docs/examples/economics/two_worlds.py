"""
Work pays for tokens many times what coins pay, until tokens are cheap
======================================================================

The same megawatts, twice: tokens for a process that runs more often each year while its
tokens get cheaper, and hashes for coins whose price wanders.
"""

import tokenroof as tr
from tokenroof import economics as ec

work = ec.demand(4, 2e6, value_per_result=9.0, acceptance=0.5, price_per_mtok=1.5)
wild = ec.Uncertainty(price_volatility=0.6, jumps_per_year=0.3, jump_down=0.4)
both = ec.two_worlds(work, 20_000, 3e5, wild, paths=1000)

assert both.wanted[-1] > 4 * both.wanted[0]
assert both.price_per_mtok[-1] < 0.1 * both.price_per_mtok[0]
assert both.productivity[0] > 5 * both.percentile(90)[0]
assert both.productivity[-1] < 0.1 * both.productivity[0]
tr.plot.two_worlds(both).show()
