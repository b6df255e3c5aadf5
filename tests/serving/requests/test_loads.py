"""Loads that are drawn: their laws, what they share, and that a seed means the same bytes."""

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tokenroof.serving import requests as loads
from tokenroof.serving.requests import (
    Lengths,
    Requests,
    as_requests,
    daily,
    gamma,
    modulated,
    poisson,
    sessions,
    users,
)  # fmt: skip

MANY = 100_000
LOADS = {
    "poisson": lambda **more: poisson(5.0, **more),
    "gamma": lambda **more: gamma(5.0, 0.5, **more),
    "modulated": lambda **more: modulated([1.0, 20.0, 0.0], [10.0, 2.0, 3.0], **more),
    "daily": lambda **more: daily([1.0, 9.0, 4.0], day_s=60.0, **more),
}
DRAWN = Lengths.lognormal(500.0, 1.2), Lengths.uniform(1, 9)
SHARED = {"shared_tokens": 100, "shared_kinds": 3}


def _same(a: Requests, b: Requests) -> bool:
    pairs = [(getattr(a, name), getattr(b, name)) for name in Requests.__slots__]
    return all(np.array_equal(x, y) for x, y in pairs)


def _again(load: Requests) -> Requests:
    """Through the door that a caller's own requests come in by."""
    given_ = {
        "arrival_ns": load.arrival_ns, "input_tokens": load.input_tokens, "output_tokens": load.output_tokens,
        "declared_tokens": load.declared_tokens, "after": load.after, "think_ns": load.think_ns,
    }  # fmt: skip
    if len(load.also_after_offsets):
        given_["also_after"] = np.split(load.also_after, load.also_after_offsets[1:-1])
    if len(load.prompt_offsets):
        given_["prompt"] = np.split(load.prompt, load.prompt_offsets[1:-1])
        given_["output_id"] = load.output_id
    return as_requests(given_)


EVERY = [lambda s, f=f: f(requests=300, seed=s, input_tokens=DRAWN[0]) for f in LOADS.values()] + [
    lambda s: users(7, 300, 1.5, "exponential", 2.0, seed=s, output_tokens=DRAWN[1]),
    lambda s: sessions(2.0, 40, DRAWN[1], seed=s, **SHARED),
    lambda s: sessions(2.0, 40, DRAWN[1], seed=s, agents=3, agent_share=0.4, **SHARED),
]


@pytest.mark.parametrize("draw", EVERY)
def test_same_seed_same_bytes_and_all_pass_the_door(draw):
    assert _same(draw(3), draw(3))
    assert not _same(draw(3), draw(4))
    assert _same(_again(draw(3)), draw(3))


@pytest.mark.parametrize("name", LOADS)
def test_more_requests_begin_with_the_fewer(name):
    long, short = LOADS[name](requests=3000), LOADS[name](requests=200)
    assert np.array_equal(long.arrival_ns[:200], short.arrival_ns)
    until = LOADS[name](seconds=float(long.arrival_s[1499:1501].mean()))
    assert np.array_equal(until.arrival_ns, long.arrival_ns[:1500])
    assert len(LOADS[name](seconds=1e9, requests=50)) == 50


def test_changing_the_lengths_leaves_the_arrivals():
    a, b = poisson(1.0), poisson(1.0, input_tokens=DRAWN[0])
    assert np.array_equal(a.arrival_ns, b.arrival_ns)
    assert np.array_equal(a.output_tokens, b.output_tokens)


# --- laws: a wrong one is told apart at this many; p below 1e-6 would be a chance in a million ----------


def test_gaps_of_poisson_are_exponential():
    gaps = np.diff(poisson(5.0, requests=MANY).arrival_s)
    assert stats.kstest(gaps, stats.expon(scale=1 / 5.0).cdf).pvalue > 1e-6


@pytest.mark.parametrize("burstiness", [0.25, 1.0, 4.0])
def test_gaps_of_gamma(burstiness):
    gaps = np.diff(gamma(5.0, burstiness, requests=MANY).arrival_s)
    law = stats.gamma(burstiness, scale=1 / (5.0 * burstiness))
    assert law.mean() == pytest.approx(1 / 5.0)
    # times are whole nanoseconds, below which is a share of (1e-9 rate burstiness)^burstiness of a burst's gaps
    assert stats.kstest(gaps, law.cdf).statistic < 0.02


