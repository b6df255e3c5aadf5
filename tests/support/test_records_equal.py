"""Every public record is equal to its copies and to what pickle makes of it, and to nothing that differs in a field."""

import copy
import dataclasses
import importlib
import inspect
import pickle
import pkgutil
import re
from dataclasses import dataclass

import numpy as np
import pytest
import xarray as xr

import tokenroof as tr
from tokenroof.economics.scenarios.market import ScenarioMarket
from tokenroof.economics.scenarios.sections import SECTIONS
from tokenroof.records.quantisation import Quantisation
from tokenroof.records.tower import Tower
from tokenroof.support.equality import by_value


def _public():
    """Records by the name under which the package hands them out."""
    names = [m.name for m in pkgutil.walk_packages(tr.__path__, "tokenroof.") if m.ispkg]
    found = {}
    for module in map(importlib.import_module, ["tokenroof", *names]):
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            if inspect.isclass(value) and dataclasses.is_dataclass(value):
                found.setdefault(value, f"{module.__name__}.{name}")
    return found


RECORDS = _public()
# Words of a field's type beside which it holds no array: numbers, texts, and tuples and tables of them.
PLAIN = {
    "str",
    "int",
    "float",
    "bool",
    "None",
    "tuple",
    "frozenset",
    "dict",
    "list",
    "Mapping",
    "Sequence",
}
# Fields of any type that their record turns into others, numbers or tuples of them, when it is made.
TURNED = {
    "tokenroof.economics.ScenarioKey": {"default"}, "tokenroof.mining.Chain": {"decay"},
    "tokenroof.serving.Speculation": {"method", "acceptance"},
    "tokenroof.inference.speculative.ByPosition": {"chances"},
    "tokenroof.serving.System": {"prefill", "decode", "link_bandwidth", "speculation", "hop_s", "both", "attention",
                                 "experts", "draft", "model"},
    "tokenroof.serving.Trial": {"knobs"}, "tokenroof.serving.Tuning": {"knobs"},
    "tokenroof.serving.Scheduler": {"_given"},
}  # fmt: skip


# Records inside others, which are compared by their fields as they are.
INNER = {
    record.__name__
    for record in (*RECORDS, *SECTIONS.values(), ScenarioMarket, Quantisation, Tower)
}


def _classes_in(text):
    """Words of a type that are neither plain nor another record's name."""
    words = set(re.findall(r"[A-Za-z_][\w.]*", text)) - PLAIN
    return {word for word in words if word not in INNER}


def _by_value(record):
    return record.__eq__.__module__ == by_value.__module__


def _compared(record):
    return [f for f in dataclasses.fields(record) if f.compare]


@pytest.mark.parametrize("record", RECORDS, ids=RECORDS.get)
def test_a_record_that_may_hold_arrays_is_compared_by_value(record):
    if _by_value(record):
        return
    assert record.__eq__ is not object.__eq__, "equal to itself alone"
    for f in _compared(record):
        if f.name in TURNED.get(RECORDS[record], ()):
            continue
        assert not _classes_in(str(f.type)), f"{f.name}: {f.type}"


@dataclass(frozen=True)
class Inner:
    """What stands for a record in another."""

    number: float


class Values:
    """A value for a field, and one that differs; of those that are compared by value with NaN and arrays in them."""

    def __init__(self, arrays):
        self.nan = float("nan") if arrays else 7.5
        self.arrays = arrays

    def of(self, text, more=0.0):
        if "Dataset" in text:
            return (xr.Dataset({"a": ("x", [1.0 + more, np.nan])}),)
        if text.startswith(("dict", "Mapping")):
            return {"a": self._array(more) if "NDArray" in text else 1.5 + more, "b": self.nan}
        if self.arrays and ("NDArray" in text or text.startswith("Any")):
            return self._array(more)
        if "tuple" in text or "list" in text or "Sequence" in text:
            return (("a", 1.0 + more, self.nan),)
        if "float" in text:
            return self.nan if not more else 2.5
        if "int" in text:
            return 3 + int(more)
        if "str" in text:
            return f"text {more}"
        return Inner(1.0 + more)

    @staticmethod
    def _array(more):
        return np.array([1.0 + more, np.nan])


def _made(record, values, changed=""):
    """A record with these fields, as pickle makes one: without its checks."""
    one = object.__new__(record)
    for f in dataclasses.fields(record):
        object.__setattr__(one, f.name, values.of(str(f.type), 1.0 if f.name == changed else 0.0))
    return one


@pytest.mark.parametrize("record", RECORDS, ids=RECORDS.get)
def test_equal_unless_a_field_differs(record):
    values = Values(_by_value(record))
    one = _made(record, values)
    assert (one == _made(record, values)) is True and (one != _made(record, values)) is False
    assert (one == one) is True
    assert (one == 3) is False and (one != "text") is True
    for f in _compared(record):
        other = _made(record, values, f.name)
        assert (one == other) is False and (other == one) is False, f.name
        assert (one != other) is True, f.name
    for f in dataclasses.fields(record):
        if not f.compare:
            assert (one == _made(record, values, f.name)) is True, f.name


@pytest.mark.parametrize("record", RECORDS, ids=RECORDS.get)
def test_equal_after_copy_and_pickle(record):
    one = _made(record, Values(_by_value(record)))
    for again in (copy.copy(one), copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert again is not one
        assert (one == again) is True and (again == one) is True
