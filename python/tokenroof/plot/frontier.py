"""Tokens per second and MW against tokens per second of one user: the keynote's chart."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.catalogue.lookup import device as find_device
from tokenroof.plot.curves import load_of
from tokenroof.plot.style import faded, log_axis, new_figure, plain, styles_of
from tokenroof.support.formats import si
from tokenroof.support.kinds import takes_records
from tokenroof.support.lazy import require
from tokenroof.support.names import UnknownNameError, listed
from tokenroof.support.quoting import counted

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import xarray as xr
    from numpy.typing import NDArray

__all__ = ["frontier"]


@takes_records
def frontier(
    fronts: xr.Dataset | Mapping[tuple[str, str], xr.Dataset] | Sequence[xr.Dataset],
    *,
    tiers: Sequence[Mapping[str, Any]] | None = None,
    shown: str | Iterable[str] | None = None,
    model: str | None = None,
    most_points: int = 40,
) -> go.Figure:
    """The keynote's chart: tokens per second and MW against tokens per second of one user.

    Parameters
    ----------
    fronts : sequence of xarray.Dataset, or dict of them
        What `tokenroof.serving.frontier` returns, of any device, your own or "local" too; device and
        model stand in ``attrs``. One alone is a sequence of one.
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
        Fronts of one device and model at several loads are named with these.

    Raises
    ------
    TypeError, ValueError
        For what is no front, or fronts per MW of different power (``power=`` of
        `tokenroof.serving.frontier`).

    Examples
    --------
    >>> from tokenroof.serving import frontier as pareto
    >>> figure = frontier([pareto("H200-SXM", "Llama-3.1-8B", devices_max=2)])
    >>> figure.layout.xaxis.type
    'log'
    """
    figure = new_figure()
    xarray = require("xarray", extra="report")
    given: Any = fronts  # a dataset is a mapping too
    if isinstance(given, Mapping) and not isinstance(given, xarray.Dataset):
        given = list(given.values())
    tables = [t for t in listed("fronts", given, xarray.Dataset) if t.sizes["point"]]
    power = _power_of(tables)
    curves = [_Curve.of(table, most_points) for table in tables]
    loads = defaultdict[tuple[str, str], set[str]](set)
    for c, table in zip(curves, tables, strict=True):
        loads[c.device, c.model].add(load_of(table))
    curves = [replace(c, name=f"{c.name}, {load_of(table)}") if len(loads[c.device, c.model]) > 1 else c
              for c, table in zip(curves, tables, strict=True)]  # fmt: skip
    visible = {c.device for c in curves} if shown is None else set(listed("shown", shown))
    makers = {c.name: replace(_Maker.of(table), name=c.name)
              for c, table in zip(curves, tables, strict=True)}  # fmt: skip
    styles = styles_of(list(makers.values()), {c.name for c in curves if c.device in visible})
    model = model or (curves[0].model if curves else "")
    for curve in curves:
        if math.isfinite(curve.band):
            shown_at_first = curve.device in visible and curve.model == model
            _add_band(figure, curve, styles[curve.name]["color"], drawn=shown_at_first)
        _add_curve(figure, curve, styles[curve.name], drawn=curve.device in visible, chosen=model)
    _set_axes(figure, _heights(c for c in curves if c.device in visible), model, power)
    _add_prices(figure, [t for t in tiers or () if t.get("interactivity") is None])
    _add_tiers(figure, [t for t in tiers or () if t.get("interactivity") is not None])
    return figure


def _power_of(tables: Sequence[xr.Dataset]) -> str:
    """Whose watts the fronts count, in brackets; empty where they do not say."""
    powers = list(dict.fromkeys(str(t.attrs["power"]) for t in tables if "power" in t.attrs))
    if len(powers) > 1:
        raise ValueError(f"fronts are per MW of {' and '.join(powers)} power; allowed: of one")
    return f" ({powers[0]})" if powers else ""


@dataclass(frozen=True, slots=True)
class _Maker:
    """Who made the device of a front: what its colour depends on."""

    name: str
    vendor: str
    family: str

    @classmethod
    def of(cls, table: xr.Dataset) -> _Maker:
        name = str(table.attrs["device"])
        if "vendor" in table.attrs:
            return cls(name, str(table.attrs["vendor"]), str(table.attrs.get("family", "")))
        try:  # a table that somebody else made
            found = find_device(name)
        except UnknownNameError:
            return cls(name, "", "")
        return cls(name, found.vendor, found.family)


@dataclass(frozen=True, slots=True)
class _Curve:
    """What is drawn of one front: some of its points."""

    device: str
    name: str  # in the legend
    model: str
    band: float
    borrowed: bool  # constants of other devices, or of none
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    text: list[str]

    @classmethod
    def of(cls, table: xr.Dataset, most_points: int) -> _Curve:
        device, model = str(table.attrs["device"]), str(table.attrs["model"])
        pick = np.unique(
            np.round(np.linspace(0, table.sizes["point"] - 1, most_points)).astype(int)
        )
        x = table["interactivity"].values[pick]
        y = table["output_tokens_per_s_per_mw"].values[pick]
        band = float(np.nanmean(table["error_band"].values))
        columns = [
            table[name].values[pick]
            for name in ("plan", "concurrency", "devices", "ttft_s", "per_device")
        ]
        text = [
            f"<b>{plain(device)}</b>, {plain(model)}<br>plan {plain(p)}<br>batch {c:g} on "
            f"{counted(int(n), 'device')}"
            f"<br>{xi:.3g} tok/s/user, {yi:,.0f} tok/s/MW (±{band:.0%})"
            f"<br>{si(r)} tok/s/device, TTFT {si(t, 's')}"
            for p, c, n, t, r, xi, yi in zip(*columns, x, y, strict=True)
        ]
        origin = str(table.attrs.get("calibrated_on", ""))
        borrowed = "borrowed" in origin or origin.startswith("nothing: estimates")
        return cls(device, plain(device), model, band, borrowed, x, y, text)


def _add_band(figure: go.Figure, curve: _Curve, shade: str, *, drawn: bool) -> None:
    """The curve times and over 1 + band; of a device that was measured, hidden until a page asks for it."""
    go = require("plotly.graph_objects", extra="report")
    x, y, band = curve.x, curve.y, curve.band
    figure.add_trace(
        go.Scatter(
            x=np.concatenate([x, x[::-1]]),
            y=np.concatenate([y * (1 + band), y[::-1] / (1 + band)]),
            fill="toself", mode="none", name=f"{curve.name} band", hoverinfo="skip",
            fillcolor=faded(shade), showlegend=False, visible=curve.borrowed and drawn,
            meta={"device": curve.device, "model": curve.model, "band": True, "borrowed": curve.borrowed},
        )
    )  # fmt: skip


def _add_curve(
    figure: go.Figure, curve: _Curve, style: Mapping[str, str], *, drawn: bool, chosen: str
) -> None:
    """A curve of another model than the chosen one has no entry in the legend either."""
    go = require("plotly.graph_objects", extra="report")
    hidden = "legendonly" if curve.model == chosen else False
    figure.add_trace(
        go.Scatter(
            x=curve.x, y=curve.y, mode="lines+markers", name=curve.name, text=curve.text,
            line={**style, "width": 2.2}, marker={"size": 5},
            hovertemplate="%{text}<extra></extra>",
            visible=True if drawn and curve.model == chosen else hidden,
            meta={"device": curve.device, "model": curve.model},
        )
    )  # fmt: skip


def _heights(curves: Iterable[_Curve]) -> dict[str, tuple[float, float]]:
    """Lowest and highest of the axis for each model."""
    heights: dict[str, list[float]] = {}
    for curve in curves:
        heights.setdefault(curve.model, []).extend((float(curve.y.max()), float(curve.y.min())))
    return {of: (max(max(v) / 3e4, min(v) / 2), max(v) * 3) for of, v in heights.items()}


def _set_axes(
    figure: go.Figure, ranges: Mapping[str, tuple[float, float]], model: str, power: str
) -> None:
    title = f"output tokens/s per MW{power}"
    figure.update_yaxes(log_axis(title, *ranges.get(model, (1e2, 1e7))))
    every = log_axis("", min([1e2, *(low for low, _ in ranges.values())]), 1e8)
    figure.update_yaxes(tickvals=every["tickvals"], ticktext=every["ticktext"])
    # so that a page can follow when another model is chosen
    logs = {of: [math.log10(v) for v in r] for of, r in ranges.items()}
    figure.update_layout(meta={"yaxis": logs})
    figure.update_xaxes(
        log_axis("output tokens/s per user", 5, 1500),
        tickvals=[5, 10, 20, 50, 100, 200, 400, 1000],
        ticktext=["5", "10", "20", "50", "100", "200", "400", "1,000"],
    )


def _add_prices(figure: go.Figure, tiers: Sequence[Mapping[str, Any]]) -> None:
    """Tiers that have no place on the axis: a note."""
    if not tiers:
        return
    prices = ", ".join(f"{plain(t['name'])} ${t['price_per_mtok']:g}" for t in tiers)
    figure.add_annotation(
        x=0.01, xref="paper", y=0.01, yref="paper", xanchor="left", yanchor="bottom",
        showarrow=False, align="left", font={"size": 12, "color": "#444444"},
        text=f"Tiers without a sourced speed, $/Mtok:<br>{prices}",
    )  # fmt: skip


def _add_tiers(figure: go.Figure, tiers: Sequence[Mapping[str, Any]]) -> None:
    """A line for each tier, with its price."""
    for tier in tiers:
        speed = tier["interactivity"]
        figure.add_vline(x=speed, line={"color": "#555555", "width": 1.2, "dash": "dot"})
        figure.add_annotation(
            x=math.log10(speed), y=1, yref="paper", yanchor="top", xanchor="right", showarrow=False,
            text=f"<b>{plain(tier['name'])}</b> ${tier['price_per_mtok']:g}/Mtok"
                 f"<br>about {speed:g} tok/s/user",
            align="right", font={"size": 12, "color": "#444444"}, xshift=-4,
        )  # fmt: skip
