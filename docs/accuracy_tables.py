"""Tables of the page of accuracy, and of pages with the same figures: of ``docs/results/accuracy.json``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from figures_text import data, percent, table
from unmeasured_tables import MEASURED, devices_in_part, devices_unmeasured, else_unmeasured

from tokenroof.catalogue.fits import fits
from tokenroof.records import dtypes


def head() -> str:
    """When, by what, on how many."""
    d = data()
    tables, counts = d["operators"]["tables"], d["serving"]["counts"]
    rows = sum(part["shapes"] for part in tables if part["operator"] != "power")
    devices = {part["device"] for part in tables}
    rates = sum(part["rates"] for part in d["published"])
    recorded = len({run["run"] for run in d["runs"]})
    return (
        f"Made on **{d['date']}** with tokenroof {d['version']} by `{d['command']}`, on {rows:,} "
        f"kernel times of {len(devices)} devices, {counts['points']:,} serving points of "
        f"{counts['rows']:,} rows ({counts['other labels']:,} have drafts, pools apart or settings that "
        "no row says; the others are repeats or cannot be), "
        f"{rates} published rates of throughput and {recorded} recorded runs. The tables are public "
        "measurements of others and are not part of this repository: the same command takes yours "
        "([how they look](calibrate.md#how-good-they-are-on-your-measurements)).\n"
    )


def _scores(r: dict[str, Any]) -> tuple[str, ...]:
    return (
        f"{r['shapes']:,}",
        percent(r.get("mape")),
        percent(r.get("median")),
        percent(r.get("bias"), signed=True),
        percent(r.get("covered"), digits=0),
    )


def operators_by(by: str) -> str:
    """Errors of operators, by operator alone, device, engine or type."""
    rows = []
    for r in data()["operators"]["totals"]:
        if r["by"] == by:
            named = (r["operator"].replace("_", " "),) + (() if by == "all" else (r["name"],))
            rows.append((*named, *_scores(r)))
    first = ["operator"] + ([] if by == "all" else [by])
    return table([*first, "rows", "mean", "median", "bias", "in the band"], rows)


def _mean(found: list[dict[str, Any]], key: str) -> str:
    values = [f[key] for f in found if key in f]
    return percent(float(np.mean(values))) if values else "-"


def operators_left_out() -> str:
    """Errors of fits on shapes and devices that they did not see, as the catalogue carries them."""
    rows = []
    for name in MEASURED:
        found = list(fits(name))
        if found:
            rows.append(
                (
                    name.replace("_", " "),
                    len(found),
                    f"{sum(f['rows'] for f in found):,}",
                    _mean(found, "mape"),
                    _mean(found, "mape_generation"),
                    _mean(found, "mape_other"),
                )
            )
    return table(
        [
            "operator",
            "fits",
            "rows",
            "shapes left out",
            "a device left out, of its generation",
            "a generation left out",
        ],
        rows,
    )


def products_left_out() -> str:
    """Matrix products by type: shapes, devices and generations left out."""
    own = [f for f in fits("gemm") if not (f["engine"] == "vllm" and f["dtype"] == "fp8_block")]
    kinds = [k for k in dtypes.NAMES if any(f["dtype"] == k for f in own)]
    ways = {
        "mape": "shapes of a device",
        "mape_generation": "a device, of its generation",
        "mape_other": "a generation",
    }
    rows = [
        (text, *(_mean([f for f in own if f["dtype"] == k], key) for k in kinds), _mean(own, key))
        for key, text in ways.items()
    ]
    return table(["left out", *(f"`{k}`" for k in kinds), "all"], rows)


def serving_by(by: str) -> str:
    """Errors of both times over the points of a group."""
    rows = []
    for r in data()["serving"]["rows"]:
        if r["by"] == by:
            cells = [
                percent(r.get(f"{t}_{w}"), signed=w == "bias", digits=0 if w == "covered" else 1)
                for t in ("tpot", "ttft")
                for w in ("mape", "median", "bias", "covered")
            ]
            rows.append((r["name"], r["points"], percent(r["answered"], digits=0), *cells))
    heads = [
        f"{t} {w}" for t in ("TPOT", "TTFT") for w in ("mean", "median", "bias", "in the band")
    ]
    return table([by if by != "all" else "", "points", "answered", *heads], rows)


def serving_left_out() -> str:
    """Engines' fits: errors in sample, and on combinations of model, device and engine left out."""
    rows = []
    for f in fits("engine"):
        cells = [
            percent(f[f"{way}_{t}{end}"])
            for t in ("tpot", "ttft")
            for way, end in (("mape", "_in_sample"), ("mape", ""), ("median", ""))
        ]
        rows.append((f["engine"], f["rows"], f["combinations"], *cells))
    heads = [
        f"{t} {w}" for t in ("TPOT", "TTFT") for w in ("fitted", "left out", "left out, median")
    ]
    return table(["engine", "points", "combinations", *heads], rows)


def apart() -> str:
    """Systems of two pools."""
    rows = [
        (
            r["name"].strip()
            if not r["name"].startswith("  ")
            else f"&nbsp;&nbsp;{r['name'].strip()}",
            r["points"],
            percent(r["tpot"]),
            f"{percent(r['ttft'])} ({percent(r['ttft_median'])})",
            percent(r["per_device"]),
        )
        for r in data()["systems"]["apart"]
    ]
    return table(
        [
            "points",
            "",
            "time per output token",
            "to the first token (median)",
            "tokens a second and device",
        ],
        rows,
    )


