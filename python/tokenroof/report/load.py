"""Latency under load of a few devices, in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import plot
from tokenroof.catalogue.architectures import model as find_model
from tokenroof.plot.load import held_part
from tokenroof.records.plan import Plan
from tokenroof.serving.curve import curve
from tokenroof.serving.knee import knee
from tokenroof.serving.stability import stability
from tokenroof.support.lazy import require

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["DEVICES", "INPUT_TOKENS", "MODEL", "OUTPUT_TOKENS", "Loads", "under_load"]

#: Devices and model of the figure; each replica has so many of them.
DEVICES = (
    "A100-SXM4-80GB", "H100-SXM", "H200-SXM", "B200-SXM", "Instinct MI300X", "Instinct MI355X",
)  # fmt: skip
MODEL, TENSOR = "Llama-3.3-70B", 4
#: Prompts that leave most of a step to answers: there the percentiles were held against the simulator.
INPUT_TOKENS, OUTPUT_TOKENS = 512, 1024
_POINTS = 80
_MOST = 0.97  # of the rate that all places answer
_COLUMNS = ("ttft_p50_s", "ttft_p90_s", "ttft_p99_s", "tpot_p50_s", "tpot_p99_s", "e2e_p50_s", "e2e_p99_s",
            "load", "percentiles_hold")  # fmt: skip


@dataclass(frozen=True)
class Loads:
    """Curves over rates, one a device.

    Attributes
    ----------
    curves : list of xarray.Dataset
        As `tokenroof.plot.latency` takes them.
    table : pandas.DataFrame
        The same as rows.
    knees : list of dict
        Where each of them turns upwards.
    """

    curves: list[xr.Dataset]
    table: pd.DataFrame
    knees: list[dict[str, Any]]

    def figures(self) -> dict[str, Any]:
        """Figures by the name of their place on the page."""
        return {"latency": plot.latency(self.curves)}

    def tables(self, frames: Any) -> dict[str, pd.DataFrame]:
        """Tables by the name of their file."""
        return {"latency": self.table}

    def said(self) -> dict[str, Any]:
        """What the page's text says of it."""
        under = {"model": MODEL, "input": INPUT_TOKENS, "output": OUTPUT_TOKENS}
        return {"knees": self.knees, "under": under}


def under_load() -> Loads:
    """Latency over rates up to near saturation, and its knee, of each device."""
    pd = require("pandas", extra="report")
    curves, rows, knees = [], [], []
    for name in DEVICES:
        plan, model = Plan(tp=TENSOR), find_model(MODEL)
        at = stability(name, MODEL, plan, INPUT_TOKENS, OUTPUT_TOKENS)
        rates = _MOST * at.rate * np.arange(1, _POINTS + 1) / _POINTS
        table = curve(name, MODEL, plan, INPUT_TOKENS, OUTPUT_TOKENS, rate=rates)
        table.attrs.update(devices=plan.devices, short=at.short)
        curves.append(table)
        held = held_part(table)
        turn = knee(rates, np.where(held, table.ttft_p99_s.values, np.nan))
        shown = {column: table[column].values for column in _COLUMNS}
        rows.append(pd.DataFrame({
            "device": name, "model": MODEL, "plan": plan.label(model),
            "rate_per_device": rates / plan.devices, **shown, "knee": np.arange(_POINTS) == turn,
        }))  # fmt: skip
        knees.append({
            "device": name, "plan": plan.label(model), "rate": float(rates[turn]) / plan.devices,
            "share": float(table["load"][turn]), "p50": float(table.ttft_p50_s[turn]),
            "p99": float(table.ttft_p99_s[turn]), "tpot": float(table.tpot_p99_s[turn]), "short": at.short,
            "holds": bool(table.percentiles_hold[turn]), "held_to": float(table["load"].values[held].max()),
        })  # fmt: skip
    return Loads(curves, pd.concat(rows, ignore_index=True), knees)
