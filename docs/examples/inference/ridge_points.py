"""
Arithmetic has grown faster than memory, and the ridge moved right
==================================================================

The ridge is the work per byte from which a device's arithmetic is what one waits for.
Batches that filled an older device leave a newer one waiting for its memory.
"""

import plotly.graph_objects as go

import tokenroof as tr

devices = [
    tr.device(name)
    for name in ("V100-SXM2-32GB", "A100-SXM4-80GB", "H100-SXM", "B200-SXM", "B300-SXM")
]
figure = go.Figure()
for dtype in ("fp16", "fp8", "fp4"):
    has = [d for d in devices if dtype in d.peak]
    ridges = [float(tr.roofline.ridge(d, dtype)) for d in has]
    x, names = [d.release for d in has], [d.name for d in has]
    figure.add_scatter(x=x, y=ridges, name=dtype, text=names, mode="lines+markers")
figure.update_layout(
    template="none", yaxis_title="ridge [FLOP/B]", xaxis_title="release"
)
figure.update_xaxes(type="date")

half, eight, four = (trace.y for trace in figure.data)
assert max(half[-2:]) > 1.5 * half[0]
assert four[-1] > eight[-1] > half[-1]
figure.show()
