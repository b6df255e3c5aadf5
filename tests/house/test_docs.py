"""What pages and docstrings show, run."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import tokenroof

PAGES = sorted((Path(__file__).parents[2] / "docs").rglob("*.md"))
MODULES = ["tokenroof"] + [
    m.name
    for m in pkgutil.walk_packages(tokenroof.__path__, "tokenroof.")
    if m.name.rpartition(".")[2] not in ("__main__", "_core", "_cuda")
]


@pytest.mark.parametrize(
    "page", [p for p in PAGES if ">>> " in p.read_text()], ids=lambda p: p.stem
)
def test_examples(page):
    code = "\n".join(re.findall(r"```python\n(.*?)```", page.read_text(), re.S))
    test = doctest.DocTestParser().get_doctest(code, {}, page.stem, str(page), 0)
    out = []
    results = doctest.DocTestRunner().run(test, out=out.append)
    assert results.attempted > 10
    assert results.failed == 0, "".join(out)


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name):
    module = importlib.import_module(name)
    results = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert results.failed == 0
    if name == "tokenroof.kernels":
        assert results.attempted >= 20
