"""
No device is best at every speed, and tiers of price lie along the axis
=======================================================================

Tokens per second and megawatt over tokens per second of one user: the chart of a
keynote, from data sheets and fitted constants.
"""

import tokenroof as tr

load = {"input_tokens": 8192, "output_tokens": 1024}
names = ["H200-SXM", "GB200-NVL72", "Vera Rubin NVL72"]
fronts = [
    tr.serving.frontier(name, "DeepSeek-R1", devices_max=72, ttft_max=10, **load)
    for name in names
]
chips = tr.serving.beside_lpx("DeepSeek-R1", devices_max=8, **load)
fastest = [float(front.interactivity.max()) for front in fronts]
most = [float(front.output_tokens_per_s_per_mw.max()) for front in fronts]
assert sorted(fastest) == fastest
assert sorted(most) == most
assert float(chips.interactivity.max()) > fastest[-1]
assert float(chips.output_tokens_per_s_per_mw.max()) < most[-1]
tr.plot.chart([*fronts, chips], tiers=tr.economics.gtc2026_tiers()).show()
