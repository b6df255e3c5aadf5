"""
A generation is worth most to the user who is in a hurry
========================================================

The ratio of two frontiers is no number but a curve: small where many wait their turn
together, large where the older device is at its limit.
"""

import numpy as np

import tokenroof as tr

old, new = (
    tr.serving.frontier(device, "gpt-oss-120b", devices_max=8, ttft_max=5.0)
    for device in ("H100-SXM", "B200-SXM")
)
figure = tr.plot.ratio(new, old)

speeds = np.linspace(30, float(old.interactivity.max()), 10)
per_mw = [
    [float(f.output_tokens_per_s_per_mw[f.interactivity >= s].max()) for s in speeds]
    for f in (new, old)
]
ratio = np.divide(*per_mw)
assert ratio[0] == ratio.min() > 1
assert ratio[5:].min() > 2 * ratio[0]
assert ratio[-1] > 5 * ratio[0]
figure.show()
