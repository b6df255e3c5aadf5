"""Agents' rows of Mooncake's layout: who waits for whom and for which tools, and the line of what is not read."""

import gzip
import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.requests.test_traces import GOOD, check, lines_of
from tokenroof.serving import Scheduler, StepTime, simulate
from tokenroof.serving.requests import trace

AGENTS = [
    {
        "request_id": "a",
        "session_id": "s",
        "timestamp": 5,
        "input_length": 600,
        "output_length": 9,
        "hash_ids": [1, 2],
        "branches": ["c", 7],
        "prefix_reset": True,
    },
    {
        "request_id": "b",
        "session_id": "s",
        "input_length": 700,
        "output_length": 8,
        "hash_ids": [1, 2],
        "wait_for": ["a"],
        "delay": 10,
        "tool_wait_ms": 2.5,
        "prefix_reset": False,
    },
    {
        "request_id": "c",
        "session_id": "t",
        "timestamp": 6,
        "input_length": 100,
        "output_length": 7,
        "hash_ids": [9],
        "prefix_reset": True,
        "tool_wait_ms": 1,
    },
    {
        "request_id": 7,
        "session_id": "u",
        "timestamp": 7,
        "input_length": 100,
        "output_length": 6,
        "hash_ids": [9],
        "tool_events": [{"tool_call_id": "x"}],
    },
    {
        "request_id": "d",
        "session_id": "s",
        "input_length": 1500,
        "output_length": 5,
        "hash_ids": [1, 2, 3],
        "wait_for": ["b", "c", 7, "b"],
        "tool_wait_ms": 4,
    },
    {
        "request_id": "e",
        "session_id": "u",
        "delay": 3,
        "input_length": 200,
        "output_length": 4,
        "hash_ids": [9],
    },
    {
        "request_id": "f",
        "timestamp": 8.5,
        "input_length": 10,
        "output_length": 1,
        "hash_ids": [],
        "wait_for": [],
    },
]


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "trace"
        path.write_text(content)
        return path

    return write


@pytest.mark.parametrize("chunk", [1, 2, 100])
def test_agents_wait_for_each_other_and_for_tools(write, chunk):
    """By the rows' own words: who waits for whom, and how long after."""
    got = trace(write(lines_of(AGENTS)), "mooncake", chunk=chunk)
    assert got.after.tolist() == [-1, 0, 0, 0, 1, 3, -1]
    assert got.think_ns.tolist() == [0, 12_500_000, 1_000_000, 0, 4_000_000, 3_000_000, 0]
    assert got.arrival_ns.tolist() == [5_000_000, 0, 0, 0, 0, 0, 8_500_000]
    more = [
        got.also_after[a:b].tolist() for a, b in itertools.pairwise(got.also_after_offsets.tolist())
    ]
    assert more == [[], [], [], [], [2, 3], [], []]
    assert np.diff(got.hash_offsets).tolist() == [2, 2, 1, 1, 3, 1, 0]
    run = simulate(
        None,
        None,
        None,
        got,
        Scheduler.preset("vllm-0.33", num_blocks=1000),
        step_time=StepTime(10**6),
    ).requests
    ends = run["last_token_ns"]
    assert run["arrival_ns"][4] == max(ends[1], ends[2], ends[3]) + 4_000_000
    assert run["arrival_ns"][1] == ends[0] + 12_500_000
    assert len(trace(write(lines_of(AGENTS)), "mooncake", limit=3)) == 3
    plain = trace(write(GOOD["mooncake"]), "mooncake")
    assert not len(plain.also_after_offsets) and (plain.after == -1).all()


@pytest.mark.parametrize(
    ("line", "change", "says"),
    [
        (2, {"wait_for": ["z"]}, "wait_for is 'z'; expected ids of requests on lines before"),
        (2, {"wait_for": "a"}, "wait_for is 'a'; expected a list of request ids"),
        (2, {"wait_for": [1.5]}, "wait_for is 1.5; expected a text or an integer"),
        (2, {"tool_wait_ms": -1}, "tool_wait_ms is -1; expected times"),
        (2, {"tool_wait_ms": "long"}, "tool_wait_ms is 'long'; expected times"),
        (2, {"delay": None, "wait_for": None}, "no wait_for|timestamp"),
        (2, {"prefix_reset": "yes"}, "prefix_reset is 'yes'; expected true or false"),
        (2, {"request_id": "a"}, "request_id is 'a'; expected an id of its own"),
        (2, {"request_id": True}, "request_id is True; expected a text or an integer"),
        (3, {"branches": ["a"]}, "branches is 'a'; expected ids of requests on lines after"),
        (3, {"branches": ["c"]}, "branches is 'c'; expected"), (3, {"branches": {}}, "branches is {}; expected a list"),
        (2, {"branches": [7]}, "branches is 7; expected a child that no other line sends out"),
        (6, {"session_id": "new"}, "delay without wait_for, or an earlier line of the same session_id"),
        (7, {"tool_wait_ms": 5}, "tool_wait_ms is 5; expected 0 of a row that waits for no other"),
        (6, {"session_id": []}, r"session_id is \[\]; expected a text"),
    ],
)  # fmt: skip
def test_an_agents_row_that_is_refused(write, line, change, says):
    rows = [dict(row) for row in AGENTS]
    rows[line - 1].update(change)
    with pytest.raises(ValueError, match=f"trace, line {line}: .*(?:{says})"):
        trace(write(lines_of(rows)), "mooncake")


@given(
    edits=st.lists(st.tuples(st.integers(0, 900), st.integers(0, 20), st.binary(max_size=12)), min_size=1, max_size=4),
    pack=st.booleans(),
)  # fmt: skip
def test_any_change_of_a_trace_is_read_or_named(tmp_path_factory, edits, pack):
    content = lines_of(AGENTS).encode()
    for place, length, new in edits:
        content = content[:place] + new + content[place + length :]
    path = tmp_path_factory.mktemp("fuzz") / "trace"
    path.write_bytes(gzip.compress(content) if pack else content)
    check(path, "mooncake")


_KEYS = (
    "request_id",
    "session_id",
    "wait_for",
    "branches",
    "prefix_reset",
    "tool_wait_ms",
    "delay",
    "timestamp",
)
_VALUES = st.sampled_from(
    [None, 0, 1, -1, 2.5, 1e400, "a", "b", "", [], ["a"], [1, "a"], {}, True, False, 2**70]
)


@given(rows=st.lists(st.dictionaries(st.sampled_from(_KEYS), _VALUES), min_size=1, max_size=6))
def test_any_values_are_read_or_named(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("fuzz") / "trace"
    whole = {"timestamp": 1, "input_length": 10, "output_length": 2, "hash_ids": []}
    path.write_text("".join(json.dumps({**whole, **row}) + "\n" for row in rows))
    check(path, "mooncake")
