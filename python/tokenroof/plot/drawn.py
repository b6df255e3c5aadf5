"""What the chart of generations consists of: bands, lines, marks, a menu of axes, tiers below."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.catalogue.lookup import device as find_device
from tokenroof.plot.curves import watts_of
from tokenroof.plot.style import OTHER, SYMBOLS, colour, faded, log_axis, plain
from tokenroof.support.lazy import require
from tokenroof.support.names import UnknownNameError, normalise

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from numpy.typing import NDArray

    from tokenroof.plot.conventions import Convention
    from tokenroof.plot.curves import Curve
    from tokenroof.plot.marks import Mark

    Array = NDArray[np.float64]

__all__ = ["Drawn", "add_tiers", "ends_of"]

_SPEEDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
_GREY = "#444444"


class Drawn:
    """A figure and, of each of its traces, the heights by every choice of the axis."""

    def __init__(
        self,
        figure: go.Figure,
        choices: Sequence[Convention],
        first: Convention,
        ranges: Mapping[str, tuple[float, float]],
    ) -> None:
        self.figure, self.choices, self.first, self.ranges = figure, choices, first, ranges
        self.heights: list[dict[str, list[float | None]]] = []

    def _add(self, x: Any, heights: Mapping[str, Any], **more: Any) -> None:
        go = require("plotly.graph_objects", extra="report")
        plain = {name: [v if v is not None and math.isfinite(v) else None for v in np.asarray(y).tolist()]
                 for name, y in heights.items()}  # fmt: skip
        self.heights.append(plain)
        self.figure.add_trace(go.Scatter(x=x, y=plain[self.first.name], **more))

    def band(self, curve: Curve, style: Mapping[str, str]) -> None:
        """From each point's slow end to its fast one; where a range is all that is known, in the legend."""
        slow, fast = curve.ends
        heights = {
            c.name: np.concatenate([curve.good[c.name], curve.bad[c.name][::-1]])
            for c in self.choices
        }
        outline = {"mode": "lines", "line": {"color": style["color"], "width": 1, "dash": "dot"}}
        self._add(
            np.concatenate([fast, slow[::-1]]), heights, fill="toself", name=plain(curve.label),
            fillcolor=faded(style["color"], 0.2 if curve.lone_band else 0.09), legendgroup=curve.label,
            showlegend=curve.lone_band, hoverinfo="skip",
            **(outline if curve.lone_band else {"mode": "none"}),
        )  # fmt: skip

    def line(self, curve: Curve, style: Mapping[str, str]) -> None:
        """The points of a curve; of a range that is no line alone, so that a pointer finds them."""
        look = (
            {"mode": "markers", "marker": {"size": 3, "color": style["color"]}, "showlegend": False}
            if curve.lone_band
            else {"mode": "lines", "line": {**style, "width": 2.4}}
        )
        self._add(
            curve.x, {c.name: curve.y[c.name] for c in self.choices},
            name=plain(curve.label), text=curve.text,
            legendgroup=curve.label, hovertemplate="%{text}<br>%{y:,.4~g}<extra></extra>", **look,
        )  # fmt: skip

    def marks(
        self,
        marks: Sequence[Mark],
        curves: Sequence[Curve],
        styles: Mapping[str, Mapping[str, str]],
    ) -> None:
        """Filled and hollow, in the colour of the device's curve; without a yield on the axis, as a tip."""
        for hollow, name in ((False, "measured"), (True, "printed")):
            some = [m for m in marks if m.hollow is hollow]
            if not some:
                continue
            heights = {c.name: [self._height(m, curves, c) for m in some] for c in self.choices}
            shades = [_shade(m, curves, styles) for m in some]
            on_axis = [math.isnan(m.per_device) and math.isnan(m.per_mw) for m in some]
            places = {c.device: i for i, c in enumerate(curves)}
            shapes = [
                "triangle-down" if axis else SYMBOLS[places.get(m.device, 0) % len(SYMBOLS)]
                for m, axis in zip(some, on_axis, strict=True)
            ]
            self._add(
                [m.speed for m in some], heights, name=name, mode="markers", text=[m.text for m in some],
                hovertemplate="%{text}<br>%{y:,.4~g}<extra></extra>",
                marker={
                    "size": 10 if hollow else 9, "color": shades,
                    "symbol": [f"{s}-open" if hollow else s for s in shapes],
                    "line": {"color": shades if hollow else "white", "width": 1.8 if hollow else 1},
                },
            )  # fmt: skip

    def _height(self, mark: Mark, curves: Sequence[Curve], choice: Convention) -> float:
        if math.isnan(mark.per_device) and math.isnan(mark.per_mw):
            return 1.12 * self.ranges[choice.name][0]
        return mark.at(choice, watts_of(mark, curves, choice))

    def axes(self, speeds: Sequence[Array]) -> None:
        """Log axes, and the menu that changes the upright one."""
        self.figure.update_yaxes(self._upright(self.first))
        x = np.concatenate(speeds)
        low, high = float(x.min()) / 1.3, float(x.max()) * 1.3
        shown = [s for s in _SPEEDS if low <= s <= high]
        self.figure.update_xaxes(
            log_axis("output tokens/s per user", low, high),
            tickvals=shown, ticktext=[f"{s:,}" for s in shown], tickangle=0,
        )  # fmt: skip
        buttons = [
            {"label": c.short, "method": "update",
             "args": [{"y": [h[c.name] for h in self.heights]},
                      {f"yaxis.{k}": v for k, v in self._upright(c).items() if k != "title"}
                      | {"yaxis.title.text": c.title}]}
            for c in self.choices
        ]  # fmt: skip
        self.figure.update_layout(
            updatemenus=[{
                "buttons": buttons, "active": list(self.choices).index(self.first), "x": 0, "xanchor": "left",
                "y": 1.0, "yanchor": "bottom", "pad": {"b": 8}, "bgcolor": "white", "font": {"size": 12},
            }],
            legend={"orientation": "h", "x": 0, "y": -0.34, "yanchor": "top", "font": {"size": 12}},
        )  # fmt: skip

    def _upright(self, choice: Convention) -> dict[str, Any]:
        return log_axis(choice.title, *self.ranges[choice.name])


