"""Which experts a model's tokens choose, as counted, and whose kernels multiply them."""

import math

import numpy as np
import pytest

import tokenroof as tr
from tokenroof.catalogue.counted import counts
from tokenroof.catalogue.decodes import codes_left
from tokenroof.catalogue.fits import first_from, fits
from tokenroof.inference.expert_choice import passed_over
from tokenroof.reference.inference.routing import Routing, octaves, reached

MODEL, CARD = "Qwen3-30B-A3B", "RTX-PRO-6000"


def touched(row, tokens, skew=None):
    skew = row.skew if skew is None else skew
    return reached(tokens, octaves(Routing(float(row.experts), float(row.topk), 1.0, skew, True)))


@pytest.mark.parametrize("row", counts(), ids=lambda row: row.model)
def test_the_exponent_is_the_nearest_to_what_was_counted(row):
    def off(skew):
        return sum(math.log(touched(row, n, skew) / m) ** 2
                   for n, m in zip(row.tokens, row.touched, strict=True))  # fmt: skip

    tried = np.arange(0.005, 1.5, 0.005)
    assert min(tried, key=off) == pytest.approx(row.skew, abs=0.006)
    model = tr.model(row.model)
    assert (model.experts, model.topk) == (row.experts, row.topk)
    for tokens, found in zip(row.tokens, row.touched, strict=True):
        assert touched(row, tokens) == pytest.approx(found, rel=0.02)


def test_between_the_counts_it_is_what_their_source_says():
    """0.87 of what even routing would touch, which nothing was fitted on."""
    row = counts()[0]
    for tokens in (24.0, 32.0, 48.0, 64.0):
        even = row.experts * (1.0 - (1.0 - row.topk / row.experts) ** tokens)
        assert touched(row, tokens) / even == pytest.approx(0.87, abs=0.013)


@pytest.mark.parametrize("fidelity", ["calibrated", "datasheet"])
def test_a_counted_model_routes_as_it_was_counted_and_no_other(fidelity):
    def skew(model):
        on = tr.decode("H200-SXM", model, fidelity=fidelity).calibration
        return on.constants["engine"]["skew"], on.calibrated_on

    row = counts()[0]
    found, said = skew(MODEL)
    assert found == row.skew and said.endswith(f"counted in the router of {MODEL}")
    for other in ("Qwen3-235B-A22B", tr.model(MODEL).replace(topk=4)):
        found, said = skew(other)
        assert found > 1.0 and "router" not in said


def test_a_step_reads_the_experts_that_were_counted():
    row, model = counts()[0], tr.model(MODEL)
    tokens = np.array([8.0, 128.0])
    ask = {"batch": tokens, "context": 0.0}
    step = tr.decode("H200-SXM", model, fidelity="datasheet", **ask)
    # a caller's exponent stays
    one = step.calibration.replace(constants={"engine": {"skew": 1.01}})
    other = tr.decode("H200-SXM", model, fidelity=one, **ask)
    each = 3 * model.hidden * model.moe_ffn * 2.0 * model.moe_layers
    more = [(touched(row, n) - touched(row, n, 1.01)) * each for n in tokens]
    assert other.calibration.constants["engine"]["skew"] == 1.01
    np.testing.assert_allclose(step.bytes - other.bytes, more, rtol=1e-9)
    partial = tr.Calibration(constants={"engine": {"kernel_gap": 1e-6}})
    kept = tr.decode("H200-SXM", model, fidelity=partial).calibration
    assert kept.constants["engine"]["skew"] == row.skew


def experts(plan, device=CARD):
    on = tr.decode(device, MODEL, plan).calibration
    return on.constants["experts"], on.calibrated_on


def test_ranks_that_meet_at_16_bit_experts_run_the_kernels_of_ada():
    own = next(r["constants"] for r in fits("experts") if r["dtype"] == "bf16"
               and r["device"] == tr.device(CARD).name and r["engine"] == "vllm")  # fmt: skip
    ada = next(r["constants"] for r in fits("experts")
               if (r["device"], r["dtype"], r["engine"]) == ("L40S", "bf16", "vllm"))  # fmt: skip
    alone, said = experts(tr.Plan(tp=2))
    assert alone == own and "several ranks" not in said
    meeting, said = experts(tr.Plan(dp=2, moe_ep=2))
    # a sixteenth of the L40S's memory is codes
    assert meeting == ada | {"memory": pytest.approx(ada["memory"] / codes_left())}
    assert "of L40S (vllm bf16), whose kernels the engine runs with several ranks" in said


def test_other_types_engines_and_chips_keep_their_own_tables():
    for device, engine, dtype in (
        (CARD, "sglang", "bf16"), (CARD, "vllm", "nvfp4"), ("B200-SXM", "vllm", "bf16"), ("L40S", "vllm", "bf16"),
    ):  # fmt: skip
        assert passed_over(tr.device(device), engine, dtype, True) == ""
    assert passed_over(tr.device("RTX 5090"), "vllm", "bf16", True)
    plans = [tr.Plan(tp=2), tr.Plan(dp=2, moe_ep=2)]
    assert len({str(experts(plan, "B200-SXM")[0]) for plan in plans}) == 1


def test_tables_of_ones_own_are_of_the_kernels_that_ran(tmp_path):
    row = next(
        r for r in fits("experts") if r["device"] == tr.device(CARD).name and r["dtype"] == "bf16"
    )
    numbers = ", ".join(f"{k} = {v!r}" for k, v in (row["constants"] | {"memory": 0.5}).items())
    (tmp_path / "experts.toml").write_text(
        f'[[fit]]\ndevice = "{row["device"]}"\nengine = "vllm"\ndtype = "bf16"\nrows = 9\nband = 0.1\n'
        f"constants = {{ {numbers} }}\n"
    )
    with first_from(tmp_path):
        assert experts(tr.Plan(dp=2, moe_ep=2))[0]["memory"] == 0.5
