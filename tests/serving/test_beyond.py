"""Constants beyond the range that they were fitted in: bounded, and said."""

import re

import numpy as np
import pytest

import tokenroof as tr
from tokenroof.catalogue.fits import fits
from tokenroof.inference.constants import FAR_BAND

ROWS = {row["engine"]: row for row in fits("engine")}


@pytest.mark.parametrize("engine", sorted(ROWS))
@pytest.mark.parametrize("device", ["H100-SXM", "B200-SXM"])
@pytest.mark.parametrize(
    ("model", "tokens", "most"),
    [("SmolLM2-135M", 1, 0.1 * 30 / 32), ("Llama-3.1-8B", 128, 0.1), ("Llama-3.1-8B", 1024, 0.1)],
)
def test_a_single_request_has_no_others_to_wait_for(device, engine, model, tokens, most):
    """Public single requests take 30 to 100 ms on models of 8 billion parameters, which have 32 layers to launch."""
    curve = tr.serving.curve(device, model, tr.Plan(engine=engine), tokens, 1, concurrency=[1])
    assert 0.02 < float(curve.ttft_s[0]) < most
    some = tr.serving.capacity(
        device, model, tr.Plan(engine=engine), tr.serving.SLO(ttft_s=0.2), tokens, 16
    )
    assert int(some.concurrency) >= 1


@pytest.mark.parametrize("engine", sorted(ROWS))
def test_admission_grows_to_what_was_fitted(engine):
    row = ROWS[engine]["constants"]
    fewest = row["request_users"]
    assert fewest == ROWS[engine]["fitted"]["concurrency"][0] >= 1.0
    assert row["request_alone"] == min(r["constants"]["request"] for r in ROWS.values())
    users = np.arange(1.0, 9.0)
    plan = tr.Plan(engine=engine)
    curve = tr.serving.curve("H200-SXM", "Llama-3.1-8B", plan, 1024, 1024, users)
    assert (np.diff(curve.ttft_s.values) > 0).all()
    full = tr.calibration.resolve("calibrated", tr.device("H200-SXM"), plan)
    engines = {**full.constants["engine"], "request_users": 1.0}
    whole = tr.serving.curve(
        "H200-SXM", "Llama-3.1-8B", plan, 1024, 1024, users,
        full.replace(constants={**full.constants, "engine": engines}),
    )  # fmt: skip
    same = users >= fewest
    np.testing.assert_array_equal(curve.ttft_s.values[same], whole.ttft_s.values[same])
    np.testing.assert_array_equal(curve.tpot_s.values, whole.tpot_s.values)


def test_results_say_where_they_lie_beyond():
    inside = tr.serving.curve("H100-SXM", "Llama-3.1-70B", tr.Plan(tp=4), 1024, 1024, [4, 64])
    assert not inside.beyond.any()
    assert inside.attrs["beyond"] == ""
    outside = tr.serving.curve(
        "H100-SXM", "Llama-3.1-70B", tr.Plan(tp=4), 1024, 1024, [1, 64, 4096]
    )
    assert outside.beyond.values.tolist() == [True, False, True]
    assert "concurrency 1 below 4" in outside.attrs["beyond"]
    assert "concurrency 4096 above" in outside.attrs["beyond"]
    band = outside.ttft_error_band.values
    assert band[0] == band[2] >= FAR_BAND > 0 and band[1] == inside.ttft_error_band.values[0]
    small = tr.serving.curve("H100-SXM", "SmolLM2-135M", None, 1, 1, [16])
    assert small.beyond.all()
    assert "parameters" in small.attrs["beyond"] and "input_tokens 1 below" in small.attrs["beyond"]
    none = tr.serving.capacity(
        "H100-SXM", "Llama-3.1-70B", tr.Plan(tp=4), tr.serving.SLO(ttft_s=1e-6)
    )
    assert none.concurrency == 0 and bool(none.beyond)
    front = tr.serving.frontier("H100-SXM", "Llama-3.1-8B", devices_max=2)
    assert (
        front.beyond.dtype == bool and front.beyond.any() and "concurrency" in front.attrs["beyond"]
    )
    sheet = tr.serving.curve("H100-SXM", "Llama-3.1-8B", None, fidelity="datasheet")
    assert not sheet.beyond.any()


def test_capacity_says_who_waits_where_nothing_bounds_the_wait():
    size = {"input_tokens": 1000, "output_tokens": 200}
    most = tr.serving.capacity("H100-SXM", "Llama-3.1-8B", None, tr.serving.SLO(tpot_s=0.2), **size)
    assert float(most.concurrency) == 2**24
    said = rf"^{float(most.batch):,.0f} of 16,777,216 requests have a place and the others wait, which neither"
    assert re.match(said, most.attrs["caveat"])
    for bound in ({"ttft_s": 2.0}, {"e2e_s": 30.0}):
        held = tr.serving.capacity(
            "H100-SXM", "Llama-3.1-8B", None, tr.serving.SLO(tpot_s=0.2, **bound), **size
        )
        assert "caveat" not in held.attrs and float(held.concurrency) < 2**24
    # a bound that users with a place already reach
    tight = tr.serving.capacity(
        "H100-SXM", "Llama-3.1-8B", None, tr.serving.SLO(tpot_s=0.01), **size
    )
    assert "caveat" not in tight.attrs and float(tight.concurrency) < float(most.batch)
