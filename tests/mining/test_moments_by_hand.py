"""Errors of moments, sizes of jumps and cycles of a core, by hand."""

import math

import numpy as np
import pytest

from tokenroof import _core
from tokenroof.mining.hash_roofline import core_cycles
from tokenroof.mining.pool_simulation import _moments
from tokenroof.mining.ruin import _lognormal


def test_mean_and_variance_with_their_errors():
    """Of 0, 0, 0, 4: mean 1, variance 12/3; fourth moment 21, (21 - 16/3) / 4 under the root."""
    found = _moments(np.array([0.0, 0.0, 0.0, 4.0]))
    assert found == pytest.approx((1.0, 1.0, 4.0, math.sqrt((21.0 - 16.0 / 3.0) / 4.0)))


@pytest.mark.parametrize(("mean", "spread"), [(0.0, 0.7), (2.0, 0.0), (0.0, 0.0)])
def test_jumps_of_one_size_are_one(mean, spread):
    sizes, weights = _lognormal(5.0, mean, spread)
    assert sizes.tolist() == [5.0 + mean] and weights.tolist() == [1.0]


def test_jumps_of_a_lognormal_keep_its_moments():
    sizes, weights = _lognormal(5.0, 2.0, 0.7)
    assert weights.sum() == pytest.approx(1.0)
    assert weights @ sizes == pytest.approx(7.0)
    assert weights @ (sizes - 7.0) ** 2 == pytest.approx((2.0 * 0.7) ** 2)


def test_wide_words_take_several_slots(monkeypatch):
    """256 bits on slots of 128 are two; on slots of 512 they are one all the same."""
    counts = {"rotate@256": 10, "add@256": 30, "rotate@32": 4, "lanes": 8, "instructions": 48}
    monkeypatch.setitem(_core.HASH_OPERATIONS, "by hand_plain", counts)
    pipes = {"vector": 3, "shift": 1, "sha": 0, "scalar": 4, "scalar_shift": 2, "issue": 4}
    core = {"name": "a core", "pipes": pipes, "shared": False}
    want = {
        "vector": 40 * 2 / 3,
        "shift": 10 * 2,
        "scalar": 1.0,
        "scalar_shift": 2.0,
        "issue": 12.0,
    }
    found = core_cycles(core, "by hand", "plain")
    assert found == pytest.approx({name: cycles / 8 for name, cycles in want.items()})
    wide = core_cycles(core | {"slot_bits": 512}, "by hand", "plain")
    assert (wide["vector"], wide["shift"]) == pytest.approx((40 / 3 / 8, 10 / 8))
