"""What a documented argument does: change each in turn, and see whether a result changes."""

import dataclasses
import inspect
from functools import cache

import numpy as np


def _same(x, y):
    if isinstance(x, (tuple, list)) and isinstance(y, (tuple, list)):
        return len(x) == len(y) and all(map(_same, x, y))
    if isinstance(x, dict) and isinstance(y, dict):
        return list(x) == list(y) and all(_same(x[k], y[k]) for k in x)
    if isinstance(x, np.ndarray) or isinstance(y, np.ndarray):
        x, y = np.asarray(x), np.asarray(y)
        return x.shape == y.shape and np.array_equal(x, y, equal_nan=x.dtype.kind in "fc")
    return x == y or (x != x and y != y)


def derived(record):
    """What a record says beyond the fields that it was given."""
    return {
        name: getattr(record, name)
        for name, member in inspect.getmembers(type(record))
        if isinstance(member, property) and not name.startswith("_")
    }


def fields(record):
    """Fields and properties of a result."""
    return {f.name: getattr(record, f.name) for f in dataclasses.fields(record)} | derived(record)


def without_effect(function, base, changes, words=(), options=None):
    """Arguments of a function or record that change nothing, are not tried, or do not exist.

    `base` are the arguments to start from; `changes` gives a list of changes for each name, each a
    dict of what to set (an argument may need others to count). One of them must change the result,
    or refuse it by name. `words` are those that only describe; `options` is the TypedDict of what the
    function takes as `**options`.
    """
    called = base.pop("result", None) or function
    parameters = inspect.signature(function).parameters.values()
    known = {p.name for p in parameters if p.kind is not p.VAR_KEYWORD} - {"self", "cls"}
    known |= {*options.__annotations__} if options else set()
    silent = sorted(known.symmetric_difference({*changes, *words}))
    unchanged = cache(lambda: called(**base))  # what most changes are held against
    for name, tries in changes.items():
        if not any(_differs(called, unchanged, base, change, name) for change in tries):
            silent.append(name)
    return silent


def _differs(called, unchanged, base, change, name):
    beside = {key: value for key, value in change.items() if key != name}
    others = base | beside
    try:
        before = called(**others) if beside else unchanged()
    except (ValueError, TypeError):  # which needs the argument
        before = None
    try:
        after = called(**others | {name: change[name]})
    except (ValueError, TypeError) as error:
        return "; allowed" in str(error)
    return not _same(before, after)
