"""What is taken where nobody says: no default of a public function, record or scenario's key changes unseen, and no
constant of a module.

Numbers are held, names and texts are not; what is new may come. A changed default is written with its reason in
CHANGELOG.md and here by `python tests/house/test_defaults.py`, which writes defaults.json anew.
"""

import ast
import importlib
import inspect
import json
import pkgutil
import sys
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path

import numpy as np
import pytest

import tokenroof
from tokenroof.calibrate import SPECS
from tokenroof.economics.scenarios.keys import keys_of
from tokenroof.economics.scenarios.sections import SECTIONS

FOLDERS = ("inference", "mining", "serving", "economics", "records", "catalogue", "calibrate")
KEPT = Path(__file__).with_name("defaults.json")
ANEW = "python tests/house/test_defaults.py writes tests/house/defaults.json anew"


def _numbers(value):
    """A default as text if it is a number, or numbers in tuples; else None."""
    if isinstance(value, bool) or value is None:
        return repr(value)
    if isinstance(value, (int, float)):
        return repr(float(value))
    if isinstance(value, tuple) and value and all(isinstance(x, (int, float)) for x in value):
        return repr(tuple(float(x) for x in value))
    return None


def _constant(value):
    """Text of numbers in tuples and lists, for a module's constants; None where something else is in it."""
    if isinstance(value, (tuple, list)):
        inner = [_constant(v) for v in value]
        return None if None in inner or not inner else repr(inner)
    return _numbers(value) if isinstance(value, (int, float)) else None


