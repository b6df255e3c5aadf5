"""Revenue of a MWh at the same meter: mining beside inference."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.plot.style import colour, log_axis, new_figure, plain
from tokenroof.support.kinds import takes_records
from tokenroof.support.lazy import require

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

__all__ = ["same_meter"]


@takes_records
def same_meter(
    rows: pd.DataFrame,
    *,
    electricity: float | None = None,
    claims: Sequence[Mapping[str, Any]] = (),
) -> go.Figure:
    """Revenue of a MWh at the same meter: mining beside inference, on a log axis.

    Parameters
    ----------
    rows : pandas.DataFrame
        Columns name, group, usd_per_mwh [$/MWh], low, high (the band; NaN for none), vendor,
        family, text (of the pointer, with tags of Plotly). Drawn from top to bottom.
    electricity : float, optional
        What a MWh costs: a line [$/MWh].
    claims : sequence of mapping
        Values that somebody prints, as crosses: name, usd_per_mwh, text.

    Returns
    -------
    plotly.graph_objects.Figure

    Examples
    --------
    >>> import pandas as pd
    >>> row = dict(name="Antminer S21", group="mining", usd_per_mwh=80.0, low=70.0, high=90.0,
    ...            vendor="Bitmain", family="", text="")
    >>> same_meter(pd.DataFrame([row]), electricity=80).layout.xaxis.type
    'log'
    """
    figure = new_figure(height=140 + 24 * (len(rows) + len(claims)))
    for group, part in rows.groupby("group", sort=False):
        _add_group(figure, str(group), part)
    if claims:
        _add_claims(figure, claims)
    values = [v for v in [*rows["usd_per_mwh"], *(c["usd_per_mwh"] for c in claims)] if v > 0]
    values = values or [1.0]
    _set_axes(
        figure,
        (min([*values, electricity or math.inf]), max(values)),
        [plain(name) for name in (*rows["name"], *(c["name"] for c in claims))],
    )
    if electricity:
        _add_cost(figure, electricity)
    figure.update_layout(
        legend={
            "orientation": "h",
            "y": -60 / max(figure.layout.height, 1),
            "yanchor": "top",
            "x": 0,
        },
        margin={"t": 40, "b": 90},
    )
    return figure


def _add_group(figure: go.Figure, group: str, rows: pd.DataFrame) -> None:
    """Values with their bands in the makers' colours, and a grey entry of the legend."""
    go = require("plotly.graph_objects", extra="report")
    mining = group == "mining"
    symbol = "diamond" if mining else "circle"
    shades = [
        "#333333" if mining else colour(r.vendor, r.family) for r in rows.itertuples(index=False)
    ]
    value = rows["usd_per_mwh"].to_numpy(dtype=float)
    high = (rows["high"].to_numpy(dtype=float) - value).clip(min=0)
    low = (value - rows["low"].to_numpy(dtype=float)).clip(min=0)
    figure.add_trace(
        go.Scatter(
            x=value, y=[plain(name) for name in rows["name"]], mode="markers",
            name=plain(group), text=rows["text"], showlegend=False, hovertemplate="%{text}<extra></extra>",
            marker={"symbol": symbol, "size": 11, "color": shades},
            error_x={"type": "data", "symmetric": False, "array": np.nan_to_num(high),
                     "arrayminus": np.nan_to_num(low), "thickness": 1.4, "width": 4,
                     "color": "#999999"},
        )
    )  # fmt: skip
    figure.add_trace(
        go.Scatter(
            x=[None], y=[None], mode="markers", hoverinfo="skip",
            name="mining" if mining else f"tokens of {plain(group)}",
            marker={"symbol": symbol, "size": 11, "color": "#333333" if mining else "#888888"},
        )
    )  # fmt: skip


def _add_claims(figure: go.Figure, claims: Sequence[Mapping[str, Any]]) -> None:
    go = require("plotly.graph_objects", extra="report")
    figure.add_trace(
        go.Scatter(
            x=[c["usd_per_mwh"] for c in claims], y=[plain(c["name"]) for c in claims], mode="markers",
            name="printed claim, not computed here", text=[c["text"] for c in claims],
            hovertemplate="%{text}<extra></extra>",
            marker={"symbol": "x-thin", "size": 11, "line": {"width": 2.5, "color": "#555555"}},
        )
    )  # fmt: skip


def _set_axes(figure: go.Figure, ends: tuple[float, float], order: Sequence[str]) -> None:
    """Dollars from `ends` outwards; names from top to bottom."""
    lowest, highest = ends
    figure.update_xaxes(
        log_axis("revenue [$ per MWh at the meter]", lowest / 2, highest * 2.5),
        side="bottom",
    )
    figure.update_xaxes(
        ticktext=[f"${v:,.0f}" if v >= 1 else f"${v:g}" for v in figure.layout.xaxis.tickvals]
    )
    figure.update_yaxes(
        categoryorder="array", categoryarray=order[::-1], tickfont={"size": 12}, type="category",
        range=[-0.7, len(order) - 0.3],
    )  # fmt: skip


def _add_cost(figure: go.Figure, electricity: float) -> None:
    figure.add_vline(x=electricity, line={"color": "#D55E00", "width": 1.5, "dash": "dash"})
    figure.add_annotation(
        x=math.log10(electricity), y=1, yref="paper", yanchor="bottom", showarrow=False,
        text=f"a MWh costs ${electricity:,.0f}", font={"size": 12, "color": "#D55E00"},
    )  # fmt: skip
