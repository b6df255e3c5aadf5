"""Rates at which a stream of flows is worth nothing: all of them, in work linear in the flows.

With x = exp(t) = 1 / (1 + rate) the net present value is a sum of flows times exp(k t). Over a piece of t it
is bounded by its value, its slope and its second moment in the middle (Moore, Kearfott and Cloud,
Introduction to Interval Analysis, 2009, section 6.3). A piece without a root is left, one in which the sum
rises or falls throughout has one root where its ends differ in sign, and all others are halved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_ROUNDING = 2.0**-53
_NARROWEST = 2.0**-21  # of a piece [1]; below it a root of even order looks like two or like none
_MOST_PIECES = 4096  # that are looked at together; more of them lie within the flows' own rounding
_AT_ONCE = 2**20  # numbers


@dataclass(frozen=True)
class _Sum:
    """Flows that are not zero: their years, ascending, and each as a fraction and a power of two."""

    years: Array
    fraction: Array
    exponent: Array

    @classmethod
    def of(cls, flows: Array, years: Array | None) -> _Sum:
        some = np.flatnonzero(flows)
        years = some.astype(float) if years is None else years[some]
        fraction, exponent = np.frexp(flows[flows != 0.0])
        return cls(years, fraction, exponent * np.log(2.0))

    def range(self) -> tuple[float, float]:
        """All roots in t lie between (Fujiwara 1916, for years that need not be whole)."""
        size = np.log(np.abs(self.fraction)) + self.exponent
        after, before = self.years[1:] - self.years[0], self.years[-1] - self.years[:-1]
        first, last = (size[1:] - size[0]) / after, (size[:-1] - size[-1]) / before
        return -float(first.max()) - _margin(after), float(last.max()) + _margin(before)

    def at(self, t: Array, half: Array | float = 0.0) -> tuple[Array, Array, Array, Array, Array]:
        """Value, slope, most curvature within `half`, and what rounding may add to the first two.

        Each over the sum of the flows' sizes and taken at the mean year, where the curvature is least; a
        factor exp(mean year * t) changes no root and no sign.
        """
        rows = max(1, _AT_ONCE // self.years.size)
        halves = np.broadcast_to(half, t.shape)
        parts = [self._rows(t[i : i + rows], halves[i : i + rows]) for i in range(0, t.size, rows)]
        value, slope, curve, noise, slope_noise = (
            np.concatenate(column) for column in zip(*parts, strict=True)
        )
        return value, slope, curve, noise, slope_noise

    def _rows(self, t: Array, half: Array) -> tuple[Array, ...]:
        power = self.exponent + self.years * t[:, None]
        largest = power.argmax(axis=1)
        grown = (self.years - self.years[largest, None]) * t[:, None]
        scaled = self.exponent - self.exponent[largest, None]
        power = grown + scaled
        signed = self.fraction * np.exp(power)
        size = np.abs(signed)
        total = size.sum(axis=1)
        mean = (size @ self.years) / total
        lag = self.years - mean[:, None]
        doubt = size * (np.abs(grown) + np.abs(scaled) + 4.0 + np.log2(self.years.size))
        reach = np.abs(lag)
        widest = np.abs(self.fraction) * np.exp(power + reach * half[:, None])
        return (
            signed.sum(axis=1) / total,
            (signed * lag).sum(axis=1) / total,
            (widest * lag * lag).sum(axis=1) / total,
            _ROUNDING * doubt.sum(axis=1) / total,
            _ROUNDING * (doubt * (reach + mean[:, None])).sum(axis=1) / total,
        )

    def positive(self, t: Array) -> NDArray[np.bool_]:
        return self.at(t)[0] >= 0.0

    def nothing(self, t: Array) -> NDArray[np.bool_]:
        """Whether flows that differ in a rounding may be worth nothing there."""
        value, _, _, noise, _ = self.at(t)
        return np.abs(value) <= 4.0 * noise


def _margin(years: Array) -> float:
    """Beyond it what the other flows add up to is less than the one that they are compared with."""
    margin = 1.0
    while np.exp(-margin * years).sum() >= 1.0:
        margin *= 2.0
    return margin


def roots(flows: Array, years: Array | None = None) -> list[float]:
    """All t = -log(1 + rate) at which flows are worth nothing, ascending; those within rounding are one.

    `years` ascend, one for each flow; 0, 1, 2 ... where they are None.
    """
    total = _Sum.of(flows, years)
    if total.years.size < 2:
        return []
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        steep, flat = _pieces(total)
        found = [_crossing(total, *piece) for piece in _changing(total, steep)]
        for low, high in _joined(flat):
            changes = _changing(total, np.array([[low, high]]))
            at = _crossing(total, low, high) if changes else _turn(total, low, high)
            if changes or total.nothing(np.array([at]))[0]:
                found.append(at)
        return _apart(total, sorted(found))


def _pieces(total: _Sum) -> tuple[Array, Array]:
    """Pieces in which the sum rises or falls throughout; narrow ones in which it lies flat near zero."""
    active = np.array([total.range()])
    steep, flat = [np.empty((0, 2))], [np.empty((0, 2))]
    while len(active):
        middle, half = active.mean(axis=1), 0.5 * (active[:, 1] - active[:, 0])
        value, slope, curve, noise, slope_noise = total.at(middle, half)
        may = ~(np.abs(value) - noise > np.abs(slope) * half + 0.5 * curve * half * half)
        one = may & (np.abs(slope) - slope_noise > curve * half)
        steep.append(active[one])
        rest = may & ~one
        narrow = rest & ((half <= 0.5 * _NARROWEST) | (rest.sum() > _MOST_PIECES))
        flat.append(active[narrow])
        low, high = active[rest & ~narrow].T
        middle = middle[rest & ~narrow]
        active = np.concatenate([np.stack([low, middle], 1), np.stack([middle, high], 1)])
    return np.concatenate(steep), np.concatenate(flat)


def _changing(total: _Sum, pieces: Array) -> list[tuple[float, float]]:
    """Those whose ends differ in sign."""
    if not len(pieces):
        return []
    differ = total.positive(pieces[:, 0]) != total.positive(pieces[:, 1])
    return [(float(low), float(high)) for low, high in pieces[differ]]


def _joined(pieces: Array) -> list[tuple[float, float]]:
    """Neighbours as one."""
    joined: list[tuple[float, float]] = []
    for low, high in sorted(map(tuple, pieces.tolist())):
        joined.append((joined.pop()[0], high) if joined and joined[-1][1] == low else (low, high))
    return joined


def _crossing(total: _Sum, low: float, high: float) -> float:
    """The root in a piece whose ends differ in sign: Newton's step where it stays inside, else the middle."""
    rising = bool(total.positive(np.array([high]))[0])
    t = 0.5 * (low + high)
    for _ in range(200):
        value, slope, *_ = (float(column[0]) for column in total.at(np.array([t])))
        low, high = (low, t) if (value >= 0.0) == rising else (t, high)
        step = value / slope if slope else np.inf
        if abs(value) <= 0.5 * _ROUNDING or abs(step) <= _ROUNDING * abs(t) or not low < high:
            break
        after = t - step
        t = after if low <= after <= high else 0.5 * (low + high)
    return t


def _turn(total: _Sum, low: float, high: float) -> float:
    """Where the sum turns within a narrow piece; its middle if it does not."""

    def rises(t: float) -> bool:
        return float(total.at(np.array([t]))[1][0]) >= 0.0

    middle = 0.5 * (low + high)
    if rises(low) == rises(high):
        return middle
    falls = not rises(low)
    while low < middle < high:
        low, high = (middle, high) if rises(middle) != falls else (low, middle)
        middle = 0.5 * (low + high)
    return middle


def _apart(total: _Sum, found: list[float]) -> list[float]:
    """Roots between which the flows are worth something; the middle of those between which they are not."""
    groups: list[list[float]] = []
    for t in found:
        if groups and total.nothing(np.linspace(groups[-1][-1], t, 7)[1:-1]).all():
            groups[-1].append(t)
        else:
            groups.append([t])
    return [0.5 * (group[0] + group[-1]) for group in groups]
