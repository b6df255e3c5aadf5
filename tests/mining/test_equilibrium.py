"""Difficulty that follows profit: by hand, against bisection, and step by step."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenroof import mining
from tokenroof.mining import Chain, Tranche
from tokenroof.records.miner import Miner
from tokenroof.reference.mining import equilibrium as twin

RIG = Miner(name="rig", hashrate=1e15, power=1000.0)  # a PH/s and a kW: 24 kWh a day
# Blocks a day exactly: one every 864 s on average, whatever the off-by-one.
CHAIN = Chain(block_seconds=860, retarget_blocks=432)


def rigs(count, cost, **more):
    """Rigs whose running cost is so many dollars to the PH/s and day."""
    return Tranche(RIG, count, cost / 24.0, **more)


def test_costs_by_hand():
    assert rigs(3, 12.0).running_cost == 12.0 == rigs(3, 12.0).full_cost
    dear = Tranche(RIG, 3, 0.5, fee=0.5, pue=2.0, capital_usd_per_day=5.0)
    assert (dear.running_cost, dear.full_cost) == (48.0, 58.0)
    assert dear.joules_per_hash == 2e-12 and dear.hashrate == 3e15
    cost, rate = mining.cost_curve([rigs(1, 30), rigs(2, 10), rigs(3, 20)])
    assert cost.tolist() == pytest.approx([10, 20, 30]) and rate.tolist() == [2e15, 5e15, 6e15]


def test_equilibria_by_hand():
    assert CHAIN.mean_block_seconds == pytest.approx(864.0, rel=1e-15)  # 100 blocks a day
    fleet = [rigs(10, 30), rigs(10, 10), rigs(10, 20)]
    # 1 BTC to the block: prices of 0.5, 1.5, 3 and 10 bring 50, 150, 300, 1000 $ a day
    got = mining.equilibrium(fleet, [0.5, 1.5, 3.0, 10.0], 1.0, chain=CHAIN)
    # part of the cheapest; all of it, as 15 is below 20; half of the second; all
    assert got.hashrate.tolist() == pytest.approx([5e15, 10e15, 15e15, 30e15])
    assert got.hashprice.tolist() == pytest.approx([10.0, 15.0, 20.0, 1000 / 30])
    assert got.power_w.tolist() == pytest.approx([5e3, 10e3, 15e3, 30e3])
    assert got.running[:, 2].tolist() == pytest.approx([0.0, 10e15, 5e15])
    assert got.difficulty.tolist() == pytest.approx([r * 864 / 2**32 for r in got.hashrate])
    just = mining.equilibrium(fleet, [3.99, 4.01], 1.0, chain=CHAIN)  # 19.95 and 20.05 $ to 20 PH/s
    assert just.hashrate.tolist() == pytest.approx([19.95e15, 20e15], rel=1e-12)
    one = mining.equilibrium(fleet, 3.0, 1.0, chain=CHAIN)
    assert type(one.hashrate) is float and one.running.shape == (3,)
    free = mining.equilibrium([rigs(2, 0.0), rigs(1, 50.0)], 1.0, 1.0, chain=CHAIN)
    assert free.hashrate == pytest.approx(2e15) and free.hashprice == pytest.approx(50.0)
    # free entry: whatever the price, the hashprice is the full cost
    entry = mining.equilibrium([rigs(1, 10), rigs(math.inf, 20, capital_usd_per_day=5.0)],
                               [1.0, 50.0], 1.0, chain=CHAIN)  # fmt: skip
    assert entry.hashprice.tolist() == pytest.approx([25.0, 25.0])
    assert entry.hashrate.tolist() == pytest.approx([4e15, 200e15])


fleets = st.lists(st.tuples(st.floats(0.5, 100.0), st.floats(0.1, 50.0)), min_size=1, max_size=6)


@given(parts=fleets, price=st.floats(0.01, 1e3), reward=st.floats(0.1, 50.0))
def test_nobody_wants_to_move(parts, price, reward):
    fleet = [rigs(count, cost) for cost, count in parts]
    got = mining.equilibrium(fleet, price, reward, chain=CHAIN)
    money = 100 * price * reward
    hashprice, rate = twin.equilibrium(parts, money)
    assert got.hashprice == pytest.approx(hashprice, rel=1e-9)
    assert got.hashrate == pytest.approx(rate * 1e15, rel=1e-9) == got.running.sum()
    for tranche, on in zip(fleet, got.running, strict=True):
        if on > 1e-9 * tranche.hashrate:
            assert tranche.running_cost <= got.hashprice * (1 + 1e-9)
        if on < tranche.hashrate * (1 - 1e-9):
            assert tranche.running_cost >= got.hashprice * (1 - 1e-9)
    # what the ratio of price to difficulty says, through the other functions
    assert mining.hashprice(got.difficulty, price, reward) == pytest.approx(
        got.hashprice, rel=1e-12
    )
    more = mining.equilibrium(fleet, price * 1.5, reward, chain=CHAIN)
    assert more.difficulty >= got.difficulty * (1 - 1e-12)


# --- over time -----------------------------------------------------------------------------------------


def test_a_constant_price_changes_nothing():
    fleet = [Tranche("Antminer S21", 1e6, cents / 100) for cents in range(3, 12)]
    for price in (20_000.0, 50_000.0, 100_000.0):
        still = mining.equilibrium(fleet, price)
        path = mining.difficulty_path(fleet, [price] * 100)
        assert path.difficulty == pytest.approx(still.difficulty, rel=1e-9)
        assert path.hashrate == pytest.approx(still.hashrate, rel=1e-9)
        assert path.power_w == pytest.approx(still.power_w, rel=1e-9)
        # blocks come every 600.596 s: 2016 of them take 14 days and 20 minutes
        assert path.blocks == pytest.approx(86400 / Chain().mean_block_seconds)
        assert np.diff(path.retargets[:, 0]) == pytest.approx(2016 * 1209600 / 2014)
        assert len(path.retargets) == 7


def test_a_halving_of_the_price_by_hand():
    """100 PH/s at 10 $, and another 100 at 22: the second stops, blocks slow to half, then it is over."""
    chain = Chain(block_seconds=864, retarget_blocks=101)  # less two intervals: 881.45 s
    daily = 86400 / chain.mean_block_seconds
    fleet = [rigs(100, 10), rigs(100, 22)]
    high, low = 25.0 * 200 / daily, 12.5 * 200 / daily
    path = mining.difficulty_path(fleet, [high] * 1 + [low] * 6, 1.0, chain=chain)
    assert path.hashprice[0] == pytest.approx(25.0) and path.hashrate[0] == 200e15
    assert path.hashrate[1] == 100e15
    # 98.02 blocks in the first day, and the three that are missing at half the pace
    first = path.retargets[0]
    assert first[0] == pytest.approx(86400 + (101 - daily) * 2 * chain.mean_block_seconds)
    span = first[0] * 99 / 101
    start = mining.equilibrium(fleet, high, 1.0, chain=chain).difficulty
    assert first[1] == pytest.approx(start * 87264 / span)
    assert path.hashprice[1] == pytest.approx(12.5 * span / 87264)
    # a full period of the first alone is half of what 200 PH/s need; at 25 $ again, a part of the second
    # comes back: as much as leaves it its 22 $ of the 2500 a day
    assert path.retargets[1, 1] == pytest.approx(start / 2)
    assert path.hashrate[-1] == pytest.approx(2500 / 22 * 1e15) and path.hashprice[
        -1
    ] == pytest.approx(22.0)


@given(parts=fleets, first=st.floats(1.0, 100.0), then=st.floats(1.0, 100.0))
def test_it_ends_where_the_equilibrium_is(parts, first, then):
    fleet = [rigs(count, cost) for cost, count in parts]
    chain = Chain(block_seconds=864, retarget_blocks=101)
    path = mining.difficulty_path(fleet, [first] * 3 + [then] * 400, 1.0, chain=chain)
    end = mining.equilibrium(fleet, then, 1.0, chain=chain)
    if path.hashrate[-1] == 0.0:  # all stopped at once: only then does it stand still
        hard = path.difficulty[-1]
        assert mining.hashprice(hard, then, 1.0) < min(t.running_cost for t in fleet)
        assert (path.blocks[-300:] == 0.0).all()
        return
    assert path.difficulty[-1] == pytest.approx(end.difficulty, rel=1e-6)
    assert path.hashrate[-1] == pytest.approx(end.hashrate, rel=1e-6)


@given(
    prices=st.lists(st.floats(1.0, 50.0), min_size=1, max_size=60), parts=fleets,
    steps=st.sampled_from([3600.0, 86400.0, 1e6]),
)  # fmt: skip
def test_the_books_balance(prices, parts, steps):
    fleet = [rigs(count, cost) for cost, count in parts]
    chain = Chain(block_seconds=864, retarget_blocks=50)
    path = mining.difficulty_path(fleet, prices, 1.0, step_seconds=steps, chain=chain)
    n = len(prices)
    assert path.running.shape == (len(parts), n) and (path.running >= 0).all()
    assert path.time_s.tolist() == pytest.approx([steps * (i + 1) for i in range(n)])
    for on, tranche in zip(path.running, fleet, strict=True):
        assert (on <= tranche.hashrate * (1 + 1e-12)).all()
        assert (on[path.hashprice < tranche.running_cost * (1 - 1e-6)] == 0.0).all()
    # every fifty blocks make a period, and each period's length makes the next difficulty
    assert len(path.retargets) == math.floor(path.blocks.sum() / 50 + 1e-6)
    start = mining.equilibrium(fleet, prices[0], 1.0, chain=chain).difficulty
    hard, then = start, 0.0
    for when, new in path.retargets:
        ratio = 50 * 864 / ((when - then) * 48 / 50)
        assert new == pytest.approx(hard * min(4.0, max(0.25, ratio)), rel=1e-6)
        hard, then = new, when
    assert path.difficulty[-1] == hard
    assert path.hashprice == pytest.approx(mining.hashprice(path.difficulty, prices, 1.0))


def test_entry_is_no_faster_than_it_may_be():
    there, new = rigs(100, 10), rigs(math.inf, 10, capital_usd_per_day=10.0)
    chain = Chain(block_seconds=864, retarget_blocks=101)
    daily = 86400 / chain.mean_block_seconds
    price = 50.0 * 100 / daily  # 50 $ to the PH/s while nobody enters
    path = mining.difficulty_path([there, new], [price] * 60, 1.0, chain=chain, entry_per_day=5e15)
    assert path.running[1][:10].tolist() == pytest.approx([5e15 * (i + 1) for i in range(10)])
    assert path.running[1][-1] == pytest.approx(150e15) and path.hashprice[-1] == pytest.approx(
        20.0
    )
    at_once = mining.difficulty_path([there, new], [price] * 60, 1.0, chain=chain)
    assert at_once.running[1] == pytest.approx(150e15)
    long = mining.equilibrium([there, new], price, 1.0, chain=chain)
    assert path.difficulty[-1] == pytest.approx(long.difficulty)
    # what is bought stays: at a third of the price it runs on, below its full cost and above its power
    cheap = mining.difficulty_path(
        [there, new], [price] * 30 + [price * 0.6] * 60, 1.0, chain=chain
    )
    assert cheap.running[1][-1] == pytest.approx(150e15) and cheap.hashprice[-1] == pytest.approx(
        12.0
    )
    capped = mining.difficulty_path([there, rigs(7, 10, capital_usd_per_day=10.0)], [price] * 9, 1.0,
                                    chain=chain)  # fmt: skip
    assert capped.running[1].tolist() == pytest.approx([7e15] * 9)


def test_kinds_of_entrants_share_the_pace():
    cheap, dear = (rigs(20, cost, capital_usd_per_day=1.0) for cost in (10, 12))
    path = mining.difficulty_path([dear, rigs(10, 10), cheap], [1e3] * 4, 1.0, chain=CHAIN,
                                  entry_per_day=15e15)  # fmt: skip
    assert path.running[2].tolist() == pytest.approx([15e15, 20e15, 20e15, 20e15])
    assert path.running[0].tolist() == pytest.approx([0.0, 10e15, 20e15, 20e15])


def test_a_chain_that_stands_still():
    path = mining.difficulty_path([rigs(100, 10)], [100.0] * 3 + [1.0] * 50 + [100.0] * 3, 1.0,
                                  chain=CHAIN, difficulty=1e7)  # fmt: skip
    assert (path.blocks[3:53] == 0.0).all() and (path.hashrate[3:53] == 0.0).all()
    assert path.hashrate[-1] == 100e15 and path.blocks[-1] > 0


def test_limits_of_a_retarget():
    """A difficulty far too low rises fourfold a period."""
    path = mining.difficulty_path([rigs(100, 10)], [1e4] * 2, 1.0, difficulty=1e3, chain=Chain())
    steps = path.retargets[:, 1] / np.concatenate([[1e3], path.retargets[:-1, 1]])
    assert steps[0] == 4.0 and (steps <= 4.0).all() and len(steps) > 5


@pytest.mark.parametrize(
    "change,what",
    [({"price": [1.0, 0.0]}, r"price\[1\] is 0\.0"), ({"price": 1.0}, r"price has shape \(\)"), ({"price": []}, "price has shape"),
     ({"subsidy_btc": [1.0, 2.0, 3.0]}, "subsidy_btc has shape"), ({"subsidy_btc": 0.0}, r"subsidy_btc \+ fees_btc is 0"),
     ({"step_seconds": 0}, "step_seconds is 0"), ({"difficulty": -1}, "difficulty is -1"),
     ({"entry_per_day": -1.0}, "entry_per_day is -1.0"), ({"chain": "Bitcoin"}, "chain is 'Bitcoin'"),
     ({"fleet": []}, "fleet is empty"), ({"fleet": [RIG]}, r"fleet\[0\] is"), ({"fleet": rigs(1, 1)}, "fleet is"),
     ({"fleet": [rigs(1, 1, capital_usd_per_day=1.0)]}, "difficulty is None")],
)  # fmt: skip
def test_bad_paths(change, what):
    arguments = {"fleet": [rigs(1, 1)], "price": [1.0, 2.0], "subsidy_btc": 1.0}
    with pytest.raises((ValueError, TypeError), match=f"{what}.*allowed"):
        mining.difficulty_path(**{**arguments, **change})


@pytest.mark.parametrize(
    "change,what",
    [({"count": 0}, "count is 0"), ({"count": math.inf}, "count is inf"), ({"count": True}, "count is True"),
     ({"power_price_per_kwh": -0.1}, "power_price_per_kwh is -0.1"), ({"fee": 1.0}, "fee is 1.0"),
     ({"pue": 0.5}, "pue is 0.5"), ({"capital_usd_per_day": math.nan}, "capital_usd_per_day is nan"),
     ({"miner": Miner(name="dark", hashrate=1e15)}, "power of dark is unknown"),
     ({"miner": 5}, "miner must be a name")],
)  # fmt: skip
def test_bad_tranches(change, what):
    arguments = {"miner": RIG, "count": 1, "power_price_per_kwh": 0.1}
    with pytest.raises((ValueError, TypeError), match=what):
        Tranche(**{**arguments, **change})
    with pytest.raises(KeyError, match="unknown miner"):
        Tranche("no such", 1, 0.1)


def test_no_chain_is_easier_than_its_easiest_target():
    """A fleet below what the limit asks for finds fewer blocks, at the limit's difficulty, not more of them."""
    limit = mining.target_from_difficulty(1e14)
    chain = mining.Chain(target_limit=limit)
    least = chain.least_difficulty
    assert least == pytest.approx(1e14, rel=1e-5)  # nBits have three digits of 256
    fleet = [mining.Tranche("Antminer S21", 1e5, 0.05), mining.Tranche("Antminer S9", 1e5, 0.05)]
    got = mining.equilibrium(fleet, [6e4, 6e5], chain=chain)
    free = mining.equilibrium(fleet, [6e4, 6e5])
    assert (free.difficulty < 1e13).all() and np.array_equal(got.difficulty, [least, least])
    np.testing.assert_allclose(got.hashprice, mining.hashprice(least, [6e4, 6e5]))
    # at 48 $/(PH/s day) the older machine does not earn its power, at 480 it does
    assert got.running[:, 0].tolist() == [fleet[0].hashrate, 0.0]
    assert got.running[:, 1].tolist() == [fleet[0].hashrate, fleet[1].hashrate]
    path = mining.difficulty_path(fleet[:1], [6e4] * 1200, chain=chain)
    assert len(path.retargets) > 0 and set(path.retargets[:, 1]) == {least}
    seconds = least * 2.0**32 / fleet[0].hashrate
    assert path.blocks[-1] == pytest.approx(86400.0 / seconds)
    # a limit that is not met changes nothing
    wide = mining.Chain(target_limit=2**250)
    assert mining.equilibrium(fleet, 6e4, chain=wide).difficulty == free.difficulty[0]


