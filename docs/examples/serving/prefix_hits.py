"""
A cache that holds the open conversations finds all that there is to find
=========================================================================

Conversations over one system prompt: the share of prompt tokens that any order of
eviction could find, by the memory that the cache has.
"""

import numpy as np
import plotly.graph_objects as go

from tokenroof import serving

load = serving.sessions(
    2.0, 60, turns=6, input_tokens=200, output_tokens=200, shared_tokens=1000, seed=1
)
blocks = 2 ** np.arange(5, 14)
share = []
for n in blocks:
    found = serving.best_hits(load, int(n))
    share.append(found.cached_tokens.sum() / found.input_tokens.sum())
share = np.array(share)
figure = go.Figure(
    go.Scatter(x=blocks * found.block_size, y=share, mode="lines+markers")
)
figure.update_layout(
    template="none", yaxis_title="prompt tokens found", yaxis_tickformat=".0%"
)
figure.update_xaxes(type="log", title_text="tokens that the cache holds")

shared = 1000 * len(load) / load.input_tokens.sum()
assert (np.diff(share) >= 0).all()
assert share[0] < shared < share[-1]
assert share[-1] == share[-2]  # all that there is to find
figure.show()
