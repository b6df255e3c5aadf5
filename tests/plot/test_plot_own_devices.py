"""Figures of the caller's own devices and of this machine, which no catalogue knows."""

from __future__ import annotations

from pathlib import Path

import pytest

import tokenroof as tr
from tokenroof.plot.style import HERE

OWN = tr.Device(
    name="my card", vendor="NVIDIA", family="Hopper", memory_bandwidth=4e12, memory_bytes=96e9,
    tdp_w=600, peak={"bf16": 9e14, "fp8": 1.8e15},
)  # fmt: skip
NAMELESS = tr.Device(
    name="a board", memory_bandwidth=1e12, memory_bytes=32e9, tdp_w=200, peak={"bf16": 1e14}
)


def fronts(*devices):
    return [tr.serving.frontier(d, "SmolLM2-135M", devices_max=1) for d in devices]


def lines(figure):
    return {t.name: t.line.color for t in figure.data if t.mode and "lines" in t.mode}


@pytest.mark.filterwarnings("error")
def test_a_frontier_of_own_devices():
    here = tr.device("local").replace(tdp_w=65.0)
    found = lines(tr.plot.frontier(fronts(OWN, NAMELESS, here, "local", "H100-SXM")))
    assert set(found) == {"my card", "a board", here.name, "H100-SXM"}
    assert found["my card"] == found["H100-SXM"] == tr.plot.colour("NVIDIA", "Hopper")
    assert found["a board"] == found[here.name] == HERE


def test_a_frontier_that_says_no_maker():
    table = fronts(OWN)[0]
    for name in ("vendor", "family"):
        del table.attrs[name]
    assert lines(tr.plot.frontier(table)) == {"my card": HERE}
    table.attrs["device"] = "H100-SXM"
    assert lines(tr.plot.frontier([table])) == {"H100-SXM": tr.plot.colour("NVIDIA", "Hopper")}


def test_one_is_a_list_of_one():
    one, many = tr.plot.roofline("H100-SXM"), tr.plot.roofline(["H100-SXM"])
    assert one == many and [t.name for t in one.data] == ["H100-SXM"]
    assert [t.name for t in tr.plot.roofline(OWN).data] == ["my card"]
    both = ["H100-SXM", "B200-SXM"]
    drawn = tr.plot.roofline(both, shown="B200-SXM")
    assert {t.name: t.visible for t in drawn.data} == {"H100-SXM": "legendonly", "B200-SXM": True}
    table = fronts("H100-SXM")[0]
    assert tr.plot.frontier(table) == tr.plot.frontier([table])
    assert tr.plot.frontier({("H100-SXM", "x"): table}) == tr.plot.frontier([table])
    assert tr.plot.frontier(table, shown="H100-SXM") == tr.plot.frontier([table])
    for call in (lambda: tr.plot.roofline(3), lambda: tr.plot.frontier(3)):
        with pytest.raises(TypeError, match="is 3; allowed"):
            call()


def test_rooflines_of_own_devices(tmp_path: Path):
    file = tmp_path / "board.toml"
    file.write_text('name = "a board"\nmemory_bandwidth = 1e12\npeak = { bf16 = 1e14 }\n')
    found = tr.plot.roofline([OWN, "local", file, str(file), "H100-SXM"])
    assert [t.name for t in found.data][::4] == ["my card", "H100-SXM"]
    assert found.data[2].name == found.data[3].name == "a board"
