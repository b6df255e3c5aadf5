"""Arguments of the functions that users call: what is not allowed is refused by name, never clamped."""

from typing import TypedDict

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import economics as ec
from tokenroof.inference import dataflow, decouple, estimates, speculative
from tokenroof.inference.door import deployment
from tokenroof.records.calibration import Calibration
from tokenroof.support.arguments import (
    check_options,
)

SLOTS = tr.kernels.SERVING_FIELDS.index("slots")
PLAN = tr.Plan(tp=8, weights="fp8", kv_cache="fp8")
POOL = ("H200-SXM", PLAN)
SITE = ("B200-SXM", PLAN)
MOE = "Qwen3-235B-A22B"
SLO = tr.serving.SLO
ops = tr.operators


def lpx(**given):
    return dataflow.decode("LPX", "Llama-3.1-70B", **given)


def pools(prefill=POOL, decode=POOL, model="Llama-3.1-70B", **given):
    return decouple.prefill_decode(model, prefill, decode, **given)


def apart(**given):
    return decouple.attention_experts(MOE, given.pop("attention", SITE), "LPX", **given)


def drafts(verify=SITE, model="Llama-3.1-70B", **given):
    return decouple.drafts(model, verify, "Llama-3.2-1B", "LPX", **given)


def spec(**given):
    return speculative.decode(
        "H200-SXM", "Llama-3.1-70B", PLAN, **{"draft": "Llama-3.2-1B", **given}
    )


def capacity(slo, **given):
    return tr.serving.capacity("H200-SXM", "Llama-3.1-8B", None, slo, **given)


def experts(*shape, **given):
    return ops.experts("H200-SXM", 64, 7168, 2048, *shape, **given)


def grouped(*shape, **given):
    return ops.grouped_gemm("H200-SXM", 64, 4096, 7168, *shape, **given)


DATAFLOW = [
    (lambda: lpx(chips=1), ValueError, r"chips is 1; allowed: at least 154, .*Llama-3.1-70B.* \(183 with 0.8\)"),
    (lambda: lpx(chips=153, batch=[1, 2]), ValueError, "chips is 153; allowed: at least 154"),
    (lambda: lpx(chips=1000, batch=[1, 1e6]), ValueError, "chips is 1000; allowed: at least [0-9]{5}"),
    (lambda: lpx(chips="a"), ValueError, "chips is 'a'; allowed: a positive integer"),
    (lambda: lpx(chips=True), ValueError, "chips is True; allowed"),
    (lambda: lpx(stages=1000), ValueError, "stages is 1000; allowed: at most the 154 chips"),
    (lambda: lpx(stages=201, chips=200), ValueError, "stages is 201; allowed: at most the 200 chips"),
    (lambda: lpx(stages=0), ValueError, "stages is 0; allowed: a positive integer"),
    (lambda: dataflow.decode("WSE3", "Llama-3.1-8B", stages=33), ValueError, "stages is 33; .* the 32 layers"),
    (lambda: dataflow.decode("H200-SXM", "GPT-2"), ValueError, "device is H200-SXM, a gpu; allowed: .*lpu or wafer"),
    (lambda: dataflow.prefill("H200-SXM", "GPT-2"), ValueError, "device is H200-SXM, a gpu; allowed"),
    (lambda: dataflow.prefill("LPX", "Llama-3.1-70B", chips=100), ValueError, "chips is 100; allowed: at least 154"),
    (lambda: dataflow.decode(tr.Device(name="x", kind="lpu", memory_bandwidth=1e12, peak={"bf16": 1e15}), "GPT-2"),
     ValueError, "device is x, whose memory_bytes is None; allowed"),
    (lambda: lpx(idle_share=2), ValueError, "idle_share is .*2.*; allowed: numbers from 0 to 1"),
    (lambda: lpx(efficiency=np.nan), ValueError, "efficiency is nan; allowed: a finite number"),
    (lambda: lpx(layer_s=(1e-6, np.nan, 1e-5)), ValueError, r"layer_s is \(1e-06, nan, 1e-05\); allowed"),
    (lambda: lpx(hop_s=(3, 2, 1)), ValueError, r"hop_s is \(3, 2, 1\); allowed: .* low <= mid <= high"),
    (lambda: lpx(limit_w=(1, 2)), ValueError, r"limit_w is \(1, 2\); allowed"),
    (lambda: lpx(limit_w="a"), TypeError, "limit_w is 'a'; allowed"),
    (lambda: lpx(limit_w=(1, "a", 3)), TypeError, r"limit_w is \(1, 'a', 3\); allowed"),
    (lambda: lpx(limit_w=10**400), ValueError, r"limit_w is 10{199}\.\.\. \(401 characters\); allowed: a finite number"),
    (lambda: lpx(sram_share=1j), TypeError, "sram_share is 1j; allowed"),
    (lambda: lpx(batch=[1, 2], context=[1, 2, 3]), ValueError, r"shapes are batch \(2,\), context \(3,\); allowed"),
    (lambda: dataflow.prefill("LPX", "GPT-2", tokens=[1, 2], past=[1, 2, 3]), ValueError, r"tokens \(2,\), past \(3,\)"),
    (lambda: estimates.Range(np.nan, 1.0, 2.0), ValueError, "low <= mid <= high"),
]  # fmt: skip

