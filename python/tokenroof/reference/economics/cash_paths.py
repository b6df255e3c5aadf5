"""One path of a factory's cash, year by year.

Fields of the model as `tokenroof._core.CASH_FIELDS`, columns as `tokenroof._core.CASH_COLUMNS`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tokenroof.reference.core.random import uniform_of_word, words
from tokenroof.reference.core.special import normals_of_words

__all__ = ["cash_path"]

_PRICES, _POWER, _JUMPS, _LEVELS = range(4)  # streams, of each of which a draw serves four years
_FARTHEST = 708.0  # exponentials go no farther


def cash_path(
    model: Mapping[str, float], columns: Mapping[str, Sequence[float]], seed: int, path: int
) -> tuple[float, float, list[tuple[float, float, float, float]]]:
    """Present value, least sum, and (log price over supply, log power price, log supply, cash) of each year
    of one path. Year 0 is now: prices are what they are known to be, and wander from then on."""
    x, y = model["price_start"], model["power_start"]
    rho = model["correlation"]
    worth, total, lowest = 0.0, 0.0, math.inf
    losses, rows = 0.0, []  # losses that wait to be made up
    supply = 0.0
    output, capital = _levels(model, seed, path, _normal(_PRICES, seed, path, 1))
    for year in range(len(columns["revenue"])):
        if year > 0:
            supply += model["supply_follow"] * (x - supply)  # of what the price was a year ago
            first, second = _normal(_PRICES, seed, path, year), _normal(_POWER, seed, path, year)
            x = x * model["price_keep"] + model["price_noise"] * first
            mixed = rho * first + math.sqrt(1.0 - rho * rho) * second
            y = y * model["power_keep"] + model["power_noise"] * mixed
            x += _jump(model, seed, path, year)
        earned = output * columns["revenue"][year] * _exp(x - supply)
        earned -= columns["power"][year] * _exp(y)
        if model["can_stop"] and earned < 0.0:
            earned = 0.0
        taxable = earned - columns["costs"][year] - capital * columns["deductions"][year]
        made_up = min(losses, max(taxable, 0.0))
        tax = model["tax_rate"] * (max(taxable, 0.0) - made_up)
        losses = losses - made_up + max(-taxable, 0.0)
        cash = earned - columns["costs"][year] - tax + columns["other"][year]
        cash -= capital * columns["capital"][year]
        worth += cash * columns["discount"][year]
        total += cash
        lowest = min(lowest, total)
        rows.append((x - supply, y, supply, cash))
    return worth, lowest, rows


def _exp(x: float) -> float:
    return math.exp(min(max(x, -_FARTHEST), _FARTHEST))


def _normal(stream: int, seed: int, path: int, year: int) -> float:
    """A normal number of each year from 1 on: two of each pair of words."""
    group, at = divmod(year - 1, 4)
    drawn = words(group, stream, path, seed)
    pair = drawn[:2] if at < 2 else drawn[2:]
    return normals_of_words(*pair)[at % 2]


def _jump(model: Mapping[str, float], seed: int, path: int, year: int) -> float:
    """Kou 2002, section 2: exponential sizes to both sides. A uniform number says whether there is a jump and
    where to; what it is of its part is uniform again, and gives the size."""
    w = uniform_of_word(words((year - 1) // 4, _JUMPS, path, seed)[(year - 1) % 4])
    chance, ups = model["jump_chance"], model["jump_chance"] * model["jump_up_share"]
    if w >= chance:
        return 0.0
    if w <= ups:
        return -model["jump_up"] * math.log(w / ups)
    return model["jump_down"] * math.log((w - ups) / (chance - ups))


def _levels(model: Mapping[str, float], seed: int, path: int, shock: float) -> tuple[float, float]:
    """What a MW makes and costs on this path: lognormal with the mean 1."""
    one, two = normals_of_words(*words(0, _LEVELS, path, seed)[:2])
    rho = model["capital_correlation"]
    both = rho * shock + math.sqrt(1.0 - rho * rho) * two
    made, cost = model["output_noise"], model["capital_noise"]
    return _exp(made * one - made * made / 2.0), _exp(cost * both - cost * cost / 2.0)
