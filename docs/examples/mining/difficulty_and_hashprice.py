"""
Difficulty rose faster than the price, and a hash's pay fell
============================================================

Month by month: what the network asks for, and what a petahash earns in a day.
"""

from plotly.subplots import make_subplots

from tokenroof import mining

market = mining.market_history()
figure = make_subplots(rows=3, shared_xaxes=True)
series = {
    "$/BTC": market.price,
    "difficulty": market.difficulty,
    "$/(PH/s day)": market.hashprice,
}
for row, (name, values) in enumerate(series.items(), 1):
    figure.add_scatter(x=list(market.dates), y=values, name=name, row=row, col=1)
    figure.update_yaxes(type="log", title_text=name, row=row, col=1)
figure.update_layout(template="none", height=560, showlegend=False)

first, last = market.months.index("2013-12"), -1
harder = market.difficulty[last] / market.difficulty[first]
poorer = market.hashprice[first] / market.hashprice[last]
assert market.price[last] > market.price[first]
assert harder > 1e4
assert harder > market.price[last] / market.price[first]
assert 1e2 < poorer < harder
figure.show()
