"""All that the page of accuracy says, in one file: ``python bench/accuracy_page.py FOLDER``.

FOLDER holds measured tables as `bench/accuracy.py` and `bench/systems.py` read them (``operators/``,
``end_to_end.csv``), and recorded runs as `bench/serving_runs.py` reads them (``serving_runs/<name>``).
Writes ``docs/results/accuracy.json``: errors and counts alone, nothing of the tables; with the date, the
version, a mark of the constants that were asked, and a few predictions by which a test sees that formulas
changed since. A minute of one core. ``docs/accuracy_tables.py`` makes the page's tables of it when the
pages are built.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import io
import os
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import best_points
import hashes
import serving_runs
import systems
import tokenroof as tr
from as_run import as_run
from calibrate import exam_operators, exam_serving
from inference import one_user
from tokenroof import catalogue, mining
from tokenroof.calibrate import SPECS, Points, read_serving
from tokenroof.mining.scan import bound_of, local_core

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "docs"))

from results import RESULTS, fits_mark, probes, processor, save  # noqa: E402

#: Devices and models of recorded runs, which their files name as an engine does; whether ranks are replicas;
#: microseconds of the host a step.
RUNS = (
    ("RTX4090__Llama-3.1-8B", "RTX 4090", "Llama-3.1-8B", False, 0),
    ("RTXPRO6000__Qwen3-30B-A3B-Instruct-2507", "RTX PRO 6000 Blackwell",
     "Qwen3-30B-A3B-Instruct-2507", True, 0),
    ("RTXPRO6000__Qwen3-30B-A3B-Instruct-2507", "RTX PRO 6000 Blackwell",
     "Qwen3-30B-A3B-Instruct-2507", False, 0),
)  # fmt: skip
FIGURES = ("ttft_s mean", "ttft_s p50", "ttft_s p90", "ttft_s p99", "tpot_s p50", "e2e_s p50",
           "output_throughput")  # fmt: skip


def operators(folder: str) -> dict[str, Any]:
    """Errors of each table and type, and their totals; of board power too."""
    left: list[str] = []
    parts = [p for name in SPECS for p in exam_operators.operators(folder, name, left.append)]
    parts += exam_operators.powers(folder, left.append)
    return {
        "tables": [p.row() for p in parts],
        "totals": exam_operators.totals(parts),
        "left_out": len(left),
    }


def serving(path: str) -> dict[str, Any]:
    """Errors of both times by engine, device, model and what they are together; what the points covered."""
    points = read_serving(path)
    found = exam_serving.predict(points)
    rows = exam_serving.judge(points, found)
    return {"counts": points.counts, "rows": rows, "covers": covered(points)}


def covered(points: Points) -> dict[str, Any]:
    """Models, engines, types, degrees and loads that measured points have."""
    degrees = "tp", "pp", "dp", "cp", "moe_tp", "moe_ep"
    most = {name: max(int(getattr(p, name) or 1) for p in points.plans) for name in degrees}
    loads = {
        name: [float(np.min(x)), float(np.max(x))]
        for name, x in (
            ("concurrency", points.concurrency),
            ("input_tokens", points.input_tokens),
            ("output_tokens", points.output_tokens),
        )
    }
    types = {
        name: sorted({str(getattr(p, name)) for p in points.plans})
        for name in ("engine", "weights", "experts", "kv_cache")
    }
    return {
        "models": sorted({m.name for m in points.models}),
        "devices": sorted({d.name for d in points.devices}),
        "types": types, "degrees": most, "loads": loads,
    }  # fmt: skip


def apart(frame: pd.DataFrame) -> dict[str, Any]:
    """Pools apart, and best measured points beside the frontier."""
    rows, alone, recipes = (
        systems.apart(frame),
        systems.apart(frame, as_ran=False),
        systems.by_recipe(frame),
    )
    best, left = best_points.buckets(frame)
    answers = {
        "points": len(rows), "answered": int(np.isfinite(rows.tpot).sum()),
        "by_recipe": len(recipes), "by_recipe_answered": int(np.isfinite(recipes.tpot).sum()),
    }  # fmt: skip
    return {"apart": systems.apart_errors(rows, alone, recipes), "answers": answers,
            "frontier": best_points.bucket_sides(best), "causes": best_points.bucket_causes(best),
            "passed_over": best_points.passed_over(left),
            "range": [best_points.LOW, best_points.HIGH]}  # fmt: skip


def published() -> list[dict[str, Any]]:
    """Published maximum throughput, as the tests have it: predicted over published."""
    known = runpy.run_path(str(ROOT / "tests" / "serving" / "test_published.py"))
    found = []
    for model, device, layout, types, rates in known["PUBLISHED"]:
        asked = [(load, rate) for load, rate in zip(known["LOADS"], rates, strict=True) if rate]
        r = np.array(
            [known["_most"](device, model, layout, types, load) / rate for load, rate in asked]
        )
        found.append({
            "model": model, "device": device, "layout": layout, "rates": r.size,
            "weights": types.get("experts", types["weights"]),
            "mape": np.abs(r - 1.0).mean(), "ratio": np.exp(np.log(r).mean()),
            "least": r.min(), "most": r.max(),
        })  # fmt: skip
    return found


def runs(folder: Path) -> list[dict[str, Any]]:
    """Recorded runs played by the simulator: how far off each figure is."""
    found = []
    for name, device, model, alone, host_us in RUNS:
        if (folder / name).is_dir():
            mine, theirs = serving_runs.played(folder / name, device, model, alone, host_us)
            off = {f: mine[f] / theirs[f] - 1.0 for f in FIGURES}
            found.append({"run": name, "device": device, "model": model, "alone": alone,
                          "host_us": host_us} | off)  # fmt: skip
    return found


def fastest() -> list[dict[str, Any]]:
    """The largest published speed per user of each device, beside ours."""
    found = []
    for point in catalogue.fastest_published().values():
        row = {"device": point.device, "model": point.model, "published": point.speed,
               "date": point.provenance.date}  # fmt: skip
        try:
            row |= one_user.predicted(point)
        except (KeyError, ValueError) as error:
            row["none"] = str(error.args[0])[:80]
        found.append(row)
    return found


def hashing(rounds: int = 5) -> dict[str, Any]:
    """Headers a second of this processor's scanners, beside the bound that its core's tables give."""
    core = local_core()
    rows: list[dict[str, Any]] = []
    if core is not None:
        here = [name for name, b in mining.backends().items() if b["available"] and name != "cuda"]
        for name, mode in ((name, mode) for name in here for mode in ("nonce", "roll")):
            shares = []
            for _ in range(rounds):
                before = tr._core.measured_clock_hz()
                rate = hashes.rate(name, mode)
                clock = (before + tr._core.measured_clock_hz()) / 2
                shares.append((rate / bound_of(core, name, mode, clock)[0], rate))
            share, rate = max(shares)
            rows.append({"scanner": name, "mode": mode, "rate": rate, "of_bound": share})
    kinds = catalogue.miners().kind.value_counts()
    return {"core": core and core["name"], "basis": core and core["basis"], "rows": rows,
            "machines": {str(k): int(n) for k, n in kinds.items()}}  # fmt: skip


def parts_of(folder: Path) -> dict[str, Any]:
    """Every part that the folder allows."""
    points = folder / "end_to_end.csv"
    found: dict[str, Any] = {}
    if (folder / "operators").is_dir():
        found["operators"] = operators(str(folder))
    if points.exists():
        found["serving"] = serving(str(points))
        found["systems"] = apart(as_run(pd.read_csv(points)))
    if (folder / "serving_runs").is_dir():
        found["runs"] = runs(folder / "serving_runs")
    return found | {"published": published(), "fastest": fastest(), "hashing": hashing()}


def main() -> int:
    """Write the file; 2 for a folder without tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="measured tables")
    parser.add_argument("--out", type=Path, default=RESULTS / "accuracy.json")
    asked = parser.parse_args()
    if os.environ.get("TOKENROOF_CONSTANTS"):
        print(
            "error: TOKENROOF_CONSTANTS is set; the page is of the catalogue's constants",
            file=sys.stderr,
        )
        return 2
    said = io.StringIO()
    with contextlib.redirect_stderr(said):  # a line for each point without an answer
        found = parts_of(asked.folder)
    if "operators" not in found and "serving" not in found:
        print(f"error: {asked.folder} has neither operators/ nor end_to_end.csv", file=sys.stderr)
        return 2
    head = {
        "date": datetime.date.today().isoformat(), "version": tr.__version__,
        "command": "python bench/accuracy_page.py FOLDER", "fits": fits_mark(), "probes": probes(),
        "processor": processor(),
    }  # fmt: skip
    save(asked.out, head | found)
    print(f"{asked.out}: {len(said.getvalue().splitlines())} points without an answer")
    return 0


if __name__ == "__main__":
    sys.exit(main())
