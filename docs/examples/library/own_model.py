"""
A model is its config, and a mixture is read as far as its tokens touch it
==========================================================================

From the config.json beside the weights, without the weights: parameters, what a token
touches, the cache, and the times on a device.
"""

import plotly.graph_objects as go

import tokenroof as tr

shared = {
    "hidden_size": 3072, "num_hidden_layers": 40, "num_attention_heads": 32,
    "num_key_value_heads": 4, "head_dim": 128, "intermediate_size": 9216, "vocab_size": 151936,
    "tie_word_embeddings": False,
}  # fmt: skip
mixture = {"moe_intermediate_size": 1024, "num_experts": 96, "num_experts_per_tok": 6}
models = {
    "dense": tr.Model.from_config({"model_type": "qwen3", **shared}),
    "mixture": tr.Model.from_config({"model_type": "qwen3_moe", **shared, **mixture}),
}
batch, figure = [1, 2, 4, 8, 16, 32, 64, 128, 256], go.Figure()
for name, model in models.items():
    step = tr.decode("H200-SXM", model, batch=batch, context=2048)
    figure.add_scatter(x=batch, y=step.time_s * 1e3, name=name, mode="lines+markers")
figure.update_layout(template="none", yaxis_title="ms a step")
figure.update_xaxes(type="log", title_text="sequences in flight")
dense, sparse = models["dense"], models["mixture"]
assert dense.active_parameters == dense.parameters
assert sparse.parameters > 6 * sparse.active_parameters
growth = [trace.y[-1] / trace.y[0] for trace in figure.data]
assert growth[1] > growth[0] > 1
figure.show()
