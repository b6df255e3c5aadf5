"""No documented argument of mining's functions and records does nothing."""

from dataclasses import asdict
from fractions import Fraction
from pathlib import Path

import pytest

import tokenroof as tr
from _edges import wrong_numbers
from _effects import derived, fields, without_effect
from tokenroof import mining as m
from tokenroof.mining.chain import ChainRules
from tokenroof.mining.market import MonthlyMarket
from tokenroof.mining.payback import HashpriceTrend
from tokenroof.mining.pool_simulation import SimulationOptions
from tokenroof.mining.pools import PoolTerms

ONE_CHAIN = {"block_seconds": 300.0, "retarget_blocks": 100, "target_limit": 2**236 - 1}
MACHINE = tr.Miner(name="A", hashrate=1e14, power=3000.0)
FLEET = (m.Tranche("Antminer S21", 1e6, 0.05), m.Tranche("Antminer S19", 1e6, 0.05),
         m.Tranche("Antminer S21", 1e6, 0.05, capital_usd_per_day=1.0))  # fmt: skip
HEADER = bytes(80)
pytestmark = pytest.mark.filterwarnings("ignore:.*after today")  # a made-up file of 2027
NEWER = Path(__file__).parents[1] / "catalogue" / "fixtures" / "newer.csv"
EASY = 2**240


def one(name, *values):
    return {name: [{name: value} for value in values]}


def _chain(**given):
    chain = m.Chain(**given)
    answers = {
        "retarget": chain.retarget("1d00ffff", 0, 10**9, first_bits="1c00ffff"),
        "allowed": chain.allowed_bits("1b0404cb", 1201.0),
        "subsidies": [chain.subsidy(height) for height in (0, 100_000, 400_000)],
        "supply": chain.supply(10**6), "total": chain.total(), "last": chain.last_subsidy_height(),
    }  # fmt: skip
    follows = chain.mean_block_seconds == chain.mean_block_seconds
    return derived(chain) | answers | (_balance(chain) if follows else {})


def _balance(chain):
    path = m.difficulty_path(FLEET[:2], [6e4] * 40, chain=chain)
    return {
        "path": path.difficulty,
        "equilibrium": m.equilibrium(FLEET, 6e4, chain=chain).difficulty,
    }


def _next(**given):
    """By Bitcoin's rule, and by testnet 4's, which looks at the first block's bits."""
    first = {"first_bits": "1c00ffff"} | given
    return m.Chain().retarget(**given), m.Chain(retarget_from_first=True).retarget(**first)


def _total(**given):
    return asdict(m.Chain.with_total(**given)) | _chain(**asdict(m.Chain.with_total(**given)))


def _tranche(**given):
    own = m.Tranche(**given)
    return derived(own) | fields(m.equilibrium((own, *FLEET), 6e4))


def _record(function):
    return lambda **given: fields(function(**given))


def _scan(**given):
    found = m.scan(**given)
    return {"hits": sorted(found.hits), "hashes": found.hashes, "backend": found.backend}


def _scan_on(**given):
    """How it ran: on how many threads, and what was heard of it."""
    heard = []
    given = {**given, "progress": lambda *at: heard.append(at)} if "progress" in given else given
    return _scan(**given) | {"heard": bool(heard)}


def _played(**given):
    heard = []
    given = {**given, "progress": lambda *at: heard.append(at)} if "progress" in given else given
    return fields(m.simulate_pool(**given)) | {"heard": bool(heard)}


POOL = {"scheme": "PPLNS", "hashrate": 1e18, "difficulty": 1e14, "seconds": 1e6, "pool_hashrate": 1e19,
        "fees_btc": 0.1, "reserve_btc": 0.5, "cost_btc_per_s": 6e-6}  # fmt: skip
TERMS = {**one("subsidy_btc", 6.25), **one("fees_btc", 0.2), **one("fees_std_btc", 0.05), **one("fee", 0.02),
         **one("pool_hashrate", 2e19), **one("share_difficulty", 1e12), **one("window_blocks", 8.0),
         **one("hashrate", 2e18), **one("difficulty", 2e14), **one("seconds", 2e6), **one("scheme", "SOLO"),
         **one("reserve_btc", 0.7), **one("cost_btc_per_s", 7e-6), **one("party", "pool")}  # fmt: skip
FLOWS = {"hashprice": 50.0, "power_price_per_kwh": 0.06}
MONEY = {**one("miner", "Antminer S19"), **one("hashprice", 60.0), **one("power_price_per_kwh", 0.07),
         **one("fee", 0.02), **one("pue", 1.1)}  # fmt: skip
