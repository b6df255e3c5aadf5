"""What a calibration of one's own may hold: numbers from zero on, shares above it; all else is refused by name."""

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import mining

ODD = ["x", None, [], True, np.inf, -1.0, 1j, [1.0]]
NUMBERS = ("launch_s", "step_s", "sequence_s", "idle_fraction", "compute_watts", "memory_watts")


@pytest.mark.parametrize("bad", [*ODD, np.nan], ids=repr)
def test_what_is_no_number_is_refused_by_its_field(bad):
    for name in NUMBERS:
        with pytest.raises(ValueError, match=rf"^{name} is .*; allowed: a number >= 0$"):
            tr.Calibration(**{name: bad})
    for group, allowed in (("t0", ">= 0"), ("compute", "> 0"), ("memory", "> 0")):
        with pytest.raises(
            ValueError, match=rf"^{group}\['gemm'\] is .*; allowed: a number {allowed}$"
        ):
            tr.Calibration(**{group: {"gemm": bad}})
    with pytest.raises(
        ValueError, match=r"^constants\['gemm16'\]\['t0'\] is .*; allowed: a number >= 0$"
    ):
        tr.Calibration(constants={"gemm16": {"t0": bad}})
    with pytest.raises(
        ValueError, match=r"^operator_bands\['gemm16'\] is .*; allowed: a number >= 0"
    ):
        tr.Calibration(operator_bands={"gemm16": bad})
    for rows in (bad, [bad], [(1.0, 1.0, 1.0, bad)]):
        if rows != []:
            with pytest.raises(
                ValueError, match=r"^products is .*; allowed: four numbers > 0 each"
            ):
                tr.Calibration(products=rows)


@pytest.mark.parametrize("bad", ODD, ids=repr)
def test_bands_are_numbers_or_unknown(bad):
    for name in ("error_band", "ttft_band"):
        with pytest.raises(ValueError, match=rf"^{name} is .*; allowed: a number >= 0, or NaN$"):
            tr.Calibration(**{name: bad})
        assert getattr(tr.Calibration(**{name: 0.2}), name) == 0.2
        assert np.isnan(getattr(tr.Calibration(**{name: np.nan}), name))


@pytest.mark.parametrize("bad", ["x", None, [], 1, np.nan], ids=repr)
def test_what_is_neither_true_nor_false_is_refused(bad):
    for ask, name in (
        (lambda: tr.Calibration(whole=bad), "whole"),
        (lambda: tr.sweep("H200-SXM", "Llama-3.1-8B", batch=1, context=1, fields=bad), "fields"),
        (lambda: mining.market_history(estimates=bad), "estimates"),
    ):
        with pytest.raises(TypeError, match=rf"^{name} is .*; allowed: True or False$"):
            ask()


def test_zero_is_no_overhead_and_no_share():
    assert tr.Calibration(**dict.fromkeys(NUMBERS, 0), t0={"gemm": 0}).launch_s == 0
    with pytest.raises(ValueError, match=r"compute\['gemm'\] is 0; allowed: a number > 0"):
        tr.Calibration(compute={"gemm": 0})
    assert tr.Calibration(products=[(1, 2, 3, np.float64(0.5))]).products == [(1, 2, 3, 0.5)]
