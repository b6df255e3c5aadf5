"""Systems and the frontier against measured serving points: `python bench/systems.py --measured DIR`.

DIR holds ``end_to_end.csv``, or is that file, with the columns that `tokenroof.calibrate.read_serving` takes,
and of points with ``mode`` "disagg" the workers and degrees of both pools (``prefill_num_workers``,
``prefill_tp_size``, ``prefill_attention_dp_size``, ``prefill_moe_tp_size``, ``prefill_moe_ep_size``, and the
same of ``decode_``).

The first table: prompts and answers apart, each point asked of `curve` as a `System`; mean absolute error of
the time per output token and to the first one, and of tokens a second and device, which of a closed loop
follow by Little's law. As they ran, with the sequences that decode replicas were told to take, where a column
`sequences` or the public recipe of a run (`recipes.txt`) says them; as the rest of their rows alone says it;
and so without points whose first token takes longer than all prompts in flight one after the other. Then
points whose workers no row says and a recipe does, drafts among them.

The second: best measured points beside the frontier over systems, and why those outside are outside, as
`best_points.py` says. A run that was one wave of requests is asked as one.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

import tokenroof as tr
from as_run import as_run
from best_points import buckets, show_buckets
from measured_rows import plan_with, pool_of, rate, seconds
from recipes import speculation, told

if TYPE_CHECKING:
    from collections.abc import Callable


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


def apart(frame: pd.DataFrame, as_ran: bool = True) -> pd.DataFrame:
    """Points of pools whose workers are known, with the sequences of a replica where these are known."""
    rows = frame[(frame["mode"] == "disagg") & frame.decode_num_workers.notna()]

    def system(row: Any) -> Any:
        most = int(row.sequences) if as_ran and row.sequences == row.sequences else None
        return tr.serving.System(
            prefill=pool_of(row, "prefill"), decode=pool_of(row, "decode", most)
        )

    return _answers(rows, system)


def by_recipe(frame: pd.DataFrame) -> pd.DataFrame:
    """Points whose workers, sequences and drafts a recipe alone says."""

    def system(row: Any) -> Any:
        r = row.recipe
        return tr.serving.System(
            prefill=(row.system, plan_with(row, r.prefill), r.prefills),
            decode=tr.serving.Pool(row.system, plan_with(row, r.decode), r.decodes, r.sequences),
            speculation=speculation(row.model_path, r.drafts),
        )

    return _answers(told(frame), system)


def _scored(rows: pd.DataFrame) -> pd.DataFrame:
    """Those with an answer, as ratios to what was measured."""
    good = rows[np.isfinite(rows.tpot)].copy()
    good["name"] = good.model_path.str.split("/").str[-1] + ", " + good.system + ", " + good.backend
    good["r_tpot"] = good.tpot / seconds(good, "tpot")
    good["r_ttft"] = good.ttft / seconds(good, "ttft")
    good["r_per_device"] = good.per_device / (rate(good) / good.devices)
    return good


def _errors(name: str, group: pd.DataFrame) -> dict[str, Any]:
    """Mean errors of both times and of tokens a second and device, the median of the first token's."""
    off = {c: (group[c] - 1).abs() for c in ("r_tpot", "r_ttft", "r_per_device")}
    return {"name": name, "points": len(group), "tpot": off["r_tpot"].mean(), "ttft": off["r_ttft"].mean(),
            "ttft_median": off["r_ttft"].median(), "per_device": off["r_per_device"].mean()}  # fmt: skip


def apart_errors(
    rows: pd.DataFrame, alone: pd.DataFrame, recipes: pd.DataFrame
) -> list[dict[str, Any]]:
    """A row per group of points of pools apart: as they ran, as their rows alone say, by recipe alone."""
    good, bare, told = _scored(rows), _scored(alone), _scored(recipes)
    possible = bare[seconds(bare, "ttft") <= bare.longest]
    found = [
        _errors("all, as they ran", good),
        _errors("  of these with known sequences", good[good.sequences.notna()]),
        *(_errors(f"  {name}", group) for name, group in good.groupby("name")),
        _errors("all, without what their rows do not say", bare),
        _errors("  of these with known sequences", bare[bare.sequences.notna()]),
        _errors("  of these whose pools are possible", possible),
    ]  # fmt: skip
    for drafts, group in told.groupby(told.recipe.map(lambda r: r.drafts > 0)):
        kind = "with drafts" if drafts else "a token a step"
        found.append(_errors(f"by recipe alone, {kind}", group))
        found += [_errors(f"  {name}, {kind}", part) for name, part in group.groupby("name")]
    return found


def show_apart(rows: pd.DataFrame, alone: pd.DataFrame, recipes: pd.DataFrame) -> None:
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
    for r in apart_errors(rows, alone, recipes):
        print(f"{r['name']:52}{r['points']:7d}{r['tpot']:8.1%}{r['ttft']:8.1%}{r['ttft_median']:8.1%}"
              f"{r['per_device']:14.1%}")  # fmt: skip


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
        show_apart(apart(frame), apart(frame, as_ran=False), by_recipe(frame))
    if given.only != "apart":
        show_buckets(*buckets(frame))
    return 0


if __name__ == "__main__":
    sys.exit(main())
