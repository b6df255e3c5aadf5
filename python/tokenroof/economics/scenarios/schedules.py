"""Schedules: writing off, repaying."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tokenroof.economics.flows import recovery

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["METHODS", "depreciation_shares", "loan_schedule"]

# IRS, Publication 946, table A-1, half-year convention; the first-year allowance of section 168(k).
_TABLES = {
    "macrs3": (0.3333, 0.4445, 0.1481, 0.0741),
    "macrs5": (0.2, 0.32, 0.192, 0.1152, 0.1152, 0.0576),
    "macrs7": (0.1429, 0.2449, 0.1749, 0.1249, 0.0893, 0.0892, 0.0893, 0.0446),
    "bonus": (1.0,),
}
#: How computers may be written off.
METHODS = ("straight", *_TABLES)


def depreciation_shares(method: str, life_years: int) -> NDArray[np.float64]:
    """Part of the cost that is written off in each year of operation [1]; sums to 1."""
    if method in _TABLES:
        return np.array(_TABLES[method])
    return np.full(life_years, 1.0 / life_years)


def loan_schedule(
    principal: float, coupon: float, years: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Interest and repayment of each year of equal payments [$]."""
    payment = principal * recovery(coupon, years)
    left = np.empty(years)
    owed = principal
    for year in range(years):
        left[year] = owed
        owed -= payment - owed * coupon
    interest = left * coupon
    return interest, payment - interest
