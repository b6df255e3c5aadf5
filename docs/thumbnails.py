"""What a Plotly figure has in it, as a small picture: lines, marks, areas and bars, panel by panel."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
from sketch import COLOURS, SECONDS_OF_A_YEAR, Axis, Line, Panel, svg

GREY = "#8a8f98"  # text and axes where the page cannot say: readable on white and on black


def _values(given: Any, names: list[str]) -> np.ndarray:
    """Numbers of a trace's values: dates as years, words by their place on the axis."""
    found = np.asarray([] if given is None else given)
    if found.dtype.kind == "M":
        return 1970 + found.astype("datetime64[s]").astype(float) / SECONDS_OF_A_YEAR
    if found.dtype.kind in "US" or found.dtype == object:
        words = [str(v) for v in found]
        if words and all(re.match(r"\d{4}-\d\d", w) for w in words):
            return _values(np.array([w[:10] for w in words], "datetime64[D]"), names)
        try:
            return found.astype(float)
        except ValueError:
            names.extend(dict.fromkeys(w for w in words if w not in names))
            return np.array([names.index(w) for w in words], float)
    return found.astype(float)


def _colour(trace: Any, at: int) -> str:
    """The trace's own colour where it names one."""
    for part in (trace.line if trace.type != "bar" else None, trace.marker):
        colour = None if part is None else part.color
        if isinstance(colour, str) and colour not in ("#222", "#222222", "black", "#333"):
            return colour
        if colour is not None and not isinstance(colour, str) and len(colour):
            return str(colour[0]) if isinstance(colour[0], str) else COLOURS[at % len(COLOURS)]
        if isinstance(colour, str):
            return GREY
    return COLOURS[at % len(COLOURS)]


def _lines(trace: Any, at: int, x: np.ndarray, y: np.ndarray, below: dict[Any, Any]) -> list[Line]:
    colour = _colour(trace, at)
    if trace.type == "bar":
        kind = "barh" if trace.orientation == "h" else "bar"
        base = 0.0 if trace.base is None else np.asarray(trace.base, float)
        along = np.unique(y if kind == "barh" else x)
        width = 0.8 * (float(np.diff(along).min()) if len(along) > 1 else 1.0)
        return [Line(x, y, trace.name or "", colour, kind, base=base, width=width)]
    mode = trace.mode or "lines"
    faint = re.match(r"rgba\(.*, ?0(\.0+)?\)$", colour) or (
        trace.line.width == 0 and "lines" in mode
    )
    out = []
    if trace.type == "scatter" and trace.stackgroup:
        base = below.get("stack", np.zeros(len(y)))
        below["stack"] = y = y + base
        out.append(Line(x, y, "", trace.fillcolor or colour, "area", base=base))
    elif trace.fill in ("tozeroy", "tonexty"):
        base = (
            below["last"]
            if trace.fill == "tonexty" and len(below.get("last", ())) == len(y)
            else 0.0
        )
        out.append(Line(x, y, "", trace.fillcolor or colour, "area", base=base))
    below["last"] = y
    if "lines" in mode and not faint and trace.fill != "toself":
        dash = trace.line.dash if trace.line.dash not in (None, "solid") else ""
        out.append(
            Line(
                x, y, trace.name or "", colour, "line", dash, width=1.3 * (trace.line.width or 2.0)
            )
        )
    if "markers" in mode:
        out.append(Line(x, y, trace.name or "", colour, "marks", width=3.0))
    return [*out, *_reaches(trace, colour, x, y)]


def _axis(layout: Any, names: list[str]) -> Axis:
    title = (layout.title.text or "") if layout is not None else ""
    if layout is None:
        return Axis(title, names=tuple(names))
    log = layout.type == "log"
    ends = [None, None]
    if layout.range is not None and layout.type in (None, "linear", "log", "-") and not names:
        ends = [10.0 ** float(v) if log else float(v) for v in layout.range]
    if ends[0] is not None and ends[1] is not None and ends[0] > ends[1]:
        ends = ends[::-1]
    turned = layout.autorange == "reversed"
    return Axis(title, log, ends[0], ends[1], tuple(names), turned)


def _side_by_side(panel: Panel, mode: str) -> None:
    """Bars of the same place: one on the other, or one beside the other."""
    bars = [i for i, line in enumerate(panel.lines) if line.kind in ("bar", "barh")]
    tops: dict[tuple[float, bool], float] = {}
    for order, i in enumerate(bars):
        line = panel.lines[i]
        along, value = (line.y, line.x) if line.kind == "barh" else (line.x, line.y)
        if mode in ("stack", "relative"):
            base = []
            for place, height in zip(along.tolist(), value.tolist(), strict=True):
                key = (place, height >= 0 or mode == "stack")
                base.append(tops.get(key, 0.0))
                tops[key] = base[-1] + (height if np.isfinite(height) else 0.0)
            panel.lines[i] = replace(line, base=np.array(base))
        elif mode == "group" and len(bars) > 1:
            width = line.width / len(bars)
            moved = along + (order - (len(bars) - 1) / 2) * width
            side = {"y": moved} if line.kind == "barh" else {"x": moved}
            panel.lines[i] = replace(line, width=width, **side)


def _reaches(trace: Any, colour: str, x: np.ndarray, y: np.ndarray) -> list[Line]:
    """Bars of error, as lines."""
    out = []
    for error, along in ((trace.error_x, 0), (trace.error_y, 1)):
        if error.array is None:
            continue
        up = np.asarray(error.array, float)
        down = up if error.arrayminus is None else np.asarray(error.arrayminus, float)
        for i in range(len(x)):
            ends = [[x[i], x[i]], [y[i], y[i]]]
            ends[along] = [ends[along][0] - down[i], ends[along][0] + up[i]]
            out.append(Line(np.array(ends[0]), np.array(ends[1]), "", colour, width=1.5))
    return out


def panels(figure: Any) -> list[Panel]:
    """Panels of a figure, of what is seen when it is opened."""
    found: dict[tuple[str, str], tuple[Panel, list[str], list[str], dict[Any, Any]]] = {}
    for at, trace in enumerate(figure.data):
        if trace.visible in (False, "legendonly") or trace.type not in (
            "scatter",
            "scattergl",
            "bar",
        ):
            continue
        key = (trace.xaxis or "x", trace.yaxis or "y")
        panel, x_names, y_names, below = found.setdefault(key, (Panel(), [], [], {}))
        x, y = _values(trace.x, x_names), _values(trace.y, y_names)
        if len(x) == 0 and len(y):
            x = np.arange(len(y), dtype=float)
        if len(x) and len(x) == len(y):
            panel.lines += _lines(trace, at, x, y, below)
    for (x_key, y_key), (panel, x_names, y_names, _) in found.items():
        _side_by_side(panel, figure.layout.barmode or "group")
        x_axis = getattr(figure.layout, x_key.replace("x", "xaxis"), None)
        y_axis = getattr(figure.layout, y_key.replace("y", "yaxis"), None)
        panel.x, panel.y = _axis(x_axis, x_names), _axis(y_axis, y_names)
        x_part = (x_axis.domain if x_axis is not None else None) or (0.0, 1.0)
        y_part = (y_axis.domain if y_axis is not None else None) or (0.0, 1.0)
        panel.part = (x_part[0], y_part[0], x_part[1], y_part[1])
    return [panel for panel, *_ in found.values() if panel.lines]


def thumbnail(figure: Any) -> str:
    """The figure as SVG of some kilobytes."""
    return svg(panels(figure), 400, 280, ink=GREY, font=17, titles=False)
