"""What tokens and hashes cost and earn, at the same meter.

Money is in dollars of the year it is quoted in; energy at the meter is what a site pays for.
"""

from __future__ import annotations

from tokenroof.catalogue.markets import Quote
from tokenroof.economics.allocation import Allocation, allocate
from tokenroof.economics.concentration import Concentration, concentration
from tokenroof.economics.courses import halving_course, price_course
from tokenroof.economics.dated_flows import spreadsheet_npv, xirr, xnpv
from tokenroof.economics.delivery import Delivery, Offer, deliver
from tokenroof.economics.demand import Demand, demand
from tokenroof.economics.demand_curves import DemandCurve
from tokenroof.economics.eras import Eras, both_eras
from tokenroof.economics.flow_rows import irr_each, npv_each, xirr_each, xnpv_each
from tokenroof.economics.flows import SECONDS_PER_YEAR, crf, irr, levelized_cost, npv, payback, wacc
from tokenroof.economics.hall.answer import Choice, Conversion, convert_hall
from tokenroof.economics.holders import ConcentrationBounds, concentration_bounds
from tokenroof.economics.hourly_profit import HourlyProfit, hourly_profit
from tokenroof.economics.interconnect import Interconnect, interconnect
from tokenroof.economics.issuance import Issuance, issuance
from tokenroof.economics.ladder import Ladder, Rung, same_meter
from tokenroof.economics.lcoi import LevelisedInference, lcoi
from tokenroof.economics.meter import Comparison, Market, compare_per_mwh
from tokenroof.economics.mix import Mix, best_mix
from tokenroof.economics.own_tiers import read_tiers
from tokenroof.economics.prices import token_quotes
from tokenroof.economics.profit import Profit, profit
from tokenroof.economics.profit_years import (
    ProfitRange,
    YearsProfit,
    profit_over_years,
    profit_range,
)
from tokenroof.economics.race import ArmsRace, Life, race
from tokenroof.economics.ratios import Ratios, generation_ratios
from tokenroof.economics.revenue import Effect, GwRevenue, revenue_effects, revenue_per_gw
from tokenroof.economics.risk import Risk, Uncertainty, risk
from tokenroof.economics.scenarios.keys import ScenarioKey
from tokenroof.economics.scenarios.manifest import run_manifest
from tokenroof.economics.scenarios.result import Factory, factory, presets
from tokenroof.economics.scenarios.scenario import Scenario, scenario_keys, scenario_schema
from tokenroof.economics.sensitivity import Sensitivity, allocation_sensitivity
from tokenroof.economics.services import Service
from tokenroof.economics.site import Site
from tokenroof.economics.switching import Switching, best_switching
from tokenroof.economics.tiers import Tier, gtc2026_tiers
from tokenroof.economics.tornado import Swing, tornado
from tokenroof.economics.unit_costs import cost_per_mtok, revenue_per_mwh
from tokenroof.economics.uses import lease_shell, mine, rent_gpus, sell_tokens
from tokenroof.economics.worlds import TwoWorlds, two_worlds

__all__ = [
    "SECONDS_PER_YEAR", "Allocation", "ArmsRace", "Choice", "Comparison", "Concentration",
    "ConcentrationBounds", "Conversion", "Delivery", "Demand", "DemandCurve", "Effect", "Eras",
    "Factory", "GwRevenue", "HourlyProfit", "Interconnect", "Issuance", "Ladder", "LevelisedInference",
    "Life", "Market", "Mix", "Offer", "Profit", "ProfitRange", "Quote", "Ratios", "Risk", "Rung",
    "Scenario", "ScenarioKey", "Sensitivity", "Service", "Site", "Swing", "Switching", "Tier",
    "TwoWorlds", "Uncertainty", "YearsProfit", "allocate", "allocation_sensitivity", "best_mix",
    "best_switching", "both_eras", "compare_per_mwh", "concentration", "concentration_bounds",
    "convert_hall", "cost_per_mtok", "crf", "deliver", "demand", "factory", "generation_ratios",
    "gtc2026_tiers", "halving_course", "hourly_profit", "interconnect", "irr", "irr_each", "issuance",
    "lcoi", "lease_shell",
    "levelized_cost", "mine", "npv", "npv_each", "payback", "presets", "price_course", "profit",
    "profit_over_years", "profit_range", "race", "read_tiers", "rent_gpus", "revenue_effects",
    "revenue_per_gw", "revenue_per_mwh", "risk", "run_manifest", "same_meter", "scenario_keys",
    "scenario_schema", "sell_tokens", "spreadsheet_npv", "token_quotes", "tornado", "two_worlds",
    "wacc", "xirr", "xirr_each", "xnpv", "xnpv_each",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted(__all__)
