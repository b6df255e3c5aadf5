"""What the report shows of devices, models and miners: tables first, figures from them later."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import catalogue, serving
from tokenroof.catalogue.architectures import model as find_model
from tokenroof.catalogue.lookup import device as find_device
from tokenroof.inference.roofline import point
from tokenroof.inference.step import decode, prefill
from tokenroof.records.device import Device
from tokenroof.records.plan import Plan
from tokenroof.support.lazy import require
from tokenroof.support.names import listed, normalise
from tokenroof.support.quoting import counted

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from tokenroof.measure import Machine

__all__ = [
    "Left", "frontiers", "miners", "own_devices", "provenance", "rooflines", "year_of",
]  # fmt: skip

#: Prompt and answer of the charts, in tokens.
INPUT_TOKENS, OUTPUT_TOKENS = 8192, 1024
#: Devices of the largest replica: one rack.
DEVICES_MAX = 72
#: Models of the charts; the first is drawn at first.
MODELS = ("DeepSeek-R1", "Kimi-K2.5", "gpt-oss-120b", "Llama-3.3-70B")
#: Longest mean wait for the first token of a point that is drawn, or sold [s]: beyond it is no offer.
TTFT_MAX = serving.LONGEST_WAIT
#: Speed that a user must get for its tokens to be sold [token/s].
LEAST_SPEED = 50.0
SHOWN_ROOFS = (
    "A100-SXM4-80GB", "H100-SXM", "H200-SXM", "B200-SXM", "GB300-NVL72", "Vera Rubin NVL72",
    "Instinct MI300X", "Instinct MI355X", "TPU v7 (Ironwood)", "Trainium2", "RTX 4090", "EPYC 9654",
)  # fmt: skip
SHOWN_FRONTS = (
    "H100-SXM", "H200-SXM", "B200-SXM", "GB200-NVL72", "GB300-NVL72", "Vera Rubin NVL72",
    "Instinct MI300X", "Instinct MI355X", "TPU v7 (Ironwood)", "Trainium3",
)  # fmt: skip
POINT_DEVICES = ("H100-SXM", "B200-SXM")
POINT_MODELS = ("Llama-3.1-8B", "Qwen3-30B-A3B", "gpt-oss-120b")


@dataclass
class Left:
    """What was left out of a figure, and why."""

    rows: list[tuple[str, str]] = field(default_factory=list)

    def add(self, what: str, why: object) -> None:
        self.rows.append((what, " ".join(str(why).split())))


def year_of(release: str) -> float:
    """Year of a release as a number; NaN if unknown.

    Examples
    --------
    >>> year_of("2026-H2"), year_of("2020-07"), year_of("2025")
    (2026.75, 2020.5416666666667, 2025.5)
    """
    year, _, rest = release.partition("-")
    if not year.isdigit():
        return math.nan
    part = {"H1": 0.25, "H2": 0.75, "Q1": 0.125, "Q2": 0.375, "Q3": 0.625, "Q4": 0.875}.get(
        rest[:2]
    )
    if part is None:
        month = rest[:2]
        part = (int(month) - 0.5) / 12 if month.isdigit() and 1 <= int(month) <= 12 else 0.5
    return int(year) + part


def own_devices(given: str | Device | Iterable[str | Device]) -> list[Device]:
    """Devices that a caller wants drawn, each once; "local" is there without being asked for.

    Examples
    --------
    >>> [d.name for d in own_devices(["local", "H200-SXM", "h200_sxm"])]
    ['H200-SXM']
    """
    wanted = listed("devices", given, Device)
    asked = [d for d in wanted if not (isinstance(d, str) and normalise(d) == "local")]
    return list({d.name: d for d in map(find_device, asked)}.values())


def rooflines(
    here: Device, left: Left, own: Sequence[Device] = ()
) -> tuple[list[Device], pd.DataFrame, pd.DataFrame]:
    """Devices with this machine first, then the caller's, their roofs, and points of a few models.

    Returns
    -------
    devices : list of Device
    roofs : pandas.DataFrame
        A row per device and type.
    points : pandas.DataFrame
        As `tokenroof.plot.roofline` takes it.
    """
    pd = require("pandas", extra="report")
    named = {d.name for d in own}
    devices = [here, *own, *(d for d in catalogue.all_devices() if d.name not in named)]
    roofs = pd.DataFrame(
        {
            "device": d.name, "vendor": d.vendor, "family": d.family, "release": d.release,
            "dtype": dtype, "peak_flops": peak, "memory_bandwidth": d.memory_bandwidth,
            "ridge_point": peak / d.memory_bandwidth,
        }
        for d in devices
        for dtype, peak in d.peak.items()
    )  # fmt: skip
    for d in devices:
        if not math.isfinite(d.peak_of("bf16")):
            left.add(d.name, "no dense peak is printed in a type that it could be drawn in")
    rows = []
    for d in (here, *own, *(find_device(name) for name in POINT_DEVICES if name not in named)):
        for name in POINT_MODELS:
            model = find_model(name)
            plan = _smallest_plan(d, model)
            if plan is None:
                left.add(
                    f"{name} on {d.name}",
                    f"does not fit {'its memory' if d is here else '8 devices'} in bf16",
                )
                continue
            if d is here:  # decode alone: a prompt of this length would take minutes
                runs: list[tuple[str, float]] = [("decode", b) for b in (1.0, 4.0, 16.0)]
            else:
                runs = [("decode", b) for b in (1.0, 8.0, 64.0, 256.0)] + [("prefill", 8192.0)]
            for kind, amount in runs:
                try:
                    step = (
                        decode(d, model, plan, batch=amount, context=4096.0)
                        if kind == "decode"
                        else prefill(d, model, plan, tokens=amount)
                    )
                except ValueError as error:
                    left.add(f"{name} on {d.name}", error)
                    continue
                if not bool(np.all(step.fits)):
                    continue
                x, y = point(step)
                load = (
                    f"batch {amount:g}, context 4096"
                    if kind == "decode"
                    else f"{counted(amount, 'token', 'g')}"
                )
                rows.append({
                    "device": d.name, "model": name, "step": kind, "load": load,
                    "plan": plan.label(step.model), "intensity": float(x), "flops_per_s": float(y),
                    "time_s": float(step.time_s), "bound": str(step.bound),
                    "watts": float(step.watts), "error_band": float(step.error_band),
                    "calibrated_on": step.calibrated_on,
                })  # fmt: skip
    return devices, roofs, pd.DataFrame(rows)


def _smallest_plan(device: Device, model: Any) -> Any:
    """The fewest devices of one node that hold the model in bf16."""
    counts = (1,) if device.kind == "cpu" else (1, 2, 4, 8)
    for tp in counts:
        plan = Plan(tp=tp, engine="ideal" if device.kind == "cpu" else "vllm")
        try:
            plan.check(model)
            batch = 1.0 if device.kind == "cpu" else 16.0
            if bool(np.all(decode(device, model, plan, batch=batch, context=4096.0).fits)):
                return plan
        except ValueError:
            continue
    return None


def frontiers(
    devices: Sequence[Device], left: Left, tick: Callable[[str], None]
) -> tuple[list[xr.Dataset], pd.DataFrame]:
    """Pareto sets of every device and chart model, as datasets and as one table."""
    pd = require("pandas", extra="report")
    tables, frames = [], []
    for name in MODELS:
        model = find_model(name)
        empty = []
        for d in devices:
            tick(f"{d.name}, {name}")
            if not d.tdp_w and not d.system_power_w and not d.provisioned_power_w:
                left.add(f"{d.name}", "its power is not known")
                continue
            if not d.memory_bytes:
                left.add(f"{d.name}", "its memory is not known")
                continue
            try:
                with np.errstate(
                    divide="ignore"
                ):  # plans over a link that is not there take forever
                    table = serving.frontier(
                        d, model, input_tokens=INPUT_TOKENS, output_tokens=OUTPUT_TOKENS,
                        devices_max=DEVICES_MAX, ttft_max=TTFT_MAX,
                    )  # fmt: skip
            except ValueError as error:
                left.add(f"{name} on {d.name}", error)
                continue
            if not table.sizes["point"]:
                empty.append(d.name)
                continue
            tables.append(table)
            said = ("calibrated_on", "provisioned_w_per_device", "provisioned_kind")
            columns = {str(k): v.values for k, v in table.variables.items()}
            frames.append(
                {"device": d.name, "model": name, **columns, **{k: table.attrs[k] for k in said}}
            )
        if empty:
            left.add(
                name,
                f"no layout tried fits and answers within {TTFT_MAX:g} s on {', '.join(empty)}",
            )
    left.rows[:] = list(dict.fromkeys(left.rows))
    return tables, _stacked(pd, frames, [table.sizes["point"] for table in tables])


def _stacked(pd: Any, frames: Sequence[Mapping[str, Any]], counts: Sequence[int]) -> pd.DataFrame:
    """One table of many: columns, or a value for all rows of one, one below the other."""
    return pd.DataFrame({
        name: np.concatenate([
            np.broadcast_to(frame[name], count) for frame, count in zip(frames, counts, strict=True)
        ])
        for name in frames[0]
    })  # fmt: skip


def miners(machine: Machine) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Every miner of the catalogue with its year, and this machine's point."""
    frame = catalogue.miners()
    frame.insert(1, "year", [year_of(str(r)) for r in frame["release"]])
    today = date.today()
    here = {
        "name": f"this machine: {machine.name}, {machine.cores} cores",
        "year": today.year + (today.timetuple().tm_yday - 0.5) / 365.25,
        "hashrate": machine.hashrate,
        "efficiency": machine.joules_per_terahash,
        "backend": machine.hash_backend,
    }
    return frame, here


def provenance() -> pd.DataFrame:
    """How many numbers of the catalogue came how: a row per file, a column per kind."""
    pd = require("pandas", extra="report")
    sources = catalogue.sources()
    counts = pd.crosstab(sources["file"], sources["kind"])
    kinds = [k for k in catalogue.KINDS if k in counts.columns]
    return counts[kinds]
