"""Lengths of prompts, answers and sessions: distributions of whole numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from tokenroof.serving.requests.given import MOST_TOKENS
from tokenroof.support.arguments import finite_number, is_integer, is_number, place, reals, shown
from tokenroof.support.equality import by_value
from tokenroof.support.names import among
from tokenroof.support.pieces import pieces

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Lengths", "as_lengths"]

# Quantiles that moments are averaged over.
_POINTS = 4096


@by_value
@dataclass(frozen=True, slots=True, eq=False)
class Lengths:
    """A distribution of whole numbers from 1 on, such as the tokens of prompts.

    Made by `fixed`, `uniform`, `lognormal` and `empirical`. Wherever a load takes one, a number does for
    `fixed`.

    Attributes
    ----------
    kind : str
        Which of them.
    low, high : int
        What is drawn below or above counts as these.
    mu, sigma : float
        Mean and standard deviation of the logarithm, of `lognormal`.
    values, shares : ndarray
        Of `empirical`: values in order, and the share of all up to each.

    Examples
    --------
    >>> Lengths.uniform(10, 30).mean, Lengths.fixed(7).variance
    (20.0, 0.0)
    """

    kind: str
    low: int = 1
    high: int = MOST_TOKENS
    mu: float = 0.0
    sigma: float = 0.0
    values: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    shares: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        kinds = ("fixed", "uniform", "lognormal", "empirical")
        if not among(self.kind, kinds):
            raise ValueError(f"kind is {shown(self.kind)}; allowed: {', '.join(kinds)}")
        least, most = _length("low", self.low), _length("high", self.high)
        if most < least:
            raise ValueError(f"high is {most}; allowed: at least low ({least})")
        object.__setattr__(self, "low", least)
        object.__setattr__(self, "high", most)
        finite_number("mu", self.mu, -np.inf)
        finite_number("sigma", self.sigma)
        same = np.shape(self.values) == np.shape(self.shares)
        if self.kind == "empirical" and not (same and np.size(self.values)):
            raise ValueError(
                f"values have shape {np.shape(self.values)}, shares {np.shape(self.shares)}; "
                "allowed: a share for each"
            )

        for name in ("values", "shares"):  # as those of Requests
            array = np.asarray(getattr(self, name)).view()
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    def __hash__(self) -> int:
        return hash((self.kind, self.low, self.high, self.mu, self.sigma, len(self.values)))

    @classmethod
    def fixed(cls, length: int) -> Lengths:
        """Always the same."""
        whole = _length("length", length)
        return cls("fixed", whole, whole)

    @classmethod
    def uniform(cls, low: int, high: int) -> Lengths:
        """Each whole number from `low` to `high`, both included."""
        return cls("uniform", low, high)

    @classmethod
    def lognormal(
        cls, mean: float, cv: float = 1.0, low: int = 1, high: int = MOST_TOKENS
    ) -> Lengths:
        """Of this mean, at least 1, and ratio of standard deviation to mean, before rounding and bounds."""
        finite_number("mean", mean, 1.0)
        finite_number("cv", cv)
        # where the square would not be a number, 1 beside it is nothing
        square = float(np.log1p(float(cv) ** 2)) if cv < 1e100 else 2.0 * float(np.log(cv))
        return cls("lognormal", low, high, float(np.log(mean)) - 0.5 * square, square**0.5)

    @classmethod
    def empirical(cls, values: ArrayLike, weights: ArrayLike | None = None) -> Lengths:
        """One of these, each by its weight."""
        given = np.atleast_1d(reals("values", values, 1.0))
        bad = (given != np.floor(given)) | (given > MOST_TOKENS)
        if given.ndim != 1 or not given.size or bad.any():
            one = f"values{place(bad)} is {given[bad].flat[0]:g}" if bad.any() else ""
            said = one or f"values are of shape {given.shape}"
            raise ValueError(f"{said}; allowed: whole numbers from 1 to {MOST_TOKENS}")
        share = np.ones(given.size) if weights is None else np.atleast_1d(reals("weights", weights))
        if share.shape != given.shape or not share.sum() > 0.0:
            raise ValueError(
                f"weights have shape {share.shape} and sum {share.sum():g}; "
                f"allowed: {given.shape}, one a value, not all 0"
            )
        order = np.argsort(given, kind="stable")
        total = np.cumsum(share[order])
        return cls(
            "empirical", int(given.min()), int(given.max()),
            values=given[order].astype(np.int64), shares=total / total[-1],
        )  # fmt: skip

    def draw(self, random: np.random.Generator, n: int) -> NDArray[np.int64]:
        """So many of them."""
        drawn = np.full(n, self.low, np.int64)
        if self.kind != "fixed":
            for part in pieces(n):  # the same numbers as all at once
                drawn[part] = self._some(random, part.stop - part.start)
        return drawn

    def _some(self, random: np.random.Generator, n: int) -> NDArray[np.int64]:
        if self.kind == "uniform":
            return random.integers(self.low, self.high, n, np.int64, endpoint=True)
        if self.kind == "empirical":
            return self.values[np.searchsorted(self.shares, random.random(n), side="right")]
        return self._bounded(random.standard_normal(n))

    def _bounded(self, normal: NDArray[np.float64]) -> NDArray[np.int64]:
        with np.errstate(over="ignore"):
            drawn = np.rint(np.exp(self.mu + self.sigma * normal))
        return np.clip(drawn, self.low, self.high).astype(np.int64)

    def quantiles(self) -> NDArray[np.float64]:
        """4,096 of them, each as likely: what moments and forms of queueing average over."""
        u = (np.arange(_POINTS) + 0.5) / _POINTS
        if self.kind == "fixed":
            return np.array([float(self.low)])
        if self.kind == "uniform":
            return np.floor(self.low + u * (self.high - self.low + 1.0))
        if self.kind == "empirical":
            return self.values[np.searchsorted(self.shares, u, side="right")].astype(np.float64)
        inverse = NormalDist().inv_cdf
        return self._bounded(np.array([inverse(x) for x in u.tolist()])).astype(np.float64)

    @property
    def mean(self) -> float:
        """Mean [1]."""
        if self.kind in ("fixed", "uniform"):
            return 0.5 * (self.low + self.high)
        if self.kind == "empirical":
            return float(np.diff(self.shares, prepend=0.0) @ self.values)
        return float(self.quantiles().mean())

    @property
    def variance(self) -> float:
        """Variance [1]."""
        if self.kind in ("fixed", "uniform"):
            return ((self.high - self.low + 1.0) ** 2 - 1.0) / 12.0
        if self.kind == "empirical":
            apart = (self.values - self.mean) ** 2
            return float(np.diff(self.shares, prepend=0.0) @ apart)
        return float(self.quantiles().var())


def _length(name: str, value: object) -> int:
    if is_number(value) and not is_integer(value):
        whole = float(value)  # type: ignore[arg-type]
        value = int(whole) if whole.is_integer() else value
    if not is_integer(value) or not 1 <= value <= MOST_TOKENS:
        raise ValueError(
            f"{name} is {shown(value)}; allowed: whole numbers from 1 to {MOST_TOKENS}"
        )
    return int(value)


def as_lengths(name: str, value: object) -> Lengths:
    """A distribution as it is; a whole number as `Lengths.fixed`."""
    if isinstance(value, Lengths):
        return value
    if not is_number(value):
        raise TypeError(f"{name} is {shown(value)[:60]}; allowed: a whole number, or Lengths")
    return Lengths("fixed", _length(name, value), _length(name, value))
