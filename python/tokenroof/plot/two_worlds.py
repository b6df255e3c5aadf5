"""The same factory under two demands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenroof.economics.worlds import TwoWorlds
from tokenroof.plot.style import new_figure
from tokenroof.support.arguments import shown
from tokenroof.support.lazy import require

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["two_worlds"]

_WORK, _COINS = "#009E73", "#D55E00"


def two_worlds(found: TwoWorlds) -> go.Figure:
    """Margin of one site by year: tokens that work wants, and coins whose price wanders, with its band.

    Parameters
    ----------
    found : TwoWorlds
        What `tokenroof.economics.two_worlds` returns.

    Returns
    -------
    plotly.graph_objects.Figure
        The band holds four in five paths of the coin's price.

    Raises
    ------
    TypeError
        For anything else.

    Examples
    --------
    >>> from tokenroof import economics as ec
    >>> work = ec.demand(4, 2e6, value_per_result=9.0, acceptance=0.5, price_per_mtok=1.5)
    >>> both = ec.two_worlds(work, 20_000, 3e5, ec.Uncertainty(price_volatility=0.6))
    >>> [trace.name for trace in two_worlds(both).data][1:]
    ['speculation: four in five paths', 'speculation: median', 'productivity']
    """
    go = require("plotly.graph_objects", extra="report")
    if not isinstance(found, TwoWorlds):
        raise TypeError(f"found is {shown(found)}; allowed: a TwoWorlds")
    figure = new_figure(title={"text": "One site, two demands"})
    low, middle, high = (found.percentile(part) / 1e6 for part in (10, 50, 90))
    edge = {"width": 0, "color": _COINS}
    figure.add_trace(go.Scatter(x=found.year, y=low, line=edge, showlegend=False, hoverinfo="skip"))
    figure.add_trace(
        go.Scatter(x=found.year, y=high, line=edge, fill="tonexty", fillcolor="rgba(213,94,0,0.2)",
                   name="speculation: four in five paths", hoverinfo="skip")
    )  # fmt: skip
    for name, values, colour in (
        ("speculation: median", middle, _COINS),
        ("productivity", found.productivity / 1e6, _WORK),
    ):
        figure.add_trace(
            go.Scatter(
                x=found.year, y=values, name=name, mode="lines+markers", line={"color": colour}
            )
        )
    figure.update_xaxes(title="year")
    figure.update_yaxes(title="revenue less electricity [million $/year]")
    return figure
