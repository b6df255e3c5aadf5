"""Random numbers and quick functions of the paths of a factory's cash: how far off they are, and what they look like."""

import math

import numpy as np
import pytest
from _cash import CALM, play

from _support import each_isa
from tokenroof import _core
from tokenroof.reference.core.random import words

PRICES, POWER, JUMPS = range(3)
FREE = CALM | {"price_keep": 0.0, "power_keep": 0.0}


def nothing(years):
    return {name: [0.0] * years for name in _core.CASH_COLUMNS}


def drawn(group, stream, paths, seed):
    """Philox in NumPy: four words of each path."""
    low, m0, m1 = np.uint64(2**32 - 1), np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
    full = lambda x: np.full(paths, x, np.uint64)  # noqa: E731
    a, b, c, d = full(group), full(stream), np.arange(paths, dtype=np.uint64), full(0)
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        p, q = m0 * a, m1 * c
        a, b, c, d = (
            (q >> np.uint64(32)) ^ b ^ full(k0),
            q & low,
            (p >> np.uint64(32)) ^ d ^ full(k1),
            p & low,
        )
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return np.stack([a, b, c, d])


def test_the_words_are_those_of_the_reference():
    got = drawn(3, 2, 5, 2**40 + 7)
    assert got.T.tolist() == [list(words(3, 2, path, 2**40 + 7)) for path in range(5)]


@pytest.fixture(scope="module")
def prices():
    """A year's normal number of the price and that of power, eight years of 65,536 paths."""
    both = FREE | {"price_noise": 1.0, "power_noise": 1.0}
    *_, rows = play(both, nothing(9), 2**16, 9, rows=True)
    assert not rows[:, :2, 0].any()  # now nothing has moved
    return rows[:, 0, 1:], rows[:, 1, 1:]


def test_normals_are_within_their_budget_of_box_and_muller(prices):
    """4e-13: 2^-53 of a dozen operations, 5.6e-14 of cosine, sine and logarithm each, at radii up to 6."""
    for stream, got in zip((PRICES, POWER), prices, strict=True):
        for group in range(2):
            radius, angle = (
                drawn(group, stream, len(got), 9)[i::2].astype(np.int64) for i in (0, 1)
            )
            length = np.sqrt(-2 * np.log((radius + np.longdouble(0.5)) / 2**32))
            turn = (
                ((angle >> 1) % 2**30 + np.longdouble(0.5)) / 2**30 - np.longdouble(0.5)
            ) * np.arccos(np.longdouble(0))
            pair = np.stack([length * np.cos(turn), length * np.sin(turn)], axis=-1)
            pair = np.where((angle % 2)[..., None] == 1, pair[..., ::-1], pair)
            pair = np.where((angle >> 31)[..., None] == 1, -pair, pair)
            want = np.concatenate([pair[0], pair[1]], axis=1)
            assert np.abs(got[:, 4 * group : 4 * group + 4] - want).max() < 4e-13


def test_moments_and_tails_of_the_normals(prices):
    """Mean, spread, skewness, kurtosis and tails of half a million, within 4.5 standard errors each."""
    for got in prices:
        z, n = got.ravel(), got.size
        for power, want, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (6, 15, 10170)):
            assert (z**power).mean() == pytest.approx(want, abs=4.5 * math.sqrt(variance / n))
        for edge in (0.5, 1.0, 2.0, 3.0, 4.0, 4.5):
            chance = math.erfc(edge / math.sqrt(2)) / 2
            for tail in (z > edge, z < -edge):
                assert tail.mean() == pytest.approx(chance, abs=4.5 * math.sqrt(chance / n))
    assert abs(prices[0]).max() < 6.8


def test_normals_know_nothing_of_each_other(prices):
    """Years, streams and neighbouring paths: no correlation, nor of squares, beyond 4.5 standard errors."""
    both = np.concatenate(prices, axis=1)
    for each in (both, both**2):
        found = np.corrcoef(each.T) - np.eye(16)
        assert np.abs(found).max() < 4.5 / math.sqrt(len(both))
        shifted = [np.corrcoef(each[1:, i], each[:-1, i])[0, 1] for i in range(16)]
        assert np.abs(shifted).max() < 4.5 / math.sqrt(len(both))


