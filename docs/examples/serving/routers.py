"""
A router that knows the prefixes finds more of them
===================================================

Four replicas and the same conversations: dealt out in turn, by load, or to where most
of the prompt is cached already.
"""

import plotly.graph_objects as go

from tokenroof import serving

load = serving.sessions(
    1.5, 150, turns=5, input_tokens=400, output_tokens=150, shared_tokens=500, seed=2
)
found, waits = {}, {}
for router in ("round_robin", "least_loaded", "prefix_aware"):
    run = serving.simulate(
        "H100-SXM", "Llama-3.1-8B", None, load, replicas=4, router=router
    )
    done = run.requests
    found[router] = done["cached_tokens"].sum() / done["input_tokens"].sum()
    waits[router] = run.summary()["ttft_s"]["p50"] * 1e3
best = serving.best_hits(load, blocks=4 * 20_000)
bound = best.cached_tokens.sum() / best.input_tokens.sum()
figure = go.Figure(go.Bar(x=list(found), y=list(found.values()), name="tokens found"))
figure.add_hline(y=bound, line_dash="dot", annotation_text="what any order could find")
figure.update_layout(
    template="none", yaxis_title="of all prompt tokens", yaxis_tickformat=".0%"
)
assert found["round_robin"] < found["prefix_aware"] <= bound
assert waits["prefix_aware"] < waits["round_robin"]
figure.show()
