"""Waiting and switching by regression: against the reference, lattices, closed forms, exact recursions."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenroof import _core
from tokenroof import economics as ec
from tokenroof.economics.risk import price_paths
from tokenroof.economics.switching import Switching
from tokenroof.reference.economics import switching as reference


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), dates=st.integers(1, 4), dimensions=st.integers(1, 3), modes=st.integers(1, 4),
       degree=st.integers(0, 3), masked=st.booleans())  # fmt: skip
def test_the_kernel_equals_its_reference(seed, dates, dimensions, modes, degree, masked):
    rng = np.random.default_rng(seed)
    paths = 80
    states, income = (
        rng.normal(size=(dates, dimensions, paths)),
        rng.normal(size=(modes, dates, paths)),
    )
    states[0, 0] = 3.25  # of one value: its powers are left out
    costs = np.where(rng.random((modes, modes)) < 0.2, np.inf, rng.random((modes, modes)))
    np.fill_diagonal(costs, np.where(rng.random(modes) < 0.1, np.inf, 0.0))
    known, ends = rng.random(modes) < 0.5, rng.random(modes) < 0.3
    choose = rng.random((dates, paths)) < 0.7 if masked else None
    worth, taken = np.empty(paths), np.empty(dates * paths, np.uint8)
    _core.best_modes(
        states.ravel(), income.ravel(), costs.ravel(), (known + 2 * ends).astype(np.int32),
        None if choose is None else choose.astype(np.uint8).ravel(), worth, taken, dates, dimensions, degree, 0, 60,
    )  # fmt: skip
    want, modes_of = reference.best_modes(
        states.tolist(), income.tolist(), costs.tolist(), known.tolist(), ends.tolist(), 0, degree, 60,
        None if choose is None else choose.tolist(),
    )  # fmt: skip
    assert taken.reshape(dates, paths).tolist() == modes_of
    assert worth == pytest.approx(np.array(want), rel=1e-9, abs=1e-9)


def lattice(spot, strike, rate, volatility, years, dates, steps=20):
    """A put that may be exercised at so many dates: Cox, Ross and Rubinstein's tree (1979)."""
    n = dates * steps
    dt = years / n
    up = math.exp(volatility * math.sqrt(dt))
    p = (math.exp(rate * dt) - 1 / up) / (up - 1 / up)
    value = np.maximum(strike - spot * up ** (2.0 * np.arange(n + 1) - n), 0.0)
    for step in range(n - 1, -1, -1):
        value = math.exp(-rate * dt) * (p * value[1:] + (1 - p) * value[:-1])
        if step % steps == 0 and step:
            value = np.maximum(value, strike - spot * up ** (2.0 * np.arange(step + 1) - step))
    return float(value[0])


def put(spot, volatility, years, paths=40_000, dates=50, strike=40.0, rate=0.06, seed=1, **more):
    dt = years / dates
    x, *_ = price_paths(
        ec.Uncertainty(price_volatility=volatility * math.sqrt(dt)), dates, paths, seed
    )
    t = dt * np.arange(1, dates + 1)[:, None]
    price = spot * np.exp(x + (rate - 0.5 * volatility**2) * t)
    gain = np.exp(-rate * t) * np.maximum(strike - price, 0.0)
    income = np.stack([np.zeros_like(gain), gain])
    return ec.best_switching(
        (price / strike)[:, None], income, [[0.0, 0.0], [np.inf, 0.0]], known=[True, True], ends=[False, True],
        choose=gain > 0.0, **more,
    )  # fmt: skip


@pytest.mark.parametrize("spot,volatility,years,printed", [
    (36, 0.2, 1, 4.478), (36, 0.4, 1, 7.101), (40, 0.2, 2, 2.885), (44, 0.4, 1, 3.948), (44, 0.2, 1, 1.110),
])  # fmt: skip
def test_puts_of_longstaff_and_schwartz(spot, volatility, years, printed):
    """Their table 1 prints finite differences; a rule of a polynomial misses up to half a percent of it."""
    dates = int(50 * years)
    want = lattice(spot, 40.0, 0.06, volatility, years, dates)
    assert want == pytest.approx(printed, rel=0.004)  # the tree stands
    got = put(spot, volatility, years, dates=dates)
    assert got.value < want + 3.5 * got.error
    assert got.value > want * 0.995 - 3.5 * got.error


def test_a_date_alone_is_black_and_scholes():
    """Exercised at the end alone: no choice to make, and no bias."""
    spot, strike, rate, volatility = 36.0, 40.0, 0.06, 0.3
    x, *_ = price_paths(ec.Uncertainty(price_volatility=volatility), 1, 200_000, 4)
    gain = math.exp(-rate) * np.maximum(strike - spot * np.exp(x + rate - 0.5 * volatility**2), 0.0)
    got = ec.best_switching(x[:, None], np.stack([0 * gain, gain]), [[0, 0], [np.inf, 0]], known=[True] * 2,
                            ends=[False, True])  # fmt: skip
    d1 = (math.log(spot / strike) + rate + 0.5 * volatility**2) / volatility

    def normal(z):
        return 0.5 * math.erfc(-z / math.sqrt(2.0))

    want = strike * math.exp(-rate) * normal(volatility - d1) - spot * normal(-d1)
    assert got.value == pytest.approx(want, abs=4 * got.error)


