"""Versions rolled in any mask, against bits moved one by one; exact targets; the choice of the fastest."""

import random
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from _headers import EVERY, HEADER, VERSION, hash_value
from tokenroof import _core, mining
from tokenroof.mining.fastest import best_rates

MASKS = {
    "BIP 320": 0x1FFFE000, "BIP 323": 0x1FFFFFE0, "BIP 310's example": 0x18000000, "two bits": 0x00003000,
    "ends": 0x80000001, "scattered": 0x10204080, "every bit": 0xFFFFFFFF, "top": 0xF0000000, "none": 0,
}  # fmt: skip


def counted(version, step, mask):
    """The bits of the mask as one number, from the header's on."""
    places = [i for i in range(32) if mask >> i & 1]
    number = sum((version >> place & 1) << k for k, place in enumerate(places))
    number = (number + step) % (1 << len(places))
    for k, place in enumerate(places):
        version = version & ~(1 << place) | (number >> k & 1) << place
    return version


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("backend", _core.HASH_BACKENDS)
@pytest.mark.parametrize("version", [VERSION, 0x20000000, 0xFFFFFFFF])
def test_versions_stay_in_the_mask(mask, backend, version):
    header = version.to_bytes(4, "little") + HEADER[4:]
    versions = min(1 << mask.bit_count(), 2 * _core.HASH_BACKENDS[backend][1] + 3)
    found = mining.scan(header, 5, 2, EVERY, versions, backend=backend, version_mask=mask)
    want = [(5 + i, counted(version, step, mask)) for step in range(versions) for i in range(2)]
    assert found.hits == want
    assert len({v for _, v in found.hits}) == versions
    assert all((v ^ version) & ~mask & 0xFFFFFFFF == 0 for _, v in found.hits)


@pytest.mark.parametrize("backend", _core.HASH_BACKENDS)
def test_hits_of_any_mask_are_hashes_that_meet_the_target(backend):
    mask, target, versions = 0x1A0501E0, 2**250, 200
    got = mining.scan(HEADER, 0, 20, target, versions, backend=backend, version_mask=mask)
    rolled = [counted(VERSION, step, mask) for step in range(versions)]
    assert got.hits == [(n, v) for v in rolled for n in range(20) if hash_value(n, v) <= target]
    assert got.hits


def test_a_mask_of_the_whole_bip_323_has_all_its_versions():
    found = mining.scan(HEADER, 0, 1, 2**236, 2**24, version_mask="1fffffe0")
    assert found.hashes == 2**24 and found.hits
    assert all(
        hash_value(0, v) <= 2**236 and (v ^ VERSION) & ~0x1FFFFFE0 == 0 for _, v in found.hits
    )


def test_nonces_roll_on_within_the_mask():
    """Beyond the last nonce comes the next version of the mask."""
    got = mining.scan(HEADER, 2**32 - 2, 4, EVERY, versions=2, version_mask=0x80000001)
    after = counted(VERSION, 1, 0x80000001)
    assert got.hits == [(2**32 - 2, VERSION), (2**32 - 1, VERSION), (0, after), (1, after)]


@pytest.mark.parametrize(
    "given,error,named",
    [({"versions": 5, "version_mask": 0x18000000}, ValueError, "versions is 5; allowed: 1 to 4 in the bits of .*0x18000000"),
     ({"versions": 2, "version_mask": 0}, ValueError, "versions is 2; allowed: 1 to 1"),
     ({"versions": 2**16 + 1}, ValueError, "versions is 65537; allowed: 1 to 65536"),
     ({"versions": 2**24 + 1, "version_mask": 0xFFFFFFFF}, ValueError, "allowed: 1 to 16777216"),
     ({"version_mask": -1}, ValueError, "version_mask is -1; allowed"),
     ({"version_mask": 2**32}, ValueError, "version_mask is 4294967296; allowed"),
     ({"version_mask": "1fffe00"}, ValueError, "version_mask is '1fffe00'; allowed: eight"),
     ({"version_mask": "1fffe00g"}, ValueError, "version_mask is '1fffe00g'; allowed: eight"),
     ({"version_mask": True}, TypeError, "version_mask is True; allowed"),
     ({"version_mask": 1.0}, TypeError, "version_mask is 1.0; allowed"),
     ({"version_mask": None}, TypeError, "version_mask is None; allowed"),
     ({"version_mask": np.timedelta64(8, "s")}, TypeError, "version_mask is .*timedelta64.*; allowed")],
)  # fmt: skip
def test_masks_that_are_none(given, error, named):
    with pytest.raises(error, match=named):
        mining.scan(HEADER, count=1, target=EVERY, **given)


