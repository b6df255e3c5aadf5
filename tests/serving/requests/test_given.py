"""Requests that a caller gives: what is read, and what is refused, by name, place and value."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenroof.serving import simulate, trace
from tokenroof.serving.requests import Requests, as_requests

PLAIN = {"arrival": [0.0, 0.5, 0.5], "input_tokens": [5, 6, 7], "output_tokens": [1, 2, 3]}


def test_seconds_are_rounded_to_whole_nanoseconds():
    got = as_requests({"arrival": [0.1, 0.3], "input_tokens": 5, "output_tokens": np.int32(2)})
    assert got.arrival_ns.tolist() == [100_000_000, 300_000_000]
    assert got.input_tokens.tolist() == [5, 5] and got.output_tokens.tolist() == [2, 2]
    assert got.declared_tokens.tolist() == [2, 2] and got.after.tolist() == [-1, -1]
    assert got.arrival_s == pytest.approx([0.1, 0.3], rel=1e-15)
    assert len(got) == 2


def test_nanoseconds_beyond_float64_stay():
    late = 2**53 + 1
    for times in ([0, late], np.array([0, late])):
        got = as_requests({"arrival_ns": times, "input_tokens": 1, "output_tokens": 1})
        assert got.arrival_ns.tolist() == [0, late]


def test_a_record_is_frozen_and_comes_back_as_it_is():
    got = as_requests(PLAIN)
    assert as_requests(got) is got
    with pytest.raises(dataclasses.FrozenInstanceError):
        got.hash_block = 3
    for name in Requests.__slots__:
        array = getattr(got, name)
        if isinstance(array, np.ndarray):
            assert array.dtype == np.int64 and array.flags.c_contiguous
            assert not array.flags.writeable


def test_the_array_of_a_caller_stays_writeable():
    mine = np.array([0, 1, 2])
    as_requests({"arrival_ns": mine, "input_tokens": mine + 1, "output_tokens": 1})
    mine[0] = 0


def test_a_turn_starts_after_its_parent_whatever_its_own_arrival_says():
    got = as_requests({
        **PLAIN, "arrival": [0.0, np.nan, 0.0], "after": [-1, 0, 1], "think_s": [np.nan, 0.25, 1],
    })  # fmt: skip
    assert got.arrival_ns.tolist() == [0, 0, 0]
    assert got.think_ns.tolist() == [0, 250_000_000, 10**9]


def test_several_parents():
    got = as_requests({**PLAIN, "after": [-1, -1, 0], "also_after": [[], [], [1]]})
    assert got.also_after.tolist() == [1]
    assert got.also_after_offsets.tolist() == [0, 0, 0, 1]


def test_prompts_as_runs_of_ids():
    got = as_requests({**PLAIN, "prompt": [[[0, 5]], [[0, 5], [90, 1]], [[7, 7]]]})
    assert got.prompt.tolist() == [[0, 5], [0, 5], [90, 1], [7, 7]]
    assert got.prompt_offsets.tolist() == [0, 1, 3, 4]
    # outputs without an id of their own are like nothing else
    assert got.output_id.tolist() == [91, 92, 94]
    same = as_requests(
        {**PLAIN, "prompt": [[[0, 5]], [[0, 6]], [[0, 7]]], "output_id": [10, 20, 30]}
    )
    assert same.output_id.tolist() == [10, 20, 30]


@pytest.mark.parametrize("last", [0, 1])
def test_the_hash_of_the_last_block_may_be_left_out(last):
    hashes = [[1], [1], [1, 2][: 1 + last]]
    got = as_requests({**PLAIN, "input_tokens": [4, 4, 7], "block_hashes": hashes, "hash_block": 4})
    assert got.hash_offsets.tolist() == [0, 1, 2, 3 + last] and got.hash_block == 4
    assert got.block_hashes.tolist() == [1, 1, 1, 2][: 3 + last]


@pytest.mark.parametrize(
    ("change", "kind", "says"),
    [
        ({"arrival": [0.0, -0.5, 1]}, ValueError, "arrival[1] is -0.5; allowed: seconds from 0"),
        ({"arrival": [0.0, np.nan, 1]}, ValueError, "arrival[1] is missing, or nan; allowed: seconds from 0"),
        ({"arrival": [0.0, 2.0, 1.0]}, ValueError, "arrival[2] is 1.0; allowed: not before the request above it (2.0)"),
        ({"arrival": [0.0, 2.0, 1e11]}, ValueError, "arrival[2] is 100000000000.0"),
        ({"arrival": "soon"}, TypeError, "arrival is 'soon'"),
        ({"arrival": [True, False, True]}, TypeError, "arrival[0] is True; allowed: seconds"),
        ({"arrival_ns": [0, 1, 2]}, ValueError, "arrival and arrival_ns; allowed: one of them"),
        ({"input_tokens": [1, 0, 1]}, ValueError, "input_tokens[1] is 0; allowed: whole numbers from 1 to 2147483647"),
        ({"input_tokens": [1, 1.5, 1]}, ValueError, "input_tokens[1] is 1.5"),
        ({"input_tokens": [1, 2]}, ValueError, "input_tokens has shape (2,); allowed: (3,)"),
        ({"output_tokens": [1, 2, 2**31]}, ValueError, "output_tokens[2] is 2147483648"),
        ({"output_tokens": np.array([1, 2, 2**64 - 1], np.uint64)}, ValueError, "output_tokens[2] is 18446744073709551615"),
        ({"declared_tokens": [1, 1, 3]}, ValueError, "declared_tokens[1] is 1; allowed: at least its output_tokens (2)"),
        ({"after": [-1, 2, 0]}, ValueError, "after[1] is 2; allowed: an index below its own (1)"),
        ({"after": [-1, 1, 0]}, ValueError, "after[1] is 1; allowed: an index below its own (1)"),
        ({"after": [-1, 0, 3]}, ValueError, "after[2] is 3; allowed: whole numbers from -1 to 2"),
        ({"after": [-1, 0, 1], "think_s": [0, 0, -1]}, ValueError, "think_s[2] is -1.0"),
        ({"think_s": 1}, ValueError, "think_s without after"),
        ({"also_after": [[], [0], []]}, ValueError, "after[1] is -1; allowed: its first parent"),
        ({"after": [-1, 0, 0], "also_after": [[], [1], []]}, ValueError, "also_after[1] is 1; allowed: an index below"),
        ({"priority": [0, 2**31, 0]}, ValueError, "priority[1] is 2147483648"),
        ({"prompt": [[[0, 5]], [[0, 5]], [[0, 7]]]}, ValueError, "prompt[1] is '5 tokens'; allowed: as many as its input_tokens (6)"),
        ({"prompt": [[[0, 5]], [[0, 7], [0, -1]], [[0, 7]]]}, ValueError, "prompt[1] is -1"),
        ({"prompt": [[[0, 5]], [[0, 6], [0, 0]], [[0, 7]]]}, ValueError, "prompt[1] is [0, 0]; allowed: runs of at least one"),
        ({"prompt": [[0, 5], [[0, 6]], [[0, 7]]]}, ValueError, "prompt[0] is [0, 5]"),
        ({"prompt": [[[0, 5.0]], [[0, 6]], [[0, 7]]]}, ValueError, "prompt[0] is [[0, 5.0]]"),
        ({"prompt": [[[0, 5]]]}, ValueError, "prompt has 1 entry; allowed: 3"),
        ({"prompt": 7}, TypeError, "prompt is int"),
        ({"output_id": 7}, ValueError, "output_id without prompt"),
        ({"block_hashes": [[1], [1], [1]]}, ValueError, "block_hashes without hash_block"),
        ({"hash_block": 16}, ValueError, "hash_block without block_hashes"),
        ({"block_hashes": [[1, 2], [], [1]], "hash_block": 4}, ValueError, "block_hashes[1] is '0 hashes'; allowed: one for each block of 4 of its 6 tokens: 1 or 2"),
        ({"block_hashes": [[1], [1], [1]], "hash_block": 0}, ValueError, "hash_block is 0"),
        ({"prompt_tokens": 1}, ValueError, "'prompt_tokens'; did you mean 'input_tokens'?; allowed: arrival,"),
        ({"arival": [0]}, ValueError, "a key 'arival'; did you mean 'arrival'?; allowed: arrival,"),
    ],
)  # fmt: skip
def test_what_is_refused(change, kind, says):
    with pytest.raises(kind) as error:
        as_requests({**PLAIN, **change})
    assert says in str(error.value)


def test_a_number_of_blocks_that_may_be_one_alone_is_said_once():
    given = {**PLAIN, "block_hashes": [[1, 2], [1], [1, 2]], "hash_block": 3}
    with pytest.raises(ValueError, match=r"block_hashes\[1\] is '1 hashes'; .* its 6 tokens: 2$"):
        as_requests(given)


@pytest.mark.parametrize("key", ["arrival", "input_tokens", "output_tokens"])
def test_what_is_missing(key):
    with pytest.raises(ValueError, match=key):
        as_requests({k: v for k, v in PLAIN.items() if k != key})
    with pytest.raises(TypeError, match="requests are list"):
        as_requests([1])


_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from([
            "arrival", "arrival_ns", "input_tokens", "output_tokens", "after", "think_s", "prompt",
            "output_id", "block_hashes", "hash_block", "also_after", "priority", "declared_tokens",
        ]),
        _anything,
    )
)  # fmt: skip
def test_anything_gives_requests_or_one_clear_error(given_):
    try:
        got = as_requests(given_)
    except (ValueError, TypeError) as error:
        assert str(error)
    else:
        assert (got.after < np.arange(len(got))).all()
        assert (got.input_tokens >= 1).all()


def test_columns_of_a_frame_are_a_mapping_s_arrays():
    pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")
    columns = {
        "arrival": [0.0, 0.5, 0.5],
        "input_tokens": [100, 200, 7],
        "output_tokens": [10, 12, 3],
    }
    want = simulate("H200-SXM", "Llama-3.1-8B", None, columns).requests
    for frame in (pd.DataFrame(columns, index=[5, 5, 1]), pl.DataFrame(columns)):
        assert (as_requests(frame).input_tokens == [100, 200, 7]).all()
        assert (simulate("H200-SXM", "Llama-3.1-8B", None, frame).requests == want).all()
    with pytest.raises(ValueError, match="requests have a key 'user'; allowed"):
        as_requests(pd.DataFrame(columns | {"user": "a"}))
    slip = "requests have a key 'arrival_s'; did you mean 'arrival'\\?; allowed: arrival, "
    with pytest.raises(ValueError, match=slip):
        as_requests(pd.DataFrame(columns).rename(columns={"arrival": "arrival_s"}))
    with pytest.raises(
        TypeError,
        match="path is a DataFrame; allowed: the path of a file .simulate and as_requests",
    ):
        trace(pd.DataFrame(columns), "azure")


@pytest.mark.parametrize("frames", ["pandas", "polars"])
def test_a_null_of_a_frame_is_missing(frames):
    frame = pytest.importorskip(frames).DataFrame
    whole = {"arrival": [0.0, 1.0], "input_tokens": [5, 6], "output_tokens": [3, 4]}
    for name, column in whole.items():
        with pytest.raises(ValueError, match=rf"^{name}\[1\] is missing, or nan; allowed: "):
            as_requests(frame(whole | {name: [column[0], None]}))
        with pytest.raises(TypeError, match=rf"^{name}\[1\] is None; allowed: "):
            as_requests(whole | {name: [column[0], None]})
