"""What each input of an allocation does to its revenue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.economics.allocation import allocate
from tokenroof.economics.site import Site
from tokenroof.economics.tiers import check_tiers
from tokenroof.support.arguments import finite_number, shown
from tokenroof.support.equality import by_value

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike

    from tokenroof.economics.demand_curves import DemandCurve
    from tokenroof.economics.tiers import Tier

__all__ = ["Sensitivity", "allocation_sensitivity"]


@by_value
@dataclass(frozen=True)
class Sensitivity:
    """Revenue where one input is lower and higher; the split is the best one of each.

    Attributes
    ----------
    name : str
        Of the input, and of its tier.
    base, low, high : float
        Revenue as it is, and with less and more of that input [$/year].
    change : float
        Part by which the input was changed [1].
    """

    name: str
    base: float
    low: float
    high: float
    change: float

    @property
    def swing(self) -> float:
        """How far both ends lie apart [$/year]."""
        return abs(self.high - self.low)

    @property
    def elasticity(self) -> float:
        """Relative change of the revenue over that of the input, between both ends [1]."""
        return (self.high - self.low) / (2.0 * self.change * self.base) if self.base else np.nan


def allocation_sensitivity(
    site: Site,
    tiers: Sequence[Tier],
    supply: ArrayLike,
    demand: ArrayLike | None = None,
    floors: ArrayLike | None = None,
    curves: Sequence[DemandCurve | None] | None = None,
    change: float = 0.1,
) -> tuple[Sensitivity, ...]:
    """The best allocation again with each input changed in turn, the widest swing first.

    Parameters
    ----------
    site, tiers, supply, demand, floors, curves
        As in `allocate`. A site's power, its PUE above 1 and its utilisation, and each tier's price, supply,
        demand and floor are changed, where there is one. A tier with steps of demand has no price of its own.
    change : float
        Part by which each is lowered and raised, below 1; shares and PUE keep to their bounds [1].

    Returns
    -------
    tuple of Sensitivity
        Revenues [$/year].

    Raises
    ------
    ValueError, TypeError
        As `allocate`; for a change that is not above 0 and below 1. Where a raised floor no
        longer fits it stays.

    Examples
    --------
    >>> from tokenroof.economics import Tier
    >>> found = allocation_sensitivity(Site(power_w=1e8), [Tier("a", 3.0)], [1e6])
    >>> [(one.name, round(one.elasticity, 9)) for one in found]
    [('power', 1.0), ('price of a', 1.0), ('supply of a', 1.0), ('utilization', 0.5)]
    """
    by = finite_number("change", change, above=True)
    if by >= 1.0:
        raise ValueError(f"change is {shown(change)}; allowed: above 0, below 1")
    given: dict[str, Any] = {
        "site": site, "tiers": tiers, "supply": supply, "demand": demand, "floors": floors, "curves": curves,
    }  # fmt: skip
    base = allocate(**given).revenue_per_year
    found = [
        Sensitivity(name, base, _with(given, name, 1.0 - by, change, base),
                    _with(given, name, 1.0 + by, change, base), by)
        for name, change in _changes(given)
    ]  # fmt: skip
    return tuple(sorted(found, key=lambda one: (-one.swing, one.name)))


def _with(given: dict[str, Any], name: str, factor: float, change: Any, base: float) -> float:
    try:
        return allocate(**given | change(factor)).revenue_per_year
    except ValueError:
        if name.startswith("floor"):
            return base  # raised beyond what there is
        raise


def _changes(given: dict[str, Any]) -> list[tuple[str, Callable[[float], dict[str, Any]]]]:
    site, tiers = given["site"], check_tiers(given["tiers"])
    found: list[tuple[str, Callable[[float], dict[str, Any]]]] = [
        ("power", lambda f: {"site": replace(site, power_w=site.power_w * f)}),
        ("utilization", lambda f: {"site": replace(site, utilization=min(site.utilization * f, 1.0))}),
    ]  # fmt: skip
    if site.pue > 1.0:
        found.append(("pue", lambda f: {"site": replace(site, pue=max(site.pue * f, 1.0))}))
    curves = given["curves"] or [None] * len(tiers)
    for i, tier in enumerate(tiers):
        if tier.price_per_mtok > 0.0 and (curves[i] is None or not curves[i].steps):
            found.append((f"price of {tier.name}", _price(tiers, i)))
        for name in ("supply", "demand", "floors"):
            if given[name] is not None:
                numbers = np.asarray(given[name], dtype=float)
                if 0.0 < numbers[i] < np.inf:
                    label = "floor" if name == "floors" else name
                    found.append((f"{label} of {tier.name}", _number(name, numbers, i)))
    return found


def _price(tiers: Sequence[Tier], i: int) -> Callable[[float], dict[str, Any]]:
    def changed(factor: float) -> dict[str, Any]:
        one = replace(tiers[i], price_per_mtok=tiers[i].price_per_mtok * factor)
        return {"tiers": [*tiers[:i], one, *tiers[i + 1 :]]}

    return changed


def _number(name: str, numbers: Any, i: int) -> Callable[[float], dict[str, Any]]:
    def changed(factor: float) -> dict[str, Any]:
        new = numbers.copy()
        new[i] *= factor
        return {name: new}

    return changed
