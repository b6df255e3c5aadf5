"""Files that are none: what comes through a pipe counts as a file's, and what has no end is refused."""

import gzip
import os
import threading
from contextlib import contextmanager, suppress

import pytest

from tokenroof.calibrate.tables import COUNTS, read, refuse_beyond
from tokenroof.catalogue.fits import first_from, fits
from tokenroof.cli import main
from tokenroof.serving import trace
from tokenroof.serving.requests.traces import lines

ROWS = b"arrival,input_tokens,output_tokens\n0,100,10\n1,100,11\n"
SCENARIO = b"[site]\npower_mw = 7\n[income]\nkind = 'nothing'\n"

pytestmark = pytest.mark.skipif(
    not os.path.exists("/dev/zero"), reason="Windows has no named pipes and no /dev/zero"
)


@contextmanager
def piped(tmp_path, *pieces, endless=b"", name="pipe"):
    """A named pipe that gives some bytes, and then others for ever."""
    path = tmp_path / name
    os.mkfifo(path)

    def write():
        with suppress(BrokenPipeError), path.open("wb", 0) as file:
            for piece in pieces:
                file.write(piece)
            while endless:
                file.write(endless)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    yield path
    writer.join(10)
    assert not writer.is_alive()


@pytest.mark.parametrize("packed", [False, True])
def test_a_trace_comes_through_a_pipe(tmp_path, packed):
    with piped(tmp_path, gzip.compress(ROWS) if packed else ROWS) as path:
        assert trace(path, "csv").output_tokens.tolist() == [10, 11]


def test_a_scenario_comes_through_a_pipe(tmp_path, capsys):
    with piped(tmp_path, SCENARIO) as path:
        assert main(["economics", "--scenario", str(path)]) == 0
    assert ": 7 MW, " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [("economics --scenario /dev/zero", "/dev/zero: the file is larger than 16 MiB"),
     ("economics --market /dev/zero", "the file is larger than 1 MiB"),
     ("simulate H200-SXM Llama-3.1-8B --layout csv --trace /dev/zero", "line 1: the line has no end")],
)  # fmt: skip
def test_what_has_no_end_is_refused(capsys, words, said):
    assert main(words.split()) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("tokenroof: ") and err.count("\n") == 1 and said in err


@pytest.mark.parametrize("more", [b"2,100,10\n" * 100, b"\n" * 1000])
def test_a_trace_through_a_pipe_ends_too(tmp_path, monkeypatch, more):
    """Lines without an end, blank ones too; of a file all are read."""
    monkeypatch.setattr(lines, "_MOST_PIPED", 10_000)
    with (
        piped(tmp_path, ROWS, endless=more) as path,
        pytest.raises(lines.TraceError, match="and no end; expected less, or a file"),
    ):
        trace(path, "csv")
    plain = tmp_path / "plain.csv"
    plain.write_bytes(ROWS + b"2,100,10\n" * 2000)
    assert len(trace(plain, "csv")) == 2002


def test_tables_and_fits_have_an_end(tmp_path):
    (tmp_path / "a.csv").symlink_to("/dev/zero")
    with pytest.raises(ValueError, match=r"a\.csv', a device; allowed: a \.csv or \.parquet file"):
        read(tmp_path / "a.csv")
    (tmp_path / "gemm.toml").symlink_to("/dev/zero")
    with (
        first_from(tmp_path),
        pytest.raises(ValueError, match="is larger than 16 MiB; allowed: fits"),
    ):
        fits("gemm")


def test_a_row_of_a_table_that_came_through_a_pipe_is_named(tmp_path):
    """Its line cannot be found in what was read already; nor is it waited for."""
    with piped(tmp_path, b"a\n1\n1e99\n", name="t.csv") as path:
        frame = read(path)
    with pytest.raises(ValueError, match="^row 1, column"):
        refuse_beyond(frame, "a", frame.a, COUNTS)
