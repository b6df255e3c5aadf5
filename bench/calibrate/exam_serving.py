"""Serving curves against measured points: each row is asked of `tokenroof.serving.curve`.

As a user would who knows how the row's benchmark ran.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

import tokenroof as tr
from tokenroof.calibrate import Points
from tokenroof.calibrate.benchmarks import of_row

_VARIABLES = ("tpot_s", "ttft_s", "error_band", "ttft_error_band")


def predict(points: Points) -> dict[str, np.ndarray]:
    """What `curve` answers for each row; NaN where it has no answer."""
    out = {name: np.full(len(points), np.nan) for name in _VARIABLES}
    loads = zip(points.concurrency, points.input_tokens, points.output_tokens, strict=True)
    records = zip(points.devices, points.models, points.plans, strict=True)
    for i, ((users, tokens, answer), (device, model, plan)) in enumerate(
        zip(loads, records, strict=True)
    ):
        ran = tr.Calibration(constants={"engine": of_row(points.settings, i)})
        try:
            table = tr.serving.curve(device, model, plan, tokens, answer, [users], fidelity=ran)
        except ValueError as error:
            print(f"no answer: {error}", file=sys.stderr)
            continue
        for name in _VARIABLES:
            out[name][i] = table[name].values[0]
    return out


def judge(points: Points, found: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """A row per group: all, then by engine, device and model; ``answered`` is a share of the points."""
    groups = {
        "all": np.full(len(points), "all"),
        "engine": points.engine,
        "device": np.array([d.name for d in points.devices]),
        "model": np.array([m.name for m in points.models]),
    }
    rows = []
    for by, key in groups.items():
        for name in np.unique(key):
            own = key == name
            answered = own & np.isfinite(found["tpot_s"])
            row: dict[str, Any] = {"by": by, "name": str(name), "points": int(own.sum()),
                                   "answered": float(answered.sum() / own.sum())}  # fmt: skip
            for time, band in (("tpot", "error_band"), ("ttft", "ttft_error_band")):
                ratio = found[f"{time}_s"][answered] / getattr(points, f"{time}_s")[answered]
                inside = np.abs(np.log(ratio)) <= np.log1p(found[band][answered])
                row |= {f"{time}_mape": float(np.mean(np.abs(ratio - 1))),
                        f"{time}_median": float(np.median(np.abs(ratio - 1))),
                        f"{time}_bias": float(np.median(ratio - 1)),
                        f"{time}_covered": float(np.mean(inside))} if answered.any() else {}  # fmt: skip
            rows.append(row)
    return rows


def show(rows: list[dict[str, Any]], counts: dict[str, int]) -> None:
    """As a table of text."""
    print("; ".join(f"{reason}: {number}" for reason, number in counts.items()))
    head = "".join(
        f"{f'{t} {w}':>13}" for t in ("TPOT", "TTFT") for w in ("mean", "median", "bias", "covered")
    )
    print(f"{'':28}{'points':>7}{'answered':>10}{head}")
    by = ""
    for r in rows:
        if r["by"] != by and (by := r["by"]) != "all":
            print(f"by {by}")
        cells = "".join(
            f"{r.get(f'{t}_{w}', float('nan')):>{'+' if w == 'bias' else ''}13.1%}"
            for t in ("tpot", "ttft")
            for w in ("mape", "median", "bias", "covered")
        )
        print(f"{r['name']:28}{r['points']:7d}{r['answered']:10.1%}{cells}")
