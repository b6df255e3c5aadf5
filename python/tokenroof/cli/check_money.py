"""Kernels of money beside the list, for the self-check: splits of power, rates of flows, paths of cash."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tokenroof import _core, kernels

__all__ = ["cash_paths", "power_splits", "rates_of_return"]

#: A path's sums of exponentials and of normal numbers: 1e-11 of what was summed, in its ulps.
_CASH_ULPS = math.floor(1e-11 / np.finfo(float).eps)


def power_splits(samples: int, rng: np.random.Generator) -> list[tuple[str, float, float]]:
    """Instruction set, difference and what is allowed [ulp]: one loop for all, met bit for bit.

    Examples
    --------
    >>> {ulps for _, ulps, _ in power_splits(3, np.random.default_rng(0))}
    {0.0}
    """
    from tokenroof import reference

    worst = 0.0
    for _ in range(samples):
        n = int(rng.integers(1, 9))
        value = rng.choice([1.0, 2.0, 1e6], n) * rng.choice([1.0, rng.random()], n)
        slope = np.where(rng.random(n) < 0.5, 0.0, 10.0 ** rng.uniform(-3.0, 3.0, n))
        low = rng.uniform(0.0, 5.0, n) * (rng.random() < 0.5)
        high = low + np.where(rng.random(n) < 0.2, np.inf, rng.uniform(0.0, 100.0, n))
        power = np.array([low.sum() + rng.uniform(0.0, 300.0)])
        x, worth = np.empty(n), np.empty(1)
        _core.split_power(n, value, slope, low, high, power, x, worth)
        lists = (part.tolist() for part in (value, slope, low, high))
        want, price = reference.power_split(*lists, float(power[0]))
        if x.tolist() != want or float(worth[0]) != price:
            worst = math.inf
    return [(isa, worst, 0.0) for isa in kernels.by_isa()]


def rates_of_return(samples: int, rng: np.random.Generator) -> list[tuple[str, float, float]]:
    """Instruction set, difference and what is allowed [ulp of 1 + rate], of rows with one rate.

    A rate is off by the roundings of both sums, some 4 a flow, over the distance of their mean years.

    Examples
    --------
    >>> all(ulps <= allowed for _, ulps, allowed in rates_of_return(3, np.random.default_rng(0)))
    True
    """
    from tokenroof import reference

    rows = rng.uniform(1.0, 30.0, (samples, 9))
    rows[:, 0] *= -1.0
    rows[:, 0] *= rng.uniform(1.0, 9.0, samples)
    want = np.array([reference.irr_each(row) for row in rows.tolist()])
    found = []
    for isa, table in _core.flow_ufuncs_by_isa().items():
        off = np.abs(table["irr_each"](rows) - want) / np.spacing(1.0 + want)
        worst = float(off.max())
        found.append((isa, worst if worst == worst else math.inf, 4.0 * rows.shape[1] + 8.0))
    return found


def cash_paths(samples: int, rng: np.random.Generator) -> list[tuple[str, float, float]]:
    """Instruction set, difference and what is allowed [ulp], both of the size of what was summed.

    Examples
    --------
    >>> all(ulps <= allowed for _, ulps, allowed in cash_paths(2, np.random.default_rng(0)))
    True
    """
    cases = [_case(rng) for _ in range(-(-samples // 8))]
    found = []
    for isa in kernels.by_isa():
        worst = max(_difference(isa, *case) for case in cases)
        found.append((isa, worst, float(_CASH_ULPS)))
    return found


def _case(rng: np.random.Generator) -> tuple[dict[str, float], dict[str, list[float]], int, Any]:
    """A model, its columns, a seed, and what the reference makes of some paths."""
    from tokenroof import reference

    model = {name: float(rng.random()) for name in _core.CASH_FIELDS}
    for name in ("jump_chance", "output_noise", "capital_noise", "power_noise", "tax_rate"):
        model[name] *= float(rng.random() < 0.7)
    model["can_stop"] = float(rng.random() < 0.5)
    years = int(rng.integers(1, 12))
    columns = {name: rng.uniform(0.0, 100.0, years).tolist() for name in _core.CASH_COLUMNS}
    columns["discount"] = (1.08 ** -np.arange(years)).tolist()
    seed = int(rng.integers(0, 2**63))
    return model, columns, seed, [reference.cash_path(model, columns, seed, p) for p in range(8)]


def _difference(
    isa: str, model: dict[str, float], columns: dict[str, list[float]], seed: int, want: Any
) -> float:
    """The largest of the present values and least sums of some paths [ulp]."""
    packed = np.array([model[name] for name in _core.CASH_FIELDS])
    years = np.array([columns[name] for name in _core.CASH_COLUMNS]).ravel()
    worth, lowest = np.empty(len(want)), np.empty(len(want))
    _core.simulate_cash(isa, packed, years, seed, worth, lowest, None, 1)
    off = 0.0
    for path, (value, least, rows) in enumerate(want):
        high = max(max(row[0], row[1]) for row in rows)
        size = 10.0 * math.exp(max(high, 0.0)) * years.sum()
        away = max(abs(worth[path] - value), abs(lowest[path] - least))
        off = max(off, float(away) / math.ulp(size)) if away == away else math.inf
    return off
