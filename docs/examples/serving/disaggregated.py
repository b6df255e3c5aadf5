"""
Prompts and answers apart keep the pace of answers steady
=========================================================

Eight devices, twice: replicas that do both, whose answers stop while a prompt is
computed; and one pool for prompts with another for answers, between which caches are
sent.
"""

import numpy as np
import plotly.graph_objects as go

import tokenroof as tr
from tokenroof import serving

plan = tr.Plan(tp=2, weights="fp8", kv_cache="fp8")
load = serving.poisson(6.0, requests=400, input_tokens=6000, output_tokens=250, seed=3)
both = serving.simulate("H200-SXM", "Llama-3.1-70B", plan, load, replicas=4)
apart = serving.simulate(
    serving.disaggregate(("H200-SXM", plan, 2), ("H200-SXM", plan, 2)),
    "Llama-3.1-70B", None, load,
)  # fmt: skip
figure, tails = go.Figure(), {}
for name, run in {"four replicas": both, "two and two": apart}.items():
    done = run.requests
    tpot = (
        (done["last_token_ns"] - done["first_token_ns"])
        / (done["output_tokens"] - 1)
        / 1e6
    )
    tails[name] = np.percentile(tpot, [50, 99])
    figure.add_scatter(x=np.sort(tpot), y=np.linspace(0, 1, len(tpot)), name=name)
figure.update_layout(template="none", xaxis_title="ms a token of a request",
                     yaxis_title="share of requests")  # fmt: skip
assert (tails["two and two"] < tails["four replicas"]).all()
figure.show()
