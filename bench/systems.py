"""Systems and the frontier against measured serving points: `python bench/systems.py --measured DIR`.

DIR holds ``end_to_end.csv``, or is that file, with the columns that `tokenroof.calibrate.read_serving` takes,
and of points with ``mode`` "disagg" the workers and degrees of both pools (``prefill_num_workers``,
``prefill_tp_size``, ``prefill_attention_dp_size``, ``prefill_moe_tp_size``, ``prefill_moe_ep_size``, and the
same of ``decode_``).

The first table: prompts and answers apart, each point asked of `curve` as a `System`; mean absolute error of
the time per output token and to the first one, and of tokens a second and device, which of a closed loop
follow by Little's law. As rows say it; without points whose first token takes longer than all prompts in
flight one after the other; and with the sequences that decode replicas were told to take, where the recipe of
a run is public (`recipes.txt`). Then points whose workers no row says and a recipe does, drafts among them.

The second: of each device, model and load the best point at 20, 50, 100 and 150 tokens/s per user and faster,
and the frontier over systems: of the plans that were tried there, and of the kinds (engines, types, sizes of
replicas, apart or not, drafts or not), as ratios to what was measured. A run that was one wave of requests is
asked as one.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

import tokenroof as tr
from as_run import as_run, ran
from recipes import read_recipes, sequences_of, speculation, told

if TYPE_CHECKING:
    from collections.abc import Callable

SPEEDS = (20.0, 50.0, 100.0, 150.0)
LOW, HIGH = 0.9, 1.35
DEGREES = {
    "tp": "tp_size",
    "dp": "attention_dp_size",
    "moe_tp": "moe_tp_size",
    "moe_ep": "moe_ep_size",
}


def _pool(row: Any, role: str, sequences: int | None = None) -> tr.serving.Pool:
    """A pool of a row; experts that its degrees do not lay out are spread as its attention is."""
    d = {name: int(row[f"{role}_{column}"]) for name, column in DEGREES.items()}
    if d["moe_tp"] * d["moe_ep"] != d["tp"] * d["dp"]:
        d |= {"moe_tp": d["tp"], "moe_ep": d["dp"]}
    if d["moe_ep"] == 1 < d["dp"]:  # attention ranks split no expert: they hold some of them each
        d |= {"moe_tp": 1, "moe_ep": d["tp"] * d["dp"]}
    return tr.serving.Pool(
        row.system, _plan(row, d), int(row[f"{role}_num_workers"]), sequences=sequences
    )


def _plan(row: Any, degrees: dict[str, int]) -> tr.Plan:
    types = {"weights": row.weights, "experts": row.experts, "kv_cache": row.kv_cache}
    return tr.Plan(**degrees, **types, engine=row.backend)


def _seconds(frame: pd.DataFrame, name: str) -> pd.Series:
    return frame[f"silicon_{name}_ms"] / 1e3


def _rate(frame: pd.DataFrame) -> pd.Series:
    """Output tokens a second of a closed loop, by Little's law."""
    out = frame.mean_output_tokens
    return frame.concurrency * out / (_seconds(frame, "ttft") + (out - 1) * _seconds(frame, "tpot"))


def _asked(system: Any, row: Any) -> dict[str, Any]:
    """What `curve` answers for a row's load; a reason where it does not."""
    load = (row.mean_input_tokens, row.mean_output_tokens)
    table = tr.serving.curve(system, row.model_path, None, *load, [row.concurrency])
    table = table.isel(concurrency=0)
    rate = float(table.output_throughput) / row.mean_output_tokens
    prompt = float(table.prefill_load) / rate if rate else np.nan
    alone = float(table.ttft_s - table.wait_s - table.queue_s)
    return {
        "tpot": float(table.tpot_s), "ttft": float(table.ttft_s), "per_device": float(table.per_device),
        "devices": system.devices, "longest": 2.0 * alone + row.concurrency * prompt,
        "reason": table.attrs["reason"],
    }  # fmt: skip


def _answers(rows: pd.DataFrame, system: Callable[[Any], Any]) -> pd.DataFrame:
    """Rows with what `curve` answers for the system of each; NaN with a reason."""
    found = []
    for _, row in rows.iterrows():
        try:
            found.append(_asked(system(row), row))
        except (ValueError, TypeError, KeyError) as error:
            found.append({"reason": str(error)[:100]})
    return rows.reset_index(drop=True).join(pd.DataFrame(found))


