"""Pools of prompts and of answers against their plain twin: decision by decision, to the nanosecond."""

import numpy as np
import pool_scenarios
import pools_twin
import recorded
import twin
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from tokenroof import serving

SEEDS = st.integers(0, 10**9)
#: The twin takes its time.
FEW = settings(max_examples=max(10, settings.default.max_examples // 3))


def play(scene, content=True, **options):
    return serving.simulate(
        pool_scenarios.system_of(scene), scene["model"], None,
        recorded.requests_of(scene, content), **pool_scenarios.arguments_of(scene), **options,
    )  # fmt: skip


def decided(scene, twin_of=pools_twin):
    try:
        return twin_of.play(scene)
    except twin.Circles:
        reject()


def results(run):
    times = (
        "arrival_ns", "scheduled_ns", "prefilled_ns", "reserved_ns", "received_ns", "joined_ns",
        "first_token_ns", "last_token_ns",
    )  # fmt: skip
    rows = []
    for i, r in enumerate(run.requests):
        when = [int(r[name]) if r[name] >= 0 else None for name in times]
        places = [int(r[name]) if r[name] >= 0 else None for name in ("prefill_replica", "replica")]
        rows.append([
            i, str(r["status"]), *when, int(r["preemptions"]), int(r["sent_tokens"]),
            int(r["output_tokens"]), *places,
        ])  # fmt: skip
    return rows


def check(scene, found, run):
    assert results(run) == found["results"]
    assert [run.totals[name] for name in ("loaded_bytes", "stored_bytes")] == [
        found["loaded"],
        found["stored"],
    ]
    if "sending" in found:
        r = run.requests
        there = r["received_ns"] >= 0
        began = r["received_ns"][there] - np.rint(r["transfer_s"][there] * 1e9).astype(np.int64)
        assert began.tolist() == [
            t for t, come in zip(found["sending"], there, strict=True) if come
        ]
    for pool, rows in zip(run.pools.values(), found["rows"], strict=True):
        names = ("enable_prefix_caching", "enable_block_reuse")
        cached = any(pool.config.get(name) for name in names) or "sending" in found
        decided = recorded.decided(pool, cached)
        if pool.ranks == 1:
            assert pool.steps["replica"].tolist() == [k for k, _ in rows]
        for k in {k for k, _ in rows} | set(pool.steps["replica"].tolist()):
            own = [
                row for row, step in zip(decided, pool.steps, strict=True) if step["replica"] == k
            ]
            theirs = [row for j, row in rows if j == k]
            assert own == (theirs if "sending" in found else recorded.wanted(theirs, cached))


@FEW
@given(seed=SEEDS)
def test_every_decision_is_the_twin_s(seed):
    scene = pool_scenarios.draw(seed)
    found = decided(scene)
    run = play(scene, record_steps=True)
    check(scene, found, run)
    assert play(scene).requests.tobytes() == run.requests.tobytes()


@FEW
@given(seed=SEEDS)
def test_replicas_that_come_and_go(seed):
    scene = pool_scenarios.draw(seed, scaled=True)
    found = decided(scene)
    run = play(scene, record_steps=True)
    check(scene, found, run)
    for pool, changes in zip(run.pools.values(), found["changes"], strict=True):
        told = [
            (
                round(row["time_s"] * 1e9),
                *(int(row[name]) for name in ("up", "starting", "draining")),
            )
            for row in pool.scaling
        ]
        assert told == changes
    assert play(scene).requests.tobytes() == run.requests.tobytes()


@FEW
@given(seed=SEEDS, scaled=st.booleans())
def test_clients_that_give_up_and_queues_that_are_full(seed, scaled):
    scene = pool_scenarios.draw(seed, scaled=scaled, hurried=True)
    found = decided(scene)
    run = play(scene, record_steps=True)
    check(scene, found, run)
    assert play(scene).requests.tobytes() == run.requests.tobytes()
    assert play(scene, path="sequences").requests.tobytes() == run.requests.tobytes()


@FEW
@given(seed=SEEDS, scaled=st.booleans(), hurried=st.booleans())
def test_ranks_that_step_together_in_either_pool(seed, scaled, hurried):
    scene = pool_scenarios.draw(seed, scaled=scaled, hurried=hurried, ranked=True)
    found = decided(scene)
    run = play(scene, record_steps=True)
    check(scene, found, run)
    assert play(scene).requests.tobytes() == run.requests.tobytes()


@FEW
@given(seed=SEEDS, scaled=st.booleans(), hurried=st.booleans())
def test_pipelines_in_either_pool(seed, scaled, hurried):
    scene = pool_scenarios.draw_staged(seed, scaled, hurried)
    found = decided(scene)
    run = play(scene, record_steps=True)
    check(scene, found, run)
    assert play(scene).requests.tobytes() == run.requests.tobytes()


def test_a_call_that_only_preempts_is_followed_by_another():
    """In this scene one that runs alone gives up its blocks, while two caches are there and wait for a turn."""
    scene = pool_scenarios.draw_staged(1180, scaled=True)
    run = play(scene, record_steps=True)
    check(scene, decided(scene), run)
    rows = run.pools["decode"].steps
    alone = np.flatnonzero((rows["tokens"] == 0) & (rows["running"] == 0))
    own = rows[rows["replica"] == rows["replica"][alone[0]]]
    after = own[own["scheduled_ns"] >= rows["scheduled_ns"][alone[0]]]
    assert after["tokens"].tolist()[:2] == [0, 1] and np.ptp(after["scheduled_ns"][:2]) == 0
    assert play(scene).requests.tobytes() == run.requests.tobytes()


@FEW
@given(seed=SEEDS, scaled=st.booleans(), hurried=st.booleans(), ranked=st.booleans())
def test_memory_of_the_host_where_prompts_are_computed(seed, scaled, hurried, ranked):
    scene = pool_scenarios.draw_hosted(seed, scaled, hurried, ranked)
    found = decided(scene)
    run = play(scene, record_steps=True)
    check(scene, found, run)
    assert play(scene).requests.tobytes() == run.requests.tobytes()


@FEW
@given(seed=SEEDS)
def test_prompts_that_share_nothing_need_not_say_so(seed):
    scene = pool_scenarios.draw(seed, content=False)
    found = decided(scene)
    run = play(scene, content=False)
    assert results(run) == found["results"]
    assert play(scene, content=False, path="sequences").requests.tobytes() == run.requests.tobytes()
