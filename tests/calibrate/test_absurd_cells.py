"""A measured table with a number that nothing measured has is refused: line, column, value, what is allowed."""

import io
import re

import pandas as pd
import pytest

import tokenroof as tr
from _measured import DEVICE, measured
from tokenroof.calibrate import SPECS, points, read_operator, read_serving
from tokenroof.calibrate.power import read_power
from tokenroof.calibrate.tables import read

MOST, NEXT = 2.0**53, 2.0**53 + 2.0
SERVING = (
    "model,device,engine,concurrency,mean_input_tokens,osl,tp,weights,rounds,ttft_ms,tpot_us\n"
    "Llama-3.1-8B,h200,vllm,8,1024,1024,1,bf16,10,60.0,6500\n"
    "Llama-3.1-8B,h200,vllm,16,1024,512,1,bf16,10,90,7500\n"
)
POWERS = {
    "gemm": "gemm_dtype,m,n,k,latency,power\nfp8,4096,4096,4096,0.5,600\n",
    "experts": "moe_dtype,num_tokens,hidden_size,inter_size,topk,num_experts,moe_tp_size,moe_ep_size,latency,power\n"
    "fp8,4096,4096,1536,8,128,1,1,1.5,600\n",
    "attention_prefill": "batch_size,isl,step,num_heads,num_key_value_heads,head_dim,window_size,kv_cache_dtype,"
    "latency,power\n4,1024,6,32,8,128,0,bfloat16,9,500\n",
}  # fmt: skip
COUNTS = "1 to 9007199254740992"


def _file(folder, text, column, cell, row=-1):
    """A table as a file, with one cell of a row (the last) as another."""
    header, *rows = text.splitlines()
    cells = rows[row].split(",")
    cells[header.split(",").index(column)] = cell
    rows[row] = ",".join(cells)
    path = folder / "table.csv"
    path.write_text("\n".join([header, *rows, ""]))
    return path


@pytest.mark.parametrize("operator", SPECS)
@pytest.mark.parametrize("value", [1e308, NEXT, 5e-324, 0.5])
def test_each_size_of_an_operator(operator, value):
    spec = SPECS[operator]
    table = measured(operator)
    for name in (n for n in spec.columns if n in table and n not in spec.types):
        spoilt = table.astype({name: float})
        spoilt.loc[7, name] = value
        said = f"row 7, column '{name}' is {value!r}; allowed: {COUNTS}"
        with pytest.raises(ValueError, match=re.escape(said)):
            read_operator(operator, spoilt, DEVICE)


@pytest.mark.parametrize(("value", "unit", "allowed"), [
    (1e308, None, "1e-15 to 1000000000 s"), (1.1e9, None, "1e-15 to 1000000000 s"), (9e-16, None, "1e-15 to 1000000000 s"),
    (1.1e12, "ms", "1e-12 to 1000000000000 ms"), (9e-10, "us", "1e-09 to 1000000000000000 us"),
])  # fmt: skip
def test_times_in_the_columns_own_unit(value, unit, allowed):
    table = measured("gemm")
    table.loc[3, "time_s"] = value
    said = f"row 3, column 'time_s' is {value!r}; allowed: {allowed}"
    with pytest.raises(ValueError, match=re.escape(said)):
        read_operator("gemm", table, DEVICE, unit)


@pytest.mark.parametrize(("column", "cell", "said"), [
    ("concurrency", "1e308", f"is 1e+308; allowed: {COUNTS}"), ("mean_input_tokens", "0.25", f"is 0.25; allowed: {COUNTS}"),
    ("osl", "1e16", f"is 1e+16; allowed: {COUNTS}"), ("rounds", "1e17", f"is 1e+17; allowed: {COUNTS}"),
    ("ttft_ms", "1e308", "is 1e+308; allowed: 1e-12 to 1000000000000 ms"),
    ("tpot_us", "1e-300", "is 1e-300; allowed: 1e-09 to 1000000000000000 us"),
])  # fmt: skip
def test_loads_and_times_of_a_serving_table(column, cell, said, tmp_path):
    path = _file(tmp_path, SERVING, column, cell)
    with pytest.raises(ValueError, match=re.escape(f"line 3, column '{column}' {said}")):
        read_serving(path)


@pytest.mark.parametrize("kind", POWERS)
def test_sizes_times_and_powers_of_a_table_of_powers(kind, tmp_path):
    numbers = [c for c in POWERS[kind].split("\n")[0].split(",") if "dtype" not in c]
    for column in numbers:
        allowed = {"latency": "1e-12 to 1000000000000 ms", "power": "1e-06 to 1000000000 W"}
        said = f"line 2, column '{column}' is 1e+308; allowed: {allowed.get(column, COUNTS)}"
        with pytest.raises(ValueError, match=re.escape(said)):
            read_power(_file(tmp_path, POWERS[kind], column, "1e308"), "H100-SXM", kind)


