"""Traces: what is read of each layout, and the line of what is not.

The traces here are written by the tests themselves: a few rows each in the public layouts, with numbers of
our own.
"""

import gzip
import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenroof.serving.requests import LAYOUTS, Requests, as_requests, trace

MOONCAKE = [
    {"timestamp": 0, "input_length": 1000, "output_length": 5, "hash_ids": [0, 1]},
    {"timestamp": 27, "input_length": 1024, "output_length": 50, "hash_ids": [0, 7]},
    {"timestamp": 27, "input_length": 511, "output_length": 1, "hash_ids": []},
]
BAILIAN = [
    {"chat_id": 9, "parent_chat_id": 5, "timestamp": 0.5, "input_length": 20, "output_length": 7,
     "type": "text", "turn": 2, "hash_ids": [11, 2**64 - 1]},
    {"chat_id": 4, "parent_chat_id": -1, "timestamp": 61.114, "input_length": 32, "output_length": 7,
     "type": "text", "turn": 1, "hash_ids": [1, 2]},
    {"chat_id": 6, "parent_chat_id": 4, "timestamp": 70.0, "input_length": 48, "output_length": 9,
     "type": "text", "turn": 2, "hash_ids": [1, 2, 3]},
]  # fmt: skip
AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.9951690,396,109\n"
AZURE_2024 = AZURE.replace("0.9951690", "0.995169+00:00").replace("46.6805900", "46+00:00")
BURST = (
    "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    '5,ChatGPT,472,18,490,Conversation log\n5,GPT-4,9,0,9,"API log, failed"\n45.5,ChatGPT,1087,230,1317,Conversation log\n'
)


