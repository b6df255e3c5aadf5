"""Cash flows as files, read back; where results come from; the levelised cost of inference."""

import csv
import math
import sys

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import economics as ec

PLAN = {"income.kind": "lease", "income.lease_per_mw_year": 1.9e6, "finance.years": 4, "site.use_by_hour": [0.5] * 24,
        "finance.loan_to_cost": 0.5}  # fmt: skip


def read(rows):
    """Assumptions and columns of an export."""
    rows = [list(row) for row in rows]
    gap = next(i for i, row in enumerate(rows) if not any(cell not in (None, "") for cell in row))
    return {row[0]: row[1] for row in rows[:gap]}, rows[gap + 1], rows[gap + 2 :]


def check(found, rows):
    about, heads, years = read(rows)
    for name, value, _ in found.assumptions():
        if isinstance(value, float) and math.isfinite(value):
            assert float(about[name]) == value
    assert (
        about["manifest.version"] == tr.__version__ and about["manifest.data.markets"][:3] == "202"
    )
    assert heads[:3] == ["year", "energy_mwh", "output"] and {"free", "equity", "tax"} <= {*heads}
    for i, name in enumerate(heads):
        column = np.array([float(row[i]) for row in years])
        want = np.asarray(getattr(found.flow, name), float)
        assert column == pytest.approx(want, rel=1e-15, abs=0.0), name  # a sheet holds 16 digits


def test_a_csv_file_read_back(tmp_path):
    found = ec.factory(PLAN)
    found.to_csv(tmp_path / "flow.csv")
    with open(tmp_path / "flow.csv", newline="", encoding="utf-8") as file:
        check(found, csv.reader(file))


def test_a_sheet_of_excel_read_back(tmp_path):
    openpyxl = pytest.importorskip(
        "openpyxl", reason="openpyxl, of the extra excel, is not installed"
    )
    found = ec.factory(PLAN)
    found.to_excel(tmp_path / "flow.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "flow.xlsx").active
    check(found, sheet.iter_rows(values_only=True))
    assert sheet["A1"].value == "site.power_mw" and sheet["C1"].value == "MW"


def test_without_openpyxl_one_line_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(ImportError, match=r"openpyxl is needed here: .*excel"):
        ec.factory(PLAN).to_excel(tmp_path / "flow.xlsx")
    assert not (tmp_path / "flow.xlsx").exists()


def test_a_manifest_says_what_repeats_a_run():
    plan = ec.factory(PLAN).scenario
    found = ec.run_manifest(plan, seed=7, paths=100)
    assert found["changed"].keys() == PLAN.keys() and found["seed"] == 7 and found["paths"] == 100
    assert found["version"] == tr.__version__ and found["data"]["gpu_hours"] == "2026-09"
    again = ec.factory(found["changed"])
    assert again.npv == ec.factory(PLAN).npv


BASE = {"gpus": 64, "usd_per_gpu": 30_000.0, "watts": 1000.0, "prefill_tokens_per_s": 8000.0,
        "decode_tokens_per_s": 1000.0, "prompt_tokens": 2000.0, "answer_tokens": 500.0, "utilization": 0.5,
        "facility": 0.2, "residual": 0.1, "rate": 0.1, "years": 4.0, "fixed_opex": 1e5, "opex_per_gpu": 500.0,
        "pue": 1.25, "price_per_mwh": 80.0, "overhead": 0.02}  # fmt: skip


def test_the_levelised_cost_of_inference_by_hand():
    """0.25 s of prompt and 0.5 s of answer: 2500 tokens in 0.75 s; 64 GPUs at 1 - 0.02 x 6."""
    got = ec.lcoi(**BASE)
    made = 2500 / 0.75 * 64 * 0.88 * 3600 * 8760 * 0.5
    factor = 0.1 * 1.1**4 / (1.1**4 - 1)
    capital = 64 * 30_000 * 1.2 * 0.9 * factor
    power = 64 * 1e-3 * 1.25 * 8760 * 80
    spent = capital + 1e5 + 64 * 500 + power
    assert got.tokens_per_year == pytest.approx(made) and got.cluster_efficiency == pytest.approx(
        0.88
    )
    assert (got.capital, got.electricity) == pytest.approx(
        (capital, power)
    ) and got.operation == pytest.approx(132_000)
    assert got.per_mtok == pytest.approx(spent / made * 1e6)
    assert got.per_mtok_input == pytest.approx(spent / 3 / (0.8 * made) * 1e6)
    assert got.per_mtok_output == pytest.approx(spent * 2 / 3 / (0.2 * made) * 1e6)
    assert 0.8 * got.per_mtok_input + 0.2 * got.per_mtok_output == pytest.approx(got.per_mtok)


def test_a_day_of_use_counts_by_its_mean():
    day = [0.2] * 12 + [0.8] * 12
    got = ec.lcoi(**BASE | {"utilization": day})
    assert got.per_mtok == pytest.approx(
        ec.lcoi(**BASE).per_mtok
    ) and got.headroom == pytest.approx(0.375)


@pytest.mark.parametrize("change,said", [
    ({"gpus": 0}, "gpus is 0"), ({"usd_per_gpu": -1}, "usd_per_gpu is -1"), ({"watts": 0}, "watts is 0"),
    ({"prefill_tokens_per_s": 0}, "prefill_tokens_per_s is 0"), ({"decode_tokens_per_s": 0}, "decode_tokens_per_s is"),
    ({"utilization": 1.2}, "utilization is 1.2"), ({"utilization": [0.5] * 23}, "one number or 24"),
    ({"utilization": 0.0}, "not all 0"), ({"residual": 1.5}, "residual is 1.5"), ({"pue": 0.9}, "pue is 0.9"),
    ({"overhead": 0.2}, "overhead is 0.2; allowed with 64 gpus: below 0.1667"), ({"rates": 1}, "unexpected option"),
    ({"prompt_tokens": 0}, "prompt_tokens is 0"), ({"years": -1}, "years is -1"),
])  # fmt: skip
def test_bad_input_by_name(change, said):
    with pytest.raises((ValueError, TypeError), match=said):
        ec.lcoi(**BASE | change)


@pytest.mark.parametrize("given,said", [({"scenario": 3}, "scenario is 3"), ({"seed": -1}, "seed is -1"),
                                        ({"paths": 0}, "paths is 0")])  # fmt: skip
def test_bad_manifests_by_name(given, said):
    with pytest.raises((ValueError, TypeError), match=said):
        ec.run_manifest(**{"scenario": ec.Scenario()} | given)


@pytest.mark.parametrize("name,said", [
    ("keynote-emty", "did you mean keynote-empty"), ("Keynote-Empty", "did you mean keynote-empty"),
    ("xyzzy", "allowed: .*keynote-empty"),
])  # fmt: skip
def test_a_preset_that_does_not_exist_has_near_matches(name, said):
    with pytest.raises(
        FileNotFoundError, match=f"scenario is '{name}': no preset and no file; {said}"
    ):
        ec.factory(name)
    with pytest.raises(FileNotFoundError, match="No such file"):
        ec.factory(f"{name}.toml")
