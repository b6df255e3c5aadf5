"""SGLang's scheduler against its plain twin, step by step."""

import recorded
import sglang_scenarios as scenarios
import sglang_twin as twin
from hypothesis import given
from hypothesis import strategies as st

SEEDS = st.integers(0, 10**9)


def same(trace, **options):
    decided = twin.play(trace)
    run = scenarios.play(trace, record_steps=True, **options)
    assert recorded.decided(run) == decided["steps"]
    assert recorded.results(run) == decided["results"]
    assert (run.totals["ending"] == "blocked") is decided["stuck"]
    assert scenarios.play(trace, **options).requests.tobytes() == run.requests.tobytes()
    return run


@given(seed=SEEDS)
def test_every_decision_is_the_twin_s(seed):
    same(scenarios.draw(seed))


@given(seed=SEEDS)
def test_ends_that_nobody_declared(seed):
    """The loop that overlaps has given out a step more by the time it sees one."""
    same(scenarios.draw(seed, undeclared=True))


@given(seed=SEEDS)
def test_prompts_that_share_nothing_need_not_say_so(seed):
    same(scenarios.draw(seed, content=False), content=False)
