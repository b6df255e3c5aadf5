"""SGLang's rules one by one, by hand: what each step carries, who is admitted, retracted, found again."""

import numpy as np
import pytest
import sglang_scenarios as scenarios
from hypothesis import given
from hypothesis import strategies as st
from sglang_by_hand import MS, load, run, steps

from tokenroof import serving

# --- the loop -----------------------------------------------------------------------------------------------


def test_one_request_alone():
    """A prompt in two pieces, then a token a step: fixed + per token + per token of the context."""
    found = run(
        load([100], [3], 5), serving.StepTime(1000, 10, 1), chunked_prefill_size=64
    ).requests[0]
    first = 5 + (1000 + 640) + (1000 + 360)
    assert found["first_token_ns"] == first
    assert found["last_token_ns"] == first + (1000 + 10 + 101) + (1000 + 10 + 102)


def test_prompts_come_first_and_alone():
    """Each arrival stops those that run for a step; with mixed chunks they go along."""
    requests = load([10, 10, 10], [5, 5, 5], [0, MS + 1, 2 * MS + 1])
    assert steps(run(requests))[:5] == [
        [(0, 10)], [(0, 1)], [(1, 10)], [(2, 10)], [(0, 1), (1, 1), (2, 1)],
    ]  # fmt: skip
    assert steps(run(requests, enable_mixed_chunk=True))[:4] == [
        [(0, 10)], [(0, 1)], [(1, 10), (0, 1)], [(2, 10), (1, 1), (0, 1)],
    ]  # fmt: skip


def test_one_prompt_is_unfinished_at_most():
    """Chunks of 4: the second prompt starts with what the first one's last piece leaves."""
    found = run(load([10, 9], [2, 2]), chunked_prefill_size=4)
    assert steps(found) == [
        [(0, 4)], [(0, 4)], [(0, 2), (1, 2)], [(1, 4)], [(1, 3)], [(0, 1), (1, 1)],
    ]  # fmt: skip
    whole = run(load([10, 9, 7], [1, 1, 1]), chunked_prefill_size=-1, max_prefill_tokens=17)
    # the first may be longer than the cap; the next must stay below what is left of it
    assert steps(whole) == [[(0, 10)], [(1, 9), (2, 7)]]
    paged = run(load([10, 9], [1, 1]), chunked_prefill_size=8, page_size=4)
    assert steps(paged) == [[(0, 8)], [(0, 2), (1, 4)], [(1, 5)]]  # pieces are whole pages


def test_the_overlapped_loop_has_fixed_the_next_step_already():
    """Who arrives in the tenth step is in the eleventh, or in the one after."""
    requests = load([10, 10], [50, 1], [0, 9 * MS + 1])
    assert run(requests).requests["first_token_ns"][1] == 11 * MS
    assert run(requests, loop="overlap").requests["first_token_ns"][1] == 12 * MS


def test_ends_by_length_cost_no_step_and_others_one():
    requests = load([10], [3], declared_tokens=np.array([9]))
    assert run(requests).totals["steps"] == 3
    assert run(requests, loop="overlap").totals["steps"] == 4
    assert run(load([10], [3]), loop="overlap").totals["steps"] == 3


def test_steps_of_all_that_run_between_prompts():
    requests = load([5, 5], [9, 9], [0, MS + 1])
    found = steps(run(requests, prefill_decode_interval=3))
    assert found[:6] == [[(0, 5)], [(0, 1)], [(0, 1)], [(0, 1)], [(1, 5)], [(0, 1), (1, 1)]]
    # fewer than that run: no interval
    some = steps(run(requests, prefill_decode_interval=3, prefill_decode_interval_min_bs=2))
    assert some[:3] == [[(0, 5)], [(0, 1)], [(1, 5)]]


# --- admission ----------------------------------------------------------------------------------------------