def _shade(mark: Mark, curves: Sequence[Curve], styles: Mapping[str, Mapping[str, str]]) -> str:
    for curve in curves:
        if normalise(curve.device) == normalise(mark.device):
            return styles[curve.label]["color"]
    try:
        found = find_device(mark.device)
    except UnknownNameError:
        return OTHER
    return colour(found.vendor, found.family)


def _speeds(tier: Any) -> tuple[float, float] | None:
    """Low and high speed of a tier, or None where it has none."""
    one, two = _of(tier, "interactivity"), _of(tier, "interactivity_range")
    if one is not None:
        return float(one), float(one)
    return None if two is None else (float(two[0]), float(two[1]))


def _of(tier: Any, name: str) -> Any:
    """A field of a tier that is a record, or a row of the catalogue."""
    return tier.get(name) if isinstance(tier, Mapping) else getattr(tier, name, None)


def ends_of(tiers: Sequence[Any]) -> list[float]:
    """Speeds at the ends of those tiers that have any."""
    return [s for tier in tiers if (pair := _speeds(tier)) is not None for s in pair]


def add_tiers(figure: go.Figure, tiers: Sequence[Any]) -> None:
    """A line below the axis for each tier with a speed or a range of it, its name and price on it."""
    known = [(tier, speeds) for tier in tiers if (speeds := _speeds(tier)) is not None]
    for i, (tier, (low, high)) in enumerate(known):
        name, price = _of(tier, "name"), _of(tier, "price_per_mtok")
        y = -0.175 - 0.085 * (i % 2)
        figure.add_shape(
            type="line", xref="x", yref="paper", x0=low / 1.03, x1=high * 1.03, y0=y, y1=y,
            line={"color": _GREY, "width": 4},
        )  # fmt: skip
        figure.add_annotation(
            x=0.5 * (math.log10(low) + math.log10(high)), xref="x", y=y, yref="paper", yanchor="bottom",
            showarrow=False, text=f"<b>{plain(name)}</b> ${price:g}", font={"size": 11, "color": _GREY},
        )  # fmt: skip
