"""Frontiers under limits: what a user would wait for too long is no offer."""

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import kernels
from tokenroof.inference.door import deployment
from tokenroof.serving.frontier import _batches
from tokenroof.serving.loads import as_load
from tokenroof.serving.search.states import _SLOTS, _fullest

pytest.importorskip("xarray")

LOAD = {"input_tokens": 8192, "output_tokens": 1024, "devices_max": 8}


@pytest.fixture(scope="module")
def free():
    return tr.serving.frontier("H100-SXM", "gpt-oss-120b", **LOAD)


def test_the_fullest_batch_is_what_the_memory_holds():
    on, load = deployment("H100-SXM", "Llama-3.1-8B"), as_load(1000.0, 100.0)
    most = float(kernels.serving(*on.records, 1e9, 1000.0, 100.0)[..., _SLOTS])
    for low, high, want in (
        (1.0, 1e6, [np.floor(most)]), (np.floor(most), np.floor(most), [np.floor(most)]),
        (1.0, np.floor(most) - 1.0, []), (np.floor(most) + 1.0, 1e6, []),
    ):  # fmt: skip
        assert _fullest(on, load, np.array([low, high])).tolist() == want
    assert 2.0 < most < 1e6


def test_users_that_are_tried_have_every_power_of_two_to_16384():
    """And 64 numbers a seventh apart, of which the first few are the same whole ones."""
    tried = _batches(None)
    assert set(2 ** np.arange(15)) <= set(tried) and tried[[0, -1]].tolist() == [1.0, 16384.0]
    assert (np.diff(tried) >= 1.0).all() and (tried == np.round(tried)).all()
    assert (tried[1:] <= np.maximum(tried[:-1] + 1.0, np.ceil(1.17 * tried[:-1]) + 1.0)).all()


@pytest.mark.parametrize(
    "limits", [{"ttft_max": 2.0}, {"tpot_max": 0.02}, {"ttft_max": 1.0, "tpot_max": 0.01}]
)
def test_no_point_is_slower_than_its_limits(limits):
    ask = LOAD | {"concurrency": np.round(np.geomspace(1, 16384, 64))}  # users who may wait
    free = tr.serving.frontier("H100-SXM", "gpt-oss-120b", **ask)
    front = tr.serving.frontier("H100-SXM", "gpt-oss-120b", **ask, **limits)
    assert front.sizes["point"]
    for name, most in limits.items():
        assert float(front[name.replace("max", "s")].max()) <= most and front.attrs[name] == most
    assert (np.diff(front.interactivity) > 0).all()
    assert (np.diff(front.output_tokens_per_s_per_mw) < 0).all()
    # a limit takes points away, and may let others in that were beaten by what it took; none is better
    assert front.output_tokens_per_s_per_mw.max() <= free.output_tokens_per_s_per_mw.max()
    kept = np.ones(free.sizes["point"], dtype=bool)
    for name, most in limits.items():
        kept &= free[name.replace("max", "s")].values <= most
    assert kept.any() and not kept.all()
    assert set(free.interactivity.values[kept]) <= set(front.interactivity.values)


def test_the_limited_set_is_the_best_of_what_is_left():
    """Point by point: what no other point within the limit beats, not the free set cut down."""
    plans = [tr.Plan(tp=tp, engine="vllm") for tp in (1, 2, 4, 8)]
    users = np.arange(1.0, 65.0)
    load = {"input_tokens": 8192, "output_tokens": 128, "concurrency": users}
    points = []
    for plan in plans:
        c = tr.serving.curve("H100-SXM", "Llama-3.1-8B", plan, **load)
        points += zip(
            c.interactivity.values,
            c.output_tokens_per_s_per_mw.values,
            c.ttft_s.values,
            strict=True,
        )
    offers = [(x, y) for x, y, ttft in points if ttft <= 0.6]
    best = {
        (x, y)
        for x, y in offers
        if not any(a >= x and b >= y and (a, b) != (x, y) for a, b in offers)
    }
    front = tr.serving.frontier("H100-SXM", "Llama-3.1-8B", plans, **load, ttft_max=0.6)
    found = set(
        zip(front.interactivity.values, front.output_tokens_per_s_per_mw.values, strict=True)
    )
    assert found == best and len(best) > 4


def test_all_users_of_a_point_run_unless_they_may_wait(free):
    assert (free.queue_s == 0.0).all() and (free.batch == free.concurrency).all()
    ask = {"input_tokens": 8192, "output_tokens": 1024}
    front = tr.serving.frontier("H100-SXM", "Llama-3.1-8B", [tr.Plan()], **ask)
    most = float(front.concurrency[0])
    # not a step of the default ones, but what the memory holds: one more waits
    full = tr.serving.curve(
        "H100-SXM", "Llama-3.1-8B", tr.Plan(), **ask, concurrency=[most, most + 1]
    )
    assert full.queue_s.values[0] == 0.0 < full.queue_s.values[1]
    assert front.output_tokens_per_s_per_mw[0] == full.output_tokens_per_s_per_mw[0]
    # users who were asked for, or may wait, do
    for limits in ({"concurrency": [1, 4096]}, {"ttft_max": 60.0}):
        waiting = tr.serving.frontier("H100-SXM", "Llama-3.1-8B", [tr.Plan()], **ask, **limits)
        assert waiting.queue_s[0] > 0.0 and waiting.concurrency[0] > most