SITES = [
    (lambda: pools(("H200-SXM", tr.Plan()), POOL, "Llama-3.1-405B"), ValueError,
     "prefill is H200-SXM with the plan tp1 bf16 kv bf16, where Llama-3.1-405B has 811.7 GB of weights .*; allowed"),
    (lambda: pools(("H200-SXM", PLAN), ("H200-SXM", tr.Plan()), "Llama-3.1-405B"), ValueError,
     "decode is H200-SXM with the plan tp1 bf16 kv bf16, where Llama-3.1-405B has 811.7 GB .*; allowed"),
    (lambda: pools(("L4", tr.Plan()), POOL, "Llama-3.1-8B", input_tokens=1e6), ValueError, "prefill is L4 .* of cache"),
    (lambda: pools(prefill="LPX"), ValueError, "prefill is Groq 3 LPU .*, a lpu; allowed: .* than lpu or wafer"),
    (lambda: pools(efficiency=0.5), ValueError, "efficiency is 0.5 with decode on H200-SXM, a gpu; allowed: None"),
    (lambda: pools(speed=0.5), TypeError, "unknown parameter 'speed'; allowed"),
    (lambda: pools(decode=("H200-SXM", PLAN, 1.5)), ValueError, "n of decode is 1.5; allowed"),
    (lambda: pools(link_bandwidth=np.nan), ValueError, "link_bandwidth is nan; allowed"),
    (lambda: apart(chips=1), ValueError, "chips is 1; allowed: at least 479, as many as hold MLPs and experts of Qwen3"),
    (lambda: apart(chips=-5), ValueError, "chips is -5; allowed: a positive integer"),
    (lambda: apart(chips=2.5), ValueError, "chips is 2.5; allowed: a positive integer"),
    (lambda: apart(chips="a"), ValueError, "chips is 'a'; allowed: a positive integer"),
    (lambda: apart(microbatches=0), ValueError, "microbatches is 0; allowed: a positive integer"),
    (lambda: apart(idle_share=2), ValueError, "idle_share is .*; allowed: numbers from 0 to 1"),
    (lambda: apart(expert_weights=""), ValueError, "expert_weights is ''; allowed"),
    (lambda: apart(batch=[1, 10**5], context=8192), ValueError, "attention is B200-SXM .* at batch 100000 .*; allowed"),
    (lambda: apart(batch=[1, 2], context=[1, 2, 3]), ValueError, r"shapes are batch \(2,\), context \(3,\)"),
    (lambda: drafts(chips=-3), ValueError, "chips is -3; allowed: a positive integer"),
    (lambda: drafts(chips=1), ValueError, "chips is 1; allowed: at least 4, as many as hold Llama-3.2-1B"),
    (lambda: drafts(("B200-SXM", tr.Plan()), "Llama-3.1-405B"), ValueError, "verify is B200-SXM .*811.7 GB of it weights"),
    (lambda: drafts(batch=[1, 2], length=[1, 2, 3]), ValueError, r"shapes are batch \(2,\), length \(3,\)"),
    (lambda: spec(draft="mtp"), ValueError, "draft is 'mtp', but Llama-3.1-70B has no module .*; allowed"),
    (lambda: speculative.mtp_model("Kimi-K2"), ValueError, "Kimi-K2 has no module .*; allowed"),
    (lambda: spec(draft=None), TypeError, "draft is None; allowed: 'mtp', 'ngram'"),
    (lambda: spec(draft_plan=tr.Plan(tp=16)), ValueError, "draft_plan has 16 devices; allowed: at most the 8"),
    (lambda: spec(draft_plan="x"), TypeError, "draft_plan is 'x'; allowed: a Plan or None"),
    (lambda: spec(draft="ngram", draft_plan=PLAN), ValueError, "draft_plan is tp8 .* with draft 'ngram'; allowed: None"),
    (lambda: spec(draft=0.1, draft_plan=PLAN), ValueError, "draft_plan is tp8 .* with draft 0.1; allowed: None"),
    (lambda: spec(batch=[1, 2], length=[1, 2, 3]), ValueError, r"shapes are batch \(2,\), length \(3,\)"),
    (lambda: speculative.verify("H200-SXM", "GPT-2", batch=[1, 2], tokens=[1, 2, 3]), ValueError, r"tokens \(3,\)"),
]  # fmt: skip

