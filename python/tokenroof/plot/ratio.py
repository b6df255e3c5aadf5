"""How many times more one generation yields than another, speed by speed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.plot.conventions import conventions, yields
from tokenroof.plot.curves import checked, label_of, load_of
from tokenroof.plot.style import colour, faded, log_axis, new_figure, plain
from tokenroof.support.arguments import shown
from tokenroof.support.kinds import takes_records
from tokenroof.support.lazy import require

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import xarray as xr
    from numpy.typing import NDArray

    from tokenroof.plot.conventions import Convention

    Array = NDArray[np.float64]

__all__ = ["at_speed", "ratio"]


@takes_records
def ratio(
    over: xr.Dataset, under: xr.Dataset, *, axis: str = "provisioned", points: int = 60
) -> go.Figure:
    """One front's tokens per second and MW over another's, against tokens per second of one user.

    Parameters
    ----------
    over, under : xarray.Dataset
        What `tokenroof.serving.frontier` returns, of one model and load.
    axis : str
        Whose watts or dollars count, as in `chart`; of dollars it is how many times cheaper.
    points : int
        Of the curve.

    Returns
    -------
    plotly.graph_objects.Figure
        The ratio of the middles, and the band of both ends against each other.

    Raises
    ------
    TypeError, ValueError
        For a front that is none or empty, two models or loads, an unknown axis, or one that does not know
        a device.

    Examples
    --------
    >>> from tokenroof.serving import frontier
    >>> fronts = [frontier(name, "Llama-3.1-8B", devices_max=2) for name in ("B200-SXM", "H200-SXM")]
    >>> figure = ratio(*fronts)
    >>> bool(min(figure.data[-1].y) > 1.0)
    True
    """
    tables = checked([over, under])
    if len(tables) < 2:
        raise ValueError("fronts has one with points; allowed: two")
    loads = list(dict.fromkeys(map(load_of, tables)))
    if len(loads) > 1:
        raise ValueError(f"fronts are of loads of {' and '.join(loads)} tokens; allowed: one load")
    choices = {c.name: c for c in conventions()}
    if axis not in choices:
        raise ValueError(f"axis is {shown(axis)}; allowed: {', '.join(choices)}")
    choice = choices[axis]
    fastest = min(float(t["interactivity"].max()) for t in tables)
    slowest = min(float(t["interactivity"].min()) for t in tables)
    speeds = np.geomspace(slowest, fastest, max(points, 2))
    speeds[-1] = fastest
    one, other = tables
    mid, low, high = (_over(one, other, choice, speeds, *ends) for ends in _ENDS)
    # where one of the two may not get there at all, anything is within the band
    low, high = np.nan_to_num(low, nan=1e-9), np.nan_to_num(high, nan=1e9)
    names = [label_of(t.attrs) for t in tables]
    if not np.isfinite(mid).any():
        raise ValueError(
            f"axis is {shown(axis)}, which does not know {' and '.join(names)}; allowed: 'provisioned'"
        )
    go = require("plotly.graph_objects", extra="report")
    figure = new_figure(height=420, margin={"l": 64, "r": 12, "t": 64, "b": 64}, showlegend=False)
    a = tables[0].attrs
    shade = colour(str(a.get("vendor", "")), str(a.get("family", "")))
    figure.add_trace(go.Scatter(
        x=np.concatenate([speeds, speeds[::-1]]), y=np.concatenate([high, low[::-1]]),
        fill="toself", mode="none", fillcolor=faded(shade), hoverinfo="skip",
    ))  # fmt: skip
    figure.add_hline(y=1.0, line={"color": "#777777", "width": 1, "dash": "dot"})
    figure.add_trace(go.Scatter(
        x=speeds, y=mid, mode="lines", line={"color": shade, "width": 2.4},
        hovertemplate="%{x:.3g} tok/s/user: %{y:.2f} times<extra></extra>",
    ))  # fmt: skip
    known = mid[np.isfinite(mid)]
    low_end, high_end = min(float(known.min()), 1.0) / 4.0, max(float(known.max()), 1.0) * 4.0
    what = "times the tokens/s per MW" if choice.kind == "watts" else "times as cheap"
    figure.update_yaxes(_ticks(what, low_end, high_end))
    figure.update_xaxes(_ticks("output tokens/s per user", slowest, fastest), tickangle=0)
    of = f"{plain(a['model'])}, {loads[0]} tokens, {choice.name}"
    text = f"{plain(names[0])} over {plain(names[1])}<br>{of}"
    figure.update_layout(title={"text": text, "font": {"size": 14}, "x": 0.02})
    return figure


def _ticks(title: str, low: float, high: float) -> dict[str, Any]:
    """A log axis with ticks at 1, 2 and 5 of each decade."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = [d * 10.0**e for e in decades for d in (1, 2, 5)]
    return log_axis(title, low, high) | {"tickvals": values, "ticktext": [f"{v:g}" for v in values]}


#: Ends of the two fronts: the middles, the worst of one by the best of the other, the reverse.
_ENDS = (("", ""), ("low", "high"), ("high", "low"))


def at_speed(table: xr.Dataset, choice: Convention, speeds: Array, end: str = "") -> Array:
    """What a front yields where a user gets at least a speed; NaN beyond its fastest point.

    Between two points it is the line between their logarithms; slower than all, it is the best of all.

    Parameters
    ----------
    table : xarray.Dataset
        A front, by growing speed.
    choice : Convention
    speeds : ndarray
        Tokens per second of one user [token/s].
    end : {"", "low", "high"}
        The middle, or an end of the band: a step that takes longer is slower and yields less.

    Returns
    -------
    ndarray
        Tokens per second and MW, or $ per million tokens.
    """
    x, y = table["interactivity"].values, yields(table, choice, end)
    if f"interactivity_{end}" in table:
        x = table[f"interactivity_{end}"].values
    elif end:
        wide = 1.0 + np.nan_to_num(table["error_band"].values)
        by = wide if end == "high" else 1.0 / wide
        x, y = x * by, y * (by if choice.kind == "watts" else 1.0 / by)
    order = np.argsort(x)
    x, y = x[order], y[order]
    # any user may be served faster than asked: the best of this point and those beyond
    best = np.maximum if choice.kind == "watts" else np.minimum
    y = best.accumulate(y[::-1])[::-1]
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.exp(np.interp(np.log(speeds), np.log(x), np.log(y)))
    return np.where(speeds <= x[-1] * (1 + 1e-12), found, np.nan)


def _over(
    over: xr.Dataset, under: xr.Dataset, choice: Convention, speeds: Array, one: str, other: str
) -> Array:
    a, b = at_speed(over, choice, speeds, one), at_speed(under, choice, speeds, other)
    return a / b if choice.kind == "watts" else b / a
