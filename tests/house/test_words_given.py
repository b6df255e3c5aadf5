"""What is no text where a name is looked up is refused in a sentence, in any public call: arrays, lists, mappings."""

import inspect
import re
import sys
import warnings

import numpy as np
import pytest
from test_records_given import ALONE, everything, filled

import tokenroof as tr

# whose truth value, hash, order or letters Python asks for where a text is taken for granted
BAD = [np.zeros(0), np.zeros(2), np.array(["vllm", "fp8"]), [], ["vllm", "fp8"], [None], {}, (), b"", 5, True, float("nan"), len]  # fmt: skip
RAW = re.compile(
    "truth value|ambiguous|unhashable|has no attribute|not iterable|not subscriptable|argument of type|must be str"
    "|expected str|sequence item|required positional|cannot be interpreted|not supported between"
)
# results and what plays inside, which nobody makes by hand
INSIDE = ("Simulation", "support.", "records.dtypes.")


def words(one):
    """Parameters of a call, and keys of its options, that may be a text."""
    for parameter in inspect.signature(one).parameters.values():
        said = str(parameter.annotation)
        if parameter.kind not in ALONE and re.search(r"\bstr\b|Literal", said):
            yield parameter.name
        options = re.search(r"Unpack\[(\w+)\]", said)
        if options and (keys := getattr(sys.modules[one.__module__], options[1], None)):
            for name, kind in keys.__annotations__.items():
                if re.search(r"\bstr\b", str(getattr(kind, "__forward_arg__", kind))):
                    yield name


def calls():
    for name, one in dict(everything(tr, [])).items():
        try:
            every = inspect.signature(one).parameters.values()
        except (TypeError, ValueError):  # no signature
            continue
        if any(part in name for part in INSIDE):
            continue
        needed = {p.name: filled(p) for p in every if p.default is p.empty and p.kind not in ALONE}
        for word in words(one):
            yield name, word, one, needed


@pytest.mark.parametrize("bad", BAD)
def test_what_is_no_name_is_refused_in_a_sentence(monkeypatch, tmp_path, bad):
    monkeypatch.chdir(tmp_path)
    slips = []
    for name, word, call, needed in calls():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                call(**needed | {word: bad})
        except (TypeError, ValueError, KeyError, OSError, RuntimeError) as error:
            if RAW.search(str(error)):
                slips.append(f"{name}({word}={bad!r}): {error}")
        except Exception as error:  # any other is a slip
            slips.append(f"{name}({word}={bad!r}): {type(error).__name__} {error}")
    assert slips == []


def test_no_call_is_forgotten():
    seen = {f"{name}({word})" for name, word, _, _ in calls()}
    assert {
        "mining.scan.scan(backend)", "inference.step.decode(fidelity)", "serving.curve.curve(power)",
    } <= seen  # fmt: skip
    assert len(seen) > 400


HEADER = bytes(80)
DEVICE, MODEL = "H200-SXM", "Llama-3.1-8B"


@pytest.mark.parametrize(
    "bad", [np.zeros(0), np.array(["a", "b"]), [None], {}, (), 5, True, len, ""]
)
@pytest.mark.parametrize(
    ("ask", "name"),
    [(lambda x: tr.mining.scan(HEADER, count=1, target=1, backend=x), "backend"), (lambda x: tr.Plan(engine=x), "engine"),
     (lambda x: tr.decode(DEVICE, MODEL, fidelity=x), "fidelity"),
     (lambda x: tr.prefill(DEVICE, MODEL, fidelity=x), "fidelity"),
     (lambda x: tr.serving.curve(DEVICE, MODEL, power=x), "power"),
     (lambda x: tr.operators.gemm(DEVICE, 1, 8, 8, engine=x), "engine"),
     (lambda x: tr.serving.frontier(DEVICE, MODEL, engine=x), "engine"),
     (lambda x: tr.mining.pool_income(x, 1e15, 1e14, 1.0), "scheme"),
     (lambda x: tr.serving.simulate(DEVICE, MODEL, None, {"arrival": [0.0], "input_tokens": 1, "output_tokens": 1}, router=x),
      "router")],
)  # fmt: skip
def test_it_is_told_by_its_argument(ask, name, bad):
    with pytest.raises((TypeError, ValueError), match=rf"^{name} (is|must be) .*(allowed|must be)"):
        ask(bad)
