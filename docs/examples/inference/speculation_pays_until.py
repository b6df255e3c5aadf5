"""
Drafts pay until the batch has filled the arithmetic
====================================================

A small model guesses, the large one checks several tokens in one pass over its weights.
With more sequences the pass costs arithmetic, and wrong guesses are paid for.
"""

import plotly.graph_objects as go

import tokenroof as tr

plan = tr.Plan(tp=8, weights="fp8", kv_cache="fp8")
figure, until = go.Figure(), []
for acceptance in (0.5, 0.65, 0.8):
    found = tr.speculative.pays_until(
        "H200-SXM",
        "Llama-3.1-70B",
        plan,
        draft="Llama-3.1-8B",
        acceptance=acceptance,
        most=512,
    )
    figure.add_scatter(x=found.batch, y=found.speedup, name=f"{acceptance:.0%} kept")
    until.append(found.until)
    assert found.speedup[0] == found.speedup.max()
figure.add_hline(y=1.0, line_dash="dot")
figure.update_layout(template="none", yaxis_title="times as fast as without drafts")
figure.update_xaxes(type="log", title_text="sequences in flight")
assert until[0] < until[1] < until[2] < 512
figure.show()
