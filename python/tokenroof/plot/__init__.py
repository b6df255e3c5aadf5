"""Figures, as `plotly.graph_objects.Figure`: rooflines, frontiers, hashrates, mining, the same meter.

Colours are Okabe and Ito's, which colour-blind people can tell apart: one per vendor and
generation, the same in every figure; within one, lines differ by dash and points by symbol.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.plot.mining import cost_curve, generations
from tokenroof.plot.style import (
    GRID,
    HERE,
    KINDS,
    SYMBOLS,
    colour,
    faded,
    log_axis,
    new_figure,
    styles_of,
)  # fmt: skip
from tokenroof.support.formats import si
from tokenroof.support.lazy import require

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go
    import xarray as xr

    from tokenroof.records.device import Device

__all__ = [
    "colour", "cost_curve", "frontier", "generations", "hashrate", "roofline", "same_meter",
]  # fmt: skip


def _records(devices: Sequence[str | Device]) -> list[Device]:
    from tokenroof.inference.door import as_device

    return [as_device(d) for d in devices]


def roofline(
    devices: Sequence[str | Device],
    points: pd.DataFrame | None = None,
    *,
    dtype: str = "bf16",
    shown: Iterable[str] | None = None,
) -> go.Figure:
    """Roofs of devices, log-log, with steps of models as points.

    Parameters
    ----------
    devices : sequence of str or Device
        Whose roofs; those without a unit for `dtype` or a wider type are left out.
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
    go = require("plotly.graph_objects", extra="report")
    records = [d for d in _records(devices) if math.isfinite(d.peak_of(dtype))]
    visible = {d.name for d in records} if shown is None else set(shown)
    styles = styles_of([d for d in records if d.name in visible])
    styles |= styles_of([d for d in records if d.name not in visible])
    figure = new_figure()
    low, high = 0.1, 1e4
    for d in records:
        peak, ridge = d.peak_of(dtype), d.peak_of(dtype) / d.memory_bandwidth
        x = np.array([low, ridge, high])
        here = not d.vendor
        unit = next((t for t in (dtype, *d.peak) if d.peak.get(t) == peak), dtype)
        figure.add_trace(
            go.Scatter(
                x=x, y=np.minimum(peak, d.memory_bandwidth * x), mode="lines", name=d.name,
                line={**styles[d.name], "width": 3.5 if here else 1.8},
                visible=True if d.name in visible else "legendonly",
                legendgroup=d.name, meta={"device": d.name},
                hovertemplate=(
                    f"<b>{d.name}</b><br>{si(peak, 'FLOP/s')} {unit}, dense"
                    f"<br>{si(d.memory_bandwidth, 'B/s')}"
                    f"<br>ridge {ridge:.3g} FLOP/B<extra></extra>"
                ),
            )
        )  # fmt: skip
    if points is not None and len(points):
        _add_points(figure, points, styles, visible)
    drawn = [d for d in records if d.name in visible] or records
    peaks = [d.peak_of(dtype) for d in drawn]
    floors = [d.memory_bandwidth * low for d in drawn]
    if peaks:
        figure.update_yaxes(
            log_axis("reached, per device [FLOP/s]", min(floors), max(peaks) * 2, "FLOP/s")
        )
    figure.update_xaxes(
        log_axis("arithmetic intensity [FLOP per byte of memory traffic]", low, high)
    )
    return figure


