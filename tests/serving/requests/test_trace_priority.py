"""Priorities of a table's rows: read where there are some, refused where they are none."""

import pytest

from tokenroof.cli import main
from tokenroof.serving.requests import trace

ROWS = "arrival,input_tokens,priority,output_tokens\n0.5,300,7,44\n0.25,200,-2,30\n0.75,0,9,12\n1,400,3,10\n"


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text(ROWS)
    return file


@pytest.mark.parametrize("chunk", [1, 2, 1000])
def test_a_row_keeps_its_own(path, chunk):
    read = trace(path, "csv", sort=True, failed="skip", chunk=chunk)
    assert read.priority.tolist() == [-2, 7, 3] and read.input_tokens.tolist() == [200, 300, 400]
    assert trace(path, "csv", limit=1).priority.tolist() == [7]


def test_without_a_column_all_are_of_one_class(path):
    path.write_text("arrival,input_tokens,output_tokens\n0.5,300,44\n")
    assert trace(path, "csv").priority.tolist() == [0]
    with pytest.raises(ValueError, match="no column 'class' among"):
        trace(path, "csv", columns={"priority": "class"})
    path.write_text("arrival,input_tokens,class,output_tokens\n0.5,300,4,44\n")
    assert trace(path, "csv", columns={"priority": "class"}).priority.tolist() == [4]


@pytest.mark.parametrize("bad", ["", "1.5", "urgent", str(2**31), str(-(2**31) - 1)])
def test_what_is_no_priority_is_named(path, bad):
    path.write_text(ROWS.replace(",7,", f",{bad},"))
    with pytest.raises(
        ValueError, match=r"line 2: priority is .*; expected whole numbers from -2147483648 to"
    ):
        trace(path, "csv", sort=True, failed="skip")


def test_rows_that_were_written_are_read_with_their_classes(tmp_path, capsys):
    """In turn by priority with one place: whoever came later goes first, again from the file."""
    one, two = tmp_path / "one.csv", tmp_path / "two.csv"
    where = (
        "simulate",
        "H200-SXM",
        "Llama-3.1-8B",
        "--knob",
        "policy=priority",
        "--knob",
        "max_num_seqs=1",
    )
    load = (
        "--rate",
        "500",
        "--requests",
        "20",
        "--output-tokens",
        "20",
        "--priorities",
        "0:0.5,5:0.5",
    )
    assert main([*where, *load, "--csv", str(one)]) == 0
    assert main([*where, "--trace", str(one), "--csv", str(two)]) == 0
    a, b = (trace(path, "csv").priority.tolist() for path in (one, two))
    assert a == b and set(a) == {0, 5}
    capsys.readouterr()
