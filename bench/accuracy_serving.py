"""How far serving curves are from measurements: `python bench/accuracy_serving.py --measured FILE`.

FILE is a table of serving points in closed loop, as `tokenroof.calibrate.read_serving` takes it, or a folder
with ``end_to_end.csv``. Each row is asked of `tokenroof.serving.curve`, as a user would. Prints points,
answers, mean and median absolute percentage error, median bias, and how many measurements stand within
the curve's error band, by engine, device and model. Points that the constants were fitted on are among them
unless FILE holds others: the catalogue's ``constants/engine.toml`` says how good they were left out.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

import numpy as np

import tokenroof as tr
from tokenroof.calibrate import Points, read_serving
from tokenroof.calibrate._points import rule

_VARIABLES = ("tpot_s", "ttft_s", "error_band", "ttft_error_band")


def predict(points: Points) -> dict[str, np.ndarray]:
    """What `curve` answers for each row; NaN where it has no answer."""
    out = {name: np.full(len(points), np.nan) for name in _VARIABLES}
    loads = zip(points.concurrency, points.input_tokens, points.output_tokens, strict=True)
    records = zip(points.devices, points.models, points.plans, strict=True)
    for i, ((users, tokens, answer), (device, model, plan)) in enumerate(
        zip(loads, records, strict=True)
    ):
        try:
            table = tr.serving.curve(device, model, plan, tokens, answer, [users])
        except ValueError as error:
            print(f"no answer: {error}", file=sys.stderr)
            continue
        for name in _VARIABLES:
            out[name][i] = table[name].values[0]
    return out


def judge(points: Points, found: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """A row per group: all, then by engine, device and model."""
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


def show(rows: list[dict[str, Any]]) -> None:
    """As a table of text."""
    head = "".join(
        f"{f'{t} {w}':>13}" for t in ("TPOT", "TTFT") for w in ("mean", "median", "bias", "covered")
    )
    print(f"{'':28}{'points':>7}{'answered':>10}{head}")
    for r in rows:
        cells = "".join(
            f"{r.get(f'{t}_{w}', float('nan')):>{'+' if w == 'bias' else ''}13.1%}"
            for t in ("tpot", "ttft")
            for w in ("mape", "median", "bias", "covered")
        )
        print(f"{r['name']:28}{r['points']:7d}{r['answered']:10.1%}{cells}")


def main() -> int:
    """Print the table; 2 for a table that does not do."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measured", required=True, metavar="FILE")
    parser.add_argument(
        "--exclude", action="append", default=[], type=rule, metavar="COLUMN=VALUE[,...]"
    )
    parser.add_argument(
        "--every", action="store_true", help="also rows that physics or memory rule out"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document")
    given = parser.parse_args()
    path = given.measured
    if os.path.isdir(path):
        path = os.path.join(path, "end_to_end.csv")
    try:
        points = read_serving(path, exclude=tuple(given.exclude), possible=not given.every)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    rows = judge(points, predict(points))
    if given.json:
        print(json.dumps({"counts": points.counts, "rows": rows}))
        return 0
    print("; ".join(f"{reason}: {number}" for reason, number in points.counts.items()))
    show(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
