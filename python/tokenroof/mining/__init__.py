"""SHA-256d mining: really hashing, Bitcoin's rules in exact integers, and what mining earns."""

from __future__ import annotations

from tokenroof.mining.attacks import (
    confirmations_needed,
    double_spend_probability,
    selfish_mining_revenue,
    selfish_mining_threshold,
)
from tokenroof.mining.bitcoin import (
    BLOCK_SECONDS,
    COIN,
    DIFFICULTY_ONE,
    RETARGET_BLOCKS,
    RETARGET_SECONDS,
    TARGET_LIMIT,
    bits_from_target,
    difficulty,
    difficulty_of,
    retarget,
    target_from_bits,
    target_from_difficulty,
    work,
)
from tokenroof.mining.chain import Chain
from tokenroof.mining.curtailment import Curtailment, curtailment
from tokenroof.mining.difficulty_path import DifficultyPath, difficulty_path
from tokenroof.mining.equilibrium import Equilibrium, Tranche, cost_curve, equilibrium
from tokenroof.mining.generations import Race, generations_race
from tokenroof.mining.hash_roofline import HashRoofline, hash_roofline, hashrate
from tokenroof.mining.issuance import subsidy, supply
from tokenroof.mining.margins import (
    break_even_difficulty,
    break_even_efficiency,
    break_even_power_price,
    margin_per_day,
    shutdown_hashprice,
    shutdown_price,
)
from tokenroof.mining.market import CBECI_POWER_PRICE, MarketHistory, market_history
from tokenroof.mining.network import (
    HashrateEstimate,
    block_probability,
    expected_time_to_block,
    hashprice,
    hashrate_from_blocks,
    network_hashrate,
    time_to_block_quantile,
)
from tokenroof.mining.network_power import CBECI_PUE, NetworkPower, network_power
from tokenroof.mining.payback import Payback, payback
from tokenroof.mining.pool_simulation import PoolSimulation, simulate_pool
from tokenroof.mining.pools import SCHEMES, PoolIncome, pool_income
from tokenroof.mining.scan import ScanError, ScanResult, backends, header_bytes, scan

__all__ = [
    "BLOCK_SECONDS",
    "CBECI_POWER_PRICE",
    "CBECI_PUE",
    "COIN",
    "DIFFICULTY_ONE",
    "RETARGET_BLOCKS",
    "RETARGET_SECONDS",
    "SCHEMES",
    "TARGET_LIMIT",
    "Chain",
    "Curtailment",
    "DifficultyPath",
    "Equilibrium",
    "HashRoofline",
    "HashrateEstimate",
    "MarketHistory",
    "NetworkPower",
    "Payback",
    "PoolIncome",
    "PoolSimulation",
    "Race",
    "ScanError",
    "ScanResult",
    "Tranche",
    "backends",
    "bits_from_target",
    "block_probability",
    "break_even_difficulty",
    "break_even_efficiency",
    "break_even_power_price",
    "confirmations_needed",
    "cost_curve",
    "curtailment",
    "difficulty",
    "difficulty_of",
    "difficulty_path",
    "double_spend_probability",
    "equilibrium",
    "expected_time_to_block",
    "generations_race",
    "hash_roofline",
    "hashprice",
    "hashrate",
    "hashrate_from_blocks",
    "header_bytes",
    "margin_per_day",
    "market_history",
    "network_hashrate",
    "network_power",
    "payback",
    "pool_income",
    "retarget",
    "scan",
    "selfish_mining_revenue",
    "selfish_mining_threshold",
    "shutdown_hashprice",
    "shutdown_price",
    "simulate_pool",
    "subsidy",
    "supply",
    "target_from_bits",
    "target_from_difficulty",
    "time_to_block_quantile",
    "work",
]


def __dir__() -> list[str]:
    return sorted(__all__)
