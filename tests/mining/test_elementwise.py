"""An array's answers are its elements' answers: neighbours of other kinds change nothing."""

import itertools

import numpy as np
import pytest

from tokenroof import mining

# [name, function, values of each argument from easy to extreme, so that iterations end at different times]
CASES = {
    "double_spend_probability": (
        mining.double_spend_probability, [0.0, 0.1, 0.3, 0.49, 0.5, 1.0], [0, 1, 5, 60, 1_000_000],
    ),
    "confirmations_needed": (
        mining.confirmations_needed, [0.0, 1e-9, 0.1, 0.3, 0.45, 0.5, 0.7, 1.0],
        [1e-300, 1e-9, 1e-3, 0.2, 0.999, 1.0, np.nextafter(1.0, 2.0), 2.0, 1e300],
    ),
    "confirmations_needed, Rosenfeld": (
        lambda q, risk: mining.confirmations_needed(q, risk, model="rosenfeld"),
        [0.0, 0.1, 0.45, 0.5, 1.0], [1e-9, 1e-3, 0.5, 1.0, 2.0],
    ),
    "selfish_mining_revenue": (
        mining.selfish_mining_revenue, [0.0, 0.1, 1 / 3, 0.5, 1.0], [0.0, 0.5, 1.0],
    ),
    "time_to_block_quantile": (
        lambda rate, p: mining.time_to_block_quantile(rate, 1e14, p), [1e12, 1e20], [0.0, 1e-9, 0.5, 0.99],
    ),
    "block_probability": (
        lambda rate, seconds: mining.block_probability(rate, 1e14, seconds),
        [1e12, 1e20], [0.0, 1.0, 86400.0, 1e12],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_an_array_is_answered_as_its_elements(name):
    function, *grids = CASES[name]
    columns = [np.array(column) for column in zip(*itertools.product(*grids), strict=True)]
    rng = np.random.default_rng(14)
    for order in (np.arange(columns[0].size), rng.permutation(columns[0].size)):
        together = function(*(column[order] for column in columns))
        alone = [function(*(float(column[i]) for column in columns)) for i in order]
        np.testing.assert_array_equal(together, np.array(alone, dtype=float))


def test_a_risk_above_one_needs_no_confirmation():
    assert mining.confirmations_needed(0.1, [1e-3, 2.0]).tolist() == [5, 0]
    (none, still), (many, never) = mining.confirmations_needed([0.4, 0.6], [[2.0], [1e-9]])
    assert (none, still, never) == (0, 0, np.inf)
    left = mining.double_spend_probability(0.4, [many - 1, many])
    assert left[0] >= 1e-9 > left[1]


def test_equilibria_are_answered_alone():
    fleet = [mining.Tranche("Antminer S19 Pro", 2e6, cents / 100) for cents in range(3, 9)]
    prices = [1.0, 30_000, 60_000, 1e9]
    level = mining.equilibrium(fleet, price=prices)
    for i, price in enumerate(prices):
        one = mining.equilibrium(fleet, price=price)
        assert (float(one.hashrate), float(one.hashprice)) == (
            level.hashrate[i],
            level.hashprice[i],
        )


def test_pool_incomes_are_answered_alone():
    rates, hard = [1e12, 1e15, 1e18], 1e14
    for scheme in ("SOLO", "FPPS", "PPLNS"):
        more = {} if scheme == "SOLO" else {"pool_hashrate": 1e20}
        got = mining.pool_income(scheme, rates, hard, 86400.0, **more)
        for i, rate in enumerate(rates):
            one = mining.pool_income(scheme, rate, hard, 86400.0, **more)
            assert (one.mean_btc, one.variance_btc2) == (got.mean_btc[i], got.variance_btc2[i])
