"""Tables of one's own as traces: marks between values, other names and units, requests that failed."""

import json

import pytest

from tokenroof.serving.requests import trace

NAMES = {"arrival": "when_ms", "input_tokens": "prompt", "output_tokens": "completion"}
ROWS = [
    ("1", "250.0", "100", "7"),
    ("2", "750.5", "90", ""),
    ("3", "1000", "", "5"),
    ("4", "2000", "80", "9"),
]


@pytest.fixture
def own(tmp_path):
    def write(between=",", rows=ROWS):
        path = tmp_path / "own.csv"
        head = ("id", "when_ms", "prompt", "completion")
        path.write_text("".join(between.join(row) + "\n" for row in (head, *rows)))
        return path

    return write


@pytest.mark.parametrize("between", [",", ";", "\t"])
@pytest.mark.parametrize("layout", ["csv", "burstgpt"])
def test_own_names_units_and_marks(own, between, layout):
    got = trace(own(between), layout, columns=NAMES, unit_s=1e-3, failed="skip")
    assert got.arrival_ns.tolist() == [250_000_000, 2_000_000_000]
    assert got.input_tokens.tolist() == [100, 80] and got.output_tokens.tolist() == [7, 9]


def test_a_row_without_tokens_is_refused_unless_skipped(own):
    with pytest.raises(
        ValueError, match="own.csv, line 4: prompt is ''; expected whole numbers from 1"
    ):
        trace(own(), "csv", columns=NAMES, unit_s=1e-3)
    with pytest.raises(
        ValueError, match="own.csv, line 2: prompt is 'x'; expected whole numbers from 0"
    ):
        trace(own(rows=[("1", "0", "x", "7")]), "csv", columns=NAMES, failed="skip")


@pytest.mark.parametrize("lacking", [{"output_length": None}, {"output_length": 0}, {}])
def test_lines_of_json_without_tokens_too(tmp_path, lacking):
    whole = {"timestamp": 1.5, "input_length": 20, "output_length": 5}
    bad = {"timestamp": 1, "input_length": 30} | lacking
    path = tmp_path / "own.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in (bad, whole)))
    assert trace(path, "vllm-bench", failed="skip").input_tokens.tolist() == [20]
    with pytest.raises(ValueError, match=r"own.jsonl, line 1: (no )?output_length"):
        trace(path, "vllm-bench")


def test_what_is_said_of_a_unit_or_a_name(own):
    with pytest.raises(
        ValueError, match="times of azure are dates; those of layout 'csv' are numbers"
    ):
        trace(own(), "azure", unit_s=1e-3)
    with pytest.raises(
        ValueError, match=r"allowed: names for arrival, .*, as \{'input_tokens': 'prompt_len'\}"
    ):
        trace(own(), "csv", columns={"when_ms": "arrival"})