def test_modulated_has_the_mean_rate_and_the_counts_of_its_states():
    load = modulated([2.0, 10.0], [3.0, 1.0], seconds=50_000.0)
    # shares of time 3/4 and 1/4
    assert len(load) / 50_000.0 == pytest.approx(0.75 * 2 + 0.25 * 10, rel=0.02)
    # variance of counts over a long time t [Fischer, Meier-Hellstern 1993]: mean t plus
    # 2 s1 s2 (l1 - l2)^2 / (s1 + s2)^3 t, with rates of leaving s1 = 1/3, s2 = 1
    counts = np.histogram(load.arrival_s, np.arange(0, 50_000.0 + 1, 100.0))[0]
    want = 400.0 + 2 * (1 / 3) * 1 * 64 / (4 / 3) ** 3 * 100.0
    assert counts.var() == pytest.approx(want, rel=0.25)
    assert poisson_variance(counts) > 2.0


def poisson_variance(counts):
    return counts.var() / counts.mean()


def test_a_state_without_arrivals_has_none():
    load = modulated([0.0, 100.0], [10.0, 1.0], requests=5000)
    gaps = np.diff(load.arrival_s)
    assert (gaps > 1.0).sum() > 10 and np.median(gaps) < 0.05


def test_a_day_has_its_curve():
    load = daily([1.0, 9.0], day_s=100.0, seconds=20_000.0)
    hours = load.arrival_s % 100.0

    # straight from 1 to 9 and back: rate 1 + 16 x of x in halves of the day
    def law(t):
        up = t + 0.08 * t**2
        down = 500 - (100 - t) - 0.08 * (100 - t) ** 2
        return np.where(t < 50, up, down) / 500

    assert stats.kstest(hours, law).pvalue > 1e-6
    assert len(load) / 20_000.0 == pytest.approx(5.0, rel=0.02)


# --- lengths -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "law",
    [
        Lengths.fixed(7), Lengths.uniform(3, 40), Lengths.lognormal(1000.0, 1.0),
        Lengths.lognormal(300.0, 2.0, low=10, high=2000), Lengths.empirical([5, 1, 9, 9], [1, 0.5, 2, 0]),
    ],
)  # fmt: skip
def test_moments_are_those_of_what_is_drawn(law):
    drawn = law.draw(np.random.default_rng(1), 1_000_000)
    assert drawn.dtype == np.int64 and drawn.min() >= law.low and drawn.max() <= law.high
    assert drawn.mean() == pytest.approx(law.mean, rel=5e-3)
    assert drawn.var() == pytest.approx(law.variance, rel=0.05, abs=1e-12)
    assert law.quantiles().mean() == pytest.approx(law.mean, rel=2e-3)


def test_lognormal_by_its_mean_and_spread():
    law = Lengths.lognormal(1000.0, 0.5)
    assert law.mean == pytest.approx(1000.0, rel=1e-3)
    assert law.variance**0.5 == pytest.approx(500.0, rel=1e-2)


def test_empirical_draws_each_by_its_weight():
    drawn = Lengths.empirical([5, 1, 9], [1, 2, 1]).draw(np.random.default_rng(1), MANY)
    shares = [np.mean(drawn == v) for v in (1, 5, 9)]
    assert shares == pytest.approx([0.5, 0.25, 0.25], abs=0.01)


def test_pairs_of_a_trace_stay_pairs():
    trace = as_requests({"arrival": [0, 1], "input_tokens": [10, 20], "output_tokens": [1, 2]})
    load = poisson(1.0, requests=500, lengths=trace)
    assert set(load.input_tokens) == {10, 20}
    assert (load.input_tokens == 10 * load.output_tokens).all()


def test_what_clients_ask_for_is_at_least_what_comes():
    load = poisson(1.0, output_tokens=Lengths.uniform(1, 100), declared_tokens=50)
    assert (load.declared_tokens == np.maximum(load.output_tokens, 50)).all()


# --- users and sessions --------------------------------------------------------------------------------