OPERATORS = [
    (lambda: grouped(256, 8, moe_ep=512), ValueError, "moe_ep is 512; allowed: divisors of the 256 experts"),
    (lambda: grouped(256, 8, moe_ep=[1, 3]), ValueError, r"moe_ep\[1\] is 3; allowed: divisors of the 256"),
    (lambda: grouped(256, 0.5), ValueError, "topk is 0.5; allowed: whole numbers >= 1"),
    (lambda: grouped(256, 257), ValueError, "topk is 257; allowed: at most the 256 experts"),
    (lambda: grouped([8, 16], [2, 3, 4]), ValueError, r"shapes are experts \(2,\), topk \(3,\); allowed"),
    (lambda: experts(256, 8, moe_ep=512), ValueError, "moe_ep is 512; allowed: divisors of the 256 experts"),
    (lambda: experts(256, 8, moe_ep=3), ValueError, "moe_ep is 3; allowed: divisors of the 256 experts"),
    (lambda: experts(256, 0.5), ValueError, "topk is 0.5; allowed"),
    (lambda: experts([4, 8], 5), ValueError, "topk is 5; allowed: at most the 4 experts"),
    (lambda: ops.layer_matrices([1, 2], [1, 2, 3], 8, 2), ValueError, r"hidden \(2,\), intermediate \(3,\); allowed"),
    (lambda: experts("a", 5), TypeError, "experts is 'a'; allowed"),
    (lambda: experts(2.5, 1), ValueError, "experts is 2.5; allowed: whole numbers >= 1"),
    (lambda: experts(256, 8, moe_tp=1.5), ValueError, "moe_tp is 1.5; allowed: whole numbers >= 1"),
    (lambda: experts(256, 8, matrices=5), ValueError, "matrices is 5; allowed: 2 or 3"),
    (lambda: experts(256, 8, skew="a"), ValueError, "skew is 'a'; allowed: a number from 0"),
    (lambda: experts(256, 8, skew=[0, 1]), ValueError, r"skew is \[0, 1\]; allowed: a number from 0"),
    (lambda: grouped(256, 8, skew=11), ValueError, "skew is 11; allowed: a number from 0"),
    (lambda: ops.attention_decode("H200-SXM", 1, 10, 32, 64, 128), ValueError, "kv_heads is 64; allowed: divisors of the 32"),
    (lambda: ops.attention_decode("H200-SXM", 1, 10, 32, [8, 12], 128), ValueError, r"kv_heads\[1\] is 12; allowed"),
    (lambda: ops.attention_decode("H200-SXM", 1, 10, 1, 0.5, 128), ValueError, "kv_heads is 0.5; allowed: whole"),
    (lambda: ops.attention_prefill("H200-SXM", 1, 10, 0, 32, 64, 128), ValueError, "kv_heads is 64; allowed"),
    (lambda: ops.attention_prefill("H200-SXM", 1, 10, 0, 4.5, 1, 128), ValueError, "heads is 4.5; allowed: whole"),
    (lambda: ops.attention_decode("H200-SXM", 1, 10, 32, 8, 128, warm="yes"), TypeError, "warm is 'yes'; allowed: True"),
    (lambda: ops.attention_decode("H200-SXM", [1, 2], [1, 2, 3], 32, 8, 128), ValueError, r"batch \(2,\), context \(3,\)"),
    (lambda: ops.mla_decode("H200-SXM", 1, 10, 128, warm="yes"), TypeError, "warm is 'yes'; allowed"),
    (lambda: ops.mla_prefill("H200-SXM", 1, 10, 0, 128, absorbed=2), TypeError, "absorbed is 2; allowed"),
    (lambda: ops.gemm("H200-SXM", 1, 8, 8, warm="yes"), TypeError, "warm is 'yes'; allowed"),
    (lambda: ops.gemm("H200-SXM", [1, 2], [1, 2, 3], 8), ValueError, r"shapes are m \(2,\), n \(3,\); allowed"),
    (lambda: ops.gemm("H200-SXM", "8", 8, 8), TypeError, "m is '8'; allowed: real numbers"),
    (lambda: ops.gemm("H200-SXM", np.array([1j]), 8, 8), TypeError, "m is array.*; allowed: real numbers"),
    (lambda: ops.norm("H200-SXM", 1, 8, residual="x"), TypeError, "residual is 'x'; allowed: True or False"),
    (lambda: ops.sampling("H200-SXM", 1, 8, greedy=None), TypeError, "greedy is None; allowed"),
    (lambda: ops.quantise("H200-SXM", [1, 2], [1, 2, 3]), ValueError, r"tokens \(2,\), hidden \(3,\)"),
    (lambda: ops.kv_transfer("H200-SXM", "GPT-2", 10, devices=1.5), ValueError, "devices is 1.5; allowed: whole"),
    *((lambda name=name: getattr(ops, name)("H100-SXM", [2, 1.5], 8), ValueError, r"ranks\[1\] is 1.5; allowed: whole numbers >= 1")
      for name in ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "send")),
]  # fmt: skip

