"""What is asked of a replica: requests as arrays, checked once; loads that are drawn."""

from __future__ import annotations

from tokenroof.serving.requests.arrivals import daily, gamma, modulated, poisson
from tokenroof.serving.requests.given import as_requests
from tokenroof.serving.requests.lengths import Lengths
from tokenroof.serving.requests.priorities import prioritised
from tokenroof.serving.requests.record import Requests
from tokenroof.serving.requests.sessions import sessions
from tokenroof.serving.requests.traces import LAYOUTS, trace
from tokenroof.serving.requests.users import users

__all__ = [
    "LAYOUTS", "Lengths", "Requests", "as_requests", "daily", "gamma", "modulated", "poisson",
    "prioritised", "sessions",
    "trace", "users",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted(__all__)
