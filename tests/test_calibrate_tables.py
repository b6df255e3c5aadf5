"""Measured tables of every operator, spoilt: a wrong unit is refused by name, single bad rows are counted."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tokenroof as tr
from tokenroof import _constants
from tokenroof.calibrate import SPECS, Objective, _power, read_operator

N, DEVICE = 240, "H100-SXM"
_PICK = {
    "dtype": ("bf16", "fp8"), "kv_dtype": ("bf16", "fp8"), "distribution": ("balanced", "power_law_1.2"),
    "m": (1, 8, 64, 512, 8192), "n": (1024, 4096, 14336), "k": (1024, 8192),
    "batch": (1, 8, 64), "past": (0, 100, 5000), "tokens": (16, 256, 4096), "heads": (32, 64),
    "kv_heads": (0, 8), "head_dim": (64, 128), "window": (0, 128), "hidden": (2048, 7168),
    "intermediate": (768, 2048), "experts": (64, 256), "topk": (4, 8), "moe_tp": (1,), "moe_ep": (1, 8),
    "ranks": (2, 4, 8), "elements": tuple(4.0**i for i in range(2, 14)),
}  # fmt: skip


def _table(operator, seed=0, factor=1.0):
    """Shapes drawn at random, with the times that the catalogue's constants give, times a factor [s]."""
    spec, rng = SPECS[operator], np.random.default_rng(seed)
    frame = pd.DataFrame(
        {name: rng.choice(_PICK[name], N) for name in spec.columns if name in _PICK}
    )
    if operator == "attention_prefill":
        frame["dtype"] = "bf16"
    if "operation" in spec.columns:
        frame = frame.assign(operation=operator, dtype=rng.choice(["bf16", "int8"], N))
    # one row per shape, so that each spoilt row counts
    frame = frame.drop_duplicates(ignore_index=True)
    columns = {name: frame[name].to_numpy() for name in frame}
    time = np.empty(len(frame))
    kinds = np.asarray(spec.kind(columns)).astype(str)
    for kind in np.unique(kinds):
        constants = _constants.find(operator, tr.device(DEVICE), "trtllm", kind).constants
        rows = kinds == kind
        objective = Objective(spec, tr.device(DEVICE), kind, constants)
        time[rows] = objective._times(
            np.empty(0), spec.arguments({k: v[rows] for k, v in columns.items()})
        )
    return frame.assign(time_s=time * np.exp(rng.normal(0, 0.05, len(time))) * factor)


@pytest.mark.parametrize("operator", SPECS)
def test_a_wrong_unit_is_refused_whatever_the_operator(operator):
    good = read_operator(operator, _table(operator), DEVICE)
    assert len(good) == len(_table(operator))  # as it is, nothing is left out
    for factor, word in ((1e3, "longer"), (1e6, "longer"), (1e-3, "shorter"), (1e-6, "shorter")):
        with pytest.raises(
            ValueError, match=rf"times of {operator} on {DEVICE}.* times {word} than"
        ):
            read_operator(operator, _table(operator, factor=factor), DEVICE)
    # told which unit it is, the same table does
    milliseconds = _table(operator, factor=1e3)
    assert len(read_operator(operator, milliseconds, DEVICE, unit="ms")) == len(good)


@given(
    operator=st.sampled_from(list(SPECS)), seed=st.integers(0, 99), share=st.floats(0.01, 0.15),
    factor=st.sampled_from([1e-4, 1e4, 1e6]),
)  # fmt: skip
def test_single_rows_that_cannot_be_are_left_out_and_counted(operator, seed, share, factor):
    table = _table(operator, seed)
    bad = np.random.default_rng(seed).random(len(table)) < share
    table.loc[bad, "time_s"] *= factor
    read = read_operator(operator, table, DEVICE)
    out = sum(n for why, n in read.counts.items() if "slower" in why or "faster" in why)
    assert out == bad.sum() and len(read) == (~bad).sum()
    assert (
        read.time.max() <= table.time_s[~bad].max() and read.time.min() >= table.time_s[~bad].min()
    )


@pytest.mark.parametrize("factor", [1e-3, 1e3])
@pytest.mark.parametrize("operator", ["gemm", "attention_decode", "experts"])
def test_two_units_in_one_table_are_refused(operator, factor):
    table = _table(operator)
    table.loc[::3, "time_s"] *= factor
    with pytest.raises(ValueError, match="are impossible: .* One unit, of this device"):
        read_operator(operator, table, DEVICE)


def test_one_type_in_another_unit_is_refused():
    table = _table("gemm")
    table.loc[table.dtype == "fp8", "time_s"] *= 1e3
    with pytest.raises(ValueError, match=r"H100-SXM, fp8, are .* times longer"):
        read_operator("gemm", table, DEVICE)


@pytest.mark.parametrize("operator", SPECS)
@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf, "many"])
def test_sizes_that_are_none_are_left_out_and_counted(operator, value):
    table = _table(operator)
    whole = len(read_operator(operator, table, DEVICE))
    for name in SPECS[operator].columns:
        if name in SPECS[operator].types or name not in table:
            continue
        spoilt = table.astype({name: object})
        spoilt.loc[:2, name] = value
        if value == 0.0 and name in SPECS[operator].zeros:
            assert (
                read_operator(operator, spoilt, DEVICE).counts["shapes NaN, zero or negative"] == 0
            )
            continue
        read = read_operator(operator, spoilt, DEVICE)
        assert read.counts["shapes NaN, zero or negative"] == 3 and len(read) == whole - 3


@pytest.mark.parametrize("nothing", [None, np.nan, "", " "])
@pytest.mark.parametrize("operator", SPECS)
def test_types_that_are_missing_are_counted_or_refused(operator, nothing):
    table = _table(operator)
    name = SPECS[operator].types[0]
    table[name] = table[name].astype(object)
    spoilt = table.copy()
    spoilt.loc[:4, name] = nothing
    read = read_operator(operator, spoilt, DEVICE)
    assert read.counts["types missing"] == 5 and len(read) == len(table) - 5
    empty = table.assign(**{name: nothing})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match="no usable row .*types missing"):
            read_operator(operator, empty, DEVICE)


@pytest.mark.parametrize("operator", SPECS)
def test_types_that_nobody_knows_are_refused(operator):
    name = next(n for n in SPECS[operator].types if n.endswith("dtype"))
    with pytest.raises(ValueError, match="dtype is 'float7'; allowed: "):
        read_operator(operator, _table(operator).assign(**{name: "float7"}), DEVICE)


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_power_is_not_fitted_on_times_in_a_wrong_unit(tmp_path, factor):
    at = tmp_path / "operators" / DEVICE / "vllm-1.0"
    at.mkdir(parents=True)
    table = _table("gemm", factor=factor).rename(columns={"dtype": "gemm_dtype"})
    table = table.assign(latency=table.pop("time_s") * 1e3, power=400.0)
    table.to_csv(at / "gemm_perf.csv", index=False)
    with pytest.raises(ValueError, match=r"gemm_perf\.csv: times of gemm on H100-SXM"):
        _power.fit_power(tmp_path)
