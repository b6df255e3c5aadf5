"""What is asked of a replica: requests as arrays, checked once."""

from __future__ import annotations

from tokenroof.serving.requests.given import as_requests
from tokenroof.serving.requests.record import Requests

__all__ = ["Requests", "as_requests"]


def __dir__() -> list[str]:
    return sorted(__all__)
