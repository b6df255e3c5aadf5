"""What each generation of a link does to a frontier."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenroof.economics.interconnect import Interconnect
from tokenroof.plot.style import new_figure, plain
from tokenroof.support.arguments import shown
from tokenroof.support.lazy import require

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["interconnect"]

# Okabe and Ito's, the oldest generation first
_COLOURS = ("#999999", "#CC79A7", "#E69F00", "#56B4E9", "#0072B2", "#009E73")


def interconnect(found: Interconnect) -> go.Figure:
    """The frontier of one device with the link of each generation: a line each.

    Parameters
    ----------
    found : Interconnect
        What `tokenroof.economics.interconnect` returns.

    Returns
    -------
    plotly.graph_objects.Figure
        Tokens per second and MW over tokens per second of one user, both logarithmic.

    Raises
    ------
    TypeError
        For anything else.

    Examples
    --------
    >>> from tokenroof.economics import interconnect as measure
    >>> len(interconnect(measure("H200-SXM", "Llama-3.1-70B", [3, 4], devices_max=8)).data)
    2
    """
    go = require("plotly.graph_objects", extra="report")
    if not isinstance(found, Interconnect):
        raise TypeError(f"found is {shown(found)}; allowed: an Interconnect")
    figure = new_figure(
        title={
            "text": f"{plain(found.model)} on {plain(found.device)}, with the link of each NVLink"
        }
    )
    for generation, rate, front in zip(
        found.generations, found.bandwidth, found.fronts, strict=True
    ):
        figure.add_trace(
            go.Scatter(
                x=front.interactivity.values, y=front.output_tokens_per_s_per_mw.values,
                mode="lines", name=f"NVLink {generation}, {rate / 1e9:g} GB/s one way",
                line={"color": _COLOURS[(generation - 1) % len(_COLOURS)]},
                customdata=[plain(p) for p in front.plan.values],
                hovertemplate="%{x:.3g} token/s, %{y:.4g} token/(s MW)<br>%{customdata}",
            )
        )  # fmt: skip
    figure.update_xaxes(type="log", title="output tokens per second of one user")
    figure.update_yaxes(type="log", title="output tokens per second and MW")
    return figure
