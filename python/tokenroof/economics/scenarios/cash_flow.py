"""The cash of each year of a scenario.

Year 0 is now; the shell is paid in years 0 to build_years - 1, the first computers with its last part or at
the end of the delay, and the first income comes a year later. Flows come at the ends of years, as in Short,
Packey and Holt (NREL/TP-462-5173, 1995): one year of building and no delay give the capital recovery factor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tokenroof.economics.scenarios.schedules import depreciation_shares, loan_schedule
from tokenroof.support.equality import by_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tokenroof.economics.scenarios.scenario import Scenario
    from tokenroof.economics.scenarios.sections import Income, Power

    Array = NDArray[np.float64]

__all__ = ["CashFlow", "cash_flow", "hours_of"]

_HOURS = 8760.0
_MTOK = 3600.0 * _HOURS / 1e6  # million tokens of a year of one token/s


@by_value
@dataclass(frozen=True)
class CashFlow:
    """Amounts of each year, the first of them now [$]; expenses are above zero.

    Attributes
    ----------
    year : ndarray
        0, 1, 2 ... [year].
    energy_mwh : ndarray
        Taken from the grid [MWh].
    output : ndarray
        What is sold: million tokens, MW-years, GPU-hours or hashes in PH/s-days; MWh where nothing is sold.
    shell_capex, computer_capex : ndarray
    residual : ndarray
        What shell and computers are worth when they leave or the plan ends: ``residual_share`` of their cost,
        and ``finance.unexpired_share`` of the straight line down to it that their lives have left.
    revenue, curtailment, power, operation, licence : ndarray
    depreciation, interest, principal, draw, tax, unlevered_tax : ndarray
        ``tax`` after interest; ``unlevered_tax`` as if nothing were borrowed; ``principal`` of the last year
        with what is owed of a loan that is longer than the plan.
    """

    year: NDArray[np.int64]
    energy_mwh: Array
    output: Array
    shell_capex: Array
    computer_capex: Array
    residual: Array
    revenue: Array
    curtailment: Array
    power: Array
    operation: Array
    licence: Array
    depreciation: Array
    interest: Array
    principal: Array
    draw: Array
    tax: Array
    unlevered_tax: Array

    @property
    def capex(self) -> Array:
        """Shell and computers [$]."""
        return self.shell_capex + self.computer_capex

    @property
    def ebitda(self) -> Array:
        """Earnings before interest, tax, depreciation and amortisation [$]."""
        income = self.revenue + self.curtailment
        return income - self.power - self.operation - self.licence

    @property
    def free(self) -> Array:
        """Cash before debt [$]."""
        return self.ebitda + self.residual - self.capex - self.unlevered_tax

    @property
    def equity(self) -> Array:
        """Cash of the owners, after debt [$]."""
        served = self.interest + self.principal
        return self.ebitda + self.residual - self.capex - self.tax + self.draw - served


@dataclass(frozen=True)
class Hours:
    """Means over the hours of a day.

    Attributes
    ----------
    run : float
        Part of the computers that works [1].
    taken, curtailed : float
        Power that is taken from the grid, and that is not because of its price, over all of it [1].
    paid : float
        What the first costs, by the MWh that the meter could take [$/MWh].
    peak : float
        Most that an hour takes from the grid, over all of it [1].
    """

    run: float
    taken: float
    curtailed: float
    paid: float
    peak: float


def hours_of(site: Power, prices: Sequence[float]) -> list[Hours]:
    """A day of each year, of which these are the prices of electricity [$/MWh]."""
    use = np.array(site.use_by_hour or (1.0,) * 24)
    hourly = np.array(prices)[:, None] * np.array(site.price_by_hour or (1.0,) * 24)
    on = hourly <= site.curtail_above
    power = use + site.idle_power * (1.0 - use)
    taken = power * on
    means = [np.mean(part, axis=1) for part in (use * on, taken, power * ~on, taken * hourly)]
    return [Hours(*each) for each in np.transpose([*means, np.max(taken, axis=1)]).tolist()]


def cash_flow(scenario: Scenario) -> CashFlow:
    """The cash of each year of a scenario: `CashFlow` has units and meanings."""
    start = scenario.shell.build_years + scenario.shell.delay_years  # of the first income
    n = start + scenario.finance.years
    columns = {name: np.zeros(n) for name in CashFlow.__annotations__ if name != "year"}
    _capital(scenario, start, columns)
    made = _performance(scenario, start, columns)
    _operation(scenario, start, made, columns)
    _debt_and_tax(scenario, start, columns)
    return CashFlow(np.arange(n), **columns)


def _purchases(scenario: Scenario, start: int) -> list[tuple[int, float]]:
    """Years in which computers are paid, and the part of the power that they fill."""
    end, before, found = start - 1 + scenario.finance.years, 0.0, []
    for since, part in scenario.computers.phases or ((1, 1.0),):
        first = start - 2 + since
        found += [
            (year, part - before) for year in range(first, end, scenario.computers.life_years)
        ]
        before = part
    return found


def _worth(cost: float, age: int, life: int, residual: float, unexpired: float) -> float:
    """What is left of a cost: its residual share, and what counts of the straight line down to it [$]."""
    return cost * (residual + unexpired * (1.0 - residual) * max(1.0 - age / life, 0.0))


def _capital(scenario: Scenario, start: int, columns: dict[str, Array]) -> None:
    shell, computers, mw = scenario.shell, scenario.computers, scenario.it_mw
    cost = shell.capex_per_it_mw * mw
    columns["shell_capex"][: shell.build_years] = cost / shell.build_years
    end = start - 1 + scenario.finance.years
    unexpired = scenario.finance.unexpired_share
    kept = _worth(cost, scenario.finance.years, shell.life_years, shell.residual_share, unexpired)
    columns["residual"][end] += kept
    # for tax, what is left at the end is not written off
    _write_off(
        columns, start, end, np.full(scenario.finance.years, (cost - kept) / scenario.finance.years)
    )
    for year, part in _purchases(scenario, start):
        grown = (1.0 + computers.price_growth) ** (year - start + 1)
        price = part * computers.capex_per_it_mw * mw * grown
        columns["computer_capex"][year] += price
        sold = min(year + computers.life_years, end)
        age, life = sold - year, computers.life_years
        kept = _worth(price, age, life, computers.residual_share, unexpired)
        columns["residual"][sold] += kept
        shares = depreciation_shares(scenario.finance.depreciation, computers.life_years)
        _write_off(columns, year + 1, sold, price * shares, book=price, worth=kept)


def _write_off(
    columns: dict[str, Array],
    first: int,
    last: int,
    amounts: Array,
    book: float | None = None,
    worth: float = 0.0,
) -> None:
    """Put depreciation into its years; what is left in the books when a thing is sold goes into the last."""
    held = amounts[: last - first + 1]
    columns["depreciation"][first : first + held.size] += held
    if book is not None:  # a gain over the books is income, a loss is written off
        columns["depreciation"][last] += book - float(held.sum()) - worth


def _performance(scenario: Scenario, start: int, columns: dict[str, Array]) -> Array:
    """What a MW of computers makes in each year, over what the first ones make [1]."""
    made = np.zeros_like(columns["revenue"])
    growth = 1.0 + scenario.computers.performance_growth
    for year, part in _purchases(scenario, start):
        until = year + 1 + scenario.computers.life_years
        made[year + 1 : until] += part * growth ** (year - start + 1)
    return made * _steps(scenario.income.software, start, made.size)


def _steps(rows: tuple[tuple[int, float], ...], start: int, size: int, first: float = 1.0) -> Array:
    """Factor of each year, of rows of a year of operation and what counts from it on [1]."""
    found = np.full(size, first)
    for since, factor in rows:
        found[start - 1 + since :] = factor
    return found


def _operation(scenario: Scenario, start: int, made: Array, columns: dict[str, Array]) -> None:
    site, income, mw = scenario.site, scenario.income, scenario.it_mw
    leased, course = income.kind == "lease", _steps(income.price_course, start, made.size)
    phases = scenario.computers.phases
    filled = _steps(phases, start, made.size, 0.0 if phases else 1.0)
    growth = 1.0 + site.price_growth
    days = hours_of(site, [site.price_per_mwh * growth**k for k in range(made.size - start)])
    for k, hours in enumerate(days):
        year = start + k
        up = _HOURS * site.availability
        energy = site.power_mw * up * filled[year]
        columns["energy_mwh"][year] = energy * hours.taken
        bill = energy * hours.paid + filled[year] * hours.peak * _demand(site, k)
        columns["power"][year] = 0.0 if leased and income.tenant_pays_power else bill
        columns["curtailment"][year] = energy * hours.curtailed * site.curtailment_income
        of_mw, quantity = _sales(scenario, made[year], hours.run, filled[year])
        factor = course[year] * (1.0 + income.price_growth) ** k
        columns["output"][year] = mw * quantity
        columns["revenue"][year] = mw * of_mw * factor * _paid(income, k)
    if leased:  # the first year's rent moves, it does not grow
        early = income.prepaid_share * columns["revenue"][start]
        columns["revenue"][start] -= early
        columns["revenue"][start - 1] += early
    columns["licence"] += income.licence_fee * columns["revenue"]
    kept_up = (1.0 + scenario.finance.inflation) ** np.arange(made.size - start)
    of_shell = scenario.shell.om_share * scenario.shell.capex_per_it_mw
    of_computers = scenario.computers.om_share * scenario.computers.capex_per_it_mw
    columns["operation"][start:] = mw * (of_shell + of_computers * filled[start:]) * kept_up


def _paid(income: Income, k: int) -> float:
    """Expected part of the rent that is paid, so many years after the first [1]."""
    pays = (1.0 - income.tenant_default) ** k
    return pays + (1.0 - pays) * income.backstop_share


def _demand(site: Power, k: int) -> float:
    """What a peak of all the power costs in a year [$]."""
    return 12.0 * 1000.0 * site.power_mw * site.demand_charge * (1.0 + site.price_growth) ** k


def _sales(scenario: Scenario, made: float, run: float, filled: float) -> tuple[float, float]:
    """Revenue at the first year's price [$/MW], and quantity, of a year and a MW of computers."""
    income, up = scenario.income, scenario.site.availability
    if income.kind == "tokens":
        mtok = income.tokens_per_s_per_mw * _MTOK * income.sold_share * made * run * up
        return mtok * income.price_per_mtok, mtok
    if income.kind == "lease":  # take or pay: idle hours are the tenant's
        return income.lease_per_mw_year * filled, filled
    if income.kind == "gpu_hours":
        rented = 1e6 / income.gpu_watts * _HOURS * income.rented_share * made * run * up
        return rented * income.price_per_gpu_hour, rented
    if income.kind == "hashes":
        phs_days = 1e6 / income.joules_per_terahash / 1e3 * 365.0 * made * run * up
        return phs_days * income.hashprice, phs_days
    return 0.0, scenario.site.pue * _HOURS * run * up * filled  # MWh at the meter


