"""Money per token, hash and MWh, unit by unit."""

from __future__ import annotations

import math

from tokenroof.reference.core.ieee import divide, maximum
from tokenroof.reference.core.roundings import expm1, log1p, log2

__all__ = [
    "capital_recovery",
    "cluster_tokens_per_s",
    "cost_per_mtok",
    "curtailment_price",
    "energy_cost_per_mtok",
    "hashprice_usd",
    "mining_revenue_per_mwh",
    "token_revenue_per_mwh",
]


def token_revenue_per_mwh(tokens_per_s_per_mw: float, price_per_mtok: float) -> float:
    """A MWh is 3,600 s of a MW."""
    tokens = 3600.0 * tokens_per_s_per_mw
    return tokens * price_per_mtok / 1e6


def mining_revenue_per_mwh(
    hashprice_usd_per_phs_day: float, joules_per_terahash: float, pue: float
) -> float:
    """A MWh is 3.6e9 J; a PH/s over a day is 86,400 s of 1,000 TH/s."""
    terahashes_per_unit = 86400e3
    return divide(
        hashprice_usd_per_phs_day * 3.6e9, terahashes_per_unit * joules_per_terahash * pue
    )


def cost_per_mtok(cost_per_hour: float, tokens_per_s: float) -> float:
    """An hour's cost over an hour's tokens."""
    return divide(cost_per_hour * 1e6, 3600.0 * tokens_per_s)


def energy_cost_per_mtok(watts: float, tokens_per_s: float, price_per_kwh: float) -> float:
    """Joules per token, at 3.6e6 J to the kWh."""
    return divide(watts * price_per_kwh * 1e6, 3.6e6 * tokens_per_s)


def hashprice_usd(difficulty: float, reward_btc: float, price_usd: float) -> float:
    """Hashes of a PH/s over a day, over the hashes of a block, times its reward."""
    blocks = divide(86400.0 * 1e15, difficulty * 2.0**32)
    return blocks * reward_btc * price_usd


def capital_recovery(rate: float, years: float) -> float:
    """Payments of n years at their present value are one dollar."""
    if rate < 0.0 or years < 0.0:
        return math.nan
    if rate == 0.0:
        return divide(1.0, years)
    owed = years * log1p(rate)
    return divide(rate, 0.0 - expm1(-owed))


def cluster_tokens_per_s(
    devices: float, overhead: float, prompt_tokens: float, answer_tokens: float,
    prefill_tokens_per_s: float, decode_tokens_per_s: float,
) -> float:  # fmt: skip
    """The harmonic mean of reading and writing, by the tokens of each; each doubling costs a part."""
    seconds = divide(prompt_tokens, prefill_tokens_per_s) + divide(
        answer_tokens, decode_tokens_per_s
    )
    doublings = log2(devices) if devices > 1.0 else devices * 0.0
    alone = divide(prompt_tokens + answer_tokens, seconds)
    return alone * devices * maximum(1.0 - overhead * doublings, 0.0)


def curtailment_price(
    revenue_per_hour: float, licence_fee: float, watts: float, curtailment_income: float
) -> float:
    """Where what is kept of an hour's revenue is the bill and the grid's payment: both go with the MWh."""
    kept = revenue_per_hour * (1.0 - licence_fee)
    return divide(kept * 1e6, watts) - curtailment_income
