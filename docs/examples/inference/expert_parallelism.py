"""
Whole experts on each device beat slices of all of them once the batch is large
===============================================================================

Three ways to put a mixture on eight devices: slices of every expert and head; whole
experts, slices of heads; whole experts, and sequences of its own on each device.
"""

import numpy as np
import plotly.graph_objects as go

import tokenroof as tr

plans = {
    "slices of experts": tr.Plan(tp=8, moe_tp=8, weights="fp8", kv_cache="fp8"),
    "whole experts": tr.Plan(tp=8, moe_ep=8, weights="fp8", kv_cache="fp8"),
    "whole experts, own sequences": tr.Plan(
        dp=8, moe_ep=8, weights="fp8", kv_cache="fp8"
    ),
}
batch = 2.0 ** np.arange(3, 11)
figure = go.Figure()
for name, plan in plans.items():
    step = tr.decode("H200-SXM", "DeepSeek-R1", plan, batch=batch, context=2048)
    figure.add_scatter(
        x=batch, y=step.tokens_per_s / 8, name=name, mode="lines+markers"
    )
figure.update_layout(template="none", yaxis_title="token/s per device")
figure.update_xaxes(type="log", title_text="sequences over all devices")

slices, whole, own = (np.array(trace.y) for trace in figure.data)
assert slices[0] > own[0]
assert own[-1] > whole[-1] > slices[-1]
assert own[-1] > 2 * slices[-1]
figure.show()
