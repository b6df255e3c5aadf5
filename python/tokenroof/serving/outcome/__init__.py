"""What became of requests: percentiles, the course of time, a verdict, the spread over seeds."""

from __future__ import annotations

from tokenroof.serving.outcome.series import series
from tokenroof.serving.outcome.spread import spread
from tokenroof.serving.outcome.summary import summary
from tokenroof.serving.outcome.verdict import Verdict, verdict

__all__ = ["Verdict", "series", "spread", "summary", "verdict"]


def __dir__() -> list[str]:
    return sorted(__all__)
