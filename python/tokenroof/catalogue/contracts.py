"""Published contracts: shells leased, GPUs rented out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from tokenroof.catalogue.files import table
from tokenroof.records.provenance import Provenance
from tokenroof.support.arguments import shown
from tokenroof.support.names import UnknownNameError, normalise

__all__ = ["Deal", "deal", "deals"]


@dataclass(frozen=True, slots=True)
class Deal:
    """One contract, as its parties published it.

    Attributes
    ----------
    name, landlord, tenant, date : str
    sells : {"shell", "gpu_hours"}
        A hall without computers, whose tenant pays the electricity, or hours of GPUs in it.
    of : {"critical IT", "utility"}
        Which power `mw` is.
    mw : float
        [MW].
    utility_mw : float or None
        Power at the meter, where it is published too [MW].
    years : float
        First term [year].
    revenue, with_extensions : float or None
        Of the first term, and with all extensions [$].
    escalator, loan_to_cost, prepaid_share, margin : float or None
        Yearly rise [1/year]; borrowed part of the capital; part paid ahead; operating income over rent [1].
    backstop : float or None
        What a third party stands for [$].
    capex_per_mw : tuple of float or None
        Lowest and highest cost of the shell that the landlord names [$/MW].
    gpus, gpu_capex : float or None
        Their number and cost [1], [$].
    prints : float or None
        Rent that is printed beside the terms [$/(MW year)].
    provenance : Provenance
    """

    name: str
    landlord: str
    tenant: str
    date: str
    sells: str
    of: str
    mw: float
    years: float
    revenue: float
    provenance: Provenance
    utility_mw: float | None = None
    with_extensions: float | None = None
    escalator: float | None = None
    loan_to_cost: float | None = None
    prepaid_share: float | None = None
    margin: float | None = None
    backstop: float | None = None
    capex_per_mw: tuple[float, float] | None = None
    gpus: float | None = None
    gpu_capex: float | None = None
    prints: float | None = None

    @property
    def revenue_per_mw_year(self) -> float:
        """Mean rent of the first term [$/(MW year)]."""
        return self.revenue / (self.mw * self.years)

    @property
    def first_year_per_mw(self) -> float:
        """Rent of the first year, from which the escalator makes the whole [$/(MW year)]."""
        if not self.escalator:
            return self.revenue_per_mw_year
        grown = (1.0 + self.escalator) ** self.years
        return float(self.revenue / self.mw * self.escalator / (grown - 1.0))

    @property
    def revenue_per_mwh(self) -> float:
        """Mean rent by the energy that the MW could take [$/MWh]."""
        return self.revenue_per_mw_year / 8760.0

    @property
    def revenue_per_gpu_hour(self) -> float | None:
        """Rent of one GPU's hour [$/h]; None where no GPUs are rented."""
        return None if self.gpus is None else self.revenue / (self.gpus * self.years * 8760.0)


@cache
def deals() -> tuple[Deal, ...]:
    """Every contract of the catalogue, in the order of the file.

    Returns
    -------
    tuple of Deal

    Examples
    --------
    >>> round(deals()[0].revenue_per_mw_year)
    1850000
    """
    file, found = table("deals"), []
    for row in file["deal"]:
        values = dict(row)
        kind, source = values.pop("kind"), file["sources"][values.pop("source")]
        if "capex_per_mw" in values:
            values["capex_per_mw"] = tuple(values["capex_per_mw"])
        found.append(Deal(**values, provenance=Provenance(kind, source, row["date"], "USD")))
    return tuple(found)


def deal(name: str) -> Deal:
    """One contract by its name, without regard to case and separators.

    Parameters
    ----------
    name : str

    Returns
    -------
    Deal

    Raises
    ------
    KeyError
        With the names that there are.

    Examples
    --------
    >>> round(deal("iren-microsoft").revenue_per_gpu_hour, 2)
    2.91
    """
    known = {normalise(found.name): found for found in deals()}
    if normalise(name) not in known:
        names = ", ".join(found.name for found in deals())
        raise UnknownNameError(f"unknown deal {shown(name)}; allowed: {names}")
    return known[normalise(name)]
