"""When to change from one mode to another, paths being given.

Longstaff and Schwartz, Valuing American Options by Simulation, Review of Financial Studies 14(1), 2001, for
several modes: what comes after each is regressed on the state, and the best of them is taken.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations_with_replacement

__all__ = ["best_modes"]

Rows = Sequence[Sequence[Sequence[float]]]


def best_modes(
    states: Rows, income: Rows, costs: Sequence[Sequence[float]], known: Sequence[bool], ends: Sequence[bool],
    start: int, degree: int, fit: int, choose: Sequence[Sequence[bool]] | None = None,
) -> tuple[list[float], list[list[int]]]:  # fmt: skip
    """What each path comes to, and the mode of each date and path.

    States by date, dimension and path, income by mode, date and path; the first `fit` paths are regressed.
    """
    dates, modes, paths = len(states), len(income), len(income[0][0])
    value = [[0.0] * paths for _ in range(modes)]
    chosen: list[list[list[int]]] = [[] for _ in range(dates)]
    for t in reversed(range(dates)):
        free = [choose is None or bool(choose[t][p]) for p in range(paths)]
        rows = _basis(states[t], degree, [p for p in range(fit) if free[p]])
        later = [
            [(0.0 if known[m] else income[m][t][p]) + (0.0 if ends[m] else value[m][p]) for p in range(paths)]
            for m in range(modes)
        ]  # fmt: skip
        used = [p for p in range(fit) if free[p]]
        fits = [_least_squares([rows[p] for p in used], [y[p] for p in used]) for y in later]
        new, moves = [[0.0] * paths for _ in range(modes)], [[0] * paths for _ in range(modes)]
        for p in range(paths):
            expected = [
                (income[m][t][p] if known[m] else 0.0)
                + (0.0 if known[m] and ends[m] else sum(a * b for a, b in zip(fits[m], rows[p], strict=True)))
                for m in range(modes)
            ]  # fmt: skip
            for m in range(modes):
                to = m
                if free[p]:
                    order = sorted(range(modes), key=lambda k, m=m: k != m)  # type: ignore[misc]
                    to = max(order, key=lambda k, m=m: expected[k] - costs[m][k])  # type: ignore[misc]
                    to = m if math.isinf(costs[m][to]) else to
                paid = 0.0 if to == m else costs[m][to]
                new[m][p] = income[to][t][p] - paid + (0.0 if ends[to] else value[to][p])
                moves[m][p] = to
        value, chosen[t] = new, moves
    return value[start], _follow(chosen, ends, start, paths)


def _follow(
    chosen: list[list[list[int]]], ends: Sequence[bool], start: int, paths: int
) -> list[list[int]]:
    taken = [[0] * paths for _ in chosen]
    for p in range(paths):
        mode, over = start, False
        for t, moves in enumerate(chosen):
            mode = mode if over else moves[mode][p]
            over = over or ends[mode]
            taken[t][p] = mode
    return taken


def _basis(
    state: Sequence[Sequence[float]], degree: int, fitted: Sequence[int]
) -> list[list[float]]:
    """Products of up to `degree` of the dimensions, each taken to mean 0 and deviation 1."""
    columns = []
    for values in state:
        n = max(len(fitted), 1)
        mean = math.fsum(values[p] for p in fitted) / n
        wide = math.sqrt(math.fsum((values[p] - mean) ** 2 for p in fitted) / n)
        columns.append([(x - mean) / wide if wide > 1e-12 * abs(mean) else 0.0 for x in values])
    powers = [
        each
        for total in range(degree + 1)
        for each in combinations_with_replacement(range(len(columns)), total)
    ]
    return [
        [math.prod(columns[k][p] for k in each) for each in powers] for p in range(len(state[0]))
    ]


def _least_squares(rows: list[list[float]], targets: list[float]) -> list[float]:
    """Gram and Schmidt, column by column; one that the earlier ones make up gets nothing."""
    size = len(rows[0]) if rows else 0
    columns = [[row[i] for row in rows] for i in range(size)]
    kept: list[tuple[int, list[float]]] = []
    for i, column in enumerate(columns):
        left = column[:]
        for _ in range(2):  # once more for the roundings
            for _, q in kept:
                part = math.fsum(a * b for a, b in zip(q, left, strict=True))
                left = [a - part * b for a, b in zip(left, q, strict=True)]
        norm, whole = math.fsum(a * a for a in left), math.fsum(a * a for a in column)
        if norm > 1e-10 * whole:
            kept.append((i, [a / math.sqrt(norm) for a in left]))
    found = [0.0] * size
    rest = [math.fsum(a * b for a, b in zip(q, targets, strict=True)) for _, q in kept]
    for k in reversed(range(len(kept))):  # of the triangle
        i, q = kept[k]
        above = math.fsum(
            found[j] * math.fsum(a * b for a, b in zip(q, columns[j], strict=True))
            for j, _ in kept[k + 1 :]
        )
        found[i] = (rest[k] - above) / math.fsum(a * b for a, b in zip(q, columns[i], strict=True))
    return found
