"""A site's power over tiers, and what it earns there: splits below each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tokenroof.economics.allocation import Allocation
from tokenroof.plot.style import GRID, new_figure, plain
from tokenroof.support.lazy import require

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["allocation"]

_SHADES = ("#BBBBBB", "#56B4E9", "#0072B2", "#E69F00", "#D55E00", "#CC79A7", "#009E73", "#8a7a00")
_AXIS = {
    "gridcolor": GRID,
    "linecolor": "#999999",
    "showline": True,
    "zeroline": False,
    "ticks": "outside",
}


def allocation(splits: Mapping[str, Allocation]) -> go.Figure:
    """Power of each tier above, what it earns below; a bar for each split, the site's revenue at its end.

    Parameters
    ----------
    splits : mapping of str to Allocation
        By their names, which may have line breaks: what `tokenroof.economics.allocate` returns, all of
        the same tiers.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    TypeError, ValueError
        For no splits, or of different tiers.

    Examples
    --------
    >>> from tokenroof.economics import Site, Tier, allocate
    >>> tiers, site = [Tier("a", 3.0), Tier("b", 45.0)], Site(power_w=1e9)
    >>> halves = allocate(site, tiers, [1e6, 1e5], split=[0.5, 0.5])
    >>> best = allocate(site, tiers, [1e6, 1e5], demand=[1e9, 4e7])
    >>> [trace.name for trace in allocation({"halves": halves, "best": best}).data]
    ['a', 'a', 'b', 'b']
    """
    go = require("plotly.graph_objects", extra="report")
    if not isinstance(splits, Mapping) or not all(
        isinstance(s, Allocation) for s in splits.values()
    ):
        raise TypeError(
            f"splits is {type(splits).__name__}; allowed: a mapping of names to Allocation"
        )
    tiers = next((s.tiers for s in splits.values()), ())
    if not tiers or any(s.tiers != tiers for s in splits.values()):
        raise ValueError("splits are none, or of different tiers; allowed: some of the same tiers")
    names = [plain(name) for name in splits]
    figure = require("plotly.subplots", extra="report").make_subplots(
        rows=2, cols=1, vertical_spacing=0.0
    )
    height = 234 + 76 * len(names)
    base = new_figure(height=height, margin={"l": 12, "r": 20, "t": 36, "b": 90}).layout
    kept = ("template", "font", "paper_bgcolor", "plot_bgcolor", "height", "margin", "hoverlabel")
    figure.update_layout({name: base[name] for name in kept})
    gap = 34.0 / (height - 126.0)
    for i, tier in enumerate(tiers):
        shade, said = _SHADES[i % len(_SHADES)], plain(tier)
        for row, values, unit in (
            (1, [float(s.power_mw[i]) for s in splits.values()], "MW"),
            (2, [float(s.revenue[i]) / 1e9 for s in splits.values()], "B$ a year"),
        ):
            figure.add_trace(
                go.Bar(
                    x=values, y=names, orientation="h", name=said, legendgroup=tier, showlegend=row == 1,
                    marker={"color": shade, "line": {"color": "white", "width": 1}},
                    hovertemplate=f"%{{y}}, {said}: %{{x:,.4~g}} {unit}<extra></extra>",
                ),
                row=row, col=1,
            )  # fmt: skip
    most = max(s.revenue_per_year for s in splits.values()) / 1e9
    for name, split in zip(names, splits.values(), strict=True):
        total = split.revenue_per_year / 1e9
        figure.add_annotation(
            x=total, y=name, xref="x2", yref="y2", xanchor="left", showarrow=False, xshift=4,
            text=f"<b>${total:.3g} B</b>", font={"size": 12},
        )  # fmt: skip
    figure.update_xaxes(**_AXIS)
    figure.update_yaxes(
        **_AXIS, categoryorder="array", categoryarray=names[::-1], type="category", automargin=True
    )
    figure.update_layout(
        barmode="stack", yaxis={"domain": [0.5 + gap, 1.0]}, yaxis2={"domain": [0.0, 0.5 - gap]},
        xaxis={"title": {"text": "power [MW]", "standoff": 4}},
        xaxis2={"title": {"text": "revenue [B$ a year]", "standoff": 4}, "range": [0.0, 1.45 * most or 1.0]},
        legend={"orientation": "h", "x": 0, "y": -52.0 / (height - 126.0), "yanchor": "top",
                "traceorder": "normal", "font": {"size": 12}},
    )  # fmt: skip
    return figure
