"""Sweeps: every combination has numbers or a reason, whatever is swept."""

from __future__ import annotations

import numpy as np
import pytest

import tokenroof as tr

PLANS = [
    tr.Plan(), tr.Plan(tp=2), tr.Plan(tp=8), tr.Plan(tp=3), tr.Plan(pp=100), tr.Plan(dp=8, moe_ep=8),
    tr.Plan(tp=8, moe_ep=8, weights="fp8", kv_cache="fp8"), tr.Plan(tp=64, weights="nvfp4"),
]  # fmt: skip


def test_a_step_of_no_users_has_no_speed_of_one():
    table = tr.sweep("H100-SXM", "Llama-3.1-8B", batch=[0, 1], context=1000).squeeze()
    assert np.isnan(table.interactivity[0]) and table.interactivity[1] > 100
    assert table.tokens_per_s[0] == 0 and table.time_s[0] > 0


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("fields", [False, True])
@pytest.mark.parametrize("fidelity", ["calibrated", "datasheet"])
def test_the_whole_catalogue(fields, fidelity):
    devices = [d.name for d in tr.catalogue.all_devices()]
    table = tr.sweep(
        devices, tr.catalogue.models()["name"], PLANS, fidelity=fidelity, fields=fields
    )
    has = table.reason == ""
    for name in ("time_s", "tokens_per_s", "tokens_per_s_per_device", "interactivity"):
        assert (np.isfinite(table[name]) == has).all(), name
    assert not (table.fits & ~has).any() and 0 < int(has.sum()) < has.size
    # what step by step is an error or does not fit has no number here, and the other way round
    rng = np.random.default_rng(3)
    for i in rng.integers(0, has.size, 60):
        d, m, p, b, _ = np.unravel_index(i, has.shape)
        try:
            step = tr.decode(devices[d], str(table.model[m].item()), PLANS[p],
                             batch=float(table.batch[b]), context=4096, fidelity=fidelity)  # fmt: skip
            expected = bool(step.fits)
        except ValueError as error:
            expected = False
            assert str(error) == table.reason[d, m, p, b, 0].item()
        assert bool(has[d, m, p, b, 0]) is expected


def test_reasons_say_what_is_wrong_and_what_is_allowed():
    table = tr.sweep(["Grace CPU", "Apple M4 Max", "T4"], ["Llama-3.1-8B", "GPT-MoE-1.8T"],
                     [tr.Plan(), tr.Plan(tp=8)], batch=[1, 4096])  # fmt: skip
    said = table.reason.values[..., 0]
    assert "plan has 8 devices; allowed: at most the 2 that Grace CPU joins" in said[0, 0, 1, 0]
    assert "one, as Apple M4 Max has no link to others" in said[1, 0, 1, 0]
    assert (
        said[2, 0, 0, 0]
        == "weights need 16.1 GB per device; allowed: what vllm uses of the 16.0 GB of T4"
    )
    assert "weights (16.1 GB) and caches need more per device; allowed" in said[1, 0, 0, 1]
    assert "no published shapes" in said[0, 1, 0, 0]
    assert said[0, 0, 0, 0] == ""


@pytest.mark.parametrize(
    "given",
    [{"devices": "Grace CPU", "plans": tr.Plan(tp=8)}, {"devices": "T4"}, {"plans": tr.Plan(tp=3)},
     {"models": "GPT-MoE-1.8T"}, {"batch": 1e6}],
)  # fmt: skip
def test_combinations_that_cannot_be_are_errors_if_wanted(given):
    wanted = {"devices": "H200-SXM", "models": "Llama-3.1-8B"} | given
    assert tr.sweep(**wanted, invalid="nan").time_s.isnull().any()
    with pytest.raises(ValueError, match="with the plan .*: .*allowed|no published shapes"):
        tr.sweep(**wanted, invalid="raise")


def test_one_name_is_a_list_of_one():
    one = tr.sweep("H200-SXM", "Llama-3.1-8B", tr.Plan(tp=2), invalid="raise")
    many = tr.sweep(["H200-SXM"], ["Llama-3.1-8B"], [tr.Plan(tp=2)])
    assert one.identical(many)
    same = tr.sweep(tr.device("H200-SXM"), tr.model("Llama-3.1-8B"), [tr.Plan(tp=2)])
    assert same.identical(many)


def test_bad_input_is_named():
    for call, error, said in (
        (lambda: tr.sweep("H20O", "GPT-2"), KeyError, "H20O"),
        (lambda: tr.sweep("H200-SXM", "GPT-22"), KeyError, "GPT-22"),
        (lambda: tr.sweep(3, "GPT-2"), TypeError, "devices is 3; allowed"),
        (lambda: tr.sweep("H200-SXM", {"GPT-2": 1}), TypeError, "models is .*; allowed"),
        (lambda: tr.sweep("H200-SXM", "GPT-2", "tp8"), TypeError, "plan is 'tp8'; allowed"),
        (lambda: tr.sweep("H200-SXM", "GPT-2", invalid="skip"), ValueError, "invalid is 'skip'"),
    ):
        with pytest.raises(error, match=said):
            call()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("plan", [tr.Plan(tp=2), tr.Plan(pp=2), tr.Plan(dp=2)])
def test_devices_without_a_link_stay_alone(plan):
    card = tr.Device(name="alone", memory_bandwidth=1e12, peak={"bf16": 1e14}, tdp_w=300)
    for device in ("Apple M4 Max", card):
        for call in (tr.decode, tr.prefill, tr.serving.curve):
            with pytest.raises(ValueError, match="allowed: one, as .* has no link"):
                call(device, "Llama-3.1-8B", plan)
        front = tr.serving.frontier(device, "SmolLM2-135M")
        assert set(front.devices.values.tolist()) == {1}


@pytest.mark.parametrize("model,experts", [("Llama-3.1-8B", ""), ("Qwen3-30B-A3B", "ep2 ")])
def test_labels_speak_of_experts_where_there_are_some(model, experts):
    plan = tr.Plan(tp=2, dp=2, weights="fp8")
    label = f"tp2 dp2 {experts}fp8 kv bf16"
    swept = tr.sweep(["H200-SXM"], [model], [plan], batch=[4], context=[1000])
    assert swept.plan.values.tolist() == [label]
    system = tr.serving.System(both=tr.serving.Pool("H200-SXM", plan, 3))
    assert (
        system.label(tr.model(model))
        == system.replace(model=model).label()
        == f"3x H200-SXM {label}"
    )
    assert (
        tr.serving.curve(system, model, concurrency=[8]).attrs["system"] == f"3x H200-SXM {label}"
    )


def test_of_unlike_models_a_plan_is_called_by_the_mixtures():
    plan = tr.Plan(tp=2, dp=2)
    swept = tr.sweep(
        ["H200-SXM"], ["Llama-3.1-8B", "Qwen3-30B-A3B"], [plan], batch=[4], context=[1000]
    )
    assert swept.plan.values.tolist() == ["tp2 dp2 ep2 bf16 kv bf16"]