def test_users_take_turns():
    load = users(3, 8, think_s=2.0, ramp_s=3.0)
    assert load.after.tolist() == [-1, -1, -1, 0, 1, 2, 3, 4]
    assert load.arrival_s.tolist() == [0, 1, 2, 0, 0, 0, 0, 0]
    assert load.think_ns.tolist() == [0] * 3 + [2 * 10**9] * 5


def test_a_turn_carries_what_was_said():
    load = sessions(1.0, 2, 3, input_tokens=10, output_tokens=4, shared_tokens=100)
    assert load.input_tokens.tolist() == [110, 124, 138] * 2
    assert load.after.tolist() == [-1, 0, 1, -1, 3, 4]
    assert load.prompt_offsets.tolist() == [0, 2, 4, 6, 8, 10, 12]
    own, other = load.prompt[1, 0], load.prompt[7, 0]
    assert load.prompt[:6].tolist() == [
        [0, 100],
        [own, 10],
        [0, 100],
        [own, 24],
        [0, 100],
        [own, 38],
    ]
    # the answer's ids are where the next turn's prompt has them
    assert load.output_id.tolist() == [
        own + 10,
        own + 24,
        own + 38,
        other + 10,
        other + 24,
        other + 38,
    ]
    assert other >= own + 42


def test_agents_start_after_their_turn_and_the_next_turn_after_all_of_them():
    load = sessions(
        1.0, 1, 2, input_tokens=10, output_tokens=4, agents=3, think="fixed", think_s=5.0
    )
    # turn, its three agents, the next turn, its three
    assert load.after.tolist() == [-1, 0, 0, 0, 1, 4, 4, 4]
    assert load.also_after.tolist() == [2, 3]
    assert load.also_after_offsets.tolist() == [0, 0, 0, 0, 0, 2, 2, 2, 2]
    assert load.think_ns.tolist() == [0, 0, 0, 0, 5 * 10**9, 0, 0, 0]
    # an agent reads question and answer of its turn, and its own task
    assert load.input_tokens.tolist() == [10, 24, 24, 24, 24, 38, 38, 38]


def _ids(load: Requests, i: int) -> np.ndarray:
    runs = load.prompt[load.prompt_offsets[i] : load.prompt_offsets[i + 1]]
    return np.concatenate([np.arange(first, first + n) for first, n in runs])


@settings(max_examples=30)
@given(st.integers(0, 2**64 - 1), st.integers(0, 3), st.integers(0, 50))
def test_every_turn_begins_with_what_was_said(seed, agents, shared):
    load = sessions(
        1.0, 5, Lengths.uniform(1, 4), seed=seed, agents=agents, shared_tokens=shared,
        input_tokens=Lengths.uniform(1, 20), output_tokens=Lengths.uniform(1, 20), shared_kinds=2,
    )  # fmt: skip
    for i, parent in enumerate(load.after.tolist()):
        if parent < 0:
            continue
        if (
            i % (agents + 1) == 0 and agents
        ):  # a turn, whose parent is an agent: what its own turn said
            parent = int(load.after[parent])
        answer = load.output_id[parent] + np.arange(load.output_tokens[parent])
        said = np.concatenate([_ids(load, parent), answer])
        mine = _ids(load, i)
        assert len(mine) == load.input_tokens[i] > len(said)
        assert np.array_equal(mine[: len(said)], said)


# --- speed and refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOADS)
def test_a_million_requests(name, benchmark):
    """Seconds are a benchmark's matter: a third of one."""
    load = benchmark(LOADS[name], requests=1_000_000, input_tokens=DRAWN[0], output_tokens=DRAWN[1])
    assert len(load) == 1_000_000


