"""Points that random draws miss: a digest beside its target, a consumer card's integer units."""

import importlib

import pytest

from _headers import HEADER, hash_value
from tokenroof import _core, mining
from tokenroof.mining.hash_roofline import cuda_cycles

NONCES = range(12)


@pytest.mark.parametrize("backend", list(_core.HASH_BACKENDS))
def test_the_lowest_byte_of_a_target_decides(backend):
    """A hash that equals the target is a hit; one above it by its last byte, or by any other, is none."""
    for nonce in NONCES:
        value = hash_value(nonce)
        for byte in range(32):
            step = 256**byte
            above, below = value + step, value - step
            hit = mining.scan(HEADER, nonce, 1, value, backend=backend, threads=1).hits
            assert [n for n, _ in hit] == [nonce]
            if above < 2**256:
                assert mining.scan(HEADER, nonce, 1, above, backend=backend, threads=1).hits == hit
            if below >= 0:
                assert mining.scan(HEADER, nonce, 1, below, backend=backend, threads=1).hits == []


# Instructions of the kernels as compiled: shifts, logic and additions by integer lanes, sums by multiply-adds elsewhere.
@pytest.mark.parametrize("capability,lanes", [((8, 0), 64), ((8, 9), 64), ((9, 0), 64), ((10, 0), 64), ((12, 0), 128),
                                              ((12, 1), 128)])  # fmt: skip
@pytest.mark.parametrize("mode", ["nonce", "roll"])
def test_cycles_by_integer_lanes_of_a_capability(capability, lanes, mode):
    used = cuda_cycles(capability, mode)
    plain = {"nonce": (1175 + 634 + 458, 184), "roll": (949 + 560 + 371, 236)}[mode]
    mad = {"nonce": (1178 + 640, 1053), "roll": (949 + 561 + 19, 915)}[mode]
    # 64 integer lanes bind additions on them; with 128, four schedulers of 32 do, and sums by additions issue less
    integer, other = mad if lanes == 64 else plain
    assert used["integer"] == pytest.approx(integer / lanes)
    assert used["multiply_add"] == pytest.approx(other / lanes)
    assert used["issue"] == pytest.approx((integer + other) / 128)


def test_growths_that_no_float_holds_are_infinite_not_errors():
    from tokenroof.mining.payback import _exp

    assert _exp(700.0) == pytest.approx(1.0142320547350045e304) and _exp(0.0) == 1.0
    assert _exp(700.1) == _exp(1400.0) == _exp(1e9) == float("inf")


def test_a_year_of_the_network():
    """1 GW for 365.25 days is 8.766 TWh."""
    found = mining.network_power(["2024-05"], hashrate=6e20, hashprice=50.0)
    for watts, twh in zip(
        (found.lower_w, found.best_guess_w, found.upper_w), found.annual_twh, strict=True
    ):
        assert twh == pytest.approx(watts * 8766.0 / 1e12)


def test_processor_time_of_a_scan_is_that_of_its_hashes():
    found = mining.scan(HEADER, 0, 64, 1, threads=1)
    assert 0.0 <= found.cpu_seconds < 0.5 and found.hashes == 64 and found.seconds > 0.0


def test_a_path_of_too_many_retargets_is_refused(monkeypatch):
    """Blocks of nanoseconds would walk for ever."""
    fleet = [mining.Tranche("Antminer S21", 1e6, 0.05)]
    module = importlib.import_module("tokenroof.mining.difficulty_path")
    monkeypatch.setattr(module, "_MOST_RETARGETS", 50)
    quick = mining.Chain(block_seconds=1e-3, retarget_blocks=10)
    with pytest.raises(
        ValueError,
        match=r"step_seconds is 86400, with more than 50 retargets of 10 blocks every 0.001 s",
    ):
        mining.difficulty_path(fleet, [6e4] * 5, chain=quick)
    slow = mining.Chain(block_seconds=10.0, retarget_blocks=1000)
    assert len(mining.difficulty_path(fleet, [6e4] * 3, chain=slow).retargets) <= 50
