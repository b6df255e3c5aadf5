"""Curves of a chart: some points of a front, by each choice of the axis."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.inference.device_power import device_power
from tokenroof.inference.door import as_device
from tokenroof.plot.conventions import conventions, hour_of, yields
from tokenroof.plot.style import plain
from tokenroof.support.formats import si
from tokenroof.support.lazy import require
from tokenroof.support.names import UnknownNameError, listed, normalise
from tokenroof.support.quoting import counted

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from tokenroof.plot.conventions import Convention
    from tokenroof.plot.marks import Mark

    Array = NDArray[np.float64]

__all__ = ["Curve", "Made", "axis_range", "checked", "label_of", "load_of", "watts_of"]


def checked(fronts: Sequence[xr.Dataset]) -> list[xr.Dataset]:
    xarray = require("xarray", extra="report")
    tables = [t for t in listed("fronts", fronts, xarray.Dataset) if t.sizes["point"]]
    if not tables:
        raise ValueError("fronts has no point; allowed: at least one front with some")
    models = list(dict.fromkeys(str(t.attrs["model"]) for t in tables))
    if len(models) > 1:
        raise ValueError(f"fronts are of {' and '.join(models)}; allowed: one model")
    return tables


def load_of(table: xr.Dataset) -> str:
    """Tokens of a front's requests and answers."""
    load = (table.attrs.get(name, math.nan) for name in ("input_tokens", "output_tokens"))
    return "/".join(f"{tokens:,.0f}" for tokens in load)


@dataclass(frozen=True, slots=True)
class Made:
    name: str
    vendor: str
    family: str


@dataclass(frozen=True, slots=True)
class Curve:
    """What is drawn of one front: some of its points, by each convention."""

    label: str
    device: str
    vendor: str
    family: str
    x: Array
    ends: tuple[Array, Array]  # speeds at the ends of the band
    y: dict[str, Array]
    good: dict[str, Array]  # at the fast end, by convention
    bad: dict[str, Array]
    watts: float  # provisioned, of a device
    lone_band: bool  # all that is known is a range
    text: list[str]

    @classmethod
    def of(cls, table: xr.Dataset, most: int) -> Curve:
        a = table.attrs
        pick = np.unique(np.round(np.linspace(0, table.sizes["point"] - 1, most)).astype(int))
        table = table.isel(point=pick)
        x = table["interactivity"].values
        ranged = "interactivity_low" in table
        wide = 1.0 if ranged else 1.0 + np.nan_to_num(table["error_band"].values)
        slow = table["interactivity_low"].values if ranged else x / wide
        fast = table["interactivity_high"].values if ranged else x * wide
        y, good, bad = {}, {}, {}
        for choice in conventions():
            y[choice.name] = yields(table, choice)
            # steps that are shorter yield more, and cost less
            more = wide if choice.kind == "watts" else 1.0 / wide
            best = np.maximum if choice.kind == "watts" else np.minimum
            good[choice.name] = _falling(fast, yields(table, choice, "high") * more, best)
            bad[choice.name] = _falling(slow, yields(table, choice, "low") / more, best)
        label = label_of(a)
        what = (
            "system" if "system" in table else "plan"
        )  # of systems the whole, not a replica of theirs
        text = [
            f"<b>{plain(label)}</b>, {plain(a['model'])}<br>{plain(plan)}"
            f"<br>batch {users:g} on {counted(int(n), 'device')}<br>{s:.3g} tok/s/user, TTFT {si(t, 's')}"
            for plan, users, n, t, s in zip(
                *(table[k].values for k in (what, "concurrency", "devices", "ttft_s")),
                x,
                strict=True,
            )
        ]
        return cls(
            label, str(a["device"]), str(a.get("vendor", "")), str(a.get("family", "")), x,
            (np.sort(slow), np.sort(fast)), y, good, bad,
            float(a.get("provisioned_w_per_device", math.nan)), ranged, text,
        )  # fmt: skip


def _falling(x: Array, y: Array, best: Any) -> Array:
    """By growing speed, the best of each place and those beyond: a user may be served faster than asked."""
    return np.asarray(best.accumulate(y[np.argsort(x)][::-1])[::-1])


def label_of(attrs: Mapping[str, Any]) -> str:
    """What the legend calls a front: its label, or generation and device; of other makers the device."""
    if attrs.get("label"):
        return str(attrs["label"])
    family, vendor, device = (str(attrs.get(k, "")) for k in ("family", "vendor", "device"))
    return f"{family} ({device})" if family and vendor == "NVIDIA" else device


def axis_range(
    curves: Sequence[Curve], marks: Sequence[Mark], choice: Convention
) -> tuple[float, float]:
    """Lowest and highest of the axis, of lines and marks; bands may go beyond."""
    places = [mark.at(choice, watts_of(mark, curves, choice)) for mark in marks]
    values = np.concatenate([*(c.y[choice.name] for c in curves), places])
    values = values[np.isfinite(values) & (values > 0.0)]
    if not values.size:
        return 1.0, 10.0
    low = max(float(values.min()) / 2.0, float(values.max()) / 3e4)
    return low, 3.0 * float(values.max())


def watts_of(mark: Mark, curves: Sequence[Curve], choice: Convention) -> float:
    """What tokens of a device are divided by, where that is a constant of the device."""
    if choice.of == "provisioned_watts":
        same = [c.watts for c in curves if normalise(c.device) == normalise(mark.device)]
        return same[0] if same else _provisioned(mark.device)
    if choice.field == "watts":
        hour = hour_of(mark.device, choice.of)
        return math.nan if hour is None else hour.watts
    return math.nan


def _provisioned(name: str) -> float:
    """Watts that a site sets aside for a device that has no curve; NaN for one that is not listed."""
    try:
        return float(device_power(as_device(name)).provisioned_w)
    except UnknownNameError:
        return math.nan
