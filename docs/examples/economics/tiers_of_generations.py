"""
A newer generation earns more of a gigawatt, the more so the faster the tier
============================================================================

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
gain = {name: new.by_tier[name] / old.by_tier[name] for name in ("Medium", "High")}
assert gain["High"] > 2 * gain["Medium"] > 2
tr.plot.revenue([old, new]).show()
