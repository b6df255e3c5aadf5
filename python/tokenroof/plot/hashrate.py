"""Hashrate and energy per terahash by year of release, CPU to ASIC."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.plot.style import GRID, HERE, KINDS, SYMBOLS, log_axis, new_figure, plain
from tokenroof.support.formats import si
from tokenroof.support.lazy import require

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

__all__ = ["hashrate"]

# column, axis, unit: one above the other
_PANELS = (("hashrate", "y", "hash/s"), ("efficiency", "y2", "J/TH"))


def hashrate(miners: pd.DataFrame, machine: Mapping[str, Any] | None = None) -> go.Figure:
    """Hashrate and energy per terahash by year of release, CPU to ASIC.

    Parameters
    ----------
    miners : pandas.DataFrame
        Columns name, kind, year, hashrate [hash/s], power [W], efficiency [J/TH], basis.
    machine : mapping, optional
        This machine's point: name, year, hashrate, efficiency or None.

    Returns
    -------
    plotly.graph_objects.Figure

    Examples
    --------
    >>> import pandas as pd
    >>> one = pd.DataFrame([dict(name="mine", kind="asic", year=2024.0, hashrate=2e14,
    ...                          power=3500.0, efficiency=17.5, basis="datasheet")])
    >>> len(hashrate(one).data)
    2
    """
    figure = new_figure(height=780)
    for column, axis, unit in _PANELS:
        for symbol, kind in zip(SYMBOLS, KINDS, strict=False):
            rows = miners[(miners["kind"] == kind) & miners[column].notna()]
            if len(rows):
                _add_kind(figure, rows, column, axis, kind, symbol)
        value = None if machine is None else machine.get(column)
        if machine is not None and value:
            _add_machine(figure, machine, column, axis, si(value, unit, 4))
    rates = [v for v in miners["hashrate"] if v > 0] or [1.0]
    here = [machine["hashrate"]] if machine else []
    joules = [v for v in miners["efficiency"] if v > 0] or [1.0]
    above = log_axis("hash/s", min(rates + here) / 3, max(rates) * 4, "H/s")
    below = log_axis("J/TH", min(joules) / 2, max(joules) * 3)
    figure.update_layout(
        yaxis={**above, "domain": [0.54, 1]},
        yaxis2={
            **below, "domain": [0, 0.46], "anchor": "x",
            "gridcolor": GRID, "linecolor": "#999999", "showline": True, "ticks": "outside",
            "automargin": True, "tickcolor": "#999999", "zeroline": False,
        },
        xaxis={"title": {"text": "year of release"}, "dtick": 2, "anchor": "y2",
               "range": [2007.5, math.ceil(max([*miners["year"].dropna(), 2027])) + 0.5]},
        legend={"orientation": "h", "y": -0.1, "yanchor": "top", "x": 0},
    )  # fmt: skip
    return figure


def _add_kind(
    figure: go.Figure, rows: pd.DataFrame, column: str, axis: str, kind: str, symbol: str
) -> None:
    """The miners of a kind; hollow where the catalogue estimates."""
    go = require("plotly.graph_objects", extra="report")
    shade = KINDS[kind]
    guess = (rows["basis"] == "estimate").to_numpy()
    text = [
        f"<b>{plain(r.name)}</b> ({kind.upper()}, {r.year:.0f})<br>{si(r.hashrate, 'hash/s')}, "
        f"{si(r.power, 'W')}<br>{_joules(r.efficiency)}<br>{plain(r.basis)}"
        for r in rows.itertuples(index=False)
    ]
    figure.add_trace(
        go.Scatter(
            x=rows["year"], y=rows[column], yaxis=axis, mode="markers", text=text,
            name=kind.upper(), legendgroup=kind, showlegend=column == "hashrate",
            hovertemplate="%{text}<extra></extra>",
            marker={"symbol": symbol, "size": 9,
                    "color": np.where(guess, "white", shade).tolist(),
                    "line": {"color": shade, "width": 1.6}},
        )
    )  # fmt: skip


def _add_machine(
    figure: go.Figure, machine: Mapping[str, Any], column: str, axis: str, reached: str
) -> None:
    go = require("plotly.graph_objects", extra="report")
    figure.add_trace(
        go.Scatter(
            x=[machine["year"]], y=[machine[column]], yaxis=axis, mode="markers+text",
            name="this machine", showlegend=column == "hashrate", text=["this machine"],
            textposition="middle left", legendgroup="here",
            textfont={"size": 12, "color": HERE},
            marker={"symbol": "star", "size": 17, "color": HERE},
            hovertemplate=f"<b>{plain(machine['name'])}</b><br>{reached}, measured<extra></extra>",
        )
    )  # fmt: skip


def _joules(value: float) -> str:
    return "power unknown" if not value > 0 else f"{value:,.4g} J/TH"