def lines_of(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


GOOD = {
    "mooncake": lines_of(MOONCAKE),
    "bailian": lines_of(BAILIAN),
    "azure": AZURE,
    "burstgpt": BURST.replace("9,0,9", "9,1,10").replace("log, failed", "log"),
    "csv": "arrival,input_tokens,output_tokens\n0.500125,374,44\n2.000125,396,109\n",
    "vllm-bench": lines_of([{**row, "hash_ids": list(range(-(-row["input_length"] // 16)))} for row in MOONCAKE]),
}  # fmt: skip


@pytest.fixture
def write(tmp_path):
    def write(content, name="trace"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def same(a: Requests, b: Requests) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in Requests.__slots__)


# --- what is read --------------------------------------------------------------------------------------


def test_mooncake(write):
    got = trace(write(GOOD["mooncake"]), "Mooncake")
    assert got.arrival_ns.tolist() == [0, 27_000_000, 27_000_000]
    assert got.input_tokens.tolist() == [1000, 1024, 511]
    assert got.output_tokens.tolist() == [5, 50, 1] == got.declared_tokens.tolist()
    assert got.block_hashes.tolist() == [0, 1, 0, 7] and got.hash_offsets.tolist() == [0, 2, 4, 4]
    assert got.hash_block == 512


def test_mooncake_turns_that_come_a_delay_after(write):
    rows = [
        {"session_id": "a", "timestamp": 5, "input_length": 10, "output_length": 1},
        {"session_id": "b", "timestamp": 6, "input_length": 10, "output_length": 1},
        {"session_id": "a", "delay": 250, "input_length": 20, "output_length": 2},
        {"session_id": "a", "delay": 0.5, "input_length": 30, "output_length": 2},
    ]
    for chunk in (1, 2, 100):
        got = trace(write(lines_of(rows)), "mooncake", chunk=chunk)
        assert got.after.tolist() == [-1, -1, 0, 2]
        assert got.think_ns.tolist() == [0, 0, 250_000_000, 500_000]
        assert got.arrival_ns.tolist() == [5_000_000, 6_000_000, 0, 0]
        assert got.hash_block == 0


@pytest.mark.parametrize("name", ["azure", "azure-2023", "Azure 2024"])
def test_azure(write, name):
    got = trace(write(AZURE), name)
    assert got.arrival_ns.tolist() == [0, 4_314_579_000]
    assert got.input_tokens.tolist() == [374, 396] and got.output_tokens.tolist() == [44, 109]
    assert trace(write(AZURE_2024), name).arrival_ns.tolist() == [0, 4_995_169_000]


def test_burstgpt_leaves_out_what_failed_if_asked(write):
    path = write(BURST)
    with pytest.raises(
        ValueError, match="trace, line 3: Response tokens is '0'; expected whole numbers from 1"
    ):
        trace(path, "burstgpt")
    got = trace(path, "burstgpt", failed="skip")
    assert got.arrival_ns.tolist() == [5 * 10**9, 45_500_000_000]
    assert got.input_tokens.tolist() == [472, 1087] and got.output_tokens.tolist() == [18, 230]


def test_bailian(write):
    path = write(GOOD["bailian"])
    got = trace(path, "bailian")
    assert got.arrival_ns.tolist() == [500_000_000, 61_114_000_000, 70 * 10**9]
    assert got.block_hashes.tolist() == [11, -1, 1, 2, 1, 2, 3] and got.hash_block == 16
    assert got.after.tolist() == [-1, -1, -1]
    turns = trace(path, "bailian", closed=True, think_s=2.5, chunk=1)
    assert turns.after.tolist() == [-1, -1, 1]
    assert turns.think_ns.tolist() == [0, 0, 2_500_000_000]


def test_vllm_bench_with_names_and_units_of_its_own(write):
    rows = [
        {"t": 10, "prompt_len": 40, "out": 3, "hash_ids": [5, 6]},
        {"t": 20, "prompt_len": 33, "out": 3, "hash_ids": [5, 7]},
    ]
    got = trace(
        write(lines_of(rows)), "vllm-bench", unit_s=0.001, hash_block=32,
        columns={"arrival": "t", "input_tokens": "prompt_len", "output_tokens": "out"},
    )  # fmt: skip
    assert got.arrival_ns.tolist() == [10_000_000, 20_000_000] and got.hash_block == 32
    assert got.input_tokens.tolist() == [40, 33] and got.block_hashes.tolist() == [5, 6, 5, 7]


@pytest.mark.parametrize("layout", GOOD)
def test_packed_or_in_chunks_or_with_windows_ends_it_is_the_same(write, layout):
    text = GOOD[layout]
    whole = trace(write(text), layout)
    assert same(as_requests(whole), whole) and len(whole) >= 2
    for other in (
        trace(write(gzip.compress(text.encode())), layout),
        trace(write(text), layout, chunk=1),
        trace(write(text.replace("\n", "\r\n")), layout),
        trace(write("\ufeff" + text.rstrip("\n")), layout),
        trace(write(text.replace("\n", "\n\n")), layout, limit=3),
    ):
        assert same(whole, other)
    assert len(trace(write(text), layout, limit=1)) == 1
    assert trace(write(text), layout, hash_block=0).hash_block == 0


# --- what is not: the line, and what was expected --------------------------------------------------------


def change(layout, row, **values):
    """A trace whose row, from 1 on, has other values; None takes a key away."""
    if layout in ("azure", "burstgpt"):
        head, *rows = GOOD[layout].splitlines()
        cells = dict(zip(head.split(","), rows[row - 1].split(","), strict=False)) | values
        rows[row - 1] = ",".join(str(cells[name]) for name in head.split(","))
        return "\n".join([head, *rows]) + "\n"
    rows = [json.loads(line) for line in GOOD[layout].splitlines()]
    rows[row - 1] = {k: v for k, v in {**rows[row - 1], **values}.items() if v != "absent"}
    return lines_of(rows)


BAD = [
    ("mooncake", {"timestamp": -1}, "line 2: timestamp is -1; expected times from 0 to"),
    ("mooncake", {"timestamp": "1"}, "line 2: timestamp is '1'; expected times from 0 to"),
    ("mooncake", {"timestamp": True}, "line 2: timestamp is True"),
    ("mooncake", {"timestamp": float("nan")}, "line 2: timestamp is nan"),
    ("mooncake", {"timestamp": 2**70}, f"line 2: timestamp is {2**70}"),
    ("mooncake", {"timestamp": 28}, "line 3: timestamp is 27, before that of line 2; expected times that do not fall"),
    ("mooncake", {"timestamp": "absent"}, "line 2: no timestamp; expected a JSON object with timestamp, input_length, output_length"),
    ("mooncake", {"input_length": "absent"}, "line 2: no input_length"),
    ("mooncake", {"output_length": None}, "line 2: output_length is null"),
    ("mooncake", {"input_length": 0}, "line 2: input_length is 0; expected whole numbers from 1 to 2147483647"),
    ("mooncake", {"output_length": 1.5}, "line 2: output_length is 1.5; expected whole"),
    ("mooncake", {"output_length": 2**31}, "line 2: output_length is 2147483648"),
    ("mooncake", {"hash_ids": [1]}, "line 2: hash_ids has 1 entry; expected 2: one for each block of 512 of 1024 tokens"),
    ("mooncake", {"hash_ids": [1, "a"]}, "line 2: hash_ids is [1, 'a']; expected a list of integers"),
    ("mooncake", {"hash_ids": [1, 2**64]}, "line 2: hash_ids is [1, 18446744073709551616]"),
    ("mooncake", {"hash_ids": "absent"}, "line 2: hash_ids is None; expected a list"),
    ("mooncake", {"delay": 5}, "line 2: delay without an earlier line of the same session_id"),
    ("mooncake", {"delay": -5, "session_id": 1}, "line 2: delay without"),
    ("mooncake", {"session_id": [1]}, "line 2: session_id is [1]"),
    ("mooncake", {"wait_for": [1]}, "line 2: wait_for is 1; expected ids of requests on lines before"),
    ("bailian", {"chat_id": 9}, "line 2: chat_id is 9 a second time"),
    ("bailian", {"parent_chat_id": "absent"}, "line 2: parent_chat_id is None"),
    ("azure", {"TIMESTAMP": "2023-13-16 18:15:50"}, "line 3: TIMESTAMP is '2023-13-16 18:15:50'; expected dates"),
    ("azure", {"TIMESTAMP": "yesterday"}, "line 3: TIMESTAMP is 'yesterday'; expected dates"),
    ("azure", {"TIMESTAMP": "9999-01-01 00:00:00"}, "line 3: TIMESTAMP is '9999"),
    ("azure", {"TIMESTAMP": "2023-11-16 18:15:46"}, "line 3: TIMESTAMP is '2023-11-16 18:15:46', before that of line 2"),
    ("azure", {"TIMESTAMP": "2023-11-16 18:15:50+01:00"}, "line 3: TIMESTAMP is '2023-11-16 18:15:50+01:00'"),
    ("azure", {"ContextTokens": "0"}, "line 3: ContextTokens is '0'; expected whole"),
    ("azure", {"ContextTokens": "1_000"}, "line 3: ContextTokens is '1_000'"),
    ("azure", {"ContextTokens": "٣"}, "line 3: ContextTokens is '٣'"),
    ("azure", {"ContextTokens": ""}, "line 3: ContextTokens is ''"),
    ("azure", {"GeneratedTokens": "-4"}, "line 3: GeneratedTokens is '-4'"),
    ("azure", {"GeneratedTokens": "4,5"}, "line 3: 4 values in '2023-11-16 18:15:50.9951690,396,4,5'; expected 3"),
    ("burstgpt", {"Timestamp": "4"}, "line 3: Timestamp is '4', before that of line 2"),
    ("burstgpt", {"Timestamp": "-4"}, "line 3: Timestamp is '-4'; expected times from 0"),
    ("burstgpt", {"Timestamp": "inf"}, "line 3: Timestamp is 'inf'"),
    ("burstgpt", {"Log Type": '"cut'}, "line 3: "),
]  # fmt: skip


@pytest.mark.parametrize("chunk", [1, 9])
@pytest.mark.parametrize(("layout", "values", "says"), BAD)
def test_a_bad_row_is_named(write, layout, values, says, chunk):
    path = write(change(layout, 2, **values))
    with pytest.raises(ValueError, match="^trace, line ") as error:
        trace(path, layout, chunk=chunk, closed=layout == "bailian")
    assert says in str(error.value)
    assert "; expected " in str(error.value)


@pytest.mark.parametrize("layout", GOOD)
def test_a_cut_file(write, layout):
    text = GOOD[layout].rstrip("\n")
    last = text.count("\n") + 1
    cut = text[: text.rindex("\n") + 8]
    with pytest.raises(ValueError, match=f"trace, line {last}: "):
        trace(write(cut), layout)
    packed = gzip.compress(text.encode() * 1)
    for broken in (packed[:-9], packed[:12], packed[:15] + b"\xff\xff" + packed[17:]):
        with pytest.raises(ValueError, match=r"trace, line \d+: .*expected a whole gzip file"):
            trace(write(broken), layout)


def test_other_bytes_and_columns_that_are_missing(write):
    with pytest.raises(ValueError, match="line 1: byte 3 is no text of UTF-8"):
        trace(write(b"{}\xff\n"), "mooncake")
    with pytest.raises(
        ValueError,
        match=r"line 1: no column 'TIMESTAMP' among none; expected a header with TIMESTAMP",
    ):
        trace(write(b""), "azure")
    with pytest.raises(ValueError, match="line 1: no column 'GeneratedTokens' among"):
        trace(write(AZURE.replace("Generated", "")), "azure")
    with pytest.raises(ValueError, match=r"line 1: '\[1\]'; expected a JSON object"):
        trace(write("[1]\n"), "mooncake")
    for deep in ("[" * 100_000, '{"a":' * 100_000, "9" * 5000):
        with pytest.raises(ValueError, match="line 1: "):
            trace(write(deep), "mooncake")
    with pytest.raises(NotADirectoryError):
        trace(write("") / "nothing", "azure")
    with pytest.raises(ValueError, match="no requests; allowed: a trace with at least one row"):
        trace(write(""), "mooncake")


@pytest.mark.parametrize(
    ("options", "kind", "says"),
    [
        ({"layout": "moon"}, ValueError, "layout is 'moon'; allowed: mooncake, azure, burstgpt, bailian, vllm-bench, csv"),
        ({"layout": None}, ValueError, "layout is None"),
        ({"hash_block": -1}, ValueError, "hash_block is -1"),
        ({"hash_block": 16}, ValueError, "hash_block is 16; allowed: None, as azure has no hashes"),
        ({"unit_s": 1.0}, ValueError, "unit_s is 1.0; allowed: None, as times of azure are dates"),
        ({"layout": "burstgpt", "unit_s": 0}, ValueError, "unit_s is 0"),
        ({"columns": {"time": "t"}}, ValueError, "columns has 'time': 't'; allowed: names for arrival"),
        ({"columns": "t"}, TypeError, "columns is 't'"),
        ({"failed": "maybe"}, ValueError, "failed is 'maybe'; allowed: refuse, skip"),
        ({"closed": True}, ValueError, "closed is True; allowed: False, as azure names no parents"),
        ({"think_s": -1}, ValueError, "think_s is -1"),
        ({"limit": 0}, ValueError, "limit is 0"),
        ({"chunk": 0}, ValueError, "chunk is 0"),
    ],
)  # fmt: skip
def test_what_is_refused(write, options, kind, says):
    with pytest.raises(kind) as error:
        trace(write(AZURE), **{"layout": "azure", **options})
    assert says in str(error.value)


def check(path, layout):
    try:
        got = trace(path, layout, chunk=2)
    except ValueError as error:
        said = re.match(r"trace, line \d+: .*; expected ", str(error), re.DOTALL)
        assert said or re.search(r"trace: no requests; allowed: ", str(error)), error
        return
    assert (got.input_tokens >= 1).all() and (got.output_tokens >= 1).all()
    assert (np.diff(got.arrival_ns[got.after < 0]) >= 0).all() and (got.arrival_ns >= 0).all()
    if got.hash_block:
        blocks = np.diff(got.hash_offsets)
        assert (blocks >= got.input_tokens // got.hash_block).all()


@pytest.mark.parametrize("layout", LAYOUTS)
@given(
    edits=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 20), st.binary(max_size=12)), min_size=1, max_size=4),
    pack=st.booleans(),
)  # fmt: skip
def test_any_change_of_a_trace_is_read_or_named(tmp_path_factory, layout, edits, pack):
    content = GOOD[layout].encode()
    for place, length, new in edits:
        content = content[:place] + new + content[place + length :]
    path = tmp_path_factory.mktemp("fuzz") / "trace"
    path.write_bytes(gzip.compress(content) if pack else content)
    check(path, layout)


_token = st.sampled_from([
    "-1", "0", "1", "1e400", "NaN", "null", "[]", "{}", '"', "true", "1.5", ",", "\n", "2**64", str(2**64),
    "9" * 400, '"timestamp":', '"input_length":', '"output_length":', '"hash_ids":', "{", "}", "\\u0000", "2023-11-16 18:15:46",
])  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
@given(parts=st.lists(_token, max_size=30), raw=st.binary(max_size=60), head=st.booleans())
def test_any_bytes_are_read_or_named(tmp_path_factory, layout, parts, raw, head):
    first = GOOD[layout].split("\n")[0] + "\n" if head else ""
    path = tmp_path_factory.mktemp("fuzz") / "trace"
    path.write_bytes((first + "".join(parts)).encode() + raw)
    check(path, layout)


def test_a_trace_of_many_hashes(write, benchmark):
    """As Mooncake's: 12,031 rows with 24 hashes each; seconds are a benchmark's matter."""
    row = '{"timestamp": %d, "input_length": 12035, "output_length": 343, "hash_ids": %s}\n'
    hashes = json.dumps(list(range(10**6, 10**6 + 24)))
    path = write(gzip.compress("".join(row % (i, hashes) for i in range(12_031)).encode()))
    got = benchmark(trace, path, "mooncake")
    assert len(got) == 12_031 and len(got.block_hashes) == 12_031 * 24


# --- logs as they are ----------------------------------------------------------------------------------


def test_rows_in_any_order(write):
    text = "arrival,input_tokens,output_tokens\n2,20,2\n0.5,10,1\n9,90,9\n2,21,3\n"
    path = write(text)
    with pytest.raises(
        ValueError, match=r"expected times that do not fall, or sort=True \(--sort\)"
    ):
        trace(path, "csv")
    for chunk in (1, 3, 99):
        got = trace(path, "csv", sort=True, chunk=chunk)
        assert got.arrival_ns.tolist() == [500_000_000, 2_000_000_000, 2_000_000_000, 9_000_000_000]
        assert got.input_tokens.tolist() == [10, 20, 21, 90]
        assert got.output_tokens.tolist() == [1, 2, 3, 9] == got.declared_tokens.tolist()
    # of the whole the first, not of the first the order
    assert trace(path, "csv", sort=True, limit=1).input_tokens.tolist() == [10]
    with pytest.raises(TypeError, match="sort is 1; allowed: True or False"):
        trace(path, "csv", sort=1)


def test_dates_and_hashes_in_any_order(write):
    first, second = AZURE.splitlines()[1:]
    path = write("\n".join([AZURE.splitlines()[0], second, first]))
    assert same(trace(path, "azure", sort=True), trace(write(AZURE, "sorted"), "azure"))
    rows = [{**row, "timestamp": time} for row, time in zip(MOONCAKE, (30, 9, 2), strict=True)]
    got = trace(write(lines_of(rows)), "mooncake", sort=True)
    want = trace(write(lines_of(rows[::-1]), "sorted"), "mooncake")
    assert same(got, want) and got.block_hashes.tolist() == [0, 7, 0, 1]
    turns = [{**MOONCAKE[0], "session_id": "a"}, {**MOONCAKE[1], "session_id": "a", "delay": 3}]
    with pytest.raises(
        ValueError, match="line 2: a row that waits for another; expected with sort=True"
    ):
        trace(write(lines_of(turns)), "mooncake", sort=True)


def test_rows_left_out_are_counted(write):
    path = write("arrival,input_tokens,output_tokens\n0,10,1\n1,0,5\n2,7,\n3,8,2\n")
    with pytest.raises(
        ValueError, match=r'line 3: .*from 1 to 2147483647, or failed="skip" \(--skip-failed\)'
    ):
        trace(path, "csv")
    got = trace(path, "csv", failed="skip", chunk=2)
    assert (len(got), got.left_out) == (2, 2)
    assert repr(got) == "Requests(2, input_tokens=18, output_tokens=3, left_out=2)"
    # up to the last request, whatever is read at once
    more = write("arrival,input_tokens,output_tokens\n0,5,1\n1,0,1\n2,6,1\n3,0,1\n4,7,1\n", "more")
    for n in (1, 2):
        assert trace(more, "csv", failed="skip", limit=2, chunk=n).left_out == 1
    rows = [{**MOONCAKE[0], "output_length": None}]
    with pytest.raises(ValueError, match=r"output_length is null.*--skip-failed"):
        trace(write(lines_of(rows)), "mooncake")


def test_two_columns_of_one_name(write):
    path = write("arrival,arrival,input_tokens,output_tokens\n0,1,5,6\n")
    with pytest.raises(ValueError, match="line 1: 2 columns called 'arrival'; expected one"):
        trace(path, "csv")
    spare = write("x,x,arrival,input_tokens,output_tokens\n0,1,4,5,6\n")
    assert trace(spare, "csv").arrival_ns.tolist() == [4_000_000_000]


@pytest.mark.parametrize(("power", "unit", "said"), [(3, 1e-3, "milli"), (6, 1e-6, "micro")])
def test_a_clock_in_another_unit(write, power, unit, said):
    path = write(f"arrival,input_tokens,output_tokens\n{1764370000 * 10**power},5,6\n")
    with pytest.raises(ValueError, match=rf"is it in {said}seconds, unit_s={unit:g} or --unit-s"):
        trace(path, "csv")
    assert trace(path, "csv", unit_s=unit).arrival_ns[0] == 1764370000 * 10**9
