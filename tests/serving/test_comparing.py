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
    # answers apart see nobody's prompt and no drafts; drafts save more than they take
    assert found.one.operators["prompts"] == pytest.approx(0.0, abs=1e-12)
    assert found.one.operators["drafts"] == 0.0 > found.other.operators["drafts"]
    step = tr.decode(
        "H200-SXM", "Llama-3.3-70B", PLAN, batch=found.other.batch / 3, context=2048 + 256
    )
    round_ = found.other.operators["drafts"] + float(step.time_s)
    assert round_ * drafts.tokens > float(step.time_s) > round_


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
        (lambda: serving.compare(serving.split_experts(("B200-SXM", PLAN), "LPX"), "H200-SXM", "Qwen3-235B-A22B"),
         ValueError, "one is attention .*allowed: a System whose pools have no dataflow chips"),
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
