"""Verdicts are of requests: a second or a quarter of an hour between two of them is all the same."""

import numpy as np
import pytest

from tokenroof.serving import SLO, summary, verdict

NAMES = [
    "arrival_ns",
    "scheduled_ns",
    "first_token_ns",
    "last_token_ns",
    "input_tokens",
    "output_tokens",
]


@pytest.mark.parametrize("unit", [0.01, 100.0])
@pytest.mark.parametrize(("load", "state"), [(0.8, "stable"), (1.2, "overloaded")])
def test_the_unit_of_time_changes_no_verdict(load, state, unit):
    """One server, exponential at both ends; Lindley's recursion."""
    random = np.random.default_rng(3)
    arrival, work = np.cumsum(random.exponential(1.0, 8000)), random.exponential(load, 8000)
    ahead = np.cumsum(work) - work
    begin = np.maximum.accumulate(arrival - ahead) + ahead
    run = np.zeros(8000, [(name, "i8") for name in NAMES])
    for name, at in zip(NAMES, (arrival, begin, begin, begin + work), strict=False):
        run[name] = np.rint(at * unit * 1e9)
    found = verdict(run)
    assert found.state == state
    if state == "overloaded":
        assert found.growth_per_s * unit == pytest.approx(1.0 - 1.0 / load, rel=0.25)


def test_time_counts_from_the_first_arrival_whoever_it_was_of():
    """Energy does, too: a request that was refused came all the same; one that had not come did not."""
    run = np.zeros(3, [*((name, "i8") for name in NAMES), ("status", "U10")])
    run["status"] = "rejected", "done", "unfinished"
    run["input_tokens"], run["output_tokens"] = 100, 5
    for name, seconds in zip(
        NAMES,
        ((1, 3, -1e-9), (-1e-9, 3, -1e-9), (-1e-9, 4, -1e-9), (-1e-9, 5, -1e-9)),
        strict=False,
    ):
        run[name] = np.rint(np.array(seconds) * 1e9)
    found = summary(run, SLO(ttft_s=2.0))
    assert found["duration_s"] == 4.0
    assert found["request_throughput"] == found["goodput"] == 0.25
    assert found["output_throughput"] == 1.25
