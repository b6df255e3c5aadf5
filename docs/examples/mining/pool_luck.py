"""
A pool sells no coins, it sells calm
====================================

A month of one miner, played many times: alone, sharing a pool's luck, or paid for each
share. The means are alike, the spreads are not.
"""

import plotly.graph_objects as go

from tokenroof import mining

miner, network, month = 1e18, 1.4e14, 30 * 86400
terms = {"fee": 0.02, "fees_btc": 0.05, "fees_std_btc": 0.05}
schemes = {"SOLO": {}, "PPLNS": {"pool_hashrate": 2e20}, "FPPS": {}}
figure, spread, mean = go.Figure(), {}, {}
for scheme, more in schemes.items():
    played = mining.simulate_pool(
        scheme, miner, network, month, paths=4000, seed=1, **terms, **more
    )
    closed = mining.pool_income(scheme, miner, network, month, **terms, **more)
    mean[scheme], spread[scheme] = played.mean_btc, played.variance_btc2**0.5
    assert abs(played.mean_btc - closed.mean_btc) < 5 * played.mean_error_btc + 1e-9
    low, middle, high = played.quantiles_btc
    figure.add_scatter(x=[scheme], y=[middle], name=scheme, mode="markers", marker_size=12,
                       error_y={"array": [high - middle], "arrayminus": [middle - low]})  # fmt: skip
figure.update_layout(
    template="none", yaxis_title="BTC a month, nine in ten", showlegend=False
)
assert max(mean.values()) < 1.05 * min(mean.values())
assert spread["SOLO"] > 2 * spread["PPLNS"] > 4 * spread["FPPS"]
figure.show()
