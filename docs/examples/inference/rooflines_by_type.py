"""
A narrower type moves the ridge to the right, not the slope
===========================================================

Memory is as fast for every type; arithmetic is not. So what waited for arithmetic
before waits for memory next.
"""

import numpy as np
import plotly.graph_objects as go

import tokenroof as tr

device, intensity = "B200-SXM", np.geomspace(1, 10_000, 200)
figure = go.Figure()
for dtype in ("bf16", "fp8", "nvfp4"):
    roof, ridge = (
        tr.roofline.roof(device, intensity, dtype),
        tr.roofline.ridge(device, dtype),
    )
    figure.add_scatter(
        x=intensity, y=roof, name=f"{dtype}, ridge at {ridge:.0f} FLOP/B"
    )
figure.update_layout(template="none", xaxis_title="FLOP per byte", yaxis_title="FLOP/s")
figure.update_xaxes(type="log")
figure.update_yaxes(type="log")

roofs = np.array([trace.y for trace in figure.data])
assert np.ptp(roofs[:, 0]) == 0  # one slope
assert (np.diff(roofs[:, -1]) > 0).all()  # each flat roof above the one before
figure.show()
