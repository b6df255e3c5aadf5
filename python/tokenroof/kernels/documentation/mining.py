"""Hashes, blocks, difficulty, a machine's margin, attacks."""

from __future__ import annotations

_FIPS = "FIPS 180-4; Bitcoin hashes a block header twice."
_N08 = "Nakamoto, Bitcoin: A Peer-to-Peer Electronic Cash System, 2008, section 11."
_R14 = (
    "Rosenfeld, Analysis of hashrate-based double-spending, arXiv:1402.2009, equation 1; "
    "Grunspan, Perez-Marco, Double spend races, arXiv:1702.02867."
)
_ES13 = "Eyal, Sirer, Majority is not enough, arXiv:1311.0243"
_MINING = "docs/mining.md."

UNITS = {
    "pue": "facility power over IT power [1]",
    "watts": "power [W]",
    "price_per_kwh": "price of electricity [$/kWh]",
    "difficulty": "Bitcoin difficulty [1]",
    "reward_btc": "subsidy and fees of a block [BTC]",
    "price_usd": "price of a bitcoin [$]",
    "hashrate": "hashes per second [hash/s]",
    "span": "time that the period took [s]",
    "target_span": "time that the period should take [s]",
    "hashprice": "revenue of one PH/s over a day [$/(PH/s day)]",
    "fee": "part of the revenue that the pool keeps [1]",
    "attacker_share": "attacker's share of the hashrate, 0 to 1 [1]",
    "confirmations": "whole confirmations waited for, 0 to 1e6 [1]",
    "gamma": "part of the other hashrate that mines on the attacker's block in a tie, 0 to 1 [1]",
    "headers": "block headers, uint8 [..., 80]",
}

# name -> (inputs, summary, result, source, example)
KERNELS: dict[str, tuple[str, str, str, str, str]] = {
    "sha256d": ("headers", "Double SHA-256 of block headers, digest in wire order.",
                "digests, uint8 [..., 32]", _FIPS,
                ">>> import numpy as np\n"
                ">>> sha256d(np.zeros(80, np.uint8))[:4].tobytes().hex()\n'4be7570e'"),
    "time_to_block": ("hashrate difficulty", "Mean wait for a block: D 2^32 / rate; NaN below zero.",
                      "time [s]", _MINING, ">>> float(time_to_block(100e12, 1e14))\n4294967296.0"),
    "block_probability": ("hashrate difficulty seconds",
                          "Probability of a block within a time: 1 - exp(-t rate / (D 2^32)).",
                          "probability [1]", "Nakamoto, Bitcoin, 2008: blocks are Poisson.",
                          ">>> round(float(block_probability(1e18, 1e14, 86400.0)), 9)\n0.182223066"),
    "next_difficulty": ("difficulty span target_span",
                        "Difficulty after a period: D T / span, within a quarter and four times.",
                        "difficulty [1]", "Bitcoin Core, CalculateNextWorkRequired.",
                        ">>> float(next_difficulty(3.0, 604800.0, 1209600.0))\n6.0"),
    "price_at_hashprice": ("difficulty reward_btc hashprice",
                           "Price of a bitcoin at which a PH/s earns so much.", "price [$]", _MINING,
                           ">>> round(float(price_at_hashprice(1e14, 3.175, 63.870102167)), 2)\n"
                           "100000.0"),
    "difficulty_at_hashprice": ("reward_btc price_usd hashprice",
                                "Difficulty at which a PH/s earns so much.", "difficulty [1]",
                                _MINING,
                                ">>> round(float(difficulty_at_hashprice(3.175, 1e5, 63.870102167)) "
                                "/ 1e14, 9)\n1.0"),
    "miner_margin": ("hashrate watts hashprice price_per_kwh fee pue",
                     "Revenue of a machine less its power.", "margin [$/day]", _MINING,
                     ">>> round(float(miner_margin(200e12, 3500.0, 50.0, 0.06, 0.0, 1.0)), 9)\n4.96"),
    "break_even_power_price": ("hashrate watts hashprice fee pue",
                               "Price of power above which a machine does not earn it.",
                               "price [$/kWh]", _MINING,
                               ">>> round(float(break_even_power_price(200e12, 3500.0, 50.0, 0.0, "
                               "1.0)), 9)\n0.119047619"),
    "shutdown_hashprice": ("hashrate watts price_per_kwh fee pue",
                           "Hashprice below which a machine does not earn its power.",
                           "hashprice [$/(PH/s day)]", _MINING,
                           ">>> round(float(shutdown_hashprice(200e12, 3500.0, 0.06, 0.0, 1.0)), 9)\n"
                           "25.2"),
    "double_spend_nakamoto": (
        "attacker_share confirmations",
        "Probability that an attacker catches up, by the whitepaper's Poisson approximation.",
        "probability [1]", _N08,
        ">>> round(float(double_spend_nakamoto(0.1, 5.0)), 7)\n0.0009137",
    ),
    "double_spend_rosenfeld": (
        "attacker_share confirmations",
        "Probability that an attacker who has mined one block ahead catches up, exactly.",
        "probability [1]", _R14,
        ">>> round(float(double_spend_rosenfeld(0.1, 6.0)), 7)\n0.0005914",
    ),
    "selfish_mining_revenue": (
        "attacker_share gamma",
        "Share of the chain's blocks that a selfish miner gets.",
        "share [1]", f"{_ES13}, equation 8.",
        ">>> float(selfish_mining_revenue(0.25, 0.5))\n0.25",
    ),
    "selfish_mining_threshold": (
        "gamma", "Share of the hashrate from which selfish mining pays: (1 - g) / (3 - 2 g).",
        "share [1]", f"{_ES13}, observation 1.",
        ">>> float(selfish_mining_threshold(0.5))\n0.25",
    ),
}  # fmt: skip