def apart(frame: pd.DataFrame, limited: bool = False) -> pd.DataFrame:
    """Points of pools whose workers are known; `limited` to sequences where a recipe says them."""
    rows = frame[(frame["mode"] == "disagg") & frame.decode_num_workers.notna()].copy()
    recipes = read_recipes() if limited else {}
    rows["sequences"] = [sequences_of(row, recipes) for _, row in rows.iterrows()]
    if limited:
        rows = rows[rows.sequences.notna()]

    def system(row: Any) -> Any:
        most = int(row.sequences) if limited else None
        return tr.serving.System(prefill=_pool(row, "prefill"), decode=_pool(row, "decode", most))

    return _answers(rows, system)


def by_recipe(frame: pd.DataFrame) -> pd.DataFrame:
    """Points whose workers, sequences and drafts a recipe alone says."""

    def system(row: Any) -> Any:
        r = row.recipe
        return tr.serving.System(
            prefill=(row.system, _plan(row, r.prefill), r.prefills),
            decode=tr.serving.Pool(row.system, _plan(row, r.decode), r.decodes, r.sequences),
            speculation=speculation(row.model_path, r.drafts),
        )

    return _answers(told(frame), system)


def _scored(rows: pd.DataFrame) -> pd.DataFrame:
    """Those with an answer, as ratios to what was measured."""
    good = rows[np.isfinite(rows.tpot)].copy()
    good["name"] = good.model_path.str.split("/").str[-1] + ", " + good.system + ", " + good.backend
    good["r_tpot"] = good.tpot / _seconds(good, "tpot")
    good["r_ttft"] = good.ttft / _seconds(good, "ttft")
    good["r_per_device"] = good.per_device / (_rate(good) / good.devices)
    return good


def _errors(name: str, group: pd.DataFrame) -> dict[str, Any]:
    """Mean errors of both times and of tokens a second and device, the median of the first token's."""
    off = {c: (group[c] - 1).abs() for c in ("r_tpot", "r_ttft", "r_per_device")}
    return {"name": name, "points": len(group), "tpot": off["r_tpot"].mean(), "ttft": off["r_ttft"].mean(),
            "ttft_median": off["r_ttft"].median(), "per_device": off["r_per_device"].mean()}  # fmt: skip


def apart_errors(
    rows: pd.DataFrame, limited: pd.DataFrame, recipes: pd.DataFrame
) -> list[dict[str, Any]]:
    """A row per group of points of pools apart: as told, with the sequences of recipes, by recipe alone."""
    good, some, told = _scored(rows), _scored(limited), _scored(recipes)
    possible = good[_seconds(good, "ttft") <= good.longest]
    rest = good[~good.id.isin(some.id)]
    found = [
        _errors("all", good), _errors("all whose pools are possible", possible),
        _errors("all, sequences as recipes say", pd.concat([some, rest])),
        _errors("  of these with a recipe, without sequences", good[good.id.isin(some.id)]),
        _errors("  the same with them", some),
        *(_errors(name, group) for name, group in possible.groupby("name")),
    ]  # fmt: skip
    for drafts, group in told.groupby(told.recipe.map(lambda r: r.drafts > 0)):
        kind = "with drafts" if drafts else "a token a step"
        found.append(_errors(f"by recipe alone, {kind}", group))
        found += [_errors(f"  {name}, {kind}", part) for name, part in group.groupby("name")]
    return found


def show_apart(rows: pd.DataFrame, limited: pd.DataFrame, recipes: pd.DataFrame) -> None:
    left = rows[~np.isfinite(rows.tpot)]
    print(
        f"prompts and answers apart: {len(rows)} points with workers, {len(rows) - len(left)} answered"
    )
    for reason, number in left.reason.value_counts().items():
        print(f"  {number} without an answer: {reason}")
    print(
        f"workers by recipe alone: {len(recipes)} points, {np.isfinite(recipes.tpot).sum()} answered"
    )
    print(f"{'':52}{'points':>7}{'TPOT':>8}{'TTFT':>8}{'median':>8}{'tok/s/device':>14}")
    for r in apart_errors(rows, limited, recipes):
        print(f"{r['name']:52}{r['points']:7d}{r['tpot']:8.1%}{r['ttft']:8.1%}{r['ttft_median']:8.1%}"
              f"{r['per_device']:14.1%}")  # fmt: skip