@each_isa
def test_the_exponential_is_within_its_budget(isa):
    """2^-53 of x log2(e) and 0.13 of log2(e) itself times |x|, 2 of the polynomial and 3 of its sums; to 708, beyond
    which it stays."""
    spread = FREE | {"price_noise": 200.0}
    *_, rows = play(spread, nothing(5) | {"revenue": [1.0] * 5}, 2**15, 3, isa, rows=True)
    x, got = rows[:, 0, 1:].ravel(), rows[:, 3, 1:].ravel()
    kept = np.clip(x, -708.0, 708.0).astype(np.longdouble)
    assert (x > 708).any() and (x < -708).any()
    off = np.abs(got / np.exp(kept) - 1) / ((5 + 1.2 * np.abs(kept)) * 2.0**-53)
    assert off.max() < 1.0
    for start, want in ((1e5, math.exp(708)), (-1e5, math.exp(-708)), (0.0, 1.0)):
        still = CALM | {"price_start": start}
        assert play(still, nothing(1) | {"revenue": [1.0], "discount": [1.0]}, 3, 0, isa)[
            0
        ] == pytest.approx(want, rel=1e-13)


def test_sizes_of_jumps_are_within_their_budget():
    """Logarithms within 6e-14 of each of their two terms; both sides, and no jump above the chance."""
    for share in (0.0, 0.4, 1.0):
        how = FREE | {"jump_chance": 0.7, "jump_up_share": share, "jump_up": 0.5, "jump_down": 2.0}
        *_, rows = play(how, nothing(5), 2**15, 4, rows=True)
        w = (drawn(0, JUMPS, 2**15, 4).astype(np.longdouble).T + 0.5) / 2**32
        ups = np.longdouble(0.7 * share)
        up = -0.5 * np.log(w / ups) if share else 0.0 * w
        with np.errstate(divide="ignore", invalid="ignore"):
            down = 2.0 * np.log((w - ups) / (np.longdouble(0.7) - ups))
        want = np.where(w >= 0.7, 0.0, np.where(w <= ups, up, down))
        # a part of a side is a difference of two numbers: some 2^-52 of the smaller of both is lost
        lost = 2.0 * 2.0**-51 / np.maximum(w - ups, 2.0**-33) if 0 < share < 1 else 0.0
        assert (
            np.abs(rows[:, 0, 1:] - want)
            <= 2e-13 * (1 + np.abs(want)) + np.where(w > ups, lost, 0.0)
        ).all()


def test_what_is_not_drawn_changes_nothing_else():
    """Numbers of a stream are the same whether the others are asked for or not."""
    price = CALM | {"price_keep": 0.7, "price_noise": 0.4}
    alone = play(price, nothing(11), 100, 5, rows=True)[-1][:, 0]
    power = {"power_noise": 0.3, "power_keep": 0.5, "correlation": 0.4}
    for more in (
        power,
        {"jump_chance": 1e-12, "jump_down": 5.0},
        {"output_noise": 0.2, "capital_noise": 0.3},
        power | {"correlation": 1.0},
    ):
        again = play(price | more, nothing(11), 100, 5, rows=True)[-1][:, 0]
        assert again.tobytes() == alone.tobytes()
    one = play(CALM | power, nothing(11), 100, 5, rows=True)[-1][:, 1]
    two = play(
        price | power | {"jump_chance": 0.5, "jump_up": 0.1}, nothing(11), 100, 5, rows=True
    )[-1][:, 1]
    assert one.tobytes() == two.tobytes()


@each_isa
@pytest.mark.parametrize("stop,tax", [(0.0, 0.0), (1.0, 0.3)])
def test_a_nan_stays(isa, stop, tax):
    """Through the exponential, what is not run, what was taxed and the least sum, whichever number it was."""
    years, how = (
        6,
        CALM | {"price_noise": 0.3, "price_keep": 0.5, "can_stop": stop, "tax_rate": tax},
    )
    full = {name: [1.0] * years for name in _core.CASH_COLUMNS}
    for model in (
        {"price_start": math.nan},
        {"power_start": math.nan},
        {"price_noise": math.nan},
        {"output_noise": math.nan},
    ):
        worth, lowest = play(how | model, full, 5, 1, isa)
        assert np.isnan(worth).all() and np.isnan(lowest).all(), model
    for name in ("revenue", "power", "costs", "capital", "other"):
        worth, lowest = play(how, full | {name: [1.0, 1.0, math.nan, 1.0, 1.0, 1.0]}, 5, 1, isa)
        assert np.isnan(worth).all() and np.isnan(lowest).all(), name
    assert np.isfinite(play(how, full, 5, 1, isa)[0]).all()