LOADS = [
    (lambda: tr.decode("H200-SXM", "GPT-2", batch=[1, 2], context=[1, 2, 3]), ValueError, r"batch \(2,\), context \(3,\)"),
    (lambda: tr.prefill("H200-SXM", "GPT-2", tokens=[1, 2], past=[1, 2, 3]), ValueError, r"tokens \(2,\), past \(3,\)"),
    (lambda: tr.mixed("H200-SXM", "GPT-2", batch=[1, 2], tokens=[1, 2, 3]), ValueError, r"batch \(2,\), tokens \(3,\)"),
    (lambda: tr.decode("H200-SXM", "GPT-2", batch=True), TypeError, "batch is True; allowed: real numbers"),
    (lambda: capacity(SLO(tpot_s=0.02, sure=True), fidelity="datasheet"), ValueError, "sure is True with tpot_s and .*unknown; allowed"),
    (lambda: capacity(SLO(ttft_s=1.0, sure=True), fidelity=Calibration(name="mine")), ValueError, "sure is True with ttft_s and fidelity 'mine'"),
    (lambda: SLO(percentile="a"), ValueError, "percentile is 'a'; allowed: numbers over 0"),
    (lambda: SLO(percentile=100), ValueError, "percentile is 100; allowed"),
    (lambda: SLO(tpot_s="a"), ValueError, "tpot_s is 'a'; allowed"),
    (lambda: SLO(tpot_s=10**400), ValueError, r"tpot_s is 10{199}\.\.\. \(401 characters\); allowed"),
    (lambda: SLO(tpot_s=1.0, sure="yes"), ValueError, "sure is 'yes'; allowed: True or False"),
    (lambda: capacity(SLO(tpot_s=0.02), pue=np.float32(0.5)), ValueError, "pue is .*0.5.*; allowed: finite numbers >= 1"),
    (lambda: tr.serving.frontier("H200-SXM", "GPT-2", tr.Plan()), TypeError, "plans is Plan.*; allowed: a sequence of Plan"),
    (lambda: tr.serving.frontier("H200-SXM", "GPT-2", 3), TypeError, "plans is 3; allowed: a sequence of Plan"),
]  # fmt: skip


