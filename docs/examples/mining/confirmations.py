"""
Each confirmation divides the risk of a double spend, the less so the stronger the attacker
===========================================================================================

The chance that an attacker with a share of the hashrate overtakes, by blocks waited
for.
"""

import numpy as np
import plotly.graph_objects as go

from tokenroof import mining

blocks = np.arange(0, 25)
figure, risk = go.Figure(), {}
for share in (0.1, 0.2, 0.3, 0.4):
    risk[share] = mining.double_spend_probability(share, blocks)
    figure.add_scatter(x=blocks, y=risk[share], name=f"{share:.0%} of the hashrate")
figure.update_layout(template="none", xaxis_title="confirmations",
                     yaxis_title="chance of a double spend")  # fmt: skip
figure.update_yaxes(type="log", range=[-6, 0])

needed = [int(mining.confirmations_needed(share, 1e-3)) for share in risk]
assert needed == sorted(needed)
assert all(
    risk[s][n] < 1e-3 <= risk[s][n - 1]
    for s, n in zip(risk, needed, strict=True)
    if n < 25
)
assert all((np.diff(r) < 0).all() for r in risk.values())
figure.show()
