"""Bitcoin's arithmetic, in exact integers, against the chain."""

import math
import re
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from _headers import HEADERS
from tokenroof import mining, reference
from tokenroof.mining import COIN, Chain
from tokenroof.mining.retarget_spread import mean_over_aim

bitcoin = reference.bitcoin


@pytest.mark.parametrize("row", HEADERS, ids=lambda row: row["height"])
def test_real_headers(row):
    bits = row["bits_hex"]
    target = mining.target_from_bits(bits)
    assert int(row["hash"], 16) <= target
    assert mining.bits_from_target(target) == int(bits, 16)
    assert mining.difficulty(bits) == pytest.approx(float(row["difficulty"]), rel=1e-15, abs=0.006)
    assert mining.subsidy(int(row["height"])) == int(row["subsidy_sat"])


@pytest.mark.parametrize(
    "bits,difficulty",
    [("1d00ffff", 1.0), ("1b0404cb", 16307.42093852398), ("17053894", 53911173001054.59),
     ("17034219", 86388558925171.02), ("170331db", 88104191118793.16)],
)  # fmt: skip
def test_difficulty(bits, difficulty):
    assert mining.difficulty(bits) == pytest.approx(difficulty, rel=1e-15)
    assert mining.difficulty(int(bits, 16)) == bitcoin.difficulty(int(bits, 16))


def test_work():
    assert mining.work("1d00ffff") == 4295032833
    assert mining.work("1b0404cb") == 70040908352512


@pytest.mark.parametrize(
    "first,last,bits,new",
    [(1261130161, 1262152739, "1d00ffff", 0x1D00D86A), (1231006505, 1233061996, "1d00ffff", 0x1D00FFFF),
     (1279008237, 1279297671, "1c05a3f4", 0x1C0168FD), (1263163443, 1269211443, "1c387f6f", 0x1D00E1FD)],
)  # fmt: skip
def test_retarget_as_the_chain_did(first, last, bits, new):
    assert mining.retarget(bits, first, last) == new
    assert bitcoin.retarget(int(bits, 16), first, last) == new


@given(bits=st.integers(0, 2**32 - 1))
def test_targets_of_any_bits(bits):
    try:
        want = bitcoin.target_from_bits(bits)
    except ValueError:
        with pytest.raises(ValueError, match=f"bits is {bits:#010x}.*allowed"):
            mining.target_from_bits(bits)
    else:
        assert mining.target_from_bits(bits) == want
        assert mining.work(bits) == bitcoin.work(bits)


@given(st.text(max_size=12) | st.text("0123456789abcdefABCDEFx_ -", min_size=6, max_size=10))
def test_bits_of_any_text(text):
    digits = text.removeprefix("0x")
    if re.fullmatch("[0-9a-fA-F]{8}", digits):
        try:
            want = bitcoin.target_from_bits(int(digits, 16))
        except ValueError:
            with pytest.raises(ValueError, match="bits is .*allowed"):
                mining.target_from_bits(text)
        else:
            assert mining.target_from_bits(text) == want
    else:
        with pytest.raises(ValueError, match=r"(?s)bits is .*allowed: eight hexadecimal digits"):
            mining.target_from_bits(text)


@given(st.text(max_size=30) | st.text("0123456789./eE+- ", max_size=12))
def test_a_ratio_of_any_text(text):
    try:
        chain = Chain(decay=text)
    except ValueError as error:
        assert "decay is" in str(error) and "allowed: a ratio from 0 to 1" in str(error)
    else:
        assert 0 <= chain.decay <= 1
        assert float(chain.decay) == pytest.approx(float(Fraction(text)))


@given(target=st.integers(1, 2**256 - 1) | st.integers(0, 255).map(lambda n: 1 << n))
def test_bits_of_any_target(target):
    bits = mining.bits_from_target(target)
    assert bits == bitcoin.bits_from_target(target)
    rounded = mining.target_from_bits(bits)
    assert rounded <= target < rounded + max(1, rounded >> 14)
    assert mining.bits_from_target(rounded) == bits