S21 = ("Antminer S21", "H200-SXM", "gpt-oss-120b")
YARD = ec.Site(power_w=1e6)
TIER = ec.Tier("a", 3.0)

MONEY = [
    (lambda: ec.allocate(3, [TIER], [1]), TypeError, "site is 3; allowed: a Site"),
    (lambda: ec.allocate(YARD, 3, [1]), TypeError, "tiers is 3; allowed: a sequence of Tier"),
    (lambda: ec.allocate(YARD, "a", [1]), TypeError, "tiers is 'a'; allowed: a sequence of Tier"),
    (lambda: ec.allocate(YARD, [TIER], None), TypeError, "supply is None; allowed"),
    (lambda: ec.allocate(YARD, [TIER], [np.inf]), ValueError, r"supply is inf; allowed: finite"),
    (lambda: ec.allocate(YARD, [TIER], [1], floors=[np.inf]), ValueError, r"floors is inf; allowed"),
    (lambda: ec.allocate(YARD, [TIER], [1], split=["1"]), TypeError, "split is '1'; allowed"),
    (lambda: ec.allocate(YARD, [TIER], [1], split=[True]), TypeError, "split is True; allowed"),
    (lambda: ec.allocate(YARD, [TIER], [1], demand=[np.nan]), ValueError, r"demand is nan; allowed"),
    (lambda: ec.cost_per_mtok([1, 2], [1, 2, 3], 1), ValueError, r"shapes are tokens_per_s \(2,\), watts \(3,\); allowed"),
    (lambda: ec.cost_per_mtok(1, 1, 1, pue=0.5), ValueError, "pue is 0.5; allowed: finite numbers >= 1"),
    (lambda: ec.cost_per_mtok(1, [1, -1], 1), ValueError, r"watts\[1\] is -1.0; allowed: finite numbers >= 0"),
    (lambda: ec.revenue_per_mwh([1, 2], [1, 2, 3]), ValueError, r"shapes are tokens_per_s_per_mw \(2,\), price_per_mtok"),
    (lambda: ec.compare_per_mwh(*S21, plan="x"), TypeError, "plan is 'x'; allowed: a Plan or None"),
    (lambda: ec.compare_per_mwh(*S21, interactivity="x"), TypeError, "interactivity is 'x'; allowed"),
    (lambda: ec.compare_per_mwh(*S21, input_tokens="x"), TypeError, "input_tokens is 'x'; allowed"),
    (lambda: ec.compare_per_mwh(*S21, output_tokens=True), TypeError, "output_tokens is True; allowed"),
    (lambda: ec.compare_per_mwh(*S21, fidelity=3), ValueError, "fidelity is 3; allowed"),
    (lambda: ec.compare_per_mwh(S21[0], S21[1], 3), TypeError, "model is 3; allowed"),
    (lambda: ec.token_quotes(3), TypeError, "model is 3; allowed"),
    (lambda: ec.Market.latest([3]), TypeError, r"model is \[3\]; allowed"),
    (lambda: ec.Market.latest(utilization="x"), TypeError, "utilization is 'x'; allowed"),
    (lambda: ec.Market.latest(mining_pue=0.5), ValueError, "mining_pue is 0.5; allowed"),
    (lambda: ec.Market.latest(price_per_kwh=True), TypeError, "price_per_kwh is True; allowed"),
    (lambda: ec.Market(hashprice=1, price_per_mtok=1, date=3), TypeError, "date is 3; allowed: text"),
    (lambda: ec.Market(hashprice=1, price_per_mtok=1, notes="x"), TypeError, "notes is 'x'; allowed"),
    (lambda: ec.Tier("a", 1.0, model=3), TypeError, "model is 3; allowed"),
    (lambda: ec.Tier("a", 1.0, provenance=3), TypeError, "provenance is 3; allowed"),
]  # fmt: skip


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("call,error,named", DATAFLOW + SITES + OPERATORS + LOADS + MONEY)
def test_bad_input_is_named(call, error, named):
    with pytest.raises(error, match=named):
        call()


