"""Cash flows as files, read back; where results come from; the levelised cost of inference."""

import csv
import math
import sys

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import economics as ec
from tokenroof.catalogue import quotes
from tokenroof.cli.program import main

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


@pytest.mark.parametrize("write,name,said", [
    ("to_excel", "a.xls", "path is '.*a.xls', whose suffix is '.xls'; allowed: .xlsx"),
    ("to_excel", "a.xlsm", "whose suffix is '.xlsm'; allowed: .xlsx"), ("to_excel", "a.csv", "suffix is '.csv'"),
    ("to_excel", "a.xlsx.bak", "suffix is '.bak'"), ("to_excel", "a", "without a suffix; allowed: .xlsx"),
    ("to_csv", "a.xlsx", "path is '.*a.xlsx', whose suffix is '.xlsx'; allowed: .csv, .txt, no suffix"),
    ("to_csv", "a.tsv", "suffix is '.tsv'"), ("to_csv", "a.json", "suffix is '.json'"),
])  # fmt: skip
def test_a_file_that_is_called_as_another_format(tmp_path, write, name, said):
    with pytest.raises(ValueError, match=said):
        getattr(ec.factory(PLAN), write)(tmp_path / name)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("path", [3, None, b"a.csv", "", ["a.csv"]])
@pytest.mark.parametrize("write", ["to_excel", "to_csv"])
def test_what_is_no_path(write, path):
    with pytest.raises((ValueError, TypeError), match="path is .*; allowed: the path of a file"):
        getattr(ec.factory(PLAN), write)(path)


@pytest.mark.parametrize(
    "option,name", [("csv", "a.xlsx"), ("excel", "a.csv"), ("manifest", "a.csv")]
)
def test_at_the_prompt_nothing_is_written_before_all_names_are_right(
    tmp_path, capsys, option, name
):
    words = ["economics", "--set", "income.kind=nothing", "--csv", str(tmp_path / "first.csv")]
    assert main([*words, f"--{option}", str(tmp_path / name)]) == 2
    assert f"--{option} is" in capsys.readouterr().err and not any(tmp_path.iterdir())


def test_a_manifest_has_the_month_of_what_is_used():
    """An announcement for 2027 is no date of data; conventions of the table are none either."""
    plain = ec.run_manifest(ec.Scenario())
    assert (
        plain["used"] == [] and plain["data"]["used"] == "2026-08"
    )  # the share of tokens that is sold
    dates = [q.date for q in quotes()]
    assert "2027" in dates and plain["data"]["markets"] == max(d for d in dates if d != "2027")
    lease = ec.lease_shell("Hut 8 River Bend")
    said = {row["key"]: row["date"] for row in ec.run_manifest(lease)["used"]}
    assert said["income.lease_per_mw_year"] == "2025-12-17" and "finance.years" in said
    other = lease.with_values({"income.lease_per_mw_year": 2e6})
    assert "income.lease_per_mw_year" not in {row["key"] for row in ec.run_manifest(other)["used"]}
    rent = ec.run_manifest(ec.rent_gpus("H200-SXM", 31e3))
    assert rent["data"]["used"] == "2026-09" == rent["used"][2]["date"]
    mine = {row["key"]: row for row in ec.run_manifest(ec.mine("Antminer S19 XP"))["used"]}
    assert mine["income.hashprice"]["date"] == "2026-06-26" and mine["site.pue"]["date"] == "2025"
    sold = ec.sell_tokens("H200-SXM", "gpt-oss-120b", 31e3, plan=tr.Plan(tp=2))
    keys = [row["key"] for row in ec.run_manifest(sold)["used"]]
    assert keys == ["shell.capex_per_it_mw", "income.price_per_mtok"]


def test_every_key_says_who_its_default_is_of(capsys):
    keys = ec.scenario_keys()
    assert all(k.unit and k.source and k.date[:2] in ("19", "20") and k.allowed for k in keys)
    assert main(["economics", "--keys"]) == 0
    printed = capsys.readouterr().out.splitlines()
    for k in keys:
        (line,) = (row for row in printed if row.split()[0] == k.name)
        assert f" {k.date}  {k.source}" in line and k.unit in line


@pytest.mark.parametrize("text,said", [
    ('currency = "EUR"', "plan.toml: currency is 'EUR'; allowed: 'USD'"),
    ('[income]\nkind = "lease"\nlease_per_mw_year = "1.9e6 EUR"',
     r"plan.toml: income.lease_per_mw_year is '1.9e6 EUR'; allowed: .* \[\$/\(MW year\)\]"),
    ('date = "2026-11"', "plan.toml: no key 'date'; allowed: .*currency.*market.*name"),
    ("[finance]\nyears = 16", "plan.toml: finance.years is 16; allowed: at most shell.life_years, which is 15"),
])  # fmt: skip
def test_money_and_years_of_a_file(tmp_path, text, said):
    (tmp_path / "plan.toml").write_text(text + "\n")
    with pytest.raises((ValueError, TypeError), match=said):
        ec.Scenario.from_toml(tmp_path / "plan.toml")
    (tmp_path / "tiers.toml").write_text('currency = "EUR"\n[[tier]]\nname = "a"\n')
    with pytest.raises(ValueError, match="tiers.toml: currency is 'EUR'; allowed: 'USD'"):
        ec.read_tiers(tmp_path / "tiers.toml")
    (tmp_path / "plan.toml").write_text('currency = "USD"\n')
    assert ec.Scenario.from_toml(tmp_path / "plan.toml").values() == ec.Scenario().values()


@pytest.mark.parametrize("call,said", [
    (lambda: ec.same_meter([]), "options is empty; allowed: at least one"),
    (lambda: ec.allocate(ec.Site(power_w=1e6), [], []), "tiers is empty; allowed: at least one"),
    (lambda: ec.best_mix(ec.Site(power_w=1e6), [], [[]]), "tiers is empty"),
    (lambda: ec.best_mix(ec.Site(power_w=1e6), [ec.Tier("a", 1.0)], [[1.0]], floors=[1.0],
                         demand=[0.5]), r"floors is \[1.0\], 1 MW in all; allowed: what demand \[0.5\] leaves"),
    (lambda: ec.best_mix(ec.Site(power_w=1e6), [ec.Tier("a", 1.0)], [[1.0]], floors=[2.0]),
     r"floors is \[2.0\], 2 MW in all; allowed: at most 1 MW, the site's"),
    (lambda: ec.best_mix(ec.Site(power_w=1e6), [ec.Tier("a", 1.0)] * 2, [[1.0, 1.0]]), "tiers has a more than once"),
    (lambda: ec.best_mix(ec.Site(power_w=1e6), [ec.Tier("a", 1.0)], [[]] * 0), "supply has shape .0,"),
    (lambda: ec.issuance(3, tokens_per_s_per_mw={26: 1e6}), "year of tokens_per_s_per_mw is 26, while first_year is"),
    (lambda: ec.issuance(3, tokens_per_s_per_mw={2029: 1e6}), "is 2029, while .*; allowed: .*one of them by 2028"),
    (lambda: ec.issuance(3, fees_per_block=2.2e7), "fees_per_block is 2.2e.07 BTC; allowed: at most 20999999.98"),
])  # fmt: skip
def test_what_nothing_could_be_told_of(call, said):
    with pytest.raises((ValueError, TypeError), match=said):
        call()
