"""The chart of generations over systems, and how many times more one yields than another."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import economics as ec
from tokenroof import plot, serving
from tokenroof.plot.conventions import conventions
from tokenroof.plot.curves import label_of
from tokenroof.plot.ratio import at_speed
from tokenroof.plot.style import plain
from tokenroof.report.data import DEVICES_MAX, INPUT_TOKENS, OUTPUT_TOKENS, TTFT_MAX

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    import xarray as xr

__all__ = ["MODEL", "Generations", "generations"]

#: Model of the chart: the one that most was measured and printed of.
MODEL = "DeepSeek-R1"
DEVICES = (
    "H200-SXM", "GB200-NVL72", "GB300-NVL72", "Vera Rubin NVL72", "TPU v7 (Ironwood)", "Trainium3",
    "Instinct MI355X",
)  # fmt: skip
#: GPUs of a replica beside LPX.
_BESIDE = 16
_SPEEDS = 72
# over and under of the ratio that is drawn at first
_FIRST = ("Vera Rubin NVL72", "GB200-NVL72")
_COLUMNS = (
    "interactivity", "output_tokens_per_s_per_mw", "ttft_s", "tpot_s", "error_band", "devices",
    "concurrency", "provisioned_watts", "chassis_watts", "watts", "plan", "system", "interactivity_low",
    "interactivity_high",
)  # fmt: skip


@dataclass(frozen=True)
class Generations:
    """Fronts over systems, one a generation.

    Attributes
    ----------
    fronts : list of xarray.Dataset
        As `tokenroof.plot.chart` takes them.
    """

    fronts: list[xr.Dataset]

    def figures(self) -> dict[str, Any]:
        """Figures by the name of their place on the page."""
        over, under = (self._of(name) for name in _FIRST)
        return {
            "chart": plot.chart(self.fronts, tiers=ec.gtc2026_tiers()),
            "ratio": plot.ratio(self.fronts[over], self.fronts[under], points=_SPEEDS),
        }

    def _of(self, device: str) -> int:
        return next(i for i, front in enumerate(self.fronts) if front.attrs["device"] == device)

    def tables(self, frames: Any) -> dict[str, pd.DataFrame]:
        """Tables by the name of their file; `frames` is pandas."""
        rows = [
            frames.DataFrame({
                "generation": label_of(front.attrs),
                **{name: front[name].values for name in _COLUMNS if name in front},
            })
            for front in self.fronts
        ]  # fmt: skip
        return {"chart": frames.concat(rows, ignore_index=True)}

    def yields(self) -> dict[str, Any]:
        """What the page makes ratios of: yields of each front over one grid of speeds, by each convention."""
        x = [front["interactivity"].values for front in self.fronts]
        speeds = np.geomspace(min(v.min() for v in x), max(v.max() for v in x), _SPEEDS)
        by = {
            choice.name: [
                [
                    [_plain(v) for v in at_speed(front, choice, speeds, end)]
                    for end in ("", "low", "high")
                ]
                for front in self.fronts
            ]
            for choice in conventions()
        }
        return {
            "speeds": [float(f"{s:.12g}") for s in speeds], "yields": by,
            "names": [plain(label_of(f.attrs)) for f in self.fronts],
            "kinds": {choice.name: choice.kind for choice in conventions()}, "model": MODEL,
        }  # fmt: skip

    def said(self) -> dict[str, Any]:
        """What the page's text says of it."""
        over, under = (self._of(name) for name in _FIRST)
        return {
            "ratio_js": (Path(__file__).parent / "ratio.js").read_text(encoding="utf-8"),
            "ratio_json": json.dumps(self.yields()).replace("</", "<\\/"), "chart_model": MODEL,
            "ratio_names": [label_of(f.attrs) for f in self.fronts], "ratio_first": (over, under),
            "ratio_by": [choice.name for choice in conventions()],
            "fastest": [
                {"name": label_of(f.attrs), "speed": float(f["interactivity"].values[-1]),
                 "yield": float(f["output_tokens_per_s_per_mw"].max()), "system": str(_last(f)),
                 "tried": f.attrs.get("systems_tried", "")}
                for f in self.fronts
            ],
        }  # fmt: skip


def _last(front: xr.Dataset) -> Any:
    return front["system" if "system" in front else "plan"].values[-1]


def _plain(value: float) -> float | None:
    """Five digits; None where there is no number."""
    return float(f"{value:.5g}") if np.isfinite(value) else None


def generations(tick: Callable[[str], None] = lambda _: None) -> Generations:
    """Search the systems of each generation; one that nothing of keeps to the limits is left out."""
    load: dict[str, Any] = {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS}
    fronts = []
    for device in DEVICES:
        tick(f"systems of {device}")
        fronts.append(
            serving.frontier(
                device, MODEL, devices_max=DEVICES_MAX, ttft_max=TTFT_MAX, systems=True, **load
            )
        )
    tick("Rubin with LPX")
    fronts.append(serving.beside_lpx(MODEL, devices_max=_BESIDE, **load))
    return Generations([front for front in fronts if front.sizes["point"]])