def test_admission_counts_outputs_to_come_by_the_ratio():
    """Two run with 99 and 100 to come: 0.7 * 199 = 139.3; a third needs 10 + 100 + 1 < left - 139.3."""
    knobs = {"disable_radix_cache": True, "new_token_ratio_decay_steps": 2**30}
    requests = load([10] * 3, [100] * 3, np.array([0, 0, MS]))
    # after two prompts 20 are taken; each has sampled one: 2 * 99 * 0.7 = 138.6
    need = 20 + 138.6 + 111
    for tokens, first in ((int(need), False), (int(need) + 1, True)):
        found = run(requests, max_total_tokens=tokens, **knobs)
        assert (steps(found)[1] == [(2, 10)]) is first
    # outputs are clipped before they are weighed
    found = run(requests, max_total_tokens=100, clip_max_new_tokens_estimation=10, **knobs)
    assert steps(found)[1] == [(2, 10)]


def test_outputs_that_will_be_sampled_count_whole():
    requests = load([10] * 2, [100] * 2, np.array([0, MS]))
    # a request runs: 10 taken, 99 to come, all of them; 111 more have to be below what is left
    for tokens, second in ((220, False), (221, True)):
        found = run(requests, max_total_tokens=tokens, ignore_eos=True)
        assert (steps(found)[1] == [(1, 10)]) is second


def test_without_a_cache_ends_are_played_forward():
    """The first to end gives its memory back before the second needs it."""
    requests = load([10, 10], [10, 100], np.array([0, MS]))
    found = run(requests, max_total_tokens=125, ignore_eos=True, disable_radix_cache=True)
    assert steps(found)[1] == [(1, 10)]
    cached = run(requests, max_total_tokens=125, ignore_eos=True)
    assert steps(cached)[1] == [(0, 1)]  # 111 < 125 - 10 - 9 does not hold


def test_nothing_is_tried_until_somebody_leaves():
    """A refusal closes the door, also to those who would fit, until the next end."""
    requests = load([10, 80, 5], [6, 6, 2], np.array([0, MS, MS]))
    found = run(requests, max_total_tokens=100, disable_radix_cache=True)
    assert steps(found)[:7] == [
        [(0, 10)], [(0, 1)], [(0, 1)], [(0, 1)], [(0, 1)], [(0, 1)], [(1, 80), (2, 5)],
    ]  # fmt: skip
    # a place is no memory: the same with too few of them
    slots = run(load([10, 5], [4, 2], np.array([0, MS])), max_running_requests=1)
    assert steps(slots) == [[(0, 10)], [(0, 1)], [(0, 1)], [(0, 1)], [(1, 5)], [(1, 1)]]


def test_who_finds_most_of_its_prompt_goes_first():
    """Of two that begin alike and find nothing one waits until the other's prefix is there."""
    rows = [[[0, 60]], [[5000, 50]], [[0, 50], [900, 5]], [[5000, 45], [950, 5]], [[0, 60]]]
    requests = load(
        [60, 50, 55, 50, 60], [1] * 5, np.array([0, MS, MS, MS, MS]), **conversation(*rows)
    )
    found = run(requests, schedule_policy="lpm", prefill_max_requests=1)
    assert [s[0] for s in steps(found)] == [(0, 60), (4, 1), (2, 5), (1, 50), (3, 5)]
    assert found.requests["cached_tokens"].tolist() == [0, 0, 50, 45, 59]
    first = run(requests, prefill_max_requests=1)
    assert [s[0][0] for s in steps(first)] == [0, 1, 2, 3, 4]


# --- retraction -----------------------------------------------------------------------------------------------


SHORT = {"disable_radix_cache": True, "init_new_token_ratio": 0.0}


def victims(found):
    return list(
        zip(found.preempted["request"].tolist(), found.preempted["step"].tolist(), strict=True)
    )


