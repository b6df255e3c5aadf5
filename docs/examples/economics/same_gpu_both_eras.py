"""
A GPU lived on hashes once, and lives on tokens now
===================================================

What a year of hashes, and of tokens, would have paid for the same chips at the prices
of each year, over what their power costs.
"""

import numpy as np
import plotly.graph_objects as go

from tokenroof import economics as ec

both = ec.both_eras(["H100-SXM", "B200-SXM"])
at = both.names.index("H100-SXM")
figure = go.Figure()
for name, paid in {
    "hashes": both.hashes,
    "tokens": both.tokens,
    "power": both.power,
}.items():
    known = np.isfinite(paid[at])
    figure.add_scatter(
        x=both.years[known], y=paid[at][known], name=name, mode="lines+markers"
    )
figure.update_layout(template="none", yaxis_title="$ a year, one H100-SXM")
figure.update_yaxes(type="log")

year = {int(y): i for i, y in enumerate(both.years)}
assert both.hashes[at, year[2011]] > both.power[at, 0] > both.hashes[at, year[2015]]
assert both.tokens[at, year[2026]] > 5 * both.power[at, 0]
assert both.hashes[at, year[2026]] < 1e-3 * both.tokens[at, year[2026]]
figure.show()
