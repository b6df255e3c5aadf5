"""The chart of generations: tokens per second and MW against speed per user, and what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.catalogue.measured import runs
from tokenroof.catalogue.printed import Published, published
from tokenroof.plot.conventions import conventions
from tokenroof.plot.curves import Curve, Made, axis_range, checked
from tokenroof.plot.drawn import Drawn, add_tiers, ends_of
from tokenroof.plot.marks import measured_marks, printed_marks
from tokenroof.plot.style import new_figure, styles_of
from tokenroof.support.arguments import shown
from tokenroof.support.kinds import takes_records
from tokenroof.support.names import normalise

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import xarray as xr

    from tokenroof.catalogue.measured import Run

__all__ = ["chart"]


@takes_records
def chart(
    fronts: Sequence[xr.Dataset],
    *,
    measured: Iterable[Run | Mapping[str, Any]] | None = None,
    printed: Sequence[Published] | None = None,
    tiers: Sequence[Any] | None = None,
    axis: str = "provisioned",
    most_points: int = 40,
) -> go.Figure:
    """Tokens per second and MW, or $ per million tokens, against tokens per second of one user.

    A line for each front with its band from the start, what was measured as filled marks, what makers and
    benchmarks print as hollow ones, tiers below the axis; a menu switches whose watts or dollars count.

    Parameters
    ----------
    fronts : sequence of xarray.Dataset
        What `tokenroof.serving.frontier` and `tokenroof.serving.beside_lpx` return, of one model; in the
        legend each has ``attrs["label"]``, or its device and generation. The points are those that were
        best by provisioned power: by load others may be a little better.
    measured : iterable of Run or mapping, optional
        By default the catalogue's runs of the model and load. A mapping has ``device``, ``speed`` [token/s]
        and ``per_device`` [output token/s], or ``per_mw`` by its own power; ``date``, ``engine``, ``text``.
    printed : sequence of Published, optional
        By default `tokenroof.catalogue.published` of the model, and of the keynote's chart. One that names
        tokens of a MW of its own stays there whichever watts count; one that names no yield stands on the
        axis.
    tiers : sequence of Tier, optional
        As of `tokenroof.economics.gtc2026_tiers`: a line below the axis, with its price, where it has a
        speed or a range of it.
    axis : str
        What is drawn at first: "provisioned", "all-in kW of 2026-09", "boards, by load", "owned, 2026-09",
        ...
    most_points : int
        Points of a curve at most.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    TypeError, ValueError
        For fronts that are none, empty or of several models, a mark without its numbers, or an unknown axis.

    Examples
    --------
    >>> from tokenroof.serving import frontier
    >>> figure = chart([frontier("H200-SXM", "Llama-3.1-8B", devices_max=2)])
    >>> len(figure.layout.updatemenus[0].buttons) >= 6
    True
    """
    tables = checked(fronts)
    model = str(tables[0].attrs["model"])
    choices = conventions()
    chosen = [c.name for c in choices]
    if axis not in chosen:
        raise ValueError(f"axis is {shown(axis)}; allowed: {', '.join(chosen)}")
    first = choices[chosen.index(axis)]
    curves = [Curve.of(table, most_points) for table in tables]
    styles = styles_of(
        [Made(c.label, c.vendor, c.family) for c in curves], {c.label for c in curves}
    )
    marks = measured_marks(_own_runs(tables[0]) if measured is None else measured)
    marks += printed_marks(_own_printed(tables, model) if printed is None else printed)
    ranges = {c.name: axis_range(curves, marks, c) for c in choices}
    figure = new_figure(height=780, margin={"l": 64, "r": 12, "t": 56, "b": 170})
    drawn = Drawn(figure, choices, first, ranges)
    for curve in curves:
        drawn.band(curve, styles[curve.label])
    for curve in curves:
        drawn.line(curve, styles[curve.label])
    drawn.marks(marks, curves, styles)
    drawn.axes([*(c.x for c in curves), np.array([m.speed for m in marks] + ends_of(tiers or ()))])
    add_tiers(figure, tiers or ())
    return figure


def _own_runs(table: xr.Dataset) -> list[Run]:
    """Measured runs of a front's model and load."""
    sizes = table.attrs["input_tokens"], table.attrs["output_tokens"]
    return [
        run
        for run in runs(str(table.attrs["model"]))
        if all(0.85 * n <= t <= 1.15 * n for n, t in zip(run.nominal_tokens, sizes, strict=True))
    ]


def _own_printed(tables: Sequence[xr.Dataset], model: str) -> list[Published]:
    """Printed points of the model, or of the keynote's chart, on devices that are drawn."""
    names = {normalise(str(t.attrs["device"])) for t in tables}
    return [
        point
        for point in published()
        if normalise(point.device) in names
        and (point.keynote or normalise(point.model) == normalise(model))
    ]
