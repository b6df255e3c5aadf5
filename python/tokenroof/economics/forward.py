"""What a wandering price is expected to be some years later, from what is known at a date."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tokenroof.economics.risk import Uncertainty

    Array = NDArray[np.float64]

__all__ = ["income_ahead", "power_ahead"]


def income_ahead(how: Uncertainty, income: Array, supply: Array, date: int, years: int) -> Array:
    """Expected price of income so many years after a date, over what was expected of it at the start [1].

    Parameters
    ----------
    how : Uncertainty
    income, supply : ndarray
        Logarithms at the date: of the price over supply, and of supply [1].
    date, years : int
        Years since the start, and from then on [year].

    Returns
    -------
    ndarray
        Its mean over all that may be at the date is 1.
    """
    keep, follow = math.exp(-how.price_reversion), -math.expm1(-how.supply_response)
    of_price, of_supply = (
        np.array([1.0, 0.0]),
        np.array([0.0, 1.0]),
    )  # of price and supply at the date
    for _ in range(years):
        of_supply = of_supply + follow * (of_price - of_supply)
        of_price = keep * of_price
    weight = of_price - of_supply
    prices = keep ** np.arange(date)  # of shocks by their age, and what of them is supply's
    of_supply = prices - how.shocks(date)
    mean = how.mean_of(weight[0] * prices + weight[1] * of_supply)[-1] if date else 1.0
    ahead: Array = np.exp(weight[0] * (income + supply) + weight[1] * supply) / mean
    return ahead


def power_ahead(how: Uncertainty, power: Array, date: int, years: int) -> Array:
    """The same of the price of electricity, from its logarithm at the date [1]."""
    left = math.exp(-how.power_reversion * years)
    keep = math.exp(-how.power_reversion)
    variance = float(np.sum((how.power_noise * left * keep ** np.arange(date)) ** 2))
    ahead: Array = np.exp(left * power - 0.5 * variance)
    return ahead
