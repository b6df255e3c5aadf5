"""The audit finds what was made wrong on purpose, and runs over the catalogue as shipped."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tokenroof import catalogue
from tokenroof.catalogue.__main__ import main
from tokenroof.catalogue.audit import MOST_USED, WHAT, audit
from tokenroof.catalogue.files import table
from tokenroof.catalogue.numbers import Number, numbers

NO_TABLES = {"devices": (), "miners": ()}
TODAY = "2026-11-28"


def _number(**changes):
    sound = {"file": "markets", "item": "here", "field": "gpu_hour", "value": 2.0, "unit": "USD/h",
             "kind": "press", "source": "a list (example.com), 2026-10", "date": "2026-10"}  # fmt: skip
    return Number(**(sound | changes))


def _found(what, *rows, tables=NO_TABLES, **options):
    return [f.text for f in audit(rows=rows, tables=tables, today=TODAY, **options).of(what)]


def test_a_sound_number_is_no_finding():
    assert audit(rows=[_number()], tables=NO_TABLES, today=TODAY).findings == ()


@pytest.mark.parametrize(("changes", "old"), [
    ({"date": "2025-11"}, False), ({"date": "2025-10"}, True), ({"date": "2025"}, False),
    ({"date": "2024"}, True), ({"date": "2025-H1"}, True), ({"date": "2025-Q4"}, False), ({"date": None}, True),
    ({"file": "devices", "date": "2024-11"}, False), ({"file": "devices", "date": "2024-10-31"}, True),
    ({"file": "deals", "date": "2023-2024"}, False),
])  # fmt: skip
def test_age_counts_from_the_end_of_a_date(changes, old):
    assert bool(_found("old", _number(**changes))) == old


def test_ages_can_be_given():
    price, fact = _number(date="2026-03"), _number(file="devices", date="2026-03")
    assert _found("old", price, fact) == []
    assert _found("old", price, fact, price_months=7) == ["gpu_hour (2026-03)"]
    assert _found("old", price, fact, months=7) == ["gpu_hour (2026-03)"]
    assert _found("old", price, fact, months=8, price_months=8) == []


def test_history_does_not_age():
    row = _number(date="2021-01")
    assert _found("old", row, _number()) == []
    assert _found("old", row, _number(item="elsewhere")) == ["gpu_hour (2021-01)"]
    shares = [
        _number(file="holders", item=f"pools, {date}", date=date) for date in ("2021-05", "2026-01")
    ]
    assert _found("old", *shares) == []


@pytest.mark.parametrize("source", ["", " ", "not published: an assumption", "a guide; from memory",
                                    "not published in a document known here: an estimate"])  # fmt: skip
def test_a_source_that_nobody_can_open_is_found(source):
    assert _found("unsourced", _number(source=source)) == ["gpu_hour"]
    assert _found("unsourced", _number()) == []


def test_one_line_per_entry():
    rows = [
        _number(kind="estimate"),
        _number(kind="estimate"),
        _number(kind="estimate", field="pue"),
    ]
    (found,) = audit(rows=rows, tables=NO_TABLES, today=TODAY).of("estimated")
    assert (found.text, found.numbers, found.fields) == ("gpu_hour, pue", 3, ("gpu_hour", "pue"))


@pytest.mark.parametrize(("file", "name", "field", "factor", "said"), [
    ("devices", "H200-SXM", "memory_bandwidth", 1e3, "memory_bandwidth / tdp_w"),
    ("devices", "B200-SXM", "tdp_w", 1e-3, "peak / tdp_w"),
    ("devices", "H100-SXM", "sm_count", 2, "peak / (sm_count * boost_clock_hz)"),
    ("devices", "MI300X", "memory_bytes", 1e3, "memory_bytes / memory_bandwidth"),
    ("miners", "Antminer S21", "power", 3, "power / hashrate"),
])  # fmt: skip
def test_a_wrong_number_is_out_of_line(file, name, field, factor, said):
    tables = {of: list(table(of)[of.removesuffix("s")]) for of in ("devices", "miners")}
    name = next(row["name"] for row in tables[file] if row["name"].endswith(name))

    def lines():
        found = audit(rows=(), tables=tables, today=TODAY).of("out of line")
        return {f.fields[0] for f in found if (f.file, f.item) == (file, name)}

    assert said not in lines()
    tables[file] = [
        row | {field: row[field] * factor} if row["name"] == name else row for row in tables[file]
    ]
    assert said in lines()


def test_too_few_neighbours_are_no_judgement():
    def row(name, power):
        return {
            "name": name,
            "kind": "asic",
            "release": "2026-01",
            "hashrate": 1e14,
            "power": power,
        }

    few = [row("odd", 9e3), *(row(f"m{i}", 1500) for i in range(3))]
    assert _found("out of line", tables={"devices": (), "miners": few}) == []
    # z by hand: ln 6 over the least spread, 0.05
    (said,) = _found("out of line", tables={"devices": (), "miners": [*few, row("m3", 1500)]})
    assert (
        said
        == "power / hashrate is 90 J/TH, 6 times the middle of 4 neighbours (asic within 1 year), z +35.8"
    )


def test_a_quote_that_leaves_its_series_is_found():
    series = [_number(value=2.0 * 1.1**i, date=f"2026-0{i}") for i in range(1, 10)]
    assert _found("out of line", *series) == []
    series[4] = series[4]._replace(value=series[4].value * 100)
    assert _found("out of line", *series)[0].startswith("gpu_hour of 2026-05 is 322.1 USD/h, 1")
    spread = [row._replace(date=f"20{10 + i}") for i, row in enumerate(series)]
    assert _found("out of line", *spread) == []  # years apart: nothing to hold it against


def test_today_must_be_a_date():
    with pytest.raises(ValueError, match="today is '2026'; allowed"):
        audit(today="2026")
    with pytest.raises(ValueError, match="2026-13"):
        audit(today="2026-13")


def test_the_catalogue_as_shipped(capsys):
    assert main(["--audit", "--today", TODAY]) == 0
    text = capsys.readouterr().out
    assert main(["--audit", "--today", TODAY, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["numbers"] == len(numbers()) == len(catalogue.sources())
    assert set(found["counts"]) <= set(WHAT)
    for what, count in found["counts"].items():
        print(what, count)
        entries = [f for f in found["findings"] if f["what"] == what]
        assert count == {"entries": len(entries), "numbers": sum(f["numbers"] for f in entries)}
        assert (
            f"{what} (" in text
            and f"{count['numbers']} numbers of {count['entries']} entries" in text
        )
    assert len(text.splitlines()) == 1 + 2 * len(found["counts"]) + len(found["findings"])
    estimates = sum(number.kind == "estimate" for number in numbers())
    assert found["counts"]["estimated"]["numbers"] == estimates


def test_strict_is_the_only_exit_that_differs(capsys):
    assert main(["--audit", "--only", "estimated"]) == 0
    assert main(["--audit", "--only", "estimated", "--strict"]) == 1
    never = ["--audit", "--only", "out-of-line", "--threshold", "1e9", "--strict"]
    assert main(never) == 0
    capsys.readouterr()
    assert main(["--audit", "--today", "tomorrow"]) == 2
    assert "today is 'tomorrow'" in capsys.readouterr().err


def test_a_catalogue_made_wrong_on_purpose(tmp_path):
    """Files of a copy: one number without a source, one a thousand times too high; pandas is not needed."""
    shutil.copytree(
        Path(catalogue.__file__).parent, tmp_path / "wrong", ignore=shutil.ignore_patterns("*.py")
    )
    file = tmp_path / "wrong" / "devices.toml"
    before = file.read_text(encoding="utf-8")
    head, row = before.split('name = "H200-SXM"')
    row = row.replace("memory_bandwidth = 4.8e12", "memory_bandwidth = 4.8e15", 1)
    file.write_text(f'{head}name = "H200-SXM"{row}', encoding="utf-8")
    assert file.read_text(encoding="utf-8") != before
    run = (
        "import sys; sys.modules['pandas'] = None\n"
        "from tokenroof.catalogue import files; files.FOLDER = sys.argv[1]\n"
        "from tokenroof.catalogue.__main__ import main; sys.exit(main(['--audit', '--only', 'out-of-line']))"
    )
    got = subprocess.run([sys.executable, "-c", run, str(tmp_path / "wrong")], capture_output=True, text=True,
                         check=True)  # fmt: skip
    assert "devices  H200-SXM: memory_bandwidth / tdp_w is 6.857e+12 B/s/W" in got.stdout


def test_the_thirty_most_used_devices_have_a_source_for_each_number():
    assert len({catalogue.source(name, "memory_bandwidth").item for name in MOST_USED}) == 30
    without = [
        (one.item, one.fields) for one in audit(today=TODAY).of("unsourced")
        if one.file == "devices" and one.item in MOST_USED
    ]  # fmt: skip
    assert without == []
    rows = [n for n in numbers() if n.file == "devices" and n.item in MOST_USED]
    assert all(n.unit and n.kind and len(n.source) > 20 and n.date for n in rows)
    assert "of the 30 most used devices 0 without a source" in str(audit(today=TODAY))


def test_a_number_of_a_used_device_without_a_source_is_counted():
    rows = [
        _number(
            file="devices",
            item="L4",
            field="idle_w",
            source="not published in a document known here",
        )
    ]
    assert "of the 30 most used devices 1 without" in str(
        audit(rows=rows, tables=NO_TABLES, today=TODAY)
    )
