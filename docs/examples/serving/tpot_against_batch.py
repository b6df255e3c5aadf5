"""
The first sequences of a batch are nearly free
==============================================

While the weights are what is read, a token takes as long for one user as for a few:
throughput is almost proportional to the batch, until caches and arithmetic have their
turn.
"""

import plotly.express as px

import tokenroof as tr

table = tr.sweep(
    ["H100-SXM", "H200-SXM", "B200-SXM"],
    "Llama-3.1-70B",
    tr.Plan(tp=4, weights="fp8", kv_cache="fp8"),
    batch=[1, 2, 4, 8, 16, 32, 64, 128, 256],
    context=4096,
)
tpot = table.time_s.squeeze(["model", "plan", "context"])
assert (tpot.sel(batch=4) < 1.1 * tpot.sel(batch=1)).all()
assert (tpot.sel(batch=256) > 3 * tpot.sel(batch=1)).all()

frame = (tpot * 1e3).rename("TPOT [ms]").to_dataframe().reset_index()
figure = px.line(frame, x="batch", y="TPOT [ms]", color="device", log_x=True, markers=True,
                 template="none")  # fmt: skip
figure.show()
