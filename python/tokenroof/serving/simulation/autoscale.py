"""Replicas that come and go: the rule of Kubernetes' horizontal pod autoscaler over engines' signals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tokenroof.support.arguments import count, finite_number, shown
from tokenroof.support.names import among

__all__ = ["SIGNALS", "Autoscale", "scaling_of"]

SIGNALS = ("queue", "utilisation")
_DEFAULT_TARGET = {"queue": 1.0, "utilisation": 0.8}
_LEAST_INTERVAL_S = 1e-3


@dataclass(frozen=True, slots=True)
class Autoscale:
    """How many replicas of a pool there are, by what they report.

    Every `interval_s` the signal is summed over the replicas that serve; there should be as many as the sum
    over `target`, rounded up. Nothing happens while the mean is within `tolerance` of the target, counted
    over those that start too where it is above. More are started at once and serve `start_s` later; fewer
    are kept once nothing asked for more during `cooldown_s`. Who leaves gets no further requests, and
    finishes what it has; a replica that starts anew has an empty cache.

    Parameters
    ----------
    least, most : int
        Replicas [1].
    start_s : float
        From the decision to the first request: weights are loaded, graphs captured [s].
    signal : {"queue", "utilisation"}
        Requests that wait at a replica [1]; share of its KV memory that is in use [1].
    target : float, optional
        Of the signal's mean over replicas: 1 request, or 0.8 of the memory, by default.
    interval_s : float
        Between looks [s].
    cooldown_s : float
        For how long a larger number that was asked for is kept [s].
    tolerance : float
        Share of the target by which the mean may be off [1].

    Raises
    ------
    TypeError, ValueError
        For bounds that are no numbers of replicas, a signal that is not read, times below zero.

    References
    ----------
    Kubernetes, Horizontal Pod Autoscaling: algorithm details, stabilization window, defaults of 15 s, 300 s
    and 10 %.

    Examples
    --------
    >>> Autoscale(1, 4, start_s=120.0).target
    1.0
    """

    least: int
    most: int
    start_s: float
    signal: str = "queue"
    target: float | None = None
    interval_s: float = 15.0
    cooldown_s: float = 300.0
    tolerance: float = 0.1

    def __post_init__(self) -> None:
        put = object.__setattr__
        for name in ("least", "most"):
            put(self, name, count(name, getattr(self, name)))
        if self.most < self.least:
            raise ValueError(f"most is {self.most}; allowed: at least least ({self.least})")
        if not among(self.signal, SIGNALS):
            raise ValueError(f"signal is {shown(self.signal)}; allowed: {', '.join(SIGNALS)}")
        target = _DEFAULT_TARGET[self.signal] if self.target is None else self.target
        put(self, "target", finite_number("target", target, above=True))
        for name in ("start_s", "cooldown_s", "tolerance"):
            put(self, name, finite_number(name, getattr(self, name)))
        interval = finite_number("interval_s", self.interval_s, above=True)
        if interval < _LEAST_INTERVAL_S:
            raise ValueError(
                f"interval_s is {interval:g}; allowed: numbers from {_LEAST_INTERVAL_S:g}"
            )
        put(self, "interval_s", interval)

    def compiled(self, replicas: int) -> dict[str, Any]:
        """What the compiled simulator takes, of a pool that begins with so many."""
        if not self.least <= replicas <= self.most:
            raise ValueError(
                f"replicas is {replicas} with an Autoscale from {self.least} to {self.most}; allowed: a "
                "number between them to begin with"
            )
        return {
            "least": self.least, "most": self.most, "signal": SIGNALS.index(self.signal),
            "target": self.target, "tolerance": self.tolerance, "start_ns": _ns(self.start_s),
            "interval_ns": _ns(self.interval_s), "cooldown_ns": _ns(self.cooldown_s),
        }  # fmt: skip


def _ns(seconds: float) -> int:
    return min(2**61, round(1e9 * seconds))


def scaling_of(given: Any, replicas: int) -> dict[str, Any] | None:
    """The compiled rule of an `Autoscale`, or its fields by name; None where there is none."""
    if given is None:
        return None
    if isinstance(given, Mapping):
        wrong = sorted(set(given) - set(Autoscale.__annotations__), key=str)
        if wrong:
            raise TypeError(
                f"autoscale has {shown(wrong[0])}; allowed: {', '.join(Autoscale.__annotations__)}"
            )
        for name in ("least", "most", "start_s"):
            if name not in given:
                raise ValueError(
                    f"autoscale has no {name}; allowed: at least least, most and start_s"
                )
        given = Autoscale(**given)
    if not isinstance(given, Autoscale):
        raise TypeError(
            f"autoscale is {shown(given)}; allowed: an Autoscale, its fields by name, or None"
        )
    return given.compiled(replicas)