def test_of_equals_the_longest_prompt_is_retracted():
    """70 of 100 tokens, three more a step: none after ten; 36 come back, which are gone 18 steps later."""
    requests = load([20, 24, 26], [30, 30, 30])
    knobs = SHORT | {"clip_max_new_tokens_estimation": 2, "retract_decode_steps": 0}
    found = run(requests, max_total_tokens=100, **knobs)
    played = steps(found)
    assert played[0] == [(0, 20), (1, 24), (2, 26)]
    assert victims(found) == [(2, 11), (1, 29)]
    assert played[11] == [(0, 1), (1, 1)] and played[29] == [(0, 1)]
    # they wait in the order in which they went, and compute their outputs anew: 11 and 29
    assert played[30] == [(2, 26 + 11), (1, 24 + 29)]
    assert found.requests["output_tokens"].tolist() == [30, 30, 30]
    assert found.requests["preemptions"].tolist() == [0, 1, 1]


def test_the_fewest_outputs_are_retracted_first():
    """Four steps older, it stays, though its prompt is twice as long."""
    requests = load([40, 20], [40, 40], np.array([0, 4 * MS + 1]))
    knobs = SHORT | {"clip_max_new_tokens_estimation": 2}
    found = run(requests, max_total_tokens=80, **knobs)
    assert steps(found)[5] == [(1, 20)]
    assert victims(found)[0] == (1, 14)  # 16 tokens are left by then, two a step
    by_priority = run(
        requests | {"priority": np.array([0, 1])}, max_total_tokens=80,
        retraction_policy="priority", **knobs,
    )  # fmt: skip
    assert victims(by_priority)[0] == (0, 14)  # the lower value goes, unless low is first
    low = run(
        requests | {"priority": np.array([0, 1])}, max_total_tokens=80,
        retraction_policy="priority", schedule_low_priority_values_first=True, **knobs,
    )  # fmt: skip
    assert victims(low)[0] == (1, 14)


def test_a_token_in_flight_is_lost_with_its_request():
    requests = load([20, 24, 26], [30, 30, 30])
    knobs = SHORT | {"clip_max_new_tokens_estimation": 2, "retract_decode_steps": 0}
    found = run(requests, max_total_tokens=100, loop="overlap", **knobs)
    first = victims(found)[0]
    assert first == (2, 11)  # ten of its eleven outputs had come back
    again = found.entries[(found.entries["request"] == 2) & (found.entries["before"] == 0)]
    assert again["tokens"].tolist() == [26, 26 + 10]


def test_the_ratio_after_a_retraction():
    """One is kept, with 33 of 60 outputs: (33 + 20) / 61. A step later 26 are to come, and 47 tokens are left."""
    left = 47 - (33 + 20) / 61 * 26
    for own, first in ((int(left), True), (int(left) + 1, False)):
        requests = load([40, 20, 4], [60, 40, own - 5], np.array([0, 4 * MS + 1, 33 * MS + 1]))
        found = run(requests, max_total_tokens=120, **SHORT)
        assert victims(found)[0] == (1, 34)
        assert (steps(found)[35] == [(2, 4)]) is first


def test_the_ratio_decays_by_steps_of_all_that_run():
    """0.5 less four times a tenth of it; 96 outputs are to come, and 14 tokens are taken."""
    knobs = {
        "disable_radix_cache": True, "init_new_token_ratio": 0.5, "min_new_token_ratio_factor": 0.0,
        "new_token_ratio_decay_steps": 10,
    }  # fmt: skip
    need = 161 + 14 + 0.3 * 96
    requests = load([10, 10], [101, 150], np.array([0, 4 * MS + 1]))
    for tokens, first in ((int(need), False), (int(need) + 1, True)):
        assert (steps(run(requests, max_total_tokens=tokens, **knobs))[5] == [(1, 10)]) is first
    # an idle engine starts anew: 0.5 of the 100 that are to come from the third
    later = load([10, 10, 10], [20, 101, 150], np.array([0, 100 * MS, 101 * MS]))
    need = 161 + 10 + 0.5 * 100
    for tokens, first in ((int(need), False), (int(need) + 1, True)):
        found = run(later, max_total_tokens=tokens, **knobs)
        assert (steps(found)[21] == [(2, 10)]) is first


# --- the tree of prefixes ---------------------------------------------------------------------------------------


