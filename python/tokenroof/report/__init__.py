"""The main job: one page of figures, and the data behind them. See `build`."""

from __future__ import annotations

from tokenroof.report.build import build

__all__ = ["build"]


def __dir__() -> list[str]:
    return sorted(__all__)
