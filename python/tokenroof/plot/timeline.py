"""A run over time: who waits and runs, what is done, how full the cache is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.plot.style import new_figure
from tokenroof.support.lazy import require
from tokenroof.support.quoting import shown

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from numpy.typing import NDArray

__all__ = ["timeline"]

# panel: axis title, and the fields with what they are called and their colour
_PANELS = (
    ("requests", (("waiting", "waiting", "#D55E00"), ("running", "running", "#0072B2"))),
    ("requests/s", (("arrivals", "arrive", "#7f7f7f"), ("answered", "are answered", "#009E73"))),
    ("output tokens/s", (("output_tokens", "output tokens", "#0072B2"),)),
    ("share of the cache", (("kv_share", "cache in use", "#CC79A7"),)),
    ("W", (("watts", "power", "#E69F00"),)),
)


def timeline(series: NDArray[Any], title: str = "") -> go.Figure:
    """A run over time: requests that wait and run, rates, the cache and power, one below the other.

    Parameters
    ----------
    series : structured ndarray
        What `tokenroof.serving.series` gives; panels of quantities that are not known are left out.
    title : str
        Of the figure.

    Returns
    -------
    plotly.graph_objects.Figure

    Examples
    --------
    >>> from tokenroof.serving import series
    >>> names = "arrival_ns scheduled_ns first_token_ns last_token_ns input_tokens output_tokens".split()
    >>> run = np.array([(0, 0, 10**9, 3 * 10**9, 100, 5)], [(name, "i8") for name in names])
    >>> len(timeline(series(run)).data)
    5
    """
    if getattr(getattr(series, "dtype", None), "names", None) is None:
        raise TypeError(
            f"series is {shown(series)}; allowed: an array of records, as serving.series gives"
        )
    go = require("plotly.graph_objects", extra="report")
    known = [
        (axis, [line for line in lines if not np.isnan(series[line[0]]).all()])
        for axis, lines in _PANELS
    ]
    panels = [(axis, lines) for axis, lines in known if lines]
    figure = new_figure(height=180 + 190 * len(panels), title={"text": title})
    gap = 0.06 if len(panels) > 1 else 0.0
    tall = (1.0 - gap * (len(panels) - 1)) / max(len(panels), 1)
    for i, (name, lines) in enumerate(panels):
        number = "" if i == 0 else str(i + 1)
        top = 1.0 - i * (tall + gap)
        axis = {
            "title": {"text": name},
            "domain": [max(top - tall, 0.0), top],
            "rangemode": "tozero",
        }
        figure.update_layout({f"yaxis{number}": axis})
        for field, said, shade in lines:
            figure.add_trace(
                go.Scatter(
                    x=series["time_s"], y=series[field], yaxis=f"y{number}", name=said,
                    line={"color": shade, "width": 1.6},
                )
            )  # fmt: skip
    last = f"y{len(panels)}" if len(panels) > 1 else "y"
    figure.update_layout(xaxis={"title": {"text": "time [s]"}, "anchor": last})
    return figure
