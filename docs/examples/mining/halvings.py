"""
Half of all coins came in the first four years, and the rest takes a century
============================================================================

The subsidy halves by blocks, not by years, and supply is a sum of integers: satoshi are
cut off, not rounded.
"""

import numpy as np
import plotly.graph_objects as go

import tokenroof as tr
from tokenroof.mining import COIN, RETARGET_BLOCKS

heights = np.arange(0, 6_960_000, 10 * RETARGET_BLOCKS)
supply = np.array([tr.mining.supply(int(height)) / COIN for height in heights])
subsidy = np.array([tr.mining.subsidy(int(height)) / COIN for height in heights])
total = tr.mining.supply(7_000_000) / COIN

years = 2009 + heights * tr.mining.BLOCK_SECONDS / (365.2425 * 86400)
assert 0.49 < np.interp(2013, years, supply) / total < 0.51
assert subsidy[-1] == 0
assert years[-1] - years[0] > 100

figure = go.Figure(go.Scatter(x=years, y=supply, name="in all", fill="tozeroy"))
figure.update_layout(
    template="none", xaxis_title="year, a block every ten minutes", yaxis_title="BTC"
)
figure.show()
