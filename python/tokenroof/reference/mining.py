"""A miner against the network, and a machine's money, day by day."""

from __future__ import annotations

import math

from tokenroof.reference._ieee import divide, maximum, minimum

_DAY = 86400.0
_HASHES = 2.0**32  # of a block, per difficulty


def time_to_block(hashrate: float, difficulty: float) -> float:
    """Hashes of a block over hashes a second."""
    return divide(difficulty * _HASHES, hashrate)


def block_probability(hashrate: float, difficulty: float, seconds: float) -> float:
    """Of a Poisson process, the complement of no event."""
    expected = divide(seconds * hashrate, difficulty * _HASHES)
    if math.isnan(expected) or expected < 0.0:
        return math.nan
    return 0.0 - math.expm1(-expected)


def next_difficulty(difficulty: float, span: float, target_span: float) -> float:
    """A period that took half as long doubles it; quarter and fourfold are the limits."""
    counted = minimum(target_span * 4.0, span)
    return difficulty * divide(target_span, maximum(target_span / 4.0, counted))


def price_at_hashprice(difficulty: float, reward_btc: float, hashprice: float) -> float:
    """Dollars a day over bitcoins a day."""
    blocks = divide(_DAY * 1e15, difficulty * _HASHES)
    return divide(hashprice, blocks * reward_btc)


def difficulty_at_hashprice(reward_btc: float, price_usd: float, hashprice: float) -> float:
    """What a PH/s earned at difficulty 1, over what it earns."""
    blocks = _DAY * 1e15 / _HASHES
    return divide(blocks * reward_btc * price_usd, hashprice)


def _revenue(hashrate: float, hashprice: float, fee: float) -> float:
    """Petahashes a second at the hashprice, less what the pool keeps."""
    return hashprice * (hashrate / 1e15) * (1.0 - fee)


def _kilowatt_hours(watts: float, pue: float) -> float:
    """Joules of a day at 3.6e6 to the kWh."""
    return watts * pue * _DAY / 3.6e6


def miner_margin(
    hashrate: float, watts: float, hashprice: float, price_per_kwh: float, fee: float, pue: float
) -> float:
    """Revenue less power."""
    return _revenue(hashrate, hashprice, fee) - _kilowatt_hours(watts, pue) * price_per_kwh


def break_even_power_price(
    hashrate: float, watts: float, hashprice: float, fee: float, pue: float
) -> float:
    """Revenue over energy."""
    return divide(_revenue(hashrate, hashprice, fee), _kilowatt_hours(watts, pue))


def shutdown_hashprice(
    hashrate: float, watts: float, price_per_kwh: float, fee: float, pue: float
) -> float:
    """Cost of the power over the petahashes a second that are left after the fee."""
    return divide(_kilowatt_hours(watts, pue) * price_per_kwh, hashrate / 1e15 * (1.0 - fee))
