"""What vLLM's replicas do together: memory of the host, ranks, drafts, clients that give up, replicas that come and
go, any of them at once, decision by decision as the plain twin."""

import fleet_scenarios
import fleet_twin
import numpy as np
import pytest
import recorded
import twin
from hypothesis import given, reject, settings
from hypothesis import strategies as st

import tokenroof as tr
from tokenroof import serving

#: A hundred and more of each were the same.
FEW = settings(max_examples=max(2, settings.default.max_examples // 20))


def same(scene):
    """Plays it both ways, and says what was found."""
    try:
        found = fleet_twin.play(scene)
    except twin.Circles:
        reject()
    run = fleet_scenarios.play(scene, record_steps=True)
    assert recorded.results(run) == found["results"]
    cached = scene["config"]["enable_prefix_caching"]
    rows = recorded.decided(run, cached)
    for k in {k for k, _ in found["rows"]} | set(run.steps["replica"].tolist()):
        own = [row for row, step in zip(rows, run.steps, strict=True) if step["replica"] == k]
        assert own == recorded.wanted([row for j, row in found["rows"] if j == k], cached)
    if "scaling" in scene:
        names = ("up", "starting", "draining")
        told = [(round(r["time_s"] * 1e9), *(int(r[n]) for n in names)) for r in run.scaling]
        assert told == found["changes"]
    assert [run.totals[name] for name in ("loaded_bytes", "stored_bytes")] == [
        found["loaded"], found["stored"],
    ]  # fmt: skip
    assert fleet_scenarios.play(scene).requests.tobytes() == run.requests.tobytes()
    return run


TOGETHER = (
    ("host", "drafts"), ("host", "hurry"), ("host", "ranks"), ("host", "scaling"), ("hurry", "ranks"),
    ("hurry", "scaling"), ("ranks", "scaling"), fleet_scenarios.KINDS,
)  # fmt: skip


@pytest.mark.parametrize("kinds", TOGETHER, ids="+".join)
@FEW
@given(seed=st.integers(0, 10**9))
def test_every_decision_is_the_twin_s(kinds, seed):
    same(fleet_scenarios.draw(seed, *kinds))


# --- by hand ----------------------------------------------------------------------------------------------

MS = 1_000_000


def played(arrivals, prompts, ranks=1, **options):
    """One token each, a step a millisecond; eight blocks of 16 tokens, a megabyte a token over a GB/s."""
    load = {
        "arrival_ns": arrivals, "input_tokens": [n for _, n in prompts], "output_tokens": [1] * len(prompts),
        "prompt": [np.array([[10**6 * who, n]]) for who, n in prompts],
    }  # fmt: skip
    scheduler = serving.Scheduler.preset("vllm-0.33", num_blocks=9, max_model_len=200, loop="sync")
    where = (None, None, None)
    if ranks > 1:
        where = ("H200-SXM", fleet_scenarios.MODEL, tr.Plan(dp=ranks, weights="fp8"))
    tier = serving.HostTier(np.inf, 1e9, bytes_per_token=1e6)
    return serving.simulate(
        *where, load, scheduler, step_time=serving.StepTime(MS), host_tier=tier, **options
    )


def test_ranks_go_on_while_one_waits_for_its_blocks():
    """96 tokens come back after 96 others: of six blocks the last four are loaded, 64 ms, in 64 dummy rounds."""
    run = played([0, 5000 * MS, 10_000 * MS], [(1, 96), (2, 96), (1, 96)], ranks=2)
    assert run.requests["loaded_tokens"].tolist() == [0, 0, 64]
    assert run.requests["scheduled_ns"][2] == 10_064 * MS
    # 31 after the first and the second; 64, and 31 up to the 96th
    assert run.totals["dummy_rounds"] == 31 + 31 + 64 + 31


def test_blocks_that_are_loaded_for_nobody_are_free_when_they_came():
    """The third gives up after 60 ms of 64; the fourth needs seven of the eight blocks, and waits for these."""
    run = played(
        [0, 5000 * MS, 10_000 * MS, 10_050 * MS], [(1, 96), (2, 96), (1, 96), (3, 112)], timeout_s=0.06
    )  # fmt: skip
    assert run.requests["status"].tolist() == ["done", "done", "timed_out", "done"]
    assert run.requests["last_token_ns"].tolist()[2:] == [10_060 * MS, 10_065 * MS]
    assert run.requests["scheduled_ns"][3] == 10_064 * MS


def test_a_queue_is_a_ranks():
    """One place and one to wait on each of two ranks: of six that come at once, the router's last two are told."""
    load = {"arrival_ns": [0, 0, 1, 2, 3, 4], "input_tokens": 10, "output_tokens": 9}
    scheduler = serving.Scheduler.preset(
        "vllm-0.33", num_blocks=100, loop="sync", max_num_seqs=1, max_num_queued_reqs=1,
        min_stats_update_interval_ms=0,
    )  # fmt: skip
    found = serving.simulate(
        "H200-SXM", fleet_scenarios.MODEL, tr.Plan(dp=2, weights="fp8"), load, scheduler,
        step_time=serving.StepTime(MS),
    ).requests  # fmt: skip
    assert found["status"].tolist() == ["done"] * 4 + ["shed"] * 2
