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


@pytest.mark.parametrize("column", ["m", "n", "k"])
@pytest.mark.parametrize("cell", ["", "1e309", "-4096", "0"])
def test_a_row_without_a_size_is_left_out(column, cell, tmp_path):
    cells = GOOD[0].split(",")
    cells[HEAD.split(",").index(column)] = cell
    read = _read(tmp_path, HEAD, GOOD[0], ",".join(cells))
    assert {len(values) for values in read.values()} == {1}


def test_rows_of_attention_without_sizes_are_none(tmp_path):
    head = "batch_size,isl,step,num_heads,num_key_value_heads,head_dim,window_size,kv_cache_dtype,"
    head += "latency,power"
    file = tmp_path / "attention.csv"
    for row in (
        "4,1e309,6,,8,,,float16,9,5",
        "4,512,6,32,8,,0,float16,9,5",
        "0,512,6,32,8,128,0,float16,9,5",
    ):
        file.write_text(f"{head}\n{row}\n")
        with pytest.raises(ValueError, match="has no kernel of 100 us with a power"):
            read_power(file, "H100-SXM", "attention_decode")
    file.write_text(f"{head}\n4,512,0,32,0,128,0,float16,9,500\n")
    assert len(read_power(file, "H100-SXM", "attention_decode")["power"]) == 1


def test_what_an_idle_board_draws_is_the_lowest_fiftieth(tmp_path):
    """Of 101 rows from 100 to 200 W, in any order."""
    rows = [f"fp8,8192,4096,4096,0.9,{100 + (37 * i) % 101}" for i in range(101)]
    assert _read(tmp_path, HEAD, *rows)["least"].tolist() == pytest.approx([102.0])
