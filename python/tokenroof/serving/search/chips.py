"""Systems with dataflow chips beside the GPUs in a frontier over systems: each point a range."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.inference.dataflow import check_kind
from tokenroof.inference.door import as_device
from tokenroof.serving.beside import CHANCE, beside_lpx
from tokenroof.serving.plans import default_plans
from tokenroof.serving.room import unknown
from tokenroof.support.arguments import shown
from tokenroof.support.lazy import require
from tokenroof.support.names import among
from tokenroof.support.pareto import pareto

if TYPE_CHECKING:
    import xarray as xr

    from tokenroof.records.device import Device
    from tokenroof.serving.search.question import Question

__all__ = ["RANGED", "with_chips"]

#: What has ends beside its middle in a frontier with chips.
RANGED = ("interactivity", "output_tokens_per_s_per_mw")
_OF_CHIPS = ("way", "chips")


def with_chips(table: xr.Dataset, question: Question, chips: str | Device | None) -> xr.Dataset:
    """The Pareto set of a table of systems and of those with chips beside them, by the middles of ranges.

    None: the table as it is.

    Ends of a system without chips are those of its band: a step that takes longer is slower and yields less.
    Ends of one with chips are its worst corner and its best.
    """
    if chips is None:
        return table
    q, far = question, check_kind("chips", as_device(chips))
    _refuse(q)
    plans = default_plans(q.device, q.model, q.devices_max) if q.plans is None else list(q.plans)
    without = set(q.asked.exclude)
    kept = [
        p for p in plans if not ((p.dp > 1 and "dp" in without) or (p.pp > 1 and "pp" in without))
    ]
    if q.asked.types is not None:
        kept = [p for p in kept if {p.weights, p.experts} <= {*q.asked.types, "bf16"}]
    limit = q.asked.bounds.get("tpot")
    tried = q.asked.capped(q.device, kept)
    found = beside_lpx(
        q.model, q.device, far, tried, q.load.input_tokens, q.load.output_tokens, tpot_max=limit,
        fidelity=q.fidelity,
    )  # fmt: skip
    every = [*_rows(table), *_beside(found, q)]
    for name in ("ttft", "provisioned_w"):
        most = q.asked.bounds.get(name, np.inf)
        own = {"ttft": "ttft_s", "provisioned_w": "provisioned_watts"}[name]
        every = [row for row in every if not row[own] > most]
    speed = np.array([row[RANGED[0]] for row in every])
    worth = np.array([row[RANGED[1]] for row in every])
    rows = [every[i] for i in pareto(speed, worth)] if every else []
    if rows:
        table.attrs["reason"] = unknown(q.power, q.device, *q.others)
    return _merged(table, rows, far, str(found.attrs["reason"]))


def _refuse(q: Question) -> None:
    """Reject what a layout with chips does not know."""
    if not among(q.power, ("provisioned", "board")):
        raise ValueError(f"power is {shown(q.power)} with chips; allowed: 'provisioned', 'board'")
    if q.asked.devices:
        raise ValueError(f"devices is {q.asked.devices:.0f} with chips; allowed: None")


def _rows(table: xr.Dataset) -> list[dict[str, Any]]:
    """Points without chips, with the ends of their bands."""
    rows = []
    for i in range(table.sizes["point"]):
        row: dict[str, Any] = {str(n): table[n].values[i] for n in table.data_vars}
        slow, fast = (row["tpot_s"] / row[f"tpot_{end}_s"] for end in ("high", "low"))
        for name in RANGED:
            row |= {f"{name}_low": row[name] * slow, f"{name}_high": row[name] * fast}
        rows.append(row | {"way": "", "chips": 0.0})
    return rows


def _beside(found: xr.Dataset, q: Question) -> list[dict[str, Any]]:
    """Points with chips, by the names of a frontier over systems."""
    watts = "provisioned_watts" if q.power == "provisioned" else "watts"
    rows = []
    for i in range(found.sizes["point"]):
        v: dict[str, Any] = {str(n): found[n].values[i] for n in found.data_vars}
        worth = {
            f"{RANGED[1]}{end}": v[f"output_throughput{end}"] / v[f"{watts}{other}"] * 1e6
            for end, other in (("", ""), ("_low", "_high"), ("_high", "_low"))
        }
        tpot = {
            "tpot_low_s": 1.0 / v["interactivity_high"],
            "tpot_high_s": 1.0 / v["interactivity_low"],
        }
        more = v["output_throughput"] * q.load.input_tokens / q.load.output_tokens
        rows.append(v | worth | tpot | {
            "batch": v["concurrency"], "input_throughput": more,
            "total_throughput": v["output_throughput"] + more, "fits": True,
            "output_tokens_per_joule": v["output_throughput"] / v["watts"], "engine": q.engine,
            "reason": f"{v['way']} on {v['chips']:.0f} chips", "binds": "", "replicas": 1.0, "drafts": 0,
            "latency_s": v["ttft_s"] + (q.load.output_tokens - 1.0) * v["tpot_s"],
        })  # fmt: skip
    return rows


def _merged(table: xr.Dataset, rows: list[dict[str, Any]], far: Device, why: str) -> xr.Dataset:
    xarray = require("xarray", extra="analysis")
    ends = [f"{name}{end}" for name in RANGED for end in ("_low", "_high")]
    names = [*map(str, table.data_vars), *ends, *_OF_CHIPS]
    texts = {"system", "plan", "prefill_plan", "engine", "reason", "binds", "way"}
    data: dict[str, Any] = {}
    for name in names:
        lacks = "" if name in texts else np.nan
        data[name] = ("point", np.array([row.get(name, lacks) for row in rows]))
    about = table.attrs | {"chips": far.name, "chips_reason": why}
    said = (table.attrs["calibrated_on"], f"of {far.name} nothing: the catalogue's ranges")
    about["calibrated_on"] = "; ".join(filter(None, said))
    if any(row["way"] == "drafts" for row in rows):
        chips = f"those on {far.name} with {CHANCE:g} (assumed)"
        about["drafts_assumed"] = "; ".join(filter(None, (table.attrs["drafts_assumed"], chips)))
    merged: xr.Dataset = xarray.Dataset(data, attrs=about)
    for name in names:
        like = name.removesuffix("_low").removesuffix("_high")
        if like in table:
            merged[name].attrs.update(table[like].attrs)
    return merged
