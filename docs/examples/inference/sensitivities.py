"""
Half of a faster memory arrives, of faster arithmetic or links next to nothing
==============================================================================

The same step with one number of the device's data sheet raised by a tenth at a time.
"""

from dataclasses import replace

import numpy as np
import plotly.graph_objects as go

import tokenroof as tr

device, plan = tr.device("H200-SXM"), tr.Plan(tp=4, weights="fp8", kv_cache="fp8")
batch = np.array([1.0, 16.0, 64.0, 256.0])
better = {
    "memory": replace(device, memory_bandwidth=device.memory_bandwidth * 1.1),
    "arithmetic": replace(device, peak={k: v * 1.1 for k, v in device.peak.items()}),
    "links": replace(device, link_bandwidth=device.link_bandwidth * 1.1),
}
time = {name: tr.decode(d, "Llama-3.1-70B", plan, batch=batch, context=4096).time_s
        for name, d in {"as it is": device, **better}.items()}  # fmt: skip
gain = {name: time["as it is"] / time[name] - 1 for name in better}
assert all((g >= 0).all() and (g < 0.1).all() for g in gain.values())
assert ((gain["memory"] > 0.04) & (gain["memory"] < 0.06)).all()
assert max(gain["arithmetic"].max(), gain["links"].max()) < 0.01

figure = go.Figure([go.Bar(x=[f"batch {b:.0f}" for b in batch], y=g, name=name)
                    for name, g in gain.items()])  # fmt: skip
figure.update_layout(template="none", yaxis_title="faster by", yaxis_tickformat=".0%")
figure.show()
