"""Tables of powers with a fault: the column is named, and what is allowed."""

import pytest

from tokenroof.calibrate.power import read_power

HEAD = "gemm_dtype,m,n,k,latency,power"
GOOD = ["fp8,4096,4096,4096,0.5,600", "fp8,8192,4096,4096,0.9,"]


def _read(tmp_path, *lines):
    file = tmp_path / "gemm.csv"
    file.write_text("\n".join(lines) + "\n")
    return read_power(file, "H200-SXM", "gemm")


def test_rows_without_a_power_are_left_out(tmp_path):
    read = _read(tmp_path, HEAD, *GOOD)
    assert {len(values) for values in read.values()} == {1}


@pytest.mark.parametrize("column", ["m", "n", "k", "latency", "power"])
def test_a_word_among_numbers(column, tmp_path):
    at = HEAD.split(",").index(column)
    cells = GOOD[0].split(",")
    cells[at] = "many"
    with pytest.raises(ValueError, match=rf"column {column} .*'many'.*; allowed: numbers"):
        _read(tmp_path, HEAD, *GOOD, ",".join(cells))


def test_a_missing_column(tmp_path):
    with pytest.raises(ValueError, match=r"no column 'k'; allowed: one with gemm_dtype, m, n, k"):
        _read(tmp_path, HEAD.replace(",k,", ",q,"), *GOOD)