def _add_points(
    figure: go.Figure, points: pd.DataFrame, styles: Mapping[str, dict[str, str]], visible: set[str]
) -> None:
    go = require("plotly.graph_objects", extra="report")
    models = list(dict.fromkeys(points["model"]))
    for (device, model), rows in points.groupby(["device", "model"], sort=False):
        symbol = SYMBOLS[models.index(model) % len(SYMBOLS)]
        decode = (rows["step"] == "decode").to_numpy()
        text = [
            f"<b>{model}</b> on {device}<br>{r.step}, {r.load}<br>{r.plan}"
            f"<br>{si(r.flops_per_s, 'FLOP/s')} at {r.intensity:.3g} FLOP/B"
            f"<br>{si(r.time_s, 's')}, bound by {r.bound}"
            for r in rows.itertuples()
        ]
        shade = styles[device]["color"] if device in styles else HERE
        figure.add_trace(
            go.Scatter(
                x=rows["intensity"], y=rows["flops_per_s"], mode="markers",
                name=f"{model} on {device}", showlegend=False, text=text,
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
    for i, model in enumerate(models):  # entries of the legend that say what a symbol is
        figure.add_trace(
            go.Scatter(
                x=[None], y=[None], mode="markers", name=model, hoverinfo="skip",
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


def frontier(
    fronts: Mapping[tuple[str, str], xr.Dataset] | Sequence[xr.Dataset],
    *,
    tiers: Sequence[Mapping[str, Any]] | None = None,
    shown: Iterable[str] | None = None,
    model: str | None = None,
    most_points: int = 40,
) -> go.Figure:
    """The keynote's chart: tokens per second and MW against tokens per second of one user.

    Parameters
    ----------
    fronts : sequence of xarray.Dataset, or dict of them
        What `tokenroof.serving.frontier` returns; device and model stand in ``attrs``.
    tiers : sequence of mapping, optional
        ``tokenroof.catalogue.tier_rows()``; a line for each that has an interactivity.
    shown : iterable of str, optional
        Devices that are drawn at first; all by default.
    model : str, optional
        The model that is drawn at first; that of the first front by default.
    most_points : int
        Points per curve at most.

    Returns
    -------
    plotly.graph_objects.Figure

    Examples
    --------
    >>> from tokenroof.serving import frontier as pareto
    >>> figure = frontier([pareto("H200-SXM", "Llama-3.1-8B", devices_max=2)])
    >>> figure.layout.xaxis.type
    'log'
    """
    from tokenroof.inference.door import as_device

    go = require("plotly.graph_objects", extra="report")
    tables = list(fronts.values()) if isinstance(fronts, Mapping) else list(fronts)
    tables = [t for t in tables if t.sizes["point"]]
    names = list(dict.fromkeys(str(t.attrs["device"]) for t in tables))
    visible = set(names) if shown is None else set(shown)
    records = [as_device(name) for name in names]
    styles = styles_of([d for d in records if d.name in visible])
    styles |= styles_of([d for d in records if d.name not in visible])
    model = model or (str(tables[0].attrs["model"]) if tables else "")
    figure = new_figure()
    heights: dict[str, list[float]] = {}
    for table in tables:
        device, of = str(table.attrs["device"]), str(table.attrs["model"])
        pick = np.unique(
            np.round(np.linspace(0, table.sizes["point"] - 1, most_points)).astype(int)
        )
        x = table["interactivity"].values[pick]
        y = table["output_tokens_per_s_per_mw"].values[pick]
        band = float(np.nanmean(table["error_band"].values))
        drawn = device in visible and of == model
        if device in visible:
            heights.setdefault(of, []).extend((float(y.max()), float(y.min())))
        columns = {
            name: table[name].values[pick]
            for name in ("plan", "concurrency", "devices", "ttft_s", "per_device")
        }
        text = [
            f"<b>{device}</b>, {of}<br>plan {p}<br>batch {c:g} on {int(n)} devices"
            f"<br>{xi:.3g} tok/s/user, {yi:,.0f} tok/s/MW (±{band:.0%})"
            f"<br>{si(r)} tok/s/device, TTFT {si(t, 's')}"
            for p, c, n, t, r, xi, yi in zip(*columns.values(), x, y, strict=True)
        ]
        if math.isfinite(band):
            figure.add_trace(
                go.Scatter(
                    x=np.concatenate([x, x[::-1]]),
                    y=np.concatenate([y * (1 + band), y[::-1] / (1 + band)]),
                    fill="toself", mode="none", name=f"{device} band", hoverinfo="skip",
                    fillcolor=faded(styles[device]["color"]), showlegend=False, visible=False,
                    meta={"device": device, "model": of, "band": True},
                )
            )  # fmt: skip
        figure.add_trace(
            go.Scatter(
                x=x, y=y, mode="lines+markers", name=device, text=text,
                line={**styles[device], "width": 2.2}, marker={"size": 5},
                hovertemplate="%{text}<extra></extra>",
                visible=True if drawn else ("legendonly" if of == model else False),
                meta={"device": device, "model": of},
            )
        )  # fmt: skip
    ranges = {of: (max(max(v) / 3e4, min(v) / 2), max(v) * 3) for of, v in heights.items()}
    figure.update_yaxes(log_axis("output tokens/s per MW", *ranges.get(model, (1e2, 1e7))))
    every = log_axis("", min([1e2, *(r[0] for r in ranges.values())]), 1e8)
    figure.update_yaxes(tickvals=every["tickvals"], ticktext=every["ticktext"])
    # so that a page can follow when another model is chosen
    logs = {of: [math.log10(v) for v in r] for of, r in ranges.items()}
    figure.update_layout(meta={"yaxis": logs})
    figure.update_xaxes(
        log_axis("output tokens/s per user", 5, 1500),
        tickvals=[5, 10, 20, 50, 100, 200, 400, 1000],
        ticktext=["5", "10", "20", "50", "100", "200", "400", "1,000"],
    )
    nowhere = [t for t in tiers or () if t.get("interactivity") is None]
    if nowhere:
        prices = ", ".join(f"{t['name']} ${t['price_per_mtok']:g}" for t in nowhere)
        figure.add_annotation(
            x=0.01, xref="paper", y=0.01, yref="paper", xanchor="left", yanchor="bottom",
            showarrow=False, align="left", font={"size": 12, "color": "#444444"},
            text=f"Tiers without a sourced speed, $/Mtok:<br>{prices}",
        )  # fmt: skip
    for tier in tiers or ():
        speed = tier.get("interactivity")
        if speed is None:
            continue
        figure.add_vline(x=speed, line={"color": "#555555", "width": 1.2, "dash": "dot"})
        figure.add_annotation(
            x=math.log10(speed), y=1, yref="paper", yanchor="top", xanchor="right", showarrow=False,
            text=f"<b>{tier['name']}</b> ${tier['price_per_mtok']:g}/Mtok"
                 f"<br>about {speed:g} tok/s/user",
            align="right", font={"size": 12, "color": "#444444"}, xshift=-4,
        )  # fmt: skip
    return figure


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
    go = require("plotly.graph_objects", extra="report")
    figure = new_figure(height=780)
    panels = (("hashrate", "y", "hash/s"), ("efficiency", "y2", "J/TH"))
    for column, axis, unit in panels:
        for i, (kind, shade) in enumerate(KINDS.items()):
            rows = miners[(miners["kind"] == kind) & miners[column].notna()]
            if not len(rows):
                continue
            guess = (rows["basis"] == "estimate").to_numpy()
            text = [
                f"<b>{r.name}</b> ({kind.upper()}, {r.year:.0f})<br>{si(r.hashrate, 'hash/s')}, "
                f"{si(r.power, 'W')}<br>{_joules(r.efficiency)}<br>{r.basis}"
                for r in rows.itertuples(index=False)
            ]
            figure.add_trace(
                go.Scatter(
                    x=rows["year"], y=rows[column], yaxis=axis, mode="markers", text=text,
                    name=kind.upper(), legendgroup=kind, showlegend=column == "hashrate",
                    hovertemplate="%{text}<extra></extra>",
                    marker={"symbol": SYMBOLS[i], "size": 9,
                            "color": np.where(guess, "white", shade).tolist(),
                            "line": {"color": shade, "width": 1.6}},
                )
            )  # fmt: skip
        value = None if machine is None else machine.get(column)
        if machine is not None and value:
            figure.add_trace(
                go.Scatter(
                    x=[machine["year"]], y=[value], yaxis=axis, mode="markers+text",
                    name="this machine", showlegend=column == "hashrate", text=["this machine"],
                    textposition="middle left", legendgroup="here",
                    textfont={"size": 12, "color": HERE},
                    marker={"symbol": "star", "size": 17, "color": HERE},
                    hovertemplate=f"<b>{machine['name']}</b><br>{si(value, unit, 4)}, measured"
                                  "<extra></extra>",
                )
            )  # fmt: skip
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
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )  # fmt: skip
    return figure


def _joules(value: float) -> str:
    return "power unknown" if not value > 0 else f"{value:,.4g} J/TH"


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
        family, text. Drawn from top to bottom.
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
    go = require("plotly.graph_objects", extra="report")
    figure = new_figure(height=140 + 24 * (len(rows) + len(claims)))
    for group, part in rows.groupby("group", sort=False):
        mining = group == "mining"
        shades = [
            "#333333" if mining else colour(r.vendor, r.family)
            for r in part.itertuples(index=False)
        ]
        value = part["usd_per_mwh"].to_numpy(dtype=float)
        high = (part["high"].to_numpy(dtype=float) - value).clip(min=0)
        low = (value - part["low"].to_numpy(dtype=float)).clip(min=0)
        figure.add_trace(
            go.Scatter(
                x=value, y=part["name"], mode="markers", name=str(group), text=part["text"],
                showlegend=False, hovertemplate="%{text}<extra></extra>",
                marker={"symbol": "diamond" if mining else "circle", "size": 11, "color": shades},
                error_x={"type": "data", "symmetric": False, "array": np.nan_to_num(high),
                         "arrayminus": np.nan_to_num(low), "thickness": 1.4, "width": 4,
                         "color": "#999999"},
            )
        )  # fmt: skip
        figure.add_trace(  # the legend's entry: grey, as colours mean makers
            go.Scatter(
                x=[None], y=[None], mode="markers", hoverinfo="skip",
                name="mining" if mining else f"tokens of {group}",
                marker={"symbol": "diamond" if mining else "circle", "size": 11,
                        "color": "#333333" if mining else "#888888"},
            )
        )  # fmt: skip
    if claims:
        figure.add_trace(
            go.Scatter(
                x=[c["usd_per_mwh"] for c in claims], y=[c["name"] for c in claims], mode="markers",
                name="printed claim, not computed here", text=[c["text"] for c in claims],
                hovertemplate="%{text}<extra></extra>",
                marker={"symbol": "x-thin", "size": 11, "line": {"width": 2.5, "color": "#555555"}},
            )
        )  # fmt: skip
    values = [v for v in [*rows["usd_per_mwh"], *(c["usd_per_mwh"] for c in claims)] if v > 0]
    values = values or [1.0]
    lowest = min([*values, electricity or math.inf])
    figure.update_xaxes(
        log_axis("revenue [$ per MWh at the meter]", lowest / 2, max(values) * 2.5),
        side="bottom",
    )
    figure.update_xaxes(
        ticktext=[f"${v:,.0f}" if v >= 1 else f"${v:g}" for v in figure.layout.xaxis.tickvals]
    )
    order = [*rows["name"], *(c["name"] for c in claims)]
    figure.update_yaxes(
        categoryorder="array", categoryarray=order[::-1], tickfont={"size": 12}, type="category",
        range=[-0.7, len(order) - 0.3],
    )  # fmt: skip
    if electricity:
        figure.add_vline(x=electricity, line={"color": "#D55E00", "width": 1.5, "dash": "dash"})
        figure.add_annotation(
            x=math.log10(electricity), y=1, yref="paper", yanchor="bottom", showarrow=False,
            text=f"a MWh costs ${electricity:,.0f}", font={"size": 12, "color": "#D55E00"},
        )  # fmt: skip
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
