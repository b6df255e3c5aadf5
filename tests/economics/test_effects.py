"""No documented argument of the money's functions and records does nothing."""

import inspect
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tokenroof as tr
from _edges import wrong_numbers
from _effects import derived, fields, without_effect
from tokenroof import catalogue
from tokenroof import economics as ec
from tokenroof.economics.delivery import DeliveryOptions
from tokenroof.economics.hall.case import ConversionOptions
from tokenroof.economics.hourly_profit import HourlyOptions
from tokenroof.economics.interconnect import InterconnectOptions
from tokenroof.economics.lcoi import LcoiOptions
from tokenroof.economics.mix import MixLimits
from tokenroof.economics.profit import ProfitOptions
from tokenroof.economics.profit_years import RangeOptions, YearsOptions
from tokenroof.economics.worlds import WorldOptions
from tokenroof.mining import Chain

pytestmark = pytest.mark.filterwarnings("ignore:.*after today")  # a made-up file of 2027
NEWER = Path(__file__).parents[1] / "catalogue" / "fixtures" / "newer.csv"
TIERS = (ec.Tier("a", 3.0), ec.Tier("b", 45.0))
SITE = ec.Site(power_w=500e6)
FALLS = ec.DemandCurve(slope=1e-9)
CHAT = ec.Tier("chat", 0.6, interactivity=60.0, model="gpt-oss-20b", context=2048, power_share=0.5)
SERVICE = {"name": "a", "devices": 1.0, "output_tokens_per_s": 1e3, "price_per_mtok": 4.0, "watts": 1500.0,
           "idle_watts": 500.0, "use": 0.5}  # fmt: skip
WORK = ec.demand(4, 2e6, value_per_result=9.0, acceptance=0.5, price_per_mtok=1.5)
OPTIONS = {
    "profit": ProfitOptions,
    "deliver": DeliveryOptions,
    "best_mix": MixLimits,
    "convert_hall": ConversionOptions,
    "lcoi": LcoiOptions,
    "revenue_per_gw": DeliveryOptions,
    "interconnect": InterconnectOptions,
    "hourly_profit": HourlyOptions,
    "profit_over_years": YearsOptions,
    "profit_range": RangeOptions,
    "two_worlds": WorldOptions,
}


def one(name, *values):
    return {name: [{name: value} for value in values]}


def _positional(kernel):
    return lambda **given: float(kernel(*given.values()))


def _site(**given):
    site = ec.Site(**given)
    return derived(site) | fields(ec.allocate(site, TIERS, [1.2e6, 1.2e5], [3e8, 3.6e7]))


def _tier(**given):
    return fields(ec.allocate(SITE, [ec.Tier(**given)], [1e6]))


def _compare(
    miner="Antminer S21", device="H200-SXM", model="gpt-oss-120b", plan=None, market=None, **given
):
    plan = tr.Plan(tp=2) if plan is None else plan
    found = ec.compare_per_mwh(miner, device, model, plan, market, **given)
    numbers = fields(found)
    for words in ("miner", "device", "model", "plan", "market"):
        numbers.pop(words)
    return numbers


def _market(**given):
    return _compare(market=ec.Market(**given))


def _concentration(shares, **given):
    return fields(ec.concentration(**given if "counts" in given else {"shares": shares} | given))


_NOISE = np.random.default_rng(1).normal(size=(2, 60))
SWITCH = {"states": _NOISE[:, None], "income": np.stack([0.0 * _NOISE, _NOISE**5 + 0.1]),
          "costs": [[0.0, 0.1], [0.1, 0.0]], "known": [False, False], "ends": [False, False]}  # fmt: skip


def _conversion(**given):
    return ec.convert_hall(**given).to_frame().to_json()


def _service(**given):
    one = [ec.Service(**given)]
    hour = ec.hourly_profit(one, 60.0)
    return hour.profit.tolist(), hour.services, ec.profit_over_years(one, 60.0).npv


