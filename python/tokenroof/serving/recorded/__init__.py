"""Fits on a recorded run: host time of a step, and a factor of it."""

from __future__ import annotations

from tokenroof.serving.recorded.fit import calibrate_run
from tokenroof.serving.recorded.fitted import RunFit

__all__ = ["RunFit", "calibrate_run"]


def __dir__() -> list[str]:
    return sorted(__all__)
