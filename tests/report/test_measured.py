"""Predictions beside what was measured: its age, and what is within the band and what is not."""

from __future__ import annotations

import math
from datetime import date

import pytest

import tokenroof as tr
from tokenroof import catalogue

pytest.importorskip("plotly")
pytest.importorskip("xarray")

from tokenroof.report import data, measured


@pytest.fixture(scope="module")
def ran():
    return measured.runs()


def test_a_run_is_whole():
    for run in catalogue.runs():
        assert tr.device(run.device).name == run.device
        assert tr.model(run.model).name == run.model
        assert run.version
        assert date.fromisoformat(run.date).year == 2026
        assert run.provenance.kind == "measured"
        assert "SemiAnalysis" in run.provenance.source
        assert run.plan.engine in ("vllm", "sglang", "trtllm")
        assert 0.0 < run.tpot_s < run.ttft_s < data.TTFT_MAX
    assert {run.model for run in catalogue.runs()} <= set(data.MODELS)
    assert len(catalogue.runs("GPT OSS 120B", "h100 sxm")) == 6
    assert catalogue.runs("GPT-2") == ()


def test_runs_stand_in_the_sources():
    table = catalogue.sources()
    table = table[table["file"] == "runs"]
    assert len(table) == 2 * len(catalogue.runs())
    assert set(table["unit"]) == {"s"}
    assert set(table["kind"]) == {"measured"}
    assert not table.duplicated(["item", "field"]).any()


def test_each_run_is_predicted_for_its_own_plan(ran):
    for run, row in zip(catalogue.runs(), ran, strict=True):
        one = tr.serving.curve(
            run.device, run.model, run.plan, run.input_tokens, run.output_tokens, [run.concurrency]
        )
        assert row["tpot_ratio"] == float(one.tpot_s[0]) / run.tpot_s
        assert row["ttft_ratio"] == float(one.ttft_s[0]) / run.ttft_s
        for name in ("tpot", "ttft"):
            off = abs(math.log(row[f"{name}_ratio"]))
            assert row[f"{name}_inside"] == (off <= math.log1p(row[f"{name}_band"]))
    # a closed loop's rate times a request's seconds is its concurrency
    rate = ran[0]["output_tokens_per_s_per_mw"] / ran[0]["predicted_output_tokens_per_s_per_mw"]
    assert rate == pytest.approx(1 / ran[0]["tpot_ratio"], rel=0.1)


def test_ages():
    assert measured.months_since("2026-04-06", date(2026, 11, 28)) == 7
    assert measured.months_since("2026-04-29", date(2026, 11, 28)) == 6
    assert measured.months_since("2025-12", date(2026, 1, 1)) == 1


def test_published_yields_are_predicted_as_they_were_measured(ran):
    """Their layouts and batches, not the best of all: that would compare two things."""
    rows = measured.anchors(ran)
    assert {row["device"] for row in rows} >= {"H100-SXM", "B200-SXM", "Instinct MI300X"}
    for row in rows:
        assert row["date"] == "2025-10-07"
        assert row["months"] >= 13
        assert row["inside"] == measured.within(row["ratio"], row["band"])
        # the band has four in five; where constants are another maker's it is wide, and 95 of 100 are in its power
        most = max(1.6, (1.0 + row["band"]) ** (1.96 / 1.2816))
        assert 1 / most < row["ratio"] < most
        free = tr.serving.frontier(row["device"], row["model"], None, 1024, 8192, 8)
        fast = free.where(free.interactivity >= row["speed"], drop=True)
        assert fast.output_tokens_per_s_per_mw.max() * 1.125 > row["predicted"]
    later = {row["device"]: row["later"] for row in rows}
    assert later["Instinct MI300X"] is None
    assert later["H100-SXM"] > 900e3  # engines got faster within half a year


def test_the_runs_are_drawn_beside_the_curves(ran):
    fronts = [tr.serving.frontier("H100-SXM", "gpt-oss-120b", None, 8192, 1024, 8, ttft_max=10.0)]
    figure = tr.plot.frontier(fronts, model="gpt-oss-120b")
    before = len(figure.data)
    measured.add_runs(figure, ran, "8K/1K", "gpt-oss-120b", ["H100-SXM"])
    (trace,) = figure.data[before:]
    assert trace.meta == {"device": "H100-SXM", "model": "gpt-oss-120b"}
    assert len(trace.x) == 3
    assert trace.visible is True
    assert trace.marker.color == figure.data[before - 1].line.color
    assert all("vllm 0.18.0, 2026-04-06" in text for text in trace.text)
