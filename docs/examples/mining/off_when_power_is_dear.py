"""
Standing still in dear hours is worth more than running always
==============================================================

Power at a spot price over a month: the machine runs below its break-even price alone.
"""

import numpy as np
import plotly.graph_objects as go

from tokenroof import mining

draw = np.random.default_rng(5)
hours = np.arange(24 * 30)
spot = 0.06 + 0.04 * np.sin(hours * 2 * np.pi / 24) + draw.gamma(0.3, 0.03, hours.size)
figure, gain = go.Figure(), {}
for name in ("Antminer S19 Pro", "Antminer S21"):
    market = mining.market_history()
    found = mining.curtailment(name, market.hashprice[-1], spot, fee=0.02, pue=1.05)
    gain[name] = found.margin_usd - found.margin_always_on_usd
    figure.add_bar(name=name, x=["always on", "when it pays"],
                   y=[found.margin_always_on_usd, found.margin_usd])  # fmt: skip
    assert (found.running == (spot <= found.break_even_per_kwh)).all()
    assert 0 < found.uptime < 1
figure.update_layout(template="none", yaxis_title="$ of a machine in a month")
assert gain["Antminer S19 Pro"] > gain["Antminer S21"] > 0
figure.show()
