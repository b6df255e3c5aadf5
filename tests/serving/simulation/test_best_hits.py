"""The best possible eviction: against all choices, against a plain twin, and never below a simulated cache."""

import itertools

import numpy as np
import pytest
import recorded
import scenarios
from hypothesis import given
from hypothesis import strategies as st

from tokenroof import serving


def load_of(prompts, outputs=1, output_id=None):
    """Requests whose prompts are lists of ids."""
    given = {
        "arrival": np.arange(len(prompts)) * 100.0,
        "input_tokens": np.array([len(ids) for ids in prompts]),
        "output_tokens": outputs,
        "prompt": [np.array([[i, 1] for i in ids]) for ids in prompts],
    }
    return given if output_id is None else given | {"output_id": output_id}


def uses(prompts, outputs, output_ids, size):
    """(block, request, counts) in order: a block is named by all ids up to its end."""
    found = []
    for r, (ids, many, first) in enumerate(zip(prompts, outputs, output_ids, strict=True)):
        known = [*ids, *range(first, first + many)]
        for i in range((len(known) - 1) // size):
            counts = i < (len(ids) - 1) // size
            found.append((tuple(known[: (i + 1) * size]), r, counts))
    return found


def most_stays(stream, places):
    """Of all choices of stays between two uses those that fit and are most, by trying each."""
    stays = []
    for at, (block, _, _) in enumerate(stream):
        nxt = next((k for k in range(at + 1, len(stream)) if stream[k][0] == block), None)
        if nxt is not None and stream[nxt][2]:
            stays.append((at, nxt))
    for many in range(len(stays), -1, -1):
        for chosen in itertools.combinations(stays, many):
            if all(sum(a <= t < b for a, b in chosen) <= places for t in range(len(stream))):
                return many
    return 0


PROMPTS = st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=4), min_size=1, max_size=5)


@given(prompts=PROMPTS, places=st.integers(1, 4), many=st.integers(1, 3), seed=st.integers(0, 3))
def test_no_choice_finds_more(prompts, places, many, seed):
    rng = np.random.default_rng(seed)
    outputs = rng.integers(1, many + 1, len(prompts))
    output_ids = rng.integers(0, 2, len(prompts))
    stream = uses(prompts, outputs, output_ids, 1)
    if len(stream) > 14:
        stream, prompts = uses(prompts[:2], outputs[:2], output_ids[:2], 1), prompts[:2]
        outputs, output_ids = outputs[:2], output_ids[:2]
    load = load_of(prompts, outputs, output_ids)
    assert serving.best_hits(load, places, 1).cached_tokens.sum() == most_stays(stream, places)


def belady(stream, places):
    """Whichever block is needed last goes, the one that comes among them; linear searches."""
    held, hits = set(), 0
    for at, (block, _, counts) in enumerate(stream):
        hits += counts and block in held

        def need(one, at=at):
            later = next((k for k in range(at + 1, len(stream)) if stream[k][0] == one), None)
            return later if later is not None and stream[later][2] else np.inf

        held = {one for one in held | {block} if need(one) < np.inf}
        if len(held) > places:
            held.remove(max(held, key=need))
    return hits


@given(seed=st.integers(0, 10**6), size=st.sampled_from([1, 2, 4]), places=st.integers(1, 40))
def test_a_plain_twin(seed, size, places):
    rng = np.random.default_rng(seed)
    stems = [rng.integers(0, 9, 12).tolist() for _ in range(3)]
    prompts = [
        stems[rng.integers(3)][: rng.integers(1, 13)]
        + rng.integers(0, 3, rng.integers(0, 5)).tolist()
        for _ in range(12)
    ]
    outputs, ids = rng.integers(1, 6, 12), rng.integers(0, 6, 12)
    found = serving.best_hits(load_of(prompts, outputs, ids), places, size)
    assert found.cached_tokens.sum() == size * belady(uses(prompts, outputs, ids, size), places)
    assert (found.cached_tokens <= found.input_tokens - 1).all() and not found.cached_tokens[0]
    more = serving.best_hits(load_of(prompts, outputs, ids), places + 1, size)
    assert more.cached_tokens.sum() >= found.cached_tokens.sum()


@given(seed=st.integers(0, 10**9))
def test_no_simulated_cache_finds_more(seed):
    """First come first served, one after the other: what the engine's own order finds is below the bound."""
    trace = scenarios.draw(seed, policy="fcfs", enable_prefix_caching=True, max_num_seqs=1)
    trace["config"]["max_num_active_seqs"] = 1
    trace["engine"]["vllm"] = "0.33.0"
    load = recorded.requests_of(trace) | {"after": -np.ones(len(trace["requests"]), int)}
    load["arrival_ns"] = np.arange(len(trace["requests"]))
    load.pop("think_ns")
    scheduler = serving.Scheduler.preset("vllm-0.33", loop="sync", **trace["config"])
    found = serving.simulate(None, None, None, load, scheduler, step_time=serving.StepTime(1000))
    served = found.requests["status"] == "done"
    if found.totals["preemptions"] or not served.all():
        return
    size = trace["config"]["block_size"]
    bound = serving.best_hits(load, trace["config"]["num_blocks"] - 1, size)
    assert found.requests["cached_tokens"].sum() <= bound.cached_tokens.sum()


def test_hashes_of_a_trace_are_units_of_blocks():
    """A unit of two blocks that comes twice; of the last block the last token is computed."""
    load = {
        "arrival": [0.0, 1.0, 2.0], "input_tokens": [64, 65, 64], "output_tokens": 1,
        "block_hashes": [np.array([1, 2]), np.array([1, 2, 3]), np.array([1, 9])], "hash_block": 32,
    }  # fmt: skip
    assert serving.best_hits(load, 100).cached_tokens.tolist() == [0, 64, 32]
    assert serving.best_hits(load, 1).cached_tokens.sum() == 32
    assert serving.best_hits(load, 100).share == 96 / 193


def test_nothing_shared_nothing_found():
    load = {"arrival": [0.0, 1.0], "input_tokens": 100, "output_tokens": 5}
    assert serving.best_hits(load, 10).cached_tokens.tolist() == [0, 0]


@pytest.mark.parametrize(
    "more, said",
    [
        ({"blocks": 0}, "blocks is 0; allowed: a positive integer"),
        ({"blocks": 4, "block_size": 0}, "block_size is 0; allowed: a positive integer"),
        (
            {"blocks": 4, "block_size": 5},
            r"hash_block is 32; allowed: a multiple of block_size \(5\)",
        ),
    ],
)
def test_what_is_refused(more, said):
    load = {
        "arrival": [0.0], "input_tokens": [64], "output_tokens": 1,
        "block_hashes": [np.array([1, 2])], "hash_block": 32,
    }  # fmt: skip
    with pytest.raises(ValueError, match=said):
        serving.best_hits(load, **more)
