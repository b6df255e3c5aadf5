"""Counts, rates and chances that there cannot be: NaN with the invalid flag and no other, whatever the others are."""

import numpy as np
import pytest

from _support import BY_ISA, each_isa
from tokenroof import reference

NEGATIVE = (-1e-3, -1.0, -4.0, -1e25, -np.inf)
CHANCE = (*NEGATIVE, 1.001, 2.0, 1e30, np.inf)
# kernel -> what it takes, and of each argument what there cannot be
BAD = {
    "experts_touched": ((64.0, 256.0, 8.0), (NEGATIVE, (*NEGATIVE, 0.0, 7.99), (*NEGATIVE, 257.0, np.inf))),
    "time_to_block": ((100e12, 1e14), (NEGATIVE, NEGATIVE)),
    "block_probability": ((1e18, 1e14, 86400.0), (NEGATIVE, NEGATIVE[:-1], NEGATIVE)),
    "capital_recovery": ((0.08, 15.0), (NEGATIVE, NEGATIVE)),
    "expected_tokens": ((0.8, 5.0), (CHANCE, NEGATIVE)),
    "speculative_speedup": ((0.8, 5.0, 0.05), (CHANCE, NEGATIVE, ())),
    "speculative_operations": ((0.8, 5.0, 0.05), (CHANCE, NEGATIVE, ())),
    "best_draft_length": ((0.8, 0.05, 64.0), (CHANCE, NEGATIVE, NEGATIVE)),
    "cache_reached": ((10.0, 20.0), (NEGATIVE, NEGATIVE)),
    "cache_held": ((0.1, 5000.0, 2000.0, 10.0, 20.0), (NEGATIVE,) * 5),
}  # fmt: skip
# what there can be at the ends, where the bad ones begin
ENDS = {
    "experts_touched": [(0.0, 256.0, 8.0), (64.0, 256.0, 0.0), (64.0, 8.0, 8.0)],
    "time_to_block": [(1e14, 0.0), (np.inf, 1e14)],
    "block_probability": [(0.0, 1e14, 1.0), (1e14, 1e14, 0.0)],
    "capital_recovery": [(0.0, 15.0), (0.08, np.inf), (1.0, 1.0)],
    "expected_tokens": [(0.0, 5.0), (1.0, 5.0), (0.8, 0.0)],
    "speculative_speedup": [(0.0, 5.0, 0.0), (1.0, 5.0, 0.05), (0.8, 0.0, 0.05)],
    "speculative_operations": [(0.0, 5.0, 0.0), (1.0, 5.0, 0.05), (0.8, 0.0, 0.05)],
    "best_draft_length": [(0.0, 0.05, 64.0), (1.0, 0.05, 64.0), (0.8, 0.0, 64.0), (0.8, 0.05, 0.0)],
    "cache_reached": [(0.0, 20.0), (10.0, 0.0)],
    "cache_held": [(0.0, 1.0, 1.0, 1.0, 1.0), (1.0, 0.0, 0.0, 0.0, 0.0)],
}


@each_isa
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", BAD)
def test_what_there_cannot_be_is_an_invalid_operation(isa, name, dtype):
    kernel, twin = BY_ISA[isa][name], getattr(reference, name)
    good, of_each = BAD[name]
    for at, numbers in enumerate(of_each):
        for bad in numbers:
            whole = [bad if i == at else x for i, x in enumerate(good)]
            assert np.isnan(twin(*whole)), whole
            # one, a block with a rest, and blocks: amidst good ones, and alone
            for n in (1, 9, 600):
                given = [np.full(n, x, dtype) for x in good]
                given[at][n // 2] = bad
                for arguments in (given, [dtype(x) for x in whole]):
                    with (
                        pytest.raises(FloatingPointError, match="invalid"),
                        np.errstate(all="raise"),
                    ):
                        kernel(*arguments)
                with np.errstate(invalid="ignore", divide="raise", over="raise", under="raise"):
                    assert np.flatnonzero(np.isnan(kernel(*given))).tolist() == [n // 2], (whole, n)


@each_isa
@pytest.mark.parametrize("name", BAD)
def test_two_that_cannot_be_are_not_one_that_can(isa, name):
    good, of_each = BAD[name]
    worst = [
        numbers[1] if len(numbers) > 1 else x for x, numbers in zip(good, of_each, strict=True)
    ]
    with pytest.raises(FloatingPointError, match="invalid"), np.errstate(all="raise"):
        BY_ISA[isa][name](*worst)
    assert np.isnan(getattr(reference, name)(*worst))


@each_isa
@pytest.mark.parametrize("name", BAD)
def test_the_ends_are_numbers_without_a_flag(isa, name):
    kernel, twin = BY_ISA[isa][name], getattr(reference, name)
    for given in [BAD[name][0], *ENDS[name]]:
        with np.errstate(all="raise"):
            got = kernel(*(np.full(9, x) for x in given))
        assert got == pytest.approx([twin(*given)] * 9, rel=1e-13, abs=0.0), given
