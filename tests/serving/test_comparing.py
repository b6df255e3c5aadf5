"""Two systems at one objective: products, sums, and what nothing keeps to."""

import math

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import serving

PLAN = tr.Plan(tp=8, weights="fp8", kv_cache="fp8")
LOAD = {"input_tokens": 2048, "output_tokens": 512}
APART = serving.disaggregate(("H200-SXM", PLAN, 1), ("H200-SXM", PLAN, 2))


def two(**given):
    return serving.compare(
        "B200-SXM",
        ("H200-SXM", PLAN),
        "Llama-3.3-70B",
        **{"speed": 40, "devices_max": 8, **LOAD, **given},
    )


def test_each_offer_is_the_best_point_of_its_frontier():
    found = two()
    for offer, device, plans in ((found.one, "B200-SXM", None), (found.other, "H200-SXM", [PLAN])):
        front = serving.frontier(
            device, "Llama-3.3-70B", plans, devices_max=8, tpot_max=1 / 40, **LOAD
        )
        assert offer.per_mw == pytest.approx(float(front.output_tokens_per_s_per_mw.max()))
        assert offer.interactivity >= 40 and offer.label.startswith(device)
    assert found.ratio == pytest.approx(found.one.per_mw / found.other.per_mw) and found.ratio > 1.5
    assert found.one.watts_per_device == pytest.approx(
        2170
    ) and found.other.watts_per_device == pytest.approx(1730)


def test_factors_make_the_ratio_and_seconds_the_step():
    found = two()
    assert math.prod(found.factors.values()) == pytest.approx(found.ratio, rel=1e-12)
    assert found.factors["watts of a device"] == pytest.approx(1730 / 2170)
    for offer in (found.one, found.other):
        assert sum(offer.operators.values()) == pytest.approx(1 / offer.interactivity, rel=1e-9)
        assert sum(offer.causes.values()) == pytest.approx(1 / offer.interactivity, rel=1e-9)
        assert offer.operators["prompts"] > 0.0
    step = tr.decode(
        "H200-SXM", "Llama-3.3-70B", PLAN, batch=found.other.batch, context=2048 + 256
    ).breakdown()
    assert found.other.operators["mlp"] == pytest.approx(float(step["operator"]["mlp"]))
    assert found.other.causes["launch"] == pytest.approx(float(step["cause"]["launch"]))
    prompt = tr.prefill("H200-SXM", "Llama-3.3-70B", PLAN, tokens=2048).breakdown()["operator"]
    assert found.other.prompt_operators["mlp"] == pytest.approx(float(prompt["mlp"]))
    apart = list(found.operators.values())
    assert found.operators["mlp"] == pytest.approx(
        found.one.operators["mlp"] - found.other.operators["mlp"]
    )
    assert (np.diff(np.abs(apart)) <= 0).all()
    assert "times more per MW" in found.why and next(iter(found.causes)) in found.why


def test_the_other_way_round_is_the_inverse():
    found = serving.compare(
        ("H200-SXM", PLAN), "B200-SXM", "Llama-3.3-70B", 40, devices_max=8, **LOAD
    )
    assert found.ratio == pytest.approx(1 / two().ratio) and "times less per MW" in found.why
    assert found.operators == pytest.approx({k: -v for k, v in two().operators.items()})


def test_a_pool_a_system_and_a_pair_are_the_same():
    pool = serving.Pool("H200-SXM", PLAN)
    for given in (pool, serving.System(both=pool)):
        found = serving.compare(given, given, "Llama-3.3-70B", 40, **LOAD)
        assert found.ratio == 1.0 and found.one == two().other
        assert set(found.operators.values()) == {0.0}


def test_systems_of_several_pools_and_with_drafts():
    drafts = serving.Speculation("ngram", 2, (0.6, 0.5))
    three = serving.System(both=serving.Pool("H200-SXM", PLAN, 3), speculation=drafts)
    found = serving.compare(APART, three, "Llama-3.3-70B", 40, **LOAD)
    assert math.prod(found.factors.values()) == pytest.approx(found.ratio, rel=1e-12)
    users = np.unique(np.round(np.geomspace(1, 16384 * 2, 96)))
    table = serving.curve(APART, "Llama-3.3-70B", None, *LOAD.values(), users)
    best = table.output_tokens_per_s_per_mw.where(table.interactivity >= 40).max()
    assert found.one.per_mw == pytest.approx(float(best)) and found.one.devices == 24
    for offer in (found.one, found.other):
        assert sum(offer.operators.values()) == pytest.approx(1 / offer.interactivity, rel=1e-9)
        assert sum(offer.causes.values()) == pytest.approx(1 / offer.interactivity, rel=1e-9)
        prompt = tr.prefill("H200-SXM", "Llama-3.3-70B", PLAN, tokens=LOAD["input_tokens"])
        of_it = prompt.breakdown()["operator"]
        assert offer.prompt_operators == {k: float(of_it[k]) for k in offer.prompt_operators}
        assert offer.prompt_operators["mlp"] > 0.0
    # answers apart see nobody's prompt and no drafts; drafts save more than they take
    assert found.one.operators["prompts"] == pytest.approx(0.0, abs=1e-12)
    assert found.one.operators["drafts"] == 0.0 > found.other.operators["drafts"]
    step = tr.decode(
        "H200-SXM", "Llama-3.3-70B", PLAN, batch=found.other.batch / 3, context=2048 + 256
    )
    round_ = found.other.operators["drafts"] + float(step.time_s)
    assert round_ * drafts.tokens > float(step.time_s) > round_


