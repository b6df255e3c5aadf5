"""
At most three pools are half of the hashrate, whatever is not known of the rest
===============================================================================

What was published names a few holders and leaves a rest. The measures are bounded by
the best and the worst that this rest may be.
"""

import plotly.graph_objects as go

from tokenroof import economics as ec

known = ec.concentration_bounds()
labels = [f"{found.of}, {found.date}" for found in known]
middle = [sum(found.hhi) / 2 for found in known]
reach = [(found.hhi[1] - found.hhi[0]) / 2 for found in known]
figure = go.Figure(go.Scatter(
    x=middle, y=labels, mode="markers", error_x={"array": reach}, marker_size=11,
))  # fmt: skip
figure.add_vline(x=0.18, line_dash="dot", annotation_text="highly concentrated")
figure.update_layout(template="none", xaxis_title="Herfindahl index")
figure.update_xaxes(range=[0, 1])
figure.update_yaxes(automargin=True)

pools = [found for found in known if found.of == "pools"]
assert all(found.hhi[0] <= found.hhi[1] for found in known)
assert all(found.nakamoto[1] <= 3 for found in pools)
assert min(f.hhi[0] for f in known if f.of == "miner makers") > max(
    f.hhi[0] for f in pools
)
figure.show()