def _debt_and_tax(scenario: Scenario, start: int, columns: dict[str, Array]) -> None:
    finance, n = scenario.finance, columns["revenue"].size
    first = columns["shell_capex"] + columns["computer_capex"]
    columns["draw"][:start] = finance.loan_to_cost * first[:start]
    owed = np.cumsum(columns["draw"][:start])
    columns["interest"][1:start] = finance.coupon * owed[:-1]  # paid while building
    interest, principal = loan_schedule(float(owed[-1]), finance.coupon, finance.loan_years)
    years = min(finance.loan_years, n - start)
    columns["interest"][start : start + years] = interest[:years]
    columns["principal"][start : start + years] = principal[:years]
    columns["principal"][-1] += float(principal[years:].sum())  # what is owed when the plan ends
    income = (
        columns["revenue"]
        + columns["curtailment"]
        - columns["power"]
        - columns["operation"]
        - columns["licence"]
    )
    taxable = income - columns["depreciation"]
    columns["unlevered_tax"][:] = _tax(taxable, finance.tax_rate)
    columns["tax"][:] = _tax(taxable - columns["interest"], finance.tax_rate)


def _tax(taxable: Array, rate: float) -> Array:
    """Tax of each year; losses are carried forward without limit."""
    gained = np.maximum.accumulate(np.maximum(np.cumsum(taxable), 0.0))
    return rate * np.diff(gained, prepend=0.0)