PRICED = {
    **one("price", 5e4),
    **one("difficulty", 2e14),
    **one("subsidy_btc", 6.25),
    **one("fees_btc", 0.1),
}
S21 = {"miner": "Antminer S21"}
ERAS = {**one("height", 10**7), **one("cap", 10**10), **one("halving_interval", 1000),
        **one("initial", 10**10), **one("decay", Fraction(2, 3))}  # fmt: skip
MONTHS = {"months": ["2021-10", "2021-11"], "price": 6e4, "difficulty": 2e13, "subsidy_btc": 6.25}
BY_MONTH = {"months": [{"months": ["2022-01", "2022-02"]}], **one("price", 5e4), **one("difficulty", 3e13),
            **one("subsidy_btc", 3.125), **one("fees_btc", 0.5), **one("fee", 0.02),
            "hashprice": [{"hashprice": 60.0, "price": None, "difficulty": None, "subsidy_btc": None,
                           "hashrate": 2e20}],
            **one("power_price_per_kwh", 0.08), **one("miners", ["Antminer S9", "Antminer S19"])}  # fmt: skip


def _without(changes, *names):
    return {name: tries for name, tries in changes.items() if name not in names}


RACE = BY_MONTH | {"hashprice": [{"hashprice": 60.0, "price": None, "difficulty": None, "subsidy_btc": None}],
                   **one("pue", 1.3)}  # fmt: skip
RULES = {**one("block_seconds", 300.0), **one("retarget_blocks", 100), **one("target_limit", 2**236 - 1),
         **one("off_by_one", False), **one("retargets", False), **one("easy_after_seconds", 1200.0),
         **one("retarget_from_first", True)}  # fmt: skip
