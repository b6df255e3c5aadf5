"""
A sweep that was stopped goes on where it was, to the same bits
===============================================================

A grid in chunks, each written as it comes; Ctrl-C after some of them, which is raised
here as Python would; the same call once more computes what is missing.
"""

import tempfile

import numpy as np
import plotly.express as px

import tokenroof as tr

grid = {
    "devices": ["H200-SXM", "B200-SXM"], "models": "Llama-3.1-70B",
    "plans": [tr.Plan(tp=t, weights="fp8") for t in (2, 4, 8)],
    "batch": np.arange(1, 257), "context": [1024, 8192, 32768],
}  # fmt: skip


def stop(done, points):
    if 0 < done < points:
        raise KeyboardInterrupt


with tempfile.TemporaryDirectory() as folder:
    store = f"{folder}/steps.parquet"
    try:
        tr.sweep(**grid, chunks=48, store=store, progress=stop)
    except KeyboardInterrupt:
        kept = tr.scale.status(store)
    time = tr.sweep(**grid, chunks=48, store=store).time_s.compute()
whole = tr.sweep(**grid).time_s
assert 0 < kept["points"] < kept["points_in_all"]
assert time.equals(whole.transpose(*time.dims))
some = time.sel(context=8192, batch=grid["batch"][::8]).squeeze("model")
frame = some.rename("seconds").to_dataframe().reset_index()
px.line(
    frame, x="batch", y="seconds", color="plan", facet_col="device", template="none"
).show()
