"""
Narrow weights help the small batch, narrow arithmetic the large one
====================================================================

Integers of four bits are read fast and widened before they are multiplied; floating
point of four bits is multiplied as it is. The two change places as the batch grows.
"""

import numpy as np
import plotly.graph_objects as go

import tokenroof as tr

batch = 2.0 ** np.arange(0, 11)
times = {}
for weights in ("bf16", "fp8", "int4", "nvfp4"):
    plan = tr.Plan(tp=2, weights=weights)
    step = tr.decode("B200-SXM", "Llama-3.1-70B", plan, batch=batch, context=1024)
    times[weights] = step.time_s
figure = go.Figure()
for weights, time in times.items():
    figure.add_scatter(
        x=batch, y=times["bf16"] / time, name=weights, mode="lines+markers"
    )
figure.update_layout(template="none", yaxis_title="speed over that of bf16")
figure.update_xaxes(type="log", title_text="sequences in flight")

assert times["int4"][0] < times["nvfp4"][0] < times["fp8"][0] < times["bf16"][0]
assert times["nvfp4"][-1] < times["fp8"][-1] < times["int4"][-1]
figure.show()
