"""Rows of a table of measured serving points as what `tokenroof` takes: plans, pools, seconds, rates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import tokenroof as tr
from recipes import drafts_run, speculation

if TYPE_CHECKING:
    import pandas as pd

DEGREES = {
    "tp": "tp_size",
    "dp": "attention_dp_size",
    "moe_tp": "moe_tp_size",
    "moe_ep": "moe_ep_size",
}


def pool_of(row: Any, role: str, sequences: int | None = None) -> tr.serving.Pool:
    """A pool of a row; experts that its degrees do not lay out are spread as its attention is."""
    d = {name: int(row[f"{role}_{column}"]) for name, column in DEGREES.items()}
    if d["moe_tp"] * d["moe_ep"] != d["tp"] * d["dp"]:
        d |= {"moe_tp": d["tp"], "moe_ep": d["dp"]}
    if d["moe_ep"] == 1 < d["dp"]:  # attention ranks split no expert: they hold some of them each
        d |= {"moe_tp": 1, "moe_ep": d["tp"] * d["dp"]}
    return tr.serving.Pool(
        row.system, plan_with(row, d), int(row[f"{role}_num_workers"]), sequences=sequences
    )


def plan_with(row: Any, degrees: dict[str, int]) -> tr.Plan:
    """A plan of a row's types and engine."""
    types = {"weights": row.weights, "experts": row.experts, "kv_cache": row.kv_cache}
    return tr.Plan(**degrees, **types, engine=row.backend)


def plan_of(row: Any) -> tr.Plan:
    """The plan of a row of one replica.

    Split experts that an engine refuses to load it can only have run spread: a row says how many devices
    split a layer, and not always by which flag.
    """
    degrees = {name: int(row[name]) for name in DEGREES if row[name] == row[name]}
    types = {n: row[n] for n in ("weights", "experts", "kv_cache") if isinstance(row[n], str)}
    plan = tr.Plan(**degrees, **types, engine=row.backend)
    if loads(row, plan) or plan.moe_ep > 1:
        return plan
    spread = plan.replace(moe_tp=1, moe_ep=plan.tp * plan.dp)
    return spread if loads(row, spread) else plan


def loads(row: Any, plan: tr.Plan) -> bool:
    """Whether a row's device and model have an answer for a plan."""
    try:
        tr.decode(row.system, row.model_path, plan)
    except ValueError:
        return False
    return True


def system_of(row: Any) -> tr.serving.System:
    """What a row ran: its pools, or its replica with the drafts that the recipe of such runs has."""
    if row["mode"] == "disagg":
        return tr.serving.System(prefill=pool_of(row, "prefill"), decode=pool_of(row, "decode"))
    drafts = speculation(row.model_path, drafts_run(row))
    return tr.serving.System(both=(row.system, plan_of(row)), speculation=drafts)


def seconds(rows: Any, name: str) -> Any:
    """Measured seconds to the first token ("ttft") or per token after it ("tpot")."""
    return rows[f"silicon_{name}_ms"] / 1e3


def rate(rows: Any) -> Any:
    """Output tokens a second of a closed loop, by Little's law."""
    out = rows.mean_output_tokens
    return rows.concurrency * out / (seconds(rows, "ttft") + (out - 1) * seconds(rows, "tpot"))


#: What makes two rows runs of one thing, but for the users.
SAME = ["source", "system", "model_path", "backend", "mode", "label", "isl", "osl", *DEGREES,
        "weights", "experts", "kv_cache"]  # fmt: skip


def contradicted(rows: pd.DataFrame, by: float = 1.05, least: int = 2) -> pd.Series:
    """Rows of one replica that are so much faster than the same with fewer users, at `least` so many loads.

    A step with more sequences takes no shorter, and repeats of a run differ by 2.3 %: a row that is faster by
    twice that than two with fewer users was not of the users that it names.
    """
    tpot = rows.silicon_tpot_ms.to_numpy(dtype=float)
    users = rows.concurrency.to_numpy(dtype=float)
    key = np.array([str(row) for row in rows[SAME].itertuples(index=False, name=None)])
    out = np.zeros(len(rows), dtype=bool)
    for name in dict.fromkeys(key[rows["mode"] == "agg"]):
        own = np.flatnonzero(key == name)
        fewer = users[own][None, :] < users[own][:, None]
        slower = tpot[own][None, :] > by * tpot[own][:, None]
        settings = [len(set(users[own][row])) for row in fewer & slower]
        out[own] = np.array(settings) >= least
    return type(rows.silicon_tpot_ms)(out, index=rows.index)


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
    rows["speed"] = 1.0 / seconds(rows, "tpot")
    rows["worth"] = rate(rows) / rows.devices
    rows["contradicted"] = contradicted(rows)
    # a first token that waits minutes is no offer, and no speed that one user sees
    return rows[np.isfinite(rows.worth) & (rows.devices > 0) & (seconds(rows, "ttft") < 30.0)]
