"""Attacks on the chain: the published tables, many digits, and the same races played out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from _support import BY_ISA, each_isa, every_isa
from tokenroof import kernels, mining

# --- as published --------------------------------------------------------------------------------------

# Nakamoto 2008, section 11
WHITEPAPER = {
    0.1: {0: 1.0, 1: 0.2045873, 2: 0.0509779, 3: 0.0131722, 4: 0.0034552, 5: 0.0009137, 6: 0.0002428,
          7: 0.0000647, 8: 0.0000173, 9: 0.0000046, 10: 0.0000012},
    0.3: {0: 1.0, 5: 0.1773523, 10: 0.0416605, 15: 0.0101008, 20: 0.0024804, 25: 0.0006132, 30: 0.0001522,
          35: 0.0000379, 40: 0.0000095, 45: 0.0000024, 50: 0.0000006},
}  # fmt: skip
WHITEPAPER_BELOW_A_THOUSANDTH = {
    0.10: 5, 0.15: 8, 0.20: 11, 0.25: 15, 0.30: 24, 0.35: 41, 0.40: 89, 0.45: 340,
}  # fmt: skip
# Rosenfeld 2014, table 1, per cent to three places
ROSENFELD = {
    0.02: [4.0, 0.237, 0.016, 0.001], 0.08: [16.0, 3.635, 0.905, 0.235, 0.063],
    0.10: [20.0, 5.600, 1.712, 0.546, 0.178, 0.059, 0.020, 0.007, 0.002, 0.001],
    0.30: [60.0, 43.2, 32.616, 25.207, 19.762], 0.40: [80.0, 70.4, 63.488], 0.5: [100.0, 100.0],
}  # fmt: skip


def test_the_whitepapers_tables():
    for q, table in WHITEPAPER.items():
        got = mining.double_spend_probability(q, list(table))
        assert got.round(7).tolist() == list(table.values())
    for q, z in WHITEPAPER_BELOW_A_THOUSANDTH.items():
        assert mining.confirmations_needed(q) == z
    found = mining.confirmations_needed(list(WHITEPAPER_BELOW_A_THOUSANDTH), 1e-3)
    assert found.tolist() == list(WHITEPAPER_BELOW_A_THOUSANDTH.values())


def test_rosenfelds_tables():
    for q, row in ROSENFELD.items():
        n = np.arange(1, len(row) + 1)
        got = 100 * mining.double_spend_probability(q, n, model="rosenfeld")
        assert got.round(3).tolist() == row
    # six confirmations keep a tenth of the hashrate below 0.1 %, the paper's reading of the common rule
    assert mining.confirmations_needed(0.1, 1e-3, model="rosenfeld") == 6
    risks = mining.confirmations_needed(0.1, [0.1, 0.01, 0.001, 1e-4], model="rosenfeld")
    assert risks.tolist() == [2.0, 4.0, 6.0, 8.0]


def test_eyal_and_sirers_figures():
    """Thresholds 1/3, 1/4 and 0; at the threshold the revenue is one's share; table 1's neighbourhood."""
    assert mining.selfish_mining_threshold([0, 0.5, 1]).tolist() == [1 / 3, 0.25, 0.0]
    for gamma in np.linspace(0, 0.99, 12):
        at = mining.selfish_mining_threshold(gamma)
        assert mining.selfish_mining_revenue(at, gamma) == pytest.approx(at, rel=1e-13)
        assert mining.selfish_mining_revenue(at + 0.01, gamma) > at + 0.01
        assert mining.selfish_mining_revenue(at - 0.005, gamma) < at - 0.005
    assert mining.selfish_mining_revenue([0.0, 0.5, 0.7], 0.3).tolist() == [0.0, 1.0, 1.0]
    below = mining.selfish_mining_revenue(np.nextafter(0.5, 0), 0.3)
    assert below == pytest.approx(1.0, abs=1e-12)


# --- many digits ---------------------------------------------------------------------------------------


def _nakamoto(mp, q, z):
    r = q / (1 - q)
    mean = z * r
    tail = term = mp.exp(-mean + (z + 1) * mp.log(mean) - mp.loggamma(z + 2))
    j = z + 2
    while term > tail * mp.mpf(10) ** -30:
        term *= mean / j
        tail, j = tail + term, j + 1
    total = term = mp.mpf(1)
    for i in range(z):
        term *= mp.mpf(z - i) / z
        total += term
        if term < mp.mpf(10) ** -30:
            break
    return tail + mp.exp(-mean + z * mp.log(z * r) - mp.loggamma(z + 1)) * total


def _rosenfeld(mp, q, n):
    total, term, i = mp.mpf(1), mp.mpf(1), 1
    while term > total * mp.mpf(10) ** -30:
        term *= q * (2 * n + i - 1) / (n + i)
        total, i = total + term, i + 1
    return mp.exp(mp.loggamma(2 * n + 1) - 2 * mp.loggamma(n + 1) + n * mp.log(q * (1 - q))) * total


@pytest.mark.parametrize("model,exact", [("nakamoto", _nakamoto), ("rosenfeld", _rosenfeld)])
def test_many_confirmations_and_small_shares_to_the_stated_error(model, exact):
    mp = pytest.importorskip("mpmath").mp
    rng = np.random.default_rng(0)
    cases = [(0.1, 5), (0.3, 31), (0.3, 32), (1e-12, 3), (1e-250, 1), (0.45, 340), (0.4999, 10_000), (0.499999, 1_000_000),
             (0.49, 1_000_000), (1e-9, 33)]  # fmt: skip
    cases += [(float(rng.choice([rng.uniform(0, 0.5), 10 ** rng.uniform(-40, -1), 0.5 - 10 ** rng.uniform(-7, -1)])),
               int(10 ** rng.uniform(0, 3.5))) for _ in range(80)]  # fmt: skip
    compared = 0
    for q, n in cases:
        got = mining.double_spend_probability(q, n, model)
        with mp.workdps(40):
            want = exact(mp, mp.mpf(q), n)
            if want < 1e-307:
                assert got <= 1e-306
                continue
            error = abs(mp.mpf(got) / want - 1) * 2**53
        assert error <= 32 - 8 * mp.log(want) + 2 * math.sqrt(n), (q, n)
        compared += 1
    assert compared > 60


@given(q=st.floats(0, 0.5), n=st.integers(0, 2000))
@every_isa
def test_laws_of_a_race(isa, q, n):
    """More confirmations are safer, more hashrate is more dangerous; Nakamoto underrates the attacker."""
    for model in ("nakamoto", "rosenfeld"):
        kernel = BY_ISA[isa][f"double_spend_{model}"]
        p = kernel(q, float(n))
        near = 1 + 1e-10
        assert 0 <= p <= 1 + 1e-12
        assert kernel(q, n + 1.0) <= p * near and kernel(q / 2, float(n)) <= p * near
    # a block ahead is worth at least the race's luck
    if n:
        assert BY_ISA[isa]["double_spend_rosenfeld"](q, 1.0) == pytest.approx(2 * q, rel=1e-14)


@each_isa
def test_outside_is_invalid(isa):
    for name, arguments in (
        ("double_spend_nakamoto", [(-0.1, 3.0), (1.1, 3.0), (0.1, -1.0), (0.1, 2.5), (0.1, 1e7), (0.1, math.inf), (math.inf, 1.0)]),
        ("double_spend_rosenfeld", [(-0.1, 3.0), (0.1, 0.5), (0.6, 2e6), (-math.inf, 1.0)]),
        ("selfish_mining_revenue", [(-0.1, 0.5), (0.3, 1.5), (2.0, 0.5), (0.3, -math.inf)]),
        ("selfish_mining_threshold", [(-0.1,), (1.1,), (math.inf,)]),
    ):  # fmt: skip
        for row in arguments:
            with pytest.raises(FloatingPointError, match="invalid"), np.errstate(all="raise"):
                BY_ISA[isa][name](*row)
            with np.errstate(all="ignore"):
                assert np.isnan(BY_ISA[isa][name](*row))


# --- played out ----------------------------------------------------------------------------------------


def test_selfish_mining_as_a_state_machine():
    """Eyal and Sirer's figure 1, block by block: a lead that is hidden, races at a lead of one."""
    rng = np.random.default_rng(11)
    for alpha, gamma in ((0.2, 0.0), (0.33, 0.5), (0.42, 0.9)):
        shares = []
        for _ in range(20):
            mine = others = lead = 0
            race = False
            for his, follows in zip(
                (rng.random(5000) < alpha).tolist(),
                (rng.random(5000) < gamma).tolist(),
                strict=True,
            ):
                if race:  # two branches of a block each; who finds the next decides
                    mine += 2 if his else int(follows)
                    others += 0 if his else 1 + (not follows)
                    race = False
                elif his:
                    lead += 1
                elif lead == 0:
                    others += 1
                elif lead == 1:
                    race, lead = True, 0
                elif lead == 2:  # publishes both, and the other's block is lost
                    mine, lead = mine + 2, 0
                else:
                    mine, lead = mine + 1, lead - 1
            shares.append(mine / (mine + others))
        want = mining.selfish_mining_revenue(alpha, gamma)
        error = np.std(shares, ddof=1) / math.sqrt(len(shares))
        assert abs(np.mean(shares) - want) < 4.5 * error + 1e-3, (
            alpha,
            gamma,
        )  # a thousandth: start and end