class Common(TypedDict, total=False):
    engine: str


class Options(Common, total=False):
    fidelity: str


def test_unknown_options_are_named():
    check_options("decode", {}, Options)
    check_options("decode", {"fidelity": 1, "engine": 2}, Options)
    said = r"^decode\(\) got an unexpected option 'enginee'; allowed: engine, fidelity \(did you mean 'engine'\?\)$"
    with pytest.raises(TypeError, match=said):
        check_options("decode", {"engine": 1, "enginee": 2}, Options)


def test_numbers_of_numpy_are_numbers():
    slo = SLO(tpot_s=np.float32(0.02), percentile=None, sure=np.bool_(False))
    found = capacity(slo, pue=np.float32(1.2))
    assert found.concurrency == capacity(SLO(tpot_s=0.02), pue=1.2).concurrency > 64
    got = lpx(
        efficiency=np.float32(0.5), hop_s=np.int64(0), chips=np.int64(200), stages=np.int8(40)
    )
    assert got.chips.width == got.stages.width == 1.0 and got.ranges["efficiency"].mid == 0.5
    assert apart(microbatches=np.int32(2)).tpot_s.mid == apart().tpot_s.mid


def test_capacity_keeps_its_limit():
    most = capacity(SLO(ttft_s=1e9))
    assert most.concurrency == 2**24 and most.ttft_s < 1e9
    # the limit is not an answer where the objective is
    below = capacity(SLO(ttft_s=float(most.ttft_s) / 3.0))
    assert 1 < below.concurrency < 2**24 and below.ttft_s <= float(most.ttft_s) / 3.0


def test_what_is_allowed_is_honoured():
    """Chips and stages are what was given, to the edge of what holds the model."""
    edge = lpx(chips=154, stages=154)
    assert (edge.chips.low, edge.chips.high, edge.stages.mid) == (154, 154, 154)
    assert lpx().chips.low == 154 and lpx(stages=40).time_s.mid < lpx().time_s.mid
    wafers = dataflow.decode("WSE3", "Llama-3.1-8B", stages=16)
    assert wafers.stages.mid == 16
    assert lpx(batch=np.ones(0)).time_s.mid.shape == (0,)
    assert apart(chips=479).parts["chips"].high == 479 < apart(chips=900).parts["chips"].low == 900
    assert drafts(chips=4).parts["chips"].high == 4
    assert ops.all_reduce("H100-SXM", [1, 2.0, 8], 2**20).time_s.shape == (3,)
    many = ops.experts(
        "H200-SXM", [1, 64], 7168, 2048, [[8], [256]], 8, moe_ep=[[1], [8]], skew=np.float32(1.0)
    )
    assert many.time_s.shape == (2, 2)


