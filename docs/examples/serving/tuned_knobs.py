"""
Short steps keep a steady pace, long steps bring the first token soon
=====================================================================

The highest rate of arrivals that keeps a promise, by how many tokens a step may hold,
found by simulations: for a promise that is strict about the pace, and one about the
start.
"""

import plotly.graph_objects as go

import tokenroof as tr
from tokenroof.serving import SLO

promises = {
    "strict about the pace": SLO(ttft_s=1.0, tpot_s=0.015, percentile=90),
    "strict about the start": SLO(ttft_s=0.3, tpot_s=0.05, percentile=90),
}
sizes = [512, 1024, 4096]
how = {"input_tokens": 2000, "output_tokens": 200, "requests": 120, "seeds": 1}
figure, rates = go.Figure(), []
for name, slo in promises.items():
    knobs = [{"max_num_batched_tokens": [size]} for size in sizes]
    found = [
        tr.serving.tune("H100-SXM", "Llama-3.1-8B", None, slo, knobs=k, **how)
        for k in knobs
    ]
    rates.append([one.rate for one in found])
    figure.add_scatter(x=sizes, y=rates[-1], name=name, mode="lines+markers")
figure.update_layout(template="none", yaxis_title="requests/s that keep the promise")
figure.update_xaxes(type="log", title_text="max_num_batched_tokens", tickvals=sizes)
pace, start = rates
assert pace[0] == max(pace) > 1.1 * pace[-1]
assert start[-1] == max(start) > 1.05 * start[0]
figure.show()