CASES = {
    "Chain": (m.Chain, {"result": _chain},
              {**one("cap", 10**14), **one("halving_interval", 1000), **one("initial", 10**9),
               **one("decay", "2/3"), **RULES}),
    "Chain.with_total": (m.Chain.with_total, {"total": 10**14, "result": _total},
                         {**one("total", 2 * 10**14), **one("halving_interval", 1000), **one("decay", "2/3"),
                          **RULES}),
    "Chain.retarget": (m.Chain.retarget, {"bits": "1c00ffff", "first_time": 0, "last_time": 10**6, "result": _next},
                       {**one("bits", "1b00ffff"), **one("first_time", 10**5),
                        **one("last_time", 2 * 10**6), **one("first_bits", "1b00ffff")}),
    "Chain.allowed_bits": (m.Chain(easy_after_seconds=1200.0).allowed_bits,
                           {"bits": "1b0404cb", "seconds_later": 600.0},
                           {**one("bits", "1c00ffff"), **one("seconds_later", 1201.0)}),
    "Chain.subsidy": (m.Chain().subsidy, {"height": 1}, one("height", 10**6)),
    "Chain.supply": (m.Chain().supply, {"height": 1}, one("height", 10**6)),
    "Tranche": (m.Tranche, {**S21, "count": 1e5, "power_price_per_kwh": 0.05, "result": _tranche},
                {**one("miner", "Antminer S19"), **one("count", 2e5), **one("power_price_per_kwh", 0.06),
                 **one("fee", 0.02), **one("pue", 1.2), **one("capital_usd_per_day", 1.0)}),
    "bits_from_target": (m.bits_from_target, {"target": 2**220}, one("target", 2**210)),
    "block_probability": (m.block_probability, {"hashrate": 1e18, "difficulty": 1e14, "seconds": 600.0},
                          {**one("hashrate", 2e18), **one("difficulty", 2e14), **one("seconds", 60.0)}),
    "break_even_difficulty": (m.break_even_difficulty, {**S21, "power_price_per_kwh": 0.06, "price": 6e4},
                              {**_without(MONEY, "hashprice"), **_without(PRICED, "difficulty")}),
    "break_even_efficiency": (m.break_even_efficiency, FLOWS, _without(MONEY, "miner")),
    "break_even_power_price": (m.break_even_power_price, {**S21, "hashprice": 50.0},
                               _without(MONEY, "power_price_per_kwh")),
    "confirmations_needed": (m.confirmations_needed, {"q": 0.1},
                             {**one("q", 0.2), **one("risk", 1e-6), **one("model", "rosenfeld")}),
    "cost_curve": (m.cost_curve, {"fleet": FLEET}, one("fleet", FLEET[:1])),
    "curtailment": (m.curtailment, {**S21, "hashprice": 50.0, "spot_prices_per_kwh": [0.05, 0.2, 0.1],
                                    "result": _record(m.curtailment)},
                    {**_without(MONEY, "power_price_per_kwh"), **one("spot_prices_per_kwh", [0.05, 0.3, 0.1]),
                     **one("interval_s", 900.0), **one("fixed_price_per_kwh", 0.06)}),
    "difficulty": (m.difficulty, {"bits": "1b0404cb"}, one("bits", "1c00ffff")),
    "difficulty_of": (m.difficulty_of, {"digest": bytes([1]) * 32}, one("digest", bytes([2]) * 32)),
    "difficulty_path": (m.difficulty_path, {"fleet": FLEET, "price": [6e4] * 40, "result": _record(m.difficulty_path)},
                        {**one("fleet", FLEET[:2]), **one("price", [5e4] * 40), **one("subsidy_btc", 6.25),
                         **one("fees_btc", 0.1), **one("step_seconds", 3600.0), **one("difficulty", 1e13),
                         **one("entry_per_day", 1e15), **one("chain", m.Chain(retarget_blocks=100))}),
    "double_spend_probability": (m.double_spend_probability, {"q": 0.1, "confirmations": 6},
                                 {**one("q", 0.2), **one("confirmations", 5), **one("model", "rosenfeld")}),
    "equilibrium": (m.equilibrium, {"fleet": FLEET, "price": 6e4, "result": _record(m.equilibrium)},
                    {**one("fleet", FLEET[:2]), **_without(PRICED, "difficulty"),
                     **one("chain", m.Chain(block_seconds=300.0))}),
    "expected_time_to_block": (m.expected_time_to_block, {"hashrate": 1e14, "difficulty": 1e14},
                               {**one("hashrate", 2e14), **one("difficulty", 2e14)}),
    "generations_race": (m.generations_race, MONTHS | {"result": _record(m.generations_race)},
                         RACE | one("market", NEWER)),
    "hash_roofline": (m.hash_roofline, {"device": "Zen 4", "result": _record(m.hash_roofline)},
                      {**one("device", "Golden Cove"), **one("mode", "roll"), **one("backend", "avx2"),
                       **one("clock_hz", 3e9)}),
    "hash_roofline of a GPU": (m.hash_roofline, {"device": "H100-SXM", "result": _record(m.hash_roofline)},
                               {**one("device", "A100-SXM4-80GB"), **one("mode", "roll"),
                                **one("backend", "avx2"), **one("clock_hz", 1e9)}),
    "hash_roofline of a miner": (m.hash_roofline, {"device": "Antminer S21", "result": _record(m.hash_roofline)},
                                 {**one("device", "Antminer S19"), **one("mode", "rol"),
                                  **one("backend", "avx2"), **one("clock_hz", 1e9)}),
    "hashprice": (m.hashprice, {"difficulty": 1e14, "price": 6e4}, PRICED),
    "hashrate": (m.hashrate, {"device": "H100-SXM"}, {**one("device", "A100-SXM4-80GB"), **one("mode", "roll")}),
    "hashrate of a miner": (m.hashrate, {"device": "Antminer S21"},
                            {**one("device", "Antminer S19"), **one("mode", "rol")}),
    "hashrate_from_blocks": (m.hashrate_from_blocks, {"blocks": 100, "seconds": 6e4, "difficulty": 1e14,
                                                      "result": _record(m.hashrate_from_blocks)},
                             {**one("blocks", 101), **one("seconds", 6.1e4), **one("difficulty", 2e14),
                              **one("confidence", 0.9)}),
    "header_bytes": (m.header_bytes, {"header": HEADER}, one("header", "01" * 80)),
    "margin_per_day": (m.margin_per_day, S21 | FLOWS, MONEY),
    "market_history": (m.market_history, {"result": _record(m.market_history)},
                       {**one("estimates", True), **one("market", NEWER)}),
    "network_hashrate": (m.network_hashrate, {"difficulty": 1e14},
                         {**one("difficulty", 2e14), **one("block_seconds", 300.0)}),
    "network_power": (m.network_power, MONTHS | {"result": _record(m.network_power)},
                      BY_MONTH | {**one("hashrate", 2e20), **one("pue", (1.0, 1.1, 1.3)),
                                  **one("weights", {"Antminer S19": 1.0}), **one("max_age_years", 2.0, None),
                                  **one("threshold_pue", 1.5), **one("block_seconds", 500.0), **one("market", NEWER)}),
    "payback": (m.payback, {**S21, "capex_usd": 3000.0, **FLOWS, "result": _record(m.payback)},
                MONEY | {**one("capex_usd", 2000.0), **one("halving_days", [100.0]), **one("start", "2026-11-28"),
                         "fees_share": [{"fees_share": 0.2, "halving_days": [100.0]}],
                         **one("opex_usd_per_year", 50.0), **one("life_years", 1.0),
                         **{name: [{name: 0.1}] for name in HashpriceTrend.__annotations__}}),
    "pool_income": (m.pool_income, POOL | {"result": _record(m.pool_income)}, TERMS),
    "retarget": (m.retarget, {"bits": "1b0404cb", "first_time": 0, "last_time": 10**6},
                 {**one("bits", "1c00ffff"), **one("first_time", 10**5), **one("last_time", 2 * 10**6)}),
    "scan": (m.scan, {"header": HEADER, "count": 2**18, "target": EASY, "threads": 1, "result": _scan_on},
             {**one("header", bytes([1]) * 80), **one("start", 2**20), **one("count", 2**17),
              **one("target", 2**241), **one("versions", 2), **one("threads", 0),
              **one("backend", "scalar"), **one("progress", True),
              "version_mask": [{"version_mask": "1f000000", "versions": 4, "target": 2**246}]}),
    "selfish_mining_revenue": (m.selfish_mining_revenue, {"alpha": 0.3, "gamma": 0.5},
                               {**one("alpha", 0.4), **one("gamma", 0.6)}),
    "selfish_mining_threshold": (m.selfish_mining_threshold, {"gamma": 0.5}, one("gamma", 0.6)),
    "shutdown_hashprice": (m.shutdown_hashprice, {**S21, "power_price_per_kwh": 0.06},
                           _without(MONEY, "hashprice")),
    "shutdown_price": (m.shutdown_price, {**S21, "power_price_per_kwh": 0.06, "difficulty": 1e14},
                       _without(MONEY, "hashprice") | _without(PRICED, "price")),
    "simulate_pool": (m.simulate_pool, POOL | {"paths": 200, "result": _played},
                      TERMS | {**one("window_filled", False), **one("paths", 201), **one("seed", 1),
                               **one("quantiles", 0.4), **one("threads", 0), **one("progress", True),
                               **one("device", "abacus")}),
    "subsidy": (m.subsidy, {"height": 840_000}, ERAS),
    "supply": (m.supply, {"height": 840_000}, ERAS),
    "target_from_bits": (m.target_from_bits, {"bits": "1b0404cb"}, one("bits", "1c00ffff")),
    "target_from_difficulty": (m.target_from_difficulty, {"difficulty": 2.0}, one("difficulty", 3.0)),
    "time_to_block_quantile": (m.time_to_block_quantile, {"hashrate": 1e14, "difficulty": 1e14, "probability": 0.5},
                               {**one("hashrate", 2e14), **one("difficulty", 2e14), **one("probability", 0.9)}),
    "work": (m.work, {"bits": "1b0404cb"}, one("bits", "1c00ffff")),
}  # fmt: skip
OPTIONS = {"network_power": MonthlyMarket, "payback": HashpriceTrend, "pool_income": PoolTerms,
           "simulate_pool": SimulationOptions, "Chain.with_total": ChainRules}  # fmt: skip
