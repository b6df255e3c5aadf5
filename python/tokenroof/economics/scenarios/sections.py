"""Sections of a scenario and their keys, each with its text, unit, default, range and source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tokenroof.economics.scenarios.keys import HIGHEST, TABLE, check_section, key
from tokenroof.economics.scenarios.schedules import METHODS

__all__ = ["KINDS", "SECTIONS", "Computers", "Finance", "Income", "Power", "Shell", "Unsaid"]

#: What may be sold.
KINDS = ("nothing", "tokens", "lease", "gpu_hours", "hashes")

_Source = dict[str, Any]


class Unsaid(str):
    """A word that nobody chose: a default of which `factory` says what it leads to."""

    __slots__ = ()


_SAM: _Source = {
    "source": "NREL, System Advisor Model (sam.nrel.gov), defaults of a PVWatts cash loan",
    "date": "2024",
}
_REOPT: _Source = {
    "source": "NREL, REopt (reopt.nrel.gov), default financial parameters",
    "date": "2024",
}
_EIA: _Source = {"source": "EIA, industry in Iowa (eia.gov), as themilliondollarway.blogspot.com quotes it",
        "date": "2025-11"}  # fmt: skip
_PUE: _Source = {
    "source": "Microsoft, its fleet, as datacenterdynamics.com quotes it",
    "date": "2024",
}
_KEYNOTE: _Source = {
    "source": "NVIDIA, GTC 2026 keynote: a factory amortised over 15 years",
    "date": "2026-03-16",
}
_SHELL: _Source = {
    "source": "Cushman & Wakefield, Data Center Development Cost Guide 2025 (cushmanwakefield.com)",
    "date": "2025",
}
_SOLD: _Source = {
    "source": "SemiAnalysis, InferenceX Profit Estimator, docs/tco-calculator.md",
    "date": "2026-08",
}
_SERVERS: _Source = {
    "source": "Microsoft and Alphabet, 10-K: servers over 6 years, Amazon 5 for a part (sec.gov)",
    "date": "2025",
}
_NOTHING: _Source = {"source": "convention: costs alone unless said", "date": TABLE}
_EVEN: _Source = {"source": "convention: equal parts of a life unless said", "date": TABLE}
_NET: _Source = {
    "source": "Hut 8, River Bend: a triple-net lease (press copies)",
    "date": "2025-12-17",
}
_ROUND: _Source = {"source": "convention: a round number unless said", "date": TABLE}
_YEAR: _Source = {
    "source": "Short, Packey and Holt, NREL/TP-462-5173: capital a year before the first income",
    "date": "1995",
}
_MINER: _Source = {
    "source": "nameplate of the Antminer S21 (bitmain.com), read in a retailer list",
    "date": "2024-02",
}
_LOAN: _Source = {
    "source": "Core Scientific, notes of 2026-05 at 7.75 % (press copies)",
    "date": "2026-05",
}


class _Section:
    """A section checks its own keys."""

    _name = ""

    def __post_init__(self) -> None:
        check_section(self._name, self)


@dataclass(frozen=True)
class Power(_Section):
    """Section `site`: the meter, and what it charges."""

    _name = "site"
    power_mw: float = key("Utility power at the meter", "MW", 100.0, above=True, **_ROUND)
    pue: float = key("Power at the meter over power of computers", "1", 1.18, 1.0, **_PUE)
    idle_power: float = key(
        "Power of computers that are not used, over that of used ones", "1", 0.0, 0.0, 1.0
    )
    price_per_mwh: float = key(
        "Electricity in the first year of operation", "$/MWh", 63.6, -HIGHEST, **_EIA
    )
    price_growth: float = key(
        "Yearly rise of that price", "1/year", 0.023, -1.0, 10.0, above=True, **_REOPT
    )
    demand_charge: float = key(
        "Price of the peak, by month: the most that an hour of the day takes, with idle power, none where it "
        "is curtailed; failures do not lower it, phases do; rises as that of energy",
        "$/(kW month)",
        0.0,
    )
    price_by_hour: tuple[float, ...] = key(
        "Factors of the price by hour of the day; empty: 1", "1", (), -HIGHEST, kind="hours"
    )
    use_by_hour: tuple[float, ...] = key(
        "Part of the computers that is used by hour of the day; empty: 1",
        "1",
        (),
        0.0,
        1.0,
        kind="hours",
    )
    curtail_above: float = key("Price beyond which nothing runs", "$/MWh", np.inf, -HIGHEST)
    curtailment_income: float = key(
        "What the grid pays for energy that is not taken then", "$/MWh", 0.0
    )
    availability: float = key("Part of the year without failure", "1", 1.0, 0.0, 1.0, above=True)


@dataclass(frozen=True)
class Shell(_Section):
    """Section `shell`: land, building, power and cooling, without computers."""

    _name = "shell"
    capex_per_it_mw: float = key(
        "Cost of a MW for computers; by default of a hall for AI, also where hashes are sold",
        "$/MW",
        11.7e6,
        **_SHELL,
    )
    life_years: int = key("Years that it stands", "year", 15, 1, kind="integer", **_KEYNOTE)
    build_years: int = key(
        "Years over which it is paid in equal parts before operation",
        "year",
        1,
        1,
        20,
        kind="integer",
        **_YEAR,
    )
    delay_years: int = key("Years that it then stands empty", "year", 0, 0, 20, kind="integer")
    om_share: float = key("Operation and maintenance of a year, over its cost", "1/year", 0.0)
    residual_share: float = key(
        "What it is worth at the end of its life, over its cost; before, finance.unexpired_share",
        "1",
        0.0,
        0.0,
        1.0,
    )


@dataclass(frozen=True)
class Computers(_Section):
    """Section `computers`: what is put into it, and replaced."""

    _name = "computers"
    capex_per_it_mw: float = key("Cost of a MW of them, network included", "$/MW", 0.0)
    life_years: int = key("Years until they are replaced", "year", 5, 1, kind="integer", **_SERVERS)
    price_growth: float = key(
        "Yearly rise of the cost of a MW of new ones", "1/year", 0.0, -1.0, 10.0, above=True
    )
    performance_growth: float = key(
        "Yearly rise of what a MW of new ones makes", "1/year", 0.0, -1.0, 10.0, above=True
    )
    phases: tuple[tuple[int, float], ...] = key(
        "Years of operation from which so much of the power for them is filled, parts that rise; empty: all",
        "1", (), 0.0, 1.0, kind="steps", above=True,
    )  # fmt: skip
    om_share: float = key("Operation and maintenance of a year, over their cost", "1/year", 0.0)
    residual_share: float = key(
        "What they are worth at the end of their life, over their cost; before, finance.unexpired_share",
        "1",
        0.0,
        0.0,
        1.0,
    )


@dataclass(frozen=True)
class Income(_Section):
    """Section `income`: what is sold; the keys of one kind count."""

    _name = "income"
    kind: str = key(
        "What is sold", "1", Unsaid("nothing"), kind="choice", choices=KINDS, **_NOTHING
    )
    tokens_per_s_per_mw: float = key(
        "Throughput of a MW of computers", "token/(s MW)", 0.0, of="tokens"
    )
    price_per_mtok: float = key("Price of a million", "$/Mtok", 0.0, of="tokens")
    sold_share: float = key(
        "Part of the throughput that is sold", "1", 0.6, 0.0, 1.0, of="tokens", **_SOLD
    )
    licence_fee: float = key(
        "Part of the revenue that the model's owner gets", "1", 0.0, 0.0, 1.0, of="tokens"
    )
    software: tuple[tuple[int, float], ...] = key(
        "Years of operation from which the same computers make how many times as much", "1", (),
        of="tokens", kind="steps", above=True,
    )  # fmt: skip
    lease_per_mw_year: float = key("Rent of a MW for computers", "$/(MW year)", 0.0, of="lease")
    tenant_pays_power: bool = key(
        "Whether the tenant pays the electricity", "1", True, of="lease", kind="flag", **_NET
    )
    prepaid_share: float = key(
        "Part of the first year's rent that comes a year before", "1", 0.0, 0.0, 1.0, of="lease"
    )
    contract_years: int = key(
        "Years that the contract lasts: no plan is longer",
        "year",
        100,
        1,
        100,
        source="convention: no limit unless said",
        date=TABLE,
        of="lease",
        kind="integer",
    )
    tenant_default: float = key(
        "Chance by the year that the tenant stops paying for good",
        "1/year",
        0.0,
        0.0,
        1.0,
        of="lease",
    )
    backstop_share: float = key(
        "Part of the rent that a third party then pays", "1", 0.0, 0.0, 1.0, of="lease"
    )
    gpu_watts: float = key(
        "Power of one GPU with its share of the rack",
        "W",
        1000.0,
        above=True,
        of="gpu_hours",
        **_ROUND,
    )
    price_per_gpu_hour: float = key("Rent of one GPU", "$/h", 0.0, of="gpu_hours")
    rented_share: float = key("Part of them that is rented", "1", 1.0, 0.0, 1.0, of="gpu_hours")
    joules_per_terahash: float = key("Energy of the miners", "J/TH", 17.5, above=True, of="hashes",
                                     **_MINER)  # fmt: skip
    hashprice: float = key("Income of a PH/s", "$/(PH/s day)", 0.0, of="hashes")
    price_course: tuple[tuple[int, float], ...] = key(
        "Years of operation from which the price is how many times the first, before that rise", "1", (),
        kind="steps", above=True,
    )  # fmt: skip
    price_growth: float = key(
        "Yearly rise of the price, rent or hashprice (a lease's escalator)", "1/year", 0.0, -1.0, 10.0,
        above=True,
    )  # fmt: skip


@dataclass(frozen=True)
class Finance(_Section):
    """Section `finance`: years, rates, debt and tax; all rates are nominal."""

    _name = "finance"
    years: int = key("Years of operation", "year", 15, 1, 100, kind="integer", **_KEYNOTE)
    discount_rate: float = key("Yearly cost of capital", "1/year", 0.083, -0.1, 10.0, **_REOPT)
    inflation: float = key(
        "Yearly rise of all other prices: for values in money of year 0",
        "1/year",
        0.025,
        -1.0,
        10.0,
        above=True,
        **_SAM,
    )
    unexpired_share: float = key(
        "Part that counts of what is left in a straight line of lives that outlast the plan",
        "1",
        1.0,
        0.0,
        1.0,
    )
    tax_rate: float = key("Tax on income; losses are carried forward", "1", 0.0, 0.0, 1.0)
    depreciation: str = key("How computers are written off for tax", "1", "straight", kind="choice",
                            choices=METHODS, **_EVEN)  # fmt: skip
    loan_to_cost: float = key("Part of the first capital that is borrowed", "1", 0.0, 0.0, 1.0)
    coupon: float = key("Yearly interest of the loan", "1/year", 0.0775, 0.0, **_LOAN)
    loan_years: int = key(
        "Years of operation over which it is repaid in equal payments; what is left when the plan ends is "
        "repaid in its last year",
        "year", 7, 1, 100, kind="integer", **_ROUND,
    )  # fmt: skip


SECTIONS: dict[str, type[Any]] = {
    "site": Power, "shell": Shell, "computers": Computers, "income": Income, "finance": Finance,
}  # fmt: skip
