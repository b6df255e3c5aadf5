"""Money: the ladder at one meter, the arms race, what matters most, and the cash of each year."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tokenroof.plot.style import GRID, INK, KINDS, OTHER, log_axis, new_figure, plain
from tokenroof.support.kinds import takes_records
from tokenroof.support.lazy import require

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from tokenroof.economics.ladder import Ladder
    from tokenroof.economics.race import ArmsRace
    from tokenroof.economics.scenarios.result import Factory
    from tokenroof.economics.tornado import Swing

__all__ = ["arms_race", "cash_flow", "ladder", "tornado"]

_BLUE, _ORANGE, _GREEN = "#0072B2", "#D55E00", "#009E73"
_OF_CASH = {
    "revenue": _GREEN, "power": _ORANGE, "operation": "#E69F00", "capex": "#7f7f7f", "tax": "#CC79A7",
    "residual": "#56B4E9",
}  # fmt: skip


@takes_records
def ladder(rungs: Ladder) -> go.Figure:
    """Revenue of a MWh of each use, and the price of power up to which it earns, on a log axis.

    Parameters
    ----------
    rungs : Ladder
        Of `tokenroof.economics.same_meter`.

    Returns
    -------
    plotly.graph_objects.Figure

    Examples
    --------
    >>> from tokenroof.economics import lease_shell, mine, same_meter
    >>> figure = ladder(same_meter([mine("Antminer S21", 40.0), lease_shell()]))
    >>> [trace.name for trace in figure.data]
    ['revenue', 'power may cost']
    """
    go = require("plotly.graph_objects", extra="report")
    names = [plain(rung.name) for rung in rungs.rungs]
    figure = new_figure(height=150 + 44 * len(names))
    revenue = [rung.revenue_per_mwh for rung in rungs.rungs]
    even = [
        rung.break_even_power if math.isfinite(rung.break_even_power) else None
        for rung in rungs.rungs
    ]
    for name, values, symbol, shade in (
        ("revenue", revenue, "circle", _BLUE), ("power may cost", even, "line-ns", _ORANGE),
    ):  # fmt: skip
        figure.add_trace(
            go.Scatter(
                x=values, y=names, mode="markers", name=name,
                hovertemplate="%{y}: $%{x:,.4g} per MWh<extra>" + name + "</extra>",
                marker={"symbol": symbol, "size": 13, "color": shade, "line": {"width": 2.5, "color": shade}},
            )
        )  # fmt: skip
    figure.update_xaxes(log_axis("$ per MWh at the meter", 5.0, 60_000.0))
    figure.update_xaxes(ticktext=[f"${v:,.0f}" for v in figure.layout.xaxis.tickvals])
    figure.update_yaxes(categoryorder="array", categoryarray=names[::-1], type="category")
    price = max(rungs.price_per_mwh, 1.0)
    figure.add_vline(x=price, line={"color": INK, "width": 1.5, "dash": "dash"})
    figure.update_layout(legend={"orientation": "h", "y": -0.3, "x": 0})
    return figure


@takes_records
def arms_race(miners: ArmsRace, inference: ArmsRace) -> go.Figure:
    """Energy of a terahash and of a token by year of the machine, on one time axis; records are joined.

    Parameters
    ----------
    miners, inference : ArmsRace
        Of `tokenroof.economics.race`.

    Returns
    -------
    plotly.graph_objects.Figure

    Examples
    --------
    >>> from tokenroof.economics import race
    >>> first = race("miners", ["Antminer S9", "Antminer S21"])
    >>> len(arms_race(first, first).data)
    4
    """
    go = require("plotly.graph_objects", extra="report")
    figure = require("plotly.subplots", extra="report").make_subplots(
        rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.08
    )
    base = new_figure(height=640).layout
    kept = (
        "template",
        "font",
        "paper_bgcolor",
        "plot_bgcolor",
        "height",
        "margin",
        "hoverlabel",
        "legend",
    )
    figure.update_layout(**{name: base[name] for name in kept})
    for row, (found, shade) in enumerate(((miners, KINDS["asic"]), (inference, KINDS["gpu"])), 1):
        for part, name, mode in (
            (~found.record, "others", "markers"),
            (found.record, "records", "lines+markers"),
        ):
            figure.add_trace(
                go.Scatter(
                    x=found.released[part], y=found.joules[part], mode=mode,
                    text=np.array([plain(n) for n in found.names])[part], name=f"{found.kind}: {name}",
                    hovertemplate="%{text}<br>%{x:.1f}: %{y:.4g} " + found.unit + "<extra></extra>",
                    marker={"size": 8, "color": shade if name == "records" else OTHER},
                    line={"color": shade, "width": 1.5},
                ),
                row=row, col=1,
            )  # fmt: skip
        figure.update_yaxes(
            log_axis(f"energy [{found.unit}]", found.joules.min() / 2, found.joules.max() * 2),
            row=row,
            col=1,
        )
    figure.update_xaxes(
        gridcolor=GRID, linecolor="#999999", showline=True, zeroline=False, ticks="outside"
    )
    figure.update_yaxes(
        gridcolor=GRID, linecolor="#999999", showline=True, zeroline=False, automargin=True
    )
    figure.update_xaxes(title={"text": "release of the machine"}, row=2, col=1)
    figure.update_layout(legend={"orientation": "h", "y": -0.12, "x": 0})
    return figure


@takes_records
def tornado(swings: Sequence[Swing], certain: float) -> go.Figure:
    """Present value at the ends of each key's range, the widest on top.

    Parameters
    ----------
    swings : sequence of Swing
        Of `tokenroof.economics.tornado`.
    certain : float
        Present value as planned [$].

    Returns
    -------
    plotly.graph_objects.Figure

    Examples
    --------
    >>> from tokenroof.economics import Swing
    >>> len(tornado([Swing("site.pue", 1.0, 1.4, 5e6, 1e6)], 3e6).data)
    2
    """
    go = require("plotly.graph_objects", extra="report")
    figure = new_figure(height=130 + 40 * len(swings))
    names = [plain(swing.name) for swing in swings]
    for which, shade in (("low", _BLUE), ("high", _ORANGE)):
        values = [getattr(swing, f"npv_{which}") / 1e6 for swing in swings]
        figure.add_trace(
            go.Bar(
                x=[value - certain / 1e6 for value in values], base=certain / 1e6, y=names, orientation="h",
                name=f"{which} end", marker={"color": shade}, customdata=values,
                text=[_short(getattr(swing, which)) for swing in swings], textposition="auto", textangle=0,
                insidetextanchor="end",
                hovertemplate="%{y} = %{text}: %{customdata:,.2f} M$<extra></extra>",
            )
        )  # fmt: skip
    figure.update_layout(barmode="overlay", legend={"orientation": "h", "y": -0.3, "x": 0})
    figure.update_xaxes(title={"text": "net present value [M$ per MW]"})
    figure.update_yaxes(categoryorder="array", categoryarray=names[::-1], type="category")
    return figure


def _short(value: float) -> str:
    return f"{value / 1e6:.3g} M" if abs(value) >= 1e6 else f"{value:.3g}"


@takes_records
def cash_flow(found: Factory) -> go.Figure:
    """Cash of each year, what comes in above and what goes out below, and its sum so far.

    Parameters
    ----------
    found : Factory
        Of `tokenroof.economics.factory`.

    Returns
    -------
    plotly.graph_objects.Figure

    Examples
    --------
    >>> from tokenroof.economics import factory, mine
    >>> [trace.name for trace in cash_flow(factory(mine("Antminer S21"))).data][:2]
    ['revenue', 'power']
    """
    go = require("plotly.graph_objects", extra="report")
    figure = new_figure(height=460)
    flow = found.flow
    for name, shade in _OF_CASH.items():
        values = getattr(flow, name if name != "tax" else "unlevered_tax") / 1e6
        if not values.any():
            continue
        sign = 1.0 if name in ("revenue", "residual") else -1.0
        figure.add_trace(
            go.Bar(x=flow.year, y=sign * values, name=name, marker={"color": shade},
                   hovertemplate="year %{x}: %{y:,.3f} M$<extra>" + name + "</extra>")
        )  # fmt: skip
    figure.add_trace(
        go.Scatter(x=flow.year, y=np.cumsum(flow.free) / 1e6, name="sum so far", mode="lines+markers",
                   line={"color": INK, "width": 2},
                   hovertemplate="year %{x}: %{y:,.3f} M$<extra>sum so far</extra>")
    )  # fmt: skip
    figure.update_layout(barmode="relative", legend={"orientation": "h", "y": -0.22, "x": 0})
    figure.update_xaxes(title={"text": "year"}, dtick=1)
    figure.update_yaxes(
        title={"text": "million dollars per MW"}, zeroline=True, zerolinecolor="#999999"
    )
    return figure
