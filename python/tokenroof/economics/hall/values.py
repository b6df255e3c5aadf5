"""What a hall's part is worth on each path, mined on or converted at each date."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tokenroof.economics.forward import income_ahead, power_ahead
from tokenroof.economics.risk import price_paths
from tokenroof.economics.scenarios.result import factory
from tokenroof.economics.switching import Switching, best_switching

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tokenroof.economics.hall.case import Case, Way
    from tokenroof.economics.scenarios.scenario import Scenario

    Array = NDArray[np.float64]

__all__ = ["Paths", "choose", "keep_npv", "later", "mined", "paths_of", "worths"]


@dataclass(frozen=True)
class Paths:
    """Logarithms by date, the first of them now [1]."""

    income: Array
    power: Array
    supply: Array
    rent: Array
    rivals: Array


def paths_of(case: Case) -> Paths:
    now = np.zeros((1, case.count))
    hashes = price_paths(case.wander, case.years, case.count, case.seed)
    rents = price_paths(case.rents, max(case.dates - 1, 1), case.count, case.seed + 1)
    found = [np.concatenate([now, rows]) for rows in (*hashes, rents[0], rents[2])]
    return Paths(*found)


def _after_tax(scenario: Scenario) -> float:
    return 1.0 - scenario.finance.tax_rate


def mined(case: Case, paths: Paths) -> Array:
    """What the part's miners earn in each date's year to come, in money of now [$]: (years, paths)."""
    flow, finance = case.mining.flow, case.mining.scenario.finance
    means, of_power = case.wander.price_means(case.years), case.wander.power_means(case.years)
    earned = np.empty((case.years, case.count))
    for year in range(1, case.years + 1):
        income = flow.revenue[year] * np.exp(paths.income[year]) / means[year - 1]
        spent = flow.power[year] * np.exp(paths.power[year]) / of_power[year - 1]
        left = np.maximum(income - spent, 0.0) + flow.curtailment[year] - flow.operation[year]
        cash = left * _after_tax(case.mining.scenario) + finance.tax_rate * case.book / case.years
        earned[year - 1] = case.part * cash * (1.0 + finance.discount_rate) ** -year
    return earned


def keep_npv(case: Case) -> float:
    """Present value of mining to the end, come what may [$]."""
    finance = case.mining.scenario.finance
    flow, years = case.mining.flow, np.arange(1, case.years + 1)
    cash = (
        flow.ebitda[1:] * _after_tax(case.mining.scenario)
        + finance.tax_rate * case.book / case.years
    )
    return float(np.sum(cash * (1.0 + finance.discount_rate) ** -years.astype(float)))


def worths(case: Case, way: Way, paths: Paths) -> Array:
    """What the part is worth if it becomes that at each date, in money of now [$]: (dates, paths)."""
    own = case.mining.scenario.finance
    found = np.empty((case.dates, case.count))
    gone = case.resale * case.part
    for date in range(case.dates):
        book = case.book * case.part * (case.years - date) / case.years
        worth = np.full(case.count, gone + own.tax_rate * (book - gone))
        if way.factory is not None:
            worth += _operated(case, way.factory.scenario, date, paths)
            if case.building:
                worth += _mined_on(case, date, paths)
        found[date] = worth * (1.0 + own.discount_rate) ** -date
    return found


def _operated(case: Case, scenario: Scenario, date: int, paths: Paths) -> Array:
    """Present value at a date of a conversion that is decided then [$]."""
    made = factory(later(scenario, date))
    flow, rate = made.flow, scenario.finance.discount_rate
    worth = np.full(case.count, made.npv)
    if scenario.income.kind == "lease":  # rent and power are the contract's
        return worth
    kept = _after_tax(scenario)
    for year in np.flatnonzero(flow.revenue - flow.licence + flow.power):
        of_now = kept * (1.0 + rate) ** -float(year)
        sold = income_ahead(case.rents, paths.rent[date], paths.rivals[date], date, int(year))
        paid = power_ahead(case.wander, paths.power[date], date, int(year))
        worth += of_now * (flow.revenue[year] - flow.licence[year]) * (sold - 1.0)
        worth -= of_now * flow.power[year] * (paid - 1.0)
    return worth


def later(scenario: Scenario, years: int) -> Scenario:
    """The same decision so many years later: prices and costs have moved on by the scenario's own growth."""
    values, prices = scenario.values(), scenario.income.price_growth
    grown = {
        "site.price_per_mwh": scenario.site.price_growth, "shell.capex_per_it_mw": scenario.finance.inflation,
        "computers.capex_per_it_mw": scenario.computers.price_growth,
    }  # fmt: skip
    better = (1.0 + prices) * (1.0 + scenario.computers.performance_growth) - 1.0
    grown |= {
        name: better
        for name in ("income.price_per_mtok", "income.price_per_gpu_hour", "income.hashprice")
    }
    moved = {n: values[n] * (1.0 + by) ** years for n, by in grown.items() if values[n]}
    for name in (
        "income.price_course",
        "income.software",
    ):  # of years that have gone by the last counts
        rows = {max(1, since - years): factor for since, factor in values[name]}
        moved |= {name: tuple(rows.items())} if rows else {}
    return scenario.with_values(moved)


def _mined_on(case: Case, date: int, paths: Paths) -> Array:
    """What the part's miners are expected to earn while the hall is built [$]."""
    flow, finance = case.mining.flow, case.mining.scenario.finance
    worth = np.zeros(case.count)
    for ahead in range(1, min(case.conversion, case.years - date) + 1):
        income = flow.revenue[date + ahead] * income_ahead(
            case.wander, paths.income[date], paths.supply[date], date, ahead
        )
        spent = flow.power[date + ahead] * power_ahead(case.wander, paths.power[date], date, ahead)
        left = (
            np.maximum(income - spent, 0.0)
            + flow.curtailment[date + ahead]
            - flow.operation[date + ahead]
        )
        worth += (
            case.part
            * _after_tax(case.mining.scenario)
            * left
            * (1.0 + finance.discount_rate) ** -ahead
        )
    return worth


def choose(case: Case, paths: Paths, kept: Array, ways: Sequence[Array]) -> Switching:
    """The part's value with the right to become any of these at any date."""
    last = case.dates - 1
    waits = np.concatenate([kept[:last], kept[last:].sum(axis=0, keepdims=True)])
    modes = 1 + len(ways)
    costs = np.full((modes, modes), np.inf)
    costs[0] = 0.0
    states = np.stack([paths.income, paths.power], axis=1)[: case.dates]
    states = np.concatenate([states, paths.rent[: case.dates, None]], axis=1)
    if case.wander.supply_response:
        states = np.concatenate([states, paths.supply[: case.dates, None]], axis=1)
    known = [False] + [True] * len(ways)
    return best_switching(states, np.stack([waits, *ways]), costs, known=known,
                          ends=[False] + [True] * len(ways), degree=2)  # fmt: skip