RUBIN = ("Vera Rubin NVL72", tr.Plan(tp=8, weights="nvfp4", kv_cache="fp8"))


def test_devices_with_chips_beside_them():
    """Both ways to help: what a token is made of sums to it, a range has its ends, factors make the ratio."""
    given = {"model": "Llama-3.1-70B", "speed": 60, **LOAD}
    experts = serving.split_experts(RUBIN, "LPX")
    drafting = serving.draft_apart(RUBIN, "Llama-3.2-1B", "LPX", 3, 0.7)
    found = serving.compare(experts, drafting, **given)
    assert math.prod(found.factors.values()) == pytest.approx(found.ratio, rel=1e-12)
    for offer in (found.one, found.other):
        assert offer.chips >= 1.0 and offer.per_mw_low < offer.per_mw < offer.per_mw_high
        assert sum(offer.operators.values()) == pytest.approx(1 / offer.interactivity, rel=1e-9)
        assert sum(offer.causes.values()) == pytest.approx(1 / offer.interactivity, rel=1e-9)
        assert (
            offer.interactivity >= 60 and offer.operators["chips"] > 0.0 < offer.operators["link"]
        )
        beside = serving.beside_lpx(
            "Llama-3.1-70B", RUBIN[0], "LPX", [RUBIN[1]], *LOAD.values(), batch=[offer.concurrency],
            ways=["experts" if offer is found.one else "drafts"], draft="Llama-3.2-1B", length=3,
            acceptance=0.7,
        )  # fmt: skip
        worth = beside.output_tokens_per_s_per_mw.sel(point=0)
        assert offer.per_mw == pytest.approx(float(worth)) and float(beside.chips[0]) == offer.chips
    assert found.one.operators["mlp"] == 0.0 < found.other.operators["mlp"]
    low, high = found.ratio_range
    assert low < found.ratio < high
    ends = (low, high) if found.ratio >= 1.0 else (1.0 / high, 1.0 / low)
    assert f"({ends[0]:.2f} to {ends[1]:.2f} by the bands)" in found.why


def test_chips_are_taken_where_they_yield_more():
    given = {"model": "Llama-3.1-70B", **LOAD}
    with_chips = serving.compare(RUBIN, RUBIN, speed=90, chips=("LPX", None), **given)
    assert with_chips.ratio >= 1.0 and with_chips.other.chips == 0.0
    alone = serving.compare(RUBIN, RUBIN, speed=90, **given)
    assert with_chips.other == alone.one and alone.ratio_range[0] < 1.0 < alone.ratio_range[1]
    few = serving.compare(RUBIN, RUBIN, speed=5, chips="LPX", **given)
    assert few.one == few.other and few.ratio == 1.0


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: two(speed=5000), ValueError, "one is B200-SXM: speed is 5000 token/s a user; allowed: at most"),
        (lambda: two(ttft_max=1e-3), ValueError, r"ttft_max is 0.001 at 40 token/s a user; allowed: at least 0\.0"),
        (lambda: serving.compare("H200-SXM", ("H200-SXM", tr.Plan()), "Llama-3.1-405B", 10, devices_max=8), ValueError,
         "other is H200-SXM: Llama-3.1-405B needs"),
        (lambda: two(speed=0), ValueError, "speed is 0"),
        (lambda: two(speeds=3), TypeError, "speeds"),
        (lambda: serving.compare("H20", 3, "Llama-3.3-70B", devices_max=8, speed=5), TypeError, "other is 3|device is 3"),
        (lambda: serving.compare(("H200-SXM", 3), "H200-SXM", "Llama-3.3-70B"), TypeError, "one is .*allowed: a device"),
        (lambda: serving.compare(serving.disaggregate(("H200-SXM", PLAN), ("LPX", PLAN)), "H200-SXM", "Llama-3.1-8B"),
         ValueError, "one is prefill .*allowed: a System whose dataflow chips hold experts, or draft"),
        (lambda: two(chips="H20"), ValueError, "chips is H20, a gpu"),
        (lambda: two(chips=("LPX",)), ValueError, "chips is .*a pair"),
        (lambda: two(chips="LPX", power="facility"), ValueError, "power is 'facility' with chips"),
        (lambda: two(chips="LPX", speed=1e5), ValueError, "one is B200-SXM with Groq 3 LPU .*at most .*; one is B200"),
        (lambda: serving.compare(APART, "H200-SXM", "Llama-3.3-70B", 900), ValueError,
         "one is prefill .*speed is 900 token/s a user; allowed: at most"),
        (lambda: serving.compare(APART, "H200-SXM", "Llama-3.3-70B", 20, ttft_max=1e-3), ValueError,
         r"ttft_max is 0.001 at 20 token/s a user; allowed: at least 0\.0"),
        (lambda: serving.compare(serving.Pool("H200-SXM", tr.Plan(), 2), "H200-SXM", "Llama-3.1-405B", 5), ValueError,
         "one is 2x .*do not fit"),
        (lambda: two(power="kettle"), ValueError, "power is 'kettle'"),
    ],
)  # fmt: skip
def test_refusals(call, error, text):
    with pytest.raises(error, match=text):
        call()