def test_the_largest_are_read(tmp_path):
    table = measured("gemm").astype({"m": float})
    table.loc[7, "m"] = MOST  # computed without overflow, and left out as faster than the peak
    assert read_operator("gemm", table, DEVICE).counts["faster than the peak"] == 1
    for column in ("concurrency", "mean_input_tokens", "osl"):
        assert len(read_serving(_file(tmp_path, SERVING, column, f"{MOST:.0f}"))) == 1


def test_the_line_is_the_files(tmp_path):
    path = tmp_path / "gemm.csv"
    path.write_text(
        '\n \r\ngemm_dtype,"m",n,k,latency,note\r\nfp8,16,4096,4096,0.05,"of\ntwo lines"\n\n'
        'fp8,16,4096,1e300,0.05,""\n'
    )
    with pytest.raises(ValueError, match=r"^line 7, column 'k' is 1e\+300; allowed: 1 to "):
        read_operator("gemm", path, DEVICE)


def test_a_text_with_nul_is_no_name(tmp_path):
    path = tmp_path / "attention.csv"  # NumPy would take 'fp8' of it, which is known
    path.write_bytes(
        b"batch,heads,kv_heads,head_dim,kv_dtype,step,latency\n64,8,8,128,fp8,900,1\n64,8,8,128,fp8\0,900,1\n"
    )
    said = r"line 3, column 'kv_dtype' is 'fp8\x00'; allowed: text without NUL"
    with pytest.raises(ValueError, match=re.escape(said)):
        read_operator("attention_decode", path, DEVICE)
    path.write_bytes(path.read_bytes().replace(b"\0", b""))
    assert len(read_operator("attention_decode", path, DEVICE)) == 1  # both rows are of one shape
    with pytest.raises(ValueError, match=r"path is 'a\\x00.csv'; allowed: a path without NUL"):
        read_serving("a\0.csv")


def test_rows_wider_than_the_header_are_no_table(tmp_path):
    path = tmp_path / "gemm.csv"  # the columns would move by one
    path.write_text("gemm_dtype,m,n,k,latency\nfp8,16,4096,4096,4096,0.05\n")
    with pytest.raises(
        ValueError, match="cannot be read: its rows have more cells than its header"
    ):
        read(path)


@pytest.mark.parametrize(
    "name", ["power_law_1e308", "power_law_-1", "power_law_nan", "power_law_", "zipf"]
)
def test_distributions_that_are_none(name):
    table = measured("experts").assign(distribution=name)
    with pytest.raises(ValueError, match=r"distribution is .*; allowed: balanced, .* from 0 to 10"):
        read_operator("experts", table, DEVICE)


def test_powers_that_are_not_numbers_set_no_idle(tmp_path):
    frame = pd.DataFrame({
        "gemm_dtype": "fp8", "m": 4096, "n": [4096, 4096, 2048], "k": 4096, "latency": 0.5, "power": [600.0, float("inf"), float("-inf")],
    })  # fmt: skip
    assert read_power(frame, "H100-SXM", "gemm")["least"] == [600.0]


def test_a_cell_that_is_a_long_text_is_quoted_in_part(tmp_path):
    path = _file(tmp_path, POWERS["gemm"], "k", '{"a":' * 4000)
    with pytest.raises(ValueError, match="column k is no column of numbers") as refused:
        read_power(path, "H100-SXM", "gemm")
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize("operator", ["all_reduce", "all_gather", "reduce_scatter", "all_to_all"])
def test_one_rank_exchanges_nothing(operator):
    table = measured(operator)
    whole = len(read_operator(operator, table, DEVICE))
    alone = table.assign(ranks=1)
    found = read_operator(operator, pd.concat([table, alone], ignore_index=True), DEVICE)
    assert len(found) == whole and found.counts["nothing to do"] > 0
    with pytest.raises(ValueError, match=f"table of {operator} has no usable row: .* do nothing"):
        read_operator(operator, alone, DEVICE)


def test_an_unknown_name_is_looked_for_once(monkeypatch):
    asked = []
    monkeypatch.setattr(points, "find_device", lambda name: asked.append(name) or tr.device(name))
    rows = pd.read_csv(io.StringIO(SERVING))
    many = pd.concat([rows, rows.assign(device="H20O", osl=[7, 8])] * 3)
    many["concurrency"] = range(1, len(many) + 1)
    found = read_serving(many, possible=False)
    assert len(found) == 6 and sorted(asked) == ["H20O", "h200"]
    assert [n for why, n in found.counts.items() if "H20O" in why] == [6]
