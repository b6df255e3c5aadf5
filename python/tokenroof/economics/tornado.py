"""Which of a factory's numbers matters most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tokenroof.economics.scenarios.result import as_scenario, factory
from tokenroof.economics.scenarios.scenario import Scenario
from tokenroof.support.arguments import shown
from tokenroof.support.equality import by_value

if TYPE_CHECKING:
    import os

__all__ = ["Swing", "tornado"]


@by_value
@dataclass(frozen=True)
class Swing:
    """What one key of a scenario does to the present value.

    Attributes
    ----------
    name : str
    low, high : object
        Values of the key.
    npv_low, npv_high : float
        Present value of the owners' cash at each [$].
    """

    name: str
    low: Any
    high: Any
    npv_low: float
    npv_high: float

    @property
    def swing(self) -> float:
        """How far the two lie apart [$]."""
        return abs(self.npv_high - self.npv_low)


def tornado(
    scenario: Scenario | str | os.PathLike[str] | Mapping[str, Any],
    ranges: Mapping[str, tuple[Any, Any]],
) -> tuple[Swing, ...]:
    """The present value at the ends of each key's range, the widest first.

    Parameters
    ----------
    scenario : Scenario, path, name or mapping
        As for `factory`.
    ranges : mapping
        Low and high value by key, as ``{"site.price_per_mwh": (30, 80)}``.

    Returns
    -------
    tuple of Swing

    Raises
    ------
    OSError, KeyError, ValueError, TypeError
        As `factory`, and for a range that is no pair, by name.

    Examples
    --------
    >>> from tokenroof.economics import mine
    >>> ranges = {"site.price_per_mwh": (40, 60), "income.hashprice": (30, 70)}
    >>> [swing.name for swing in tornado(mine("Antminer S21", 50.0), ranges)]
    ['income.hashprice', 'site.price_per_mwh']
    """
    plan = as_scenario(scenario)
    if not isinstance(ranges, Mapping):
        raise TypeError(f"ranges is {shown(ranges)}; allowed: a mapping of keys to pairs")
    found = []
    for name, ends in ranges.items():
        if not isinstance(ends, (tuple, list)) or len(ends) != 2:
            raise TypeError(f"ranges[{shown(name)}] is {shown(ends)}; allowed: a pair of values")
        low, high = (factory(plan.with_values({name: end})).equity_npv for end in ends)
        found.append(Swing(name, ends[0], ends[1], low, high))
    return tuple(sorted(found, key=lambda swing: -swing.swing))
