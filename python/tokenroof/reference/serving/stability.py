"""Where queues begin to grow, from Nie, Si, Zhou (arXiv:2605.04595)."""

from __future__ import annotations

from tokenroof.reference.core.ieee import divide

__all__ = ["stable_request_rate"]


def stable_request_rate(
    kv_tokens: float, step_seconds: float, input_tokens: float, output_tokens: float
) -> float:
    """mu = M / (b g): in step i of o a request holds s prompt tokens and i more, g = o s + o (o + 1) / 2."""
    held_on_average = input_tokens + (output_tokens + 1.0) / 2.0
    return divide(kv_tokens, step_seconds * (output_tokens * held_on_average))
