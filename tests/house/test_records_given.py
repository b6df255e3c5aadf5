"""What is no record, table or mapping where one is meant never ends in an AttributeError, in any public call."""

import inspect
import warnings

import numpy as np
import pytest

import tokenroof as tr
from tokenroof.inference.door import deployment
from tokenroof.support.kinds import kind_checks

WHERE = tr.device("H200-SXM"), tr.model("Llama-3.1-8B"), tr.Plan()
GOOD = {
    "Deployment": deployment(*WHERE, "calibrated"), "Device": WHERE[0], "Model": WHERE[1], "Plan": WHERE[2],
    "Calibration": tr.Calibration.ideal(), "Miner": tr.miner("Antminer S21"), "Step": tr.decode(*WHERE),
    "Scenario": tr.economics.mine("Antminer S21"), "SLO": tr.serving.SLO(ttft_s=1.0),
    "Requests": tr.serving.poisson(1.0, requests=10), "ArrayLike": 1.0, "NDArray": np.ones(2), "float": 1.0,
    "int": 1, "bool": False,
}  # fmt: skip
# what measures or writes, and what plays with the reference's plain numbers
LEFT = ("tokenroof.measure", "tokenroof.report", "tokenroof.reference")


def everything(module, seen):
    """Public functions and classes of a module and of its public modules, by name."""
    for name in getattr(module, "__all__", None) or [n for n in vars(module) if n[0] != "_"]:
        one = getattr(module, name)
        home = getattr(one, "__name__" if inspect.ismodule(one) else "__module__", None) or ""
        if not home.startswith("tokenroof") or home.startswith(LEFT):
            continue
        if inspect.ismodule(one):
            if one not in seen:
                seen.append(one)
                yield from everything(one, seen)
        elif callable(one) and not isinstance(one, np.ufunc):
            yield f"{home.removeprefix('tokenroof.')}.{name}", one


ALONE = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
# errors of the code, not of what it was given
SLIPS = (AttributeError, IndexError, AssertionError, ZeroDivisionError, NameError)


def filled(parameter):
    """A value that one may give, where it is easily had."""
    words = str(parameter.annotation).replace("[", " ").replace("|", " ").split()
    return next((GOOD[word] for word in words if word in GOOD), "abc")


def calls():
    """Public calls, and by parameter what is no record, table, mapping or function, though that is meant."""
    for name, one in dict(everything(tr, [])).items():
        try:
            checks, every = kind_checks(one), inspect.signature(one).parameters.values()
        except (TypeError, ValueError):  # no signature
            continue
        needed = {p.name: filled(p) for p in every if p.default is p.empty and p.kind not in ALONE}
        for parameter in checks:
            for bad in ("abc", 3):
                yield name, parameter, one, needed | {parameter: bad}


def test_what_is_no_record_is_refused_before_its_fields_are_asked(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # of calls that write what they are given
    slips, seen = [], set()
    for name, parameter, call, given in calls():
        seen.add(name)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                call(**given)
        except SLIPS as error:
            slips.append(f"{name}({parameter}={given[parameter]!r}): {error}")
        except (TypeError, ValueError, KeyError, OSError, RuntimeError):
            pass
    assert slips == []
    assert len(seen) > 200 and {"serving.plans.default_plans", "plot.money.ladder"} <= seen


def test_a_record_is_refused_by_name():
    for ask, said in (
        (lambda: tr.serving.default_plans("H200-SXM", WHERE[1]), "device is 'H200-SXM'; allowed: a Device, as tokenroof"),
        (lambda: tr.serving.default_plans(WHERE[0], "abc"), "model is 'abc'; allowed: a Model, as tokenroof.model"),
        (lambda: tr.plot.ladder([3]), r"rungs is \[3\]; allowed: a Ladder"),
        (lambda: tr.plot.cash_flow(GOOD["Scenario"]), "found is a Scenario; allowed: a Factory, as economics.factory"),
        (lambda: tr.plot.chart(tr.serving.curve(*WHERE)), "fronts is a Dataset; allowed: a sequence, each a Dataset"),
        (lambda: tr.plot.latency("abc"), "tables is 'abc'; allowed: a sequence, each a Dataset"),
        (lambda: tr.plot.timeline(np.ones(2)), r"series is array\(\[1., 1.\]\); allowed: an array of records"),
        (lambda: tr.serving.stability(*WHERE, 10, 10, scheduler="vllm"), "scheduler is 'vllm'; allowed: a Scheduler, as serving.Scheduler.preset gives, or None"),
        (lambda: tr.serving.token_gaps("abc"), "run is 'abc'; allowed: a Simulation"),
        (lambda: tr.Calibration(constants="gemm"), "constants is 'gemm'; allowed: a mapping"),
        (lambda: tr.scale.Best("time_s", "batch", least=3), "least is 3; allowed: a mapping"),
        (lambda: tr.calibrate.read_serving(None), "path is None; allowed: a path, or a pandas.DataFrame"),
    ):  # fmt: skip
        with pytest.raises(TypeError, match=said):
            ask()


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (
            lambda: tr.decode("Llama-3.1-8B", "H200-SXM"),
            "device is 'Llama-3.1-8B', a model; allowed: a device",
        ),
        (lambda: tr.model("h200"), "model is 'h200', a device; allowed: a model"),
        (lambda: tr.device("Antminer S21"), "device is 'Antminer S21', a miner; allowed: a device"),
        (
            lambda: tr.kernels.by_keyword("ridgepoint"),
            "kernel is 'ridgepoint'; did you mean 'ridge_point'?; allowed: names in tokenroof.kernels",
        ),
        (
            lambda: GOOD["Scenario"].with_values({"site.powr_mw": 20}),
            "no key 'site.powr_mw'; did you mean site.power_mw, site.idle_power, site.price_per_mwh?",
        ),
        (lambda: tr.miner("Llama-3.1-8B"), "miner is 'Llama-3.1-8B', a model; allowed: a miner"),
    ],
)
def test_a_name_that_is_none_is_told_in_a_sentence_without_quotes_around_it(ask, said):
    with pytest.raises(KeyError) as error:
        ask()
    assert str(error.value) == said
