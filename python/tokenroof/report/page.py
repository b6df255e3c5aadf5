"""The page: figures, and beside each what it assumes and where its numbers come from."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenroof.report import data
from tokenroof.support.formats import si
from tokenroof.support.lazy import require

if TYPE_CHECKING:
    import pandas as pd

    from tokenroof.measure import Machine
    from tokenroof.records.device import Device

__all__ = ["render", "with_machine"]

#: Miners of the last figure; all are in its data.
SHOWN_MINERS = (
    "Antminer S9 (13.5T)", "Antminer S17 Pro (53T)", "Antminer S19 Pro", "Antminer S19 XP",
    "Antminer S21", "Antminer S21 XP", "Antminer S21 XP Hyd", "Antminer S23", "Antminer S23 Hyd",
    "this machine",
)  # fmt: skip
SHOWN_METER = (
    *data.SHOWN_FRONTS, "A100-SXM4-80GB", "B300-SXM", "Instinct MI325X", "Instinct MI455X",
    "Trainium2", "Gaudi 3",
)  # fmt: skip


def with_machine(miners: pd.DataFrame, here: dict[str, Any]) -> pd.DataFrame:
    """The miners with a row for this machine first."""
    pd = require("pandas", extra="report")
    row = {"name": here["name"], "year": here["year"], "kind": "cpu", "hashrate": here["hashrate"],
           "basis": "measured", "notes": f"scanner {here['backend']}"}  # fmt: skip
    if here["efficiency"] is not None:
        row["efficiency"] = here["efficiency"]
        row["power"] = here["efficiency"] * here["hashrate"] * 1e-12
    return pd.DataFrame([row, *miners.to_dict("records")], columns=list(miners.columns))


def render(
    *,
    machine: Machine,
    devices: Sequence[Device],
    points: pd.DataFrame,
    fronts: Sequence[Any],
    miners: pd.DataFrame,
    here_miner: dict[str, Any],
    rows: pd.DataFrame,
    claims: Sequence[dict[str, Any]],
    anchors: Sequence[dict[str, Any]],
    used: dict[str, Any],
    left: dict[str, data.Left],
    provenance: pd.DataFrame,
    files: dict[str, str],
    started: float,
) -> str:
    """Return the page as text: one document without a single outside resource."""
    from tokenroof import __version__, _core, catalogue, plot

    jinja2 = require("jinja2", extra="report")
    offline = require("plotly.offline", extra="report")
    here = devices[0].name
    tiers = catalogue.tier_rows()
    shown_rows = rows[
        (rows["mining"] & rows["name"].isin(SHOWN_MINERS))
        | (~rows["mining"] & rows["name"].isin(SHOWN_METER))
    ]
    models = list(data.MODELS)
    figures = {
        "roofline": plot.roofline(devices, points, shown=(here, *data.SHOWN_ROOFS)),
        "frontier": plot.frontier(fronts, tiers=tiers, shown=data.SHOWN_FRONTS, model=models[0]),
        "hashrate": plot.hashrate(miners, here_miner),
    }
    for i, model in enumerate(models):  # each with its own order
        part = shown_rows[shown_rows["mining"] | (shown_rows["group"] == model)]
        part = part.sort_values(["mining", "usd_per_mwh"], ascending=[True, False], kind="stable")
        figures["meter" if i == 0 else f"meter-{i}"] = plot.same_meter(
            part, electricity=used["electricity"].value * 1000, claims=claims
        )
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["si"] = si
    mining = [r for r in rows.to_dict("records") if r["mining"]]
    inference = [
        r for r in rows.to_dict("records") if r["group"] == models[0] and r["name"] in SHOWN_METER
    ]
    text: str = environment.get_template("template.html.j2").render(
        version=__version__, isa=_core.ISA,
        date=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        machine=machine, models=models, files=files, used=used, left=left, tiers=tiers,
        groups=_groups(devices, here), fronts_of=sorted({str(t.attrs["device"]) for t in fronts}),
        shown={"roofline": [here, *data.SHOWN_ROOFS], "frontier": list(data.SHOWN_FRONTS)},
        figures={name: figure.to_json().replace("</", "<\\/") for name, figure in figures.items()},
        plotly_js=offline.get_plotlyjs().replace("</script", "<\\/script"),
        provenance=provenance, kinds=list(provenance.columns),
        totals={k: int(provenance[k].sum()) for k in provenance.columns},
        numbers=int(provenance.to_numpy().sum()), counts=_counts(devices, miners),
        bands=_bands(fronts), anchors=anchors,
        calibrated=sorted({(t.attrs["device"], t.attrs["calibrated_on"]) for t in fronts
                           if t.attrs["device"] in data.SHOWN_FRONTS}),
        power=sorted({(t.attrs["device"], t.attrs["provisioned_w_per_device"],
                       t.attrs["provisioned_kind"]) for t in fronts
                      if t.attrs["device"] in data.SHOWN_FRONTS}),
        load=(data.INPUT_TOKENS, data.OUTPUT_TOKENS), devices_max=data.DEVICES_MAX,
        speed=data.LEAST_SPEED, mining=mining, inference=inference, roof_sources=_sources(devices),
        ratio=data.INPUT_TOKENS / data.OUTPUT_TOKENS, seconds=time.perf_counter() - started,
    )  # fmt: skip
    return text


def _groups(devices: Sequence[Device], here: str) -> list[tuple[str, list[str]]]:
    """Names of the devices by vendor."""
    groups: dict[str, list[str]] = {}
    for d in devices:
        groups.setdefault(d.vendor or "here", []).append(d.name)
    return list(groups.items())


def _bands(fronts: Sequence[Any]) -> str:
    """The error bands that occur, in words: "±35 % or ±60 %"."""
    found = {float(band) for t in fronts for band in t["error_band"].values if band == band}
    return " or ".join(f"±{band:.0%}".replace("%", " %") for band in sorted(found)) or "unknown"


def _counts(devices: Sequence[Device], miners: pd.DataFrame) -> dict[str, int]:
    from tokenroof import catalogue

    return {
        "devices": len(devices) - 1, "models": len(catalogue.models()), "miners": len(miners),
    }  # fmt: skip


def _sources(devices: Sequence[Device]) -> list[tuple[str, str, str]]:
    """(device, kind, source) of the peak and bandwidth of the devices that are drawn at first."""
    rows = []
    for d in devices:
        if d.name not in (*data.SHOWN_ROOFS, *data.SHOWN_FRONTS):
            continue
        for field in ("peak_bf16", "memory_bandwidth"):
            origin = d.provenance.get(field)
            if origin is not None:
                rows.append((d.name, f"{field.replace('_', ' ')}: {origin.kind}", origin.source))
    return rows
