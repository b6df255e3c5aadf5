"""
Twice the context leaves half the users; latents leave half as many beside nine times the weights
=================================================================================================

What weights leave of the memory is shared by the caches of all who are being answered. Heads are split over
the devices. A latent that all heads share cannot be: there each device has sequences of its own (``dp``).
"""

import numpy as np
import plotly.graph_objects as go

import tokenroof as tr

context = 2.0 ** np.arange(12, 18)
split = tr.Plan(tp=8, weights="fp8", kv_cache="fp8")
spread = tr.Plan(dp=8, moe_ep=8, weights="fp8", kv_cache="fp8")
plans = {"Llama-3.1-70B": split, "Qwen3-235B-A22B": split, "DeepSeek-V3": spread}
device, users = tr.device("H200-SXM"), {}
for name, plan in plans.items():
    model = tr.model(name)
    resident = tr.kernels.memory_required(
        model.pack(), plan.pack(), [0.0, plan.dp], context[:, None]
    )
    room = device.memory_bytes * 0.9 - resident[:, 0]
    users[name] = plan.dp * room / np.diff(resident).ravel()
figure = go.Figure([
    go.Scatter(x=context, y=n, name=name, mode="lines+markers") for name, n in users.items()
])  # fmt: skip
figure.update_layout(template="none", yaxis_title="sequences over eight devices")
figure.update_xaxes(type="log", title_text="tokens of context")
figure.update_yaxes(type="log")

assert np.allclose(
    users["Llama-3.1-70B"][:-1] / users["Llama-3.1-70B"][1:], 2.0, rtol=0.01
)
beside = users["DeepSeek-V3"] / users["Llama-3.1-70B"]
assert (beside > 0.5).all()
assert (beside < 0.6).all()
assert tr.model("DeepSeek-V3").parameters > 9 * tr.model("Llama-3.1-70B").parameters
figure.show()
