"""Keys that would do nothing beside the others of their scenario."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import numpy as np

from tokenroof.support.quoting import shown

__all__ = ["after_the_plan", "refuse_idle", "refuse_idle_by_hand", "unless_said"]

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
        other = unless_said(values, name)
        if other and other not in named:
            _, _, allowed = _NEEDS[name]
            raise ValueError(
                f"{name} is {shown(values[name])}, which does nothing with {other} left at "
                f"{shown(values[other])}; allowed: {other} too, {allowed}, or to leave it out"
            )
        if after_the_plan(values, name):
            raise ValueError(
                f"{name} begins in year {values[name][0][0]}, which is after the plan; allowed: at most "
                f"finance.years, {values['finance.years']}, for its first row"
            )


def unless_said(values: Mapping[str, Any], name: str) -> str:
    """The key whose value leaves this one idle; empty where it counts."""
    if name not in _NEEDS:
        return ""
    other, idle, _ = _NEEDS[name]
    return other if idle(values[other]) else ""


def after_the_plan(values: Mapping[str, Any], name: str) -> bool:
    """Whether it is rows of years of which none comes within the plan."""
    rows: Any = values[name] if name in _ROWS else ()
    return bool(rows) and rows[0][0] > values["finance.years"]


def refuse_idle_by_hand(
    values: Mapping[str, Any], named: Collection[str], changed: Iterable[str]
) -> None:
    """The same of a scenario that was put together: its keys that are not at their defaults were given."""
    rows = _ROWS if "finance.years" in named else ()
    refuse_idle(values, named, [name for name in changed if name not in rows])