ONE = 0xFFFF << 208


@pytest.mark.parametrize(
    "difficulty,target",
    [(1, ONE), (2, ONE // 2), (Fraction(1, 3), 3 * ONE), (Fraction(7, 3), 3 * ONE // 7), (0.5, 2 * ONE),
     (Decimal("0.001"), 1000 * ONE), (0.1, int(ONE / Fraction(0.1))), (np.float32(0.25), 4 * ONE), (2**40, ONE >> 40),
     (np.int16(512), ONE // 512), (Decimal("16307.420938523983"), int(ONE / Fraction("16307.420938523983"))),
     (ONE, 1), (Fraction(ONE, 2**256 - 1), 2**256 - 1)],
)  # fmt: skip
def test_targets_of_difficulties_are_exact(difficulty, target):
    assert mining.target_from_difficulty(difficulty) == target


@pytest.mark.parametrize(
    "difficulty,error",
    [(0, ValueError), (-1, ValueError), (float("nan"), ValueError), (float("inf"), ValueError), (ONE + 1, ValueError),
     (Fraction(ONE, 2**256), ValueError), (Decimal("NaN"), ValueError), (10**400, ValueError), (Fraction(10**5000), ValueError),
     (True, TypeError), ("1", TypeError), (None, TypeError), (1j, TypeError), (np.timedelta64(1), TypeError)],
)  # fmt: skip
def test_difficulties_that_are_none(difficulty, error):
    with pytest.raises(error, match="difficulty is .*; allowed"):
        mining.target_from_difficulty(difficulty)


def test_difficulty_of_a_hash():
    genesis = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"
    want = float(Fraction(ONE, int(genesis, 16)))
    forms = [genesis, "0x" + genesis.upper(), bytes.fromhex(genesis)[::-1], int(genesis, 16)]
    assert [mining.difficulty_of(form) for form in forms] == [want] * 4
    assert mining.difficulty_of(ONE) == 1.0 and mining.difficulty_of(bytes(32)) == float("inf")
    assert mining.difficulty_of(hash_value(7)) < 1.0
    for bad, error in (("00", ValueError), (b"x", ValueError), (-1, ValueError), (2**256, ValueError),
                       ("g" * 64, ValueError), (True, TypeError), (None, TypeError), (1.5, TypeError)):  # fmt: skip
        with pytest.raises(error, match="digest .*; allowed"):
            mining.difficulty_of(bad)


def test_a_target_and_its_difficulty_are_one():
    for bits in ("1b0404cb", "1d00ffff", "17034219"):
        target = mining.target_from_bits(bits)
        assert mining.target_from_difficulty(Fraction(ONE, target)) == target
        assert mining.difficulty_of(target) == mining.difficulty(bits)


@pytest.mark.parametrize("seed", range(20))
def test_the_fastest_is_found_on_a_busy_machine(seed):
    """Bursts that make runs up to three times as long, and take three quarters of the time."""
    chance = random.Random(seed)
    rates = {"a": 22.1e6, "b": 21.5e6, "c": 15.9e6, "slow": 1e6}
    clock, burst = [0.0], [0.0]

    def run(name):
        work = 8192 if name != "slow" else 512
        while clock[0] > burst[0]:  # the next burst after a pause
            burst[0] = clock[0] + chance.expovariate(1 / 0.002)
            if chance.random() < 0.25:
                clock[0] += 1e-5
                return timed(work / rates[name], work)
        return timed(work / rates[name] * chance.uniform(1.2, 3.0), work)

    def timed(seconds, work):
        clock[0] += seconds
        return work, seconds

    found = best_rates({name: lambda name=name: run(name) for name in rates})
    assert max(found, key=found.get) in ("a", "b")
    assert found["c"] < 1.3 * rates["c"]


def test_turns_are_interleaved_and_end():
    calls = []

    def run(name, seconds):
        calls.append(name)
        return 10, next(seconds)

    def steady():
        while True:
            yield 0.001

    assert best_rates({"a": lambda: run("a", steady()), "b": lambda: run("b", steady())}) == {
        "a": 10 / 0.001, "b": 10 / 0.001,
    }  # fmt: skip
    assert calls[:8] == ["a", "b", "b", "a", "a", "b", "b", "a"] and len(calls) == 12
    calls.clear()
    falling = iter(0.01 * 0.9**k for k in range(1000))
    best_rates({"a": lambda: run("a", falling)})
    assert 12 <= len(calls) <= 60
    assert best_rates({"none": lambda: (0, 0.0)}) == {"none": 0.0}