def _entries(name, value):
    """A constant, or the entries of a table of them, each by its own name: a new one may come."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _entries(f"{name}[{key!r}]", inner)
    elif is_dataclass(value) and not isinstance(value, type):
        for f in fields(value):
            if f.name != "constants":  # starts and bounds of operators stand by their own names
                yield from _entries(f"{name}.{f.name}", getattr(value, f.name))
    elif isinstance(value, np.ndarray) and value.dtype.kind in "iuf":
        yield name, repr(value.tolist())
    elif isinstance(value, tuple) and _constant(value) is None:
        for i, inner in enumerate(value):
            yield from _entries(f"{name}[{i}]", inner)
    elif (text := _constant(value)) is not None:
        yield name, text


# of what is written where it stands: numbers, sums of them, records and arrays made of them; no look-up has part in it
_PLAIN = (ast.Constant, ast.Tuple, ast.List, ast.Dict, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop,
          ast.expr_context, ast.keyword, ast.Subscript, ast.Slice)  # fmt: skip


def _is_plain(part):
    """Whether a part of an expression is written out: constants by name are capitals, records begin with one."""
    if isinstance(part, ast.Name):
        return part.id.strip("_")[:1].isupper() or part.id in ("np", "float")
    if isinstance(part, ast.Attribute):
        return part.attr == "array" and getattr(part.value, "id", "") == "np"
    if isinstance(part, ast.Call):
        return _is_plain(part.func)
    return isinstance(part, _PLAIN)


def _written(module):
    """Names of a module that stand for what is written there, and is not looked up."""
    out = set()
    for node in ast.parse(Path(module.__file__).read_text()).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        if value is not None and all(map(_is_plain, ast.walk(value))):
            out |= {t.id for t in targets if isinstance(t, ast.Name) and t.id != "__all__"}
    return out


def _read(module):
    """Numbers that a reader of configurations takes where a field is missing, or bounds one by: calls of its `r`."""
    for function in ast.parse(Path(module.__file__).read_text()).body:
        for call in ast.walk(function) if isinstance(function, ast.FunctionDef) else ():
            if not isinstance(call, ast.Call):
                continue
            first = next(iter(call.args), None)
            key = getattr(first, "value", "") if isinstance(first, ast.Constant) else ""
            for word in call.keywords:
                value = word.value
                if isinstance(value, ast.Constant) and type(value.value) in (int, float):
                    yield (
                        f"{function.name}: {ast.unparse(call.func)}({key!r}) {word.arg}",
                        repr(value.value),
                    )


def _of(item):
    """Argument or field -> its default, of a function or a record."""
    if is_dataclass(item) and isinstance(item, type):
        given = {f.name: f.default for f in fields(item) if f.default is not MISSING}
    elif inspect.isfunction(item):
        parameters = inspect.signature(item).parameters.values()
        given = {p.name: p.default for p in parameters if p.default is not p.empty}
    else:
        return {}
    return {name: text for name, value in given.items() if (text := _numbers(value)) is not None}


def found():
    """Every default of the layers that calculate, by module and name."""
    out = {}
    for folder in FOLDERS:
        package = importlib.import_module(f"tokenroof.{folder}")
        names = [m.name for m in pkgutil.walk_packages(package.__path__, f"tokenroof.{folder}.")]
        for name in sorted({package.__name__, *names} - {"tokenroof.calibrate.__main__"}):
            module = importlib.import_module(name)
            written = _written(module)
            if folder == "records" and "huggingface" in name and (reads := dict(_read(module))):
                out[f"fields that {name.removeprefix('tokenroof.')} reads"] = reads
            for item_name, item in vars(module).items():
                if item_name in written:
                    for one, text in _entries(item_name, item):
                        out.setdefault(f"constants of {name.removeprefix('tokenroof.')}", {})[
                            one
                        ] = text
                if item_name.startswith("_") or getattr(item, "__module__", "") != name:
                    continue
                item = (
                    inspect.unwrap(item) if callable(item) and not isinstance(item, type) else item
                )
                if defaults := _of(item):
                    out[f"{name.removeprefix('tokenroof.')}.{item_name}"] = defaults
    for name, spec in SPECS.items():
        out[f"starts and bounds of {name}"] = {
            n: repr((r.start, r.low, r.high)) for n, r in spec.constants.items()
        }
        out[f"numbers of {name}"] = dict(_entries("", spec))
    for section, record in SECTIONS.items():
        for key in keys_of(section, record):
            out[f"scenario {key.name}"] = {
                n: repr(getattr(key, n)) for n in ("default", "low", "high", "above")
            }
    return out


def test_no_default_changes_unseen():
    kept, now = json.loads(KEPT.read_text()), found()
    for name, defaults in kept.items():
        for argument, value in defaults.items():
            there = now.get(name, {}).get(argument, value)
            assert there == value, (
                f"{name}: {argument} is {there}, was {value}; where that is meant: {ANEW}"
            )
    there = sum(name in now for name in kept)
    assert there > 0.9 * len(kept), (
        f"python tests/house/{Path(__file__).name} writes {KEPT.name} anew"
    )


def test_the_list_is_not_empty_of_what_it_holds():
    kept = json.loads(KEPT.read_text())
    assert len(kept) > 200 and kept["scenario site.pue"]["default"] == "1.18"


@pytest.mark.filterwarnings("ignore:.*legal and odd")
@pytest.mark.parametrize("section", SECTIONS)
def test_both_ends_of_every_key_of_a_scenario_are_taken(section):
    """And what lies beyond them is not; an end that is excluded is not taken itself."""
    record = SECTIONS[section]
    for key in keys_of(section, record):
        if key.kind not in ("number", "integer"):
            continue
        name = key.name.partition(".")[2]
        step = 1 if key.kind == "integer" else 1e-9 * max(1.0, abs(key.low))
        low, high = (int(x) if key.kind == "integer" else x for x in (key.low, key.high))
        for end, taken in (
            (low, not key.above),
            (high, True),
            (low - step, False),
            (high * 2 + step, False),
        ):
            if end == key.default:
                continue
            if taken:
                assert getattr(record(**{name: end}), name) == end
            else:
                with pytest.raises(ValueError, match=f"^{key.name} is"):
                    record(**{name: end})


if __name__ == "__main__":
    KEPT.write_text(json.dumps(found(), indent=0, sort_keys=True) + "\n")
    print(f"{len(found())} names in {KEPT}", tokenroof.__version__, file=sys.stderr)
