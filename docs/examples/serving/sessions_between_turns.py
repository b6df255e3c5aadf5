"""
What a session leaves behind is found again, until too many are open
====================================================================

Between two turns the cache of a conversation waits in memory that running requests
want. The longer a reader thinks, the fewer conversations can be kept.
"""

import plotly.graph_objects as go

import tokenroof as tr

plan = tr.Plan(tp=4, weights="fp8", kv_cache="fp8")
figure, hits = go.Figure(), {}
for think in (20.0, 120.0):
    load = tr.serving.SessionLoad(
        turns=8, input_tokens=4000, output_tokens=300, think_s=think
    )
    table = tr.serving.session_curve(
        "H200-SXM", "Llama-3.1-70B", plan, load, [1, 2, 4, 8, 16, 32, 64, 96, 128]
    )
    hits[think] = table.hit_share.values
    figure.add_scatter(x=table.concurrency, y=hits[think], mode="lines+markers",
                       name=f"{think:.0f} s to think")  # fmt: skip
figure.update_layout(
    template="none", yaxis_title="prompt tokens found", yaxis_tickformat=".0%"
)
figure.update_xaxes(type="log", title_text="requests in flight")
soon, late = hits.values()
assert soon[0] > 0.7
assert late[-1] < 0.5 * late[0]
assert (soon >= late).all()
figure.show()
