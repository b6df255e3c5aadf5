"""Parts of the fits by hand: what is drawn and left out, bands, columns of tables and their units."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import tokenroof as tr
from _measured import DEVICE, measured
from tokenroof.calibrate import SPECS, power, read_operator, specs
from tokenroof.calibrate.bands import covered, pooled_band
from tokenroof.calibrate.engines import _by_device
from tokenroof.calibrate.experts import skews
from tokenroof.calibrate.fitting import Objective, sample, split
from tokenroof.calibrate.operator_fits import _version_key
from tokenroof.calibrate.points import _time, _whole, rule
from tokenroof.calibrate.tables import read, time_column


def test_versions_in_order():
    assert [_version_key(v) for v in ("1.0.0rc4", "0.19.0", "")] == [(1, 0, 0, 4), (0, 19, 0), ()]
    assert sorted(["0.9.1", "0.10.0", "0.9.1.post1"], key=_version_key) == [
        "0.9.1",
        "0.9.1.post1",
        "0.10.0",
    ]


def test_a_sample_is_of_the_table_in_its_order():
    table = read_operator("gemm", measured("gemm"), DEVICE)
    assert sample(table, len(table)) is table
    some = sample(table, 50)
    assert len(some) == 50 and set(some.time) <= set(table.time)
    place = {t: i for i, t in enumerate(table.time)}
    assert (np.diff([place[t] for t in some.time]) > 0).all()
    assert np.array_equal(some.time, sample(table, 50).time)


def test_whole_combinations_are_left_out():
    table = read_operator("gemm", measured("gemm"), DEVICE)
    out = split(table, ("n", "k"), share=0.25)
    keys = list(zip(table.columns["n"], table.columns["k"], strict=True))
    left, kept = (
        {k for k, gone in zip(keys, out, strict=True) if gone is np.bool_(x)} for x in (True, False)
    )
    assert not left & kept and len(left) == max(1, round(0.25 * len(set(keys))))
    few = split(table, ("k",), share=0.5)  # under four: row by row
    assert 0.3 < few.mean() < 0.7


def test_bands_of_points():
    """A tenth of ten errors lies beyond: between an engine's own and all engines'."""
    error, engines = np.arange(1.0, 11.0) / 100, np.array(["a"] * 5 + ["b"] * 5)
    every, own = np.quantile(error, 0.8), np.quantile(error[:5], 0.8)
    assert pooled_band(error, engines, "a") == pytest.approx(np.sqrt(every * own))
    assert pooled_band(error, engines, "c") == pytest.approx(every)
    assert pooled_band(error, engines, "b", level=1.0) == pytest.approx(0.1)
    predicted, groups = np.exp(np.array([0.0, 0.1, 0.0, -0.3])), np.array([0, 0, 1, 1])
    inside = covered(predicted, np.ones(4), groups)
    # the band of the second group is set on 0 and 0.1: 0.08; of the first on 0 and 0.3: 0.24
    assert inside.tolist() == [True, True, True, False]


def test_routing_by_its_name():
    assert skews(np.array(["balanced", "uniform", "random", "power_law_1.2"])).tolist() == [
        -1.0,
        -1.0,
        0.0,
        1.2,
    ]
    with pytest.raises(ValueError, match="distribution is 'zipf'; allowed"):
        skews(np.array(["random", "zipf"]))


@pytest.mark.parametrize("unit,scale", [(None, 1e-3), ("s", 1.0), ("ms", 1e-3), ("us", 1e-6)])
def test_units_of_times(unit, scale):
    assert time_column(pd.DataFrame({"latency": [1.0]}), unit)[1] == pytest.approx(
        scale if unit else time_column(pd.DataFrame({"latency": [1.0]}))[1]
    )
    assert _time(pd.DataFrame({"tpot_ms": [2.0, "x"]}), "tpot", unit)[0] == pytest.approx(
        2.0 * scale
    )
    for call in (lambda: time_column(pd.DataFrame({"latency": [1.0]}), "h"),
                 lambda: _time(pd.DataFrame({"tpot_ms": [2.0]}), "tpot", "h")):  # fmt: skip
        with pytest.raises(ValueError, match="unit is 'h'; allowed: s, ms, us"):
            call()


def test_tables_that_are_none(tmp_path):
    with pytest.raises(ValueError, match=r"x.txt has another ending; allowed: .csv, .parquet"):
        read("x.txt")
    (tmp_path / "x.csv").write_text("")
    with pytest.raises(ValueError, match="cannot be read"):
        read(tmp_path / "x.csv")
    with pytest.raises(ValueError, match="no column of times"):
        time_column(pd.DataFrame({"m": [1]}))
    with pytest.raises(
        ValueError,
        match="table has columns ttft_ms, ttft_s; allowed|table has columns ttft_s, ttft_ms",
    ):
        _time(pd.DataFrame({"ttft_ms": [1.0], "ttft_s": [1.0]}), "ttft", None)
    with pytest.raises(ValueError, match="table has no column of ttft"):
        _time(pd.DataFrame({"x": [1.0]}), "ttft", None)


def test_whole_numbers_and_rules_of_points():
    assert [_whole(x) for x in (None, float("nan"), 3.0, "4")] == [None, None, 3, 4]
    with pytest.raises(ValueError, match=r"3.5 is not a whole number"):
        _whole(3.5)
    assert rule("source=x,backend=sglang") == {"source": "x", "backend": "sglang"}
    for wrong in ("source", "=x", "a=1,,b=2"):
        with pytest.raises(ValueError, match="allowed: column=value"):
            rule(wrong)


def test_every_start_lies_within_its_bounds():
    for spec in SPECS.values():
        for name, r in spec.constants.items():
            assert 0.0 <= r.low <= r.start <= r.high, name


def test_products_of_whole_blocks_and_ways_to_multiply():
    """Blocks of 128 by 128: a side beside them was timed on another kernel; other types have none."""
    spec = SPECS["gemm"]
    n, k = np.array([128, 129, 256, 192, 128]), np.array([128, 256, 129, 192, 4096])
    table = {"n": n, "k": k, "dtype": np.array(["fp8_block"] * 5)}
    assert specs._whole_blocks("vllm", table).tolist() == [True, False, False, False, True]
    assert specs._whole_blocks("vllm", table | {"dtype": np.array(["bf16"] * 5)}).all()
    assert spec.fixed("fp8") == {"compute": 1.0}
    assert spec.fixed("bf16") == {"compute": 1.0, "quantise": 1.0, "quantise_row": 1.0}
    assert specs._gemm_kernels("bf16") == ({"tiles": 0.0, "quantise_step": 1.0},)
    assert specs._gemm_kernels("fp8") == (
        {"tiles": 0.0, "quantise_step": 1.0}, {"tiles": 0.0, "quantise_step": 2048.0},
        {"tiles": 1.0, "quantise_step": 2048.0, "split": 1e-3},
    )  # fmt: skip


def test_a_kind_of_kernel_counts_the_same_whatever_its_rows_and_products_more():
    assert power._weight("experts", 3000) == power._weight("attention_decode", 3000) == 1.0
    assert power._weight("experts", 750) == 2.0
    assert power._weight("gemm", 3000) == 4.0


def test_devices_are_left_out_one_by_one_from_three_on():
    objective = SimpleNamespace(left_out=lambda names, logs, progress: (len(set(names)), logs))
    two, three = np.array(["a", "b", "a"]), np.array(["a", "b", "c"])
    assert _by_device(objective, two, "logs", None) is None
    assert _by_device(objective, three, "logs", None) == (3, "logs")


@pytest.mark.parametrize("kind", ["attention_decode", "attention_prefill"])
def test_heads_of_their_own_keys_are_written_as_none(kind):
    """Of a table's rows with 0 KV heads every head has its own; one is one."""

    def rows(kv):
        row = {"batch_size": 4, "isl": 512, "step": 1, "num_heads": 32, "num_key_value_heads": kv, "head_dim": 128,
               "window_size": 0, "kv_cache_dtype": "bfloat16"}  # fmt: skip
        return pd.DataFrame([row])

    none, each, one = (power._work(kind, rows(kv), tr.device(DEVICE)) for kv in (0, 32, 1))
    assert none[1] == each[1] and none[0] == each[0]
    assert one[1] < each[1] / 1.5


def test_a_constant_that_no_row_depends_on_is_told_from_those_that_some_row_does():
    """Widths of whole sixteenths say nothing of others, nor few tokens of tiles beyond an expert's first."""
    spec, device = SPECS["experts"], tr.device("B200-SXM")
    objective = Objective(spec, device, "bf16")
    columns = {
        "dtype": np.array(["bf16"]), "distribution": np.array(["balanced"]), "tokens": np.array([16.0]),
        "hidden": np.array([4096.0]), "intermediate": np.array([1024.0]), "experts": np.array([64.0]),
        "topk": np.array([8.0]), "moe_tp": np.array([1.0]), "moe_ep": np.array([1.0]),
    }  # fmt: skip
    far = objective.start() + 0.1

    def untold(**changed):
        table = SimpleNamespace(columns=columns | changed)
        return {
            n
            for n, told in zip(objective.free, objective.told(far, table), strict=True)
            if not told
        }

    assert {"misaligned", "reread", "parted"} <= untold()
    assert "misaligned" not in untold(intermediate=np.array([1000.0]))
    assert "parted" not in untold(moe_ep=np.array([8.0]))
    assert untold() & {"t0", "memory", "cached", "resident"} == set()
