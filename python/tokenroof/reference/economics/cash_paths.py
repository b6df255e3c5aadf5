"""One path of a factory's cash, year by year.

Fields of the model as `tokenroof._core.CASH_FIELDS`, columns as `tokenroof._core.CASH_COLUMNS`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tokenroof.reference.core.random import uniforms
from tokenroof.reference.core.special import normals

__all__ = ["cash_path"]

_PRICES, _JUMPS = range(2)


def cash_path(
    model: Mapping[str, float], columns: Mapping[str, Sequence[float]], seed: int, path: int
) -> tuple[float, float, list[tuple[float, float, float]]]:
    """Present value, least sum, and (log price, log power price, cash) of each year of one path."""
    x, y = model["price_start"], model["power_start"]
    rho = model["correlation"]
    worth, total, lowest = 0.0, 0.0, math.inf
    losses, rows = 0.0, []  # losses that wait to be made up
    for year in range(len(columns["revenue"])):
        first, second = normals(*uniforms(year, _PRICES, path, seed))
        x = x * model["price_keep"] + model["price_noise"] * first
        mixed = rho * first + math.sqrt(1.0 - rho * rho) * second
        y = y * model["power_keep"] + model["power_noise"] * mixed
        x += _jump(model, seed, path, year)
        earned = columns["revenue"][year] * math.exp(x) - columns["power"][year] * math.exp(y)
        if model["can_stop"] and earned < 0.0:
            earned = 0.0
        taxable = earned - columns["costs"][year] - columns["deductions"][year]
        made_up = min(losses, max(taxable, 0.0))
        tax = model["tax_rate"] * (max(taxable, 0.0) - made_up)
        losses = losses - made_up + max(-taxable, 0.0)
        cash = earned - columns["costs"][year] - tax + columns["other"][year]
        worth += cash * columns["discount"][year]
        total += cash
        lowest = min(lowest, total)
        rows.append((x, y, cash))
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
