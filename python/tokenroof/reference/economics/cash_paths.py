"""One path of a factory's cash, year by year.

Fields of the model as `tokenroof._core.CASH_FIELDS`, columns as `tokenroof._core.CASH_COLUMNS`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tokenroof.reference.core.random import uniforms
from tokenroof.reference.core.special import normals

__all__ = ["cash_path"]

_PRICES, _JUMPS, _LEVELS = range(3)


def cash_path(
    model: Mapping[str, float], columns: Mapping[str, Sequence[float]], seed: int, path: int
) -> tuple[float, float, list[tuple[float, float, float, float]]]:
    """Present value, least sum, and (log price over supply, log power price, log supply, cash) of each year
    of one path."""
    x, y = model["price_start"], model["power_start"]
    rho = model["correlation"]
    worth, total, lowest = 0.0, 0.0, math.inf
    losses, rows = 0.0, []  # losses that wait to be made up
    supply, output, capital = 0.0, 1.0, 1.0
    for year in range(len(columns["revenue"])):
        supply += model["supply_follow"] * (x - supply)  # of what the price was a year ago
        first, second = normals(*uniforms(year, _PRICES, path, seed))
        x = x * model["price_keep"] + model["price_noise"] * first
        mixed = rho * first + math.sqrt(1.0 - rho * rho) * second
        y = y * model["power_keep"] + model["power_noise"] * mixed
        x += _jump(model, seed, path, year)
        if year == 0:
            output, capital = _levels(model, seed, path, first)
        earned = output * columns["revenue"][year] * math.exp(x - supply)
        earned -= columns["power"][year] * math.exp(y)
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


def _jump(model: Mapping[str, float], seed: int, path: int, year: int) -> float:
    """Kou 2002, section 2: exponential sizes to both sides."""
    if not model["jump_chance"]:
        return 0.0
    u, v = uniforms(year, _JUMPS, path, seed)
    if u >= model["jump_chance"]:
        return 0.0
    up = u < model["jump_chance"] * model["jump_up_share"]
    return -math.log(v) * (model["jump_up"] if up else -model["jump_down"])


def _levels(model: Mapping[str, float], seed: int, path: int, shock: float) -> tuple[float, float]:
    """What a MW makes and costs on this path: lognormal with the mean 1."""
    one, two = normals(*uniforms(0, _LEVELS, path, seed))
    rho = model["capital_correlation"]
    both = rho * shock + math.sqrt(1.0 - rho * rho) * two
    made, cost = model["output_noise"], model["capital_noise"]
    return math.exp(made * one - made * made / 2.0), math.exp(cost * both - cost * cost / 2.0)
