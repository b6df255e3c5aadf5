"""
Which plan is best depends on the context
=========================================

Every device, plan, batch and context of a grid, reduced in its chunks to the plan that
makes most tokens per device while a user still reads along; the grid itself is not
kept.
"""

import numpy as np
import plotly.express as px

import tokenroof as tr

grid = {
    "devices": ["H100-SXM", "H200-SXM", "B200-SXM"], "models": "Llama-3.1-70B",
    "plans": [tr.Plan(tp=t, weights="fp8", kv_cache="fp8") for t in (1, 2, 4, 8)],
    "batch": np.arange(1, 257), "context": 2 ** np.arange(10, 18),
}  # fmt: skip
wanted = tr.scale.Best(
    "tokens_per_s_per_device", over=("plan", "batch"), least={"interactivity": 30.0}
)
best = tr.sweep(**grid, reduce=wanted, chunks=4096).squeeze("model")
assert best.sizes == {"device": 3, "context": 8}
assert len(set(best.plan.sel(device="H200-SXM").values.tolist())) > 1
yields = best.tokens_per_s_per_device
assert (yields.diff("context").fillna(-1) < 0).all()
frame = best[["plan", "tokens_per_s_per_device"]].to_dataframe().reset_index()
px.scatter(frame, x="context", y="tokens_per_s_per_device", color="plan", symbol="device",
           log_x=True, log_y=True, template="none").show()  # fmt: skip