PRICES = {"hashprice": 50.0, "price_per_mtok": 2.0}
CASES = {
    "Site": ({"power_w": 1e9, "result": _site},
             {**one("power_w", 2e9), **one("pue", 1.25), **one("price_per_kwh", 0.05), **one("capex", 1e9),
              "life_years": [{"life_years": 5.0, "capex": 1e9}],
              "discount_rate": [{"discount_rate": 0.1, "capex": 1e9}],
              **one("om_per_year", 1e6), **one("utilization", 0.5)}, ()),
    "Tier": ({"name": "a", "price_per_mtok": 3.0, "result": _tier},
             {**one("name", "b"), **one("price_per_mtok", 4.0)},
             ("interactivity", "model", "context", "provenance", "interactivity_range", "context_range", "stand_in",
              "power_share")),
    "deliver": ({"devices": ["H200-SXM"], "tiers": [CHAT],
                 "result": lambda **given: ec.deliver(**given).to_frame().to_json()},
                {**one("devices", ["B200-SXM"]), "tiers": [{"tiers": [replace(CHAT, **change)]} for change in (
                    {"interactivity": 100.0}, {"model": "gpt-oss-120b"}, {"context": 8192.0})],
                 **one("output_tokens", 256), **one("ttft_max", 0.05), **one("fidelity", "datasheet"),
                 **one("engine", "sglang"), **one("power", "chassis"), "pue": [{"pue": 1.5, "power": "facility"}],
                 **one("systems", True)}, ()),

    "allocate": ({"site": SITE, "tiers": TIERS, "supply": [1.2e6, 1.2e5], "demand": [3e8, 3.6e7],
                  "result": lambda **given: fields(ec.allocate(**given))},
                 {**one("site", ec.Site(power_w=400e6)), **one("tiers", TIERS[::-1]),
                  **one("supply", [1.2e6, 1e5]), **one("demand", [3e8, 3e7]),
                  "floors": [{"floors": [250.0, 0.0]}, {"floors": [250.0, 0.0], "split": [0.1, 0.9]}],
                  **one("split", [0.5, 0.5]), **one("curves", [FALLS, None])}, ()),
    "DemandCurve": ({"steps": [(1e8, 6.0)], "result": lambda **given: ec.DemandCurve(**given).revenue_per_s(6.0, 2e8)},
                    {**one("steps", [(1e8, 5.0)]), "slope": [{"slope": 1e-9, "steps": ()}]}, ()),
    "best_mix": ({"site": SITE, "tiers": TIERS, "supply": [[1.2e6, 1.2e5]],
                  "result": lambda **given: fields(ec.best_mix(**given))},
                 {**one("site", ec.Site(power_w=400e6)), **one("tiers", TIERS[::-1]),
                  **one("supply", [[1.2e6, 1e5]]), **one("demand", [3e8, 3e7]), **one("floors", [100.0, 0.0]),
                  **one("curves", [None, FALLS]),
                  "devices_per_mw": [{"devices_per_mw": [[500, 700]], "devices_max": [2e5]}],
                  "devices_max": [{"devices_per_mw": [[500, 700]], "devices_max": [2e5]}],
                  "memory_per_mw": [{"memory_per_mw": [[1, 2]], "memory_max": 500.0}],
                  "memory_max": [{"memory_per_mw": [[1, 2]], "memory_max": 500.0}]}, ()),
    "revenue_per_gw": ({"generations": ["H200-SXM"], "tiers": [CHAT],
                        "result": lambda **given: [fields(x) for x in ec.revenue_per_gw(**given)]},
                       {**one("generations", ["B200-SXM"]), "tiers": [{"tiers": [replace(CHAT, price_per_mtok=1.0)]}],
                        **one("input_price", 0.25), **one("output_tokens", 256), **one("ttft_max", 0.05),
                        **one("fidelity", "datasheet"), **one("engine", "sglang"), **one("power", "chassis"),
                        "pue": [{"pue": 1.5, "power": "facility"}],
                 **one("systems", True)}, ()),
    "revenue_effects": ({"generations": ["H200-SXM"], "tiers": [CHAT],
                         "result": lambda **given: [e.revenue for e in ec.revenue_effects(**given)]},
                        {**one("generations", ["B200-SXM"]), "tiers": [{"tiers": [replace(CHAT, price_per_mtok=1.0)]}]},
                        ()),
    "interconnect": ({"device": "H200-SXM", "model": "Llama-3.3-70B", "generations": [1, 4],
                      "result": lambda **given: ec.interconnect(**given).to_frame().to_json()},
                     {**one("device", "B200-SXM"), **one("model", "gpt-oss-120b"), **one("generations", [2, 4]),
                      "own_domain": [{"own_domain": True, "device": "GB200-NVL72"}], **one("input_tokens", 4096),
                      **one("output_tokens", 256), **one("devices_max", 2), **one("ttft_max", 0.05),
                      **one("fidelity", "datasheet"), **one("power", "chassis")}, ()),
    "Service": ({**SERVICE, "result": _service},
                {**one("name", "b"), **one("devices", 2.0), **one("output_tokens_per_s", 2e3), **one("price_per_mtok", 5.0),
                 **one("watts", 2e3), **one("idle_watts", 600.0), **one("use", 0.3),
                 "input_tokens_per_s": [{"input_tokens_per_s": 1e3, "price_per_mtok_input": 1.0}],
                 "price_per_mtok_input": [{"input_tokens_per_s": 1e3, "price_per_mtok_input": 1.0}],
                 **one("licence_fee", 0.1), **one("cost_per_hour", 1.0), **one("capex", 3e4)}, ()),
    "hourly_profit": ({"services": [ec.Service(**SERVICE)], "price_per_mwh": 60.0,
                       "result": lambda **given: fields(ec.hourly_profit(**given))},
                      {"services": [{"services": [ec.Service(**SERVICE | {"devices": 2.0})]}],
                       **one("price_per_mwh", [60.0, -60.0]), **one("pue", 1.2), **one("curtail", 10.0),
                       "curtailment_income": [{"curtailment_income": 9.0, "curtail": 10.0}]}, ()),
    "profit_over_years": ({"services": [ec.Service(**SERVICE | {"capex": 3e4})], "price_per_mwh": 60.0,
                           "result": lambda **given: fields(ec.profit_over_years(**given))},
                          {"services": [{"services": [ec.Service(**SERVICE)]}], **one("price_per_mwh", 50.0),
                           **one("pue", 1.2), **one("curtail", 10.0),
                           "curtailment_income": [{"curtailment_income": 9.0, "curtail": 10.0}], **one("years", 4),
                           **one("discount_rate", 0.1), **one("token_price_growth", -0.1),
                           **one("power_price_growth", 0.1), **one("throughput_growth", 0.1),
                           **one("residual_share", 0.1)}, ()),
    "profit_range": ({"services": [ec.Service(**SERVICE)], "price_per_mwh": 60.0, "token_price_sigma": 0.2, "draws": 9,
                      "result": lambda **given: fields(ec.profit_range(**given))},
                     {"services": [{"services": [ec.Service(**SERVICE | {"devices": 2.0})]}],
                      **one("price_per_mwh", 50.0), **one("pue", 1.2), **one("curtail", 10.0),
                      "curtailment_income": [{"curtailment_income": 9.0, "curtail": 10.0}],
                      **one("token_price_sigma", 0.3), **one("power_price_sigma", 0.3), **one("throughput_sigma", 0.3),
                      **one("draws", 8), **one("seed", 1)}, ()),
    "two_worlds": ({"process": WORK, "processes": 1e4, "tokens_per_s_per_mw": 3e5, "paths": 9,
                    "uncertainty": ec.Uncertainty(price_volatility=0.5),
                    "result": lambda **given: fields(ec.two_worlds(**given))},
                   {**one("process", WORK.changed(2.0)), **one("processes", 2e4), **one("tokens_per_s_per_mw", 2e5),
                    **one("uncertainty", ec.Uncertainty()), **one("power_mw", 50.0), **one("years", 5),
                    **one("price_per_mwh", 50.0), **one("frequency", 3.0), **one("cost", 0.5),
                    **one("processes_growth", 0.1), **one("miner", "Antminer S19 XP"), **one("hashprice", 60.0),
                    **one("network_growth", 0.1), **one("paths", 8), **one("seed", 1), **one("market", NEWER)}, ()),
    "concentration_bounds": ({"of": "pools", "result": lambda **given: [fields(x) for x in ec.concentration_bounds(**given)]},
                             {**one("of", "miner makers"), **one("threshold", 0.3),
                              "strict": [{"strict": True, "of": catalogue.Holding("x", "2026", (("a", 1, 0.51),), False,
                                          catalogue.holdings()[0].provenance)}]}, ()),
    "generation_ratios": ({"generations": ["H200-SXM", "B200-SXM"], "model": "gpt-oss-20b",
                           "result": lambda **given: fields(ec.generation_ratios(**given))},
                          {**one("generations", ["B200-SXM"]), **one("model", "gpt-oss-120b"),
                           **one("interactivity", [50.0]), **one("input_tokens", 4096), **one("output_tokens", 256),
                           **one("ttft_max", 0.05), **one("fidelity", "datasheet"), **one("power", "chassis")}, ()),
    "allocation_sensitivity": ({"site": SITE, "tiers": TIERS, "supply": [1.2e6, 1.2e5], "demand": [3e8, 3.6e7],
                                "result": lambda **given: [fields(x) for x in ec.allocation_sensitivity(**given)]},
                               {**one("site", ec.Site(power_w=400e6)), **one("tiers", TIERS[::-1]),
                                **one("supply", [1.2e6, 1e5]), **one("demand", [3e8, 3e7]),
                                **one("floors", [250.0, 0.0]), **one("curves", [FALLS, None]),
                                **one("change", 0.2)}, ()),
    "Market": ({**PRICES, "result": _market},
               {**one("hashprice", 60.0), **one("price_per_mtok", 3.0), **one("price_per_mtok_input", 1.0),
                **one("price_per_kwh", 0.1), **one("mining_pue", 1.2), **one("utilization", 0.5)},
               ("date", "notes")),
    "compare_per_mwh": ({"miner": "Antminer S21", "device": "H200-SXM", "model": "gpt-oss-120b",
                         "result": _compare},
                        {**one("miner", "Antminer S19 XP"), **one("device", "B200-SXM"),
                         **one("model", "Llama-3.3-70B"), **one("plan", tr.Plan(tp=4)),
                         **one("market", ec.Market(**PRICES), NEWER), **one("interactivity", 100.0),
                         **one("ttft_max", 0.1),
                         **one("input_tokens", 2048), **one("output_tokens", 512),
                         **one("fidelity", "datasheet")}, ()),
    "cost_per_mtok": ({"tokens_per_s": 1e3, "watts": 3600.0, "price_per_kwh": 0.1},
                      {**one("tokens_per_s", 2e3), **one("watts", 100.0), **one("price_per_kwh", 0.2),
                       **one("cost_per_hour", 1.0), **one("pue", 1.2)}, ()),
    "revenue_per_mwh": ({"tokens_per_s_per_mw": 1e6, "price_per_mtok": 2.0},
                        {**one("tokens_per_s_per_mw", 2e6), **one("price_per_mtok", 1.0)}, ()),
    "token_quotes": ({"model": "gpt-oss-120b"}, {**one("model", "Kimi-K2"), **one("market", NEWER)}, ()),
    "crf": ({"rate": 0.1, "years": 5.0}, {**one("rate", 0.2), **one("years", 4.0)}, ()),
    "wacc": ({"equity_rate": 0.15, "debt_rate": 0.08, "debt_share": 0.5},
             {**one("equity_rate", 0.2), **one("debt_rate", 0.1), **one("debt_share", 0.2), **one("tax_rate", 0.2)}, ()),
    "npv": ({"rate": 0.1, "flows": [-1.0, 2.0]}, {**one("rate", 0.2), **one("flows", [-1.0, 1.0])}, ()),
    "irr": ({"flows": [-1.0, 2.0]}, one("flows", [-1.0, 1.5]), ()),
    "payback": ({"capex": 1.0, "net_per_year": 2.0}, {**one("capex", 2.0), **one("net_per_year", 1.0)}, ()),
    "levelized_cost": ({"costs": [1.0, 2.0], "output": [0.0, 1.0], "rate": 0.1},
                       {**one("costs", [2.0, 2.0]), **one("output", [0.0, 2.0]), **one("rate", 0.2)}, ()),
    "spreadsheet_npv": ({"rate": 0.1, "flows": [-1.0, 2.0]},
                        {**one("rate", 0.2), **one("flows", [-1.0, 1.0])}, ()),
    "xnpv": ({"rate": 0.1, "flows": [-1.0, 2.0], "dates": ["2026-01-01", "2026-07-01"]},
             {**one("rate", 0.2), **one("flows", [-1.0, 1.0]), **one("dates", ["2026-01-01", "2027-07-01"])},
             ()),
    "xirr": ({"flows": [-1.0, 2.0], "dates": ["2026-01-01", "2026-07-01"]},
             {**one("flows", [-1.0, 1.5]), **one("dates", ["2026-01-01", "2027-07-01"])}, ()),
    "npv_each": ({"rate": 0.1, "flows": [-1.0, 2.0], "result": _positional(ec.npv_each)},
                 {**one("rate", 0.2), **one("flows", [-1.0, 1.0])}, ()),
    "irr_each": ({"flows": [-1.0, 2.0], "result": _positional(ec.irr_each)},
                 one("flows", [-1.0, 1.5]), ()),
    "xnpv_each": ({"rate": 0.1, "flows": [-1.0, 2.0], "years": [0.0, 0.5], "result": _positional(ec.xnpv_each)},
                  {**one("rate", 0.2), **one("flows", [-1.0, 1.0]), **one("years", [0.0, 1.5])}, ()),
    "xirr_each": ({"flows": [-1.0, 2.0], "years": [0.0, 0.5], "result": _positional(ec.xirr_each)},
                  {**one("flows", [-1.0, 1.5]), **one("years", [0.0, 1.5])}, ()),
    "concentration": ({"shares": [0.5, 0.3, 0.2], "result": _concentration},
                      {**one("shares", [0.6, 0.2, 0.2]), "counts": [{"counts": [5, 3]}],
                       **one("threshold", 0.4), "strict": [{"strict": True, "threshold": 0.5}],
                       "level": [{"level": 0.5, "counts": [5, 3]}],
                       "seed": [{"seed": 1, "counts": [5, 3]}]}, ()),
    "profit": ({"output_tokens_per_s": 1e3, "price_per_mtok": 4.0, "cost_per_hour": 2.0, "watts": 1500.0,
                "result": lambda **given: fields(ec.profit(**given))},
               {**one("output_tokens_per_s", 2e3), **one("price_per_mtok", 5.0), **one("cost_per_hour", 1.0),
                **one("watts", 1e3), **one("input_tokens_per_s", 1e3),
                "price_per_mtok_input": [{"price_per_mtok_input": 1.5, "input_tokens_per_s": 1e3}],
                "cached_price_ratio": [{"cached_price_ratio": 0.5, "input_tokens_per_s": 1e3, "cache_hits": 0.5}],
                "cache_hits": [{"cache_hits": 0.5, "input_tokens_per_s": 1e3}], **one("utilization", 0.5),
                **one("licence_fee", 0.1)}, ()),
    "mine": ({"miner": "Antminer S21", "result": lambda **given: ec.mine(**given).values()},
             {**one("miner", "Antminer S19 XP"), **one("hashprice", 60.0), **one("usd_per_terahash", 10.0),
              **one("start", "2026-11"), **one("market", NEWER)}, ()),
    "lease_shell": ({"result": lambda **given: ec.lease_shell(**given).values()},
                    one("contract", "Riot-AMD"), ()),
    "rent_gpus": ({"device": "H200-SXM", "usd_per_gpu": 31e3,
                   "result": lambda **given: ec.rent_gpus(**given).values()},
                  {**one("device", "B200-SXM"), **one("usd_per_gpu", 3e4), **one("date", "2026-07"),
                   **one("watts", 1e3), **one("contract", "Galaxy-CoreWeave Helios"),
                   **one("market", NEWER)}, ()),
    "sell_tokens": ({"device": "H200-SXM", "model": "gpt-oss-120b", "usd_per_gpu": 31e3,
                     "result": lambda **given: ec.sell_tokens(**given).values()},
                    {**one("device", "B200-SXM"), **one("model", "gpt-oss-20b"), **one("usd_per_gpu", 3e4),
                     **one("plan", tr.Plan(tp=4)), **one("interactivity", 100.0), **one("input_tokens", 2048),
                     **one("output_tokens", 512), **one("watts", 1e3),
                     **one("contract", "Galaxy-CoreWeave Helios"), **one("market", NEWER)}, ()),
    "issuance": ({"years": 3, "result": lambda **given: ec.issuance(**given).to_frame().to_json()},
                 {**one("years", 4), **one("first_year", 2027), **one("height", 940_000),
                  **one("chain", Chain(block_seconds=300.0)), **one("fees_per_block", 0.1),
                  "fee_growth": [{"fee_growth": 0.1, "fees_per_block": 0.1}], **one("lost", 0.1),
                  **one("lost_per_year", 0.1), "power_mw": [{"power_mw": 2.0, "tokens_per_s_per_mw": {2026: 1.0}}],
                  **one("tokens_per_s_per_mw", {2026: 1.0})}, ()),
    "demand": ({"runs_per_hour": 4, "tokens_per_run": 1e6, "value_per_result": 2.0,
                "result": lambda **given: derived(ec.demand(**given))},
               {**one("runs_per_hour", 20), **one("tokens_per_run", 2e6), **one("value_per_result", 3.0),
                **one("acceptance", 0.5), **one("price_per_mtok", 1.0)}, ()),
    "Uncertainty": ({"price_volatility": 0.3, "jumps_per_year": 0.3, "jump_up": 0.2, "jump_down": 0.2,
                     "result": lambda **given: ec.risk(ec.mine("Antminer S21", 50.0, 16.0), ec.Uncertainty(**given), paths=64).worth},
                    {**one("price_volatility", 0.5), **one("price_reversion", 0.5), **one("power_volatility", 0.5),
                     "power_reversion": [{"power_reversion": 0.5, "power_volatility": 0.5}],
                     "correlation": [{"correlation": 0.5, "power_volatility": 0.5}],
                     **one("jumps_per_year", 0.9), **one("jump_up_share", 0.9), **one("jump_up", 0.9),
                     **one("jump_down", 0.9), **one("supply_response", 0.5), **one("output_error", 0.2),
                     "capital_error": [{"capital_error": 0.2}],
                     "capital_correlation": [{"capital_correlation": 0.5, "capital_error": 0.2}],
                     "can_stop": [{"can_stop": True, "price_volatility": 1.0}]}, ()),
    "risk": ({"scenario": {"income.kind": "lease", "income.lease_per_mw_year": 2e6}, "paths": 64,
              "uncertainty": ec.Uncertainty(price_volatility=0.3),
              "result": lambda **given: fields(ec.risk(**given))},
             {**one("scenario", {}), **one("uncertainty", ec.Uncertainty()), **one("paths", 65), **one("seed", 1),
              **one("reserve", 1e6), **one("threads", 0), **one("progress", 3), **one("chunks", 0),
              **one("client", 1.5), **one("store", "paths.csv")}, ()),
    "tornado": ({"scenario": {}, "ranges": {"site.pue": (1.0, 1.2)},
                 "result": lambda **given: fields(ec.tornado(**given)[0])},
                {**one("scenario", {"site.power_mw": 2.0}), **one("ranges", {"site.pue": (1.0, 1.3)})}, ()),
    "race": ({"kind": "inference", "machines": ["H100-SXM"], "result": lambda **given: fields(ec.race(**given))},
             {"kind": [{"kind": "gpus"}], **one("machines", ["B200-SXM"]), **one("model", "Llama-3.3-70B"),
              **one("interactivity", 100.0), **one("input_tokens", 4096), **one("output_tokens", 256)}, ()),
    "best_switching": ({**SWITCH, "result": lambda **given: fields(ec.best_switching(**given))},
                       {**one("states", SWITCH["states"][::-1]), **one("income", 2.0 * SWITCH["income"]),
                        **one("costs", [[0.0, 0.2], [0.3, 0.0]]), **one("known", [False, True]),
                        **one("ends", [False, True]), **one("choose", np.arange(120).reshape(2, 60) % 3 > 0),
                        **one("start", 1), **one("degree", 1)}, ()),
    "convert_hall": ({"miner": "Antminer S21", "power_mw": 10.0, "price_per_mwh": 40.0, "to": ["H200-SXM"], "paths": 200,
                      "converted": {"income.rented_share": 0.5}, "result": _conversion},
                     {**one("miner", "Antminer S19 XP"), **one("power_mw", 20.0), **one("price_per_mwh", 50.0),
                      **one("to", ["B200-SXM"]), **one("hashprice", 60.0), **one("usd_per_gpu", {"H200-SXM": 4e4}),
                      **one("contract", "Riot-AMD"), **one("shell_per_mw", 5e6), **one("conversion_years", 2),
                      **one("part", 0.5), "book_value": [{"book_value": 1e6, "hall": {"finance.tax_rate": 0.2}}],
                      **one("resale", 1e6), **one("mine_while_building", True), **one("miner_years", 4),
                      **one("hall", {"finance.discount_rate": 0.1}), **one("converted", {}), **one("wait_years", 2),
                      **one("wander", ec.Uncertainty()), **one("rents", ec.Uncertainty()), **one("paths", 300),
                      **one("seed", 1), **one("market", NEWER)}, ()),
    "halving_course": ({"start": "2026-11-28"},
                       {**one("start", "2024-01"), **one("years", 2), **one("fees_share", 0.1)}, ()),
    "price_course": ({}, {**one("quantity", "gpu_hour"), "item": [{"item": "B200", "quantity": "gpu_hour"}],
                          **one("since", "2025-10"),
                          "market": [{"market": NEWER, "quantity": "btc_price", "item": "Bitcoin"}]}, ()),
    "both_eras": ({"devices": ["H100-SXM"], "result": lambda **given: fields(ec.both_eras(**given))},
                  {**one("devices", ["B200-SXM"]), **one("model", "Llama-3.3-70B"), **one("interactivity", 150.0),
                   **one("token_prices", {2026: 1.0}), **one("price_per_mwh", 60.0),
                   **one("market", NEWER)}, ()),
    "lcoi": ({"gpus": 8, "usd_per_gpu": 3e4, "watts": 1e3, "prefill_tokens_per_s": 1e4, "decode_tokens_per_s": 1e3,
              "result": lambda **given: fields(ec.lcoi(**given))},
             {**one("gpus", 16), **one("usd_per_gpu", 2e4), **one("watts", 500.0), **one("prefill_tokens_per_s", 2e4),
              **one("decode_tokens_per_s", 2e3), **one("prompt_tokens", 2e3), **one("answer_tokens", 100.0),
              **one("utilization", 0.5), **one("facility", 0.1), **one("residual", 0.1), **one("rate", 0.1),
              **one("years", 4.0), **one("fixed_opex", 1e5), **one("opex_per_gpu", 1e3), **one("pue", 1.3),
              **one("price_per_mwh", 70.0), **one("overhead", 0.01)}, ()),
    "run_manifest": ({"scenario": ec.Scenario()},
                     {**one("scenario", ec.mine("Antminer S21")), **one("seed", 1), **one("paths", 2)}, ()),
    "same_meter": ({"options": [ec.mine("Antminer S21")],
                    "result": lambda **given: ec.same_meter(**given).to_frame().to_json()},
                   {**one("options", [ec.lease_shell()]), "power_mw": [{"power_mw": 0.0}],
                    **one("price_per_mwh", 60.0),
                    "use": [{"use": 0.5, "options": [ec.rent_gpus("H200-SXM", 3e4)]}]}, ()),
}  # fmt: skip
# results, and what takes nothing
APART = {
    "ConcentrationBounds",
    "HourlyProfit", "ProfitRange", "TwoWorlds", "YearsProfit",
    "Allocation", "ArmsRace", "Choice", "Comparison", "Concentration", "Conversion", "Delivery",
    "Demand", "Effect", "Eras", "GwRevenue", "Interconnect", "Issuance", "Ladder",
    "LevelisedInference", "Life", "Mix", "Offer", "Profit", "Quote", "Ratios", "Risk", "Rung",
    "SECONDS_PER_YEAR", "Sensitivity", "Swing", "Switching", "gtc2026_tiers", "read_tiers",
}  # fmt: skip
# whose keys are changed in turn in test_scenarios
SCENARIOS = {
    "Factory",
    "Scenario",
    "ScenarioKey",
    "factory",
    "presets",
    "scenario_keys",
    "scenario_schema",
}


