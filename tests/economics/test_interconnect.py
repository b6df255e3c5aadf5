"""Generations of NVLink on one device, and their figure."""

import re
from pathlib import Path

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import economics as ec

BANDWIDTH = (
    80e9,
    150e9,
    300e9,
    450e9,
    900e9,
    1800e9,
)  # half of 160, 300, 600, 900, 1800, 3600 GB/s


@pytest.fixture(scope="module")
def found():
    return ec.interconnect("GB200-NVL72", "Kimi-K2.5", input_tokens=4096)


def test_a_faster_link_never_yields_less(found):
    assert found.generations == (1, 2, 3, 4, 5, 6) and found.bandwidth == BANDWIDTH
    assert found.domain == (72,) * 6
    for speed in (5.0, 30.0, 60.0, 100.0):
        assert (np.diff(found.at(speed)) >= 0.0).all(), speed
    assert found.at(30.0)[5] > 2.0 * found.at(30.0)[0]
    assert (np.diff(found.fastest) >= 0.0).all() and found.at(1e4) == (0.0,) * 6


def test_the_page_has_what_comes_out():
    """The table of docs/economics.md, in thousands of tokens a second and MW, within a hundredth."""
    page = (Path(__file__).parents[2] / "docs" / "economics.md").read_text()
    found = ec.interconnect("Vera Rubin NVL72", "Kimi-K2.5", input_tokens=8192)
    rows = re.findall(r"^\| at (\d+)[^|]* \|(.*)\|$", page, re.MULTILINE)
    assert [int(speed) for speed, _ in rows] == [10, 60, 150]
    for speed, cells in rows:
        written = [float(re.sub("[K,]", "", cell)) for cell in cells.split("|")]
        assert written == pytest.approx(np.array(found.at(float(speed))) / 1e3, rel=0.01, abs=0.6)


def test_its_own_generation_is_the_device_itself(found):
    own = tr.serving.frontier("GB200-NVL72", "Kimi-K2.5", input_tokens=4096, ttft_max=10.0)
    for name in ("interactivity", "output_tokens_per_s_per_mw", "plan"):
        np.testing.assert_array_equal(found.fronts[4][name].values, own[name].values)


def test_the_generations_domain_may_count():
    cut = ec.interconnect("GB200-NVL72", "Kimi-K2.5", [2, 3, 5], own_domain=True, input_tokens=4096)
    assert cut.domain == (16, 8, 72)
    assert (
        cut.at(30.0)[1]
        <= ec.interconnect("GB200-NVL72", "Kimi-K2.5", [3], input_tokens=4096).at(30.0)[0]
    )
    row = cut.to_frame([30.0]).set_index("generation").loc[5]
    assert row["bandwidth"] == 9e11 and row["token/(s MW) at 30"] == cut.at(30.0)[2]


def test_one_device_has_no_use_for_a_link():
    one = ec.interconnect("H200-SXM", "Llama-3.1-8B", [1, 6], devices_max=1)
    assert one.at(20.0)[0] == one.at(20.0)[1] > 0.0


def test_its_figure(found):
    figure = tr.plot.interconnect(found)
    assert [t.name.split(",")[0] for t in figure.data] == [f"NVLink {i}" for i in range(1, 7)]
    assert len({t.line.color for t in figure.data}) == 6
    for trace, front in zip(figure.data, found.fronts, strict=True):
        np.testing.assert_array_equal(trace.x, front.interactivity.values)
        np.testing.assert_array_equal(trace.y, front.output_tokens_per_s_per_mw.values)
    assert figure.layout.xaxis.type == figure.layout.yaxis.type == "log"
    with pytest.raises(TypeError, match="found is 3; allowed: an Interconnect"):
        tr.plot.interconnect(3)


@pytest.mark.parametrize("call,said", [
    (lambda: ec.interconnect("T4", "Llama-3.1-8B"), "device T4 has no scale-up link; allowed"),
    (lambda: ec.interconnect("H200-SXM", "Llama-3.1-8B", [7]), "generations has 7; allowed: 1, 2, 3, 4, 5, 6"),
    (lambda: ec.interconnect("H200-SXM", "Llama-3.1-8B", [True]), "generations has True; allowed"),
    (lambda: ec.interconnect("H200-SXM", "Llama-3.1-8B", []), r"generations is \[\]; allowed"),
    (lambda: ec.interconnect("H200-SXM", "Llama-3.1-8B", [5], own_domain=1), "own_domain is 1; allowed"),
    (lambda: ec.interconnect("H200-SXM", "Llama-3.1-8B", [5], ttft=1), "unexpected option 'ttft'"),
    (lambda: ec.interconnect("H200-SXM", "Llama-3.1-8B", [5]).at(0), "interactivity is 0; allowed"),
])  # fmt: skip
def test_bad_input_is_named(call, said):
    with pytest.raises((ValueError, TypeError), match=said):
        call()