def test_decode_pools_batch_what_their_memory_holds():
    """No more sequences than are whole in its memory, and the rest waits."""
    users = [8.0, 1e5]
    on = deployment(POOL[0], "Llama-3.1-70B", PLAN)
    held = tr.kernels.serving(*on.records, 1e5, 1024.0, 1024.0)[SLOTS]
    found = pools(("H200-SXM", PLAN, 64), ("H200-SXM", PLAN, 2), concurrency=users)
    assert found.parts["batch"].high[0] < 8.0
    np.testing.assert_allclose(found.parts["batch"].high[1], 2 * held, rtol=1e-9)
    assert found.parts["ttft_s"].mid[1] > 100 * found.parts["ttft_s"].mid[0]
    # requests in the loop are those that wait and those that decode
    rate = found.tokens_per_s.mid / 1024.0
    inside = rate * (found.parts["ttft_s"].mid + 1023.0 * found.tpot_s.mid)
    np.testing.assert_allclose(inside, users)


def test_steps_bring_their_error_bands():
    band = tr.decode(*POOL[:1], "Llama-3.1-70B", PLAN).error_band
    none = {"link_bandwidth": 1e11, "hop_s": 3e-6}
    found = pools(concurrency=[1.0, 64.0], **none)
    assert found.ranges["decode_error"].high == pytest.approx(1.0 + band)
    assert found.parts["prefill_s"].width == pytest.approx((1.0 + band) ** 2)
    # one request has no queue: its time per token is the step's, a larger batch moves with it
    assert (found.tpot_s.low < found.tpot_s.mid).all() and (
        found.tpot_s.mid < found.tpot_s.high
    ).all()
    assert found.tpot_s.width[0] == pytest.approx((1.0 + band) ** 2, rel=0.02)
    assert (found.tokens_per_s.low < found.tokens_per_s.mid).all()
    bound = pools(concurrency=[1.0, 64.0], fidelity="datasheet", **none)
    assert np.array_equal(bound.tpot_s.low, bound.tpot_s.high)
    away = apart().parts["attention_s"]
    assert away.low < away.mid < away.high
    checked = drafts().parts["verify_s"]
    assert checked.width == pytest.approx(
        (1.0 + tr.decode("B200-SXM", "Llama-3.1-70B", PLAN).error_band) ** 2
    )


def test_speculation_says_whether_it_fits():
    no = speculative.decode("RTX 5090", "DeepSeek-V3", tr.Plan(tp=8, weights="fp8_block"))
    assert no.fits.shape == () and not no.fits
    batch = np.array([1.0, 64.0, 1e5])
    assert spec(batch=batch).fits.tolist() == [True, True, False]
    # with nothing drafted, at no cost, it is a step's
    step = tr.decode("H200-SXM", "Llama-3.1-70B", PLAN, batch=np.geomspace(1, 1e4, 200))
    free = spec(draft="ngram", length=0, batch=np.geomspace(1, 1e4, 200))
    assert np.array_equal(step.fits, free.fits) and 0 < step.fits.sum() < 200
    # a draft's weights and caches take room
    wide = spec(draft="Llama-3.1-8B", batch=np.geomspace(1, 1e4, 200))
    assert wide.fits.sum() < free.fits.sum()


def test_modules_for_further_tokens():
    for name, modules in (("DeepSeek-R1", 1), ("MiniMax-M2", 3), ("Qwen3-Next-80B-A3B", 1), ("Qwen3.5-397B-A17B", 1),
                          ("GLM-4.6", 1), ("Kimi-K2", 0), ("Llama-3.1-70B", 0)):  # fmt: skip
        assert tr.model(name).mtp_modules == modules
    own = tr.model("Llama-3.1-8B").replace(mtp_modules=1)
    assert speculative.decode("H200-SXM", own).speedup > 0
    off = {"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
           "intermediate_size": 128, "vocab_size": 100, "num_mtp_modules": 2}  # fmt: skip
    assert tr.Model.from_config(off).mtp_modules == 2
    assert tr.Model.from_config({**off, "use_mtp": False}).mtp_modules == 0