def frontier() -> str:
    """Best measured points beside the frontier, causes of what is outside, rows that were passed over."""
    s = data()["systems"]
    low, high = s["range"]
    rows = [
        (
            r["over"],
            r["at"],
            f"{percent(r['inside'], digits=0)} of {r['buckets']}",
            percent(r["below"], digits=0),
            percent(r["above"], digits=0),
            f"{r['median']:.2f}",
        )
        for r in s["frontier"]
    ]
    within = f"within {percent(low - 1, True, 0)[:-2]} and {percent(high - 1, True, 0)}"
    causes = [(r["side"], r["cause"], r["buckets"], r["users"]) for r in s["causes"]]
    return (
        table(["over", "compared", within, "below", "above", "median"], rows)
        + "\nOver the plans tried, by cause:\n\n"
        + table(["side", "cause", "outside at equal speed", "of these at equal users"], causes)
        + "\nRows passed over, as they cannot be:\n\n"
        + table(["why", "rows"], [(r["why"], r["rows"]) for r in s["passed_over"]])
    )


def published() -> str:
    """Published maximum throughput."""
    rows = [
        (
            r["model"],
            r["device"],
            r["layout"],
            r["weights"],
            r["rates"],
            percent(r["mape"]),
            f"{r['ratio']:.2f}",
            f"{r['least']:.2f} to {r['most']:.2f}",
        )
        for r in data()["published"]
    ]
    every = data()["published"]
    total = sum(r["rates"] for r in every)
    mean = sum(r["mape"] * r["rates"] for r in every) / total
    ratio = np.exp(sum(np.log(r["ratio"]) * r["rates"] for r in every) / total)
    rows.append(("**all**", "", "", "", total, percent(mean), f"{ratio:.2f}", ""))
    return table(
        [
            "model",
            "device",
            "layout",
            "weights",
            "rates",
            "mean error",
            "predicted / published",
            "range",
        ],
        rows,
    )


def recorded_runs() -> str:
    """Recorded runs against the simulator."""
    names = {"ttft_s": "TTFT", "tpot_s": "TPOT", "e2e_s": "E2E"}
    figures = [
        k for k in data()["runs"][0] if k not in ("run", "device", "model", "alone", "host_us")
    ]
    heads = [
        "output rate" if f == "output_throughput" else f"{names[f.split()[0]]} {f.split()[1]}"
        for f in figures
    ]
    rows = []
    for r in data()["runs"]:
        ranks = "RTX PRO" in r["device"]
        how = ("two replicas" if r["alone"] else "two ranks") if ranks else "one card"
        how += f", {r['host_us'] / 1e3:g} ms more each round" if r["host_us"] else ""
        rows.append(
            (f"{r['model']}, {r['device']}: {how}", *(percent(r[f], signed=True) for f in figures))
        )
    return table(["run", *heads], rows)


def fastest() -> str:
    """The largest published speed per user of each device."""
    rows = []
    for r in data()["fastest"]:
        named = (r["device"], r["model"] or "not said", f"{r['published']:g}", r["date"])
        if r.get("none"):
            rows.append((*named, f"none: {r['none']}", "", "", ""))
            continue
        drafts = f", {r['length']} drafts" if r["length"] else ""
        rows.append(
            (
                *named,
                f"{r['speed']:.0f}",
                f"{r['low']:.0f} - {r['high']:.0f}",
                f"{r['plan']}{drafts}",
                r["why"],
            )
        )
    return table(
        [
            "device",
            "model",
            "published",
            "date",
            "predicted",
            "band",
            "plan, drafts",
            "most of a step",
        ],
        rows,
    )


def hashing() -> str:
    """Scanners of one processor beside the bound of its core."""
    h = data()["hashing"]
    rows = [
        (r["scanner"], r["mode"], f"{r['rate'] / 1e6:.1f}", percent(r["of_bound"], digits=0))
        for r in h["rows"]
    ]
    said = (
        f"One core of the processor that made these figures ({data()['processor']}; the core's tables are "
        f"{h['core']}'s, {h['basis']}), least disturbed of five rounds beside other work:\n\n"
    )
    return said + table(["scanner", "varies", "MH/s", "of the bound"], rows)


TABLES: dict[str, Callable[[], str]] = {
    "accuracy-head": head,
    "accuracy-devices-unmeasured": devices_unmeasured,
    "accuracy-devices-in-part": devices_in_part,
    "accuracy-else-unmeasured": else_unmeasured,
    "accuracy-operators": lambda: operators_by("all"),
    "accuracy-operators-device": lambda: operators_by("device"),
    "accuracy-operators-engine": lambda: operators_by("engine"),
    "accuracy-operators-type": lambda: operators_by("type"),
    "accuracy-operators-left-out": operators_left_out,
    "accuracy-products-left-out": products_left_out,
    "accuracy-serving": lambda: serving_by("all"),
    "accuracy-serving-engine": lambda: serving_by("engine"),
    "accuracy-serving-device": lambda: serving_by("device"),
    "accuracy-serving-model": lambda: serving_by("model"),
    "accuracy-serving-left-out": serving_left_out,
    "accuracy-apart": apart,
    "accuracy-frontier": frontier,
    "accuracy-published": published,
    "accuracy-runs": recorded_runs,
    "accuracy-fastest": fastest,
    "accuracy-hashing": hashing,
}
