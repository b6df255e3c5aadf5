"""What a hashrate draws, by the machines that may give it."""

from __future__ import annotations

from collections.abc import Sequence


def network_watts(
    machines: Sequence[tuple[float, float]], hashrate: float, threshold: float
) -> tuple[float, float, float]:
    """Of (J/TH, weight): least of all, weighted mean and greatest of those up to a threshold, without PUE."""
    earning = [
        (joules, weight) for joules, weight in machines if joules <= threshold and weight > 0.0
    ]
    total = sum(weight for _, weight in earning)
    mean = sum(joules * weight for joules, weight in earning) / total
    terahashes = hashrate / 1e12
    return (
        terahashes * min(joules for joules, _ in machines),
        terahashes * mean,
        terahashes * max(joules for joules, _ in earning),
    )
