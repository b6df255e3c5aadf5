"""No documented argument of serving does nothing."""

import pytest

import tokenroof as tr
from _edges import wrong_numbers
from _effects import fields, without_effect
from serving.test_load_effects import CASES as LOADS
from tokenroof import serving
from tokenroof.serving import system
from tokenroof.serving.curve import LoopOptions
from tokenroof.serving.frontier import Limits
from tokenroof.serving.tuning.fleet import FleetOptions
from tokenroof.serving.tuning.proved import ProofOptions
from tokenroof.serving.tuning.tune import TuningOptions

# with all its memory one of them holds the model, with an engine's share of it two do
ROOMY = tr.device("H200-SXM").replace(memory_bytes=145e9)
ASK = {"device": "H200-SXM", "model": "Qwen3-30B-A3B"}


def one(name, *values):
    return {name: [{name: value} for value in values]}


def table(dataset):
    return {n: dataset[n].values for n in dataset.variables} | {
        k: str(v) for k, v in dataset.attrs.items()
    }


def _table(function):
    return lambda **given: table(function(**given))


def _slo(**given):
    ask = {**ASK, "plan": None, "slo": serving.SLO(**given)}
    return table(serving.capacity(**ask))


QUICK = serving.Scheduler.preset("vllm-0.33", max_num_seqs=4)
DRAFTS = serving.Speculation("ngram", 2, 0.5)
PROOF = {
    "requests": 30,
    "seeds": [3],
    "scheduler": QUICK,
    "tolerance": 0.4,
    "progress": 3,
    "results": 3,
    "speculation": DRAFTS,
    "host_tier": 3,  # loads that are drawn share no prefix: what it does is test_host_tier's
}
PROVED = {"prove": True, "requests": 20, "seeds": 1, "model": "Llama-3.1-8B"}
TUNED = {"device": "H200-SXM", "model": "Llama-3.1-8B", "plan": None, "slo": serving.SLO(ttft_s=0.2), "requests": 20,
         "seeds": 1, "knobs": {}}  # fmt: skip
APART = serving.disaggregate("H200-SXM", "H200-SXM")
TUNED_ASK = {
    "device": "H200-SXM",
    "model": "Llama-3.1-8B",
    "plan": None,
    "slo": serving.SLO(ttft_s=0.2),
}


def tuned(found):
    return found.rows(), found.plan.label(), found.rate


COMMON = {**one("device", "B200-SXM"), **one("model", "Llama-3.1-8B"), **one("input_tokens", 2048),
          **one("output_tokens", 2048), **one("fidelity", "datasheet")}  # fmt: skip
