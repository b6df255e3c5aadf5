"""Revenue of a GW by generation beside the keynote's, and ratios over the speed of a user."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import economics as ec

CHAT = ec.Tier("chat", 0.6, interactivity=60.0, model="gpt-oss-20b", context=2048, power_share=0.5)
LIVE = ec.Tier(
    "live", 9.0, interactivity=150.0, model="gpt-oss-20b", context=1024, power_share=0.25
)
DREAM = ec.Tier(
    "dream", 99.0, interactivity=1e5, model="gpt-oss-20b", context=1024, power_share=0.25
)
YEAR = 31.536


@pytest.fixture(scope="module")
def keynote():
    return ec.revenue_per_gw()


def test_the_page_has_these_figures(keynote):
    """The first table of its section, in billions of dollars a year."""
    page = (Path(__file__).parents[2] / "docs" / "economics.md").read_text()
    for found in keynote:
        ends = [found.revenue[case] for case in ("hard", "middle", "easy")]
        row = [f"{x / 1e9:.1f}" for x in (*ends, found.best)]
        row += [f"{found.printed / 1e9:.0f}", f"{found.revenue['middle'] / found.printed:.2f}"]
        assert f"| {found.generation} | {' | '.join(row)} |" in page


@pytest.fixture(scope="module")
def effects():
    return ec.revenue_effects(
        ["GB200-NVL72"], [replace(CHAT, interactivity_range=(40, 90), interactivity=None), DREAM]
    )


def test_revenue_by_hand():
    (of,) = ec.revenue_per_gw(["H200-SXM"], [CHAT, LIVE, DREAM])
    chat, live, dream = ec.deliver(["H200-SXM"], [CHAT, LIVE, DREAM]).supply("H200-SXM")
    assert dream == 0.0 < live
    want = YEAR * (500 * 0.6 * chat + 250 * 9.0 * live)
    assert of.revenue == pytest.approx({"easy": want, "middle": want, "hard": want}, rel=1e-12)
    assert (
        of.by_tier["live"] == pytest.approx(YEAR * 250 * 9.0 * live, rel=1e-12)
        and of.by_tier["dream"] == 0.0
    )
    assert of.best == pytest.approx(YEAR * 1000 * max(0.6 * chat, 9.0 * live), rel=1e-12)
    assert of.best >= of.revenue["middle"]
    assert len(of.missed) == 1 and of.missed[0].startswith("dream (1e+05 token/s")
    assert np.isnan(of.printed) and not of.is_near
    (billed,) = ec.revenue_per_gw(
        ["H200-SXM"], [CHAT, LIVE, DREAM], input_price=0.5, output_tokens=1024
    )
    want = YEAR * (500 * 0.6 * chat * (1 + 0.5 * 2) + 250 * 9.0 * live * (1 + 0.5))
    assert billed.revenue["middle"] == pytest.approx(want, rel=1e-12)


def test_the_keynotes_generations_stand_beside_its_figures(keynote):
    blackwell, rubin = keynote
    assert (blackwell.generation, blackwell.printed) == ("Grace Blackwell", 30e9)
    assert (rubin.generation, rubin.printed) == ("Vera Rubin", 150e9)
    for of in keynote:
        assert of.revenue["easy"] > of.revenue["middle"] > of.revenue["hard"] > 0.0
        assert of.revenue["middle"] == pytest.approx(sum(of.by_tier.values()))
        assert of.best >= of.revenue["middle"]
        assert of.ratio == of.revenue["middle"] / of.printed
        assert of.is_near == (1 / 1.5 <= of.ratio <= 1.5)
        assert of.by_tier["Free"] == 0.0 and not any(
            line.startswith("Ultra") for line in of.missed
        )  # no power there
    assert rubin.revenue["middle"] > blackwell.revenue["middle"]
    # the printed figure lies between what the assumptions say at their ends, or is named as missed
    assert blackwell.revenue["hard"] < blackwell.printed < blackwell.revenue["easy"]


def test_a_name_of_the_keynote_brings_its_figure():
    (of,) = ec.revenue_per_gw({"Vera Rubin with LPX": "Vera Rubin NVL72"}, [CHAT])
    assert of.printed == 300e9 and of.ratio == of.revenue["middle"] / 300e9


def test_each_assumption_has_its_effect(effects):
    by = {e.assumption: e for e in effects}
    base = by["as assumed"]
    assert base.factor == 1.0 and len(by) == len(effects) == 11
    assert by["prompts billed as answers"].revenue == pytest.approx(
        base.revenue * 3.0
    )  # 2,048 with 1,024
    assert by["prompts billed at a quarter of an answer's price"].factor == pytest.approx(1.5)
    assert by["power of the boards alone"].factor > 1.0
    assert by["the slow and short ends"].factor > 1.0 > by["the fast and long ends"].factor
    dream = by["tiers at the fastest speed that is reached"]
    front = tr.serving.frontier("GB200-NVL72", "gpt-oss-20b", input_tokens=1024, ttft_max=10.0)
    extra = YEAR * 250 * 99.0 * float(front.output_tokens_per_s_per_mw[-1])
    assert dream.revenue - base.revenue == pytest.approx(extra, rel=1e-9)


def test_ratios_are_curves():
    got = ec.generation_ratios(
        ["H200-SXM", "GB200-NVL72"], "Kimi-K2.5", [10.0, 60.0, 130.0, 1e4], input_tokens=4096
    )
    fronts = [
        tr.serving.frontier(d, "Kimi-K2.5", input_tokens=4096, ttft_max=10.0)
        for d in got.generations
    ]
    for k, front in enumerate(fronts):
        speeds = front.interactivity.values
        want = [
            max(front.output_tokens_per_s_per_mw.values[speeds >= s], default=0.0)
            for s in got.interactivity
        ]
        np.testing.assert_array_equal(got.tokens_per_s_per_mw[k], want)
        assert got.fastest[k] == speeds[-1]
    assert got.ratio[0, :2].tolist() == [1.0, 1.0] and got.ratio[1, 1] != got.ratio[1, 0]
    assert got.ratio[1, 2] == np.inf and np.isnan(got.ratio[1, 3])
    assert got.reaches(got.ratio[1, 1]) == (
        None,
        60.0 if got.ratio[1, 0] < got.ratio[1, 1] else 10.0,
    )
    assert got.to_frame()["GB200-NVL72 ratio"].tolist()[:3] == got.ratio[1, :3].tolist()
    whole = ec.generation_ratios({"old": "H200-SXM"}, "Kimi-K2.5", ttft_max=None)
    assert whole.interactivity.size == 32 and whole.interactivity[-1] == pytest.approx(
        whole.fastest[0]
    )


@pytest.mark.parametrize("call,said", [
    (lambda: ec.revenue_per_gw(["H200-SXM"], [replace(CHAT, power_share=0.9), replace(LIVE, power_share=0.9)]),
     "split sums to 1.8; allowed: at most 1"),
    (lambda: ec.revenue_per_gw(["H200-SXM"], [CHAT], input_price=-1), "input_price is -1; allowed"),
    (lambda: ec.revenue_per_gw(["H200-SXM"], [CHAT], tftt_max=1), "unexpected option 'tftt_max'"),
    (lambda: ec.revenue_effects(["H200-SXM"], 3), "tiers is 3; allowed"),
    (lambda: ec.generation_ratios(["H200-SXM"], "gpt-oss-20b", [[3]]), "interactivity has shape .1, 1."),
    (lambda: ec.generation_ratios(["H200-SXM"], "gpt-oss-20b", [-3]), r"interactivity is -3.0; allowed"),
])  # fmt: skip
def test_bad_input_is_named(call, said):
    with pytest.raises((ValueError, TypeError), match=said):
        call()
