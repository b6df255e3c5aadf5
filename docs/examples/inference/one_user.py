"""
One user waits for kernels to start, not only for memory
========================================================

A batch of one on more and more devices: what is read shrinks with each, what lies
between kernels does not, and the collectives are added.
"""

import plotly.graph_objects as go

import tokenroof as tr

widths = [1, 2, 4, 8]
found = [
    tr.serving.one_user("H200-SXM", "Llama-3.1-70B", tr.Plan(tp=n, weights="fp8"))
    for n in widths
]
figure = go.Figure()
for part in ("memory", "arithmetic", "transfers", "replay", "collectives", "host"):
    seconds = [one.seconds[part] * 1e3 for one in found]
    figure.add_bar(x=[f"{n} devices" for n in widths], y=seconds, name=part)
figure.update_layout(template="none", barmode="stack", yaxis_title="ms a token")

memory, between = (
    [one.seconds[part] for one in found] for part in ("memory", "replay")
)
assert memory[0] > 6 * memory[-1]
assert between[-1] == between[0]
assert between[-1] > memory[-1]
figure.show()
