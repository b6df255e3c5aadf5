"""The examples of every docstring, run."""

import doctest
import importlib
import pkgutil

import pytest

import tokenroof as tr

COMPILED = ("tokenroof._core", "tokenroof._cuda")
MODULES = ["tokenroof"] + [
    m.name for m in pkgutil.walk_packages(tr.__path__, "tokenroof.")
    if m.name not in COMPILED and not m.name.endswith("__main__")
]  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name):
    module = importlib.import_module(name)
    results = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert results.failed == 0
    if name == "tokenroof.kernels":
        assert results.attempted >= 20