@pytest.mark.parametrize(
    ("call", "kind", "says"),
    [
        (lambda: poisson(0.0), ValueError, "rate is 0.0; allowed"),
        (lambda: poisson("1"), TypeError, "rate is '1'; allowed"),
        (lambda: poisson(1.0, request=5), TypeError, "unexpected option 'request'; allowed: input_tokens"),
        (lambda: poisson(1.0, requests=0), ValueError, "requests is 0; allowed"),
        (lambda: poisson(1.0, seconds=-1), ValueError, "seconds is -1; allowed"),
        (lambda: poisson(1e-9, requests=9999), ValueError, "the last arrival is at"),
        (lambda: poisson(1.0, seed=-1), ValueError, "seed is -1; allowed"),
        (lambda: poisson(1.0, seed=1.5), ValueError, "seed is 1.5; allowed"),
        (lambda: poisson(1.0, input_tokens=0), ValueError, "input_tokens is 0; allowed"),
        (lambda: poisson(1.0, input_tokens=[5]), TypeError, "input_tokens is [5]; allowed: a whole number, or Lengths"),
        (lambda: poisson(1.0, output_tokens=1.5), ValueError, "output_tokens is 1.5; allowed"),
        (lambda: poisson(1.0, lengths=5), TypeError, "lengths is 5; allowed: Requests"),
        (lambda: poisson(1.0, lengths=poisson(1.0), input_tokens=5), ValueError, "lengths and input_tokens"),
        (lambda: poisson(1.0, declared_tokens=0), ValueError, "declared_tokens is 0"),
        (lambda: gamma(1.0, 0.0), ValueError, "burstiness is 0.0; allowed"),
        (lambda: modulated([1.0], [1.0, 2.0]), ValueError, "shapes (1,) and (2,)"),
        (lambda: modulated([0.0], [1.0]), ValueError, "a rate above 0"),
        (lambda: modulated([1.0, -1.0], [1.0, 1.0]), ValueError, "rates[1] is -1.0"),
        (lambda: modulated([1.0, 1.0], [1.0, 0.0]), ValueError, "stays[1] is 0.0"),
        (lambda: daily([]), ValueError, "rates have shape (0,)"),
        (lambda: daily([1.0], day_s=0), ValueError, "day_s is 0"),
        (lambda: users(0), ValueError, "concurrency is 0"),
        (lambda: users(1, think="long"), ValueError, "think is 'long'; allowed: fixed, exponential"),
        (lambda: users(1, think_s=-1), ValueError, "think_s is -1"),
        (lambda: sessions(1.0, 0), ValueError, "conversations is 0"),
        (lambda: sessions(1.0, 5, agents=-1), ValueError, "agents is -1"),
        (lambda: sessions(1.0, 5, agent_share=2.0), ValueError, "agent_share is 2; allowed: 0 to 1"),
        (lambda: sessions(1.0, 1, 3, input_tokens=2**30), ValueError, "the longest prompt has"),
        (lambda: Lengths.fixed(0), ValueError, "length is 0"),
        (lambda: Lengths.uniform(5, 4), ValueError, "high is 4; allowed: at least low (5)"),
        (lambda: Lengths.lognormal(-1.0), ValueError, "mean is -1.0"),
        (lambda: Lengths.lognormal(0.5), ValueError, "mean is 0.5; allowed: a finite number of at least 1"),
        (lambda: Lengths.empirical([1.5]), ValueError, "values is 1.5"),
        (lambda: Lengths.empirical([]), ValueError, "values are of shape (0,)"),
        (lambda: Lengths.empirical([1], [0]), ValueError, "weights have shape (1,) and sum 0"),
    ],
)  # fmt: skip
def test_what_is_refused(call, kind, says):
    with pytest.raises(kind) as error:
        call()
    assert says in str(error.value)


def test_every_public_load_says_what_it_takes_and_raises():
    for name in loads.__all__:
        text = inspect.getdoc(getattr(loads, name))
        assert text and (name in ("Requests", "Lengths", "LAYOUTS") or "Raises" in text)


@pytest.mark.parametrize("lengths", [*DRAWN, Lengths.empirical([1, 2, 5], [1, 2, 3])])
def test_many_lengths_are_drawn_as_a_few(lengths):
    """Piece by piece, so that Ctrl-C is heard: a longer row begins with a shorter one."""
    few, many = (lengths.draw(np.random.Generator(np.random.Philox(5)), n) for n in (9_000, 70_000))
    assert len(many) == 70_000 and np.array_equal(many[:9_000], few)
    assert many[40_000:].mean() == pytest.approx(lengths.mean, rel=0.05)
