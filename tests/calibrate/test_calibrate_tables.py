"""Measured tables of every operator, spoilt: a wrong unit is refused by name, single bad rows are counted."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from _measured import DEVICE, measured
from tokenroof.calibrate import SPECS, read_operator
from tokenroof.calibrate import power as _power


@pytest.mark.parametrize("operator", SPECS)
def test_a_wrong_unit_is_refused_whatever_the_operator(operator):
    good = read_operator(operator, measured(operator), DEVICE)
    assert len(good) == len(measured(operator))  # as it is, nothing is left out
    for factor, word in ((1e3, "longer"), (1e6, "longer"), (1e-3, "shorter"), (1e-6, "shorter")):
        with pytest.raises(
            ValueError, match=rf"times of {operator} on {DEVICE}.* times {word} than"
        ):
            read_operator(operator, measured(operator, factor=factor), DEVICE)
    # told which unit it is, the same table does
    milliseconds = measured(operator, factor=1e3)
    assert len(read_operator(operator, milliseconds, DEVICE, unit="ms")) == len(good)


@given(
    operator=st.sampled_from(list(SPECS)), seed=st.integers(0, 99), share=st.floats(0.01, 0.15),
    factor=st.sampled_from([1e-4, 1e4, 1e6]),
)  # fmt: skip
def test_single_rows_that_cannot_be_are_left_out_and_counted(operator, seed, share, factor):
    table = measured(operator, seed)
    # the same share of each type
    order = np.random.default_rng(seed).permutation(len(table))
    kinds = table[list(SPECS[operator].types)].iloc[order]
    place = kinds.groupby(list(kinds)).cumcount() / kinds.groupby(list(kinds))[
        kinds.columns[0]
    ].transform("size")
    bad = (place < share).sort_index().to_numpy()
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
    table = measured(operator)
    table.loc[::3, "time_s"] *= factor
    with pytest.raises(ValueError, match="are impossible: .* One unit, of this device"):
        read_operator(operator, table, DEVICE)


def test_one_type_in_another_unit_is_refused():
    table = measured("gemm")
    table.loc[table.dtype == "fp8", "time_s"] *= 1e3
    with pytest.raises(ValueError, match=r"H100-SXM, fp8, are .* times longer"):
        read_operator("gemm", table, DEVICE)


@pytest.mark.parametrize("operator", SPECS)
@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf, "many"])
def test_sizes_that_are_none_are_left_out_and_counted(operator, value):
    table = measured(operator)
    whole = len(read_operator(operator, table, DEVICE))
    for name in SPECS[operator].columns:
        if name in SPECS[operator].types or name not in table:
            continue
        spoilt = table.astype({name: object})
        spoilt.loc[:2, name] = value
        if value == 0.0 and name in SPECS[operator].zeros:
            assert (
                read_operator(operator, spoilt, DEVICE).counts["shapes missing, zero or negative"]
                == 0
            )
            continue
        read = read_operator(operator, spoilt, DEVICE)
        assert read.counts["shapes missing, zero or negative"] == 3 and len(read) == whole - 3


@pytest.mark.parametrize("nothing", [None, np.nan, "", " "])
@pytest.mark.parametrize("operator", SPECS)
def test_types_that_are_missing_are_counted_or_refused(operator, nothing):
    table = measured(operator)
    name = SPECS[operator].types[0]
    table[name] = table[name].astype(object)
    spoilt = table.copy()
    spoilt.loc[:4, name] = nothing
    read = read_operator(operator, spoilt, DEVICE)
    assert read.counts["types missing"] == 5 and len(read) == len(table) - 5
    empty = table.assign(**{name: nothing})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(
            ValueError,
            match=r"no usable row of \d+: types missing in \d+; allowed: at least one whose",
        ):
            read_operator(operator, empty, DEVICE)


@pytest.mark.parametrize("operator", SPECS)
def test_types_that_nobody_knows_are_refused(operator):
    name = next(n for n in SPECS[operator].types if n.endswith("dtype"))
    with pytest.raises(ValueError, match="dtype is 'float7'; allowed: "):
        read_operator(operator, measured(operator).assign(**{name: "float7"}), DEVICE)


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_power_is_not_fitted_on_times_in_a_wrong_unit(tmp_path, factor):
    at = tmp_path / "operators" / DEVICE / "vllm-1.0"
    at.mkdir(parents=True)
    table = measured("gemm", factor=factor).rename(columns={"dtype": "gemm_dtype"})
    table = table.assign(latency=table.pop("time_s") * 1e3, power=400.0)
    table.to_csv(at / "gemm_perf.csv", index=False)
    with pytest.raises(ValueError, match=r"gemm_perf\.csv: times of gemm on H100-SXM"):
        _power.fit_power(tmp_path)


def test_a_kernel_of_wider_activations_that_stands_in_is_no_row_of_its_type():
    table = measured("experts")
    table = table[table.dtype == table.dtype.iloc[0]].reset_index(drop=True)
    table = table.assign(dtype="w4a16_mxfp4", kernel_source="marlin_of_a_w4a16_layer")
    whole = read_operator("experts", table, DEVICE)
    assert whole.counts["kernels of another type"] == 0
    table.loc[::4, "kernel_source"] = "compressedtensorsw4a4mxfp4moe_marlin"
    read = read_operator("experts", table, DEVICE)
    out = len(table.loc[::4])
    assert read.counts["kernels of another type"] == out and len(read) == len(whole) - out
    # without a column that names kernels all rows are their types' own
    assert len(read_operator("experts", table.drop(columns="kernel_source"), DEVICE)) == len(whole)
