"""The verdict on a run as a plain loop over its moments, from what `verdict` says that it does [1].

References
----------
[1] Clarke, Maximum likelihood estimates in a simple queue, Annals of Mathematical Statistics 28, 1957.
"""

from bisect import bisect_left, bisect_right
from itertools import pairwise
from math import inf, sqrt
from statistics import fmean, pvariance

POINTS = 401


def seconds(rows, name):
    return sorted(float(row[name]) * 1e-9 for row in rows)


def of_status(rows, *statuses):
    return [row for row in rows if row["status"] in statuses]


def taken(rows):
    """Who was answered, and who was in service when the run was cut."""
    cut = [row for row in of_status(rows, "unfinished") if row["scheduled_ns"] >= 0]
    return of_status(rows, "done") + cut


def moments(window):
    begin, end = window
    step = (end - begin) / (POINTS - 1)
    return [begin + i * step for i in range(POINTS - 1)] + [end]


def slope(at, values):
    """Of the straight line of least squares."""
    middle, mean = fmean(at), fmean(values)
    return sum((x - middle) * (y - mean) for x, y in zip(at, values, strict=True)) / sum(
        (x - middle) ** 2 for x in at
    )


def walk(arrival):
    """Deviation of a queue in balance after so many arrivals."""
    gaps = [b - a for a, b in pairwise(arrival)]
    return sqrt(len(arrival) * (1.0 + pvariance(gaps) / fmean(gaps) ** 2))


def left_waiting(arrival, scheduled, lost, at):
    """Who came before a moment and is not scheduled in it, nor was lost before."""
    return bisect_left(arrival, at) - bisect_right(scheduled, at) - bisect_left(lost, at)


def kept_up(arrival, scheduled, lost, window):
    at = sorted({s for s in scheduled if s <= window[1]})
    for begin, most in ((-inf, -1.0 / 3.0), (window[0], 1.0)):
        lasting = served = 0.0
        for now, after in pairwise(at):
            if now >= begin and left_waiting(arrival, scheduled, lost, now) > 0:
                lasting += after - now
                served += scheduled.count(after)
        came = [a for a in arrival if begin <= a <= window[1]]
        if not lasting or len(came) < 3 or came[0] == came[-1]:
            return False
        if len(came) - 1 - served / lasting * (came[-1] - came[0]) > most * walk(came):
            return False
    return True


def never_empty(arrival, scheduled, lost, window):
    at = sorted({s for s in scheduled if window[0] <= s <= window[1]})
    if not at:
        return True
    first = bisect_right(scheduled, at[0])
    total = bisect_right(scheduled, at[-1]) - first
    longest = begun = 0
    for now in at:
        here = bisect_right(scheduled, now) - first
        if left_waiting(arrival, scheduled, lost, now) <= 0:
            longest, begun = max(longest, here - begun), here
    return max(longest, total - begun) > max(total, 1) / 2


def line(rows, window):
    """Whether one queue is a backlog, and who waits in it in the mean."""
    arrival, scheduled = seconds(rows, "arrival_ns"), seconds(taken(rows), "scheduled_ns")
    lost = seconds(of_status(rows, "shed", "timed_out"), "arrival_ns")
    waiting = [
        bisect_right(arrival, t) - bisect_right(scheduled, t) - bisect_right(lost, t)
        for t in moments(window)
    ]
    mean = fmean(waiting)
    full = sum(w > 0 for w in waiting) > POINTS / 2 and mean > 1.0
    full = full and never_empty(arrival, scheduled, lost, window)
    return full and not kept_up(arrival, scheduled, lost, window), mean


def backlog(rows, window):
    """Whether most of those wait in backlogs who wait at all."""
    names = sorted({row["replica"] for row in rows})
    found = [line([row for row in rows if row["replica"] == name], window) for name in names]
    late = sum(mean for full, mean in found if full)
    return late > sum(mean for _, mean in found) / 2


def settled(rows, window, most):
    """Whether half of those who came are answered, and those in the house do not grow by more than that."""
    answered = of_status(rows, "done")
    if len(answered) < 4 or len(answered) < len(rows) / 2:
        return False
    if window is None:
        return True
    arrival = seconds(rows, "arrival_ns")
    left = seconds(of_status(rows, "done", "shed", "timed_out"), "last_token_ns")
    at = moments(window)
    inside = [bisect_right(arrival, t) - bisect_right(left, t) for t in at]
    since = [t - window[0] for t in at]
    return slope(since, inside) * (window[1] - window[0]) <= most


def judged(rows):
    """State, growth [1/s], mean waiting [1], lost [1/s], refused, unfinished."""
    cut = of_status(rows, "unfinished")
    rows = [row for row in rows if row["status"] != "unfinished" or row["arrival_ns"] >= 0]
    unfinished = len(of_status(rows, "unfinished"))
    counted = [row for row in rows if row["status"] != "rejected"]
    refused = len(rows) - len(counted)
    lost = seconds(of_status(rows, "shed", "timed_out"), "arrival_ns")
    scheduled, window, most = seconds(taken(rows), "scheduled_ns"), None, 0.0
    growth = waits = gone = 0.0
    arrival = seconds(counted, "arrival_ns")
    if len(scheduled) < 4:
        state = "overloaded" if len(lost) > len(scheduled) else "stable"
        state = "stuck" if refused and not counted else state
        if lost and lost[-1] > lost[0]:
            gone = (len(lost) - 1) / (lost[-1] - lost[0])
    elif arrival[len(arrival) // 2] == arrival[-1]:
        state = "stable"
    else:
        window = (arrival[len(arrival) // 2], arrival[-1])
        at, lasting = moments(window), window[1] - window[0]
        queue = [bisect_right(arrival, t) - bisect_right(scheduled, t) for t in at]
        growth = slope([t - window[0] for t in at], queue)
        gone = sum(t >= window[0] for t in lost) / lasting
        waits = fmean(q - bisect_right(lost, t) for q, t in zip(queue, at, strict=True))
        most = 3.0 * walk(arrival[len(arrival) // 2 :])
        state = "stable"
        if growth * lasting > most:
            state = "overloaded"
        elif backlog(counted, window):
            state = "backlogged"
    if cut and state == "stable" and not settled(counted, window, most):
        state = "unknown"
    return state, growth, waits, gone, refused, unfinished