@pytest.mark.parametrize("q,n", [(0.1, 2), (0.3, 5), (0.4, 3)])
def test_a_double_spend_as_a_race(q, n):
    """Attacker's blocks while n are found, one before; then a walk that ends a block ahead, or too far behind."""
    rng = np.random.default_rng(12)
    paths = 20_000
    found = rng.negative_binomial(n, 1 - q, paths) + 1
    behind = n - found + 1  # blocks to find beyond the others' to win
    won = behind <= 0
    active = np.flatnonzero(~won)
    gap = behind[active]
    while active.size:
        gap = gap + np.where(rng.random(gap.size) < q, -1, 1)
        won[active[gap <= 0]] = True
        keep = (gap > 0) & (gap < 60)  # (q / p)^60 < 3e-11
        active, gap = active[keep], gap[keep]
    want = mining.double_spend_probability(q, n, model="rosenfeld")
    assert abs(won.mean() - want) < 4.5 * math.sqrt(want * (1 - want) / paths)


# --- bad input -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call,named",
    [(lambda: mining.double_spend_probability(1.5, 3), "q is 1.5; allowed: 0 to 1"),
     (lambda: mining.double_spend_probability(-0.1, 3), "q is -0.1; allowed"),
     (lambda: mining.double_spend_probability(math.nan, 3), "q is nan; allowed"),
     (lambda: mining.double_spend_probability(0.1, 2.5), "confirmations is 2.5; allowed"),
     (lambda: mining.double_spend_probability(0.1, [1, 2_000_000]), r"confirmations\[1\] is 2e\+06; allowed"),
     (lambda: mining.double_spend_probability(0.1, 3, model="satoshi"), "model is 'satoshi'; allowed: nakamoto, rosenfeld"),
     (lambda: mining.double_spend_probability("x", 3), "q is 'x'; allowed"),
     (lambda: mining.confirmations_needed(0.1, 0.0), "risk is 0; allowed"),
     (lambda: mining.confirmations_needed(0.49999), "q is 0.49999, for which .* allowed"),
     (lambda: mining.selfish_mining_revenue(1.2, 0.5), "alpha is 1.2; allowed"),
     (lambda: mining.selfish_mining_revenue(0.2, 7), "gamma is 7; allowed"),
     (lambda: mining.selfish_mining_threshold(-1), "gamma is -1; allowed")],
)  # fmt: skip
def test_bad_input_is_named(call, named):
    with pytest.raises((ValueError, TypeError), match=named):
        call()


def test_confirmations_at_the_edges():
    assert mining.confirmations_needed(0.0) == 1 and mining.confirmations_needed(0.7) == math.inf
    assert mining.confirmations_needed(0.2, 2.0) == 0 and mining.confirmations_needed(0.9, 1.5) == 0
    both = mining.confirmations_needed([[0.1], [0.5]], [1e-3, 1e-9])
    assert both.shape == (2, 2) and np.isinf(both[1]).all() and (both[0] == [5, 16]).all()
    for q, n in ((0.1, 16), (0.45, 340)):  # the fewest: one less is not enough
        risk = float(kernels.double_spend_nakamoto(q, n - 1.0))
        assert mining.confirmations_needed(q, risk) == n
