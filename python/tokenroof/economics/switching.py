"""When to change what is done, where what it earns wanders: by regression over paths."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import _core
from tokenroof.support.arguments import reals, shown, whole_number
from tokenroof.support.equality import by_value
from tokenroof.support.labels import refuse_labelled

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

__all__ = ["Switching", "best_switching"]

_KNOWN, _ENDS = 1, 2


@by_value
@dataclass(frozen=True)
class Switching:
    """What it is worth to decide as one goes along.

    Attributes
    ----------
    value, error : float
        Mean over fresh paths of the better of the rule that was found and the best plan made in advance, and
        its standard error [$].
    rule : float
        Mean of the rule alone [$].
    at_once : float
        The best that can be decided now for good: to stay as it is, or to change at the first date [$].
    planned : float
        The best plan of one change, at any date, that is made now and kept [$].
    plan : tuple of int
        Date and mode of that plan.
    shares : ndarray
        Of each date and mode: part of the fresh paths that are in it [1].
    paths : int
        Fresh paths, which the rule was not fitted to.
    """

    value: float
    error: float
    rule: float
    at_once: float
    planned: float
    plan: tuple[int, int]
    shares: Array = field(repr=False)
    paths: int = 0

    @property
    def waiting(self) -> float:
        """What it is worth not to decide now for good; never below nothing [$]."""
        return self.value - self.at_once


def best_switching(
    states: ArrayLike,
    income: ArrayLike,
    costs: ArrayLike,
    *,
    known: Sequence[bool],
    ends: Sequence[bool],
    choose: ArrayLike | None = None,
    start: int = 0,
    degree: int = 3,
) -> Switching:
    """The worth of choosing a mode at each date, by regression over simulated paths.

    Half of the paths find the rule, the others say what it is worth: no path decides by its own future, so
    that the value is one that can be had, within its error.

    Parameters
    ----------
    states : array_like, shape (dates, dimensions, paths)
        What is known at each date, as logarithms of prices; 1 to 6 dimensions.
    income : array_like, shape (modes, dates, paths)
        What a mode earns at a date, in money of the first one [$].
    costs : array_like, shape (modes, modes)
        Of the change from one mode (row) to another; inf where there is no way [$].
    known : sequence of bool
        Of each mode: whether a date's income is known when it is chosen, as that of an exercise is; otherwise
        it comes until the next date and is expected as the future is.
    ends : sequence of bool
        Of each mode: whether nothing follows, as after an exercise.
    choose : array_like of bool, shape (dates, paths), optional
        Where there is a choice; elsewhere the mode stays, and the regression leaves the path out. Everywhere
        by default.
    start : int
        Mode before the first date.
    degree : int
        Of the polynomial, from 0 to 6.

    Returns
    -------
    Switching

    Raises
    ------
    ValueError, TypeError
        For arrays that do not fit each other, or a number out of its range, by name.

    References
    ----------
    Longstaff and Schwartz, Valuing American Options by Simulation: A Simple Least-Squares Approach, Review of
    Financial Studies 14(1), 2001.

    Examples
    --------
    A gain that can be taken now or a year later, when it is twice as much or nothing:

    >>> gain = np.array([[1.0] * 4, [2.0, 0.0, 2.0, 0.0]])
    >>> income = np.stack([np.zeros((2, 4)), gain - 0.9])
    >>> costs = [[0.0, 0.0], [np.inf, 0.0]]
    >>> found = best_switching(gain[:, None], income, costs, known=[True, True], ends=[False, True])
    >>> round(found.value, 2), round(found.at_once, 2), round(found.waiting, 2)
    (0.55, 0.1, 0.45)
    """
    x, y = reals("states", states, None), reals("income", income, None)
    if x.ndim != 3 or y.ndim != 3 or x.shape[0] != y.shape[1] or x.shape[2] != y.shape[2]:
        raise ValueError(
            f"states and income have the shapes {x.shape} and {y.shape}; "
            "allowed: (dates, dimensions, paths) and (modes, dates, paths)"
        )
    modes, dates, paths = y.shape
    if not 1 <= x.shape[1] <= 6 or not 1 <= modes <= 16 or dates < 1 or paths < 2:
        raise ValueError(
            f"states and income have the shapes {x.shape} and {y.shape}; allowed: 1 to 6 dimensions, 1 to 16 "
            "modes, at least one date and two paths"
        )
    between = _costs(costs, modes)
    flags = _flags("known", known, modes) * _KNOWN + _flags("ends", ends, modes) * _ENDS
    free = None if choose is None else _choose(choose, (dates, paths))
    first = whole_number("start", start, 0, modes - 1)
    power = whole_number("degree", degree, 0, 6)
    worth, taken = np.empty(paths), np.empty(dates * paths, np.uint8)
    fit = paths // 2
    _core.best_modes(
        x.ravel(), y.ravel(), between.ravel(), flags, free, worth, taken, dates, x.shape[1], power, first, fit
    )  # fmt: skip
    fresh, at = worth[fit:], taken.reshape(dates, paths)[:, fit:]
    ending = (flags & _ENDS).astype(bool)
    plans = _plans(y[:, :, fit:], between, ending, first)
    plan = max(plans, key=lambda of: float(plans[of].mean()))
    at_once = max(float(each.mean()) for (date, _), each in plans.items() if date == 0)
    rule, planned = float(fresh.mean()), float(plans[plan].mean())
    best = fresh if rule >= planned else plans[plan]
    return Switching(
        max(rule, planned), float(best.std(ddof=1) / math.sqrt(best.size)) if best.size > 1 else math.nan,
        rule, at_once, planned, plan, np.stack([(at == m).mean(axis=1) for m in range(modes)], axis=1),
        best.size,
    )  # fmt: skip


def _plans(income: Array, costs: Array, ends: NDArray[np.bool_], start: int) -> dict[Any, Array]:
    """What each plan of at most one change comes to on each path, by its date and mode."""
    found = {}
    modes, dates, _ = income.shape
    before = np.cumsum(income[start], axis=0)  # of the mode at the start, this date included
    for mode in range(modes):
        for date in range(dates if mode != start else 1):
            if math.isinf(costs[start, mode]) or (ends[start] and mode != start):
                continue
            after = income[mode, date] if ends[mode] else income[mode, date:].sum(axis=0)
            spent = 0.0 if mode == start else costs[start, mode]
            found[date, mode] = after - spent + (before[date - 1] if date else 0.0)
    if not found:
        raise ValueError("costs has no way from start; allowed: to stay, or one finite change")
    return found


def _costs(costs: ArrayLike, modes: int) -> Array:
    refuse_labelled("costs", costs)
    found = np.array(costs, dtype=np.float64)
    if found.shape != (modes, modes) or np.isnan(found).any() or (found == -np.inf).any():
        raise ValueError(
            f"costs has the shape {found.shape}; allowed: ({modes}, {modes}), finite numbers or inf"
        )
    return found


def _flags(name: str, given: Sequence[bool], modes: int) -> NDArray[np.int32]:
    values = list(given)
    if len(values) != modes or any(not isinstance(v, (bool, np.bool_)) for v in values):
        raise ValueError(
            f"{name} is {shown(given)}; allowed: true or false for each of {modes} modes"
        )
    return np.array(values, dtype=np.int32)


def _choose(given: ArrayLike, shape: tuple[int, int]) -> NDArray[np.uint8]:
    refuse_labelled("choose", given)
    found = np.asarray(given)
    if found.dtype.kind != "b" or found.shape != shape:
        raise ValueError(
            f"choose has the shape {found.shape} of {found.dtype}; allowed: {shape} of bool"
        )
    return np.ascontiguousarray(found).astype(np.uint8).ravel()