def conversation(*rows):
    """Prompts as runs of ids."""
    return {
        "prompt": [np.array(r, np.int64) for r in rows],
        "output_id": 10**12 + 10**6 * np.arange(len(rows)),
    }


def test_hits_end_anywhere_and_never_take_the_last_token():
    rows = [[[0, 50]], [[0, 37], [900, 13]], [[0, 50]]]
    requests = load([50, 50, 50], [1, 1, 1], np.array([0, 10, 20]) * MS, **conversation(*rows))
    assert run(requests).requests["cached_tokens"].tolist() == [0, 37, 49]
    assert run(requests, page_size=16).requests["cached_tokens"].tolist() == [0, 32, 48]
    assert not run(requests, disable_radix_cache=True).requests["cached_tokens"].any()


def test_outputs_are_cached_up_to_the_last_but_one():
    rows = [[[0, 20]], [[0, 20], [10**12, 10], [500, 5]]]
    requests = load([20, 35], [10, 1], np.array([0, 20 * MS]), **conversation(*rows))
    assert run(requests).requests["cached_tokens"].tolist() == [0, 29]
    # an end that nobody declared has computed one token more by then
    requests["declared_tokens"] = np.array([99, 1])
    assert run(requests, loop="overlap").requests["cached_tokens"].tolist() == [0, 30]


def test_a_prompt_is_shared_as_soon_as_it_is_computed():
    """The second of two that come together shares nothing, one that comes a step later all."""
    rows = [[[0, 40]], [[0, 40]], [[0, 40]]]
    requests = load([40, 40, 40], [9, 9, 9], np.array([0, 0, MS + 1]), **conversation(*rows))
    found = run(requests)
    assert found.requests["cached_tokens"].tolist() == [0, 0, 39]
    # what was computed twice is held once from then on: 39 + 1 of the tree, an own token each
    assert 10_000 - int(found.steps["free_blocks"][2]) < 50


@pytest.mark.parametrize(
    "policy, left",
    [("lru", [0, 30, 30]), ("mru", [30, 30, 0]), ("fifo", [0, 30, 30]), ("filo", [30, 30, 0])],
)
def test_who_is_evicted(policy, left):
    """Four prompts fill the memory, a long one takes a place, and three are asked for again."""
    ids = [[[1000 * k, 31]] for k in (1, 2, 3)]
    rows = [*ids, [[7000, 31]]]
    inputs = [31] * 4
    requests = load(inputs, [1] * 4, np.arange(4) * 10 * MS, **conversation(*rows))
    found = run(requests, max_total_tokens=100, radix_eviction_policy=policy)
    assert (found.requests["status"] == "done").all()
    again = load([*inputs, *[31] * 3], [1] * 7, np.arange(7) * 10 * MS, **conversation(*rows, *ids))
    hits = run(again, max_total_tokens=100, radix_eviction_policy=policy).requests
    assert hits["cached_tokens"][4] == left[0]
    assert hits["status"].tolist() == ["done"] * 7


def test_outputs_go_before_the_prompt():
    """They are a leaf of their own."""
    rows = [[[0, 30]], [[500, 60]], [[0, 30]]]
    requests = load([30, 60, 30], [21, 1, 1], np.array([0, 30, 40]) * MS, **conversation(*rows))
    found = run(requests, max_total_tokens=100).requests
    assert found["cached_tokens"].tolist() == [0, 0, 29]


def test_hashes_of_blocks_are_as_good_as_ids():
    """Equal hashes are equal tokens, page for page, and a last hash may be of less than a block."""
    hashes = [np.array([1, 2, 3]), np.array([1, 2, 4]), np.array([1, 2, 3])]
    requests = load([40, 48, 48], [1, 1, 1], np.array([0, 10, 20]) * MS)
    requests |= {"block_hashes": hashes, "hash_block": 16}
    assert run(requests).requests["cached_tokens"].tolist() == [0, 32, 40]
    assert run(requests, page_size=8).requests["cached_tokens"].tolist() == [0, 32, 40]
    with pytest.raises(ValueError, match=r"hash_block is 16; allowed: a multiple of .* \(3\)"):
        run(requests, page_size=3, chunked_prefill_size=-1)