POWER = {**one("power", "chassis"), "pue": [{"pue": 1.5, "power": "facility"}]}
PLAN = one("plan", tr.Plan(tp=2, weights="fp8"))
WIDE = {"systems": True, "devices_max": 2}
CASES = {
    "curve": ({**ASK, "result": _table(serving.curve)},
              {**COMMON, **POWER, **PLAN, **one("concurrency", [1, 2, 3]), **one("rate", [0.5, 1.0]),
               **one("requests", 5),
               "load": [{"load": serving.poisson(1.0, requests=50, input_tokens=64, output_tokens=32), "rate": 1.0}],
               "scheduler": [{"scheduler": serving.Scheduler.preset("vllm-0.33", max_num_seqs=8), "rate": 1.0}]},
              LoopOptions),
    "capacity": ({**ASK, "plan": None, "slo": serving.SLO(1.0, 0.018), "result": _table(serving.capacity)},
                 {**COMMON, **POWER, **PLAN, **one("slo", serving.SLO(2.0, 0.03)),
                  "prove": [PROVED], **{name: [PROVED | {name: value}] for name, value in PROOF.items()}},
                 ProofOptions),
    "tune": ({**TUNED, "result": lambda **given: tuned(serving.tune(**given))},
             {**one("device", "B200-SXM"), **one("model", "Qwen3-8B"), **PLAN, **one("slo", serving.SLO(ttft_s=0.1)),
              **one("input_tokens", 99), **one("output_tokens", 99), **one("burstiness", 0.2), **one("fidelity", "datasheet"),
              **one("lengths", 3), **one("load", 3), **one("knobs", {"max_num_seqs": [4, 8]}),
              **{name: [{name: value}] for name, value in PROOF.items()}}, TuningOptions),
    "frontier": ({**ASK, "result": _table(serving.frontier)},
                 {**COMMON, **POWER, **one("plans", [tr.Plan(tp=2)]), **one("devices_max", 1),
                  **one("concurrency", [1, 2, 3]), **one("engine", "sglang"), **one("ttft_max", 0.1),
                  **one("tpot_max", 0.01), **one("systems", True), "devices": [WIDE | {"devices": 3}],
                  "power_w": [WIDE | {"power_w": 3e3}], "types": [WIDE | {"types": ["bf16"]}],
                  "exclude": [WIDE | {"exclude": ["disaggregated"]}],
                  "speculation": [WIDE | {"speculation": {"method": "ngram", "drafts": 2, "acceptance": 0.5}}],
                  "chips": [WIDE | {"chips": "LPX"}],
                  "pool_devices": [WIDE | {"pool_devices": ["B200-SXM"]}], **one("power_caps", [None, 400])},
                 Limits),
    "fleet": ({**TUNED_ASK, "requests_per_minute": 9000.0, "availability": 0.99,
               "result": lambda **given: fields(serving.fleet(**given))},
              {**one("device", "B200-SXM"), **one("model", "Qwen3-8B"), **PLAN, **one("slo", serving.SLO(ttft_s=0.07)),
               **one("requests_per_minute", 90.0), **one("input_tokens", 99), **one("output_tokens", 99),
               **one("burstiness", 0.01), **one("fidelity", "datasheet"), **one("lengths", 3), **one("load", 3),
               **one("availability", 0.9), **one("target", 0.5), **one("spare", 9),
               "counts": [{"device": APART, "counts": "free"}],
               "prove": [PROVED], **{name: [PROVED | {name: value}] for name, value in PROOF.items()}},
              FleetOptions),
    "spares": ({"needed": 5, "availability": 0.9, "target": 0.99},
               {**one("needed", 50), **one("availability", 0.99), **one("target", 0.9)}, None),
    "SLO": ({"ttft_s": 1.0, "tpot_s": 0.02, "result": _slo},
            {**one("ttft_s", 0.06), **one("tpot_s", 0.01), **one("e2e_s", 5.0), **one("percentile", 99.0), **one("sure", True),
             **one("itl_s", 0.1)}, None),
    "default_plans": ({"device": tr.device("H200-SXM"), "model": tr.model("Qwen3-30B-A3B")},
                      {**one("device", tr.device("A100-SXM4-80GB")), **one("model", tr.model("Llama-3.1-8B")),
                       **one("devices_max", 2), **one("engine", "sglang")}, None),
    "native_types": ({"device": tr.device("H200-SXM")}, one("device", tr.device("A100-SXM4-80GB")), None),
    "released_types": ({"model": tr.model("DeepSeek-R1")}, one("model", tr.model("Llama-3.1-8B")), None),
    "plan_that_fits": ({"device": "H200-SXM", "model": "DeepSeek-R1"},
                       {**one("device", "B200-SXM"), **one("model", "Llama-3.1-8B"),
                        **one("plan", tr.Plan(engine="sglang")), **one("input_tokens", 10**8),
                        **one("output_tokens", 10**7), "fidelity": [{"fidelity": tr.Calibration.ideal(), "model": "Llama-3.1-70B", "device": ROOMY}]},
                       None),
}  # fmt: skip
# results, numbers, and what has a test of its own beside the loads
APART = {"LONGEST_WAIT", "POWERS", "BestHits", "best_hits", "Fleet", "PooledSimulation", "Requests", "RunFit", "Simulation", "calibrate_run", "Stability", "Trial", "Tuning", "Verdict", "replicate", "simulate",
         "token_gaps", "OneUser", "one_user", "Preset", "preset", "presets", "SessionLoad", "session_curve",
         "prioritised", "beside_lpx", "compare", "SystemComparison", *system.__all__}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_every_argument_has_an_effect(name):
    base, changes, options = CASES[name]
    assert without_effect(getattr(serving, name), dict(base), changes, options=options) == []


# where an argument's ends are other than its name's elsewhere; None: it is no number, or its ends are tried elsewhere
ENDS = {
    "curve": {"requests": "1 <= x"}, **{key: {"target": "0 < x < 1"} for key in ("fleet", "spares")},
    "capacity": {"seeds": None}, "tune": {"seeds": None},
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CASES)
def test_numbers_are_taken_to_their_ends(name):
    base, changes, _ = CASES[name]
    assert (
        wrong_numbers(getattr(serving, name), base, changes, ENDS.get(name, {}), name != "curve")
        == []
    )


def test_no_public_name_is_left_out():
    assert {*CASES, *LOADS, *APART} == {*serving.__all__}
