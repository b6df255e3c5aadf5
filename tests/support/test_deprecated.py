"""A name that goes works on, and its warning stands at the line that has to change."""

import warnings
from pathlib import Path

import pytest

from tokenroof.support.deprecated import deprecated, renamed, warn_of


@deprecated("tr.decode", ends="0.3")
def step(device, *, batch=1):
    """Its own words."""
    return device, batch


@renamed("0.3", watts="power_w", price="price_per_mwh")
def cost(power_w, price_per_mwh=1.0):
    return power_w * price_per_mwh


def option(name):
    warn_of(f"--{name}", "--batch", "0.4")


@pytest.mark.parametrize(
    ("call", "said", "result"),
    [(lambda: step("H200-SXM", batch=2), "step() ends with tokenroof 0.3; use tr.decode", ("H200-SXM", 2)),
     (lambda: cost(watts=2.0), "watts of cost() ends with tokenroof 0.3; use power_w", 2.0),
     (lambda: cost(2.0, price=3.0), "price of cost() ends with tokenroof 0.3; use price_per_mwh", 6.0),
     (lambda: option("users"), "--users ends with tokenroof 0.4; use --batch", None)],
)  # fmt: skip
def test_it_works_and_says_what_to_write(call, said, result):
    with pytest.warns(DeprecationWarning, match="ends with tokenroof") as heard:
        assert call() == result
    (only,) = heard
    assert str(only.message) == said
    line = Path(__file__).read_text().splitlines()[only.lineno - 1]
    assert only.filename == __file__ and "(lambda: " in line


def test_what_stays_says_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cost(2.0, price_per_mwh=3.0) == 6.0
    assert step.__doc__ == "Its own words." and cost.__name__ == "cost"


def test_both_names_at_once_are_refused():
    with pytest.raises(TypeError, match="watts is power_w by its old name; allowed: power_w alone"):
        cost(power_w=1.0, watts=2.0)
    with (
        pytest.raises(TypeError, match="multiple values for argument 'power_w'"),
        pytest.warns(DeprecationWarning, match="power_w"),
    ):
        cost(1.0, watts=2.0)


def test_the_rule_names_the_mechanism():
    rule = (Path(__file__).parents[2] / "docs/project/deprecation.md").read_text()
    for name in ("tokenroof.support.deprecated", "deprecated", "renamed", "warn_of"):
        assert name in rule
