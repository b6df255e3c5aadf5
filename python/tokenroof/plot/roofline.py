"""Roofs of devices, log-log, and the steps of models under them."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tokenroof.inference.door import as_device
from tokenroof.plot.style import HERE, SYMBOLS, log_axis, new_figure, plain, styles_of
from tokenroof.records.device import Device
from tokenroof.support.formats import si
from tokenroof.support.lazy import require
from tokenroof.support.names import listed

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

__all__ = ["roofline"]

# arithmetic intensities from edge to edge [FLOP/B]
_LOW, _HIGH = 0.1, 1e4


def roofline(
    devices: str | Device | Sequence[str | Device],
    points: pd.DataFrame | None = None,
    *,
    dtype: str = "bf16",
    shown: str | Iterable[str] | None = None,
) -> go.Figure:
    """Roofs of devices, log-log, with steps of models as points.

    Parameters
    ----------
    devices : sequence of str or Device
        Whose roofs: names, files as `tokenroof.device` takes them, or your own records; one alone is a
        sequence of one. Those without a unit for `dtype` or a wider type are left out.
    points : pandas.DataFrame, optional
        Columns device, model, step, load, intensity [FLOP/B], flops_per_s [FLOP/s per device],
        time_s [s], bound, plan.
    dtype : str
        Type of the maths whose peak is the flat roof.
    shown : iterable of str, optional
        Names that are drawn at first; the others wait in the legend. All by default.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    KeyError, ValueError
        For an unknown device or type.
    ImportError
        Without plotly: the extra ``report``.

    References
    ----------
    Williams, Waterman, Patterson, Roofline, CACM 52(4), 2009.

    Examples
    --------
    >>> figure = roofline(["H100-SXM", "B200-SXM"])
    >>> [trace.name for trace in figure.data]
    ['H100-SXM', 'B200-SXM']
    """
    figure = new_figure()
    records = [as_device(d) for d in listed("devices", devices, Device)]
    records = [d for d in records if math.isfinite(d.peak_of(dtype))]
    visible = {d.name for d in records} if shown is None else set(listed("shown", shown))
    styles = styles_of(records, visible)
    for d in records:
        _add_roof(figure, d, dtype, styles[d.name], drawn=d.name in visible)
    if points is not None and len(points):
        models = list(dict.fromkeys(points["model"]))
        _add_points(figure, points, models, styles, visible)
        _add_symbols(figure, models)
    drawn = [d for d in records if d.name in visible] or records
    peaks = [d.peak_of(dtype) for d in drawn]
    floors = [d.memory_bandwidth * _LOW for d in drawn]
    if peaks:
        figure.update_yaxes(
            log_axis("reached, per device [FLOP/s]", min(floors), max(peaks) * 2, "FLOP/s")
        )
    figure.update_xaxes(
        log_axis("arithmetic intensity [FLOP per byte of memory traffic]", _LOW, _HIGH)
    )
    return figure


def _add_roof(
    figure: go.Figure, d: Device, dtype: str, style: Mapping[str, str], *, drawn: bool
) -> None:
    go = require("plotly.graph_objects", extra="report")
    peak, ridge = d.peak_of(dtype), d.peak_of(dtype) / d.memory_bandwidth
    x = np.array([_LOW, ridge, _HIGH])
    here = not d.vendor
    unit = next((t for t in (dtype, *d.peak) if d.peak.get(t) == peak), dtype)
    figure.add_trace(
        go.Scatter(
            x=x, y=np.minimum(peak, d.memory_bandwidth * x), mode="lines", name=plain(d.name),
            line={**style, "width": 3.5 if here else 1.8},
            visible=True if drawn else "legendonly",
            legendgroup=d.name, meta={"device": d.name},
            hovertemplate=(
                f"<b>{plain(d.name)}</b><br>{si(peak, 'FLOP/s')} {unit}, dense"
                f"<br>{si(d.memory_bandwidth, 'B/s')}"
                f"<br>ridge {ridge:.3g} FLOP/B<extra></extra>"
            ),
        )
    )  # fmt: skip


def _add_points(
    figure: go.Figure,
    points: pd.DataFrame,
    models: Sequence[str],
    styles: Mapping[str, Mapping[str, str]],
    visible: Collection[str],
) -> None:
    """The steps, a symbol for each model: filled where it decodes, hollow where it reads a prompt."""
    go = require("plotly.graph_objects", extra="report")
    for (device, model), rows in points.groupby(["device", "model"], sort=False):
        symbol = SYMBOLS[models.index(model) % len(SYMBOLS)]
        decode = (rows["step"] == "decode").to_numpy()
        text = [
            f"<b>{plain(model)}</b> on {plain(device)}<br>{plain(r.step)}, {plain(r.load)}<br>{plain(r.plan)}"
            f"<br>{si(r.flops_per_s, 'FLOP/s')} at {r.intensity:.3g} FLOP/B"
            f"<br>{si(r.time_s, 's')}, bound by {r.bound}"
            for r in rows.itertuples()
        ]
        shade = styles[device]["color"] if device in styles else HERE
        figure.add_trace(
            go.Scatter(
                x=rows["intensity"], y=rows["flops_per_s"], mode="markers",
                name=f"{plain(model)} on {plain(device)}", showlegend=False, text=text,
                hovertemplate="%{text}<extra></extra>", legendgroup=device,
                visible=True if device in visible else "legendonly",
                meta={"device": device, "points": True},
                marker={
                    "symbol": symbol, "size": 10,
                    "color": np.where(decode, shade, "white").tolist(),
                    "line": {"color": shade, "width": 2},
                },
            )
        )  # fmt: skip


def _add_symbols(figure: go.Figure, models: Sequence[str]) -> None:
    """Entries of the legend that say what a symbol is."""
    go = require("plotly.graph_objects", extra="report")
    for i, model in enumerate(models):
        figure.add_trace(
            go.Scatter(
                x=[None], y=[None], mode="markers", name=plain(model), hoverinfo="skip",
                marker={"symbol": SYMBOLS[i % len(SYMBOLS)], "size": 10, "color": "#555555"},
                meta={"key": True},
            )
        )  # fmt: skip
    figure.add_trace(
        go.Scatter(
            x=[None], y=[None], mode="markers", name="hollow: prefill", hoverinfo="skip",
            marker={"symbol": "circle", "size": 10, "color": "white",
                    "line": {"color": "#555555", "width": 2}},
            meta={"key": True},
        )
    )  # fmt: skip