@pytest.mark.filterwarnings("ignore:.*earns nothing")
@pytest.mark.parametrize("name", CASES)
def test_every_argument_has_an_effect(name):
    base, changes, words = CASES[name]
    assert without_effect(getattr(ec, name), dict(base), changes, words, OPTIONS.get(name)) == []


# where an argument's ends are other than its name's elsewhere; None: it is no number, or its ends are tried elsewhere
ENDS = {
    "demand": {"acceptance": "0 < x <= 1"}, "risk": {"paths": "whole from 2"}, "Service": {"devices": "0 < x", "watts": None}, "profit": {"watts": "0 < x", "utilization": "0 <= x <= 1"},
    "two_worlds": {"tokens_per_s_per_mw": "0 < x"}, "rent_gpus": {"watts": "0 < x"}, "sell_tokens": {"watts": "0 < x"}, "lcoi": {"rate": "0 <= x", "watts": "0 < x", "price_per_mwh": "0 <= x"},
    "crf": {"rate": "0 <= x"}, "both_eras": {"price_per_mwh": "0 <= x"}, "Site": {"discount_rate": "0 <= x"},
    **{key: {"rate": "-1 < x"} for key in ("npv", "levelized_cost", "spreadsheet_npv", "xnpv")},
    "npv_each": {"rate": None}, "xnpv_each": {"rate": None},  # ufuncs: NaN at its place, as of all kernels
}  # fmt: skip
SLOW = {"best_mix", "both_eras", "convert_hall", "deliver", "revenue_per_gw"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CASES)
def test_numbers_are_taken_to_their_ends(name):
    base, changes, _ = CASES[name]
    assert (
        wrong_numbers(getattr(ec, name), base, changes, ENDS.get(name, {}), name not in SLOW) == []
    )


def test_no_public_name_is_left_out():
    assert {*CASES, *APART, *SCENARIOS} == {*ec.__all__}
    assert not any(inspect.signature(getattr(ec, n)).parameters for n in ("gtc2026_tiers",))
