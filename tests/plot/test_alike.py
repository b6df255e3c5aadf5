"""Tables that do not compare are refused, and those of one device told apart."""

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import plot, serving


@pytest.fixture(scope="module")
def front():
    return serving.frontier("L40S", "Llama-3.1-8B", devices_max=1)


@pytest.fixture(scope="module")
def longer():
    return serving.frontier("L40S", "Llama-3.1-8B", None, 8192, 512, devices_max=1)


def test_a_ratio_is_of_one_load(front, longer):
    with pytest.raises(
        ValueError, match="loads of 1,024/1,024 and 8,192/512 tokens; allowed: one load"
    ):
        plot.ratio(front, longer)
    assert "1,024/1,024 tokens" in plot.ratio(front, front).layout.title.text


def test_fronts_of_one_device_are_told_apart_by_their_loads(front, longer):
    figure = plot.frontier([front, longer])
    names = [trace.name for trace in figure.data if trace.mode == "lines+markers"]
    assert names == ["L40S, 1,024/1,024", "L40S, 8,192/512"]
    lines = [trace.line for trace in figure.data if trace.mode == "lines+markers"]
    assert lines[0].dash != lines[1].dash
    alone = [trace.name for trace in plot.frontier([front]).data if trace.mode == "lines+markers"]
    assert alone == ["L40S"]


def test_whose_mw_the_axis_is_of(front):
    assert plot.frontier([front]).layout.yaxis.title.text == "output tokens/s per MW (provisioned)"
    chassis = serving.frontier("L40S", "Llama-3.1-8B", devices_max=1, power="chassis")
    assert plot.frontier([chassis]).layout.yaxis.title.text.endswith("(chassis)")
    with pytest.raises(
        ValueError, match="per MW of provisioned and chassis power; allowed: of one"
    ):
        plot.frontier([front, chassis])


def test_latency_takes_what_curve_gives_of_a_replica_by_device():
    plan, rate = tr.Plan(tp=2), np.linspace(0.2, 1.6, 8)
    table = serving.curve("L40S", "Llama-3.1-8B", plan, rate=rate)
    figure = plot.latency([table])
    assert np.array_equal(figure.data[0].x, rate / 2)
    closed = serving.curve("L40S", "Llama-3.1-8B", concurrency=[1, 2])
    with pytest.raises(
        ValueError, match="tables has one over concurrency; allowed: what curve gives"
    ):
        plot.latency([closed])
