"""Recorded requests from files of several layouts."""

from __future__ import annotations

from tokenroof.serving.requests.traces.layouts import LAYOUTS
from tokenroof.serving.requests.traces.reader import trace

__all__ = ["LAYOUTS", "trace"]


def __dir__() -> list[str]:
    return sorted(__all__)
