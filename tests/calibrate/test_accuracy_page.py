"""The page of accuracy is of the constants and formulas that are here."""

import sys
from pathlib import Path

import numpy as np
import pytest

import tokenroof as tr

DOCS = Path(__file__).parents[2] / "docs"
AGAIN = (
    "docs/results/accuracy.json is older than what it judges: python bench/accuracy_page.py FOLDER"
)


@pytest.fixture(scope="module")
def pages():
    sys.path.insert(0, str(DOCS))
    try:
        import accuracy_tables
        import results
        import unmeasured_tables
    finally:
        sys.path.remove(str(DOCS))
    return accuracy_tables, results, unmeasured_tables


def test_the_results_are_of_these_constants_and_formulas(pages):
    _, results, _ = pages
    found = results.load("accuracy")
    assert found["fits"] == results.fits_mark(), AGAIN
    assert found["version"] == tr.__version__, AGAIN
    np.testing.assert_allclose(found["probes"], results.probes(), rtol=1e-6, err_msg=AGAIN)


def test_a_mark_is_of_values_and_not_of_days(pages, tmp_path, monkeypatch):
    """The same fit written on another day is the same; a constant that differs in its last digit is not."""
    _, results, _ = pages
    package = tmp_path / "tokenroof"
    (package / "catalogue" / "constants").mkdir(parents=True)
    (package / "calibrate").mkdir()
    (package / "calibrate" / "benchmarks.toml").write_text("")
    monkeypatch.setattr(results.tr, "__file__", str(package / "__init__.py"))
    marks = []
    for day, t0 in (("2026-11-28", "2e-06"), ("2027-01-01", "2e-06"), ("2027-01-01", "2.1e-06")):
        text = f'[[fit]]\nconstants = {{ t0 = {t0} }}\ndate = "{day}"\n'
        (package / "catalogue" / "constants" / "gemm.toml").write_text(text)
        marks.append(results.fits_mark())
    assert marks[0] == marks[1] != marks[2]


def test_tables_are_kept_as_their_columns_and_come_back(pages, tmp_path, monkeypatch):
    _, results, _ = pages
    rows = [{"a": 1, "b": [{"c": 0.5}]}, {"a": np.float64(0.123456789), "b": []}]
    results.save(tmp_path / "x.json", {"rows": rows, "none": np.nan, "date": "2026-11-28"})
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    assert results.load("x") == {
        "rows": [{"a": 1, "b": [{"c": 0.5}]}, {"a": 0.12346, "b": []}], "none": None, "date": "2026-11-28",
    }  # fmt: skip
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_every_device_without_a_measurement_is_named_and_no_other(pages):
    _, _, tables = pages
    page = tables.devices_unmeasured()
    known = tables.measured_of()
    named = {cell.strip() for line in page.splitlines() if line.startswith("| ")
             for cell in line.split(" | ")[-1].rstrip(" |").split(", ")}  # fmt: skip
    for device in tr.catalogue.devices().name:
        assert (device in named) != (device in known), device
    assert set(known) <= set(tr.catalogue.devices().name)


def test_what_was_measured_is_not_said_to_be_unmeasured(pages):
    _, results, tables = pages
    covers = results.load("accuracy")["serving"]["covers"]
    lines = dict(
        line.strip("| ").split(" | ", 1) for line in tables.else_unmeasured().splitlines()[2:]
    )
    assert lines["models"].startswith(f"{len(tables.with_shapes()) - len(covers['models'])} of ")
    for kind in covers["types"]["weights"]:
        assert f"`{kind}`" not in lines["types of weights"]
    for operator in tables.MEASURED:
        assert f"`{operator}`" not in lines["operators without a table"]
    assert "`mamba2_decode`" in lines["operators without a table"]


def test_every_table_of_the_page_is_made_and_every_one_made_is_on_a_page(pages):
    tables, _, _ = pages
    text = "".join(p.read_text() for p in DOCS.rglob("*.md") if "made" not in p.parts)
    for name, made in tables.TABLES.items():
        assert f"made/{name}.md" in text, name
        assert made().strip()
    page = (DOCS / "accuracy.md").read_text()
    assert page.index("## What is not validated") < page.index("## Whole steps")