def test_no_limit_is_none(free):
    same = tr.serving.frontier("H100-SXM", "gpt-oss-120b", **LOAD, ttft_max=None, tpot_max=None)
    assert same.identical(free) and "ttft_max" not in free.attrs
    none = tr.serving.frontier("H100-SXM", "gpt-oss-120b", **LOAD, ttft_max=1e-9)
    assert none.sizes["point"] == 0


@pytest.mark.parametrize("name", ["ttft_max", "tpot_max"])
@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf, "1 s"])
def test_a_limit_that_is_none_is_named(name, value):
    with pytest.raises((ValueError, TypeError), match=name):
        tr.serving.frontier("H100-SXM", "GPT-2", **{name: value})


def test_a_limit_of_another_name_is_refused():
    with pytest.raises(TypeError, match="unexpected option 'ttft'; allowed: ttft_max, tpot_max"):
        tr.serving.frontier("H100-SXM", "GPT-2", ttft=1.0)


@pytest.mark.filterwarnings("ignore:.*legal and odd:UserWarning")
def test_an_empty_frontier_names_the_nearest_miss():
    every = tr.serving.frontier("H200-SXM", "Llama-3.1-8B", devices_max=2)
    found = tr.serving.frontier(
        "H200-SXM", "Llama-3.1-8B", devices_max=2, ttft_max=1e-6, tpot_max=9.0
    )
    assert found.sizes["point"] == 0
    said, _, nearest = found.attrs["reason"].partition("; ttft_max is 1e-06, nearest ")
    assert said == "no point keeps to what was asked"
    assert 0.0 < float(nearest.removesuffix(" s")) <= float(every.ttft_s.min()) * 1.001
    # the soonest first token and the quickest tokens are of different batches or plans
    soonest, quickest = float(every.ttft_s.min()), float(every.tpot_s.min())
    both = {"ttft_max": soonest * 1.0001, "tpot_max": quickest * 1.0001}
    kept = tr.serving.frontier("H200-SXM", "Llama-3.1-8B", devices_max=2, **both)
    assert kept.sizes["point"] or "met alone" in kept.attrs["reason"]


def test_caps_are_an_axis():
    """Each at its own; what no cap holds is as without; one at its limit is the limit."""
    ask = {"devices_max": 2, "concurrency": [1, 16, 256]}
    free = tr.serving.frontier("H200-SXM", "Llama-3.1-8B", **ask)
    at_limit = tr.serving.frontier("H200-SXM", "Llama-3.1-8B", **ask, power_caps=700)
    for name in ("interactivity", "output_tokens_per_s_per_mw", "provisioned_watts"):
        np.testing.assert_array_equal(free[name], at_limit[name])
    both = tr.serving.frontier("H200-SXM", "Llama-3.1-8B", **ask, power_caps=[None, 400])
    assert set(both.power_cap_w.values) == {400.0, 700.0} and both.power_cap_w.attrs["units"] == "W"
    assert [" at 400 W" in p for p in both.plan.values] == list(both.power_cap_w.values == 400.0)
    # nothing that the limit alone offers is lost, and watts are set aside for the cap alone
    for speed, worth in zip(
        free.interactivity.values, free.output_tokens_per_s_per_mw.values, strict=True
    ):
        assert (
            both.output_tokens_per_s_per_mw.values[both.interactivity.values >= speed] >= worth
        ).any()
    assert both.attrs["power_caps"] == "none, 400"


@pytest.mark.parametrize(
    "caps, error, text",
    [(701, ValueError, "power_cap_w is 701 on H200-SXM; allowed: 200 to 700 W"),
     ([None, 150], ValueError, "power_cap_w is 150"), ([], ValueError, r"power_caps is \[\]"),
     (-1, ValueError, "power_caps is -1"), ("x", TypeError, "power_caps is 'x'")],
)  # fmt: skip
def test_bad_caps_of_a_search(caps, error, text):
    with pytest.raises(error, match=text):
        tr.serving.frontier("H200-SXM", "Llama-3.1-8B", devices_max=1, power_caps=caps)
    with pytest.raises(ValueError, match="power 'dashboard', whose constant knows no cap"):
        tr.serving.frontier("H200-SXM", "Llama-3.1-8B", power_caps=400, power="dashboard")
