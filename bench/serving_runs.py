"""A recorded run against the simulator: ``python bench/serving_runs.py FOLDER --device D --model M``.

FOLDER has ``requests.jsonl``, a JSON object a request: input_toks, output_toks, queued_ts, scheduled_ts,
first_token_ts, last_token_ts [s, of one clock] and arrival_time [s, of the client's]; and ``meta.json`` with
engine_kwargs and kv_cache. The device is not profiled: its steps are the catalogue's. Times count from
arrival_time, as the client's and the simulator's do: an engine sees a request between two steps, at
queued_ts, and the wait for the step's end is in no time from there. Without arrival_time they count from it.
``--host-us`` is the engine's own time a step;
``--calibrate`` fits it, and a factor of the step, and prints both simulations beside the run.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

import tokenroof as tr
from tokenroof.serving import Scheduler, calibrate_run, simulate, summary

FIELDS = (
    "arrival_ns",
    "scheduled_ns",
    "first_token_ns",
    "last_token_ns",
    "input_tokens",
    "output_tokens",
)


def recorded(path: Path) -> np.ndarray:
    """The run's requests as a simulation's records, in the order of arrival."""
    rows = list(map(json.loads, path.read_text().splitlines()))
    if all("arrival_time" in row for row in rows):
        # the shortest way to the engine stands for the difference of both clocks
        clocks_apart = min(row["queued_ts"] - row["arrival_time"] for row in rows)
        for row in rows:
            row["queued_ts"] = row["arrival_time"] + clocks_apart
    rows.sort(key=lambda row: row["queued_ts"])
    clocks = "queued_ts", "scheduled_ts", "first_token_ts", "last_token_ts"
    out = np.zeros(len(rows), [(name, np.int64) for name in FIELDS])
    for i, row in enumerate(rows):
        times = [round(1e9 * (row[name] - rows[0]["queued_ts"])) for name in clocks]
        out[i] = (*times, row["input_toks"], row["output_toks"])
    return out


def compare(real, asked, plan, scheduler, replicas) -> None:
    """Fit on the run, and print what was recorded beside both simulations."""
    fit = calibrate_run(
        real, asked.device, asked.model, plan, scheduler=scheduler, replicas=replicas,
        router="least_loaded", signal_age_s=0.1,
    )  # fmt: skip
    print(fit)
    print(f"{'':24s}{'measured':>12s}{'raw':>12s}{'calibrated':>12s}")
    for row in fit.compare():
        off = f"{100 * row['raw_off']:+.1f} %", f"{100 * row['calibrated_off']:+.1f} %"
        print(f"{row['what']:24s}{row['recorded']:12.4f}{off[0]:>12s}{off[1]:>12s}")


def prepared(
    folder: Path, alone: bool, host_us: int, num_blocks: int | None = None
) -> tuple[np.ndarray, dict[str, np.ndarray], tr.Plan, Scheduler, int]:
    """What was recorded, its load, plan, scheduler, and number of replicas."""
    meta = json.loads((folder / "meta.json").read_text())
    real = recorded(folder / "requests.jsonl")
    engine = meta["engine_kwargs"]
    ranks, replicas = engine["data_parallel_size"], 1
    if alone:
        ranks, replicas = 1, ranks
    blocks = num_blocks or meta.get("kv_cache", {}).get("num_gpu_blocks")
    longest = engine.get("max_model_len")
    knobs = {"num_blocks": blocks} if blocks else {}
    if longest:
        knobs["max_model_len"] = longest
    scheduler = Scheduler.preset(
        "vllm-0.19", max_num_batched_tokens=engine["max_num_batched_tokens"],
        max_num_seqs=engine["max_num_seqs"], host_ns=1000 * host_us, **knobs,
    )  # fmt: skip
    load = {
        "arrival_ns": real["arrival_ns"] - real["arrival_ns"].min(),
        "input_tokens": real["input_tokens"], "output_tokens": real["output_tokens"],
    }  # fmt: skip
    tp = engine["tensor_parallel_size"]
    experts = ranks * tp if engine["enable_expert_parallel"] and not alone else None
    return real, load, tr.Plan(tp=tp, dp=ranks, moe_ep=experts, weights="bf16"), scheduler, replicas


def flat(said: dict) -> dict[str, float]:
    """Times by name and share of requests, and rates."""
    shares = "mean", "p50", "p90", "p99"
    times = {f"{n} {p}": said[n][p] for n in ("ttft_s", "tpot_s", "e2e_s") for p in shares}
    return times | {n: said[n] for n in ("output_throughput", "request_throughput")}


def played(
    folder: Path,
    device: str,
    model: str,
    alone: bool = False,
    host_us: int = 0,
    num_blocks: int | None = None,
) -> tuple[dict[str, float], dict[str, float]]:
    """Figures of the simulation of a run, and those that were recorded."""
    real, load, plan, scheduler, replicas = prepared(folder, alone, host_us, num_blocks)
    run = simulate(device, model, plan, load, scheduler, replicas=replicas, router="least_loaded",
                   signal_age_s=0.1)  # fmt: skip
    return flat(summary(run.requests)), flat(summary(real))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument(
        "--alone",
        action="store_true",
        help="data-parallel ranks as replicas that do not wait for each other",
    )
    parser.add_argument("--num-blocks", type=int, help="where the run does not say")
    parser.add_argument("--host-us", type=int, default=0)
    parser.add_argument(
        "--calibrate", action="store_true", help="fit host time and a factor of the step on the run"
    )
    asked = parser.parse_args()
    if asked.calibrate:
        real, _, plan, scheduler, replicas = prepared(
            asked.folder, asked.alone, asked.host_us, asked.num_blocks
        )
        compare(real, asked, plan, scheduler, replicas)
        return
    mine, theirs = played(
        asked.folder, asked.device, asked.model, asked.alone, asked.host_us, asked.num_blocks
    )
    print(f"{'':24s}{'measured':>12s}{'simulated':>12s}{'off':>9s}")
    for name, a in theirs.items():
        print(f"{name:24s}{a:12.4f}{mine[name]:12.4f}{100 * (mine[name] / a - 1):+8.1f} %")


if __name__ == "__main__":
    main()
