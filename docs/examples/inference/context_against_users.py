"""
Twice the context leaves half the users, and latent attention many times as many
================================================================================

What weights leave of the memory is shared by the caches of all who are being answered.
"""

import numpy as np
import plotly.graph_objects as go

import tokenroof as tr

context = 2.0 ** np.arange(12, 18)
plan = tr.Plan(tp=8, weights="fp8", kv_cache="fp8")
device, users = tr.device("H200-SXM"), {}
for name in ("Llama-3.1-70B", "Qwen3-235B-A22B", "DeepSeek-V3"):
    model = tr.model(name)
    resident = tr.kernels.memory_required(
        model.pack(), plan.pack(), [0.0, 1.0], context[:, None]
    )
    room = device.memory_bytes * 0.9 - resident[:, 0]
    users[name] = room / np.diff(resident).ravel()
figure = go.Figure([
    go.Scatter(x=context, y=n, name=name, mode="lines+markers") for name, n in users.items()
])  # fmt: skip
figure.update_layout(template="none", yaxis_title="sequences over eight devices")
figure.update_xaxes(type="log", title_text="tokens of context")
figure.update_yaxes(type="log")

assert np.allclose(
    users["Llama-3.1-70B"][:-1] / users["Llama-3.1-70B"][1:], 2.0, rtol=0.01
)
dense, latent = (
    tr.model(name).kv_bytes_per_token() for name in ("Llama-3.1-70B", "DeepSeek-V3")
)
assert dense > 4 * latent
figure.show()
