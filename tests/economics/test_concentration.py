"""Concentration: values by hand, definitions that differ on ties, identities, coverage of the intervals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tokenroof import economics as ec

SHARES = [0.3, 0.25, 0.15, 0.1, 0.08, 0.05, 0.04, 0.03]


def test_values_by_hand():
    got = ec.concentration(SHARES)
    assert got.hhi == pytest.approx(0.1964, abs=1e-15)
    assert got.effective_number == pytest.approx(5.0916496945, abs=5e-11)
    assert got.normalised_hhi == pytest.approx(0.0816, abs=1e-4)
    assert got.gini == pytest.approx(0.4075, abs=1e-15)
    assert got.unbiased_gini == pytest.approx(0.465714285714, abs=5e-13)
    assert got.entropy_bits == pytest.approx(2.60895328505, abs=5e-12)
    assert got.largest[3] == pytest.approx(0.8) and got.largest[-1] == 1.0
    assert got.nakamoto == 2
    assert got.intervals == {}
    assert ec.concentration(np.arange(1, 6) / 15).gini == pytest.approx(4 / 15, abs=1e-15)
    assert ec.concentration([0, 0, 0, 1]).gini == 0.75
    assert ec.concentration([0, 0, 0, 1]).unbiased_gini == 1.0


@pytest.mark.parametrize("shares,threshold,strict,want", [
    ([0.505, 0.495], 0.5, True, 1), ([0.505, 0.495], 0.51, False, 2),
    ([0.5, 0.5], 0.5, True, 2), ([0.5, 0.5], 0.5, False, 1),
    ([0.1] * 10, 0.5, False, 5), ([0.1] * 10, 0.5, True, 6), ([0.3, 0.21, 0.2, 0.29], 0.51, False, 2),
    ([0.1] * 10, 1.0, False, 10), ([1.0], 0.51, False, 1),
])  # fmt: skip
def test_nakamoto_on_ties(shares, threshold, strict, want):
    assert ec.concentration(shares, threshold=threshold, strict=strict).nakamoto == want


def test_sixty_forty():
    """Five equal buyers of 60 %, and a rest of which none counts: at least 720 points; 3,600 for one of 60 %."""
    rest = [0.4 / 100_000] * 100_000
    assert ec.concentration([0.12] * 5 + rest).hhi * 1e4 == pytest.approx(720.0, rel=1e-4)
    assert ec.concentration([0.6, *rest]).hhi * 1e4 == pytest.approx(3600.0, rel=1e-4)


@given(arrays(float, st.integers(2, 30), elements=st.floats(1e-6, 1.0)))
def test_identities(weights):
    shares = weights / weights.sum()
    got = ec.concentration(shares)
    n = shares.size
    assert 1 / n - 1e-12 <= got.hhi <= 1
    assert 2**got.entropy_bits >= got.effective_number * (1 - 1e-9)  # Renyi's order 1 against 2
    gaps = np.abs(shares[:, None] - shares).sum() / (2 * n)  # mean difference over twice the mean
    assert got.gini == pytest.approx(gaps, abs=1e-12)
    split = ec.concentration(
        np.repeat(shares, 2) / 2
    )  # each holder in two: half the index, the same Gini
    assert split.hhi == pytest.approx(got.hhi / 2)
    assert split.gini == pytest.approx(got.gini, abs=1e-12)
    assert got.largest[got.nakamoto - 1] >= 0.51 - 1e-12
    assert got.nakamoto == 1 or got.largest[got.nakamoto - 2] < 0.51


def test_intervals_hold_the_truth_as_often_as_they_say():
    """Counts drawn from known shares: of 200 intervals of 90 %, 180 hold the index on average."""
    rng = np.random.default_rng(7)
    truth = ec.concentration(SHARES)
    held = largest = 0
    for counts in rng.multinomial(500, SHARES, 200):
        got = ec.concentration(counts=counts, level=0.9, seed=3)
        low, high = got.intervals["hhi"]
        held += low <= truth.hhi <= high
        low, high = got.intervals["largest"]
        largest += low[2] <= truth.largest[2] <= high[2]
    assert 165 <= held <= 196 and 165 <= largest <= 198


def test_more_blocks_narrow_the_interval_by_their_root():
    few, many = (ec.concentration(counts=np.array([300, 250, 150, 200, 100]) * k) for k in (1, 100))
    assert many.hhi == pytest.approx(few.hhi)
    width = [np.subtract(*got.intervals["hhi"][::-1]) for got in (few, many)]
    assert width[0] / width[1] == pytest.approx(10, rel=0.1)


@pytest.mark.parametrize("given,said", [
    ({}, "neither is given"), ({"shares": [1.0], "counts": [1]}, "both are given"),
    ({"shares": [0.5, 0.4]}, "sum to 0.9; allowed: 1"), ({"shares": [1.5, -0.5]}, r"shares\[1\] is -0.5"),
    ({"shares": []}, "one dimension"), ({"shares": [[1.0]]}, "one dimension"), ({"shares": ["a"]}, "shares is 'a'"),
    ({"counts": [0, 0]}, "not all 0"), ({"counts": [1.5]}, "whole numbers"), ({"counts": [-1]}, "counts is"),
    ({"shares": [1.0], "threshold": 0.0}, "threshold is 0"), ({"shares": [1.0], "threshold": 1.1}, "threshold is 1.1"),
    ({"shares": [1.0], "threshold": 1.0, "strict": True}, "as no shares exceed all"),
    ({"shares": [1.0], "strict": 1}, "strict is 1"), ({"counts": [1], "level": 1.0}, "level is 1.0"),
    ({"counts": [1], "seed": -1}, "seed is -1"), ({"counts": [1], "seed": 1.5}, "seed is 1.5"),
])  # fmt: skip
def test_bad_input_by_name(given, said):
    with pytest.raises((ValueError, TypeError), match=said):
        ec.concentration(**given)
