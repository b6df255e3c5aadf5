"""Loads at the ends: none that came, none that was given, lengths of no end."""

import warnings

import numpy as np
import pytest

from tokenroof.cli import main
from tokenroof.serving import Lengths, poisson, simulate

WHERE = ("H100-SXM", "Llama-3.1-8B")


def test_a_run_that_ends_before_the_first_request(capsys):
    load = poisson(10.0, requests=5, input_tokens=10, output_tokens=2, seed=1)
    run = simulate(*WHERE, None, load, horizon_s=1e-9)
    assert run.verdict.state == "unknown" and run.summary()["answered"] == 0
    assert main(["simulate", *WHERE, "--rate", "10", "--requests", "5", "--horizon", "1e-9"]) == 2
    said = capsys.readouterr()
    assert said.out == "" and "--horizon is 1e-09, before which no request came" in said.err
    first = float(said.err.partition("more than ")[2].partition(",")[0])
    words = ["simulate", *WHERE, "--rate", "10", "--requests", "5", "--horizon"]
    assert main([*words, f"{0.999 * first}"]) == 2
    assert main([*words, f"{first + 60.0}"]) == 0


def test_what_is_no_load_is_said():
    with pytest.raises(TypeError, match="requests are NoneType; allowed: a mapping"):
        simulate(*WHERE, None, None)
    with pytest.raises(TypeError, match="requests are int; allowed: a mapping"):
        simulate(*WHERE, None, 5)


def test_a_spread_without_end():
    """Far beyond what can be squared: the logarithm's variance is that of the ratio's square."""
    for cv in (1e99, 1e101, 1e155, 1e300):
        lengths = Lengths.lognormal(1000, cv)
        assert lengths.sigma**2 == pytest.approx(2.0 * np.log(10.0) * np.log10(cv), rel=1e-12)
        assert lengths.mu == pytest.approx(np.log(1000) - lengths.sigma**2 / 2, rel=1e-12)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert 1.0 <= lengths.mean <= lengths.high
