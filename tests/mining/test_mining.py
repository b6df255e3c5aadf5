"""Mining as its users know it: pools and what they pay."""

import numpy as np
import pytest

from tokenroof import mining


def test_pools_as_published():
    """Rosenfeld 2011: a PH/s for 30 days at difficulty 1e14."""
    case = {"hashrate": 1e15, "difficulty": 1e14, "seconds": 30 * 86400}
    solo = mining.pool_income("SOLO", **case)
    assert solo.mean_btc == pytest.approx(0.018859282136, rel=1e-10)
    assert solo.std_btc == pytest.approx(0.242765847423, rel=1e-11)
    assert solo.relative_std == pytest.approx(12.8724861144, rel=1e-10)
    pplns = mining.pool_income("PPLNS", **case, pool_hashrate=1e20)
    # as if shares were without number; those of difficulty 1 add 7.5e-10
    assert pplns.std_btc == pytest.approx(0.000767693015957, rel=1e-9)
    assert pplns.relative_std == pytest.approx(0.0407063752704, rel=1e-9)
    assert pplns.std_btc > 0.000767693015957 * (1 + 7e-10)
    pps = mining.pool_income("PPS", **case, share_difficulty=1e6)
    assert pps.std_btc == pytest.approx(2.42765847423e-05, rel=1e-11)
    assert pps.mean_btc == solo.mean_btc == pplns.mean_btc
    assert (solo.bearer, pps.bearer) == ("miner", "pool")
    fees = {**case, "fees_btc": 0.1, "fee": 0.02}
    full, plus = (mining.pool_income(s, **fees, pool_hashrate=1e20) for s in ("FPPS", "PPS+"))
    assert full.mean_btc == pytest.approx(plus.mean_btc) == solo.mean_btc * 3.225 / 3.125 * 0.98
    assert mining.pool_income("pps", **fees).mean_btc == pytest.approx(solo.mean_btc * 0.98)
    assert plus.variance_btc2 > full.variance_btc2
    many = mining.pool_income("SOLO", [1e15, 2e15], 1e14, 86400)
    assert many.mean_btc.shape == (2,)


@pytest.mark.parametrize(
    "fee,delta,blocks",
    [(0.05, 0.001, 66.7552500909), (0.01, 0.001, 343.081320609), (0.02, 1e-6, 340.767077241)],
)
def test_ruin_of_a_pool_that_pays_per_share(fee, delta, blocks):
    got = mining.pool_income("PPS", 1e15, 1e14, 1, fee=fee, reserve_btc=3.125 * blocks)
    assert got.ruin == pytest.approx(delta, rel=1e-8)
    miner = mining.pool_income("SOLO", 1e15, 1e14, 1, reserve_btc=3.125 * blocks,
                               cost_btc_per_s=(1 - fee) * 1e15 / (1e14 * 2**32) * 3.125)  # fmt: skip
    assert miner.ruin == pytest.approx(delta, rel=1e-8)


def test_ruin_at_its_edges():
    def ruin(cost, reserve):
        return mining.pool_income(
            "SOLO", 1e15, 1e14, 1, reserve_btc=reserve, cost_btc_per_s=cost
        ).ruin

    income = 1e15 / (1e14 * 2**32) * 3.125
    assert ruin(income, 1e9) == ruin(2 * income, 1e9) == 1.0
    assert ruin(0.0, 0.0) == 0.0 and ruin(income / 2, 0.0) == 1.0
    assert ruin(income / 2, 10.0) < ruin(income / 2, 5.0) < 1.0
    # against playing it: exponential waits, a fixed payment, spending in between
    rng = np.random.default_rng(7)
    ruined = 0
    for _ in range(4000):
        left = 6.25
        for wait in rng.exponential(3.125 / income, 200):
            left -= wait * 0.8 * income
            if left < 0:
                ruined += 1
                break
            left += 3.125
    assert ruined / 4000 == pytest.approx(ruin(0.8 * income, 6.25), abs=0.03)


@pytest.mark.parametrize(
    "changes,named",
    [({"scheme": "PROP"}, "scheme is 'PROP'"), ({"scheme": None}, "scheme is None"),
     ({"hashrate": 0}, "hashrate is 0"), ({"difficulty": -1}, "difficulty is -1"),
     ({"seconds": -1}, "seconds is -1"), ({"fee": 1.0}, "fee is 1.0"), ({"fees_btc": -1}, "fees_btc is -1"),
     ({"share_difficulty": 0}, "share_difficulty is 0"), ({"share_difficulty": 1e15}, "share_difficulty is"),
     ({"scheme": "PPLNS"}, "pool_hashrate is None"), ({"scheme": "PPLNS", "pool_hashrate": 1}, "pool_hashrate is 1"),
     ({"reserve_btc": -1}, "reserve_btc is -1"), ({"reserve_btc": 1}, "cost_btc_per_s is None")],
)  # fmt: skip
def test_bad_pool_arguments(changes, named):
    base = {"scheme": "SOLO", "hashrate": 1e15, "difficulty": 1e14, "seconds": 1.0}
    with pytest.raises((ValueError, TypeError), match=f"{named}.*allowed"):
        mining.pool_income(**{**base, **changes})


@pytest.mark.parametrize(
    "call,named",
    [
        (lambda: mining.hash_roofline("Zen 4", clock_hz="fast"), "clock_hz is 'fast'"),
        (lambda: mining.hash_roofline("Zen 4", clock_hz=10**400), "clock_hz is 1"),
        (lambda: mining.generations_race(5), "miners is 5"),
        (lambda: mining.generations_race(months=5), "months is 5"),
        (lambda: mining.network_power(5.5), "months is 5.5"),
        (lambda: mining.payback("Antminer S21", 10**400, 50.0, 0.06), "capex_usd is 1"),
        (lambda: mining.double_spend_probability(10**400, 6), "q is 1"),
        (
            lambda: mining.simulate_pool("SOLO", 1e18, 1e14, 1.0, window_filled=[]),
            "window_filled is",
        ),
    ],
)
def test_what_is_no_number_or_list_is_named(call, named):
    with pytest.raises((TypeError, ValueError), match=named + ".*; allowed: "):
        call()


def test_names_that_are_handed_out():
    assert dir(mining) == sorted(mining.__all__)
    assert all(hasattr(mining, name) for name in mining.__all__)


POOL_TERMS = (
    "subsidy_btc, fees_btc, fees_std_btc, fee, pool_hashrate, share_difficulty, window_blocks"
)


@pytest.mark.parametrize(
    "call,name,allowed",
    [
        (lambda **given: mining.pool_income("SOLO", 1e15, 1e14, 1.0, **given), "pool_income", POOL_TERMS),
        (lambda **given: mining.simulate_pool("SOLO", 1e15, 1e14, 1.0, **given), "simulate_pool",
         f"{POOL_TERMS}, threads, progress, device"),
        (lambda **given: mining.payback("Antminer S21", 3000, 50.0, 0.06, **given), "payback",
         "hashprice_growth_per_year, price_growth_per_year, difficulty_growth_per_year, "
         "difficulty_growth_per_retarget"),
        (lambda **given: mining.network_power(["2021-10"], **given), "network_power",
         "difficulty, price, subsidy_btc, fees_btc, hashprice"),
    ],
)  # fmt: skip
def test_unknown_options_are_named(call, name, allowed):
    said = rf"^{name}\(\) got an unexpected option 'feee'; allowed: {allowed}(, |$)"
    with pytest.raises(TypeError, match=said):
        call(feee=0.1)
