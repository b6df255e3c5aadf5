"""Figures of the mining model: the generations' race, the miners' cost curve."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from tokenroof.plot.style import GRID, HERE, KINDS, SYMBOLS, log_axis, new_figure, plain
from tokenroof.support.arguments import reals
from tokenroof.support.kinds import takes_records
from tokenroof.support.lazy import require

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from numpy.typing import ArrayLike

    from tokenroof.mining import Chain, Race, Tranche


@takes_records
def generations(race: Race) -> go.Figure:
    """Energy per terahash of the machines that are out, against what still earns its power, by month.

    Parameters
    ----------
    race : Race
        As `tokenroof.mining.generations_race` gives it.

    Returns
    -------
    plotly.graph_objects.Figure
        A point per machine and month, filled where it earns its power; the line is the threshold.

    Examples
    --------
    >>> from tokenroof.mining import generations_race
    >>> [trace.name for trace in generations(generations_race()).data]
    ['CPU', 'GPU', 'FPGA', 'ASIC', 'earns its power below']
    """
    go = require("plotly.graph_objects", extra="report")
    figure = new_figure()
    out = ~np.isnan(race.margin)
    values = [race.threshold[np.isfinite(race.threshold) & (race.threshold > 0.0)]]
    for symbol, (kind, shade) in zip(SYMBOLS, KINDS.items(), strict=False):
        rows, columns = np.nonzero(out & (np.array(race.kinds) == kind)[:, None])
        if not rows.size:
            continue
        earns = race.earning[rows, columns]
        values.append(race.efficiency[rows])
        figure.add_trace(
            go.Scatter(
                x=[race.months[i] for i in columns], y=race.efficiency[rows], mode="markers",
                name=kind.upper(),
                text=[f"<b>{plain(race.names[i])}</b><br>{race.months[j]}: {race.margin[i, j]:+.4g} $/day"
                      for i, j in zip(rows, columns, strict=True)],
                hovertemplate="%{text}<extra></extra>",
                marker={"symbol": symbol, "size": 7, "line": {"color": shade, "width": 1.3},
                        "color": np.where(earns, shade, "white").tolist()},
            )
        )  # fmt: skip
    figure.add_trace(
        go.Scatter(
            x=list(race.months), y=race.threshold, mode="lines+markers", name="earns its power below",
            line={"color": HERE, "width": 2}, marker={"size": 5},
            hovertemplate="%{x}: %{y:.4g} J/TH<extra></extra>",
        )
    )  # fmt: skip
    every = np.concatenate(values)
    every = every if every.size else np.array([1.0])
    figure.update_yaxes(log_axis("J/TH", every.min() / 2, every.max() * 2))
    figure.update_xaxes(title={"text": "month"}, type="date")
    figure.update_layout(legend={"orientation": "h", "y": -0.13, "yanchor": "top", "x": 0})
    return figure


def cost_curve(
    fleet: Iterable[Tranche],
    price: ArrayLike,
    subsidy_btc: float = 3.125,
    fees_btc: float = 0.0,
    *,
    chain: Chain | None = None,
) -> go.Figure:
    """The miners' cost curve, and where each price of bitcoin meets it.

    Parameters
    ----------
    fleet : iterable of Tranche
        All machines that may run; the curve of one without end stops at twice the equilibrium.
    price : array_like
        One or several prices of a bitcoin [$].
    subsidy_btc, fees_btc, chain
        As in `tokenroof.mining.equilibrium`.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    ValueError, TypeError
        As `tokenroof.mining.equilibrium`.

    Examples
    --------
    >>> from tokenroof.mining import Tranche
    >>> fleet = [Tranche("Antminer S19 Pro", 4e6, 0.06), Tranche("Antminer S21", 2e6, 0.06)]
    >>> [trace.name for trace in cost_curve(fleet, [40_000, 90_000]).data]
    ['cost curve', '$40,000', '$90,000']
    """
    from tokenroof import mining

    go = require("plotly.graph_objects", extra="report")
    given = tuple(fleet)
    prices = np.atleast_1d(reals("price", price, above=True))
    level = mining.equilibrium(given, prices, subsidy_btc, fees_btc, chain=chain)
    cost, filled = mining.cost_curve(given)
    end = 2.0 * max(level.hashrate.max(), filled[np.isfinite(filled)].max(initial=0.0) / 2.0)
    figure = new_figure()
    figure.add_trace(
        go.Scatter(
            x=np.concatenate([[0.0], np.minimum(filled, end)]) / 1e18,
            y=np.concatenate([cost, cost[-1:]]), mode="lines", name="cost curve",
            line={"color": HERE, "width": 2, "shape": "hv"},
            hovertemplate="%{x:.4g} EH/s: %{y:.4g} $<extra></extra>",
        )
    )  # fmt: skip
    shades = list(KINDS.values())
    for i, (coin, rate, earned) in enumerate(
        zip(prices, level.hashrate, level.hashprice, strict=True)
    ):
        x = np.geomspace(max(rate, 1e-6 * end) / 5.0, end, 200)
        figure.add_trace(
            go.Scatter(
                x=np.append(x, rate) / 1e18, y=np.append(earned * rate / x, earned),
                mode="lines", name=f"${coin:,.0f}", line={"color": shades[i % 4], "width": 1.5},
                hovertemplate="%{x:.4g} EH/s: %{y:.4g} $<extra></extra>",
            )
        )  # fmt: skip
        figure.add_annotation(
            x=rate / 1e18, y=earned, showarrow=True, ax=24, ay=-28, arrowcolor=GRID,
            text=f"{rate / 1e18:,.0f} EH/s at {earned:.3g} $",
        )  # fmt: skip
    figure.update_xaxes(title={"text": "hashrate [EH/s]"}, range=[0.0, end / 1e18])
    top = 1.15 * max(cost[np.isfinite(cost)].max(), level.hashprice.max())
    figure.update_yaxes(title={"text": "$ per PH/s and day"}, range=[0.0, top])
    return figure
