"""The page: figures, and beside each what it assumes and where its numbers come from."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tokenroof import _core, catalogue, plot
from tokenroof.build import build_config
from tokenroof.report import data, measured
from tokenroof.support.formats import si
from tokenroof.support.lazy import require

if TYPE_CHECKING:
    import pandas as pd

    from tokenroof.measure import Machine
    from tokenroof.records.device import Device

__all__ = ["Contents", "Part", "render", "with_machine"]

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


class Part(Protocol):
    """A part of the page that knows its own figures, tables and what the text says."""

    def figures(self) -> dict[str, Any]: ...
    def tables(self, frames: Any) -> dict[str, pd.DataFrame]: ...
    def said(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a page shows, evaluated.

    Attributes
    ----------
    machine : Machine
        What was measured of this machine.
    devices : sequence of Device
        This machine first, then the caller's own.
    points : pandas.DataFrame
        Steps of models under the rooflines, as `tokenroof.plot.roofline` takes them.
    fronts : sequence of xarray.Dataset
        As `tokenroof.plot.frontier` takes them.
    ran, anchors : sequence of dict
        Measured runs, and published yields, beside what is predicted of them.
    miners : pandas.DataFrame
        The catalogue's, as `tokenroof.plot.hashrate` takes them.
    here_miner : dict
        This machine's point among them.
    rows, claims
        As `tokenroof.plot.same_meter` takes them.
    used : dict
        Quotes and assumptions of the meter.
    left : dict of Left
        What each figure leaves out.
    provenance : pandas.DataFrame
        Numbers of the catalogue by file and kind.
    files : dict of str
        File of each table.
    parts : sequence of Part
        Money, generations over systems, a GW over tiers, latency under load.
    started : float
        When the evaluation began, by `time.perf_counter` [s].
    own : sequence of str
        Names of the devices that the caller wants drawn from the start.
    """

    machine: Machine
    devices: Sequence[Device]
    points: pd.DataFrame
    fronts: Sequence[Any]
    ran: Sequence[dict[str, Any]]
    anchors: Sequence[dict[str, Any]]
    miners: pd.DataFrame
    here_miner: dict[str, Any]
    rows: pd.DataFrame
    claims: Sequence[dict[str, Any]]
    used: dict[str, Any]
    left: dict[str, data.Left]
    provenance: pd.DataFrame
    files: dict[str, str]
    started: float
    parts: Sequence[Part]
    own: Sequence[str] = ()


def render(contents: Contents) -> str:
    """Return the page as text: one document without a single outside resource."""
    jinja2 = require("jinja2", extra="report")
    offline = require("plotly.offline", extra="report")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["si"] = si
    c = contents
    here, models, tiers = c.devices[0].name, list(data.MODELS), catalogue.tier_rows()
    figures = _figures(c, tiers)
    text: str = environment.get_template("template.html.j2").render(
        version=build_config()["version"], isa=_core.ISA,
        date=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        machine=c.machine, own_roof=_own_roof(c), models=models, files=c.files, used=c.used, left=c.left,
        tiers=tiers, groups=_groups(c.devices, here), counts=_counts(c.miners),
        shown={"roofline": [here, *c.own, *data.SHOWN_ROOFS],
               "frontier": [*c.own, *data.SHOWN_FRONTS]},
        figures={name: figure.to_json().replace("</", "<\\/") for name, figure in figures.items()},
        plotly_js=offline.get_plotlyjs().replace("</script", "<\\/script"),
        roof_sources=_sources(c.devices), bands=_bands(c.fronts), anchors=c.anchors,
        ran=c.ran, inside=_inside(c.ran),
        load=(data.INPUT_TOKENS, data.OUTPUT_TOKENS), devices_max=data.DEVICES_MAX,
        ttft_max=data.TTFT_MAX, speed=data.LEAST_SPEED, ratio=data.INPUT_TOKENS / data.OUTPUT_TOKENS,
        **{name: value for part in c.parts for name, value in part.said().items()},
        **_of_fronts(c.fronts, c.own), **_of_meter(c.rows, models[0]), **_of_provenance(c.provenance),
        seconds=time.perf_counter() - c.started,
    )  # fmt: skip
    return text