def test_switching_on_a_chain_is_the_exact_recursion():
    """Three states that a square spans, two modes with costs: the rule is the exact one."""
    move = np.array([[0.6, 0.3, 0.1], [0.2, 0.6, 0.2], [0.1, 0.3, 0.6]])
    earns = np.array([[0.0, 0.0, 0.0], [-3.0, 1.0, 4.0]])
    cost, dates, paths = np.array([[0.0, 2.5], [1.5, 0.0]]), 6, 60_000
    exact = np.zeros((2, 3))
    for _ in range(dates):
        after = earns + exact @ move.T
        exact = np.max(after[None] - cost[:, :, None], axis=1)
    rng = np.random.default_rng(3)
    state = np.ones((dates, paths), int)
    for t in range(1, dates):
        state[t] = (rng.random(paths)[:, None] > np.cumsum(move, axis=1)[state[t - 1]]).sum(axis=1)
    got = ec.best_switching(state[:, None].astype(float), earns[:, state], cost, known=[True, True],
                            ends=[False, False], degree=2)  # fmt: skip
    assert got.value == pytest.approx(exact[0, 1], abs=4 * got.error)
    assert got.value > got.planned and got.waiting > 0.0
    assert got.shares.sum(axis=1) == pytest.approx(np.ones(dates))
    # what is not known when it is chosen is expected: the same rule of the same chain
    blind = ec.best_switching(state[:, None].astype(float), earns[:, state], cost, known=[False, False],
                              ends=[False, False], degree=2)  # fmt: skip
    assert blind.value == pytest.approx(got.value, rel=1e-9)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), volatility=st.floats(0.01, 1.0), spot=st.floats(20, 60))
def test_no_option_is_worth_less_than_its_exercise(seed, volatility, spot):
    got = put(spot, volatility, 1.0, paths=500, dates=6, seed=seed)
    assert got.value >= got.planned >= got.at_once and got.waiting >= 0.0
    assert got.value >= got.rule


def test_worth_rises_with_volatility_and_dates():
    values = [put(40, v, 1.0, paths=20_000, dates=10).value for v in (0.1, 0.2, 0.4)]
    assert values[0] < values[1] < values[2]


def test_more_paths_than_a_block_and_an_order_of_the_states():
    one = put(36, 0.3, 1.0, paths=9000, dates=5)
    assert isinstance(one, Switching) and one.paths == 4500
    assert one.plan[1] in (0, 1) and 0.0 < one.error < 0.2


GOOD = {"states": np.zeros((2, 1, 4)), "income": np.zeros((2, 2, 4)), "costs": np.zeros((2, 2)),
        "known": [True, True], "ends": [False, False]}  # fmt: skip


@pytest.mark.parametrize("change,said", [
    ({"states": np.zeros((2, 4))}, "states and income have the shapes"),
    ({"income": np.zeros((2, 3, 4))}, "states and income have the shapes"),
    ({"states": np.zeros((2, 7, 4))}, "1 to 6 dimensions"),
    ({"states": np.full((2, 1, 4), np.nan)}, "states"), ({"income": np.full((2, 2, 4), np.inf)}, "income"),
    ({"costs": np.zeros((2, 3))}, "costs has the shape"), ({"costs": [[np.nan, 0], [0, 0]]}, "costs has the shape"),
    ({"costs": np.full((2, 2), np.inf)}, "costs has no way"),
    ({"known": [True]}, "known is"), ({"ends": [1, 0]}, "ends is"), ({"choose": np.ones((2, 4))}, "choose has"),
    ({"choose": np.ones((1, 4), bool)}, "choose has"), ({"start": 2}, "start is 2"), ({"degree": 7}, "degree is 7"),
    ({"states": "ab"}, "states is"),
])  # fmt: skip
def test_bad_input_by_name(change, said):
    with pytest.raises((ValueError, TypeError), match=said):
        ec.best_switching(**GOOD | change)


@pytest.mark.parametrize("name", ["states", "income", "costs", "choose"])
def test_labels_and_masks_are_refused_by_name(name):
    pd, xr = pytest.importorskip("pandas"), pytest.importorskip("xarray")
    plain = GOOD | {"choose": np.ones((2, 4), bool)}
    for value in (
        xr.DataArray(plain[name]),
        np.ma.masked_array(plain[name], True),
        pd.Series([1.0, 2.0]),
    ):
        with pytest.raises(TypeError, match=f"{name} (is|has)"):
            ec.best_switching(**plain | {name: value})


@pytest.mark.parametrize("change,said", [
    ({"dimensions": 0}, "out of range"), ({"degree": 9}, "out of range"), ({"start": 5}, "start or fit"),
    ({"fit": 9}, "start or fit"), ({"states": np.empty(3)}, "states is not"), ({"flags": np.zeros(2)}, "flags is not"),
    ({"choose": np.zeros(3, np.uint8)}, "choose is not"), ({"taken": np.zeros(3, np.uint8)}, "taken is not"),
])  # fmt: skip
def test_the_kernel_refuses_other_buffers(change, said):
    call = {"states": np.zeros(8), "income": np.zeros(16), "costs": np.zeros(4), "flags": np.zeros(2, np.int32),
            "choose": None, "worth": np.empty(4), "taken": np.empty(8, np.uint8), "dates": 2, "dimensions": 1,
            "degree": 1, "start": 0, "fit": 2} | change  # fmt: skip
    with pytest.raises(ValueError, match=said):
        _core.best_modes(**call)
