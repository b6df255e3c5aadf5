"""What a factory earns over its years: present values, rates, levelised costs, the table behind them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.catalogue.quote import MarketLike
from tokenroof.economics.flows import (
    borrows,
    present_value,
    rates_of_return,
    recovery,
    years_to_return,
)
from tokenroof.economics.scenarios.cash_flow import CashFlow, cash_flow
from tokenroof.economics.scenarios.export import rows_of, write_csv, write_excel
from tokenroof.economics.scenarios.manifest import run_manifest
from tokenroof.economics.scenarios.scenario import Scenario, scenario_keys
from tokenroof.economics.scenarios.sections import KINDS, Unsaid
from tokenroof.support.arguments import shown
from tokenroof.support.equality import by_value
from tokenroof.support.lazy import require
from tokenroof.support.names import near_matches

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["UNITS", "Factory", "as_scenario", "factory", "presets"]

#: What a levelised cost is of, by what is sold.
UNITS = {
    "nothing": "MWh", "tokens": "Mtok", "lease": "MW year", "gpu_hours": "GPU hour", "hashes": "PH/s day",
}  # fmt: skip
_COLUMNS = (
    "shell_capex", "computer_capex", "residual", "revenue", "curtailment", "power", "operation", "licence",
    "ebitda", "depreciation", "interest", "principal", "draw", "unlevered_tax", "tax", "free", "equity",
)  # fmt: skip


#: What columns of an export are, where their name does not say it.
_MEANINGS = {
    "year": "0 is now", "energy_mwh": "taken from the grid", "output": "what is sold",
    "ebitda": "revenue + curtailment - power - operation - licence",
    "unlevered_tax": "tax without debt", "tax": "tax after interest",
    "residual": "what is left of shell and computers, as the shares of the assumptions say",
    "free": "ebitda + residual - shell_capex - computer_capex - unlevered_tax",
    "principal": "with what is owed when the plan ends",
    "equity": "free + unlevered_tax - tax + draw - interest - principal",
}  # fmt: skip


@by_value
@dataclass(frozen=True)
class Factory:
    """A scenario, played year by year.

    Attributes
    ----------
    scenario : Scenario
    flow : CashFlow
        Amounts of each year [$].
    """

    scenario: Scenario
    flow: CashFlow

    @cached_property
    def npv(self) -> float:
        """Net present value of the cash before debt, at the discount rate [$]."""
        return present_value(self.scenario.finance.discount_rate, self.flow.free)

    @cached_property
    def equity_npv(self) -> float:
        """The same of the owners' cash, after debt [$]."""
        return present_value(self.scenario.finance.discount_rate, self.flow.equity)

    @cached_property
    def irr(self) -> tuple[float, ...]:
        """All rates of return of the cash before debt; none where nothing is invested first [1/year]."""
        return rates_of_return(self.flow.free)

    @cached_property
    def equity_irr(self) -> tuple[float, ...]:
        """All rates of return of the owners' cash; none where they invest nothing first [1/year]."""
        return rates_of_return(self.flow.equity)

    @property
    def return_note(self) -> str:
        """Why there is no rate of return, and no time in which money comes back; empty where there is."""
        if not borrows(self.flow.free):
            return ""
        return "no rate of return: nothing is invested first, and the flows' own rate is that of a borrowing"

    @property
    def real_cash(self) -> NDArray[np.float64]:
        """Cash before debt in money of year 0 [$]."""
        deflated: NDArray[np.float64] = (
            self.flow.free / (1.0 + self.scenario.finance.inflation) ** self.flow.year
        )
        return deflated

    @property
    def real_irr(self) -> tuple[float, ...]:
        """Rates of return above inflation [1/year]."""
        grown = 1.0 + self.scenario.finance.inflation
        return tuple((1.0 + rate) / grown - 1.0 for rate in self.irr)

    @property
    def payback_years(self) -> float:
        """Years until the cash before debt has come back, in a straight line within the year.

        Infinite where it never does, 0 where no year's is below nothing, NaN where nothing is invested first.
        """
        return years_to_return(self.flow.free)

    @property
    def debt_cover(self) -> float:
        """Least EBITDA less tax over the payment of a year (DSCR) [1]; inf without debt.

        What is repaid at once when a plan ends before its loan is no payment of a year.
        """
        paid, finance = self.flow.principal > 0.0, self.scenario.finance
        payment = float(self.flow.draw.sum()) * recovery(finance.coupon, finance.loan_years)
        if not (payment > 0.0 and paid.any()):
            return float("inf")
        return float(np.min((self.flow.ebitda - self.flow.tax)[paid])) / payment

    @property
    def unit(self) -> str:
        """What levelised costs are of."""
        return UNITS[self.scenario.income.kind]

    @property
    def cost_unit(self) -> str:
        """The unit of levelised costs, as "$/(PH/s day)"."""
        return f"$/({self.unit})" if {" ", "/"} & {*self.unit} else f"$/{self.unit}"

    @property
    def levelized_cost(self) -> float:
        """Present value of all costs and taxes over that of the output [$ per `unit`].

        Curtailment income and residual values count against the costs.
        """
        return self._levelized(self.flow.output)

    @property
    def levelized_cost_per_mwh(self) -> float:
        """The same by the energy at the meter [$/MWh]."""
        return self._levelized(self.flow.energy_mwh)

    @property
    def levelized_cost_per_terahash(self) -> float:
        """The same of a terahash [$/TH]; NaN where no hashes are sold."""
        sold = self.scenario.income.kind == "hashes"
        return self.levelized_cost / 86.4e6 if sold else float("nan")  # TH of a PH/s in a day

    @property
    def levelized_revenue(self) -> float:
        """Present value of the revenue over that of the output [$ per `unit`]."""
        rate = self.scenario.finance.discount_rate
        made = present_value(rate, self.flow.output)
        return present_value(rate, self.flow.revenue) / made if made > 0.0 else float("nan")

    def _levelized(self, output: NDArray[np.float64]) -> float:
        rate = self.scenario.finance.discount_rate
        made = present_value(rate, output)
        spent = present_value(rate, self.flow.revenue - self.flow.free)
        return spent / made if made > 0.0 else float("nan")

    def to_frame(self) -> pd.DataFrame:
        """A row for each year: amounts [$], energy [MWh], output [`unit`]."""
        flow = self.flow
        columns = {"year": flow.year, "energy_mwh": flow.energy_mwh, "output": flow.output}
        columns |= {name: getattr(flow, name) for name in _COLUMNS}
        frame: pd.DataFrame = require("pandas", extra="analysis").DataFrame(columns)
        return frame

    def assumptions(self) -> list[tuple[str, Any, str]]:
        """Every key of the scenario with its value and unit, as an export has them on top."""
        values = self.scenario.values()
        return [(about.name, values[about.name], about.unit) for about in scenario_keys()]

    def _rows(self) -> list[list[Any]]:
        """Rows of an export."""
        names = ["year", "energy_mwh", "output", *_COLUMNS]
        about = run_manifest(self.scenario)
        dates = ((f"data.{name}", date) for name, date in about["data"].items())
        told = [(name, about[name]) for name in ("version", "scenario")]
        if (market := self.scenario.market) is not None:
            told += [("market", f"{market.data.name}, sha256 {market.data.sha256}")]
            told += [(f"market.{key}", said) for key, _, said in market.keys]
        told += [(f"used.{row['key']}", f"{row['source']}, {row['date']}") for row in about["used"]]
        columns = [getattr(self.flow, name).tolist() for name in names]
        units = {"year": "year", "energy_mwh": "MWh", "output": self.unit}
        about_columns = [
            (f"column.{name}", _MEANINGS.get(name, name), units.get(name, "$")) for name in names
        ]
        return rows_of(self.assumptions(), [*told, *dates], names, columns, about_columns)

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the assumptions and where they come from, then a row for each year.

        Parameters
        ----------
        path : path
            Of a ``.csv`` or ``.txt``, or without a suffix.

        Raises
        ------
        OSError, ValueError, TypeError
            If it cannot be written; naming what is called as another format, or is no path.
        """
        write_csv(path, self._rows())

    def to_excel(self, path: str | os.PathLike[str]) -> None:
        """The same as one sheet of Excel.

        Parameters
        ----------
        path : path
            Of an ``.xlsx``.

        Raises
        ------
        OSError, ValueError, TypeError
            If it cannot be written; naming what is called as another format, or is no path.
        ImportError
            Without openpyxl: the extra ``excel``.
        """
        rows = self._rows()
        write_excel(path, rows, len(rows) - len(self.flow.year))

    def against(self, other: Factory) -> NDArray[np.float64]:
        """Cash before debt of each year beyond that of another factory, such as business as usual [$].

        Parameters
        ----------
        other : Factory
            Of fewer or as many years, or more: what ends first earns nothing after.

        Returns
        -------
        ndarray

        Examples
        --------
        >>> lease = factory({"income.kind": "lease", "income.lease_per_mw_year": 1.9e6})
        >>> float(lease.against(lease).sum())
        0.0
        """
        n = max(self.flow.free.size, other.flow.free.size)
        mine, theirs = (np.pad(x.flow.free, (0, n - x.flow.free.size)) for x in (self, other))
        more: NDArray[np.float64] = mine - theirs
        return more


def factory(
    scenario: Scenario | str | os.PathLike[str] | Mapping[str, Any],
    *,
    market: MarketLike | None = None,
) -> Factory:
    """Play a scenario year by year; a warning names what is missing where it earns nothing.

    Parameters
    ----------
    scenario : Scenario, path of its TOML file, name in `presets`, or mapping
        A mapping has the keys that differ from the defaults, by full name.
    market : path or MarketData, optional
        A file of newer prices for the keys that the scenario leaves out, as `Scenario.with_market` takes it.

    Returns
    -------
    Factory
        Cash flow, net present value, rates of return, payback, levelised costs.

    Raises
    ------
    OSError
        If the file cannot be read.
    KeyError, ValueError, TypeError
        Naming the file, the key, its value and what is allowed.

    References
    ----------
    Short, Packey and Holt, A Manual for the Economic Evaluation of Energy Efficiency and Renewable Energy
    Technologies, NREL/TP-462-5173, 1995; `CashFlow` says when what is paid.

    Examples
    --------
    >>> empty = factory("keynote-empty")
    >>> round(empty.levelized_cost_per_mwh, 2)
    533.47
    >>> lease = factory({"income.kind": "lease", "income.lease_per_mw_year": 1.9e6, "shell.life_years": 25})
    >>> [round(rate, 4) for rate in lease.irr]
    [0.1498]
    """
    plan = as_scenario(scenario, market)
    _warn_without_income(plan)
    return Factory(plan, cash_flow(plan))


def as_scenario(
    scenario: Scenario | str | os.PathLike[str] | Mapping[str, Any],
    market: MarketLike | None = None,
) -> Scenario:
    """What `factory` takes, as a scenario that is not played."""
    if isinstance(scenario, Scenario):
        plan = scenario
    elif isinstance(scenario, Mapping):
        plan = Scenario().with_values(scenario)
    elif isinstance(scenario, str) and scenario in presets():
        plan = Scenario(name=scenario).with_values(presets()[scenario])
    elif isinstance(scenario, (str, os.PathLike)):
        if isinstance(scenario, str) and _is_name(scenario):
            near = near_matches(scenario, list(presets()))
            hint = (
                f"did you mean {', '.join(near)}?" if near else f"allowed: {', '.join(presets())}"
            )
            raise FileNotFoundError(f"scenario is {shown(scenario)}: no preset and no file; {hint}")
        plan = Scenario.from_toml(scenario, market=market)
    else:
        raise TypeError(
            f"scenario is {shown(scenario)}; allowed: a Scenario, a path, a mapping, or one of "
            f"{', '.join(presets())}"
        )
    return plan if market is None else plan.with_market(market)


#: Of each kind of income the keys that it is a product of.
_FACTORS = {
    "tokens": ("tokens_per_s_per_mw", "price_per_mtok", "sold_share"),
    "lease": ("lease_per_mw_year",),
    "gpu_hours": ("price_per_gpu_hour", "rented_share"),
    "hashes": ("hashprice",),
}


def _warn_without_income(plan: Scenario) -> None:
    """Say by name why a scenario earns nothing, unless it says itself that it sells nothing."""
    kind, site = plan.income.kind, plan.site
    if site.curtailment_income and np.isfinite(site.curtail_above):
        return
    if isinstance(kind, Unsaid):
        said = (
            f"income.kind is left at {shown(str(kind))}, so that {plan.name} earns nothing; allowed: "
            f"{', '.join(KINDS[1:])}, or to give 'nothing' where costs alone are asked for"
        )
    else:
        zeros = [
            f"income.{name}" for name in _FACTORS.get(kind, ()) if not getattr(plan.income, name)
        ]
        if not zeros:
            return
        said = (
            f"{' and '.join(zeros)} {'are' if len(zeros) > 1 else 'is'} 0, so that {plan.name} earns nothing "
            f"by its {kind}; allowed: above 0 for an income, while levelised costs hold without one"
        )
    warnings.warn(said, stacklevel=3)


def _is_name(text: str) -> bool:
    """Whether a text that is no preset is no file either, nor looks like one."""
    return not (os.path.exists(text) or os.path.dirname(text) or text.endswith(".toml"))


def presets() -> dict[str, dict[str, Any]]:
    """Scenarios by name, as the keys that differ from the defaults.

    Returns
    -------
    dict
        "keynote-empty": 1 GW, 40 billion dollars, nothing on it for 15 years, at 8 % (GTC 2026 keynote,
        2026-03-16; electricity left out).

    Examples
    --------
    >>> presets()["keynote-empty"]["shell.capex_per_it_mw"]
    40000000.0
    """
    empty = {
        "income.kind": "nothing", "site.power_mw": 1000.0, "site.pue": 1.0, "site.price_per_mwh": 0.0,
        "shell.capex_per_it_mw": 40e6,
        "finance.years": 15, "finance.discount_rate": 0.08,
    }  # fmt: skip
    return {"keynote-empty": empty}
