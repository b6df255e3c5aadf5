"""Numbers of any type and width give the mining model's answers of 64 bits; what is no number is refused by name."""

import dataclasses
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from tokenroof import mining

S21 = "Antminer S21"
FLEET = [mining.Tranche(S21, 1000.0, 0.0625)]
# Numbers that every type holds exactly: halves and their like.
CALLS = {
    "hashprice": {"difficulty": 4096.0, "price": 2048.0, "subsidy_btc": 3.125, "fees_btc": 0.5},
    "block_probability": {"hashrate": 2048.0, "difficulty": 2.0, "seconds": 1024.0},
    "expected_time_to_block": {"hashrate": 2048.0, "difficulty": 2.0},
    "time_to_block_quantile": {"hashrate": 2048.0, "difficulty": 2.0, "probability": 0.5},
    "network_hashrate": {"difficulty": 4096.0, "block_seconds": 512.0},
    "hashrate_from_blocks": {"seconds": 1024.0, "difficulty": 2.0, "confidence": 0.75, "blocks!": 151},
    "break_even_efficiency": {"hashprice": 32.0, "power_price_per_kwh": 0.0625, "fee": 0.25, "pue": 1.25},
    "break_even_power_price": {"miner!": S21, "hashprice": 32.0, "fee": 0.25, "pue": 1.25},
    "break_even_difficulty": {"miner!": S21, "power_price_per_kwh": 0.0625, "price": 2048.0, "subsidy_btc": 3.125,
                              "fees_btc": 0.5, "fee": 0.25, "pue": 1.25},
    "margin_per_day": {"miner!": S21, "hashprice": 32.0, "power_price_per_kwh": 0.0625, "fee": 0.25, "pue": 1.25},
    "shutdown_hashprice": {"miner!": S21, "power_price_per_kwh": 0.0625, "fee": 0.25, "pue": 1.25},
    "shutdown_price": {"miner!": S21, "power_price_per_kwh": 0.0625, "difficulty": 4096.0, "subsidy_btc": 3.125,
                       "fees_btc": 0.5, "fee": 0.25, "pue": 1.25},
    "payback": {"miner!": S21, "capex_usd": 4096.0, "hashprice": 64.0, "power_price_per_kwh": 0.0625,
                "fees_share": 0.25, "opex_usd_per_year": 16.0},
    "curtailment": {"miner!": S21, "hashprice": 32.0, "spot_prices_per_kwh!": [0.03, 0.3], "interval_s": 2048.0,
                    "fixed_price_per_kwh": 0.0625, "fee": 0.25, "pue": 1.25},
    "equilibrium": {"fleet!": FLEET, "price": 2048.0, "subsidy_btc": 3.125, "fees_btc": 0.5},
    "pool_income": {"scheme!": "FPPS", "hashrate": 2048.0, "difficulty": 2.0, "seconds": 1024.0},
    "double_spend_probability": {"q": 0.25, "confirmations": 6.0},
    "confirmations_needed": {"q": 0.25, "risk": 0.125},
    "selfish_mining_revenue": {"alpha": 0.375, "gamma": 0.5},
    "selfish_mining_threshold": {"gamma": 0.5},
    "hash_roofline": {"device!": "Zen 4", "clock_hz": 4096.0},
    "Tranche": {"miner!": S21, "count": 512.0, "power_price_per_kwh": 0.0625, "fee": 0.25, "pue": 1.25},
}  # fmt: skip
KINDS = [np.float16, np.float32, np.longdouble, Decimal, Fraction]
WHOLE = [int, np.int8, np.int16, np.uint16, np.int64]
NO_NUMBERS = [
    "1",
    True,
    np.True_,
    1j,
    np.timedelta64(1, "s"),
    np.array(["1"], dtype=object),
    np.array([True], dtype=object),
]


def numbers(name):
    return {key.rstrip("!"): value for key, value in CALLS[name].items()}


def plain(result):
    if dataclasses.is_dataclass(result):
        return {f.name: plain(getattr(result, f.name)) for f in dataclasses.fields(result)}
    return result


CASES = [(name, key) for name, row in CALLS.items() for key in row if not key.endswith("!")]


@pytest.mark.filterwarnings("error", "ignore:difficulty is .* legal and odd:UserWarning")
@pytest.mark.parametrize("name,key", CASES)
def test_numbers_of_any_width(name, key):
    function, given = getattr(mining, name), numbers(name)
    value = given[key]
    want = plain(function(**given))
    for kind in KINDS + (WHOLE if value == int(value) else []):
        if kind in (np.int8,) and value > 127:
            continue
        np.testing.assert_equal(
            plain(function(**given | {key: kind(value)})), want, err_msg=kind.__name__
        )


@pytest.mark.filterwarnings("error", "ignore:difficulty is .* legal and odd:UserWarning")
@pytest.mark.parametrize("name,key", CASES)
def test_what_is_no_number(name, key):
    function, given = getattr(mining, name), numbers(name)
    for bad in NO_NUMBERS:
        with pytest.raises((TypeError, ValueError), match=f"{key}.* is .*; allowed: "):
            function(**given | {key: bad})
    for bad in (np.nan, np.inf, 10**400, Decimal("NaN"), Decimal("1e400")):
        with pytest.raises(ValueError, match=f"{key}.* is .*; allowed: "):
            function(**given | {key: bad})
