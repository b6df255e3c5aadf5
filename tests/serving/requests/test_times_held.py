"""Times of a load beyond what a run's clock of 64 bits holds are refused, not wrapped round."""

import pytest

from tokenroof import serving

HELD = 2.0**61 * 1e-9  # seconds


@pytest.mark.parametrize(
    ("call", "named"),
    [(lambda s: serving.users(2, 5, ramp_s=s * 2.0), "ramp_s"), (lambda s: serving.users(2, 5, think_s=s), "think_s"),
     (lambda s: serving.users(1, 2, ramp_s=0.0, think_s=s), "think_s")],
)  # fmt: skip
def test_a_time_is_held_or_refused(call, named):
    held = call(HELD)
    assert held.arrival_ns.min() >= 0 and held.think_ns.min() >= 0
    assert max(held.arrival_ns.max(), held.think_ns.max()) in (2**61, 2**60)
    with pytest.raises(ValueError, match=rf"{named} gives a time of .* s; allowed: up to 2\.3058"):
        call(HELD * 1.001)


def test_sessions_begin_while_the_clock_lasts():
    with pytest.raises(ValueError, match="rate gives a time of"):
        serving.sessions(1e-12, 3, turns=2, seed=0)


def test_a_distribution_is_held_to_its_numbers():
    for given, named in (({"low": 0}, "low is 0"), ({"high": float("nan")}, "high is nan"), ({"low": 9, "high": 8}, "high is 8"),
                         ({"mu": float("inf")}, "mu is inf"), ({"sigma": -1.0}, "sigma is -1.0")):  # fmt: skip
        with pytest.raises(ValueError, match=named + "; allowed"):
            serving.Lengths("lognormal", **given)
    assert serving.Lengths("uniform", 8, 8).mean == 8.0