def measured(frame: pd.DataFrame) -> pd.DataFrame:
    """Points with known devices: speed per user, output tokens a second and device."""
    rows = frame[frame.label.isin(("ok", "repaired", "speculative", "disaggregated"))].copy()
    together = rows.tp * rows.dp.fillna(1)
    pools = sum(
        rows[f"{p}_num_workers"] * rows[f"{p}_tp_size"] * rows[f"{p}_attention_dp_size"]
        for p in ("prefill", "decode")
    )
    rows["devices"] = np.where(rows["mode"] == "disagg", pools, together)
    rows["replica"] = np.where(
        rows["mode"] == "disagg",
        rows[["prefill_tp_size", "decode_tp_size"]].max(axis=1)
        * rows[["prefill_attention_dp_size", "decode_attention_dp_size"]].max(axis=1),
        together,
    )
    rows["speed"] = 1.0 / _seconds(rows, "tpot")
    rows["worth"] = _rate(rows) / rows.devices
    # a first token that waits minutes is no offer, and no speed that one user sees
    return rows[np.isfinite(rows.worth) & (rows.devices > 0) & (_seconds(rows, "ttft") < 30.0)]


def _tried(group: pd.DataFrame, engine: str) -> list[tr.Plan]:
    """Plans of an engine's points, of their pools too; those that the engine does not load are left out."""
    found = []
    for _, row in group[group.backend == engine].iterrows():
        apart = row["mode"] == "disagg"
        try:
            if apart:
                found += [_pool(row, role).layout for role in ("prefill", "decode")]
                continue
            degrees = {n: int(row[n]) for n in DEGREES if row[n] == row[n]}
            types = {n: row[n] for n in ("weights", "experts", "kv_cache") if row[n] == row[n]}
            found.append(tr.Plan(**degrees, **types, engine=engine))
        except ValueError:
            continue
    good = []
    for plan in dict.fromkeys(found):
        try:
            tr.decode(group.iloc[0].system, group.iloc[0].model_path, plan)
        except ValueError:
            continue
        good.append(plan)
    return good


def _ours(group: pd.DataFrame, plans: bool) -> list[tuple[np.ndarray, np.ndarray]]:
    """Speeds and tokens a second and device of each engine's frontier, over the kinds or the plans tried."""
    one = group.iloc[0]
    drop = ["pp"]
    if not (group["mode"] == "disagg").any():
        drop.append("disaggregated")
    if not (group.label == "speculative").any():
        drop.append("speculation")
    types = sorted(set(group.weights) | set(group.experts.dropna()))
    found = []
    for engine in sorted(set(group.backend)):
        tried = _tried(group, engine) if plans else None
        if plans and not tried:
            continue
        table = tr.serving.frontier(
            one.system, one.model_path, tried, one.mean_input_tokens, one.mean_output_tokens,
            int(group.replica.max()), fidelity=ran(group[group.backend == engine]), engine=engine,
            systems=True, types=types, exclude=drop,
        )  # fmt: skip
        found.append((table.interactivity.values, table.per_device.values))
    return found


def _at(found: list[tuple[np.ndarray, np.ndarray]], speed: float) -> float:
    """The most at a speed, between the requests in flight that were tried; 0 beyond the fastest."""
    return max((float(np.interp(speed, x, y, right=0.0)) for x, y in found if x.size), default=0.0)


