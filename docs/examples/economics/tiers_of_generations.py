"""
A newer generation earns more of a gigawatt, whatever nobody printed
====================================================================

A quarter of a gigawatt for each tier of a price list: what each generation delivers at
the tier's speed and context, times its price.
"""

import tokenroof as tr
from tokenroof import economics as ec

tiers = ec.gtc2026_tiers()
old, new = ec.revenue_per_gw(["GB200-NVL72", "Vera Rubin NVL72"], tiers)
assert new.revenue["middle"] > old.revenue["middle"]
for case in ("easy", "middle", "hard"):
    assert new.revenue[case] > old.revenue[case]
assert new.revenue["easy"] > 3 * new.revenue["hard"]  # what nobody printed matters more
assert new.by_tier["Medium"] > 1.5 * old.by_tier["Medium"] > 0
assert new.by_tier["Premium"] == 0  # as fast as that no replica of one device is
tr.plot.revenue([old, new]).show()
