"""A GW and year by generation beside what is printed, and what each assumption does to it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tokenroof.economics.revenue import Effect, GwRevenue
from tokenroof.plot.style import INK, faded, log_axis, new_figure, plain
from tokenroof.support.arguments import shown
from tokenroof.support.lazy import require
from tokenroof.support.names import listed

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["revenue", "revenue_effects"]

_SHADES = ("#009E73", "#D55E00", "#8a7a00", "#0072B2", "#CC79A7", "#56B4E9", "#E69F00")
_SYMBOLS = ("circle", "square", "triangle-up", "cross", "x", "star-triangle-down", "diamond-wide")
_LEAST = 1e7  # of an axis [$]


def revenue(found: Sequence[GwRevenue], printed: dict[str, float] | None = None) -> go.Figure:
    """Revenue of a GW and year by generation: a range, its middle, the uncapped split, and what is printed.

    Parameters
    ----------
    found : sequence of GwRevenue
        Of `tokenroof.economics.revenue_per_gw`.
    printed : dict of str to float, optional
        Further generations that are printed and not computed [$/(GW year)].

    Returns
    -------
    plotly.graph_objects.Figure
        On a log axis; revenue of nothing is not drawn.

    Raises
    ------
    TypeError, ValueError
        For what is no revenue of a GW, or none.

    Examples
    --------
    >>> from tokenroof.economics import revenue_per_gw
    >>> [trace.name for trace in revenue(revenue_per_gw(["H200-SXM"])).data]
    ['hard to easy', 'middle', 'uncapped split', 'printed']
    """
    go = require("plotly.graph_objects", extra="report")
    rows = _some("found", found, GwRevenue)
    others = {} if printed is None else dict(printed)
    names = [plain(name) for name in (*(r.generation for r in rows), *others)]
    figure = new_figure(height=214 + 52 * len(names), margin={"l": 12, "r": 16, "t": 36, "b": 110})
    ends: list[Any] = [r.revenue[case] for r in rows for case in ("hard", "easy", "hard")]
    ends[2::3] = [None] * len(rows)  # a gap between two ranges
    figure.add_trace(
        go.Scatter(
            x=[_shown(v) for v in ends], y=[plain(r.generation) for r in rows for _ in range(3)],
            mode="lines", name="hard to easy", line={"color": faded(_SHADES[0], 0.35), "width": 14},
            hoverinfo="skip",
        )
    )  # fmt: skip
    drawn = {
        "middle": ([r.revenue["middle"] for r in rows], "circle", _SHADES[0]),
        "uncapped split": ([r.best for r in rows], "line-ns", INK),
        "printed": ([*(r.printed for r in rows), *others.values()], "diamond-open", _SHADES[1]),
    }
    for name, (values, symbol, shade) in drawn.items():
        figure.add_trace(
            go.Scatter(
                x=[_shown(v) for v in values], y=names[: len(values)], mode="markers", name=name,
                hovertemplate="%{y}, " + name + ": $%{x:,.3s}<extra></extra>",
                marker={"symbol": symbol, "size": 13, "color": shade, "line": {"width": 2.4, "color": shade}},
            )
        )  # fmt: skip
    known = [v for values, *_ in drawn.values() for v in values if _shown(v)]
    _finish(figure, names, [*known, *(v for v in ends if v)])
    return figure


def revenue_effects(effects: Sequence[Effect]) -> go.Figure:
    """Revenue of a GW with one assumption changed, a row each; dashed lines are what is printed.

    Parameters
    ----------
    effects : sequence of Effect
        Of `tokenroof.economics.revenue_effects`.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    TypeError, ValueError
        For what is no effect, or none.

    Examples
    --------
    >>> from tokenroof.economics import Effect
    >>> one = Effect("as assumed", "Vera Rubin", 1.2e10, 1.0, 0.08)
    >>> [trace.name for trace in revenue_effects([one]).data]
    ['Vera Rubin']
    """
    go = require("plotly.graph_objects", extra="report")
    rows = _some("effects", effects, Effect)
    names = list(dict.fromkeys(e.assumption for e in rows))
    generations = list(dict.fromkeys(e.generation for e in rows))
    figure = new_figure(height=194 + 34 * len(names), margin={"l": 12, "r": 16, "t": 52, "b": 100})
    for i, generation in enumerate(generations):
        own = [e for e in rows if e.generation == generation]
        shade = _SHADES[i % len(_SHADES)]
        figure.add_trace(
            go.Scatter(
                x=[_shown(e.revenue) for e in own], y=[_broken(plain(e.assumption)) for e in own],
                mode="markers", name=plain(generation), customdata=[[e.factor, e.of_printed] for e in own],
                marker={"symbol": _SYMBOLS[i % len(_SYMBOLS)], "size": 11, "color": shade},
                hovertemplate=plain(generation) + ", %{y}: $%{x:,.3s}<br>"
                "%{customdata[0]:.3g} times as assumed, %{customdata[1]:.3g} of the printed<extra></extra>",
            )
        )  # fmt: skip
        printed = [e.revenue / e.of_printed for e in own if e.of_printed > 0.0]
        if printed:
            figure.add_vline(x=printed[0], line={"color": shade, "width": 1.6, "dash": "dash"})
            figure.add_annotation(
                x=math.log10(printed[0]), y=1.0, yref="paper", yanchor="bottom", showarrow=False,
                text=f"${printed[0] / 1e9:.0f} B", font={"size": 11, "color": shade},
            )  # fmt: skip
    ends = [
        v
        for e in rows
        for v in (e.revenue, e.revenue / e.of_printed if e.of_printed > 0.0 else 0.0)
    ]
    _finish(figure, [_broken(plain(name)) for name in names], ends)
    return figure


def _some(field: str, given: Any, kind: type) -> list[Any]:
    rows = listed(field, given, kind)
    wrong = [row for row in rows if not isinstance(row, kind)]
    if wrong:
        raise TypeError(f"{field} has {shown(wrong[0])}; allowed: a sequence of {kind.__name__}")
    if not rows:
        raise ValueError(f"{field} is empty; allowed: at least one {kind.__name__}")
    return list(rows)


def _shown(value: float | None) -> float | None:
    """What a log axis can show."""
    return None if value is None or not value > 0.0 or math.isinf(value) else float(value)


def _broken(text: str) -> str:
    """In lines of some 26 characters."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + len(word) >= 26:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return "<br>".join(lines)


def _finish(figure: Any, names: Sequence[str], values: Sequence[float]) -> None:
    """The axes: dollars as powers of ten, names from the top."""
    shown = [v for v in values if _shown(v)] or [1e9]
    low, high = max(min(shown) / 2.0, _LEAST), max(shown) * 2.0
    figure.update_xaxes(log_axis("revenue of a GW and year [$]", low, max(high, 2.0 * low)))
    words = {1e7: "10 M", 1e8: "100 M", 1e9: "1 B", 1e10: "10 B", 1e11: "100 B", 1e12: "1 T"}
    ticks = [t for t in words if low <= t <= high]
    figure.update_xaxes(tickvals=ticks, ticktext=[f"${words[t]}" for t in ticks])
    figure.update_yaxes(
        categoryorder="array", categoryarray=list(names)[::-1], type="category",
        range=[-0.6, len(names) - 0.4],
    )  # fmt: skip
    figure.update_layout(
        legend={
            "orientation": "h",
            "y": -56 / (figure.layout.height - 150),
            "yanchor": "top",
            "x": 0,
        }
    )
