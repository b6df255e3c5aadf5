"""
A fuller batch spreads almost the same watts over many more tokens
==================================================================

A board that waits for its memory is far from idle: what it draws while it waits is
shared by all tokens of the step.
"""

import numpy as np
from plotly.subplots import make_subplots

import tokenroof as tr

batch = 2.0 ** np.arange(0, 10)
plan = tr.Plan(tp=4, weights="fp8", kv_cache="fp8")
figure = make_subplots(rows=2, shared_xaxes=True)
for device in ("H100-SXM", "B200-SXM"):
    step = tr.decode(device, "Llama-3.1-70B", plan, batch=batch, context=1024)
    joules = step.watts * step.time_s / batch
    figure.add_scatter(
        x=batch, y=step.watts / plan.tp, name=f"{device}, watts", row=1, col=1
    )
    figure.add_scatter(x=batch, y=joules, name=f"{device}, joules", row=2, col=1)
    assert step.watts.max() < 1.6 * step.watts.min()  # of batches 512 times apart
    assert joules[-1] < 0.02 * joules[0]
figure.update_xaxes(type="log")
figure.update_xaxes(title_text="sequences in flight", row=2, col=1)
figure.update_yaxes(title_text="W a board", row=1, col=1)
figure.update_yaxes(title_text="J a token", type="log", row=2, col=1)
figure.update_layout(template="none", height=520)
figure.show()
