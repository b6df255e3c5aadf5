"""
The more the price of a hash wanders, the more it is worth to be able to stop
=============================================================================

Ten thousand courses of the price at each volatility: one in ten is worse than the lower
line. A mine that stops while it would lose money keeps its good years.
"""

import numpy as np
import plotly.graph_objects as go

from tokenroof import economics as ec

plan = ec.mine("Antminer S21", usd_per_terahash=16.0)
volatility = np.array([0.1, 0.2, 0.4, 0.6, 0.8])
figure, means = go.Figure(), {}
for name, stop in {"runs always": False, "stops at a loss": True}.items():
    found = [
        ec.risk(plan, ec.Uncertainty(price_volatility=v, can_stop=stop), paths=10_000)
        for v in volatility
    ]
    means[name] = np.array([one.mean for one in found]) / 1e6
    low, high = ([getattr(one, p) / 1e6 for one in found] for p in ("p10", "p90"))
    colour = "#D55E00" if stop else "#0072B2"
    for edge, fill in ((low, None), (high, "tonexty")):
        figure.add_scatter(
            x=volatility, y=edge, fill=fill, showlegend=False, line_color=colour
        )
    figure.add_scatter(
        x=volatility, y=means[name], name=name, line={"dash": "dash", "color": colour}
    )
figure.update_layout(template="none", xaxis_title="volatility of hashprice [1/year]",
                     yaxis_title="M$ of present value")  # fmt: skip
option = means["stops at a loss"] - means["runs always"]
assert (option >= 0).all()
assert option[-1] == option.max() > 2 * option[0]
figure.show()
