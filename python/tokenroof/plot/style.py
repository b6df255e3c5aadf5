"""What all figures share: colours, lines, axes."""

from __future__ import annotations

import math
from collections.abc import Container, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from tokenroof.support.formats import si
from tokenroof.support.lazy import require
from tokenroof.support.quoting import shown

if TYPE_CHECKING:
    import plotly.graph_objects as go

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
INK, GRID = "#222222", "#e8e8e8"
# (vendor, words of the family) -> colour; the first that fits counts
_COLOURS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("", ("LPU",), "#8a7a00"),
    ("NVIDIA", ("Rubin",), "#D55E00"),
    ("NVIDIA", ("Blackwell",), "#009E73"),
    ("NVIDIA", ("Hopper",), "#0072B2"),
    ("NVIDIA", (), "#7f7f7f"),
    ("AMD", ("Zen",), "#8c564b"),
    ("AMD", (), "#CC79A7"),
    ("Google", (), "#E69F00"),
    ("AWS", (), "#56B4E9"),
)
OTHER, HERE = "#9a9a9a", "#000000"
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
KINDS = {"cpu": "#0072B2", "gpu": "#009E73", "fpga": "#CC79A7", "asic": "#D55E00"}
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star-triangle-down")


def colour(vendor: str, family: str = "") -> str:
    """Colour of a vendor's generation, the same in every figure.

    Parameters
    ----------
    vendor, family : str
        As a `Device` has them.

    Returns
    -------
    str
        Hexadecimal, as CSS writes it.

    Examples
    --------
    >>> colour("NVIDIA", "Blackwell Ultra") == colour("NVIDIA", "Blackwell")
    True
    """
    for name, value in (("vendor", vendor), ("family", family)):
        if not isinstance(value, str):
            raise TypeError(f"{name} is {shown(value)}; allowed: a text")
    for maker, words, found in _COLOURS:
        if (not maker or maker == vendor) and (not words or any(w in family for w in words)):
            return found
    return OTHER


def plain(text: object) -> str:
    """A name as Plotly shows it letter by letter; a line break in it is one.

    Plotly reads tags, entities and templates in every label: names come from files, and are text. Escaped
    here, once, where a name becomes part of a figure; what only identifies (``meta``, groups of the legend)
    stays as it is.

    Examples
    --------
    >>> plain("a<b> & %{x}")
    'a&lt;b&gt; &amp; &#37;{x}'
    """
    said = str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return said.replace("%{", "&#37;{").replace("\n", "<br>")


def _dash(index: int) -> str:
    return _DASHES[index % len(_DASHES)]


class Made(Protocol):
    """What a line style depends on: a device, or what a table says of one."""

    @property
    def name(self) -> str: ...
    @property
    def vendor(self) -> str: ...
    @property
    def family(self) -> str: ...


def styles_of(devices: Sequence[Made], first: Container[str]) -> dict[str, dict[str, str]]:
    """A line style per device: its colour, and a dash that its colour has not had yet.

    Those named in `first` choose before the others, as they are drawn together.
    """
    styles = {}
    for chosen in (True, False):
        used: dict[str, int] = {}
        for device in devices:
            if (device.name in first) is chosen:
                shade = colour(device.vendor, device.family) if device.vendor else HERE
                styles[device.name] = {"color": shade, "dash": _dash(used.get(shade, 0))}
                used[shade] = used.get(shade, 0) + 1
    return styles


def new_figure(**layout: Any) -> go.Figure:
    go = require("plotly.graph_objects", extra="report")
    figure = go.Figure()
    figure.update_layout(
        template="none",
        font={"family": FONT, "size": 13, "color": INK},
        paper_bgcolor="white",
        plot_bgcolor="white",
        height=620,
        margin={"l": 72, "r": 24, "t": 24, "b": 64},
        hoverlabel={"bgcolor": "white", "font": {"family": FONT, "size": 12}, "align": "left"},
        legend={"font": {"size": 12}, "bgcolor": "rgba(255,255,255,0.85)", "tracegroupgap": 2},
    )
    figure.update_layout(**layout)
    axis = {
        "gridcolor": GRID, "linecolor": "#999999", "showline": True, "zeroline": False,
        "ticks": "outside", "tickcolor": "#999999", "automargin": True,
        "title": {"standoff": 10},
    }  # fmt: skip
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
    return figure


def log_axis(title: str, low: float, high: float, unit: str = "", **more: Any) -> dict[str, Any]:
    """A log axis whose ticks are powers of ten in words: 100 G, 1 T."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    ticks = [10.0**e for e in range(first, last + 1)]
    return {
        "type": "log",
        "title": {"text": title},
        "range": [math.log10(low), math.log10(high)],
        "tickvals": ticks,
        "ticktext": [si(t, unit, 1) if t >= 1 else f"{t:g} {unit}".strip() for t in ticks],
        **more,
    }


def faded(shade: str, alpha: float = 0.12) -> str:
    red, green, blue = (int(shade[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"
