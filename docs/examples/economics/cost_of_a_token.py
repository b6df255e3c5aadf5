"""
A fast token costs many times a slow one, and electricity is little of either
=============================================================================

Rent of the devices for a million tokens along the frontier, and electricity for all that is provisioned for
them: whoever rents pays it within the rent.
"""

import numpy as np
import plotly.graph_objects as go

import tokenroof as tr

rent, figure = tr.catalogue.gpu_hour("H200-SXM").rent, go.Figure()
front = tr.serving.frontier("H200-SXM", "gpt-oss-120b", devices_max=8, ttft_max=5.0)
per_device = front.output_throughput / front.devices
watts, _ = tr.power.provisioned_power("H200-SXM")
energy = tr.kernels.energy_cost_per_mtok(watts, per_device, 0.06)  # PUE is in it
rented = rent / 3600 / per_device * 1e6
for name, cost in {"electricity": energy, "rent": rented}.items():
    figure.add_scatter(x=front.interactivity, y=cost, name=name)
figure.update_layout(template="none", yaxis_title="$ per million tokens",
                     xaxis_title="token/s of one user")  # fmt: skip
figure.update_yaxes(type="log")
assert (np.diff(rented) > 0).all()
assert rented[-1] > 20 * rented[0]
# a device's share of an hour's kilowatts, by hand
assert np.allclose(energy / rented, watts / 1000 * 0.06 / rent)
assert (rented > 5 * energy).all()
figure.show()
