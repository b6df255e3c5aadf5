"""
A fit finds what measurements were made from
============================================

What is "measured" here is the catalogue's own prediction, a quarter slower and with
noise, so that one sees whether the fit finds the quarter. Your table goes in its place.
"""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

import tokenroof as tr

device, draw = "H100-SXM", np.random.default_rng(1)
grid = np.meshgrid(
    2 ** np.arange(13), [1024, 4096, 8192], [1024, 4096, 8192], indexing="ij"
)
m, n, k = (axis.ravel() for axis in grid)
before = tr.operators.gemm(device, m, n, k, warm=True).time_s
time = before * 1.25 * np.exp(draw.normal(0, 0.04, m.size))
table = pd.DataFrame({"gemm_dtype": "bfloat16", "m": m, "n": n, "k": k, "time_s": time})
read = tr.calibrate.read_operator("gemm", table, device)
[row] = tr.calibrate.fit_operator("gemm", read, device, engine="vllm")
own = tr.Calibration(constants={"gemm": row["constants"]}, error_band=row["band"])
after = tr.operators.gemm(device, m, n, k, warm=True, fidelity=own).time_s
figure = go.Figure()
for name, predicted in {"before": before, "after": after}.items():
    figure.add_scatter(
        x=time, y=predicted / time, mode="markers", name=name, marker_size=4
    )
figure.update_layout(template="none", yaxis_title="predicted over measured")
figure.update_xaxes(type="log", title_text="measured [s]")
assert abs(np.median(after / before) - 1.25) < 0.05
assert np.abs(after / time - 1).mean() < 0.06 < np.abs(before / time - 1).mean()
figure.show()
