"""The report with devices of the caller's own; test_report.py looks whether they are drawn."""

from __future__ import annotations

from pathlib import Path

import pytest

from tokenroof import report
from tokenroof.report.data import own_devices


def test_a_device_that_is_none_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    for given, error in (("H20O", KeyError), (["no.toml"], OSError), (3, TypeError)):
        with pytest.raises(error):
            report.build(tmp_path / "out", quiet=True, devices=given)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()
    assert [d.name for d in own_devices("h200_sxm")] == ["H200-SXM"]
