"""
Large fleets need relatively fewer spares
=========================================

Replicas for a demand, and how many more keep the promise while devices fail now and
then.
"""

import numpy as np
import plotly.graph_objects as go

from tokenroof import serving

demand = np.array([3_000, 12_000, 60_000, 240_000])  # requests a minute
slo = serving.SLO(ttft_s=0.5, percentile=99)
figure, share = go.Figure(), {}
for up in (0.95, 0.99, 0.999):
    fleets = [
        serving.fleet("H200-SXM", "Llama-3.1-8B", None, slo, float(rate),
                      output_tokens=200, availability=up, target=0.999)
        for rate in demand
    ]  # fmt: skip
    assert all(found.reached >= 0.999 for found in fleets)
    assert all(
        found.replicas * found.rate >= rate / 60
        for found, rate in zip(fleets, demand, strict=True)
    )
    share[up] = np.array([found.spare / found.replicas for found in fleets])
    figure.add_scatter(x=demand, y=share[up], name=f"a device is up {up:.1%}",
                       mode="lines+markers")  # fmt: skip
figure.update_layout(
    template="none", yaxis_title="spare replicas for each that is needed"
)
figure.update_xaxes(type="log", title_text="requests a minute")
assert all(found[-1] < found[0] for found in share.values())
assert share[0.95][-1] > share[0.99][-1] > share[0.999][-1]
figure.show()
