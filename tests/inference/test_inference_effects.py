"""No documented field of a plan, calibration, device or model, and no argument of a step, does nothing."""

from dataclasses import fields as fields_of

import pytest

import tokenroof as tr
from _effects import _same, without_effect
from _model_cases import CASES as FEW_HAVE

MIXTURE = "Qwen3-30B-A3B"
WITH_ALL = "GLM-4.5-Air"  # dense layers, experts, and shared ones


def one(name, *values):
    return {name: [{name: value} for value in values]}


def numbers(step):
    parts = {
        f"{cause}.{name}": value
        for cause, group in step.breakdown().items()
        for name, value in group.items()
    }
    names = ("time_s", "tokens_per_s", "watts", "watts_band", "bound", "fits", "flops", "bytes", "error_band",
             "calibrated_on")  # fmt: skip
    return parts | {name: getattr(step, name) for name in names}


def asked(device="H200-SXM", model=MIXTURE, plan=None, fidelity="calibrated"):
    """A step and a point of serving."""
    decode = tr.decode(device, model, plan, batch=[4, 512], context=2048, fidelity=fidelity)
    prompts = tr.prefill(device, model, plan, tokens=2048, fidelity=fidelity)
    served = tr.serving.curve(device, model, plan, concurrency=[2, 200], fidelity=fidelity)
    table = {name: served[name].values for name in served.variables}
    notes = {key: str(value) for key, value in served.attrs.items()}
    return [numbers(decode), numbers(prompts), table, notes]


def _plan(**given):
    return asked(model=WITH_ALL, plan=tr.Plan(**given))


def _calibration(**given):
    """Of a device whose idle power nobody states, below its limit."""
    quiet = {"memory_watts": 0.2, "compute_watts": 0.2} | given
    device = tr.device("H200-SXM").replace(idle_w=None)
    return asked(device, fidelity=tr.Calibration(**quiet))