# --- what holds at every step -----------------------------------------------------------------------------------


@given(seed=st.integers(0, 10**9))
def test_tokens_memory_and_requests_are_conserved(seed):
    trace = scenarios.draw(seed)
    found = scenarios.play(trace, record_steps=True)
    steps, entries, requests = found.steps, found.entries, found.requests
    config = found.config
    blocks = config["max_total_tokens"] // config["page_size"]
    assert (np.bincount(entries["step"], entries["tokens"], len(steps)) == steps["tokens"]).all()
    assert ((steps["free_blocks"] >= 0) & (steps["free_blocks"] <= blocks)).all()
    assert (steps["running"] <= config["max_running_requests"]).all()
    assert (steps["cached_hashes"] <= blocks).all()
    assert (np.diff(steps["scheduled_ns"]) >= 0).all() and (np.diff(steps["start_ns"]) >= 0).all()
    assert (steps["end_ns"][:-1] <= steps["start_ns"][1:]).all()
    assert (steps["end_ns"] - steps["start_ns"]).sum() == found.totals["busy_ns"]
    served = requests[requests["status"] == "done"]
    assert (served["arrival_ns"] <= served["scheduled_ns"]).all()
    assert (served["scheduled_ns"] < served["first_token_ns"]).all()
    assert (served["first_token_ns"] <= served["last_token_ns"]).all()
    assert set(requests["status"].tolist()) <= {"done", "rejected"}  # nobody starves
    plain = not config["enable_priority_scheduling"] and config["schedule_policy"] == "fcfs"
    if plain and not found.totals["preemptions"]:
        order = np.lexsort((np.arange(len(served)), served["arrival_ns"]))
        assert (np.diff(served["scheduled_ns"][order]) >= 0).all()  # nobody is passed


@given(seed=st.integers(0, 10**9))
def test_energy_adds_up(seed):
    """Tokens of prompts pay by tokens, the others evenly; all pay for all steps."""
    trace = scenarios.draw(seed)
    step = serving.StepTime(*trace["step_time"].values(), watts=700.0, idle_watts=80.0)
    by_steps, by_counters = (
        scenarios.play(trace, step_time=step, record_steps=record) for record in (True, False)
    )
    joules = by_steps.requests["joules"]
    assert by_counters.requests["joules"] == pytest.approx(joules, rel=1e-9, abs=1e-12)
    assert by_steps.energy.busy_j == pytest.approx(700e-9 * by_steps.totals["busy_ns"], rel=1e-9)
    assert joules.sum() == pytest.approx(by_steps.energy.busy_j, rel=1e-9)
    tokens = by_steps.steps["tokens"][by_steps.entries["step"]]
    own = by_steps.steps["joules"][by_steps.entries["step"]] / np.maximum(tokens, 1)
    paid = np.bincount(
        by_steps.entries["request"], own * by_steps.entries["tokens"], minlength=len(joules)
    )
    assert joules == pytest.approx(paid, rel=1e-9, abs=1e-12)
    assert (by_steps.series()["kv_share"] <= 1.0 + 1e-12).all()


def test_replicas_routers_and_threads():
    requests = serving.poisson(300.0, requests=2000, input_tokens=300, output_tokens=40, seed=1)
    found = run(requests, replicas=3).requests
    assert (found["replica"] == np.arange(2000) % 3).all() and (found["status"] == "done").all()
    one, two = (run([requests] * 3, loop="overlap", threads=n) for n in (1, 2))
    assert [a.requests.tobytes() for a in one] == [b.requests.tobytes() for b in two]
    turns = serving.sessions(8.0, 60, turns=5, seed=2)
    hits = [
        run(turns, replicas=4, router=router, max_total_tokens=200_000, context_length=100_000)
        .requests["cached_tokens"].sum()
        for router in ("round_robin", "prefix_aware")
    ]  # fmt: skip
    assert hits[1] > 1.3 * hits[0] > 0