def test_power_is_that_of_what_runs_whatever_the_order():
    """Machines of different watts, given in no order, and prices of any shape."""
    fleet = [
        Tranche(Miner(name="m", hashrate=1e15, power=watts), count, cost * 1e3 / watts / 24.0, pue=pue)
        for watts, count, cost, pue in ((500.0, 7, 30, 1.0), (1500.0, 2, 10, 1.5), (900.0, 4, 20, 1.1))
    ]  # fmt: skip
    prices = np.geomspace(0.05, 20.0, 34).reshape(17, 2)
    got = mining.equilibrium(fleet, prices, [1.0, 2.0], chain=CHAIN)
    assert got.running.shape == (3, 17, 2) and got.running is got.running
    joules = [tranche.joules_per_hash for tranche in fleet]
    assert got.running.sum(axis=0) == pytest.approx(got.hashrate, rel=1e-12)
    assert np.tensordot(joules, got.running, 1) == pytest.approx(got.power_w, rel=1e-12)
    assert (got.running[1] > 0.0).all() and (np.diff(got.power_w[:, 0]) >= 0.0).all()
    assert got.power_w[-1, 1] == pytest.approx(7 * 500 + 2 * 1500 * 1.5 + 4 * 900 * 1.1, rel=1e-12)
    assert got.running[:, 0, 0] == pytest.approx([0.0, got.hashrate[0, 0], 0.0])