OWN = {"engine": {"kernel_gap": 1e-6}}
GEMM = {
    "gemm": tr.calibration.resolve("calibrated", tr.device("H200-SXM"), tr.Plan()).constants["gemm"]
}
CASES = {
    "Plan": (tr.Plan, {"tp": 2, "dp": 2, "result": _plan},
             {**one("tp", 4), **one("pp", 2), **one("dp", 4), **one("cp", 2), **one("weights", "fp8"),
              "moe_tp": [{"moe_tp": 4}], "moe_ep": [{"moe_ep": 4}], **one("experts", "fp8"),
              **one("activations", "fp8"), **one("kv_cache", "fp8"), **one("engine", "sglang"),
              **one("attention", "fp8"), **one("shared_experts", "fp8"), **one("head", "fp8"),
              "wide": [{"weights": "fp8", "wide": {"attention": 0.5}}],
              **one("power_cap_w", 250.0)}),
    "Calibration": (tr.Calibration, {"result": _calibration},
                    {**one("t0", {"gemm": 1e-5}), **one("compute", {"gemm": 0.5}), **one("memory", {"gemm": 0.5}),
                     **one("launch_s", 1e-5), **one("step_s", 1e-3), **one("sequence_s", 1e-4),
                     **one("idle_fraction", 0.5), **one("compute_watts", 0.5), **one("memory_watts", 0.5),
                     **one("calibrated_on", "a table"), **one("error_band", 0.2), **one("ttft_band", 0.3),
                     **one("constants", OWN), **one("products", ((64.0, 4096.0, 4096.0, 0.3),)),
                     "whole": [{"whole": True, "constants": OWN}], **one("fitted", {"concurrency": (4, 64)}),
                     "operator_bands": [{"operator_bands": {"gemm": 0.9}, "constants": GEMM}],
                     "operator_notes": [{"operator_notes": {"gemm": "by hand"}, "constants": GEMM}]},
                    ("name",)),
    "decode": (tr.decode, {"device": "H200-SXM", "model": MIXTURE, "result": lambda **g: numbers(tr.decode(**g))},
               {**one("device", "B200-SXM"), **one("model", "Llama-3.1-8B"), **one("plan", tr.Plan(tp=2)),
                **one("batch", 8), **one("context", 2048), **one("fidelity", "datasheet")}),
    "prefill": (tr.prefill, {"device": "H200-SXM", "model": MIXTURE, "result": lambda **g: numbers(tr.prefill(**g))},
                {**one("device", "B200-SXM"), **one("model", "Llama-3.1-8B"), **one("plan", tr.Plan(tp=2)),
                 **one("tokens", 2048), **one("past", 512), **one("batch", 2), **one("fidelity", "datasheet")}),
    "mixed": (tr.mixed, {"device": "H200-SXM", "model": MIXTURE, "tokens": 256,
                         "result": lambda **g: numbers(tr.mixed(**g))},
              {**one("device", "B200-SXM"), **one("model", "Llama-3.1-8B"), **one("plan", tr.Plan(tp=2)),
               **one("tokens", 2048), **one("past", 512), **one("batch", 2), **one("context", 2048),
               **one("fidelity", "datasheet")}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_every_argument_has_an_effect(name):
    function, base, changes, *words = CASES[name]
    assert without_effect(function, dict(base), changes, *words) == []


@pytest.mark.parametrize("module", ["attention", "mlp", "shared_experts"])
def test_every_share_of_wide_layers_has_an_effect(module):
    narrow = {"tp": 4, "weights": "fp8"}
    assert not _same(_plan(**narrow, wide={module: 0.5}), _plan(**narrow))


# of a device: facts in words, and prices, which nothing here computes with
DEVICE_WORDS = {"name", "aliases", "vendor", "family", "kind", "release", "process", "memory_type", "link_name",
                "price_usd", "price_kind", "notes", "measured", "provenance"}  # fmt: skip

POWERS = ("idle_w", "tdp_w", "system_power_w", "provisioned_power_w")


def answer(ask, *given):
    """What is found, or why not."""
    try:
        return ask(*given)
    except ValueError as error:
        return str(error)


def everything(device):
    """All that is asked of a device: steps of one, of eight and of two domains, watts, hashes, chips in a row."""
    found = [answer(ask, device) for ask in (
        tr.power.idle_power, tr.power.provisioned_power, tr.mining.hashrate, tr.power.limit,
        lambda d: tr.power.chassis_power(d, 500.0), lambda d: [tr.roofline.peak(d, t) for t in d.peak],
        lambda d: repr(tr.dataflow.decode(d, "Llama-3.1-70B", batch=4)),
    )]  # fmt: skip
    for plan in (tr.Plan(), tr.Plan(tp=8), tr.Plan(tp=8, pp=2)):
        for fidelity in ("calibrated", "datasheet"):
            found.append(answer(asked, device, "Llama-3.1-70B", plan, fidelity))
    return found


@pytest.mark.parametrize(
    "name", [f.name for f in fields_of(tr.Device) if f.name not in DEVICE_WORDS]
)
def test_every_number_of_a_device_has_an_effect(name):
    bases = [tr.device("H100-SXM"), tr.device("RTX 4090"), tr.device("WSE-3")]
    differs = []
    for base in bases:
        value = getattr(base, name)
        if name == "peak":
            other = {key: 0.5 * rate for key, rate in value.items()}
        elif name in ("sm_count", "link_domain_size", "pcie_generation", "link_generation"):
            other = 3 if value is None else max(value // 2, 1)
        elif name in POWERS:  # between what it has in it and what has it in it
            at = POWERS.index(name)
            least = max([getattr(base, p) or 0.0 for p in POWERS[:at]], default=0.0)
            most = min([getattr(base, p) or 9e4 for p in POWERS[at + 1 :]], default=9e4)
            other = least + 0.4 * (most - least)
            assert other != value
        else:
            other = 1e9 if value is None else 0.5 * value
        changed = base.replace(**{name: other})
        differs.append(not _same(everything(changed), everything(base)))
    assert any(differs)


# of a model: facts in words; what it was released in decides on default plans (tests/serving)
MODEL_WORDS = {"name", "hf_id", "aliases", "family", "model_type", "release", "native_dtype", "source", "confidence",
               "notes"}  # fmt: skip
KINDS = ("Llama-3.1-8B", "Qwen3-30B-A3B", "DeepSeek-V3.2", "Qwen3-Next-80B-A3B", "Nemotron-3-Nano", "gpt-oss-20b",
         "Gemma-3-4B", "GPT-2", "Command-R-Plus", "BLOOM-176B", "Kimi-Linear-48B-A3B", "Llama-4-Scout")  # fmt: skip


def of_model(model):
    """What is asked of a model: its size, steps, drafts, and what serving says."""
    found = [model.parameters, model.active_parameters]
    for step in (tr.decode("H200-SXM", model, batch=[4, 64], context=8192),
                 tr.prefill("H200-SXM", model, tokens=4096)):  # fmt: skip
        found += [step.fields, step.fits]
    found.append(answer(lambda m: tr.speculative.decode("H200-SXM", m, batch=4).tpot_s, model))
    found.append(
        answer(
            lambda m: tr.serving.curve("H200-SXM", m, None, 40_000, 1, concurrency=[1]).attrs[
                "beyond"
            ],
            model,
        )
    )
    return found


def _changed(model, name, value):
    tries = (
        [not value]
        if isinstance(value, bool)
        else [2 * value, value // 2, value + 1, value - 1, 1, 64]
    )
    for other in tries:
        try:
            yield of_model(model.replace(**{name: other}))
        except (ValueError, TypeError):  # no such model
            continue


@pytest.mark.parametrize(
    "name",
    [f.name for f in fields_of(tr.Model) if f.name not in MODEL_WORDS and f.name not in FEW_HAVE],
)
def test_every_shape_of_a_model_has_an_effect(name):
    for kind in KINDS:
        try:
            model = tr.model(kind)
        except KeyError:
            continue
        may_be_zero = name in ("shared_gate", "sinks", "linear_gate_rank") or name.endswith(
            ("bias", "norm")
        )
        if not (getattr(model, name) or may_be_zero):
            continue
        before = of_model(model)
        if any(not _same(after, before) for after in _changed(model, name, getattr(model, name))):
            return
    pytest.fail(f"{name} of a model changes nothing")


def of_few(given):
    """What is asked of a model of `FEW_HAVE`, by name."""
    model = tr.Model(**given)
    decode = tr.decode("B200-SXM", model, batch=[4, 64], context=8192)
    prompts = tr.prefill("B200-SXM", model, tokens=4096)
    return {
        "parameters": model.parameters,
        "active": model.active_parameters,
        "page": str(model.explain()),
        "weights": model.weight_bytes(),
        "plan": tr.Plan.from_config(model),
        "kv_bytes": model.kv_bytes(8192),
        "kv_bytes_per_token": model.kv_bytes_per_token(),
        "decode": decode.time_s,
        "prefill": prompts.time_s,
        "flops": (decode.flops, prompts.flops),
        "encode": answer(lambda m: tr.encode("B200-SXM", m, patches=1024).time_s, model),
    }


@pytest.mark.parametrize("name", FEW_HAVE)
def test_a_field_that_few_have_changes_what_it_is_about_and_nothing_else(name):
    base, value, changes = FEW_HAVE[name]
    before, after = of_few(base), of_few(base | {name: value})
    assert {asked for asked in before if not _same(before[asked], after[asked])} == changes
