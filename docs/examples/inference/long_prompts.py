"""
Of a long prompt attention is the larger part
=============================================

Products grow with the prompt, attention with its square: somewhere they meet.
"""

import numpy as np
import plotly.graph_objects as go

import tokenroof as tr

tokens = 2.0 ** np.arange(9, 18)
step = tr.prefill("H200-SXM", "Llama-3.1-8B", tokens=tokens)
parts = step.breakdown()["operator"]
products = parts["projection"] + parts["mlp"] + parts["head"]
figure = go.Figure()
figure.add_scatter(x=tokens, y=products / tokens, name="products", mode="lines+markers")
figure.add_scatter(
    x=tokens, y=parts["attention"] / tokens, name="attention", mode="lines+markers"
)
figure.update_layout(template="none", yaxis_title="seconds for each token")
figure.update_xaxes(type="log", title_text="tokens of the prompt")
figure.update_yaxes(type="log")

share = parts["attention"] / step.time_s
assert (np.diff(share[2:]) > 0).all()
assert share[0] < 0.1 < 0.5 < share[-1]
assert 1.8 < parts["attention"][-1] / parts["attention"][-2] / 2 < 2.2
figure.show()