# results, constants, and what takes nothing
APART = {
    "BLOCK_SECONDS", "CBECI_POWER_PRICE", "CBECI_PUE", "COIN", "DIFFICULTY_ONE", "RETARGET_BLOCKS",
    "RETARGET_SECONDS", "SCHEMES", "TARGET_LIMIT", "Curtailment", "DifficultyPath", "Equilibrium", "HashRoofline",
    "HashrateEstimate", "MarketHistory", "NetworkPower", "Payback", "PoolIncome", "PoolSimulation", "Race",
    "ScanError", "ScanResult", "backends",
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_every_argument_has_an_effect(name):
    function, base, changes = CASES[name]
    options = OPTIONS.get(name)
    assert without_effect(function, dict(base), changes, options=options) == []


# where an argument's ends are other than its name's elsewhere; None: it is no number, or its ends are tried elsewhere
ENDS = {
    "block_probability": {"hashrate": "0 <= x"}, "hashrate_from_blocks": {"seconds": "0 < x"},
    "simulate_pool": {"paths": "whole from 2", "share_difficulty": "0 < x", "difficulty": None}, "pool_income": {"difficulty": "1 <= x"},
    # fees may be all of a reward, not nothing
    **{key: {"subsidy_btc": "0 < x"} for key in ("break_even_difficulty", "difficulty_path", "equilibrium", "shutdown_price")},
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CASES)
def test_numbers_are_taken_to_their_ends(name):
    function, base, changes = CASES[name]
    assert wrong_numbers(function, base, changes, ENDS.get(name, {})) == []


def test_no_public_name_is_left_out():
    assert {name.partition(" ")[0].partition(".")[0] for name in CASES} | APART == {*m.__all__}