@given(st.integers(1, 2**224 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_retarget_of_anything(target, first, last):
    bits = mining.bits_from_target(target)
    assert mining.retarget(bits, first, last) == bitcoin.retarget(bits, first, last)


@given(st.integers(1, 2**224 - 1), st.integers(0, 2**32 - 1), st.integers(0, 10**7), st.integers(1, 1000),
       st.integers(2, 5000), st.integers(20, 256))  # fmt: skip
def test_retarget_of_any_chain(target, first, span, seconds, blocks, width):
    bits, last = mining.bits_from_target(target), min(first + span, 2**32 - 1)
    limit = 2**width - 1
    chain = Chain(block_seconds=seconds, retarget_blocks=blocks, target_limit=limit)
    new = chain.retarget(bits, first, last)
    assert new == bitcoin.retarget(bits, first, last, seconds * blocks, limit)
    assert mining.target_from_bits(new) <= limit
    assert Chain().retarget(bits, first, last) == mining.retarget(bits, first, last)
    # a period on time changes nothing but what the limit takes
    on_time = chain.retarget(bits, 0, seconds * blocks)
    assert on_time == mining.bits_from_target(min(limit, mining.target_from_bits(bits)))


def test_a_period_that_is_no_whole_number_of_seconds():
    half = Chain(block_seconds=0.5, retarget_blocks=3)  # 1.5 s: 3 of them are two periods
    assert mining.target_from_bits(half.retarget("1b0404cb", 7, 10)) == 2 * mining.target_from_bits(
        "1b0404cb"
    )


def test_the_mean_time_between_blocks():
    assert Chain().mean_block_seconds == pytest.approx(600.5958, abs=5e-5)
    litecoin = Chain(block_seconds=150, off_by_one=False)
    assert litecoin.mean_block_seconds == pytest.approx(150 * 2016 / 2015, rel=1e-15)
    assert Chain(block_seconds=1).mean_block_seconds == pytest.approx(2016 / 2014, rel=1e-15)
    assert Chain(retarget_blocks=36).mean_block_seconds == pytest.approx(635.3, abs=0.05)
    assert Chain(retarget_blocks=3).mean_block_seconds == pytest.approx(1476, rel=1e-3)
    for intervals in (100, 199):  # where nothing is clamped
        assert mean_over_aim(intervals) == pytest.approx(1 / (intervals - 1), rel=1e-13)
    for other in (Chain(retargets=False), Chain(easy_after_seconds=1200)):
        assert math.isnan(other.mean_block_seconds)
        for call in (mining.equilibrium, mining.difficulty_path):
            with pytest.raises(ValueError, match="chain is .*; allowed: one that retargets"):
                call([mining.Tranche("Antminer S21", 1e6, 0.05)], [6e4], chain=other)


@pytest.mark.parametrize("blocks,shift", [(2, True), (3, True), (1, False), (4, False), (12, True)])
def test_the_mean_time_between_blocks_played(blocks, shift):
    """20,000 chains of retargets, and 4.5 standard errors."""
    chain = Chain(retarget_blocks=blocks, off_by_one=shift)
    rng = np.random.default_rng(15)
    wait, means = np.full(20_000, 600.0), []
    for period in range(150):
        span = wait * rng.gamma(blocks - shift, size=wait.size)
        wait = wait * np.clip(chain.retarget_seconds / span, 0.25, 4.0)
        means += [wait.copy()] if period >= 30 else []
    each = np.mean(means, axis=0)
    error = each.std() / math.sqrt(each.size)
    assert abs(each.mean() - chain.mean_block_seconds) < 4.5 * error


def test_rules_of_other_chains():
    still = Chain(retargets=False, target_limit=2**255 - 1)
    assert still.retarget("207fffff", 0, 1) == 0x207FFFFF == still.allowed_bits("207fffff", 1e9)
    testnet3 = Chain(easy_after_seconds=1200)
    assert testnet3.retarget("1d00ffff", 0, 1209600, "1b0404cb") == 0x1D00FFFF
    testnet4 = Chain(easy_after_seconds=1200, retarget_from_first=True)
    assert testnet4.retarget("1d00ffff", 0, 604800, "1b0404cb") == mining.retarget(
        "1b0404cb", 0, 604800
    )
    with pytest.raises(ValueError, match="first_bits is None"):
        testnet4.retarget("1d00ffff", 0, 604800)
    assert testnet4.allowed_bits("1b0404cb", -7200) == 0x1B0404CB
    fork = Chain.with_total(10**15, off_by_one=False, retargets=False)
    assert (fork.off_by_one, fork.retargets) == (False, False)


@pytest.mark.parametrize(
    "bits,what",
    [(0x1D80FFFF, "negative"), (0x04923456, "negative"), (0, "zero"), (0x01003456, "zero"), (0x1D000000, "zero"),
     (0x23000001, "over 256 bits"), (0x22000100, "over 256 bits"), (0x21010000, "over 256 bits"),
     (0xFF123456, "over 256 bits"), ("1d00fff", "eight hexadecimal"), ("1d00ffgg", "eight hexadecimal"),
     (-1, "allowed: 0 to"), (2**32, "allowed: 0 to"), (1.5, "allowed: an integer"), (None, "allowed: an integer"),
     (True, "allowed: an integer")],
)  # fmt: skip
def test_bits_that_are_no_target(bits, what):
    for function in (mining.target_from_bits, mining.difficulty, mining.work):
        with pytest.raises((ValueError, TypeError), match=f"bits is .*{what}"):
            function(bits)


def test_supply_to_the_last_satoshi():
    table = {
        0: 5000000000, 209999: 1050000000000000, 210000: 1050002500000000, 419999: 1575000000000000,
        420000: 1575001250000000, 630000: 1837500625000000, 839999: 1968750000000000,
        840000: 1968750312500000, 900000: 1987500312500000, 6929998: 2099999997689999,
        6929999: 2099999997690000, 6930000: 2099999997690000, 10**9: 2099999997690000,
    }  # fmt: skip
    for height, coins in table.items():
        assert mining.supply(height) == coins == bitcoin.supply(height)
    assert mining.supply(10**9, halving_interval=2_000_000) == 19999999978000000
    assert mining.subsidy(6_929_999) == 1 and mining.subsidy(6_930_000) == 0
    assert mining.subsidy(64 * 210_000) == 0


@given(
    height=st.integers(0, 20_000),
    interval=st.integers(1, 700),
    cap=st.none() | st.integers(0, 10**14),
)
def test_supply_is_the_sum_of_subsidies(height, interval, cap):
    first = mining.supply(height, cap=cap, halving_interval=interval)
    new = mining.subsidy(height + 1, cap=cap, halving_interval=interval)
    assert mining.supply(height + 1, cap=cap, halving_interval=interval) == first + new
    if cap is None:
        assert first == bitcoin.supply(height, interval)
        assert new == bitcoin.subsidy(height + 1, interval)
    else:
        assert first <= cap


@pytest.mark.parametrize("arguments", [{"height": -1}, {"height": 1.0}, {"height": 1, "halving_interval": 0},
                                       {"height": 1, "cap": -1}, {"height": True}])  # fmt: skip
def test_bad_heights(arguments):
    for function in (mining.subsidy, mining.supply):
        with pytest.raises((ValueError, TypeError), match="is .*allowed"):
            function(**arguments)


DECAYS = st.fractions(0, Fraction(49, 50), max_denominator=100) | st.fractions(0, "0.98")


@given(
    height=st.integers(0, 20_000) | st.integers(0, 10**30),
    interval=st.integers(1, 700),
    initial=st.integers(0, 10**24) | st.integers(0, 100),
    decay=DECAYS,
    cap=st.none() | st.integers(0, 10**14),
)
def test_any_issue_is_what_a_loop_over_eras_says(height, interval, initial, decay, cap):
    rules = {"cap": cap, "halving_interval": interval, "initial": initial, "decay": decay}
    chain = Chain(**rules)
    assert mining.supply(height, **rules) == bitcoin.supply(height, **rules) == chain.supply(height)
    new = bitcoin.subsidy(height, **rules)
    assert mining.subsidy(height, **rules) == new == chain.subsidy(height)
    last, total = chain.last_subsidy_height(), chain.total()
    assert total == chain.supply(10**40)
    if last == -1:
        assert total == 0
    else:
        assert chain.supply(last) == total and chain.subsidy(last) > 0 == chain.subsidy(last + 1)


@given(height=st.integers(0, 10**6), interval=st.integers(1, 10**4), initial=st.integers(1, 10**12),
       cap=st.none() | st.integers(1, 10**14))  # fmt: skip
def test_a_constant_issue(height, interval, initial, cap):
    chain = Chain(cap=cap, halving_interval=interval, initial=initial, decay=1)
    coins = (height + 1) * initial
    assert chain.supply(height) == (coins if cap is None else min(coins, cap))
    assert chain.total() == cap
    last = chain.last_subsidy_height()
    assert last is None if cap is None else last == -(-cap // initial) - 1


@pytest.mark.parametrize("decay", [1 - Fraction(1, 2**18), Fraction(10**40 - 1, 10**40 + 10**34)])
def test_eras_that_no_loop_reaches(decay):
    """Floors of powers with millions of digits, against decimals of 200."""
    for era in (10**4, 10**6 - 1, 5 * 10**6, 10**9, 10**30):
        with localcontext(prec=200):
            exact = 10**20 * (Decimal(decay.numerator) / Decimal(decay.denominator)) ** era
        assert mining.subsidy(era, halving_interval=1, initial=10**20, decay=decay) == int(exact)


@given(total=st.integers(1, 10**20), interval=st.integers(1, 10**6), decay=DECAYS)
def test_a_total_is_reached_and_never_passed(total, interval, decay):
    assume(total >= interval)
    chain = Chain.with_total(total, halving_interval=interval, decay=decay)
    assert chain.total() <= total
    more = Chain(halving_interval=interval, decay=decay, initial=chain.initial + 1)
    assert more.total() > total


def test_the_main_chain_and_a_fork_of_200_million():
    assert Chain().total() == 2_099_999_997_690_000 == Chain().supply(10**100)
    assert Chain().last_subsidy_height() == 6_929_999
    assert Chain().retarget_seconds == mining.RETARGET_SECONDS
    assert Chain.with_total(2_099_999_997_690_000) == Chain()
    fork = Chain.with_total(200_000_000 * COIN)
    assert fork.total() == bitcoin.supply(10**9, initial=fork.initial) == 19_999_999_999_770_000
    assert bitcoin.supply(10**9, initial=fork.initial + 1) > 200_000_000 * COIN
    assert Chain(cap=200_000_000 * COIN).total() == Chain().total()  # never reached
    assert Chain(cap=200_000_000 * COIN, decay=1).last_subsidy_height() == 3_999_999
    assert Chain(cap=21 * 10**14 // 2).last_subsidy_height() == 209_999
    assert Chain(initial=0, decay=1).last_subsidy_height() == -1
    assert Chain(cap=0).last_subsidy_height() == -1


def test_the_ratio_in_every_form():
    for ratio in ("9/10", "0.9", 0.9, Fraction(9, 10), np.float64(0.9)):
        assert Chain(decay=ratio).decay == Fraction(9, 10)
        assert mining.subsidy(420_000, decay=ratio) == 4_050_000_000
    assert mining.subsidy(10**9, decay=np.int64(1)) == 5_000_000_000
    assert mining.supply(10**9, decay=0) == 210_000 * 5_000_000_000
    assert mining.supply(900_000, decay="1/2") == mining.supply(900_000)


@pytest.mark.parametrize(
    "decay",
    [
        -0.1,
        1.5,
        "3/2",
        float("nan"),
        float("inf"),
        "half",
        "1/0",
        "1e-999999999",
        "٠.٥",
        None,
        True,
        [0.5],
        1j,
    ],
)
def test_bad_ratios(decay):
    for call in (mining.supply, mining.subsidy):
        with pytest.raises(
            (ValueError, TypeError), match="decay is .*allowed: a ratio from 0 to 1"
        ):
            call(1, decay=decay)
    with pytest.raises((ValueError, TypeError), match="decay is .*allowed: a ratio from 0 to 1"):
        Chain(decay=decay)


@pytest.mark.parametrize(
    "field,value",
    [("cap", -1), ("cap", 2.5), ("halving_interval", 0), ("initial", -1), ("initial", "50"),
     ("block_seconds", 0), ("block_seconds", float("nan")), ("block_seconds", "600"),
     ("retarget_blocks", 1), ("retarget_blocks", True), ("target_limit", 0), ("target_limit", 2**256),
     ("target_limit", 1.0), ("off_by_one", 1), ("retargets", None), ("easy_after_seconds", 0),
     ("easy_after_seconds", "1200"), ("retarget_from_first", "yes")],
)  # fmt: skip
def test_bad_chains(field, value):
    with pytest.raises((ValueError, TypeError), match=f"{field} is .*allowed"):
        Chain(**{field: value})


def test_totals_that_no_chain_has():
    with pytest.raises(ValueError, match="total is 209999; allowed: an integer >= 210000"):
        Chain.with_total(209_999)
    with pytest.raises(ValueError, match="decay is 1; allowed with a total"):
        Chain.with_total(10**15, decay=1)
    slow = Fraction(10**12 - 1, 10**12)
    with pytest.raises(ValueError, match="decay is .*eras; allowed"):
        Chain.with_total(10**15, halving_interval=1, decay=slow)
    with pytest.raises(ValueError, match="decay is .*eras; allowed"):
        mining.supply(10**12, halving_interval=1, decay=slow)
    assert mining.subsidy(10**12, halving_interval=1, decay=slow) == 1839397205


def test_time_and_price():
    assert mining.expected_time_to_block(100e12, 1e14) == 4294967296.0
    assert mining.hashprice(1e14, 1e5, fees_btc=0.05) == pytest.approx(63.8701021671295, rel=1e-14)
    reward = 3.125 / (1 - 0.0055)
    assert mining.hashprice(1.4647e14, 91132, 0.0, reward) == pytest.approx(
        39.3297635439, rel=1e-11
    )
    assert mining.hashprice([1e14, 2e14], 1e5).shape == (2,)
    for bad in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="difficulty is .*allowed"):
            mining.hashprice(bad, 1e5)
        with pytest.raises(ValueError, match="hashrate is .*allowed"):
            mining.expected_time_to_block(bad, 1e14)
