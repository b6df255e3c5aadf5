"""The report with devices of the caller's own."""

from __future__ import annotations

import csv
import html
from pathlib import Path

import pytest

import tokenroof as tr
from tokenroof import report
from tokenroof.report.data import own_devices

# shown as text wherever it stands
NAME = "my card <script>alert(1)</script>"
CARD = f"""
name = "{NAME}"
vendor = "NVIDIA"
family = "Hopper"
memory_bandwidth = 4e12
memory_bytes = 640e9
tdp_w = 600
peak = {{ bf16 = 9e14, fp8 = 1.8e15 }}
"""


def test_own_devices_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = tuple(map(tr.device, ("H100-SXM", "A10", "B200-SXM")))
    monkeypatch.setattr("tokenroof.catalogue.all_devices", lambda: few)
    (tmp_path / "card.toml").write_text(CARD)
    made = report.build(
        tmp_path / "out", seconds=0.1, quiet=True, devices=[tmp_path / "card.toml", "local", "A10"]
    )
    for name, count in (("roofline_roofs.csv", 2), ("frontier.csv", 2), ("same_meter.csv", 2)):
        with (tmp_path / "out" / name).open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        own = [r for r in rows if NAME in (r.get("device"), r.get("name"))]
        assert len(own) >= count, name
    page = made["page"].read_text(encoding="utf-8")
    for name in (NAME, "A10"):
        assert page.count(f'<input type="checkbox" value="{html.escape(name)}" checked>') == 2
    assert (
        "<script>alert" not in page and "\\u003cscript\\u003ealert" in page
    )  # in pages, in figures


def test_a_device_that_is_none_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    for given, error in (("H20O", KeyError), (["no.toml"], OSError), (3, TypeError)):
        with pytest.raises(error):
            report.build(tmp_path / "out", quiet=True, devices=given)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()
    assert [d.name for d in own_devices("h200_sxm")] == ["H200-SXM"]
