"""A place with a meter: its power, what it cost, and what it pays for a MWh."""

from __future__ import annotations

from dataclasses import dataclass

from tokenroof.economics.flows import recovery
from tokenroof.support.arguments import finite_number, share


@dataclass(frozen=True)
class Site:
    """A place with a meter.

    Parameters
    ----------
    power_w : float
        Power at the meter [W].
    pue : float
        Facility power over IT power [1]: what computes gets `it_power_w`.
    price_per_kwh : float
        Price of electricity [$/kWh].
    capex : float
        Cost of the building and what it holds [$].
    life_years : float
        Years over which it is written off.
    discount_rate : float
        Yearly cost of capital [1].
    om_per_year : float
        Operation and maintenance [$/year].
    utilization : float
        Share of the time that it works [1]: it takes no power and earns nothing in the rest.

    Examples
    --------
    >>> site = Site(power_w=1e9, price_per_kwh=0.06, capex=40e9, life_years=15, discount_rate=0.08)
    >>> round(site.capital_per_mwh, 6)
    533.468242
    >>> round(Site(power_w=1e9, pue=1.25).it_power_w / 1e6)
    800
    """

    power_w: float
    pue: float = 1.0
    price_per_kwh: float = 0.0
    capex: float = 0.0
    life_years: float = 15.0
    discount_rate: float = 0.0
    om_per_year: float = 0.0
    utilization: float = 1.0

    def __post_init__(self) -> None:
        put = object.__setattr__  # float64 of whatever number came
        for name in ("power_w", "life_years"):
            put(self, name, finite_number(name, getattr(self, name), above=True))
        for name in ("price_per_kwh", "capex", "discount_rate", "om_per_year"):
            put(self, name, finite_number(name, getattr(self, name)))
        put(self, "pue", finite_number("pue", self.pue, 1.0))
        put(self, "utilization", share("utilization", self.utilization))

    @property
    def mwh_per_year(self) -> float:
        """Energy that the meter counts in a year [MWh]."""
        return self.power_w / 1e6 * 8760.0 * self.utilization

    @property
    def it_power_w(self) -> float:
        """Power that is left for what computes [W]."""
        return self.power_w / self.pue

    @property
    def it_mwh_per_year(self) -> float:
        """Energy that what computes gets in a year [MWh]."""
        return self.mwh_per_year / self.pue

    @property
    def capital_per_mwh(self) -> float:
        """Annuity of the capital over the year's energy [$/MWh]."""
        return self.capex * recovery(self.discount_rate, self.life_years) / self.mwh_per_year

    @property
    def cost_per_mwh(self) -> float:
        """Capital, operation and electricity of a MWh at the meter [$/MWh]."""
        running = self.om_per_year / self.mwh_per_year
        return self.capital_per_mwh + running + 1000.0 * self.price_per_kwh

    @property
    def cost_per_it_mwh(self) -> float:
        """The same, of a MWh that what computes gets [$/MWh]."""
        return self.cost_per_mwh * self.pue
