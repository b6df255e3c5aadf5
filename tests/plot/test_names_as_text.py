"""Names from files are text in every figure: no tag, entity or template of theirs is read, and none is escaped twice."""

from __future__ import annotations

import html
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import tokenroof as tr
from tokenroof import economics as ec
from tokenroof import mining, plot, serving
from tokenroof.plot.style import plain

NAME = "a<b & <script>alert(1)</script> %{x} &amp; <b>bold</b>"
CARD = tr.device("H200-SXM").replace(name=NAME)
MODEL = tr.model("SmolLM2-135M").replace(name=NAME)
MINER = replace(tr.miner("Antminer S21"), name=NAME)
TIERS = (ec.Tier(NAME, 3.0, interactivity=30.0), ec.Tier("b", 6.0, interactivity=60.0))
TAGS = re.compile(r"</?(?:b|extra)>|<br>|%\{[^{}]*\}")  # those of our own


def _front() -> object:
    return serving.frontier(CARD, MODEL, devices_max=1)


def _roofline() -> object:
    points = pd.DataFrame([{"device": NAME, "model": NAME, "step": "decode", "load": "1", "intensity": 1.0,
                            "flops_per_s": 1e12, "time_s": 1.0, "plan": "tp1", "bound": "memory"}])  # fmt: skip
    return plot.roofline([CARD], points)


def _chart() -> object:
    measured = [{"device": NAME, "speed": 50.0, "per_device": 1e3, "engine": NAME, "text": NAME}]
    return plot.chart([_front()], measured=measured, tiers=TIERS)


def _hashrate() -> object:
    rows = pd.DataFrame([{"name": NAME, "kind": "asic", "year": 2024.0, "hashrate": 2e14, "power": 3500.0,
                          "efficiency": 17.5, "basis": "datasheet"}])  # fmt: skip
    return plot.hashrate(rows, {"name": NAME, "year": 2026, "hashrate": 1e8, "efficiency": None})


def _meter() -> object:
    row = {
        "name": NAME,
        "group": NAME,
        "usd_per_mwh": 80.0,
        "low": 70.0,
        "high": 90.0,
        "vendor": "",
        "family": "",
        "text": "",
    }
    claim = {"name": f"claim {NAME}", "usd_per_mwh": 90.0, "text": ""}
    return plot.same_meter(pd.DataFrame([row]), electricity=60.0, claims=[claim])


def _latency() -> object:
    table = serving.curve("H200-SXM", "Llama-3.1-8B", rate=np.arange(1.0, 29.0))
    return plot.latency([table.assign_attrs(plan=NAME)])


def _revenue() -> object:
    tier = ec.Tier(
        "chat", 0.6, interactivity=60.0, model="SmolLM2-135M", context=2048, power_share=0.5
    )
    (found,) = ec.revenue_per_gw(["H200-SXM"], [tier])
    return plot.revenue([replace(found, generation=NAME)], {f"also {NAME}": 1e10})


def _splits() -> object:
    site = ec.Site(power_w=1e9)
    return plot.allocation({NAME: ec.allocate(site, TIERS, [1e6, 1e5])})


def _interconnect() -> object:
    found = ec.interconnect("H200-SXM", "Llama-3.1-8B", [3, 4], devices_max=2)
    return plot.interconnect(replace(found, model=NAME, device=NAME))


def _race() -> object:
    found = ec.race("miners", ["Antminer S9", "Antminer S21"])
    found = replace(found, names=(NAME,) * len(found.names))
    return plot.arms_race(found, found)


def _ladder() -> object:
    found = ec.same_meter([ec.mine("Antminer S21", 40.0)])
    return plot.ladder(replace(found, rungs=tuple(replace(r, name=NAME) for r in found.rungs)))


FIGURES = {
    "roofline": _roofline, "chart": _chart, "hashrate": _hashrate, "same_meter": _meter, "latency": _latency,
    "revenue": _revenue, "allocation": _splits, "interconnect": _interconnect, "arms_race": _race, "ladder": _ladder,
    "frontier": lambda: plot.frontier([_front()], tiers=[
        {"name": NAME, "price_per_mtok": 3.0, "interactivity": speed} for speed in (None, 40.0)]),
    "ratio": lambda: plot.ratio(_front(), _front()),
    "revenue_effects": lambda: plot.revenue_effects([ec.Effect(f"as {NAME}", NAME, 1.2e10, 1.0, 0.08)]),
    "generations": lambda: plot.generations(replace(found := mining.generations_race(), names=(NAME,) * len(found.names))),
    "tornado": lambda: plot.tornado([ec.Swing(NAME, 1.0, 1.4, 5e6, 1e6)], 3e6),
}  # fmt: skip
# names of nobody stand in these
APART = {"cash_flow", "colour", "cost_curve", "timeline", "two_worlds"}


def shown(part: object, key: str = "") -> list[str]:
    """Every text of a figure that a reader sees; `meta` and groups of the legend only tell parts apart."""
    if key in ("meta", "legendgroup", "template", "updatemenus"):
        return []
    if isinstance(part, str):
        return [part]
    if isinstance(part, dict):
        return [s for k, value in part.items() for s in shown(value, k)]
    if isinstance(part, (list, tuple)) or (
        isinstance(part, np.ndarray) and part.dtype.kind in "OU"
    ):
        return [s for value in part for s in shown(value)]
    return []


def read(text: str) -> str:
    """As Plotly shows it: its own tags and templates gone, then entities once."""
    return html.unescape(TAGS.sub(" ", text))


@pytest.mark.parametrize("name", FIGURES)
def test_a_name_is_shown_letter_by_letter(name):
    texts = shown(FIGURES[name]().to_plotly_json())
    whole = " ".join(NAME.split())
    assert any(whole in " ".join(read(text).split()) for text in texts)
    for text in texts:
        assert "<script" not in text and "bold</b>" not in text and "&amp;lt;" not in text, text
        assert "<" not in TAGS.sub("", text), text


def test_no_figure_is_left_out():
    assert {*FIGURES, *APART} == {*plot.__all__}


@pytest.mark.parametrize(
    "text", ["a<b", "<script>alert(1)</script>", "x & y", "&lt;", "%{x}", "100 %", "Zen 4", NAME]
)
def test_what_is_read_is_what_was_written(text):
    assert read(plain(text)) == text
    assert plain("H200-SXM") == "H200-SXM" and plain("two\nlines") == "two<br>lines"