def buckets(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """A row per device, model, load and speed."""
    found = []
    keys = ["system", "model_path", "isl", "osl"]
    for key, group in measured(frame).groupby(keys):
        if (group.speed < SPEEDS[0]).all():
            continue
        try:
            kinds = {"plans": _ours(group, True), "ours": _ours(group, False)}
        except (ValueError, TypeError, KeyError) as error:
            print(f"no frontier: {', '.join(map(str, key))}: {error}", file=sys.stderr)
            continue
        for least in SPEEDS:
            fast = group[group.speed >= least]
            if fast.empty:
                continue
            best = fast.loc[fast.worth.idxmax()]
            row = dict(zip(keys, key, strict=True)) | {
                "least": least, "speed": best.speed, "measured": best.worth, "label": best.label,
                "engine": best.backend, **{n: _at(x, best.speed) for n, x in kinds.items()},
            }  # fmt: skip
            found.append(
                row | {"cause": _cause(row, best, max(_fastest(x) for x in kinds.values()))}
            )
    return found


def _fastest(found: list[tuple[np.ndarray, np.ndarray]]) -> float:
    return max((float(x.max()) for x, _ in found if x.size), default=0.0)


def _itself(row: Any, fidelity: str | tr.Calibration) -> tuple[float, float]:
    """Seconds per token, and tokens a second and device, of a measured point's own plan and users."""
    if row["mode"] == "disagg":
        system = tr.serving.System(prefill=_pool(row, "prefill"), decode=_pool(row, "decode"))
        site: tuple[Any, ...] = (system, row.model_path, None)
    else:
        degrees = {n: int(row[n]) for n in DEGREES if row[n] == row[n]}
        site = (row.system, row.model_path, _plan(row, degrees))
    load = (row.mean_input_tokens, row.mean_output_tokens, [row.concurrency])
    table = tr.serving.curve(*site, *load, fidelity=fidelity).isel(concurrency=0)
    return float(table.tpot_s), float(table.per_device)


def _cause(row: dict[str, Any], best: Any, fastest: float) -> str:
    """Why a frontier over the plans tried is outside the range, "" where it is not."""
    ratio = row["plans"] / row["measured"]
    if LOW <= ratio <= HIGH:
        return ""
    if best.label == "speculative":
        return "drafts, whose acceptance no row says"
    try:
        own = _itself(best, ran(best.to_frame().T))[0] * best.speed
        bound = _itself(best, "datasheet")[1]
    except (ValueError, TypeError, KeyError):
        return "its own plan has no answer"
    if best.worth > bound:
        return "more than its devices give by their datasheets"
    if ratio < LOW and best.speed > fastest:
        return "faster than any point of ours"
    if ratio < LOW:
        return (
            "the step of its own plan, slow" if own > 1.1 else "a step within 10 %, a steep curve"
        )
    return "the step of its own plan, fast" if own < 0.9 else "another plan of those tried"


def show_buckets(rows: list[dict[str, Any]]) -> None:
    print(f"{'':60}{'from':>5}{'at':>8}{'measured':>10}{'plans tried':>13}{'kinds tried':>13}")
    for r in rows:
        ratios = [r[name] / r["measured"] for name in ("plans", "ours")]
        model = r["model_path"].split("/")[-1]
        name = f"{r['system']}, {model}, {r['isl']:g}/{r['osl']:g}, {r['engine']} {r['label']}"
        print(f"{name[:60]:60}{r['least']:5.0f}{r['speed']:8.1f}{r['measured']:10.1f}{ratios[0]:13.2f}"
              f"{ratios[1]:13.2f}  {r['cause']}")  # fmt: skip
    sides, causes = bucket_errors(rows)
    for r in sides:
        print(f"over {r['over']}: {r['inside']:.0%} of {r['buckets']} within {LOW:g} to {HIGH:g}; "
              f"{r['below']:.0%} below, {r['above']:.0%} above; median {r['median']:.2f}")  # fmt: skip
    for r in causes:
        print(f"  {r['buckets']:4d} {r['side']}: {r['cause']}")


def _inside(over: str, ratio: np.ndarray) -> dict[str, Any]:
    below, above = ratio < LOW, ratio > HIGH
    return {"over": over, "buckets": ratio.size, "inside": np.mean(~below & ~above), "below": below.mean(),
            "above": above.mean(), "median": np.median(ratio)}  # fmt: skip


def bucket_errors(rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Shares within the range, below and above, over plans and kinds; causes of what is outside, counted."""
    told = [r for r in rows if not r["cause"].startswith(("more than", "drafts"))]
    ratios = {
        "the plans tried there": np.array([r["plans"] / r["measured"] for r in rows]),
        "the same, without drafts and the impossible": np.array([r["plans"] / r["measured"] for r in told]),
        "all of the kinds tried there (engines, types, sizes, apart, drafts)": np.array(
            [r["ours"] / r["measured"] for r in rows]
        ),
    }  # fmt: skip
    sides = [_inside(over, ratio) for over, ratio in ratios.items()]
    counts: dict[tuple[str, str], int] = {}
    for r in rows:
        if r["cause"]:
            side = "below" if r["plans"] < LOW * r["measured"] else "above"
            counts[side, r["cause"]] = counts.get((side, r["cause"]), 0) + 1
    most = sorted(counts.items(), key=lambda item: (item[0][0] == "above", -item[1]))
    return sides, [{"side": s, "cause": c, "buckets": n} for (s, c), n in most]


def main() -> int:
    """Print both tables; 2 for a folder without points."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--measured", required=True, metavar="DIR|FILE")
    parser.add_argument("--only", choices=("apart", "buckets"), help="one of the tables")
    given = parser.parse_args()
    path = given.measured
    path = path if os.path.isfile(path) else os.path.join(path, "end_to_end.csv")
    try:
        frame = as_run(pd.read_csv(path))
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if given.only != "buckets":
        show_apart(apart(frame), apart(frame, limited=True), by_recipe(frame))
    if given.only != "apart":
        show_buckets(buckets(frame))
    return 0


if __name__ == "__main__":
    sys.exit(main())
