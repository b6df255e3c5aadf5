"""
The hall of a mine is worth more to tenants and tokens than to its miners
=========================================================================

Old miners, a power connection and a roof: switch them off, mine on, lease the shell, or
fill it with GPUs that are rented out. Capital is what sets the last ones apart.
"""

import plotly.graph_objects as go

from tokenroof import economics as ec

figure, worth = go.Figure(), {}
for power in (30.0, 90.0):
    found = ec.convert_hall("Antminer S19 XP", power_mw=20.0, price_per_mwh=power)
    worth[power] = {choice.name: choice.npv for choice in found.choices}
    figure.add_bar(x=list(worth[power]), y=[npv / 1e6 for npv in worth[power].values()],
                   name=f"power at {power:.0f} $/MWh")  # fmt: skip
figure.update_layout(template="none", yaxis_title="M$ of present value, 20 MW")

for off, keep, lease, *convert in (list(w.values()) for w in worth.values()):
    assert off == 0.0
    assert max(keep, off) < lease < min(convert)
mined = [w["keep mining"] for w in worth.values()]
assert mined[0] > mined[1]
figure.show()
