"""
After a crash the network is slow at first, and then itself again
=================================================================

When the price halves some miners stop at once; blocks come late until difficulty has
been set anew, and then those who are left earn more than on the day of the crash.
"""

import numpy as np
from plotly.subplots import make_subplots

from tokenroof import mining

fleet = [mining.Tranche("Antminer S19 Pro", 2e6, c / 100) for c in range(3, 9)]
fleet += [mining.Tranche("Antminer S21", 1e6, c / 100) for c in range(3, 9)]
price = np.r_[np.full(40, 60_000.0), np.full(80, 30_000.0)]
path = mining.difficulty_path(fleet, price)
day = path.time_s / 86400
figure = make_subplots(rows=3, shared_xaxes=True)
for row, (name, values) in enumerate(
    {"EH/s": path.hashrate / 1e18, "difficulty": path.difficulty, "$/(PH/s day)": path.hashprice}.items(), 1
):  # fmt: skip
    figure.add_scatter(x=day, y=values, line_shape="hv", row=row, col=1)
    figure.update_yaxes(title_text=name, rangemode="tozero", row=row, col=1)
figure.update_xaxes(title_text="days", row=3, col=1)
figure.update_layout(template="none", height=560, showlegend=False)
assert path.hashrate[41] < path.hashrate[39]
assert path.difficulty[-1] < path.difficulty[39]
assert path.hashprice[-1] > path.hashprice[41]
figure.show()
