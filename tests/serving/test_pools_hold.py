"""Prompts and answers apart in closed form: where it says that it holds, and that it does there."""

from dataclasses import replace

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import serving
from tokenroof.serving import Lengths, Scheduler
from tokenroof.serving.open_pools import LEAST_ANSWER, PERCENTILES_AT, POOLS_HOLD
from tokenroof.serving.tuning.subject import OfPools
from tokenroof.serving.twin import Shape, shape_of

DENSE = "H100-SXM", "Llama-3.1-8B", None
SHAPE = Shape(1000.0, 100.0, 0.25, 0.25)


def system(device, model, plan, counts=(1, 1), **link):
    return serving.disaggregate(
        (device, plan, counts[0]), (device, plan, counts[1]), model=model, **link
    )


def twin(*where, counts=(1, 1), shape=SHAPE, schedulers=None, **link):
    return OfPools(system(*where, counts, **link), schedulers, shape, "calibrated", {}).twin


def holds(one, share=0.5):
    found = one.at(np.array([share * one.saturation]))
    few = (
        one.first.at(np.array([share * one.saturation]) / one.first_count)["load"] <= PERCENTILES_AT
    )
    assert found["percentiles_hold"][0] == (found["means_hold"][0] and few[0])
    return bool(found["means_hold"][0])


def test_each_limit_is_kept():
    assert holds(twin(*DENSE))
    assert holds(twin(*DENSE), 0.599) and not holds(twin(*DENSE), 0.601)
    assert POOLS_HOLD["prompts"] == POOLS_HOLD["answers"] == 0.6
    counts = int(POOLS_HOLD["replicas"])
    assert holds(twin(*DENSE, counts=(counts, 3))) and not holds(
        twin(*DENSE, counts=(counts + 1, 3))
    )
    for name, most in (("input_cv2", "input_cv2"), ("arrival_cv2", "gaps")):
        within, beyond = (
            replace(SHAPE, **{name: (name == "arrival_cv2") + x * POOLS_HOLD[most]})
            for x in (0.99, 1.01)
        )
        assert holds(twin(*DENSE, shape=within)) and not holds(twin(*DENSE, shape=beyond)), name
    short, long_ = (replace(SHAPE, output_tokens=LEAST_ANSWER + x) for x in (-0.5, 0.0))
    assert not holds(twin(*DENSE, shape=short)) and holds(twin(*DENSE, shape=long_))


def test_answers_are_limited_as_prompts_are():
    """Long ones: their pool is the short one."""
    one = twin(*DENSE, counts=(3, 1), shape=replace(SHAPE, output_tokens=800.0))
    assert one.saturation == one.last.saturation < 2.5 * one.first.saturation
    assert holds(one, 0.59) and not holds(one, 0.61)


def test_a_link_that_is_busy_was_not_shown():
    rate = 0.5 * twin(*DENSE).saturation
    for link, want in ((0.04, True), (0.06, False)):
        one = replace(twin(*DENSE), cache_s=link / rate)
        assert one.crossing_s == pytest.approx(link / rate)
        assert holds(one, rate / one.saturation) == want


@pytest.mark.parametrize(
    "other",
    [
        {"schedulers": Scheduler.preset("vllm-0.33", max_num_batched_tokens=4096)},
        {"plan": tr.Plan(engine="sglang")},
        {"plan": tr.Plan(engine="trtllm")},
        {"plan": tr.Plan(pp=2), "loop": "sync"},
    ],
    ids=["a budget", "SGLang", "TensorRT-LLM", "stages"],
)
def test_what_was_shown_is_vllm_on_one_lane(other):
    how = {"loop": other["loop"]} if "loop" in other else {}
    engine = other.get("schedulers") or (Scheduler.preset("vllm-0.33", **how) if how else None)
    one = twin(*DENSE[:2], other.get("plan"), schedulers=engine)
    assert holds(one) == ("schedulers" in other)


def test_drafts_were_not_shown():
    drafted = system(*DENSE, speculation=serving.Speculation("eagle", 2))
    one = OfPools(drafted, None, SHAPE, "calibrated", {}).twin
    assert one.first.shown and not one.last.shown and not holds(one)


def test_few_answers_beside_each_other_on_several_replicas_were_not_shown():
    """Of a mixture a step of two sequences is longer than one of one, and requests go where nobody is."""
    where = "H200-SXM", "Qwen3-30B-A3B", None
    alone, several = (twin(*where, counts=(1, n)) for n in (1, 3))
    n = several.at(np.array([0.2 * several.saturation]))["running"][0] / 3
    steps = several.last.steps
    assert steps[int(n) + 2] / steps[max(int(n) - 1, 1)] > 1.0 + POOLS_HOLD["one_more"]
    assert holds(alone, 0.2) and not holds(several, 0.2)
    dense = twin(*DENSE, counts=(1, 3))
    assert holds(dense, 0.2)


@pytest.mark.parametrize(
    ("where", "counts", "sizes", "share"),
    [
        (DENSE, (1, 2), (Lengths.lognormal(1500, 0.5), Lengths.lognormal(120, 0.5)), 0.55),
        (
            ("L40S", "Llama-3.1-8B", None),
            (2, 1),
            (Lengths.fixed(700), Lengths.lognormal(60, 1.0)),
            0.38,
        ),
    ],
)
def test_it_agrees_with_the_simulator_where_it_says_so(where, counts, sizes, share):
    on = system(*where, counts)
    known = dict(zip(("input_tokens", "output_tokens"), sizes, strict=True))
    most = twin(
        *where, counts=counts, shape=shape_of(serving.poisson(1.0, requests=4000, **known))
    ).saturation
    load = serving.poisson(share * most, requests=8000, seed=4, **known)
    seen = serving.summary(serving.simulate(on, None, None, load).requests[1000:-400])
    shape = shape_of(load)
    found = twin(*where, counts=counts, shape=shape).at(np.array([shape.rate]))
    assert found["means_hold"][0] and found["percentiles_hold"][0] == (share < PERCENTILES_AT)
    for name in ("ttft", "tpot", "e2e"):
        assert found[name][0] == pytest.approx(seen[f"{name}_s"]["mean"], rel=0.1), name
        for p in ("p50", "p90", "p99") if share < PERCENTILES_AT else ():
            assert found[f"{name}_{p}"][0] == pytest.approx(seen[f"{name}_s"][p], rel=0.2), (
                name,
                p,
            )
