"""
A closed loop cannot be overloaded, and so it never shows what overload is
==========================================================================

Users ask again when they have their answer; arrivals ask whatever happens. The same
replica, saturated by users, and by arrivals a fifth faster than it serves.
"""

import numpy as np
import plotly.graph_objects as go

from tokenroof import serving

sizes = {"input_tokens": serving.Lengths.lognormal(1500, cv=1.0), "output_tokens": 200}
device, model = "H100-SXM", "Llama-3.1-8B"
closed = serving.simulate(
    device, model, None, serving.users(128, requests=1500, **sizes)
)
rate = len(closed.requests) / (closed.requests["last_token_ns"].max() / 1e9)
arrivals = serving.poisson(1.2 * rate, requests=1500, **sizes)
opened = serving.simulate(device, model, None, arrivals)
figure, growth = go.Figure(), {}
for name, run in {"open loop": opened, "closed loop": closed}.items():
    came = run.requests["arrival_ns"] / 1e9
    wait = run.requests["first_token_ns"] / 1e9 - came
    growth[name] = np.median(wait[-300:]) / np.median(wait[300:600])
    figure.add_scatter(x=came, y=wait, name=name, mode="markers", marker_size=4)
figure.update_layout(template="none", xaxis_title="asked at [s]",
                     yaxis_title="first token after [s]")  # fmt: skip
assert growth["open loop"] > 2 > 1.3 > growth["closed loop"]
figure.show()
