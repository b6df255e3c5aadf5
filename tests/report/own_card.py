"""A device of somebody's own for a report, and whether its page draws it."""

from __future__ import annotations

import csv
import html
from pathlib import Path

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


def card(folder: Path) -> list[str]:
    """Flags of a report with a device of one's own, this machine, and one that is drawn from the start."""
    (folder / "card.toml").write_text(CARD)
    return [
        part for name in (str(folder / "card.toml"), "local", "A10") for part in ("--device", name)
    ]


def drawn(folder: Path) -> None:
    for name, count in (("roofline_roofs.csv", 2), ("frontier.csv", 2), ("same_meter.csv", 2)):
        with (folder / name).open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        own = [r for r in rows if NAME in (r.get("device"), r.get("name"))]
        assert len(own) >= count, name
    page = (folder / "index.html").read_text(encoding="utf-8")
    for name in (NAME, "A10"):
        assert page.count(f'<input type="checkbox" value="{html.escape(name)}" checked>') == 2
    # in pages, in figures
    assert "<script>alert" not in page and "\\u003cscript\\u003ealert" in page
