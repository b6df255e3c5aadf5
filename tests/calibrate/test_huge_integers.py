"""Integers that no float holds, in measured tables: a cell like any other that is no number, never a crash."""

import io

import pandas as pd
import pytest

from _measured import DEVICE, measured
from tokenroof.calibrate import SPECS, read_operator, read_serving
from tokenroof.calibrate.power import read_power

HUGE = "9" * 400
SERVING = (
    "model,device,engine,concurrency,input_tokens,output_tokens,tp,weights,ttft_ms,tpot_ms\n"
    "Llama-3.1-8B,h200,vllm,8,1024,1024,1,bf16,60.0,6.5\n"
    "Llama-3.1-8B,h200,vllm,16,1024,512,1,bf16,90,7.5\n"
)
POWERS = "gemm_dtype,m,n,k,latency,power\nfp8,4096,4096,4096,0.5,600\n"


def _with(text: str, column: str, cell: str) -> pd.DataFrame:
    """The table with one cell of its last row as another, as `read_csv` has it."""
    frame = pd.read_csv(io.StringIO(text), dtype=str)
    frame.loc[len(frame) - 1, column] = cell
    return pd.read_csv(io.StringIO(frame.to_csv(index=False)))


@pytest.mark.parametrize("operator", SPECS)
def test_a_row_of_an_operator_with_one_is_left_out(operator):
    table = measured(operator)
    numbers = [n for n in SPECS[operator].columns if n in table and n not in SPECS[operator].types]
    rows = len(table)
    table = table.astype(dict.fromkeys([*numbers, "time_s"], object))
    for row, column in enumerate([*numbers, "time_s"]):  # a row for each column
        table.loc[row, column] = int(HUGE)
    read = read_operator(operator, table, DEVICE)
    assert read.counts["times missing, zero or negative"] == 1
    assert read.counts["shapes missing, zero or negative"] == len(numbers)
    assert len(read) == rows - len(numbers) - 1


@pytest.mark.parametrize(
    "column", ["concurrency", "input_tokens", "output_tokens", "tp", "ttft_ms", "tpot_ms"]
)
@pytest.mark.parametrize("cell", [HUGE, "-" + HUGE, "inf", "eight"])
def test_a_row_of_a_serving_table_with_one_is_left_out(column, cell):
    assert len(read_serving(_with(SERVING, column, cell))) == 1


@pytest.mark.parametrize("column", ["m", "n", "k", "power"])
def test_a_table_of_powers_with_one_names_its_column(column, tmp_path):
    file = tmp_path / "gemm.csv"
    good = POWERS + POWERS.splitlines()[1] + "\n"
    _with(good, column, HUGE).to_csv(file, index=False)
    with pytest.raises(ValueError, match=rf"column {column} is no .*; allowed: numbers"):
        read_power(file, "H200-SXM", "gemm")
