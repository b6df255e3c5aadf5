"""Predictions held against what was measured: runs of the catalogue, and published yields."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import catalogue, serving
from tokenroof.catalogue import quotes
from tokenroof.catalogue.architectures import model as find_model
from tokenroof.catalogue.files import date_key
from tokenroof.catalogue.lookup import device as find_device
from tokenroof.plot.style import plain
from tokenroof.support.lazy import require

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import plotly.graph_objects as go

__all__ = ["add_runs", "anchors", "held_against", "months_since", "runs", "within"]


def months_since(when: str, today: date | None = None) -> int:
    """Whole months from a date of the catalogue until today.

    Examples
    --------
    >>> months_since("2025-10-07", date(2026, 11, 28)), months_since("2026-03", date(2026, 4, 2))
    (13, 1)
    """
    now = today or date.today()
    year, month, day = date_key(when)
    return (now.year - year) * 12 + now.month - month - (day > now.day)


def within(ratio: float, band: float) -> bool:
    """Whether a prediction that is `ratio` times the measurement lies in its relative band.

    Examples
    --------
    >>> within(1.2, 0.21), within(0.80, 0.21), within(1.0, float("nan"))
    (True, False, False)
    """
    return 1.0 / (1.0 + band) <= ratio <= 1.0 + band


def runs() -> list[dict[str, Any]]:
    """The catalogue's measured runs, each beside the prediction for its plan, load and batch.

    Returns
    -------
    list of dict
        device, model, load, engine, version, date, months (age), plan, concurrency; measured and
        predicted ttft_s, tpot_s [s] and output_tokens_per_s_per_mw; ratios (predicted over
        measured), bands and whether inside; kind, source.
    """
    rows = []
    for run in catalogue.runs():
        table = serving.curve(
            run.device, run.model, run.plan, run.input_tokens, run.output_tokens, [run.concurrency]
        ).isel(concurrency=0)
        megawatts = float(table["provisioned_watts"]) * 1e-6
        row = {
            "device": run.device, "model": run.model, "load": run.load, "engine": run.plan.engine,
            "version": run.version, "date": run.date, "months": months_since(run.date),
            "plan": run.plan.label(find_model(run.model)), "concurrency": run.concurrency,
            "interactivity": 1.0 / run.tpot_s,
            "output_tokens_per_s_per_mw": run.output_throughput / megawatts,
            "predicted_output_tokens_per_s_per_mw": float(table["output_tokens_per_s_per_mw"]),
        }  # fmt: skip
        for name, band in (("tpot", "error_band"), ("ttft", "ttft_error_band")):
            measured, predicted = getattr(run, f"{name}_s"), float(table[f"{name}_s"])
            width = float(table[band])
            row |= {
                f"{name}_s": measured, f"predicted_{name}_s": predicted,
                f"{name}_ratio": predicted / measured, f"{name}_band": width,
                f"{name}_inside": within(predicted / measured, width),
            }  # fmt: skip
        rows.append(row | {"kind": run.provenance.kind, "source": run.provenance.source})
    return rows


def anchors(measured: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Published tokens per MW that a prediction can be held against: the same model and speed.

    Parameters
    ----------
    measured : sequence of mapping
        What `runs` returns: the later measurements of the same model, load and device.

    Returns
    -------
    list of dict
        device, model, speed [token/s], published and predicted [token/(s MW), input and output
        tokens together], ratio, band, inside, later (the best of `measured` at that speed or above,
        None where there is none), later_engine, date, months, kind, source.
    """
    model, load, speed = "gpt-oss-120b", (1024, 8192), 90.0
    head, both = f"{model} 1K/8K at {speed:.0f} tok/s/user ", 1.0 + load[0] / load[1]
    of = find_model(model)
    released = serving.released_types(of)
    rows = []
    for quote in quotes("tokens_per_s_per_MW"):
        if not quote.region.startswith(head):
            continue
        d = find_device(quote.region.removeprefix(head))
        # as the benchmark runs it: released types, tensor parallelism alone, 4 to 128 in flight
        plans = [
            plan
            for plan in serving.default_plans(d, of, 8)
            if plan.dp == plan.moe_ep == 1 and (plan.weights, plan.experts) == released
        ]
        front = serving.frontier(d, of, plans, *load, concurrency=np.arange(4, 129))
        fast = np.flatnonzero(front["interactivity"].values >= speed)
        if not fast.size:
            continue
        yields = front["output_tokens_per_s_per_mw"].values
        best = fast[np.argmax(yields[fast])]
        ratio, band = yields[best] * both / quote.value, float(front["error_band"].values[best])
        later = [
            row for row in measured
            if (row["device"], row["model"], row["load"]) == (d.name, model, "1K/8K")
            and row["interactivity"] >= speed
        ]  # fmt: skip
        newest = max(later, key=lambda row: row["output_tokens_per_s_per_mw"], default=None)
        rows.append({
            "device": d.name, "model": model, "speed": speed, "published": quote.value,
            "predicted": yields[best] * both, "ratio": ratio, "band": band,
            "inside": within(ratio, band),
            "later": None if newest is None else newest["output_tokens_per_s_per_mw"] * both,
            "later_engine": ""
            if newest is None
            else f"{newest['engine']} {newest['version']}, {newest['date']}",
            "date": quote.date, "months": months_since(quote.date), "kind": quote.kind,
            "source": quote.source,
        })  # fmt: skip
    return rows


def held_against() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What `runs` and `anchors` return."""
    ran = runs()
    return ran, anchors(ran)


def add_runs(
    figure: go.Figure,
    rows: Iterable[Mapping[str, Any]],
    load: str,
    model: str,
    shown: Iterable[str],
) -> None:
    """Draw the measured runs of one load on the chart of frontiers, in the colours of their devices."""
    go = require("plotly.graph_objects", extra="report")
    visible = set(shown)
    colours = {
        trace.meta["device"]: trace.line.color
        for trace in figure.data
        if trace.mode and "lines" in trace.mode and trace.meta
    }
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["load"] == load and row["device"] in colours:
            groups.setdefault((row["device"], row["model"]), []).append(row)
    for (device, of), points in groups.items():
        text = [
            f"<b>{plain(device)}, measured</b>, {plain(of)} {load}"
            f"<br>{plain(p['engine'])} {plain(p['version'])}, {p['date']}"
            f"<br>plan {plain(p['plan'])}, batch {p['concurrency']}<br>{p['interactivity']:.3g} tok/s/user,"
            f" {p['output_tokens_per_s_per_mw']:,.0f} tok/s/MW"
            f"<br>TTFT {p['ttft_s']:.2g} s; predicted TPOT {p['tpot_ratio']:.2f} x this"
            for p in points
        ]
        figure.add_trace(
            go.Scatter(
                x=[p["interactivity"] for p in points],
                y=[p["output_tokens_per_s_per_mw"] for p in points],
                mode="markers", name=f"{plain(device)} measured", text=text, showlegend=False,
                hovertemplate="%{text}<extra></extra>",
                marker={"symbol": "diamond-open", "size": 11, "color": colours[device],
                        "line": {"width": 2.2}},
                visible=device in visible and of == model,
                meta={"device": device, "model": of},
            )
        )  # fmt: skip
