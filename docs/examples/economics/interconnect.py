"""
Faster links are worth more the less a user wants to wait
=========================================================

One device's frontier with the NVLink of each generation in place of its own.
"""

import numpy as np

import tokenroof as tr

found = tr.economics.interconnect("GB200-NVL72", "DeepSeek-R1", input_tokens=4096)
slow, fast = (np.array(found.at(speed)) for speed in (10.0, 80.0))
assert (np.diff(found.bandwidth) > 0).all()
assert (np.diff(slow) >= 0).all()
assert (np.diff(fast) >= 0).all()
oldest, own = 0, found.generations.index(5)
assert fast[own] / fast[oldest] > 1.5 * slow[own] / slow[oldest]
tr.plot.interconnect(found).show()