def _figures(c: Contents, tiers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The figures by name; the meter has one for each model, with its own order."""
    models = list(data.MODELS)
    figures = {
        "roofline": plot.roofline(
            c.devices, c.points, shown=(c.devices[0].name, *c.own, *data.SHOWN_ROOFS)
        ),
        "frontier": plot.frontier(
            c.fronts, tiers=tiers, shown=(*c.own, *data.SHOWN_FRONTS), model=models[0]
        ),
        "hashrate": plot.hashrate(c.miners, c.here_miner),
    }
    load = f"{data.INPUT_TOKENS / 1024:g}K/{data.OUTPUT_TOKENS / 1024:g}K"
    measured.add_runs(figures["frontier"], c.ran, load, models[0], data.SHOWN_FRONTS)
    for part in c.parts:
        figures |= part.figures()
    rows = c.rows
    shown = rows[
        (rows["mining"] & rows["name"].isin(SHOWN_MINERS))
        | (~rows["mining"] & rows["name"].isin((*c.own, *SHOWN_METER)))
    ]
    for i, model in enumerate(models):
        part = shown[shown["mining"] | (shown["group"] == model)]
        part = part.sort_values(["mining", "usd_per_mwh"], ascending=[True, False], kind="stable")
        figures["meter" if i == 0 else f"meter-{i}"] = plot.same_meter(
            part, electricity=c.used["electricity"].value * 1000, claims=c.claims
        )
    return figures


def _own_roof(c: Contents) -> dict[str, Any]:
    """Of this machine's roof as it is drawn: type and peak of the flat part, and the loop of the slope."""
    here = c.devices[0]
    peak = here.peak_of("bf16")
    return {
        "peak": peak, "dtype": next(t for t in ("bf16", *here.peak) if here.peak.get(t) == peak),
        "loop": max(c.machine.bandwidth, key=c.machine.bandwidth.__getitem__),
    }  # fmt: skip


def _inside(ran: Sequence[dict[str, Any]]) -> dict[str, int]:
    """How many of the measured runs lie within the bands of their predictions."""
    return {
        name: sum(bool(row[f"{name}_inside"]) for row in ran) for name in ("tpot", "ttft")
    } | {"of": len(ran)}  # fmt: skip


def _of_fronts(fronts: Sequence[Any], own: Sequence[str]) -> dict[str, Any]:
    """What the page says of the frontiers: constants and power of those that are drawn at first."""
    drawn = [t.attrs for t in fronts if t.attrs["device"] in (*own, *data.SHOWN_FRONTS)]
    return {
        "fronts_of": sorted({str(t.attrs["device"]) for t in fronts}),
        "calibrated": sorted({(a["device"], a["calibrated_on"]) for a in drawn}),
        "power": sorted(
            {(a["device"], a["provisioned_w_per_device"], a["provisioned_kind"]) for a in drawn}
        ),
    }


def _of_meter(rows: pd.DataFrame, model: str) -> dict[str, list[dict[str, Any]]]:
    """The meter's rows of mining, and of the model that is drawn at first."""
    records = rows.to_dict("records")
    return {
        "mining": [r for r in records if r["mining"]],
        "inference": [r for r in records if r["group"] == model and r["name"] in SHOWN_METER],
    }


def _of_provenance(table: pd.DataFrame) -> dict[str, Any]:
    return {
        "provenance": table, "kinds": list(table.columns), "numbers": int(table.to_numpy().sum()),
        "totals": {kind: int(table[kind].sum()) for kind in table.columns},
    }  # fmt: skip


def _groups(devices: Sequence[Device], here: str) -> list[tuple[str, list[str]]]:
    """Names of the devices by vendor."""
    groups: dict[str, list[str]] = {}
    for d in devices:
        groups.setdefault(d.vendor or "here", []).append(d.name)
    return list(groups.items())


def _bands(fronts: Sequence[Any]) -> str:
    """The error bands that occur, in words: "±35 % or ±60 %"; of more than three the ends."""
    found = {float(band) for t in fronts for band in t["error_band"].values if band == band}
    shown = list(dict.fromkeys(f"±{band:.0%}".replace("%", " %") for band in sorted(found)))
    if len(shown) > 3:
        return f"{shown[0]} to {shown[-1]}"
    return " or ".join(shown) or "unknown"


def _counts(miners: pd.DataFrame) -> dict[str, int]:
    return {
        "devices": len(catalogue.all_devices()), "models": len(catalogue.models()), "miners": len(miners),
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
