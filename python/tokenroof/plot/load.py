"""Latency percentiles against load, with the knee of each device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.catalogue.lookup import device as find_device
from tokenroof.plot.style import log_axis, new_figure, plain, styles_of
from tokenroof.serving.knee import knee
from tokenroof.support.arguments import shown
from tokenroof.support.kinds import takes_records
from tokenroof.support.lazy import require
from tokenroof.support.names import among, listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go
    import xarray as xr
    from numpy.typing import NDArray

__all__ = ["held_part", "latency"]

_LINES = (("p99", 2.4, 1.0), ("p50", 1.2, 0.55))  # percentile, width, opacity


@takes_records
def latency(tables: Sequence[xr.Dataset], time: str = "ttft") -> go.Figure:
    """Median and 99th percentile of a time over requests per second and device, the knee of this marked.

    Dotted where the percentiles were not held against the simulator; the knee is that of the part that was.

    Parameters
    ----------
    tables : sequence of xarray.Dataset
        What `tokenroof.serving.curve` gives over ``rate``, one a device.
    time : {"ttft", "tpot", "e2e"}
        Which.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    TypeError
        For anything but tables.
    ValueError
        For another time, or a table that is not over ``rate``.

    Examples
    --------
    >>> from tokenroof.serving import curve
    >>> table = curve("H200-SXM", "Llama-3.1-8B", rate=np.arange(1.0, 29.0))
    >>> [trace.mode for trace in latency([table]).data][::2]
    ['lines', 'markers']
    """
    if not among(time, ("ttft", "tpot", "e2e")):
        raise ValueError(f"time is {shown(time)}; allowed: ttft, tpot, e2e")
    go = require("plotly.graph_objects", extra="report")
    tables = listed("tables", tables, require("xarray", extra="report").Dataset)
    for table in tables:
        if "rate" not in table.dims:
            over = ", ".join(map(str, table.dims)) or "nothing"
            raise ValueError(f"tables has one over {over}; allowed: what curve gives over rate")
    devices = [find_device(str(table.attrs["device"])) for table in tables]
    styles = styles_of(devices, [d.name for d in devices])
    figure = new_figure(hovermode="closest")
    seen: list[float] = []
    for device, table in zip(devices, tables, strict=True):
        x = table.rate.values / table.attrs["devices"]
        style, held, name = styles[device.name], held_part(table), plain(device.name)
        for percentile, width, opacity in _LINES:
            y = table[f"{time}_{percentile}_s"].values
            seen += y[np.isfinite(y)].tolist()
            text = f"{name}, {plain(table.attrs['plan'])}<br>{time.upper()} {percentile} "
            look = {
                "mode": "lines", "opacity": opacity, "meta": {"device": device.name},
                "legendgroup": device.name,
                "hovertemplate": text + "%{y:.3s}s<br>%{x:.3g} requests/s per device<extra></extra>",
            }  # fmt: skip
            figure.add_trace(go.Scatter(
                x=x, y=np.where(held, y, np.nan), name=name, showlegend=percentile == "p99",
                line={**style, "width": width}, **look,
            ))  # fmt: skip
            if not held.all():  # from the last that holds on
                edge = ~held | np.concatenate([~held[1:], [False]])
                figure.add_trace(go.Scatter(
                    x=x, y=np.where(edge, y, np.nan), name=f"{name}, not held", showlegend=False,
                    line={"color": style["color"], "width": 0.6 * width, "dash": "dot"}, **look,
                ))  # fmt: skip
        p99 = table[f"{time}_p99_s"].values
        at = knee(x, np.where(held, p99, np.nan))
        figure.add_trace(_mark(go, device.name, style, float(x[at]), float(p99[at])))
    low, high = (min(seen), max(seen)) if seen else (1e-3, 1.0)
    figure.update_layout(
        xaxis={"title": {"text": "requests per second and device"}, "rangemode": "tozero"},
        yaxis=log_axis(f"{time.upper()}: p99 bold, p50 thin [s]", low / 1.2, high * 1.2),
    )
    return figure


def held_part(table: xr.Dataset) -> NDArray[np.bool_]:
    """Where percentiles were held against the simulator; all of it where that is nowhere, or not said."""
    if "percentiles_hold" not in table:
        return np.ones(table.sizes["rate"], dtype=bool)
    held = np.asarray(table["percentiles_hold"].values, dtype=bool)
    return held if held.sum() >= 3 else np.ones(held.size, dtype=bool)


def _mark(go: Any, name: str, style: dict[str, str], x: float, y: float) -> Any:
    return go.Scatter(
        x=[x], y=[y], name=plain(name), legendgroup=name, showlegend=False, mode="markers",
        marker={"color": style["color"], "size": 11, "symbol": "diamond",
                "line": {"color": "white", "width": 1.5}},
        meta={"device": name},
        hovertemplate=f"{plain(name)}: knee<br>p99 %{{y:.3s}}s at %{{x:.3g}} requests/s per device"
                      "<extra></extra>",
    )  # fmt: skip
