"""Verdicts are those of a plain loop over a run's moments, and of small runs by hand."""

from collections import Counter

import numpy as np
import pytest
import verdict_twin as twin

from tokenroof.serving import verdict
from tokenroof.serving.outcome.verdict import _kept_up, _never_empty, _short, _walk

SECOND = 10**9
FIELDS = [
    (name, "i8")
    for name in (
        "arrival_ns", "scheduled_ns", "first_token_ns", "last_token_ns", "input_tokens", "output_tokens",
    )
] + [("status", "U10"), ("replica", "i4")]  # fmt: skip


def run_of(*rows):
    """Arrival, scheduled, end [s] and status of each."""
    return np.array(
        [
            (a * SECOND, s * SECOND, s * SECOND, e * SECOND, 1, 2, status, 0)
            for a, s, e, status in rows
        ],
        FIELDS,
    )


def scene(seed):
    """A server or two, whole seconds, loads on both sides of what they bear; some leave, some runs are cut."""
    draw = np.random.default_rng(seed)
    many, servers = int(draw.integers(3, 70)), int(draw.integers(1, 3))
    work, lost = draw.choice([1, 2, 3]), draw.choice([0.0, 0.0, 0.1, 0.5, 0.9])
    free, rows = [0] * servers, []
    arrival = np.cumsum(draw.integers(0, draw.choice([2, 3, 4, 5]), many))
    end = arrival[-1] + 1 if draw.random() < 0.3 else 10**6
    for at in arrival.tolist():
        if draw.random() < lost:
            kind = str(draw.choice(["shed", "timed_out", "rejected", "stuck"]))
            rows.append((at, -1, at + 1, 1, 1, 2, kind, 0))
            continue
        where = int(draw.integers(servers))
        begin = max(at, free[where])
        free[where] = begin + int(draw.integers(0, 2 * work + 1))
        over = free[where] + int(draw.integers(0, 3))
        if over <= end:
            rows.append((at, begin, begin, over, 1, 2, "done", where))
        else:
            inside = begin if begin <= end else -1
            rows.append((at, inside, -1, -1, 1, 2, "unfinished", where))
    if end < 10**6 and draw.random() < 0.5:  # who had not come when it was cut
        rows += [(-1, -1, -1, -1, 1, 2, "unfinished", 0)] * 40
    found = np.array(rows, FIELDS)
    for name in ("arrival_ns", "scheduled_ns", "first_token_ns", "last_token_ns"):
        found[name][found[name] > 0] *= SECOND
    return found[draw.permutation(len(found))]


def test_verdicts_are_those_of_a_plain_loop():
    states = Counter()
    for seed in range(150):
        run = scene(seed)
        found = verdict(run)
        state, growth, waits, gone, refused, unfinished = twin.judged(list(run))
        said = (found.growth_per_s, found.waiting, found.lost_per_s)
        assert found.state == state, seed
        assert said == pytest.approx((growth, waits, gone), rel=1e-9, abs=1e-9), seed
        assert (found.refused, found.unfinished) == (refused, unfinished), seed
        states[state] += 1
    assert min(states[s] for s in ("stable", "backlogged", "overloaded", "unknown")) >= 5


def test_queues_are_judged_as_by_a_plain_loop():
    """Of a few moments each, whole seconds, in which much falls together."""
    draw, found = np.random.default_rng(7), Counter()
    for _ in range(1500):
        arrival = np.sort(draw.integers(0, 16, draw.integers(0, 16))).astype(float)
        many = int(draw.integers(0, len(arrival) + 1))
        each = int(draw.integers(1, 5))  # who came is taken in every second, or every so many
        scheduled = np.sort(-(-arrival[:many] // each) * each + draw.integers(0, 3, many))
        lost = np.sort(draw.choice(arrival, draw.integers(0, 3))) if len(arrival) else arrival
        window = tuple(sorted(float(x) for x in draw.choice(16, 2, replace=False)))
        lists = [part.tolist() for part in (arrival, scheduled, lost)]
        kept, row = (ask(arrival, scheduled, lost, window) for ask in (_kept_up, _never_empty))
        assert kept is twin.kept_up(*lists, window), (lists, window)
        assert row is twin.never_empty(*lists, window), (lists, window)
        found["kept", kept] += 1
        found["row", row] += 1
    assert len(found) == 4 and min(found.values()) >= 50


def test_a_walk_by_hand():
    """Gaps of 1, 2 and 3 have a mean of 2 and a variance of 2/3."""
    assert _walk(np.array([0.0, 1.0, 3.0, 6.0])) == pytest.approx((4 * (1 + 1 / 6)) ** 0.5)


@pytest.mark.parametrize(
    ("at", "pace"),
    [((10, 12, 13, 16), 0.5), ((10, 10.5), 2.0), ((7, 7, 7, 7, 7), 0.0), ((3,), 0.0), ((), 0.0)],
)
def test_where_hardly_any_are_served_the_lost_are_counted_by_their_own_times(at, pace):
    rows = [(int(10 * t), -1, int(10 * t), "shed") for t in at]
    run = run_of(*rows)
    run["arrival_ns"] //= 10
    assert (verdict(run).lost_per_s if at else 0.0) == pytest.approx(pace)
    served = run_of((1, 1, 2, "done"), (2, 2, 3, "done"))
    both = verdict(np.concatenate((served, run)))
    assert both.lost_per_s == pytest.approx(pace)
    assert both.state == ("overloaded" if len(at) > 2 else "stable")


@pytest.mark.parametrize("many", [3, 4, 9])
def test_what_comes_at_once_does_not_grow(many):
    run = run_of(*[(5, 5 + k, 6 + k, "done") for k in range(many)], (5, -1, 5, "rejected"))
    found = verdict(run)
    assert (found.state, found.growth_per_s, found.waiting) == ("stable", 0.0, 0.0)
    assert (found.refused, found.unfinished, found.lost_per_s) == (1, 0, 0.0)


def test_what_is_short_by_hand():
    """Of steps that leave somebody waiting; a request holds an even part of the blocks that are taken."""

    def short(*rows, most=8, room=100):
        steps = np.array(
            list(rows), [(name, "i8") for name in ("waiting", "running", "free_blocks")]
        )
        return _short(steps, most, room)

    assert short((1, 8, 100), (0, 2, 100), (0, 2, 100)) == "sequences"
    assert short((1, 8, 100), (1, 2, 100)) == "time"  # half of them is not most
    assert short((1, 1, 49)) == "memory" and short((1, 1, 50)) == "time"  # it holds 51, or 50
    assert short((1, 2, 40)) == "time" and short((1, 2, 33)) == "memory"  # 30, or 33.5
    assert short((1, 100, 1), most=None) == "time" and short((1, 100, 0), most=None) == "memory"
    assert short((1, 1, 49), (1, 1, 50)) == "time" and short((0, 8, 0)) == ""
    assert short((1, 8, 0), most=None, room=None) == "time"
