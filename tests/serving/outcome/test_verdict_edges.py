"""Where a verdict turns: queues that are worked out by hand, one thing beyond the edge and one before it."""

import numpy as np
import pytest

from tokenroof.serving.outcome.verdict import _kept_up, _line, lines, verdict

NEEDED = (
    "arrival_ns",
    "scheduled_ns",
    "first_token_ns",
    "last_token_ns",
    "input_tokens",
    "output_tokens",
)


def records(arrival, scheduled=None, status=None):
    """Requests by their seconds; without a time to be scheduled never."""
    fields = [(name, "i8") for name in NEEDED] + ([("status", "U10")] if status is not None else [])
    run = np.zeros(len(arrival), fields)
    run["arrival_ns"] = np.rint(np.asarray(arrival, float) * 1e9)
    run["scheduled_ns"] = -1 if scheduled is None else np.rint(np.asarray(scheduled, float) * 1e9)
    run["last_token_ns"] = run["scheduled_ns"] + 1
    if status is not None:
        run["status"] = status
    return run


def test_few_that_were_served_beside_those_that_were_lost():
    """Three losses after the first in ten seconds; one alone has no pace, and none is no loss."""

    def of(lost):
        arrival = [0.0, 0.5, *lost]
        return verdict(records(arrival, None, ["done"] * 2 + ["shed"] * len(lost)))

    many = of([10.0, 12.0, 15.0, 20.0])
    assert (many.state, many.lost_per_s) == ("overloaded", pytest.approx(0.3, rel=1e-12))
    assert of([3.0, 3.5]).lost_per_s == pytest.approx(2.0, rel=1e-12)
    assert of([3.0]).lost_per_s == 0.0 and of([3.0, 3.0]).lost_per_s == 0.0
    none = of([])
    assert (none.state, none.lost_per_s, none.growth_per_s) == ("stable", 0.0, 0.0)


def test_all_at_once_is_no_growth():
    found = verdict(records([2.0] * 6, [2.0] * 6))
    assert (found.state, found.growth_per_s) == ("stable", 0.0)


def test_those_who_left_wait_no_more():
    """Every other one is shed as it comes, the others are served at once: nobody waits."""
    at = np.arange(100.0)
    scheduled = np.where(at % 2 == 0, at, -1e-9)
    status = np.where(at % 2 == 0, "done", "shed")
    assert lines(records(at, scheduled, status), (10.0, 90.0)) == (False, 0.0)
    gave_up = records(at, scheduled, np.where(at % 2 == 0, "done", "timed_out"))
    assert lines(gave_up, (10.0, 90.0)) == (False, 0.0)


def queue(delay, first=0, n=401):
    """One comes a second, a quarter before it, and begins `delay` after that second."""
    second = np.arange(first, n, dtype=float)
    return records(second - 0.25, second + delay)


WINDOW = (0.0, 400.0)  # looked at every second


def test_one_that_waits_in_the_mean_is_no_backlog_and_more_are():
    assert _line(queue(0.9), WINDOW) == (False, 1.0)
    # and of some seconds two wait: the first hundred begin a second later
    second = np.arange(0, 401, dtype=float)
    scheduled = second + 0.9 + (second < 100)
    scheduled[100:] = np.maximum(scheduled[100:], scheduled[99] + 0.001 * np.arange(301))
    late, waiting = _line(records(second - 0.25, np.sort(scheduled)), WINDOW)
    assert late is True and 1.0 < waiting < 2.0


def test_a_queue_that_is_empty_most_of_the_time_is_no_backlog():
    """Three hundred at once are served in 150 of 400 seconds, though most of them one after another."""
    arrival = np.linspace(0.0, 1.0, 300)
    late, waiting = _line(records(arrival, 1.0 + 0.5 * np.arange(1, 301)), WINDOW)
    assert late is False and waiting > 10.0
    # served in 250 of them they wait most of the time
    late, _ = _line(records(arrival, 1.0 + 250 / 300 * np.arange(1, 301)), WINDOW)
    assert late is True


KEPT = [  # arrivals and services of which three are enough
    ([0.0, 0.1, 10.0], [0.2, 0.3, 10.1]),
    ([0.0, 10.0, 10.0], [0.5, 10.1, 10.2]),
    ([0.0, 0.0, 10.0], [0.1, 0.2, 10.1]),
    ([0.0, 0.1, 5.0, 10.0], [0.2, 0.3, 5.1, 10.1]),
]


@pytest.mark.parametrize("arrival,scheduled", KEPT)
def test_a_queue_kept_up_where_it_serves_ten_times_as_many_while_others_wait(arrival, scheduled):
    given = np.array(arrival), np.array(scheduled), np.empty(0)
    assert _kept_up(*given, (0.0, 20.0)) is True
    assert _kept_up(*given, (0.0, 0.15)) is False  # of what is served until then none waited


@pytest.mark.parametrize("arrival,scheduled", [
    ([0.0, 1.0], [1.1, 1.2]),  # two say nothing of a rate
    ([1.0, 1.0, 1.0], [1.1, 1.2, 1.3]),  # and no more do those that come at once
    ([0.0, 1.0, 2.0, 3.0], [0.0, 1.0, 2.0, 3.0]),  # nobody was served while others waited
])  # fmt: skip
def test_what_tells_nothing_of_a_rate_did_not_keep_up(arrival, scheduled):
    assert _kept_up(np.array(arrival), np.array(scheduled), np.empty(0), (0.0, 20.0)) is False
