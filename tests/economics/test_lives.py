"""How long a machine earns its power, and the GPU in both eras."""

import math

import numpy as np
import pytest

from tokenroof import economics as ec
from tokenroof.records.miner import Miner


def made(name, release, joules, price=None):
    return Miner(name=name, hashrate=1e12, power=joules, release=release, price_usd=price)


def test_lives_by_hand():
    """A terahash at 50 $/MWh: 100 J cost 1.39 micro-dollars; 300 $/(TH/s) over 4 years 2.38 more."""
    rows = [made("old", "2010-01", 400.0, 100.0), made("dear", "2012-01", 100.0, 600.0),
            made("next", "2013-07", 100.0, 300.0), made("last", "2015-01", 20.0)]  # fmt: skip
    old, dear, following, last = ec.race("miners", rows).lives(50.0)
    assert old.power_cost == pytest.approx(400.0 * 50.0 / 3.6e9)
    assert following.whole_cost == pytest.approx(100.0 * 50.0 / 3.6e9 + 300.0 / (4 * 365 * 86400))
    assert dear.whole_cost > old.power_cost > following.whole_cost
    assert (old.successor, old.loses_money) == ("next", pytest.approx(2013 + 6.5 / 12))
    assert old.economic_life == pytest.approx(3.5)
    assert (following.successor, following.economic_life) == (
        "",
        math.inf,
    )  # what has no price succeeds nothing
    assert math.isnan(last.whole_cost) and last.successor == ""


def test_dear_power_shortens_lives_and_dear_machines_lengthen_them():
    found = ec.race("miners")
    cheap, dear = (np.array([life.economic_life for life in found.lives(p)]) for p in (30.0, 120.0))
    assert (dear <= cheap).all() and (dear < cheap).any()
    spread = np.array([life.economic_life for life in found.lives(30.0, years=8.0)])
    assert (spread <= cheap).all() and (spread < cheap).any()
    for life in found.lives(50.0):
        assert life.economic_life > 0.0 and (life.successor == "") == math.isinf(life.loses_money)


def test_lives_of_gpus():
    found = ec.race("inference", ["A100-SXM4-80GB", "H100-SXM", "B200-SXM"])
    assert np.isfinite(found.capital[1:]).all()
    lives = found.lives(50.0)
    assert [life.name for life in lives] == list(found.names)
    assert list(found.to_frame()["capital"].notna())[1:] == [True, True]


@pytest.mark.parametrize(
    "given,said", [((0.0,), "price_per_mwh is 0"), ((50.0, 0.0), "years is 0")]
)
def test_bad_numbers_by_name(given, said):
    with pytest.raises(ValueError, match=said):
        ec.race("miners", ["Antminer S9", "Antminer S21"]).lives(*given)


def test_both_eras_by_hand():
    """An H100 scans 7.4 GH/s: at 61.9 M$/(PH/s day) of 2010 it would have made 456 $ a day, power 2 $ at most."""
    found = ec.both_eras(["H100-SXM"], token_prices={2025: 0.5, 2026: 0.2}, price_per_mwh=60.0)
    at = {int(year): i for i, year in enumerate(found.years)}
    assert found.hashes[0, at[2010]] == pytest.approx(
        found.hashes_per_s[0] / 1e15 * found.hashprice[at[2010]] * 365
    )
    assert found.hashes[0, at[2010]] / 365 == pytest.approx(456.5, rel=0.002)
    assert found.tokens[0, at[2026]] == pytest.approx(found.tokens_per_s[0] * 31.536 * 0.2)
    assert found.tokens[0, at[2025]] == pytest.approx(2.5 * found.tokens[0, at[2026]])
    assert found.power[0] == pytest.approx(
        np.full(found.years.size, found.watts[0] * 8.76e-3 * 60.0)
    )
    assert np.isnan(found.tokens[0, at[2010]]) and found.hashes[0, at[2026]] < found.power[0, 0]
    frame = found.to_frame()
    assert (
        len(frame) == found.years.size and frame["out"].tolist() == (found.years >= 2022).tolist()
    )


def test_prices_of_tokens_are_the_least_that_is_quoted():
    found = ec.both_eras(["H100-SXM", "B200-SXM"])
    at = {int(year): i for i, year in enumerate(found.years)}
    assert found.token_price[at[2022]] == 20.0 and found.token_price[at[2026]] < 1.0
    assert found.hashes.shape == (2, found.years.size) and (
        found.tokens_per_s[1] > found.tokens_per_s[0]
    )


@pytest.mark.parametrize("given,said", [
    ({"devices": ["H10O"]}, "did you mean"), ({"interactivity": 0.0}, "interactivity is 0"),
    ({"price_per_mwh": -1.0}, "price_per_mwh is -1"), ({"token_prices": 3}, "token_prices is 3"),
    ({"token_prices": {2026: -1.0}}, r"token_prices\[2026\] is -1"), ({"model": "Nothing"}, "Nothing"),
    ({"devices": 3}, "devices is"),
])  # fmt: skip
def test_bad_eras_by_name(given, said):
    with pytest.raises((ValueError, TypeError, KeyError), match=said):
        ec.both_eras(**{"devices": ["H100-SXM"]} | given)
