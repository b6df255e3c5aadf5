"""What limits one user, and the largest published speeds beside what is predicted."""

import math

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import _core, catalogue, kernels, serving
from tokenroof.inference.door import deployment

PLAN = tr.Plan(tp=8, weights="fp8", kv_cache="fp8")


def test_causes_are_the_step():
    one = serving.one_user("H200-SXM", "Llama-3.1-70B", PLAN, context=4096)
    step = tr.decode("H200-SXM", "Llama-3.1-70B", PLAN, batch=1, context=4096)
    assert (
        one.step_s == pytest.approx(float(step.time_s)) == pytest.approx(sum(one.seconds.values()))
    )
    assert one.speed == pytest.approx(1 / one.step_s) and one.length == 0 and one.tokens == 1.0
    assert sum(one.shares.values()) == pytest.approx(1.0)
    assert one.low == pytest.approx(one.speed / (1 + step.error_band))
    assert one.high == pytest.approx(one.speed * (1 + step.error_band))
    c = dict(zip(_core.CALIBRATION_FIELDS, deployment("H200-SXM", "Llama-3.1-70B", PLAN, "calibrated").records[1],
                 strict=True))  # fmt: skip
    assert one.seconds["replay"] == pytest.approx(one.kernels * c["engine.kernel_gap"])
    assert one.seconds["collectives"] == pytest.approx(one.collectives * c["engine.collective_gap"])
    assert one.seconds["host"] == pytest.approx(c["engine.sequence"])
    assert one.unreplayed_s == pytest.approx(one.kernels * c["engine.prefill_kernel"])
    assert one.unreplayed_s > one.step_s


def test_on_one_device_nothing_is_sent_and_an_upper_bound_has_no_gaps():
    alone = serving.one_user("H200-SXM", "Llama-3.1-8B", tr.Plan())
    assert alone.seconds["transfers"] == alone.seconds["collectives"] == alone.collectives == 0.0
    bound = serving.one_user("H200-SXM", "Llama-3.1-8B", tr.Plan(), fidelity="datasheet")
    assert bound.bound == "memory" and bound.shares["memory"] == pytest.approx(1.0)
    assert bound.speed > alone.speed


def test_the_fastest_plan_and_length_are_chosen():
    best = serving.one_user("H200-SXM", "Llama-3.1-70B", devices_max=8)
    for plan in serving.default_plans(tr.device("H200-SXM"), tr.model("Llama-3.1-70B"), 8):
        time = float(tr.decode("H200-SXM", "Llama-3.1-70B", plan, batch=1, context=1024).time_s)
        assert (
            best.step_s <= time * (1 + 1e-12)
            or not serving.curve("H200-SXM", "Llama-3.1-70B", plan).fits.any()
        )
    drafted = serving.one_user("H200-SXM", "Llama-3.1-70B", PLAN, draft="eagle", acceptance=0.8)
    each = tr.speculative.decode("H200-SXM", "Llama-3.1-70B", PLAN, draft="eagle", acceptance=0.8,
                                 length=np.arange(9))  # fmt: skip
    assert drafted.length == each.tpot_s.argmin() and drafted.speed == pytest.approx(
        1 / each.tpot_s.min()
    )
    assert drafted.tokens == pytest.approx(
        float(kernels.expected_tokens(0.8, float(drafted.length)))
    )
    none = serving.one_user("H200-SXM", "Llama-3.1-70B", PLAN, draft="eagle", acceptance=0.0)
    assert none.length == 0 and none.speed == pytest.approx(1 / none.step_s)


def test_published_points():
    assert len(catalogue.published()) >= 40
    names = {d.name for d in catalogue.all_devices()}
    for point in catalogue.published():
        assert point.device in names or point.device == "OpenAI Jalapeno"
        assert point.speed > 0 and point.provenance.source and point.provenance.date
        assert (
            point.model == ""
            or "not in the catalogue" in point.model
            or tr.model(point.model).name == point.model
        )
    fastest = catalogue.fastest_published()
    for device, point in fastest.items():
        known = [p.speed for p in catalogue.published(device=device) if p.model]
        assert point.speed >= max(known, default=0.0)
    # 4,130 tokens a device, half of them output, over 2.1 kW; 2.55 M over 8/9
    gb200 = next(
        p for p in catalogue.published("DeepSeek-R1", "GB200-NVL72") if p.per_device == 4130
    )
    assert gb200.output_per_mw(2100.0) == pytest.approx(4130 / 2.1e-3 / 2)
    amd = catalogue.published("gpt-oss-120b", "Instinct MI355X")[0]
    assert amd.output_per_mw() == pytest.approx(2.55e6 * 8 / 9)
    assert math.isnan(fastest["B200-SXM"].output_per_mw(2000.0))


@pytest.mark.parametrize(
    ("device", "model", "drafted"),
    [
        ("H100-SXM", "gpt-oss-120b", False), ("H200-SXM", "gpt-oss-120b", False),
        ("B200-SXM", "Llama-4-Maverick", True), ("B200-SXM", "DeepSeek-R1", True),
        ("B300-SXM", "Kimi-K2.5", False), ("GB200-NVL72", "gpt-oss-120b", False),
        ("GB200-NVL72", "DeepSeek-R1", True), ("H200-SXM", "DeepSeek-R1", True),
    ],
)  # fmt: skip
def test_the_largest_published_speeds(device, model, drafted):
    """Within 30 %: these are what one gets at best, and of Hopper and Blackwell alone there are measured constants."""
    points = [p for p in catalogue.published(model, device) if bool(p.speculation) is drafted]
    point = max(points, key=lambda p: p.speed)
    rounds = {}
    if drafted:
        mtp = bool(tr.model(model).mtp_modules)
        rounds = {"draft": "mtp" if mtp else "eagle", "length": range(1, 6),
                  "acceptance": "DeepSeek-R1 MTP, reasoning" if mtp else "Llama-3.3-70B EAGLE-3, chat"}  # fmt: skip
    context = (
        1024 if math.isnan(point.input_tokens) else point.input_tokens + point.output_tokens / 2
    )
    engine = "trtllm" if point.engine.startswith("trt") else "vllm"
    one = serving.one_user(device, model, None, context, engine, 8, **rounds)
    assert one.speed == pytest.approx(point.speed, rel=0.30)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: serving.one_user("H200-SXM", "DeepSeek-R1", devices_max=2), ValueError, "GB"),
        (lambda: serving.one_user("H200-SXM", "Llama-3.1-8B", length=3), ValueError, "length is 3 without draft"),
        (lambda: serving.one_user("H200-SXM", "Llama-3.1-8B", draft="mtp"), ValueError, "mtp_modules"),
        (lambda: serving.one_user("H200-SXM", "Llama-3.1-8B", context=[1, 2]), ValueError, "context has 1 dim"),
        (lambda: serving.one_user("H200-SXM", "Llama-3.1-8B", drafts=3), TypeError, "drafts"),
        (lambda: serving.one_user("H20", "Llama-3.1-8", PLAN), KeyError, "unknown model"),
    ],
)  # fmt: skip
def test_refusals(call, error, text):
    with pytest.raises(error, match=text):
        call()
