"""Keys that would do nothing beside the others of their scenario."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import numpy as np

from tokenroof.support.quoting import shown

__all__ = ["refuse_idle"]

#: Of a key the one without which it does nothing, whether its value leaves it idle, and what would not.
_NEEDS: dict[str, tuple[str, Callable[[Any], bool], str]] = {
    "site.idle_power": ("site.use_by_hour", lambda hours: not hours, "24 numbers"),
    "site.curtailment_income": ("site.curtail_above", np.isinf, "a number"),
    "finance.depreciation": ("finance.tax_rate", lambda rate: rate == 0.0, "above 0"),
    "finance.coupon": ("finance.loan_to_cost", lambda part: part == 0.0, "above 0"),
    "finance.loan_years": ("finance.loan_to_cost", lambda part: part == 0.0, "above 0"),
}
#: Rows of years of operation, of which one at least must come within the plan.
_ROWS = ("income.price_course", "income.software")


def refuse_idle(values: Mapping[str, Any], named: Collection[str], given: Iterable[str]) -> None:
    """Refuse keys that were given and count for nothing, unless the key that makes them so was said as well.

    A range of a loan may begin at 0, and what a scenario had before is no slip of who changes another key.
    """
    for name in given:
        value = values[name]
        if name in _NEEDS:
            other, idle, allowed = _NEEDS[name]
            if other not in named and idle(values[other]):
                raise ValueError(
                    f"{name} is {shown(value)}, which does nothing with {other} left at "
                    f"{shown(values[other])}; allowed: {other} too, {allowed}, or to leave it out"
                )
        elif name in _ROWS and value and value[0][0] > values["finance.years"]:
            raise ValueError(
                f"{name} begins in year {value[0][0]}, which is after the plan; allowed: at most "
                f"finance.years, {values['finance.years']}, for its first row"
            )
