"""
A fast token costs many times a slow one, and capital is most of either
=======================================================================

Rent of the devices and electricity for a million tokens, along the frontier.
"""

import numpy as np
import plotly.graph_objects as go

import tokenroof as tr

rent, figure = tr.catalogue.gpu_hour("H200-SXM").rent, go.Figure()
front = tr.serving.frontier("H200-SXM", "gpt-oss-120b", devices_max=8, ttft_max=5.0)
per_device = front.output_throughput / front.devices
watts, _ = tr.power.provisioned_power("H200-SXM")
energy = tr.kernels.energy_cost_per_mtok(watts / per_device, 60.0, 1.2)
capital = rent / 3600 / per_device * 1e6
for name, cost in {"electricity": energy, "rent": capital}.items():
    figure.add_scatter(x=front.interactivity, y=cost, name=name)
figure.update_layout(template="none", yaxis_title="$ per million tokens",
                     xaxis_title="token/s of one user")  # fmt: skip
figure.update_yaxes(type="log")
assert (np.diff(capital) > 0).all()
assert capital[-1] > 20 * capital[0]
assert (capital > 5 * energy).all()
figure.show()
